//! What an operator's importer sees: its attributes, its inputs, and the module under construction.

use super::clear::{Clear, Elem, MAX_COMPUTED_TOTAL, MAX_ELEMENTS, MAX_RANK};
use super::error::Refusal;
use super::fold::Folding;
use super::selection::Selection;
use super::tensor;
use cipherloom_ir::tensor::{ConstId, Constant, Module, Node, Op, infer_shape};
use cipherloom_ir::{NodeId, Origin, Tensor};
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::{AttributeProto, GraphProto, NodeProto};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The largest size or count that an attribute may state.
const MAX_ATTRIBUTE: i64 = 1 << 24;

/// An encrypted value: the node that yields it.
#[derive(Clone, Debug)]
pub(crate) struct Encrypted {
    pub(crate) node: NodeId,
    pub(crate) shape: Vec<usize>,
    pub(crate) elem: Elem,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// It depends on an input of the model.
    Encrypted(Encrypted),
    /// It is known now.
    Clear(Clear),
}

impl Value {
    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Value::Encrypted(x) => &x.shape,
            Value::Clear(x) => x.shape(),
        }
    }

    pub(crate) fn elem(&self) -> Elem {
        match self {
            Value::Encrypted(x) => x.elem,
            Value::Clear(x) => x.elem,
        }
    }
}

/// The result of importing a node: the values of its outputs, in order.
pub(crate) type Outputs = Result<Vec<Value>, Refusal>;

/// The constants that the module has so far.
#[derive(Debug, Default)]
pub(crate) struct Constants {
    ids: BTreeMap<String, ConstId>,
    /// Elements of all of them.
    elements: usize,
    /// Elements of those that say which elements of a value are taken.
    computed: usize,
}

