//! Which named function a part of the graph computes.
//!
//! Both are evaluated at some hundred fixed points from 0.04 to 10^6 on either side of 0. They must agree to
//! [`TOLERANCE`], which is that of constants in 32 bits and far below the distance of any two named functions; the
//! points where the spelled-out form overflows are passed over beyond [`SURE`].

use super::region::Region;
use cipherloom_ir::tensor::{Function, Module, Op};

/// The largest deviation, relative to the function's value where that exceeds 1.
const TOLERANCE: f64 = 1e-6;

/// Up to here the spelled-out form must have finite values; `exp` overflows far beyond.
const SURE: f64 = 10.0;

/// `outer function(inner x)`.
pub(super) struct Named {
    pub(super) function: Function,
    pub(super) inner: f64,
    pub(super) outer: f64,
}

/// Whether a function may need factors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Factors {
    /// It stands as it is.
    None,
    /// An inner factor that stands in the graph, and the outer one that follows from the values.
    Fitted,
}

/// The named function that a region computes.
pub(super) fn recognise(module: &Module, region: &Region, factors: Factors) -> Option<Named> {
    let mut samples = vec![];
    for x in points() {
        let y = region.eval(module, x)?;
        if y.is_finite() {
            samples.push((x, y));
        } else if x.abs() <= SURE {
            return None;
        }
    }
    if factors == Factors::None {
        let fitted = fitted(|x| region.eval(module, x)).unwrap_or_default();
        let function = fixed()
            .into_iter()
            .chain(fitted)
            .find(|function| agrees(&samples, function, 1.0, 1.0))?;
        return Some(Named {
            function,
            inner: 1.0,
            outer: 1.0,
        });
    }
    // x sigmoid(1.702 x) = silu(1.702 x) / 1.702
    inner_factors(module, region).into_iter().find_map(|inner| {
        fixed().into_iter().find_map(|function| {
            let outer = outer_factor(&samples, &function, inner)?;
            agrees(&samples, &function, inner, outer).then_some(Named {
                function,
                inner,
                outer,
            })
        })
    })
}

fn points() -> impl Iterator<Item = f64> {
    let near = (0..80).map(|i| 0.125 * f64::from(i) + 0.04);
    let far = (0..17).map(|i| 10.3 * libm::exp2(f64::from(i)));
    near.chain(far).flat_map(|x| [x, -x])
}

fn agrees(samples: &[(f64, f64)], function: &Function, inner: f64, outer: f64) -> bool {
    samples.iter().all(|(x, y)| {
        let expected = function.eval(inner * x);
        let allowed = TOLERANCE * outer.abs() * expected.abs().max(1.0);
        (outer * expected - y).abs() <= allowed
    })
}

/// The factor at the sample where the function is largest within [`SURE`].
fn outer_factor(samples: &[(f64, f64)], function: &Function, inner: f64) -> Option<f64> {
    let near = samples.iter().filter(|(x, _)| x.abs() <= SURE);
    let values = near.map(|(x, y)| (function.eval(inner * x), *y));
    let (largest, y) = values.max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))?;
    let factor = y / largest;
    // A factor that is 1 but for the rounding of constants is 1.
    let factor = if (factor - 1.0).abs() < TOLERANCE {
        1.0
    } else {
        factor
    };
    (factor.is_finite() && factor != 0.0).then_some(factor)
}

/// The functions without parameters, and those of others in their usual form.
fn fixed() -> Vec<Function> {
    let hard_sigmoid = |alpha| Function::HardSigmoid { alpha, beta: 0.5 };
    vec![
        Function::Relu,
        Function::Sigmoid,
        Function::Tanh,
        Function::Silu,
        Function::HardSwish,
        Function::Gelu,
        Function::GeluTanh,
        Function::Mish,
        Function::Softplus,
        Function::Softsign,
        Function::LogSigmoid,
        Function::Abs,
        hard_sigmoid(1.0 / 6.0),
        hard_sigmoid(0.2),
        Function::Selu {
            alpha: 1.673_263_242_354_377_2,
            gamma: 1.050_700_987_355_480_5,
        },
    ]
}

/// Functions whose parameters follow from some values of f.
fn fitted(f: impl Fn(f64) -> Option<f64>) -> Option<Vec<Function>> {
    const FAR: f64 = 1e6;
    let (low, high) = (f(-FAR)?, f(FAR)?);
    let mut functions = vec![];
    let lo = if low == -FAR { f64::NEG_INFINITY } else { low };
    let hi = if high == FAR { f64::INFINITY } else { high };
    if lo < hi && (lo.is_finite() || hi.is_finite()) {
        functions.push(Function::Clip { lo, hi });
    }
    let slope = -f(-1.0)?;
    if slope.is_finite() && slope != 1.0 {
        functions.push(Function::LeakyRelu { alpha: slope });
    }
    if low.is_finite() && low != 0.0 {
        functions.push(Function::Elu { alpha: -low });
        functions.push(Function::Celu { alpha: -low });
    }
    Some(functions)
}

/// The constant factors of the root in a region, and 1.
fn inner_factors(module: &Module, region: &Region) -> Vec<f64> {
    let mut factors = vec![1.0];
    for id in &region.inner {
        let Some(node) = module.graph.get(*id) else {
            continue;
        };
        if let Op::MulConst { value } = node.op
            && module.graph.operands(*id) == [region.root]
            && let Some(factor) = module.tensor(value).and_then(|t| t.data().first())
            && *factor != 0.0
        {
            factors.push(*factor);
        }
    }
    factors
}
