//! Small ONNX models, written by tests.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use cipherloom_compiler::onnx::{ImportError, import};
use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::{Tensor, Tensors};
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TypeProto, ValueInfoProto,
};

/// An attribute's value.
#[derive(Clone)]
pub(crate) enum A {
    I(i64),
    F(f32),
    S(&'static str),
    Is(Vec<i64>),
    Fs(Vec<f32>),
    Ss(Vec<&'static str>),
}

/// A node: operator (with its domain before a colon, if not ONNX's own), inputs, outputs, attributes.
pub(crate) fn node(op: &str, inputs: &str, outputs: &str, attributes: &[(&str, A)]) -> NodeProto {
    let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let (domain, op_type) = op.split_once(':').unwrap_or(("", op));
    NodeProto {
        op_type: op_type.to_owned(),
        domain: domain.to_owned(),
        input: names(inputs),
        output: names(outputs),
        attribute: attributes.iter().map(attribute).collect(),
        ..Default::default()
    }
}

fn attribute((name, value): &(&str, A)) -> AttributeProto {
    let mut a = AttributeProto {
        name: (*name).to_owned(),
        ..Default::default()
    };
    match value.clone() {
        A::I(i) => a.i = i,
        A::F(f) => a.f = f,
        A::S(s) => a.s = s.into(),
        A::Is(v) => a.ints = v,
        A::Fs(v) => a.floats = v,
        A::Ss(v) => a.strings = v.into_iter().map(Into::into).collect(),
    }
    a
}

/// A model with 32-bit floating-point inputs and initializers.
pub(crate) struct Model {
    pub(crate) opset: i64,
    pub(crate) nodes: Vec<NodeProto>,
    /// Names and shapes.
    pub(crate) inputs: Vec<(&'static str, Vec<i64>)>,
    pub(crate) constants: Vec<(&'static str, Vec<i64>, Vec<f32>)>,
    pub(crate) whole_constants: Vec<(&'static str, Vec<i64>, Vec<i64>)>,
    pub(crate) outputs: Vec<&'static str>,
}

impl Model {
    /// One node that reads `x`, its constants, and yields `y`.
    pub(crate) fn of(
        opset: i64,
        node: NodeProto,
        shape: &[i64],
        constants: Vec<(&'static str, Vec<i64>, Vec<f32>)>,
    ) -> Self {
        Self {
            opset,
            nodes: vec![node],
            inputs: vec![("x", shape.to_vec())],
            constants,
            whole_constants: vec![],
            outputs: vec!["y"],
        }
    }

    pub(crate) fn import(&self) -> Result<Module, ImportError> {
        import(&self.bytes(), None, "m", "m.onnx")
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let tensor = |name: &str, dims: &[i64], data_type| TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type,
            ..Default::default()
        };
        let floats = self.constants.iter().map(|(name, dims, data)| TensorProto {
            float_data: data.clone(),
            ..tensor(name, dims, 1)
        });
        let wholes = self
            .whole_constants
            .iter()
            .map(|(name, dims, data)| TensorProto {
                int64_data: data.clone(),
                ..tensor(name, dims, 7)
            });
        let graph = GraphProto {
            name: "g".into(),
            node: self.nodes.clone(),
            initializer: floats.chain(wholes).collect(),
            input: self.inputs.iter().map(|(n, s)| port(n, s)).collect(),
            output: self
                .outputs
                .iter()
                .map(|name| ValueInfoProto {
                    name: (*name).to_owned(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let version = |domain: &str, version| OperatorSetIdProto {
            domain: domain.to_owned(),
            version,
            ..Default::default()
        };
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![version("", self.opset), version("ai.onnx.ml", 3)],
            graph: Some(graph).into(),
            ..Default::default()
        };
        model.write_to_bytes().unwrap()
    }

    /// The outputs for one input `x`.
    pub(crate) fn run(&self, x: &[f64]) -> Tensors {
        let module = self.import().unwrap_or_else(|e| panic!("{e}"));
        let shape = self.inputs[0].1.iter().map(|d| *d as usize).collect();
        let inputs = [("x".to_owned(), Tensor::new(shape, x.to_vec()).unwrap())].into();
        eval(&module, &inputs).unwrap()
    }
}

fn port(name: &str, shape: &[i64]) -> ValueInfoProto {
    let mut kind = TypeProto::new();
    let tensor = kind.mut_tensor_type();
    tensor.elem_type = 1;
    tensor.shape.mut_or_insert_default().dim = shape
        .iter()
        .map(|size| Dimension {
            value: Some(dimension::Value::DimValue(*size)),
            ..Default::default()
        })
        .collect();
    ValueInfoProto {
        name: name.to_owned(),
        type_: Some(kind).into(),
        ..Default::default()
    }
}

/// Whether numbers are equal but for the rounding of constants to 32 bits.
pub(crate) fn assert_near(found: &Tensor, shape: &[usize], expected: &[f64], what: &str) {
    assert_eq!(found.shape(), shape, "{what}");
    for (a, b) in found.data().iter().zip(expected) {
        assert!(
            (a - b).abs() <= 1e-6 * (1.0 + b.abs()),
            "{what}: {:?} is not {expected:?}",
            found.data()
        );
    }
}
