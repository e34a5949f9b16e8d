//! fold-scalings: inference BatchNormalization, and products and sums with constants, become part of the weights
//! and biases of the Conv or Gemm before or behind them.
//!
//! Behind a layer: `s (W x + b) + t = (s W) x + (s b + t)`, with s and t per output channel (Conv) or along the last
//! axis (Gemm). Before one: `W (s x + t) + b = (W s) x + (W t + b)`; with t not 0 a Conv must not be padded, since its
//! padding lies behind the sum. It leaves alone what has other users, and layers of two encrypted factors.

use super::elementwise::{along_axis, keeps_shape, only_user};
use super::{PassError, TensorPass};
use crate::broadcast::zip;
use cipherloom_ir::tensor::{ConstId, Conv, Module, Node, Op, Patch};
use cipherloom_ir::value::Tensor;
use cipherloom_ir::{NodeId, Origin};

/// The pass; see the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldScalings;

impl TensorPass for FoldScalings {
    fn name(&self) -> &'static str {
        "fold-scalings"
    }

    fn doc(&self) -> &'static str {
        "fold BatchNormalization and constant products and sums into the Conv or Gemm before or behind them"
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        Ok(module
            .graph
            .ids()
            .into_iter()
            .find_map(|id| step(module, id)))
    }
}

fn step(module: &Module, id: NodeId) -> Option<Patch> {
    let node = module.graph.get(id)?;
    let [below_id] = module.graph.operands(id)[..] else {
        return None;
    };
    if only_user(module, below_id) != Some(id) {
        return None;
    }
    let below = module.graph.get(below_id)?;
    let [source] = module.graph.operands(below_id)[..] else {
        return None;
    };
    // A constant may enlarge what it is combined with; weights cannot do that.
    let keeps = |user: &Node, used: &Node| user.shape == used.shape;
    let layer = match (&below.op, &node.op) {
        (Op::Conv(conv), _) => conv_then(module, conv, below, node)?,
        (Op::Gemm { weight, bias }, _) => gemm_then(module, *weight, *bias, below, node)?,
        (_, Op::Conv(conv)) if keeps(below, module.graph.get(source)?) => {
            then_conv(module, conv, below)?
        }
        (_, Op::Gemm { weight, bias }) if keeps(below, module.graph.get(source)?) => {
            then_gemm(module, *weight, *bias, below)?
        }
        _ => return None,
    };
    if !layer
        .weight
        .data()
        .iter()
        .chain(layer.bias.data())
        .all(|x| x.is_finite())
    {
        return None;
    }
    let (weight_name, bias_name) = names(module, &below.op, &node.op)?;
    let mut patch = Patch::new(module);
    let weight = patch.add_constant(&weight_name, layer.weight);
    let bias = Some(patch.add_constant(&bias_name, layer.bias));
    let op = match layer.conv {
        Some(conv) => Op::Conv(Conv {
            weight,
            bias,
            ..conv
        }),
        None => Op::Gemm { weight, bias },
    };
    let origin: Origin = below.origin.merge(&node.origin);
    let new = patch.add(op, &[source], node.shape.clone(), node.range, origin);
    patch.replace(id, new);
    Some(patch)
}

/// The layer that stands for both.
struct Layer {
    weight: Tensor,
    bias: Tensor,
    /// The convolution whose windows stay; a Gemm where there is none.
    conv: Option<Conv>,
}

/// Names for the new weight and bias: the layer's own.
fn names(module: &Module, below: &Op, node: &Op) -> Option<(String, String)> {
    [below, node].into_iter().find_map(|op| match op {
        Op::Conv(Conv { weight, bias, .. }) | Op::Gemm { weight, bias } => {
            let name = module.constant(*weight)?.name.clone();
            let bias = match bias {
                Some(bias) => module.constant(*bias)?.name.clone(),
                None => format!("{name}.bias"),
            };
            Some((name, bias))
        }
        _ => None,
    })
}

/// Factor and summand of an operation along one axis of its operand: `(s, t)` in `s x + t`.
fn scaling(module: &Module, op: &Op, shape: &[usize], axis: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let size = *shape.get(axis)?;
    match op {
        Op::Affine { scale, shift } if axis == 1 => Some((
            module.tensor(*scale)?.data().to_vec(),
            module.tensor(*shift)?.data().to_vec(),
        )),
        Op::MulConst { value } => Some((
            along_axis(module.tensor(*value)?, shape, axis)?,
            vec![0.0; size],
        )),
        Op::AddConst { value } => Some((
            vec![1.0; size],
            along_axis(module.tensor(*value)?, shape, axis)?,
        )),
        _ => None,
    }
}

