//! Functions against their formulas, known values, symmetries and ranges.

use super::*;
use crate::value::Range;
use proptest::prelude::*;

/// All names.
pub(crate) const NAMES: &[&str] = &[
    "relu",
    "leaky_relu",
    "clip",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "silu",
    "hard_swish",
    "gelu",
    "gelu_tanh",
    "elu",
    "selu",
    "celu",
    "mish",
    "softplus",
    "softsign",
    "thresholded_relu",
    "log_sigmoid",
    "erf",
    "exp",
    "log",
    "sqrt",
    "reciprocal",
    "pow",
    "abs",
    "sign",
    "sin",
    "cos",
    "floor",
    "ceil",
    "round",
    "trunc",
    "step",
];

/// The function of a name with usual parameters.
fn usual(name: &str) -> Function {
    let parameters: &[f64] = match name {
        "leaky_relu" => &[0.01],
        "clip" => &[-1.0, 6.0],
        "hard_sigmoid" => &[0.2, 0.5],
        "elu" => &[1.5],
        "selu" => &[1.673_263_242_354_377_2, 1.050_700_987_355_480_5],
        "celu" => &[0.7],
        "thresholded_relu" => &[1.25],
        "pow" => &[-0.5],
        _ => &[],
    };
    let function = Function::new(name, parameters).unwrap();
    assert_eq!(
        (function.name(), &function.parameters()[..]),
        (name, parameters)
    );
    assert_eq!(
        Function::parameter_names(name).unwrap().len(),
        parameters.len()
    );
    assert_eq!(function.check(), Ok(()));
    function
}

