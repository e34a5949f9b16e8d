//! The walk over a model's graph: names, order, liveness, and the collection of all faults.

mod values;

use super::Options;
use super::call::{Call, Constants, Value};
use super::clear::{Elem, MAX_COMPUTED_TOTAL};
use super::error::{ModelError, ModelFault, NodeFault, Refusal, Subject};
use super::functions::{FlatNode, flatten};
use super::ports::{Declared, is_own_domain, versions};
use super::{fold, op};
use cipherloom_ir::Origin;
use cipherloom_ir::tensor::{Module, verify};
use cipherloom_ir::value::DType;
use onnx_protobuf::{GraphProto, ModelProto, NodeProto};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A name of the graph: its value, or nothing where a fault kept it from being computed.
type Names = BTreeMap<String, Option<Value>>;

struct Importer<'a> {
    graph: &'a GraphProto,
    /// The graph's nodes, functions inlined; positions count in this list.
    nodes: &'a [FlatNode<'a>],
    dir: Option<&'a Path>,
    module: Module,
    constants: Constants,
    names: Names,
    /// Elements of constants that were computed rather than read.
    computed: usize,
    spent: fold::Spent,
    model_faults: Vec<ModelFault>,
    node_faults: Vec<NodeFault>,
}

pub(super) fn import(
    model: &ModelProto,
    dir: Option<&Path>,
    name: &str,
    source: &str,
    options: &Options,
) -> Result<Module, ModelError> {
    let mut model_faults = vec![];
    let opset = versions(model, &mut model_faults);
    let described = match opset {
        Some(version) => format!("{source} (opset {version})"),
        None => source.to_owned(),
    };
    let nodes = model.graph.as_ref().map_or(0, |g| g.node.len());
    let failed = |model_faults, node_faults| ModelError {
        source: described.clone(),
        nodes,
        model_faults,
        node_faults,
    };
    let Some(graph) = model.graph.as_ref() else {
        model_faults.push(fault(Subject::Model, "it has no graph"));
        return Err(failed(model_faults, vec![]));
    };
    let Some(opset) = opset.filter(|_| model_faults.is_empty()) else {
        return Err(failed(model_faults, vec![]));
    };
    let module = Module {
        name: name.to_owned(),
        source: format!("{source}, opset {opset}"),
        ..Module::default()
    };
    let flat = flatten(model, opset);
    let mut importer = Importer {
        graph,
        nodes: &flat,
        dir,
        module,
        constants: Constants::default(),
        names: Names::new(),
        computed: 0,
        spent: fold::Spent::default(),
        model_faults,
        node_faults: vec![],
    };
    importer.run(options);
    if importer.model_faults.is_empty() && importer.node_faults.is_empty() {
        importer.module.prune();
        for fault in verify(&importer.module) {
            importer.verified(&fault);
        }
    }
    if importer.model_faults.is_empty() && importer.node_faults.is_empty() {
        Ok(importer.module)
    } else {
        Err(failed(importer.model_faults, importer.node_faults))
    }
}

fn fault(subject: Subject, reason: impl Into<String>) -> ModelFault {
    ModelFault {
        subject,
        reason: reason.into(),
        help: None,
    }
}

