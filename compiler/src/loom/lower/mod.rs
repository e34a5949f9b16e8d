//! From the syntax tree to a module of the tensor stage.
//!
//! Functions are carried out where they are called and loops element by element, so all that is left are operations on
//! encrypted values. Work and memory are limited ([`limits`]), since a short text may ask for much of both.

mod call;
mod domains;
mod expr;
mod index;
mod limits;
mod network;
mod operator;
mod statement;
mod value;

pub(super) use domains::domains;
pub(super) use index::slice;
pub(super) use value::{Constant, Value};

use super::Resources;
use super::ast::{Span, Syntax};
use super::diagnostic::{Diagnostic, line_column};
use cipherloom_ir::tensor::{ConstId, Module, Node, Op, eval, infer_shape, verify};
use cipherloom_ir::value::{DType, element_count};
use cipherloom_ir::{NodeId, Origin, Tensor, Tensors};
use limits::{Limits, MAX_VALUE};
use statement::Scope;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// A fault that has been noted: the statement ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop;

/// The state of reading.
pub(super) struct Lowering<'a> {
    file: String,
    source: &'a str,
    resources: &'a dyn Resources,
    module: Module,
    places: BTreeMap<NodeId, Span>,
    faults: Vec<Diagnostic>,
    scopes: Vec<Scope>,
    /// Where the statement at work stands.
    statement: Span,
    /// The place of the call at work, of a program in Rust.
    called_from: Option<String>,
    limits: Limits,
    /// Constants of the module by the address of their values, which the module keeps alive.
    known: BTreeMap<usize, ConstId>,
    /// How often each name was wanted for a constant, and the names that constants have.
    names: BTreeMap<String, usize>,
    taken: BTreeSet<String>,
    networks: BTreeMap<String, Rc<Module>>,
}

/// The module of a program, and where its operations stand.
pub(super) fn lower(
    syntax: &Syntax,
    file: &str,
    source: &str,
    resources: &dyn Resources,
) -> Result<(Module, BTreeMap<NodeId, Span>), Vec<Diagnostic>> {
    let mut lowering = Lowering::new(stem(file), file, source, resources);
    for statement in &syntax.statements {
        // A fault is noted already; the next statement may hold another.
        let _ = lowering.statement(statement, true);
        if lowering.limits.exhausted() {
            break;
        }
    }
    lowering.finish()
}

/// A file's name without folders and ending.
fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(".loom").unwrap_or(name)
}

impl<'a> Lowering<'a> {
    /// Nothing read yet. `name` is the module's, `file` stands in its source and origins.
    pub(super) fn new(
        name: &str,
        file: &str,
        source: &'a str,
        resources: &'a dyn Resources,
    ) -> Self {
        Lowering {
            file: file.to_owned(),
            source,
            resources,
            module: Module {
                name: name.to_owned(),
                source: file.to_owned(),
                ..Module::default()
            },
            places: BTreeMap::new(),
            faults: vec![],
            scopes: vec![Scope::default()],
            statement: Span::default(),
            called_from: None,
            limits: Limits::default(),
            known: BTreeMap::new(),
            names: BTreeMap::new(),
            taken: BTreeSet::new(),
            networks: BTreeMap::new(),
        }
    }

    /// Operations come from a call at this place now, not from a statement of the text.
    pub(super) fn called_from(&mut self, place: String) {
        self.called_from = Some(place);
    }

    /// Whether nothing is wrong but that there is no output.
    pub(super) fn lacks_outputs(&self) -> bool {
        self.faults.is_empty() && self.module.outputs.is_empty()
    }

    pub(super) fn finish(mut self) -> Result<(Module, BTreeMap<NodeId, Span>), Vec<Diagnostic>> {
        if self.faults.is_empty() {
            self.check_ports();
        }
        if self.faults.is_empty() {
            self.module.prune();
            let found = verify(&self.module);
            let faults = found
                .iter()
                .map(|f| Diagnostic::new(Span::default(), f.to_string()));
            self.faults.extend(faults);
        }
        if self.faults.is_empty() {
            return Ok((self.module, self.places));
        }
        self.faults.sort_by_key(|d| d.span.start);
        self.faults
            .dedup_by(|a, b| a.span.start == b.span.start && a.message == b.message);
        Err(self.faults)
    }

