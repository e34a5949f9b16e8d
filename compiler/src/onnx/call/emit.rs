//! What an operator adds to the module.

use super::super::clear::{Clear, Elem, MAX_COMPUTED_TOTAL, MAX_ELEMENTS};
use super::super::error::Refusal;
use super::super::selection::Selection;
use super::{Call, Encrypted, Value};
use cipherloom_ir::tensor::{ConstId, Constant, Node, Op, infer_shape};
use cipherloom_ir::{NodeId, Origin, Tensor};
use std::sync::Arc;

impl Call<'_> {
    /// Adds a constant to the module; equal ones of one name are shared.
    pub(crate) fn constant(&mut self, clear: &Clear) -> Result<ConstId, Refusal> {
        if let Some(bad) = clear.data().iter().find(|x| !x.is_finite()) {
            return Err(Refusal::new(format!("the constant {:?} contains {bad}", clear.name))
                .help("a weight that is not finite has no encrypted form; check the training and the export"));
        }
        let mut name = clear.name.clone();
        if let Some(id) = self.constants.ids.get(&name) {
            let same = |c: &Arc<Tensor>| Arc::ptr_eq(c, &clear.tensor) || *c == clear.tensor;
            if self.module.tensor(*id).is_some_and(same) {
                return Ok(*id);
            }
            // Another form of the same weight: the node's position tells them apart, and a count further ones.
            let Origin::Onnx { index, .. } = &self.origin else {
                return Err("a constant belongs to no node".into());
            };
            let base = format!("{name}.node{index}");
            name = base.clone();
            let mut count = 1;
            while self.constants.ids.contains_key(&name) {
                count += 1;
                name = format!("{base}.{count}");
            }
        }
        self.constants.elements += clear.data().len();
        if self.constants.elements > MAX_ELEMENTS {
            return Err(
                format!("the model's constants have more than {MAX_ELEMENTS} elements").into(),
            );
        }
        // The names are unique, so there is no need for the module to look for one that is free.
        let id = ConstId(self.module.constants.len() as u32);
        self.module.constants.push(Constant {
            name: name.clone(),
            tensor: clear.tensor.clone(),
        });
        self.constants.ids.insert(name, id);
        Ok(id)
    }

    /// Adds a constant of one element.
    pub(crate) fn scalar_constant(&mut self, name: &str, value: f64) -> Result<ConstId, Refusal> {
        let tensor = Tensor::filled(vec![], value).ok_or("a scalar has one element")?;
        self.constant(&Clear::new(name, Elem::F64, tensor))
    }

    /// Adds an operation; `declared` is the shape of a `Reshape`.
    pub(crate) fn emit(
        &mut self,
        op: Op,
        operands: &[&Encrypted],
        declared: &[usize],
    ) -> Result<Encrypted, Refusal> {
        let shapes: Vec<&[usize]> = operands.iter().map(|o| o.shape.as_slice()).collect();
        let shape = infer_shape(self.module, &op, &shapes, declared)?;
        if let Some(folding) = &mut self.folding {
            folding.count(self.module, &op, &shapes, &shape)?;
        }
        let ids: Vec<NodeId> = operands.iter().map(|o| o.node).collect();
        let node = Node {
            op,
            shape: shape.clone(),
            range: None,
            origin: self.origin.clone(),
        };
        let node = self
            .module
            .graph
            .add(node, &ids)
            .ok_or("an operand is not in the graph")?;
        let elem = operands.first().map_or(Elem::F32, |o| o.elem);
        Ok(Encrypted { node, shape, elem })
    }

    /// The value in another shape; itself where the shape is the same.
    pub(crate) fn reshape(&mut self, x: &Encrypted, shape: &[usize]) -> Result<Encrypted, Refusal> {
        if x.shape == shape {
            Ok(x.clone())
        } else {
            self.emit(Op::Reshape, &[x], shape)
        }
    }

    /// The value with its axes in another order; itself where the order is the same.
    pub(crate) fn transpose(
        &mut self,
        x: &Encrypted,
        perm: &[usize],
    ) -> Result<Encrypted, Refusal> {
        if perm.len() == x.shape.len() && perm.iter().enumerate().all(|(i, p)| i == *p) {
            return Ok(x.clone());
        }
        self.emit(
            Op::Transpose {
                perm: perm.to_vec(),
            },
            &[x],
            &[],
        )
    }

    /// Either kind of value in another shape.
    pub(crate) fn reshape_value(&mut self, x: &Value, shape: &[usize]) -> Result<Value, Refusal> {
        Ok(match x {
            Value::Encrypted(x) => Value::Encrypted(self.reshape(x, shape)?),
            Value::Clear(x) => Value::Clear(x.reshaped(shape)?),
        })
    }

    /// Either kind of value with its axes in another order.
    pub(crate) fn transpose_value(&mut self, x: &Value, perm: &[usize]) -> Result<Value, Refusal> {
        Ok(match x {
            Value::Encrypted(x) => Value::Encrypted(self.transpose(x, perm)?),
            Value::Clear(x) => Value::Clear(x.transposed(perm)?),
        })
    }

    /// The selected elements.
    pub(crate) fn take(&mut self, x: &Value, selection: Selection) -> Result<Value, Refusal> {
        match x {
            Value::Clear(x) => Ok(Value::Clear(selection.of(x)?)),
            Value::Encrypted(x) => Ok(Value::Encrypted(self.take_encrypted(x, selection)?)),
        }
    }

    /// The selected elements of an encrypted value.
    pub(crate) fn take_encrypted(
        &mut self,
        x: &Encrypted,
        selection: Selection,
    ) -> Result<Encrypted, Refusal> {
        if selection.is_identity(x.shape.iter().product()) {
            return self.reshape(x, selection.shape());
        }
        let index = selection
            .into_tensor()
            .ok_or("the positions do not fill the shape")?;
        self.constants.computed = self.constants.computed.saturating_add(index.len());
        if self.constants.computed > MAX_COMPUTED_TOTAL {
            return Err("the model moves too many elements".into());
        }
        let name = format!("{}.index", self.label());
        let index = self.constant(&Clear::new(&name, Elem::Int("i64"), index))?;
        self.emit(Op::Take { index }, &[x], &[])
    }
}
