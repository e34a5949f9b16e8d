//! The clear network inside a plan file.

use super::PlanError;
use super::proto;
use super::sections::{Reader, Writer, shape, size};
use crate::graph::NodeId;
use crate::origin::Origin;
use crate::tensor::read::reduction;
use crate::tensor::{
    Comparison, ConstId, Constant, Conv, Function, Input, MaxPool, Module, Node, Op, Output, Pool,
};
use crate::value::{DType, Range, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

fn bad(what: impl Into<String>) -> PlanError {
    PlanError::Malformed(what.into())
}

/// The message of a module.
pub(crate) fn encode(module: &Module, writer: &mut Writer) -> proto::Module {
    let order = module
        .graph
        .topological()
        .unwrap_or_else(|_| module.graph.ids());
    let numbers: BTreeMap<NodeId, u32> = order
        .iter()
        .enumerate()
        .map(|(i, id)| (*id, i as u32))
        .collect();
    // A node that is not in the graph gets a number that a reader refuses.
    let number = |id: NodeId| numbers.get(&id).copied().unwrap_or(u32::MAX);
    let nodes = order.iter().filter_map(|id| {
        let node = module.graph.get(*id)?;
        Some(encode_node(
            node,
            module.graph.operands(*id).into_iter().map(number).collect(),
        ))
    });
    proto::Module {
        name: module.name.clone(),
        source: module.source.clone(),
        nodes: nodes.collect(),
        constants: module
            .constants
            .iter()
            .map(|c| proto::Constant {
                name: c.name.clone(),
                shape: c.tensor.shape().iter().map(|d| *d as u64).collect(),
                values: Some(writer.array(c.tensor.data())),
            })
            .collect(),
        inputs: module
            .inputs
            .iter()
            .map(|i| proto::ModulePort {
                name: i.name.clone(),
                node: number(i.node),
                dtype: i.dtype.number(),
                batched: i.batched,
                clear: i.clear,
            })
            .collect(),
        outputs: module
            .outputs
            .iter()
            .map(|o| proto::ModulePort {
                name: o.name.clone(),
                node: number(o.node),
                dtype: o.dtype.number(),
                batched: o.batched,
                clear: false,
            })
            .collect(),
    }
}

fn encode_node(node: &Node, operands: Vec<u32>) -> proto::Node {
    let mut op = node.op.clone();
    let constants = op.constants_mut().into_iter().map(|c| c.0).collect();
    let (mut integers, mut reals, mut name) = (Vec::new(), Vec::new(), String::new());
    let mut whole = |numbers: &[usize]| integers.extend(numbers.iter().map(|n| *n as u64));
    match &node.op {
        Op::Input { name: given } => name.clone_from(given),
        Op::Conv(c) => {
            whole(&c.strides);
            whole(&c.dilations);
            whole(&c.pads);
            whole(&[c.group]);
        }
        Op::AveragePool(p) => {
            whole(&p.kernel);
            whole(&p.strides);
            whole(&p.pads);
            whole(&[usize::from(p.count_include_pad), usize::from(p.ceil_mode)]);
        }
        Op::Pad {
            before,
            after,
            value,
        } => {
            whole(before);
            whole(after);
            reals.push(*value);
        }
        Op::Transpose { perm } => whole(perm),
        Op::Power { exponent } => whole(&[*exponent as usize]),
        Op::Polynomial { coefficients } => reals.clone_from(coefficients),
        Op::Function(function) => reals = function.parameters(),
        Op::Approximation {
            function,
            domain,
            coefficients,
        } => {
            name = function.name().to_owned();
            reals = function.parameters();
            whole(&[reals.len()]);
            reals.extend([domain.lo, domain.hi]);
            reals.extend(coefficients);
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } | Op::Concat { axis } => whole(&[*axis]),
        Op::Reduce { axes, .. } => whole(axes),
        Op::MaxPool(p) => {
            whole(&p.kernel);
            whole(&p.strides);
            whole(&p.dilations);
            whole(&p.pads);
            whole(&[usize::from(p.ceil_mode)]);
        }
        Op::ArgMax { axis, last, .. } => whole(&[*axis, usize::from(*last)]),
        Op::TopK {
            axis,
            k,
            smallest,
            values,
        } => whole(&[*axis, *k, usize::from(*smallest), usize::from(*values)]),
        _ => {}
    }
    proto::Node {
        operands,
        shape: node.shape.iter().map(|d| *d as u64).collect(),
        range: node.range.map(|r| proto::Interval { lo: r.lo, hi: r.hi }),
        origin: encode_origin(&node.origin),
        op: node.op.name().to_owned(),
        name,
        constants,
        integers,
        reals,
    }
}

fn encode_origin(origin: &Origin) -> Vec<proto::Origin> {
    let part = |kind: u32, index: usize, name: &str, op: &str| {
        vec![proto::Origin {
            kind,
            index: index as u64,
            name: name.to_owned(),
            op: op.to_owned(),
        }]
    };
    match origin {
        Origin::Onnx { index, name, op } => part(1, *index, name, op),
        Origin::Port(name) => part(2, 0, name, ""),
        Origin::Text(line) => part(3, *line, "", ""),
        Origin::Source(place) => part(5, 0, place, ""),
        Origin::Pass(name) => part(4, 0, name, ""),
        Origin::Merged(parts) => parts.iter().flat_map(encode_origin).collect(),
    }
}

fn decode_origin(parts: Vec<proto::Origin>) -> Result<Origin, PlanError> {
    let decoded: Result<Vec<_>, _> = parts
        .into_iter()
        .map(|part| {
            Ok(match part.kind {
                1 => Origin::Onnx {
                    index: size(part.index)?,
                    name: part.name,
                    op: part.op,
                },
                2 => Origin::Port(part.name),
                3 => Origin::Text(size(part.index)?),
                4 => Origin::Pass(part.name.into()),
                5 => Origin::Source(part.name),
                kind => return Err(bad(format!("origin of kind {kind}"))),
            })
        })
        .collect();
    Ok(match <[Origin; 1]>::try_from(decoded?) {
        Ok([only]) => only,
        Err(parts) => Origin::Merged(parts),
    })
}

/// The module of a message; [`crate::tensor::verify`] has not seen it yet.
pub(crate) fn decode(message: proto::Module, reader: &mut Reader<'_>) -> Result<Module, PlanError> {
    let mut module = Module {
        name: message.name,
        source: message.source,
        ..Module::default()
    };
    for constant in message.constants {
        let values = reader.array(constant.values)?;
        let tensor = Tensor::new(shape(&constant.shape)?, values).ok_or_else(|| {
            bad(format!(
                "constant @{} does not fill its shape",
                constant.name
            ))
        })?;
        module.constants.push(Constant {
            name: constant.name,
            tensor: Arc::new(tensor),
        });
    }
    for mut node in message.nodes {
        let operands: Vec<_> = std::mem::take(&mut node.operands)
            .into_iter()
            .map(|o| NodeId::new(o as usize))
            .collect();
        let node = Node {
            shape: shape(&node.shape)?,
            range: node.range.map(|r| Range { lo: r.lo, hi: r.hi }),
            origin: decode_origin(std::mem::take(&mut node.origin))?,
            op: decode_op(node)?,
        };
        module
            .graph
            .add(node, &operands)
            .ok_or_else(|| bad("a node of the clear network uses a later one"))?;
    }
    for port in message.inputs {
        let node = NodeId::new(port.node as usize);
        module.inputs.push(Input {
            name: port.name,
            node,
            dtype: dtype(port.dtype)?,
            batched: port.batched,
            clear: port.clear,
        });
    }
    for port in message.outputs {
        let node = NodeId::new(port.node as usize);
        module.outputs.push(Output {
            name: port.name,
            node,
            dtype: dtype(port.dtype)?,
            batched: port.batched,
        });
    }
    Ok(module)
}

/// The element type of a number.
pub(crate) fn dtype(number: u32) -> Result<DType, PlanError> {
    DType::from_number(number).ok_or_else(|| bad(format!("there is no element type {number}")))
}

fn decode_op(node: proto::Node) -> Result<Op, PlanError> {
    let wrong = || {
        bad(format!(
            "operation {:?} of the clear network has wrong fields",
            node.op
        ))
    };
    let integers = shape(&node.integers)?;
    let constants: Vec<ConstId> = node.constants.iter().map(|c| ConstId(*c)).collect();
    let one = || match constants[..] {
        [only] => Ok(only),
        _ => Err(wrong()),
    };
    let weight_and_bias = || match constants[..] {
        [weight] => Ok((weight, None)),
        [weight, bias] => Ok((weight, Some(bias))),
        _ => Err(wrong()),
    };
    let flag = |value: usize| match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(wrong()),
    };
    Ok(match (node.op.as_str(), &integers[..]) {
        ("input", []) => Op::Input { name: node.name },
        ("conv", &[s0, s1, d0, d1, p0, p1, p2, p3, group]) => {
            let (weight, bias) = weight_and_bias()?;
            Op::Conv(Conv {
                weight,
                bias,
                strides: [s0, s1],
                dilations: [d0, d1],
                pads: [p0, p1, p2, p3],
                group,
            })
        }
        ("gemm", []) => {
            let (weight, bias) = weight_and_bias()?;
            Op::Gemm { weight, bias }
        }
        ("const_matmul", []) => Op::ConstMatMul { weight: one()? },
        ("matmul", []) => Op::MatMul,
        ("affine", []) => match constants[..] {
            [scale, shift] => Op::Affine { scale, shift },
            _ => return Err(wrong()),
        },
        ("average_pool", &[k0, k1, s0, s1, p0, p1, p2, p3, include, ceil]) => {
            Op::AveragePool(Pool {
                kernel: [k0, k1],
                strides: [s0, s1],
                pads: [p0, p1, p2, p3],
                count_include_pad: flag(include)?,
                ceil_mode: flag(ceil)?,
            })
        }
        ("pad", pads) => match node.reals[..] {
            [value] if pads.len() % 2 == 0 => {
                let (before, after) = pads.split_at(pads.len() / 2);
                Op::Pad {
                    before: before.to_vec(),
                    after: after.to_vec(),
                    value,
                }
            }
            _ => return Err(wrong()),
        },
        ("reshape", []) => Op::Reshape,
        ("transpose", perm) => Op::Transpose {
            perm: perm.to_vec(),
        },
        ("add", []) => Op::Add,
        ("sub", []) => Op::Sub,
        ("mul", []) => Op::Mul,
        ("add_const", []) => Op::AddConst { value: one()? },
        ("mul_const", []) => Op::MulConst { value: one()? },
        ("power", &[exponent]) => Op::Power {
            exponent: u32::try_from(exponent).map_err(|_| wrong())?,
        },
        ("polynomial", []) => Op::Polynomial {
            coefficients: node.reals,
        },
        ("approximation", &[count]) => {
            let (parameters, rest) = node.reals.split_at_checked(count).ok_or_else(wrong)?;
            let [lo, hi, coefficients @ ..] = rest else {
                return Err(wrong());
            };
            Op::Approximation {
                function: Function::new(&node.name, parameters).ok_or_else(wrong)?,
                domain: Range { lo: *lo, hi: *hi },
                coefficients: coefficients.to_vec(),
            }
        }
        ("softmax", &[axis]) => Op::Softmax { axis },
        ("log_softmax", &[axis]) => Op::LogSoftmax { axis },
        ("concat", &[axis]) => Op::Concat { axis },
        ("take", []) => Op::Take { index: one()? },
        ("lookup", []) => Op::Lookup { table: one()? },
        ("div", []) => Op::Div,
        ("max", []) => Op::Max,
        ("min", []) => Op::Min,
        ("greater", []) => Op::Compare(Comparison::Greater),
        ("greater_or_equal", []) => Op::Compare(Comparison::GreaterOrEqual),
        ("equal", []) => Op::Compare(Comparison::Equal),
        ("where", []) => Op::Where,
        ("max_pool", &[k0, k1, s0, s1, d0, d1, p0, p1, p2, p3, ceil]) => Op::MaxPool(MaxPool {
            kernel: [k0, k1],
            strides: [s0, s1],
            dilations: [d0, d1],
            pads: [p0, p1, p2, p3],
            ceil_mode: flag(ceil)?,
        }),
        (word @ ("arg_max" | "arg_min"), &[axis, last]) => Op::ArgMax {
            axis,
            smallest: word == "arg_min",
            last: flag(last)?,
        },
        ("top_k", &[axis, k, smallest, values]) => Op::TopK {
            axis,
            k,
            smallest: flag(smallest)?,
            values: flag(values)?,
        },
        (word, numbers) => match reduction(word) {
            Some(kind) => Op::Reduce {
                kind,
                axes: numbers.to_vec(),
            },
            None if numbers.is_empty() => {
                Op::Function(Function::new(word, &node.reals).ok_or_else(wrong)?)
            }
            None => return Err(wrong()),
        },
    })
}