fn conv_then(module: &Module, conv: &Conv, below: &Node, node: &Node) -> Option<Layer> {
    let (s, t) = scaling(module, &node.op, &below.shape, 1)?;
    let mut weight = module.tensor(conv.weight)?.as_ref().clone();
    let run = weight.len() / s.len().max(1);
    for (row, factor) in weight.data_mut().chunks_mut(run.max(1)).zip(&s) {
        row.iter_mut().for_each(|w| *w *= factor);
    }
    let old = bias_or_zero(module, conv.bias, s.len())?;
    let bias = Tensor::from_vec(
        s.iter()
            .zip(&t)
            .zip(&old)
            .map(|((s, t), b)| s * b + t)
            .collect(),
    );
    Some(Layer {
        weight,
        bias,
        conv: Some(conv.clone()),
    })
}

fn then_conv(module: &Module, conv: &Conv, below: &Node) -> Option<Layer> {
    let (s, t) = scaling(module, &below.op, &below.shape, 1)?;
    if t.iter().any(|t| *t != 0.0) && conv.pads != [0; 4] {
        return None;
    }
    let mut weight = module.tensor(conv.weight)?.as_ref().clone();
    let [maps, per_group, kh, kw] = weight.shape()[..] else {
        return None;
    };
    let mut bias = bias_or_zero(module, conv.bias, maps)?;
    let maps_per_group = maps / conv.group.max(1);
    for (m, row) in weight
        .data_mut()
        .chunks_mut((per_group * kh * kw).max(1))
        .enumerate()
    {
        for (c, window) in row.chunks_mut((kh * kw).max(1)).enumerate() {
            let channel = m / maps_per_group.max(1) * per_group + c;
            let (s, t) = (*s.get(channel)?, *t.get(channel)?);
            *bias.get_mut(m)? += t * window.iter().sum::<f64>();
            window.iter_mut().for_each(|w| *w *= s);
        }
    }
    Some(Layer {
        weight,
        bias: Tensor::from_vec(bias),
        conv: Some(conv.clone()),
    })
}

fn gemm_then(
    module: &Module,
    weight: ConstId,
    bias: Option<ConstId>,
    below: &Node,
    node: &Node,
) -> Option<Layer> {
    let last = below.shape.len().checked_sub(1)?;
    let mut weight = module.tensor(weight)?.as_ref().clone();
    let old = match bias {
        Some(bias) => module.tensor(bias)?.as_ref().clone(),
        None => Tensor::filled(vec![*below.shape.get(last)?], 0.0)?,
    };
    // A sum needs no more than to broadcast, as a bias does.
    if let Op::AddConst { value } = &node.op {
        let value = module.tensor(*value)?;
        let bias = keeps_shape(value, &below.shape).then(|| zip(&old, value, |b, t| b + t))??;
        return Some(Layer {
            weight,
            bias,
            conv: None,
        });
    }
    let (s, t) = scaling(module, &node.op, &below.shape, last)?;
    let inner = *weight.shape().get(1)?;
    for (row, factor) in weight.data_mut().chunks_mut(inner.max(1)).zip(&s) {
        row.iter_mut().for_each(|w| *w *= factor);
    }
    let scaled = zip(&old, &Tensor::from_vec(s), |b, s| b * s)?;
    let bias = zip(&scaled, &Tensor::from_vec(t), |b, t| b + t)?;
    Some(Layer {
        weight,
        bias,
        conv: None,
    })
}

fn then_gemm(
    module: &Module,
    weight: ConstId,
    bias: Option<ConstId>,
    below: &Node,
) -> Option<Layer> {
    let last = below.shape.len().checked_sub(1)?;
    let (s, t) = scaling(module, &below.op, &below.shape, last)?;
    let mut weight = module.tensor(weight)?.as_ref().clone();
    let [out, inner] = weight.shape()[..] else {
        return None;
    };
    let mut shifts = Vec::with_capacity(out);
    for row in weight.data_mut().chunks_mut(inner.max(1)) {
        shifts.push(row.iter().zip(&t).map(|(w, t)| w * t).sum());
        row.iter_mut().zip(&s).for_each(|(w, s)| *w *= s);
    }
    let old = match bias {
        Some(bias) => module.tensor(bias)?.as_ref().clone(),
        None => Tensor::filled(vec![out], 0.0)?,
    };
    let bias = zip(&old, &Tensor::from_vec(shifts), |b, t| b + t)?;
    Some(Layer {
        weight,
        bias,
        conv: None,
    })
}

fn bias_or_zero(module: &Module, bias: Option<ConstId>, size: usize) -> Option<Vec<f64>> {
    match bias {
        Some(bias) => Some(module.tensor(bias)?.data().to_vec()),
        None => Some(vec![0.0; size]),
    }
}
