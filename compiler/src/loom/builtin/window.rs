//! Convolution and pooling of images `[H, W]`, `[C, H, W]` or `[N, C, H, W]`.

use super::{Arguments, Builtin, Lowering, Stop, Value, named};
use crate::loom::ast::Span;
use crate::loom::diagnostic::Diagnostic;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{ConstId, Conv, MaxPool, Op, Pool};

pub(super) const ALL: &[Builtin] = &[
    Builtin::new(
        "conv2d",
        "x weight bias? stride? padding? dilation? groups?",
        conv2d,
    ),
    Builtin::new("avg_pool", "x size stride? padding?", avg_pool),
    Builtin::new("max_pool", "x size stride? padding?", max_pool),
    Builtin::new("global_avg_pool", "x", global_avg_pool),
];

impl Lowering<'_> {
    /// Two numbers, for height and width: a list of two, or one for both.
    fn pair(&mut self, args: &Arguments, name: &str) -> Result<Option<[usize; 2]>, Stop> {
        match self.sizes(args, name)?.as_deref() {
            None => Ok(None),
            Some([one]) => Ok(Some([*one; 2])),
            Some([a, b]) => Ok(Some([*a, *b])),
            Some(other) => {
                let span = args.get(name).map_or(args.span, |(_, s)| s);
                let text = format!("`{name}` is one number or two, not {}", other.len());
                Err(self.fail(span, text))
            }
        }
    }

    /// Padding: `"same"`, `"valid"`, one number, two, or top, left, bottom and right.
    fn padding(&mut self, args: &Arguments, extent: [usize; 2]) -> Result<[usize; 4], Stop> {
        if let Some((Value::Text(text), span)) = args.get("padding") {
            let [h, w] = extent;
            return match text.as_str() {
                // With stride 1 the result has the size of the operand.
                "same" => Ok([(h - 1) / 2, (w - 1) / 2, h / 2, w / 2]),
                "valid" => Ok([0; 4]),
                _ => {
                    let fault = Diagnostic::new(span, "there is no such padding");
                    Err(self.refuse(fault.help("the words are \"same\" and \"valid\"")))
                }
            };
        }
        match self.sizes(args, "padding")?.as_deref() {
            None => Ok([0; 4]),
            Some([one]) => Ok([*one; 4]),
            Some([h, w]) => Ok([*h, *w, *h, *w]),
            Some([top, left, bottom, right]) => Ok([*top, *left, *bottom, *right]),
            Some(other) => {
                let span = args.get("padding").map_or(args.span, |(_, s)| s);
                let text = format!("`padding` is one, two or four numbers, not {}", other.len());
                Err(self.fail(span, text))
            }
        }
    }

    /// An image as `[N, C, H, W]`, and how many axes were added.
    fn image(&mut self, args: &Arguments) -> Result<(Value, usize), Stop> {
        let (x, span) = self.numbers(args, "x")?;
        let shape = self.axes_of(&x);
        if !(2..=4).contains(&shape.len()) {
            let text = format!("an image is [H, W], [C, H, W] or [N, C, H, W], not {shape:?}");
            return Err(self.fail(span, text));
        }
        let added = 4 - shape.len();
        let mut wide = vec![1; added];
        wide.extend(shape);
        Ok((self.reshaped(&x, &wide, span)?, added))
    }

    /// The result without axes that were added and are 1.
    fn narrowed(&mut self, y: &Value, drop: usize, span: Span) -> Result<Value, Stop> {
        let shape = self.axes_of(y);
        self.reshaped(y, shape.get(drop..).unwrap_or_default(), span)
    }
}

