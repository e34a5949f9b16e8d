//! `model "file.onnx"`: a network as a function.

use super::super::ast::{Name, Span};
use super::super::diagnostic::Diagnostic;
use super::{Lowering, Stop, Value};
use cipherloom_ir::tensor::{ConstId, Module, Op, eval};
use cipherloom_ir::{NodeId, Tensors};
use std::collections::BTreeMap;
use std::rc::Rc;

impl Lowering<'_> {
    pub(super) fn network(&mut self, path: &str, span: Span) -> Result<Value, Stop> {
        if let Some(known) = self.networks.get(path) {
            return Ok(Value::Model(known.clone()));
        }
        match self.resources().model(path) {
            Ok(module) => {
                let module = Rc::new(module);
                self.networks.insert(path.to_owned(), module.clone());
                Ok(Value::Model(module))
            }
            Err(text) => {
                let first = text.lines().next().unwrap_or_default().to_owned();
                let mut fault = Diagnostic::new(span, first);
                fault
                    .notes
                    .extend(text.lines().skip(1).map(|l| l.trim_start().to_owned()));
                Err(self.refuse(fault))
            }
        }
    }

    /// The network's operations on the given values. A first axis of 1 that counts samples may be left out of them; it is
    /// then left out of the results too.
    pub(in crate::loom) fn call_network(
        &mut self,
        network: &Module,
        given: Vec<(Option<Name>, Value, Span)>,
        span: Span,
    ) -> Result<Value, Stop> {
        let (values, dropped) = self.network_inputs(network, given, span)?;
        let constant = values.values().all(|v| matches!(v, Value::Constant(_)));
        let results = if constant {
            self.network_of_constants(network, &values, span)?
        } else if let Some((name, value)) = values
            .iter()
            .find(|(_, v)| !matches!(v, Value::Encrypted(_)))
        {
            let text = format!(
                "input {name:?} of the network is {}, and others are encrypted",
                value.kind()
            );
            return Err(self.fail(span, text));
        } else {
            self.network_of_nodes(network, &values, span)?
        };
        let mut found = Vec::new();
        for (output, value) in network.outputs.iter().zip(results) {
            let shape = self.shape(&value).unwrap_or_default();
            found.push(match shape.split_first() {
                Some((1, rest)) if dropped && output.batched => {
                    self.reshaped(&value, rest, span)?
                }
                _ => value,
            });
        }
        Ok(match <[Value; 1]>::try_from(found) {
            Ok([only]) => only,
            Err(several) => Value::Several(several),
        })
    }

    /// The value of each input by name, and whether an axis of samples was added.
    fn network_inputs(
        &mut self,
        network: &Module,
        given: Vec<(Option<Name>, Value, Span)>,
        span: Span,
    ) -> Result<(BTreeMap<String, Value>, bool), Stop> {
        let mut values = BTreeMap::new();
        let mut dropped = false;
        if given.len() != network.inputs.len() {
            let names: Vec<&str> = network.inputs.iter().map(|i| i.name.as_str()).collect();
            let text = format!("{} arguments for {} inputs", given.len(), names.len());
            let advice = format!("the network's inputs are {}", names.join(", "));
            return Err(self.refuse(Diagnostic::new(span, text).help(advice)));
        }
        for (i, (name, value, at)) in given.into_iter().enumerate() {
            let input = match &name {
                None => network.inputs.get(i),
                Some(name) => network.inputs.iter().find(|i| i.name == name.text),
            };
            let Some(input) = input else {
                return Err(self.fail(at, "the network has no such input"));
            };
            let expected = network
                .graph
                .get(input.node)
                .map(|n| n.shape.clone())
                .unwrap_or_default();
            let shape = self.shape(&value);
            let value = match shape {
                Some(shape) if shape == expected => value,
                Some(shape) if expected.split_first() == Some((&1, &shape[..])) => {
                    dropped = true;
                    self.reshaped(&value, &expected, at)?
                }
                _ => {
                    let text = format!(
                        "the network's input {:?} has shape {expected:?}, and this is {}",
                        input.name,
                        self.describe(&value)
                    );
                    return Err(self.fail(at, text));
                }
            };
            if values.insert(input.name.clone(), value).is_some() {
                return Err(self.fail(at, format!("input {:?} is given twice", input.name)));
            }
        }
        Ok((values, dropped))
    }

    fn network_of_constants(
        &mut self,
        network: &Module,
        values: &BTreeMap<String, Value>,
        span: Span,
    ) -> Result<Vec<Value>, Stop> {
        let given: Tensors = values
            .iter()
            .filter_map(|(name, value)| match value {
                Value::Constant(c) => Some((name.clone(), c.tensor.as_ref().clone())),
                _ => None,
            })
            .collect();
        let results = match eval(network, &given) {
            Ok(results) => results,
            Err(error) => return Err(self.fail(span, error.to_string())),
        };
        let mut found = Vec::new();
        for output in &network.outputs {
            let tensor = results.get(&output.name).cloned();
            let tensor = tensor.ok_or_else(|| self.fail(span, "an output is lost"))?;
            found.push(self.new_constant(span, tensor)?);
        }
        Ok(found)
    }

    fn network_of_nodes(
        &mut self,
        network: &Module,
        values: &BTreeMap<String, Value>,
        span: Span,
    ) -> Result<Vec<Value>, Stop> {
        let Ok(order) = network.graph.topological() else {
            return Err(self.fail(span, "the network's graph has a cycle"));
        };
        let mut moved: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        for id in order {
            let Some(node) = network.graph.get(id) else {
                continue;
            };
            if let Op::Input { name } = &node.op {
                if let Some(Value::Encrypted(value)) = values.get(name) {
                    moved.insert(id, *value);
                }
                continue;
            }
            let mut node = node.clone();
            for constant in node.op.constants_mut() {
                *constant = self.network_constant(network, *constant);
            }
            let operands = network.graph.operands(id);
            let operands: Vec<NodeId> = operands
                .iter()
                .filter_map(|o| moved.get(o).copied())
                .collect();
            if let Err(text) = self.limits.node() {
                return Err(self.fail(span, text));
            }
            match self.module.graph.add(node, &operands) {
                Some(new) => {
                    self.places.insert(new, span);
                    moved.insert(id, new);
                }
                None => return Err(self.fail(span, "the network's operands are lost")),
            }
        }
        let results = network.outputs.iter().map(|o| moved.get(&o.node).copied());
        let results: Option<Vec<NodeId>> = results.collect();
        match results {
            Some(results) => Ok(results.into_iter().map(Value::Encrypted).collect()),
            None => Err(self.fail(span, "an output of the network is lost")),
        }
    }

    fn network_constant(&mut self, network: &Module, id: ConstId) -> ConstId {
        match network.constant(id) {
            Some(constant) => self.constant(&super::Constant {
                tensor: constant.tensor.clone(),
                name: Some(constant.name.as_str().into()),
            }),
            None => id,
        }
    }
}
