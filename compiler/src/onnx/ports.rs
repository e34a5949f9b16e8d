//! What a model declares of itself: versions, and the types and shapes of its inputs and outputs.

use super::clear::Elem;
use super::error::{ModelFault, Refusal, Subject};
use super::{IR_VERSIONS, OPSETS, op};
use onnx_protobuf::tensor_shape_proto::dimension::Value as Size;
use onnx_protobuf::{ModelProto, NodeProto, ValueInfoProto};
use std::collections::BTreeSet;

/// A dimension as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dim {
    Known(i64),
    /// A symbol, or nothing.
    Open(String),
}

/// A declared tensor type; no shape where only the element type is known.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) elem: Result<Elem, String>,
    pub(super) shape: Option<Vec<Dim>>,
}

impl Declared {
    /// The declaration of a value, or `None` where it has no type or is no tensor.
    pub(super) fn of(info: &ValueInfoProto) -> Option<Self> {
        let declared = info
            .type_
            .as_ref()
            .filter(|t| t.has_tensor_type())?
            .tensor_type();
        let shape = declared.shape.as_ref().map(|shape| {
            let dim = |d: &onnx_protobuf::tensor_shape_proto::Dimension| match &d.value {
                Some(Size::DimValue(value)) => Dim::Known(*value),
                Some(Size::DimParam(name)) => Dim::Open(name.clone()),
                _ => Dim::Open(String::new()),
            };
            shape.dim.iter().map(dim).collect()
        });
        Some(Self {
            elem: Elem::from_onnx(declared.elem_type),
            shape,
        })
    }

    /// For people: `f32[N,784]`.
    pub(super) fn describe(&self) -> String {
        let elem = self.elem.as_ref().map_or("?".to_owned(), Elem::to_string);
        let Some(shape) = &self.shape else {
            return format!("{elem}[?]");
        };
        let dims: Vec<String> = shape
            .iter()
            .map(|d| match d {
                Dim::Known(value) => value.to_string(),
                Dim::Open(name) if name.is_empty() => "?".to_owned(),
                Dim::Open(name) => name.clone(),
            })
            .collect();
        format!("{elem}[{}]", dims.join(","))
    }
}

/// An input of the graph with a batch of 1.
pub(super) struct Port {
    pub(super) elem: Elem,
    pub(super) shape: Vec<usize>,
    /// Whether the first axis counts samples.
    pub(super) batched: bool,
}

/// The input that a declaration describes.
pub(super) fn input_port(info: &ValueInfoProto) -> Result<Port, Refusal> {
    let declared = Declared::of(info).ok_or("it is no tensor, or has no declared type")?;
    let elem = declared
        .elem
        .clone()
        .map_err(|what| format!("its element type is {what}"))?;
    let Some(dims) = &declared.shape else {
        return Err(
            Refusal::new("its shape is not declared").help("export with a fixed input shape")
        );
    };
    let mut shape = vec![];
    let mut batched = false;
    for (axis, dim) in dims.iter().enumerate() {
        match dim {
            Dim::Open(_) if axis == 0 => {
                batched = true;
                shape.push(1);
            }
            Dim::Open(_) => {
                return Err(Refusal::new(format!(
                    "axis {axis} of {} has no fixed size; only axis 0, the batch, may be open",
                    declared.describe()
                ))
                .help("export with a fixed size along all axes but the batch"));
            }
            Dim::Known(size) => {
                let size = usize::try_from(*size).ok().filter(|s| *s > 0);
                let size =
                    size.ok_or_else(|| format!("{} has a size below 1", declared.describe()))?;
                batched |= axis == 0 && size == 1;
                shape.push(size);
            }
        }
    }
    Ok(Port {
        elem,
        shape,
        batched,
    })
}

/// Compares a declared type with the inferred one.
pub(super) fn check_output(declared: &Declared, elem: Elem, shape: &[usize]) -> Result<(), String> {
    if let Ok(found) = declared.elem
        && found.is_float() != elem.is_float()
    {
        return Err(format!("it is declared as {found}, but is {elem}"));
    }
    let Some(dims) = &declared.shape else {
        return Ok(());
    };
    let fits = dims.len() == shape.len()
        && dims.iter().zip(shape).all(|(d, s)| match d {
            Dim::Known(value) => usize::try_from(*value) == Ok(*s),
            Dim::Open(_) => true,
        });
    if fits {
        Ok(())
    } else {
        Err(format!(
            "it is declared as {}, but the nodes yield {shape:?}",
            declared.describe()
        ))
    }
}

/// The version of ONNX's own operators; faults of the versions are added.
pub(super) fn versions(model: &ModelProto, faults: &mut Vec<ModelFault>) -> Option<i64> {
    let mut fault = |reason: String, help: Option<&str>| {
        faults.push(ModelFault {
            subject: Subject::Model,
            reason,
            help: help.map(str::to_owned),
        });
    };
    if !IR_VERSIONS.contains(&model.ir_version) {
        fault(
            format!(
                "its format has version {}; versions {} to {} are read",
                model.ir_version,
                IR_VERSIONS.start(),
                IR_VERSIONS.end()
            ),
            None,
        );
    }
    // Some exporters name the same version twice.
    let versions = |wanted: fn(&str) -> bool| -> Vec<i64> {
        let named = model.opset_import.iter().filter(|o| wanted(&o.domain));
        let named: BTreeSet<i64> = named.map(|o| o.version).collect();
        named.into_iter().collect()
    };
    let ml = versions(|domain| domain == op::ml::DOMAIN);
    if let Some(version) = ml.iter().find(|v| !op::ml::OPSETS.contains(v)) {
        fault(
            format!(
                "it uses version {version} of {}; versions {} to {} are read",
                op::ml::DOMAIN,
                op::ml::OPSETS.start(),
                op::ml::OPSETS.end()
            ),
            Some("export again with `target_opset={\"ai.onnx.ml\": 3}`"),
        );
    }
    // Converters of trees write nothing of ONNX's own operators, and no version of them.
    let foreign = |n: &NodeProto| n.domain == op::ml::DOMAIN;
    let needless = !ml.is_empty() && model.graph.node.iter().all(foreign);
    match versions(is_own_domain)[..] {
        [] if needless => Some(*OPSETS.end()),
        [] => {
            fault(
                "it does not say which version of ONNX's operators it uses (no opset_import)"
                    .into(),
                None,
            );
            None
        }
        [version] if OPSETS.contains(&version) => Some(version),
        [version] => {
            fault(
                format!(
                    "it uses opset {version}; opsets {} to {} are read",
                    OPSETS.start(),
                    OPSETS.end()
                ),
                Some(
                    "export again with `opset_version=17`, or convert with onnx.version_converter",
                ),
            );
            None
        }
        _ => {
            fault("it names several versions of ONNX's operators".into(), None);
            None
        }
    }
}

/// Whether a domain is that of ONNX's own operators.
pub(super) fn is_own_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}