/// ONNX's Conv, which does not turn the kernel. The kernel is `[KH, KW]` for one channel in and out, `[M, KH, KW]` for M
/// results of one channel, or `[M, C/groups, KH, KW]`.
pub(super) fn conv2d(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let weight = l.needed_constant(args, "weight")?;
    let (x, added) = l.image(args)?;
    let span = args.get("weight").map_or(args.span, |(_, s)| s);
    let shape = weight.tensor.shape().to_vec();
    let (wide, single) = match shape[..] {
        [h, w] => (vec![1, 1, h, w], true),
        [m, h, w] => (vec![m, 1, h, w], false),
        [..] if shape.len() == 4 => (shape.clone(), false),
        _ => {
            let text =
                format!("a kernel is [KH, KW], [M, KH, KW] or [M, C, KH, KW], not {shape:?}");
            return Err(l.fail(span, text));
        }
    };
    let Value::Constant(weight) = l.reshaped(&Value::Constant(weight), &wide, span)? else {
        return Err(Stop);
    };
    let strides = l.pair(args, "stride")?.unwrap_or([1, 1]);
    let dilations = l.pair(args, "dilation")?.unwrap_or([1, 1]);
    if strides.contains(&0) || dilations.contains(&0) {
        return Err(l.fail(args.span, "a stride or dilation is 0"));
    }
    let extent = |axis: usize| {
        (wide[axis + 2] - 1)
            .saturating_mul(dilations[axis])
            .saturating_add(1)
    };
    let pads = l.padding(args, [extent(0), extent(1)])?;
    let (groups, bias) = (
        l.whole_or(args, "groups", 1)?,
        l.constant_argument(args, "bias")?,
    );
    let mut constants = vec![named(weight, "kernel")];
    if let Some(bias) = bias {
        let bias = if bias.tensor.shape().is_empty() {
            let bias = l.reshaped(&Value::Constant(bias), &[1], span)?;
            let Value::Constant(bias) = bias else {
                return Err(Stop);
            };
            bias
        } else {
            bias
        };
        constants.push(named(bias, "bias"));
    }
    let op = Op::Conv(Conv {
        weight: ConstId(0),
        bias: (constants.len() > 1).then_some(ConstId(1)),
        strides,
        dilations,
        pads,
        group: usize::try_from(groups).unwrap_or(0),
    });
    let y = l.apply(args.span, &[x], op, &constants, &[])?;
    // One kernel on one channel gives one channel again; several give an axis of them.
    let drop = if added == 2 && !single { 1 } else { added };
    l.narrowed(&y, drop, args.span)
}

fn avg_pool(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, added) = l.image(args)?;
    let kernel = l.pair(args, "size")?.unwrap_or([1, 1]);
    let strides = l.pair(args, "stride")?.unwrap_or(kernel);
    let pads = l.padding(args, kernel.map(|k| k.max(1)))?;
    let op = Op::AveragePool(Pool {
        kernel,
        strides,
        pads,
        count_include_pad: false,
        ceil_mode: false,
    });
    let y = l.apply(args.span, &[x], op, &[], &[])?;
    l.narrowed(&y, added, args.span)
}

fn max_pool(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, added) = l.image(args)?;
    let kernel = l.pair(args, "size")?.unwrap_or([1, 1]);
    let strides = l.pair(args, "stride")?.unwrap_or(kernel);
    let pads = l.padding(args, kernel.map(|k| k.max(1)))?;
    let op = Op::MaxPool(MaxPool {
        kernel,
        strides,
        dilations: [1, 1],
        pads,
        ceil_mode: false,
    });
    let y = l.apply(args.span, &[x], op, &[], &[])?;
    l.narrowed(&y, added, args.span)
}

/// The mean over height and width: a value for each channel.
fn global_avg_pool(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let rank = l.axes_of(&x).len();
    if rank < 2 {
        return Err(l.fail(args.span, "an image has two axes at least"));
    }
    let axes = Some(vec![rank - 2, rank - 1]);
    l.reduced(
        &x,
        cipherloom_ir::tensor::Reduction::Mean,
        axes,
        false,
        args.span,
    )
}

/// A vector as a constant of its own.
pub(super) fn vector(l: &mut Lowering<'_>, data: Vec<f64>, span: Span) -> Result<Value, Stop> {
    l.new_constant(span, Tensor::from_vec(data))
}
