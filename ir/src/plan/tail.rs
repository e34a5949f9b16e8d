//! What is left of a network for the client: the part behind the encrypted outputs, in clear.
//!
//! A tail is a module of the `tensor` stage. Its inputs are the plan's encrypted outputs, by name and shape; its
//! outputs are the model's. It holds no weights, only what every client may know: the order of elements, tables of
//! class labels, single numbers.

use super::PlanPort;
use crate::tensor::{self, Module, Op};
use crate::value::{DType, element_count};

/// The most operations of a tail.
pub const MAX_TAIL_OPERATIONS: usize = 4096;
/// The most elements of all values of a tail together, 128 MiB of `f64`: a tail is made for small outputs, and a plan
/// is a file that may say anything.
pub const MAX_TAIL_ELEMENTS: usize = 1 << 24;

/// What a user gets: an output of the model, finished in clear where the plan has a tail.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultPort {
    /// The name in the model.
    pub name: String,
    /// The tensor's shape, batch axis included (1).
    pub shape: Vec<usize>,
    /// The declared element type.
    pub dtype: DType,
    /// Whether axis 0 counts samples.
    pub batched: bool,
}

/// The encrypted outputs, as users get them where there is no tail.
pub(super) fn plain(outputs: &[PlanPort]) -> Vec<ResultPort> {
    let plain = |port: &PlanPort| ResultPort {
        name: port.name.clone(),
        shape: port.shape.clone(),
        dtype: port.dtype,
        batched: port.batched,
    };
    outputs.iter().map(plain).collect()
}

/// The names and shapes of the encrypted outputs.
pub(super) fn shapes(outputs: &[PlanPort]) -> Vec<(&str, &[usize])> {
    outputs
        .iter()
        .map(|p| (p.name.as_str(), p.shape.as_slice()))
        .collect()
}

/// The model's outputs: those of the tail, or the encrypted ones where there is none.
pub(crate) fn results(outputs: Vec<ResultPort>, tail: Option<&Module>) -> Vec<ResultPort> {
    let Some(tail) = tail else {
        return outputs;
    };
    let result = |output: &tensor::Output| ResultPort {
        name: output.name.clone(),
        shape: tail
            .graph
            .get(output.node)
            .map(|n| n.shape.clone())
            .unwrap_or_default(),
        dtype: output.dtype,
        batched: output.batched,
    };
    tail.outputs.iter().map(result).collect()
}

/// Whether the client may be asked to compute an operation: none that multiplies with weights.
pub fn may_finish(op: &Op) -> bool {
    !matches!(
        op,
        Op::Conv(_)
            | Op::Gemm { .. }
            | Op::ConstMatMul { .. }
            | Op::MatMul
            | Op::Affine { .. }
            | Op::Approximation { .. }
    )
}

/// Faults of a tail: of the module, of its size, and of its inputs beside the encrypted outputs.
pub(crate) fn faults(tail: &Module, outputs: &[(&str, &[usize])]) -> Vec<String> {
    let mut faults: Vec<String> = tensor::verify(tail)
        .iter()
        .map(ToString::to_string)
        .collect();
    if tail.graph.len() > MAX_TAIL_OPERATIONS {
        faults.push(format!(
            "{} operations are more than {MAX_TAIL_OPERATIONS}",
            tail.graph.len()
        ));
    }
    let (mut elements, mut refused) = (0_usize, None);
    for id in tail.graph.ids() {
        let Some(node) = tail.graph.get(id) else {
            continue;
        };
        elements = elements.saturating_add(element_count(&node.shape).unwrap_or(usize::MAX));
        if !may_finish(&node.op) {
            refused = Some(node.op.name());
        }
    }
    if elements > MAX_TAIL_ELEMENTS {
        faults.push(format!(
            "its values have {elements} elements, more than {MAX_TAIL_ELEMENTS}"
        ));
    }
    if let Some(name) = refused {
        faults.push(format!("{name} is no operation for a client"));
    }
    if tail.inputs.len() != outputs.len() {
        faults.push(format!(
            "{} inputs for {} encrypted outputs",
            tail.inputs.len(),
            outputs.len()
        ));
    }
    for input in &tail.inputs {
        let port = outputs.iter().find(|(name, _)| *name == input.name);
        let node = tail.graph.get(input.node);
        if port.map(|(_, shape)| *shape) != node.map(|n| n.shape.as_slice()) {
            faults.push(format!(
                "no encrypted output has the name and shape of its input {:?}",
                input.name
            ));
        }
    }
    faults
}