/// Straight from ONNX's definitions, in the standard library's arithmetic.
fn naive(name: &str, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match name {
        "relu" => x.max(0.0),
        "leaky_relu" => x.max(0.0) + 0.01 * x.min(0.0),
        "clip" => x.clamp(-1.0, 6.0),
        "sigmoid" => sigmoid(x),
        "hard_sigmoid" => (0.2 * x + 0.5).clamp(0.0, 1.0),
        "tanh" => x.tanh(),
        "silu" => x * sigmoid(x),
        "hard_swish" => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        "gelu" => 0.5 * x * (1.0 + libm::erf(x / 2.0_f64.sqrt())),
        "gelu_tanh" => {
            0.5 * x
                * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        "elu" if x < 0.0 => 1.5 * (x.exp() - 1.0),
        "selu" if x < 0.0 => 1.050_700_987_355_480_5 * 1.673_263_242_354_377_2 * (x.exp() - 1.0),
        "selu" => 1.050_700_987_355_480_5 * x,
        "celu" => x.max(0.0) + (0.7 * ((x / 0.7).exp() - 1.0)).min(0.0),
        "elu" => x,
        "mish" => x * (1.0 + x.exp()).ln().tanh(),
        "softplus" => (1.0 + x.exp()).ln(),
        "softsign" => x / (1.0 + x.abs()),
        "thresholded_relu" => {
            if x > 1.25 {
                x
            } else {
                0.0
            }
        }
        "log_sigmoid" => sigmoid(x).ln(),
        "erf" => erf_by_series(x),
        "exp" => x.exp(),
        "log" => x.ln(),
        "sqrt" => x.sqrt(),
        "reciprocal" => x.recip(),
        "pow" => x.sqrt().recip(),
        "abs" => x.max(-x),
        "sign" => {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }
        "sin" => x.sin(),
        "cos" => x.cos(),
        "floor" => x.floor(),
        "ceil" => -(-x).floor(),
        "round" => {
            let below = (x - 0.5).ceil();
            if x - x.floor() == 0.5 {
                2.0 * (x / 2.0).round()
            } else {
                below
            }
        }
        "trunc" => {
            if x < 0.0 {
                x.ceil()
            } else {
                x.floor()
            }
        }
        "step" => {
            if x > 0.0 {
                1.0
            } else {
                0.0
            }
        }
        other => panic!("{other}"),
    }
}

/// 2 / sqrt(pi) times the sum of (-1)^n x^(2n+1) / (n! (2n+1)), good to 1e-9 or so for |x| below 4.
fn erf_by_series(x: f64) -> f64 {
    let (mut sum, mut power) = (0.0, x);
    for n in 0..120 {
        sum += power / f64::from(2 * n + 1);
        power *= -x * x / f64::from(n + 1);
    }
    2.0 / std::f64::consts::PI.sqrt() * sum
}

#[test]
fn values_are_those_of_the_definitions() {
    for name in NAMES {
        let function = usual(name);
        for i in -300..=300 {
            // Multiples of 1/80: halves and the functions' corners are among them.
            let x = f64::from(i) / 80.0;
            if function
                .pole()
                .is_some_and(|p| p.lies_in(Range { lo: x, hi: x }))
            {
                continue;
            }
            let (found, expected) = (function.eval(x), naive(name, x));
            assert!(
                (found - expected).abs() < 1e-9 * (1.0 + expected.abs()),
                "{name}({x}): {found}, not {expected}"
            );
        }
    }
}

#[test]
fn far_values_neither_overflow_nor_cancel() {
    let near = |function: Function, x: f64, expected: f64| {
        let found = function.eval(x);
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs(),
            "{}({x}) = {found}, not {expected}",
            function.name()
        );
    };
    near(Function::Sigmoid, -800.0, 0.0);
    near(Function::Sigmoid, -40.0, 4.248_354_255_291_589e-18);
    near(Function::Softplus, -40.0, 4.248_354_255_291_589e-18);
    near(Function::Softplus, 900.0, 900.0);
    near(Function::LogSigmoid, -900.0, -900.0);
    near(Function::LogSigmoid, 40.0, -4.248_354_255_291_589e-18);
    near(Function::Gelu, -10.0, -7.619_853_024_160_528e-23);
    near(Function::Gelu, 1e3, 1e3);
    near(Function::GeluTanh, 1e80, 1e80);
    near(Function::Mish, -40.0, -1.699_341_702_116_635_5e-16);
    near(Function::Mish, 1e3, 1e3);
    near(Function::Silu, -800.0, 0.0);
    near(Function::Elu { alpha: 1.0 }, -1e-14, -1e-14);
    near(Function::Erf, 0.5, 0.520_499_877_813_046_5);
    assert_eq!(Function::Round.eval(2.5), 2.0);
    assert_eq!(Function::Round.eval(-3.5), -4.0);
    assert_eq!(Function::Pow { exponent: 3.0 }.eval(-2.0), -8.0);
    assert_eq!(
        Function::Clip {
            lo: f64::NEG_INFINITY,
            hi: 6.0
        }
        .eval(-1e300),
        -1e300
    );
}

#[test]
fn parameters_that_give_no_function_are_refused() {
    for (name, parameters) in [
        ("clip", &[2.0, 1.0][..]),
        ("clip", &[f64::NAN, 1.0]),
        ("clip", &[f64::INFINITY, f64::INFINITY]),
        ("celu", &[0.0]),
        ("leaky_relu", &[f64::NAN]),
        ("selu", &[1.0, f64::INFINITY]),
        ("pow", &[f64::NEG_INFINITY]),
    ] {
        assert!(
            Function::new(name, parameters).unwrap().check().is_err(),
            "{name} {parameters:?}"
        );
    }
    assert_eq!(Function::new("relu", &[1.0]), None);
    assert_eq!(Function::new("clip", &[1.0]), None);
    assert_eq!(Function::new("softmax", &[]), None);
    assert_eq!(Function::parameter_names("softmax"), None);
    assert_eq!(
        Function::Clip {
            lo: f64::NEG_INFINITY,
            hi: 6.0
        }
        .check(),
        Ok(())
    );
}

