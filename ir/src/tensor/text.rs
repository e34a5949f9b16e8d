//! The text form of the `tensor` stage.
//!
//! ```text
//! module "mlp" · from "mlp.onnx, opset 17" · stage tensor
//!   shape            range                  | op
//!   [1,784]          [0.0, 1.0]             | %0 = input "image"       ; port "image"
//!   [1,10]           [-9.7, 11.2]           | %1 = gemm %0, @w, @b     ; node 0 Gemm "/fc/Gemm"
//! input "image" = %0 · f32 · batched
//! output "logits" = %1 · batched
//! const @w [10,784] blake3 …
//! const @b [10] = [0.5, …]
//! exact %1 [-9.700132, 11.2314]
//! ```
//!
//! The columns show three digits of a range; the lines `exact` give those that need more. Constants of more than 64
//! elements are named by their hash.

use super::{ConstId, Function, Module, Op};
use crate::graph::NodeId;
use crate::text::{self, INLINE};
use crate::value::{DType, Tensor};

/// The text of a module.
pub fn print(module: &Module) -> String {
    let mut out = format!(
        "module {} · from {} · stage tensor\n",
        text::quote(&module.name),
        text::quote(&module.source)
    );
    out.push_str(&format!("  {:<16} {:<22} | op\n", "shape", "range"));
    let mut exact = String::new();
    for id in module
        .graph
        .topological()
        .unwrap_or_else(|_| module.graph.ids())
    {
        let Some(node) = module.graph.get(id) else {
            continue;
        };
        let range = node.range.map_or_else(
            || "-".to_owned(),
            |range| {
                let (short, is_exact) = text::short_range(range);
                if !is_exact {
                    exact.push_str(&format!("exact {id} {}\n", text::range(range)));
                }
                short
            },
        );
        let left = format!("  {:<16} {range:<22}", text::shape(&node.shape));
        let op = format!(
            "{id} = {}",
            spell_op(module, &node.op, &module.graph.operands(id))
        );
        out.push_str(&text::row(&left, &op, &text::origin(&node.origin)));
    }
    let batched = |flag: bool| if flag { " · batched" } else { "" };
    for i in &module.inputs {
        let (name, dtype) = (text::quote(&i.name), i.dtype.name());
        out.push_str(&format!(
            "input {name} = {} · {dtype}{}{}\n",
            i.node,
            batched(i.batched),
            if i.clear { " · clear" } else { "" }
        ));
    }
    for o in &module.outputs {
        // An output without a type is f32.
        let dtype = match o.dtype {
            DType::F32 => String::new(),
            other => format!(" · {}", other.name()),
        };
        out.push_str(&format!(
            "output {} = {}{dtype}{}\n",
            text::quote(&o.name),
            o.node,
            batched(o.batched)
        ));
    }
    for c in &module.constants {
        out.push_str(&format!(
            "const {} {}\n",
            text::name(&c.name),
            spell_tensor(&c.tensor)
        ));
    }
    out + &exact
}

/// Shape and values of a tensor, the values by their hash if there are many.
pub(crate) fn spell_tensor(tensor: &Tensor) -> String {
    let shape = text::shape(tensor.shape());
    if tensor.len() > INLINE {
        return format!(
            "{shape} blake3 {}",
            text::quote(&text::hash_values(&[tensor.shape()], tensor.data()))
        );
    }
    format!("{shape} = {}", spell_numbers(tensor.data()))
}

/// `[0.5, 1e-7]`.
pub(crate) fn spell_numbers(values: &[f64]) -> String {
    let parts: Vec<String> = values.iter().map(|v| text::number(*v)).collect();
    format!("[{}]", parts.join(", "))
}

fn spell_op(module: &Module, op: &Op, operands: &[NodeId]) -> String {
    let mut parts: Vec<String> = operands.iter().map(ToString::to_string).collect();
    let constant = |id: &ConstId| {
        // A constant that does not exist has no name that reads back.
        module
            .constant(*id)
            .map_or_else(|| format!("@?{}", id.0), |c| text::name(&c.name))
    };
    parts.extend(op.constants().iter().map(constant));
    let mut args = parts.join(", ");
    let mut attribute = |word: &str, value: String| args.push_str(&format!(" {word} {value}"));
    match op {
        // An input has no operand, but a faulty graph may say otherwise, and its text must say so too.
        Op::Input { name } => args = format!("{} {args}", text::quote(name)),
        Op::Conv(c) => {
            attribute("strides", text::shape(&c.strides));
            attribute("pads", text::shape(&c.pads));
            if c.dilations != [1, 1] {
                attribute("dilations", text::shape(&c.dilations));
            }
            if c.group != 1 {
                attribute("group", c.group.to_string());
            }
        }
        Op::AveragePool(p) => {
            attribute("kernel", text::shape(&p.kernel));
            attribute("strides", text::shape(&p.strides));
            attribute("pads", text::shape(&p.pads));
            for (flag, word) in [
                (p.count_include_pad, "count_include_pad"),
                (p.ceil_mode, "ceil"),
            ] {
                if flag {
                    attribute(word, String::new());
                }
            }
        }
        Op::Pad {
            before,
            after,
            value,
        } => {
            attribute("before", text::shape(before));
            attribute("after", text::shape(after));
            attribute("value", text::number(*value));
        }
        Op::Transpose { perm } => attribute("perm", text::shape(perm)),
        Op::Power { exponent } => attribute("exponent", exponent.to_string()),
        Op::Polynomial { coefficients } => attribute("coefficients", spell_numbers(coefficients)),
        Op::Function(function) => {
            let names = Function::parameter_names(function.name()).unwrap_or_default();
            for (word, value) in names.iter().zip(function.parameters()) {
                attribute(word, text::number(value));
            }
        }
        Op::Approximation {
            function,
            domain,
            coefficients,
        } => {
            attribute("of", text::quote(function.name()));
            if !function.parameters().is_empty() {
                attribute("parameters", spell_numbers(&function.parameters()));
            }
            attribute("domain", text::range(*domain));
            attribute("coefficients", spell_numbers(coefficients));
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } | Op::Concat { axis } => {
            attribute("axis", axis.to_string());
        }
        Op::Reduce { axes, .. } => attribute("axes", text::shape(axes)),
        Op::MaxPool(p) => {
            attribute("kernel", text::shape(&p.kernel));
            attribute("strides", text::shape(&p.strides));
            attribute("pads", text::shape(&p.pads));
            if p.dilations != [1, 1] {
                attribute("dilations", text::shape(&p.dilations));
            }
            if p.ceil_mode {
                attribute("ceil", String::new());
            }
        }
        Op::ArgMax { axis, last, .. } => {
            attribute("axis", axis.to_string());
            if *last {
                attribute("last", String::new());
            }
        }
        Op::TopK {
            axis,
            k,
            smallest,
            values,
        } => {
            attribute("axis", axis.to_string());
            attribute("k", k.to_string());
            for (word, given) in [("smallest", smallest), ("values", values)] {
                if *given {
                    attribute(word, String::new());
                }
            }
        }
        _ => {}
    }
    format!("{} {args}", op.name()).trim_end().to_owned()
}

#[cfg(test)]
#[path = "text_tests.rs"]
pub(crate) mod tests;