    /// A program has outputs, and each input serves one of them.
    fn check_ports(&mut self) {
        let end = Span {
            start: self.source.trim_end().len(),
            end: self.source.len(),
        };
        if self.module.outputs.is_empty() {
            let fault = Diagnostic::new(end, "the program has no output");
            self.faults
                .push(fault.help("end it with `output name = expression`"));
            return;
        }
        let mut live = BTreeSet::new();
        let mut stack: Vec<NodeId> = self.module.outputs.iter().map(|o| o.node).collect();
        while let Some(id) = stack.pop() {
            if live.insert(id) {
                stack.extend(self.module.graph.operands(id));
            }
        }
        for input in &self.module.inputs {
            if !live.contains(&input.node) {
                let span = self.places.get(&input.node).copied().unwrap_or_default();
                let text = format!("no output depends on input {:?}", input.name);
                let fault = Diagnostic::new(span, text);
                self.faults.push(fault.help("take it out, or use it"));
            }
        }
    }

    /// Notes a fault.
    pub(super) fn fail(&mut self, span: Span, message: impl Into<String>) -> Stop {
        self.refuse(Diagnostic::new(span, message))
    }

    /// Notes a fault with its notes.
    pub(super) fn refuse(&mut self, fault: Diagnostic) -> Stop {
        self.faults.push(fault);
        Stop
    }

