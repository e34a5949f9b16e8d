//! Activations, elementwise on floating-point values; each is one [`Function`], whose text gives the formula.
//!
//! | operator | attributes | versions |
//! |---|---|---|
//! | Relu, Sigmoid, Tanh, Softplus, Softsign | | unchanged in meaning since 6 |
//! | LeakyRelu | alpha 0.01 | 6, 16 adds types |
//! | Elu, ThresholdedRelu | alpha 1 | 6, 10 |
//! | Selu | alpha, gamma | 6 |
//! | HardSigmoid | alpha 0.2, beta 0.5 | 6 |
//! | Celu | alpha 1 | 12 |
//! | HardSwish, Mish | | 14, 18 |
//! | Gelu | approximate "none" or "tanh" | 20 |
//! | Swish | alpha 1: `x sigmoid(alpha x)` | 24 |

use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Function, Op};

/// Importers of functions without parameters.
macro_rules! plain {
    ($($import:ident $function:ident;)*) => {
        $(pub(in crate::onnx::op) fn $import(call: &mut Call<'_>) -> Outputs {
            import(call, Function::$function)
        })*
    };
}

plain! {
    relu Relu;
    sigmoid Sigmoid;
    tanh Tanh;
    softplus Softplus;
    softsign Softsign;
    hard_swish HardSwish;
    mish Mish;
    abs Abs;
    ceil Ceil;
    cos Cos;
    erf Erf;
    exp Exp;
    floor Floor;
    log Log;
    reciprocal Reciprocal;
    round Round;
    sign Sign;
    sin Sin;
    sqrt Sqrt;
}

pub(super) fn leaky_relu(call: &mut Call<'_>) -> Outputs {
    let alpha = call.float("alpha", 0.01)?;
    import(call, Function::LeakyRelu { alpha })
}

pub(super) fn elu(call: &mut Call<'_>) -> Outputs {
    let alpha = call.float("alpha", 1.0)?;
    import(call, Function::Elu { alpha })
}

pub(super) fn selu(call: &mut Call<'_>) -> Outputs {
    let alpha = call.float("alpha", 1.673_263_2)?;
    let gamma = call.float("gamma", 1.050_701)?;
    import(call, Function::Selu { alpha, gamma })
}

pub(super) fn celu(call: &mut Call<'_>) -> Outputs {
    let alpha = call.float("alpha", 1.0)?;
    import(call, Function::Celu { alpha })
}

pub(super) fn thresholded_relu(call: &mut Call<'_>) -> Outputs {
    let alpha = call.float("alpha", 1.0)?;
    import(call, Function::ThresholdedRelu { alpha })
}

pub(super) fn hard_sigmoid(call: &mut Call<'_>) -> Outputs {
    let alpha = call.float("alpha", 0.2)?;
    let beta = call.float("beta", 0.5)?;
    import(call, Function::HardSigmoid { alpha, beta })
}

pub(super) fn gelu(call: &mut Call<'_>) -> Outputs {
    let function = match call.string("approximate", "none")?.as_str() {
        "none" => Function::Gelu,
        "tanh" => Function::GeluTanh,
        other => return Err(format!("approximate is {other:?}, not \"none\" or \"tanh\"").into()),
    };
    import(call, function)
}

pub(super) fn swish(call: &mut Call<'_>) -> Outputs {
    let alpha = call.float("alpha", 1.0)?;
    if alpha == 1.0 {
        return import(call, Function::Silu);
    }
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    // x sigmoid(a x) = silu(a x) / a, and x / 2 for a = 0.
    let (inner, outer) = if alpha == 0.0 {
        (0.5, 1.0)
    } else {
        (alpha, 1.0 / alpha)
    };
    let value = call.scalar_constant("alpha", inner)?;
    let mut y = call.emit(Op::MulConst { value }, &[&x], &[])?;
    if alpha != 0.0 {
        let silu = apply(call, Function::Silu, &y)?;
        let value = call.scalar_constant("alpha.inverse", outer)?;
        y = call.emit(Op::MulConst { value }, &[&silu], &[])?;
    }
    Ok(vec![Value::Encrypted(y)])
}

/// The function of one value.
pub(super) fn apply(
    call: &mut Call<'_>,
    function: Function,
    x: &Encrypted,
) -> Result<Encrypted, Refusal> {
    call.emit(Op::Function(function), &[x], &[])
}

fn import(call: &mut Call<'_>, function: Function) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    Ok(vec![Value::Encrypted(apply(call, function, &x)?)])
}