/// One node, to be imported.
pub(crate) struct Call<'a> {
    /// The version of ONNX's operators that the model uses.
    pub(crate) opset: i64,
    pub(crate) node: &'a NodeProto,
    pub(crate) inputs: Vec<Option<Value>>,
    pub(crate) module: &'a mut Module,
    pub(crate) constants: &'a mut Constants,
    pub(crate) origin: Origin,
    pub(crate) dir: Option<&'a Path>,
    /// Set while a node that reads constants alone is computed: they are inputs of the module then.
    pub(crate) folding: Option<Folding>,
    seen: BTreeSet<&'static str>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        opset: i64,
        node: &'a NodeProto,
        inputs: Vec<Option<Value>>,
        (module, constants): (&'a mut Module, &'a mut Constants),
        origin: Origin,
        dir: Option<&'a Path>,
    ) -> Self {
        Self {
            opset,
            node,
            inputs,
            module,
            constants,
            origin,
            dir,
            folding: None,
            seen: BTreeSet::new(),
        }
    }

    /// The node's name, for the constants that it makes.
    pub(crate) fn label(&self) -> &str {
        match &self.origin {
            Origin::Onnx { name, .. } => name,
            _ => "computed",
        }
    }

    /// An attribute of the given type.
    fn attribute(
        &mut self,
        name: &'static str,
        expected: AttributeType,
    ) -> Result<Option<&'a AttributeProto>, Refusal> {
        self.seen.insert(name);
        let mut found = self.node.attribute.iter().filter(|a| a.name == name);
        let Some(attribute) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(format!("attribute {name:?} is given twice").into());
        }
        if !attribute.ref_attr_name.is_empty() {
            return Err(format!("attribute {name:?} refers to a function's attribute").into());
        }
        match attribute.type_.enum_value() {
            Ok(AttributeType::UNDEFINED) => Ok(Some(attribute)),
            Ok(found) if found == expected => Ok(Some(attribute)),
            found => {
                let found = found.map_or_else(|number| number.to_string(), |t| format!("{t:?}"));
                Err(format!("attribute {name:?} must be of type {expected:?}, not {found}").into())
            }
        }
    }

    /// Whether an attribute is present.
    pub(crate) fn has(&mut self, name: &'static str) -> bool {
        self.seen.insert(name);
        self.node.attribute.iter().any(|a| a.name == name)
    }

    pub(crate) fn int(&mut self, name: &'static str, default: i64) -> Result<i64, Refusal> {
        Ok(self
            .attribute(name, AttributeType::INT)?
            .map_or(default, |a| a.i))
    }

    /// An attribute that is 0 or 1.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, Refusal> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("attribute {name:?} must be 0 or 1, not {other}").into()),
        }
    }

    pub(crate) fn float(&mut self, name: &'static str, default: f32) -> Result<f64, Refusal> {
        let value = self
            .attribute(name, AttributeType::FLOAT)?
            .map_or(default, |a| a.f);
        if value.is_finite() {
            Ok(f64::from(value))
        } else {
            Err(format!("attribute {name:?} is {value}").into())
        }
    }

    pub(crate) fn floats(&mut self, name: &'static str) -> Result<Option<Vec<f64>>, Refusal> {
        Ok(self
            .attribute(name, AttributeType::FLOATS)?
            .map(|a| a.floats.iter().map(|x| f64::from(*x)).collect()))
    }

    pub(crate) fn ints(&mut self, name: &'static str) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(self
            .attribute(name, AttributeType::INTS)?
            .map(|a| a.ints.clone()))
    }

    /// Sizes of the given number of axes, each at least `least`.
    pub(crate) fn sizes(
        &mut self,
        name: &'static str,
        count: usize,
        least: i64,
    ) -> Result<Option<Vec<usize>>, Refusal> {
        let Some(values) = self.ints(name)? else {
            return Ok(None);
        };
        if values.len() != count {
            return Err(format!(
                "attribute {name:?} has {} numbers, not {count}",
                values.len()
            )
            .into());
        }
        match values
            .iter()
            .find(|v| !(least..=MAX_ATTRIBUTE).contains(*v))
        {
            Some(bad) => Err(format!(
                "attribute {name:?} holds {bad}, which is not between {least} and 2^24"
            )
            .into()),
            None => Ok(Some(values.iter().map(|v| *v as usize).collect())),
        }
    }

    pub(crate) fn string(&mut self, name: &'static str, default: &str) -> Result<String, Refusal> {
        match self.attribute(name, AttributeType::STRING)? {
            None => Ok(default.to_owned()),
            Some(a) => String::from_utf8(a.s.clone())
                .map_err(|_| format!("attribute {name:?} is no text").into()),
        }
    }

    pub(crate) fn strings(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(attribute) = self.attribute(name, AttributeType::STRINGS)? else {
            return Ok(None);
        };
        let texts = attribute
            .strings
            .iter()
            .map(|s| String::from_utf8(s.clone()));
        texts
            .collect::<Result<_, _>>()
            .map(Some)
            .map_err(|_| format!("attribute {name:?} is no text").into())
    }

    pub(crate) fn tensor(&mut self, name: &'static str) -> Result<Option<Clear>, Refusal> {
        let dir = self.dir;
        self.attribute(name, AttributeType::TENSOR)?
            .map(|a| {
                tensor::decode(a.t.get_or_default(), dir)
                    .map_err(|e| format!("attribute {name:?}: {e}").into())
            })
            .transpose()
    }

    pub(crate) fn graph(&mut self, name: &'static str) -> Result<Option<&'a GraphProto>, Refusal> {
        let found = self.attribute(name, AttributeType::GRAPH)?;
        Ok(found.and_then(|a| a.g.as_ref()))
    }

    pub(crate) fn sparse_tensor(&mut self, name: &'static str) -> Result<Option<Clear>, Refusal> {
        let dir = self.dir;
        self.attribute(name, AttributeType::SPARSE_TENSOR)?
            .map(|a| {
                tensor::decode_sparse(a.sparse_tensor.get_or_default(), dir)
                    .map_err(|e| format!("attribute {name:?}: {e}").into())
            })
            .transpose()
    }

    /// Refuses attributes that the importer did not ask for: they might change the meaning.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        match self
            .node
            .attribute
            .iter()
            .find(|a| !self.seen.contains(a.name.as_str()))
        {
            None => Ok(()),
            Some(a) => Err(format!("attribute {:?} is not known for this operator", a.name).into()),
        }
    }

    /// Checks the number of inputs.
    pub(crate) fn arity(&self, least: usize, most: usize) -> Result<(), Refusal> {
        let count = self.inputs.len();
        let missing = self.inputs.iter().take(least).any(Option::is_none);
        if count > most {
            return Err(format!("{count} inputs are given, at most {most} allowed").into());
        }
        if count < least || missing {
            return Err(format!("{count} inputs are given, {least} needed").into());
        }
        Ok(())
    }

    /// An input that may be left out.
    pub(crate) fn optional(&self, position: usize) -> Option<Value> {
        self.inputs.get(position).cloned().flatten()
    }

    pub(crate) fn value(&self, position: usize) -> Result<Value, Refusal> {
        self.optional(position)
            .ok_or_else(|| format!("input {position} is missing").into())
    }

    /// An input that depends on the model's inputs.
    pub(crate) fn encrypted(&mut self, position: usize) -> Result<Encrypted, Refusal> {
        match self.value(position)? {
            Value::Encrypted(x) => Ok(x),
            Value::Clear(x) => self.lifted(&x).map_err(|reason| {
                Refusal::new(format!("input {position} {}", reason.reason))
                    .help("let the exporter fold constants")
            }),
        }
    }

    /// A constant as a value of the module, where the node reads constants alone.
    pub(crate) fn lifted(&mut self, x: &Clear) -> Result<Encrypted, Refusal> {
        let Some(folding) = &mut self.folding else {
            return Err(
                "is a constant, which this operator cannot combine with encrypted values".into(),
            );
        };
        let node = folding.lift(self.module, x, &self.origin)?;
        Ok(Encrypted {
            node,
            shape: x.shape().to_vec(),
            elem: x.elem,
        })
    }

    /// An input that must be known now; `what` names it.
    pub(crate) fn clear(&self, position: usize, what: &str) -> Result<Clear, Refusal> {
        match self.value(position)? {
            Value::Clear(x) => Ok(x),
            Value::Encrypted(_) => Err(encrypted_parameter(what)),
        }
    }

    /// An input that must be known now, if it is given.
    pub(crate) fn optional_clear(
        &self,
        position: usize,
        what: &str,
    ) -> Result<Option<Clear>, Refusal> {
        match self.optional(position) {
            None => Ok(None),
            Some(Value::Clear(x)) => Ok(Some(x)),
            Some(Value::Encrypted(_)) => Err(encrypted_parameter(what)),
        }
    }

    /// Integers that must be known now, if they are given; `what` names them.
    pub(crate) fn optional_ints(
        &self,
        position: usize,
        what: &str,
    ) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(self
            .optional_clear(position, what)?
            .map(|c| c.ints())
            .transpose()?)
    }

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

fn encrypted_parameter(what: &str) -> Refusal {
    Refusal::new(format!(
        "the {what} depends on an input of the model, so it would be encrypted"
    ))
    .help(format!("make the {what} a constant of the model"))
}

/// An axis that may count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let count = rank as i64;
    let resolved = if axis < 0 {
        axis.checked_add(count)
    } else {
        Some(axis)
    };
    resolved
        .filter(|a| (0..count).contains(a))
        .map(|a| a as usize)
        .ok_or_else(|| format!("axis {axis} does not exist in {rank} axes").into())
}

/// Axes that may count from the end, sorted; repeats are refused.
pub(crate) fn axes(given: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
    if rank > MAX_RANK || given.len() > MAX_RANK {
        return Err(format!("more than {MAX_RANK} axes").into());
    }
    let set = given
        .iter()
        .map(|a| axis(*a, rank))
        .collect::<Result<BTreeSet<_>, _>>()?;
    if set.len() != given.len() {
        return Err(format!("the axes {given:?} name one twice").into());
    }
    Ok(set.into_iter().collect())
}