#[test]
fn functions_without_a_value_have_no_range() {
    let over = |function: Function, lo, hi| function.range_over(Range { lo, hi });
    assert_eq!(over(Function::Log, 0.0, 1.0), None);
    assert_eq!(over(Function::Sqrt, -0.1, 1.0), None);
    assert_eq!(
        over(Function::Sqrt, 0.0, 4.0),
        Some(Range { lo: 0.0, hi: 2.0 })
    );
    assert_eq!(over(Function::Reciprocal, -1.0, 1.0), None);
    assert_eq!(
        over(Function::Reciprocal, -1.0, -0.5),
        Some(Range { lo: -2.0, hi: -1.0 })
    );
    assert_eq!(over(Function::Pow { exponent: -2.0 }, -1.0, 1.0), None);
    assert_eq!(
        over(Function::Pow { exponent: 2.0 }, -1.0, 3.0),
        Some(Range { lo: 0.0, hi: 9.0 })
    );
    assert_eq!(over(Function::Pow { exponent: 0.5 }, -1.0, 1.0), None);
    assert_eq!(over(Function::Pow { exponent: -0.5 }, 0.0, 1.0), None);
    assert_eq!(over(Function::Exp, 0.0, 1e3), None);
    assert_eq!(
        over(Function::Cos, -1.0, 7.0),
        Some(Range { lo: -1.0, hi: 1.0 })
    );
    assert_eq!(
        over(Function::ThresholdedRelu { alpha: -1.0 }, -2.0, 0.5),
        Some(Range { lo: -1.0, hi: 0.5 })
    );
}

proptest! {
    #[test]
    fn parities_hold(name in prop::sample::select(NAMES), x in -8.0_f64..8.0, exponent in -4_i32..5) {
        for function in [usual(name), Function::Pow { exponent: exponent.into() }] {
            let (plus, minus) = (function.eval(x), function.eval(-x));
            match function.parity() {
                Some(Parity::Even) => prop_assert_eq!(plus, minus),
                Some(Parity::Odd) => prop_assert_eq!(plus, -minus),
                // Not the other way round: what has a parity says so.
                None => prop_assert!(x == 0.0 || plus.is_nan() || minus.is_nan() || plus.abs() != minus.abs()
                    || plus == 0.0 || function.is_step() || function.name() == "clip" || plus == 1.0),
            }
        }
    }

    #[test]
    fn ranges_hold_all_values_and_no_more(
        name in prop::sample::select(NAMES),
        ends in (-9.0_f64..9.0, 0.0_f64..9.0),
        parameter in -2.0_f64..2.0,
    ) {
        let changed = match name {
            "leaky_relu" | "elu" | "thresholded_relu" => Function::new(name, &[parameter]).unwrap(),
            "selu" => Function::new(name, &[parameter, -1.5]).unwrap(),
            _ => usual(name),
        };
        for function in [usual(name), changed] {
            let interval = Range { lo: ends.0, hi: ends.0 + ends.1 };
            let Some(range) = function.range_over(interval) else {
                prop_assert!(function.pole().is_some(), "{name} has values everywhere");
                continue;
            };
            let mut seen: Option<Range> = None;
            for i in 0..=4000 {
                let x = interval.lo + (interval.hi - interval.lo) * f64::from(i) / 4000.0;
                let y = function.eval(x);
                let slack = 1e-12 * (1.0 + y.abs());
                prop_assert!(range.lo - slack <= y && y <= range.hi + slack, "{name}({x}) = {y} leaves {range}");
                let point = Range { lo: y, hi: y };
                seen = Some(seen.map_or(point, |s| s.union(point)));
            }
            // Steep functions may hide as much as a step of the grid between two samples.
            let seen = seen.unwrap();
            let grid = if function.pole().is_some() || name == "exp" { f64::INFINITY } else { 0.02 };
            prop_assert!(seen.lo - range.lo <= grid && range.hi - seen.hi <= grid, "{name}: {seen} within {range}");
        }
    }
}