    pub(super) fn resources(&self) -> &'a dyn Resources {
        self.resources
    }

    /// The shape of a value that has one.
    pub(super) fn shape(&self, value: &Value) -> Option<Vec<usize>> {
        match value {
            Value::Constant(c) => Some(c.tensor.shape().to_vec()),
            Value::Encrypted(id) => self.module.graph.get(*id).map(|n| n.shape.clone()),
            _ => None,
        }
    }

    /// A value's kind and shape, for people.
    pub(super) fn describe(&self, value: &Value) -> String {
        match (value, self.shape(value)) {
            (Value::Constant(c), Some(shape)) if shape.is_empty() => {
                let number = c.tensor.data().first().copied().unwrap_or_default();
                format!("the number {}", shown(number))
            }
            (_, Some(shape)) if shape.is_empty() => format!("{} (one number)", value.kind()),
            (_, Some(shape)) => format!("{} {shape:?}", value.kind()),
            (value, None) => value.kind().to_owned(),
        }
    }

    /// The module's constant of these values.
    pub(super) fn constant(&mut self, constant: &Constant) -> ConstId {
        let address = Arc::as_ptr(&constant.tensor) as usize;
        if let Some(id) = self.known.get(&address) {
            return *id;
        }
        let wanted = constant.name.as_deref().unwrap_or("c");
        let count = self.names.entry(wanted.to_owned()).or_default();
        // A variable's name ends in no dot and number, but a network's constant may have any name.
        let name = loop {
            *count += 1;
            let name = if *count == 1 && constant.name.is_some() {
                wanted.to_owned()
            } else {
                format!("{wanted}.{count}")
            };
            if self.taken.insert(name.clone()) {
                break name;
            }
        };
        self.module.constants.push(cipherloom_ir::tensor::Constant {
            name,
            tensor: constant.tensor.clone(),
        });
        let id = ConstId(self.module.constants.len() as u32 - 1);
        self.known.insert(address, id);
        id
    }

    /// The origin of operations of the statement at work.
    fn origin(&self) -> Origin {
        if let Some(place) = &self.called_from {
            return Origin::Source(place.clone());
        }
        let (line, column) = line_column(self.source, self.statement.start);
        Origin::Source(format!("{}:{line}:{column}", self.file))
    }

    /// The result of an operation on values that are all constant or all encrypted; `declared` for a reshape.
    pub(super) fn apply(
        &mut self,
        span: Span,
        operands: &[Value],
        op: Op,
        constants: &[Constant],
        declared: &[usize],
    ) -> Result<Value, Stop> {
        let mut op = op;
        let nodes: Option<Vec<NodeId>> = operands
            .iter()
            .map(|v| match v {
                Value::Encrypted(id) => Some(*id),
                _ => None,
            })
            .collect();
        let Some(nodes) = nodes else {
            return self.fold(span, operands, op, constants, declared);
        };
        // The operation numbers its constants from 0.
        let ids: Vec<ConstId> = constants.iter().map(|c| self.constant(c)).collect();
        for constant in op.constants_mut() {
            *constant = ids.get(constant.0 as usize).copied().unwrap_or(*constant);
        }
        let shapes: Vec<&[usize]> = nodes
            .iter()
            .filter_map(|id| self.module.graph.get(*id))
            .map(|n| n.shape.as_slice())
            .collect();
        let shape = match infer_shape(&self.module, &op, &shapes, declared) {
            Ok(shape) => shape,
            Err(message) => return Err(self.fail(span, message)),
        };
        self.bounded(span, &shape)?;
        self.limits.node().map_err(|text| self.fail(span, text))?;
        let node = Node {
            op,
            shape,
            range: None,
            origin: self.origin(),
        };
        match self.module.graph.add(node, &nodes) {
            Some(id) => {
                self.places.insert(id, span);
                Ok(Value::Encrypted(id))
            }
            None => Err(self.fail(span, "the operation's operands are lost")),
        }
    }

    /// Refuses values that are too large.
    pub(super) fn bounded(&mut self, span: Span, shape: &[usize]) -> Result<usize, Stop> {
        match element_count(shape).filter(|count| *count <= MAX_VALUE) {
            Some(0) => Err(self.fail(span, format!("a value of shape {shape:?} has no element"))),
            Some(count) => Ok(count),
            None => {
                let text = format!("a value of shape {shape:?} has more than {MAX_VALUE} elements");
                Err(self.fail(span, text))
            }
        }
    }

    /// A new constant, within the limits.
    pub(super) fn new_constant(&mut self, span: Span, tensor: Tensor) -> Result<Value, Stop> {
        self.limits
            .elements(tensor.len())
            .map_err(|text| self.fail(span, text))?;
        if let Some(i) = tensor.data().iter().position(|v| !v.is_finite()) {
            let value = tensor.data()[i];
            return Err(self.fail(span, format!("the result is {value} at element {i}")));
        }
        Ok(Value::constant(tensor))
    }

    /// The operation's result on constants.
    fn fold(
        &mut self,
        span: Span,
        operands: &[Value],
        op: Op,
        constants: &[Constant],
        declared: &[usize],
    ) -> Result<Value, Stop> {
        let mut scratch = Module::default();
        for (i, constant) in constants.iter().enumerate() {
            scratch.constants.push(cipherloom_ir::tensor::Constant {
                name: i.to_string(),
                tensor: constant.tensor.clone(),
            });
        }
        let (mut nodes, mut shapes, mut given) = (vec![], vec![], Tensors::new());
        for (i, operand) in operands.iter().enumerate() {
            let Value::Constant(constant) = operand else {
                let text = format!("expected a constant, found {}", self.describe(operand));
                return Err(self.fail(span, text));
            };
            let name = i.to_string();
            let shape = constant.tensor.shape().to_vec();
            let node = Node {
                op: Op::Input { name: name.clone() },
                shape: shape.clone(),
                range: None,
                origin: Origin::pass("loom"),
            };
            nodes.extend(scratch.graph.add(node, &[]));
            shapes.push(shape);
            given.insert(name, constant.tensor.as_ref().clone());
        }
        let borrowed: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let shape = match infer_shape(&scratch, &op, &borrowed, declared) {
            Ok(shape) => shape,
            Err(message) => return Err(self.fail(span, message)),
        };
        self.bounded(span, &shape)?;
        let node = Node {
            op,
            shape,
            range: None,
            origin: Origin::pass("loom"),
        };
        let names = nodes.iter().enumerate();
        scratch.inputs = names
            .map(|(i, node)| port_in(i.to_string(), *node))
            .collect();
        let Some(node) = scratch.graph.add(node, &nodes) else {
            return Err(self.fail(span, "the operation's operands are lost"));
        };
        scratch.outputs.push(port_out("y".into(), node, false));
        match eval(&scratch, &given) {
            Ok(mut results) => {
                let result = results.remove("y");
                let result = result.ok_or_else(|| self.fail(span, "the result is lost"))?;
                self.new_constant(span, result)
            }
            Err(error) => Err(self.fail(span, error.to_string())),
        }
    }
}

/// A number, for people.
pub(super) fn shown(number: f64) -> String {
    if number.abs() < 1e15 {
        number.to_string()
    } else {
        format!("{number:?}")
    }
}

pub(super) fn port_in(name: String, node: NodeId) -> cipherloom_ir::tensor::Input {
    cipherloom_ir::tensor::Input {
        name,
        node,
        dtype: DType::F64,
        batched: false,
        clear: false,
    }
}

pub(super) fn port_out(name: String, node: NodeId, batched: bool) -> cipherloom_ir::tensor::Output {
    cipherloom_ir::tensor::Output {
        name,
        node,
        dtype: DType::F64,
        batched,
    }
}
