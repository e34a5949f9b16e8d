//! Nodes that read constants alone: computed now, by the clear interpreter.
//!
//! The operator's importer runs once more, on a module of the node's own in which the constants are inputs. So
//! every operator that can be imported can also be computed, by the same code.

use super::call::{Call, Constants, Outputs, Value};
use super::clear::Clear;
use super::error::Refusal;
use cipherloom_ir::tensor::{MaxPool, Module, Node, Op, Output, Pool, eval, infer_shape};
use cipherloom_ir::value::{DType, element_count};
use cipherloom_ir::{NodeId, Origin, Tensor, Tensors};
use onnx_protobuf::NodeProto;
use std::path::Path;

/// Multiplications that computing a model's constants may take, at most: about a second.
const MAX_WORK: usize = 1 << 30;

/// What computing constants has cost so far.
#[derive(Debug, Default)]
pub(crate) struct Spent(usize);

/// The constants of a node that is computed now.
#[derive(Debug, Default)]
pub(crate) struct Folding {
    inputs: Tensors,
    work: usize,
}

impl Folding {
    /// Adds a constant to the module as an input.
    pub(crate) fn lift(
        &mut self,
        module: &mut Module,
        clear: &Clear,
        origin: &Origin,
    ) -> Result<NodeId, Refusal> {
        let name = self.inputs.len().to_string();
        let op = Op::Input { name: name.clone() };
        let shape = infer_shape(module, &op, &[], clear.shape())?;
        let node = Node {
            op,
            shape,
            range: None,
            origin: origin.clone(),
        };
        let node = module.graph.add(node, &[]).ok_or("the graph is full")?;
        let tensor: &Tensor = &clear.tensor;
        self.inputs.insert(name, tensor.clone());
        Ok(node)
    }

    /// Counts an operation that will be evaluated.
    pub(crate) fn count(
        &mut self,
        module: &Module,
        op: &Op,
        operands: &[&[usize]],
        shape: &[usize],
    ) -> Result<(), Refusal> {
        super::clear::computed_count(shape)?;
        self.work = self.work.saturating_add(work(module, op, operands, shape));
        if self.work > MAX_WORK {
            return Err("computing this constant would take too long".into());
        }
        Ok(())
    }
}

/// Multiplications of an operation, about.
fn work(module: &Module, op: &Op, operands: &[&[usize]], shape: &[usize]) -> usize {
    let results = element_count(shape).unwrap_or(usize::MAX);
    let constant = |id| module.tensor(id).map_or(1, |t| t.shape().iter().product());
    let each = match op {
        Op::Gemm { .. } | Op::MatMul => operands.first().and_then(|x| x.last()).copied(),
        Op::ConstMatMul { weight } => module
            .tensor(*weight)
            .and_then(|w| w.shape().last().copied()),
        Op::Conv(conv) => Some(constant(conv.weight) / shape.get(1).copied().unwrap_or(1).max(1)),
        Op::AveragePool(Pool { kernel, .. }) | Op::MaxPool(MaxPool { kernel, .. }) => {
            Some(kernel[0].saturating_mul(kernel[1]))
        }
        _ => None,
    };
    let read: usize = operands
        .iter()
        .map(|x| element_count(x).unwrap_or(usize::MAX))
        .fold(0, usize::saturating_add);
    results
        .saturating_mul(each.unwrap_or(1).max(1))
        .saturating_add(read)
}

/// Whether all that a node reads is known.
pub(crate) fn is_clear(inputs: &[Option<Value>]) -> bool {
    inputs
        .iter()
        .flatten()
        .all(|v| matches!(v, Value::Clear(_)))
        && inputs.iter().any(Option::is_some)
}

/// The outputs of a node that reads constants alone.
pub(crate) fn fold(
    import: fn(&mut Call<'_>) -> Outputs,
    opset: i64,
    node: &NodeProto,
    inputs: Vec<Option<Value>>,
    (origin, dir): (Origin, Option<&Path>),
    spent: &mut Spent,
) -> Outputs {
    let (mut module, mut constants) = (Module::default(), Constants::default());
    let mut call = Call::new(
        opset,
        node,
        inputs,
        (&mut module, &mut constants),
        origin,
        dir,
    );
    call.folding = Some(Folding {
        inputs: Tensors::new(),
        work: spent.0,
    });
    let values = import(&mut call)?;
    call.finish()?;
    let folding = call.folding.take().unwrap_or_default();
    spent.0 = folding.work;
    for (position, value) in values.iter().enumerate() {
        if let Value::Encrypted(x) = value {
            module.outputs.push(Output {
                name: position.to_string(),
                node: x.node,
                dtype: DType::F64,
                batched: false,
            });
        }
    }
    module.prune();
    let mut computed = eval(&module, &folding.inputs).map_err(|e| e.to_string())?;
    let outputs = values.into_iter().enumerate().map(|(position, value)| {
        let x = match value {
            Value::Clear(clear) => return Ok(Value::Clear(clear)),
            Value::Encrypted(x) => x,
        };
        let tensor = computed
            .remove(&position.to_string())
            .ok_or("an output was not computed")?;
        let name = node.output.get(position).cloned().unwrap_or_default();
        let clear = Clear::new(&name, x.elem, tensor);
        Ok(Value::Clear(clear.map(|v| x.elem.round(v))))
    });
    outputs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::clear::Elem;
    use crate::onnx::op;
    use onnx_protobuf::AttributeProto;

    fn constant(shape: &[usize], data: &[f64]) -> Option<Value> {
        let tensor = Tensor::new(shape.to_vec(), data.to_vec()).unwrap();
        Some(Value::Clear(Clear::new("c", Elem::F32, tensor)))
    }

    fn run(op_type: &str, attribute: Vec<AttributeProto>, inputs: Vec<Option<Value>>) -> Outputs {
        let node = NodeProto {
            op_type: op_type.into(),
            output: vec!["y".into()],
            attribute,
            ..Default::default()
        };
        let import = op::find("", op_type).unwrap().import;
        assert!(is_clear(&inputs));
        let origin = Origin::Port("y".into());
        fold(
            import,
            17,
            &node,
            inputs,
            (origin, None),
            &mut Spent::default(),
        )
    }

    #[test]
    fn products_of_constants_are_computed() {
        let (a, b) = (
            constant(&[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            constant(&[2, 1], &[10.0, 100.0]),
        );
        let values = run("MatMul", vec![], vec![a, b]).unwrap();
        let [Value::Clear(y)] = &values[..] else {
            panic!("{values:?}")
        };
        assert_eq!((y.shape(), y.data()), (&[2, 1][..], &[210.0, 430.0][..]));
        assert_eq!((y.name.as_str(), y.elem), ("y", Elem::F32));
    }

    #[test]
    fn work_is_bounded() {
        let wide = || constant(&[2048, 2048], &vec![0.0; 1 << 22]);
        let refusal = run("MatMul", vec![], vec![wide(), wide()]).unwrap_err();
        assert!(refusal.reason.contains("too long"), "{refusal:?}");
    }

    #[test]
    fn unknown_attributes_are_refused() {
        let attribute = AttributeProto {
            name: "odd".into(),
            ..Default::default()
        };
        let x = || constant(&[1, 1], &[1.0]);
        let refusal = run("MatMul", vec![attribute], vec![x(), x()]).unwrap_err();
        assert!(refusal.reason.contains("odd"), "{refusal:?}");
    }
}