impl Importer<'_> {
    fn run(&mut self, options: &Options) {
        let graph = self.graph;
        if graph.node.is_empty() {
            self.model_faults
                .push(fault(Subject::Model, "its graph has no nodes"));
        }
        let targets = self.targets(options);
        let writers = self.writers();
        let live = self.live(&targets, &writers);
        self.initializers(&live);
        self.inputs();
        for (position, flat) in self.nodes.iter().enumerate() {
            let node = flat.node.as_ref();
            let structural = self.check_names(position, node, &writers);
            let structural = structural.and(flat.fault.clone().map_or(Ok(()), Err));
            let results = match structural {
                Err(refusal) => {
                    self.refuse(flat.index, node, refusal);
                    None
                }
                Ok(()) if !live.nodes.contains(&position) => None,
                Ok(()) => self.node(flat),
            };
            let mut results = results.unwrap_or_default().into_iter();
            for name in node.output.iter().filter(|n| !n.is_empty()) {
                let live = live.names.contains(name);
                let value = results
                    .next()
                    .or_else(|| live.then(|| self.stand_in(name)).flatten());
                self.names.entry(name.clone()).or_insert(value);
            }
        }
        self.outputs(&targets);
    }

    /// The names that the module shall yield.
    fn targets(&mut self, options: &Options) -> Vec<String> {
        let targets: Vec<String> = if options.outputs.is_empty() {
            self.graph.output.iter().map(|o| o.name.clone()).collect()
        } else {
            options.outputs.clone()
        };
        if targets.is_empty() {
            self.model_faults
                .push(fault(Subject::Model, "its graph has no output"));
        }
        let mut seen = BTreeSet::new();
        for name in &targets {
            if !seen.insert(name) {
                self.model_faults
                    .push(fault(Subject::Output(name.clone()), "it is named twice"));
            }
        }
        targets
    }

    /// The position of the node that writes a name; the first where several do.
    fn writers(&self) -> BTreeMap<String, usize> {
        let mut writers = BTreeMap::new();
        for (position, flat) in self.nodes.iter().enumerate() {
            for name in flat.node.output.iter().filter(|n| !n.is_empty()) {
                writers.entry(name.clone()).or_insert(position);
            }
        }
        writers
    }

    /// The nodes and names that the targets depend on.
    fn live(&self, targets: &[String], writers: &BTreeMap<String, usize>) -> Live {
        let mut live = Live::default();
        let mut stack: Vec<&str> = targets.iter().map(String::as_str).collect();
        while let Some(name) = stack.pop() {
            if !live.names.insert(name.to_owned()) {
                continue;
            }
            if let Some(index) = writers.get(name)
                && live.nodes.insert(*index)
                && let Some(flat) = self.nodes.get(*index)
            {
                stack.extend(
                    flat.node
                        .input
                        .iter()
                        .filter(|n| !n.is_empty())
                        .map(String::as_str),
                );
            }
        }
        live
    }

    /// Whether the node's names obey the rules: written before they are read, and written once.
    fn check_names(
        &self,
        position: usize,
        node: &NodeProto,
        writers: &BTreeMap<String, usize>,
    ) -> Result<(), Refusal> {
        for name in node.input.iter().filter(|n| !n.is_empty()) {
            if self.names.contains_key(name) {
                continue;
            }
            return Err(match writers.get(name) {
                None => format!("it reads {name:?}, which nothing writes").into(),
                Some(writer) => format!(
                    "it reads {name:?}, which node {} writes only {}: the nodes form a cycle or are out of order",
                    self.nodes.get(*writer).map_or(*writer, |n| n.index),
                    if *writer == position { "itself" } else { "later" }
                )
                .into(),
            });
        }
        let mut own = BTreeSet::new();
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            if self.names.contains_key(name) || !own.insert(name) {
                return Err(
                    format!("it writes {name:?}, which is written or given already").into(),
                );
            }
        }
        Ok(())
    }

    /// Imports a node; `None` where it, or what it reads, is faulty.
    fn node(&mut self, flat: &FlatNode<'_>) -> Option<Vec<Value>> {
        let FlatNode { index, opset, .. } = *flat;
        let node = flat.node.as_ref();
        let own = is_own_domain(&node.domain);
        let domain = if own { "" } else { node.domain.as_str() };
        let Some(operator) = op::find(domain, &node.op_type) else {
            let read =
                |name: &&String| matches!(self.names.get(*name), Some(Some(Value::Encrypted(_))));
            let written = |name: &&String| !self.graph.input.iter().any(|i| i.name == **name);
            let stop = node.input.iter().find(|n| read(n) && written(n));
            let refusal = op::refused::refusal(node, own, stop.map(String::as_str));
            self.refuse(index, node, refusal);
            return None;
        };
        let mut inputs = vec![];
        for name in &node.input {
            inputs.push(if name.is_empty() {
                None
            } else {
                Some(self.names.get(name).cloned().flatten()?)
            });
        }
        let origin = Origin::Onnx {
            index,
            name: label(node),
            op: node.op_type.clone(),
        };
        let constants_alone = fold::is_clear(&inputs).then(|| inputs.clone());
        let mut call = Call::new(
            opset,
            node,
            inputs,
            (&mut self.module, &mut self.constants),
            origin.clone(),
            self.dir,
        );
        let mut outputs = (operator.import)(&mut call).and_then(|values| {
            call.finish()?;
            Ok(values)
        });
        // What the operator's importer does not compute itself, the interpreter does.
        if let (Err(_), Some(inputs)) = (&outputs, constants_alone) {
            outputs = fold::fold(
                operator.import,
                opset,
                node,
                inputs,
                (origin, self.dir),
                &mut self.spent,
            );
        }
        let outputs = outputs.and_then(|values| {
            let wanted = node
                .output
                .iter()
                .rposition(|n| !n.is_empty())
                .map_or(0, |p| p + 1);
            if wanted > values.len() {
                return Err(Refusal::new(format!(
                    "it has {wanted} outputs, of which only {} can be computed",
                    values.len()
                )));
            }
            Ok(values)
        });
        match outputs {
            Ok(values) if !self.afford(&values) => {
                self.refuse(
                    index,
                    node,
                    Refusal::new("the constants computed so far are too large"),
                );
                None
            }
            // Values are handed out by position; an output that nobody named is passed over.
            Ok(values) => Some(
                values
                    .into_iter()
                    .zip(&node.output)
                    .filter(|(_, n)| !n.is_empty())
                    .map(|(v, _)| v)
                    .collect(),
            ),
            Err(refusal) => {
                self.refuse(index, node, refusal);
                None
            }
        }
    }

    /// Counts what was newly computed; `false` where it becomes too much.
    fn afford(&mut self, values: &[Value]) -> bool {
        for value in values {
            if let Value::Clear(clear) = value
                && Arc::strong_count(&clear.tensor) == 1
            {
                self.computed = self.computed.saturating_add(clear.data().len());
            }
        }
        self.computed <= MAX_COMPUTED_TOTAL
    }

    fn refuse(&mut self, index: usize, node: &NodeProto, refusal: Refusal) {
        let op = if is_own_domain(&node.domain) {
            node.op_type.clone()
        } else {
            format!("{}.{}", node.domain, node.op_type)
        };
        let describe = |names: &[String]| {
            names
                .iter()
                .filter(|n| !n.is_empty())
                .map(|n| self.describe(n))
                .collect()
        };
        let (inputs, outputs) = (describe(&node.input), describe(&node.output));
        let Refusal { reason, help } = refusal;
        self.node_faults.push(NodeFault {
            index,
            name: label(node),
            op,
            inputs,
            outputs,
            reason,
            help,
        });
    }

    /// The type and shape of a name as far as known.
    fn describe(&self, name: &str) -> String {
        if let Some(Some(value)) = self.names.get(name) {
            let dims: Vec<String> = value.shape().iter().map(usize::to_string).collect();
            return format!("{}[{}]", value.elem(), dims.join(","));
        }
        let graph = self.graph;
        let declared = graph
            .value_info
            .iter()
            .chain(&graph.output)
            .chain(&graph.input)
            .find(|i| i.name == name);
        declared
            .and_then(Declared::of)
            .map_or("?".to_owned(), |d| d.describe())
    }

    /// Reports a fault that the verifier found: none should be left, but none may pass.
    fn verified(&mut self, found: &cipherloom_ir::tensor::Fault) {
        match &found.origin {
            Some(Origin::Onnx { index, .. }) => {
                if let Some(node) = self.graph.node.get(*index) {
                    self.refuse(*index, node, Refusal::new(found.message.clone()));
                }
            }
            _ => self
                .model_faults
                .push(fault(Subject::Model, found.to_string())),
        }
    }
}

#[derive(Default)]
struct Live {
    nodes: BTreeSet<usize>,
    names: BTreeSet<String>,
}

/// The type in which users see values of an element type. Types that the plan does not have are shown in a larger one.
fn dtype_of(elem: Elem) -> DType {
    match elem {
        Elem::F16 | Elem::Bf16 | Elem::F32 => DType::F32,
        Elem::F64 => DType::F64,
        Elem::Bool => DType::Bool,
        Elem::Int("u8") => DType::U8,
        Elem::Int("i8") => DType::I8,
        Elem::Int("i16") => DType::I16,
        Elem::Int("u16" | "i32") => DType::I32,
        Elem::Int(_) => DType::I64,
    }
}

/// A node's name, or its first output's where it has none.
pub(super) fn label(node: &NodeProto) -> String {
    if node.name.is_empty() {
        node.output.first().cloned().unwrap_or_default()
    } else {
        node.name.clone()
    }
}
