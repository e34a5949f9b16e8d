//! Where a graph's values come from and go to: initializers, inputs and outputs.

use super::super::call::{Encrypted, Value};
use super::super::clear::Clear;
use super::super::error::{ModelFault, Refusal, Subject};
use super::super::ports::{Declared, Port, check_output, input_port};
use super::super::tensor;
use super::{Importer, Live, dtype_of, fault};
use cipherloom_ir::Origin;
use cipherloom_ir::tensor::{Input, Node, Op, Output, infer_shape};
use std::collections::BTreeSet;

impl Importer<'_> {
    pub(super) fn initializers(&mut self, live: &Live) {
        let graph = self.graph;
        let dense = graph.initializer.iter().map(|t| (t.name.as_str(), Ok(t)));
        let sparse = graph
            .sparse_initializer
            .iter()
            .map(|s| (s.values.name.as_str(), Err(s)));
        for (name, proto) in dense.chain(sparse) {
            let subject = || Subject::Initializer(name.to_owned());
            if self.names.contains_key(name) {
                self.model_faults
                    .push(fault(subject(), "two initializers have this name"));
                continue;
            }
            // Dead weights are not decoded: their type may be one that nothing here can use.
            let decoded = if live.names.contains(name) {
                match proto {
                    Ok(dense) => tensor::decode(dense, self.dir),
                    Err(sparse) => tensor::decode_sparse(sparse, self.dir),
                }
                .map(Some)
            } else {
                Ok(None)
            };
            let value = match decoded {
                Ok(clear) => clear.map(|c| {
                    Value::Clear(Clear {
                        name: name.to_owned(),
                        ..c
                    })
                }),
                Err(reason) => {
                    self.model_faults.push(fault(subject(), reason));
                    None
                }
            };
            self.names.insert(name.to_owned(), value);
        }
    }

    pub(super) fn inputs(&mut self) {
        let graph = self.graph;
        let stored: BTreeSet<&str> = graph
            .initializer
            .iter()
            .map(|t| t.name.as_str())
            .chain(
                graph
                    .sparse_initializer
                    .iter()
                    .map(|s| s.values.name.as_str()),
            )
            .collect();
        let mut any = false;
        for info in graph
            .input
            .iter()
            .filter(|i| !stored.contains(i.name.as_str()))
        {
            any = true;
            let subject = Subject::Input(info.name.clone());
            if info.name.is_empty() || self.names.contains_key(&info.name) {
                self.model_faults
                    .push(fault(subject, "two inputs have this name, or it is empty"));
                continue;
            }
            let value = match self.input(info) {
                Ok(value) => Some(value),
                Err(Refusal { reason, help }) => {
                    self.model_faults.push(ModelFault {
                        subject,
                        reason,
                        help,
                    });
                    None
                }
            };
            self.names.insert(info.name.clone(), value);
        }
        if !any {
            self.model_faults.push(fault(
                Subject::Model,
                "it has no input, so there is nothing to encrypt",
            ));
        }
    }

    fn input(&mut self, info: &onnx_protobuf::ValueInfoProto) -> Result<Value, Refusal> {
        let Port {
            elem,
            shape,
            batched,
        } = input_port(info)?;
        let op = Op::Input {
            name: info.name.clone(),
        };
        let shape = infer_shape(&self.module, &op, &[], &shape)?;
        let origin = Origin::Port(info.name.clone());
        let node = Node {
            op,
            shape: shape.clone(),
            range: None,
            origin,
        };
        let node = self
            .module
            .graph
            .add(node, &[])
            .ok_or("the graph is full")?;
        let dtype = dtype_of(elem);
        self.module.inputs.push(Input {
            name: info.name.clone(),
            node,
            dtype,
            batched,
            clear: false,
        });
        Ok(Value::Encrypted(Encrypted { node, shape, elem }))
    }

    /// An encrypted value of the shape that the file declares, in place of one that could not be computed, so that
    /// the nodes behind it can be looked at too. The import has failed by then.
    pub(super) fn stand_in(&mut self, name: &str) -> Option<Value> {
        let infos = self.graph.value_info.iter().chain(&self.graph.output);
        let info = infos.into_iter().find(|i| i.name == name)?;
        let Port { elem, shape, .. } = input_port(info).ok()?;
        let op = Op::Input {
            name: name.to_owned(),
        };
        infer_shape(&self.module, &op, &[], &shape).ok()?;
        let origin = Origin::Port(name.to_owned());
        let node = Node {
            op,
            shape: shape.clone(),
            range: None,
            origin,
        };
        let node = self.module.graph.add(node, &[])?;
        Some(Value::Encrypted(Encrypted { node, shape, elem }))
    }

    pub(super) fn outputs(&mut self, targets: &[String]) {
        let batched = self.module.inputs.iter().any(|i| i.batched);
        for name in targets {
            let subject = Subject::Output(name.clone());
            match self.names.get(name) {
                None => self.model_faults.push(fault(subject, "no node writes it")),
                Some(None) => {}
                Some(Some(Value::Clear(_))) => self
                    .model_faults
                    .push(fault(subject, "it depends on no input of the model")),
                Some(Some(Value::Encrypted(x))) => {
                    let x = x.clone();
                    let declared = self
                        .graph
                        .output
                        .iter()
                        .find(|o| o.name == *name)
                        .and_then(Declared::of);
                    if let Some(Err(reason)) = declared.map(|d| check_output(&d, x.elem, &x.shape))
                    {
                        self.model_faults.push(fault(subject, reason));
                        continue;
                    }
                    let batched = batched && x.shape.first() == Some(&1);
                    self.module.outputs.push(Output {
                        name: name.clone(),
                        node: x.node,
                        dtype: dtype_of(x.elem),
                        batched,
                    });
                }
            }
        }
    }
}
