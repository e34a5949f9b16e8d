//! Functions that a model brings itself, inlined: a node that calls one becomes the nodes of its body.
//!
//! The body's names get the call's name in front, its inputs and outputs become the call's, and attributes that refer
//! to the function's are replaced by what the call states, or the function's default (ONNX IR specification,
//! "Functions"). The functions may call each other, but not in a circle.

use super::error::Refusal;
use super::graph::label;
use super::ports::is_own_domain;
use onnx_protobuf::{AttributeProto, FunctionProto, Message, ModelProto, NodeProto};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Calls within calls, at most.
const MAX_DEPTH: usize = 32;
/// Nodes of all bodies that are inlined, at most.
const MAX_NODES: usize = 1 << 16;
/// Bytes of all bodies that are inlined, at most.
const MAX_BYTES: u64 = 1 << 27;

/// A node of the graph, or of a function that the graph calls.
pub(super) struct FlatNode<'a> {
    /// Position of the node, or of the call, in the graph's node list.
    pub(super) index: usize,
    /// The version of ONNX's operators that the node is written in.
    pub(super) opset: i64,
    pub(super) node: Cow<'a, NodeProto>,
    /// Why a call could not be inlined.
    pub(super) fault: Option<Refusal>,
}

/// The nodes of a model's graph in order, the bodies of its functions in the place of calls.
pub(super) fn flatten(model: &ModelProto, opset: i64) -> Vec<FlatNode<'_>> {
    let Some(graph) = model.graph.as_ref() else {
        return vec![];
    };
    let mut inliner = Inliner {
        functions: BTreeMap::new(),
        names: BTreeSet::new(),
        open: vec![],
        nodes: 0,
        bytes: 0,
        flat: Vec::with_capacity(graph.node.len()),
    };
    for function in &model.functions {
        inliner.functions.entry(key(function)).or_insert(function);
    }
    if !inliner.functions.is_empty() {
        let written = graph.node.iter().flat_map(|n| &n.output);
        let given = graph.input.iter().map(|i| &i.name);
        let stored = graph.initializer.iter().map(|t| &t.name);
        let names = written.chain(given).chain(stored).cloned();
        inliner.names = names.collect();
    }
    for (index, node) in graph.node.iter().enumerate() {
        inliner.add(index, opset, Cow::Borrowed(node));
    }
    inliner.flat
}

type Key<'a> = (&'a str, &'a str, &'a str);

fn key(function: &FunctionProto) -> Key<'_> {
    (&function.domain, &function.name, &function.overload)
}

struct Inliner<'a> {
    /// By domain, name and overload.
    functions: BTreeMap<Key<'a>, &'a FunctionProto>,
    /// All names that are taken.
    names: BTreeSet<String>,
    /// The functions whose bodies are being inlined.
    open: Vec<Key<'a>>,
    nodes: usize,
    bytes: u64,
    flat: Vec<FlatNode<'a>>,
}

impl<'a> Inliner<'a> {
    /// Adds a node, or the body of the function that it calls.
    fn add(&mut self, index: usize, opset: i64, node: Cow<'a, NodeProto>) {
        let called = self
            .functions
            .get(&(
                node.domain.as_str(),
                node.op_type.as_str(),
                node.overload.as_str(),
            ))
            .copied();
        let body = called.map(|function| self.body(function, opset, &node));
        let (fault, body) = match body {
            None => (None, None),
            Some(Err(refusal)) => (Some(refusal), None),
            Some(Ok(body)) => (None, Some(body)),
        };
        let Some((version, nodes)) = body else {
            self.flat.push(FlatNode {
                index,
                opset,
                node,
                fault,
            });
            return;
        };
        if let Some(function) = called {
            self.open.push(key(function));
            for node in nodes {
                self.add(index, version, Cow::Owned(node));
            }
            self.open.pop();
        }
    }

    /// The version of ONNX's operators and the nodes of a function's body, as they stand in place of the call.
    fn body(
        &mut self,
        function: &'a FunctionProto,
        opset: i64,
        call: &NodeProto,
    ) -> Result<(i64, Vec<NodeProto>), Refusal> {
        let name = &function.name;
        if self.open.contains(&key(function)) {
            return Err(format!("the model's function {name:?} calls itself").into());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("functions call each other more than {MAX_DEPTH} deep").into());
        }
        let too_large = || Refusal::new("the model's functions are too large when inlined");
        self.nodes = self.nodes.saturating_add(function.node.len());
        if self.nodes > MAX_NODES {
            return Err(too_large());
        }
        if call.input.len() > function.input.len() || call.output.len() > function.output.len() {
            return Err(format!(
                "the model's function {name:?} has {} inputs and {} outputs, not {} and {}",
                function.input.len(),
                function.output.len(),
                call.input.len(),
                call.output.len()
            )
            .into());
        }
        let own = |o: &&onnx_protobuf::OperatorSetIdProto| is_own_domain(&o.domain);
        let version = function.opset_import.iter().find(own);
        let version = version.map_or(opset, |o| o.version);
        if !super::OPSETS.contains(&version) {
            return Err(format!("the model's function {name:?} uses opset {version}").into());
        }
        let mut scope = Scope {
            prefix: self.prefix(call),
            names: BTreeMap::new(),
            attributes: attributes(function, call)?,
        };
        let mut nodes = vec![];
        for (position, own) in function.input.iter().enumerate() {
            let given = call.input.get(position).cloned().unwrap_or_default();
            scope.names.insert(own, given);
        }
        for (position, own) in function.output.iter().enumerate() {
            let given = call.output.get(position).filter(|n| !n.is_empty());
            let Some(given) = given else { continue };
            match scope.names.get(own.as_str()) {
                // The body does not write it: it is an input, or another output too.
                Some(source) => nodes.push(NodeProto {
                    op_type: "Identity".into(),
                    name: call.name.clone(),
                    input: vec![source.clone()],
                    output: vec![given.clone()],
                    ..Default::default()
                }),
                None => {
                    scope.names.insert(own, given.clone());
                }
            }
        }
        // They copy what the body writes, so they stand behind it.
        let copies = std::mem::take(&mut nodes);
        for node in &function.node {
            let node = scope.renamed(node);
            self.bytes = self.bytes.saturating_add(node.compute_size());
            if self.bytes > MAX_BYTES {
                return Err(too_large());
            }
            nodes.push(node);
        }
        nodes.extend(copies);
        let written = nodes.iter().flat_map(|n| &n.output);
        self.names.extend(written.cloned());
        Ok((version, nodes))
    }

    /// What stands in front of the names of a body: the call's name, made unique.
    fn prefix(&self, call: &NodeProto) -> String {
        let base = label(call);
        let taken = |prefix: &str| {
            let next = self.names.range(format!("{prefix}/")..).next();
            next.is_some_and(|n| n.starts_with(&format!("{prefix}/")))
        };
        let mut prefix = base.clone();
        let mut count = 1;
        while taken(&prefix) {
            count += 1;
            prefix = format!("{base}.{count}");
        }
        prefix
    }
}

/// The attributes that a call states, and the function's defaults for the others.
fn attributes<'a>(
    function: &'a FunctionProto,
    call: &'a NodeProto,
) -> Result<BTreeMap<&'a str, AttributeProto>, Refusal> {
    let declared = |name: &str| {
        function.attribute.iter().any(|a| a == name)
            || function.attribute_proto.iter().any(|a| a.name == name)
    };
    if let Some(odd) = call.attribute.iter().find(|a| !declared(&a.name)) {
        return Err(format!(
            "the model's function {:?} has no attribute {:?}",
            function.name, odd.name
        )
        .into());
    }
    let all = function.attribute_proto.iter().chain(&call.attribute);
    Ok(all.map(|a| (a.name.as_str(), a.clone())).collect())
}

/// The meaning of names within a body.
struct Scope<'a> {
    prefix: String,
    names: BTreeMap<&'a str, String>,
    attributes: BTreeMap<&'a str, AttributeProto>,
}

impl Scope<'_> {
    fn renamed(&self, node: &NodeProto) -> NodeProto {
        let rename = |name: &String| match self.names.get(name.as_str()) {
            Some(known) => known.clone(),
            None if name.is_empty() => String::new(),
            None => format!("{}/{name}", self.prefix),
        };
        let mut attribute = vec![];
        for own in &node.attribute {
            if own.ref_attr_name.is_empty() {
                attribute.push(own.clone());
            } else if let Some(given) = self.attributes.get(own.ref_attr_name.as_str()) {
                attribute.push(AttributeProto {
                    name: own.name.clone(),
                    ..given.clone()
                });
            }
            // An attribute that nobody states is left out: the operator has a default, or misses it.
        }
        NodeProto {
            input: node.input.iter().map(rename).collect(),
            output: node.output.iter().map(rename).collect(),
            name: format!("{}/{}", self.prefix, label(node)),
            op_type: node.op_type.clone(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
            attribute,
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onnx_protobuf::GraphProto;
    use onnx_protobuf::attribute_proto::AttributeType;

    fn node(domain: &str, op: &str, input: &[&str], output: &[&str]) -> NodeProto {
        NodeProto {
            domain: domain.into(),
            op_type: op.into(),
            input: input.iter().map(|n| (*n).to_owned()).collect(),
            output: output.iter().map(|n| (*n).to_owned()).collect(),
            ..Default::default()
        }
    }

    fn function(
        name: &str,
        input: &[&str],
        output: &[&str],
        body: Vec<NodeProto>,
    ) -> FunctionProto {
        FunctionProto {
            domain: "f".into(),
            name: name.into(),
            input: input.iter().map(|n| (*n).to_owned()).collect(),
            output: output.iter().map(|n| (*n).to_owned()).collect(),
            node: body,
            ..Default::default()
        }
    }

    fn model(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> ModelProto {
        let graph = GraphProto {
            node: nodes,
            ..Default::default()
        };
        ModelProto {
            graph: Some(graph).into(),
            functions,
            ..Default::default()
        }
    }

    /// Operator, inputs and outputs of each node.
    fn flat(model: &ModelProto) -> Vec<String> {
        let nodes = flatten(model, 17);
        let text = |n: &FlatNode<'_>| match &n.fault {
            Some(fault) => format!("{}: {}", n.index, fault.reason),
            None => format!(
                "{}: {}({}) -> {}",
                n.index,
                n.node.op_type,
                n.node.input.join(","),
                n.node.output.join(",")
            ),
        };
        nodes.iter().map(text).collect()
    }

    #[test]
    fn bodies_stand_in_place_of_their_calls() {
        let square = function(
            "Square",
            &["v"],
            &["w"],
            vec![node("", "Mul", &["v", "v"], &["w"])],
        );
        let fourth = function(
            "Fourth",
            &["x"],
            &["y"],
            vec![
                node("f", "Square", &["x"], &["t"]),
                node("f", "Square", &["t"], &["y"]),
            ],
        );
        let nodes = vec![
            node("f", "Fourth", &["a"], &["b"]),
            node("", "Relu", &["b"], &["c"]),
            node("f", "Square", &["c"], &["d"]),
        ];
        assert_eq!(
            flat(&model(nodes, vec![square, fourth])),
            [
                "0: Mul(a,a) -> b/t",
                "0: Mul(b/t,b/t) -> b",
                "1: Relu(b) -> c",
                "2: Mul(c,c) -> d"
            ]
        );
    }

    #[test]
    fn names_of_a_body_are_unique() {
        let twice = function(
            "Twice",
            &["v"],
            &["w"],
            vec![
                node("", "Neg", &["v"], &["t"]),
                node("", "Neg", &["t"], &["w"]),
            ],
        );
        let mut call = node("f", "Twice", &["a"], &["b"]);
        call.name = "call".into();
        let mut again = node("f", "Twice", &["b"], &["c"]);
        again.name = "call".into();
        let nodes = flat(&model(vec![call, again], vec![twice]));
        assert_eq!(nodes[0], "0: Neg(a) -> call/t");
        assert_eq!(nodes[2], "1: Neg(b) -> call.2/t");
    }

    #[test]
    fn inputs_that_are_outputs_and_missing_ones() {
        let pass = function(
            "Pass",
            &["v", "w"],
            &["v", "t"],
            vec![node("", "Clip", &["v", "", "w"], &["t"])],
        );
        let call = node("f", "Pass", &["a"], &["b", "c"]);
        assert_eq!(
            flat(&model(vec![call], vec![pass])),
            ["0: Clip(a,,) -> c", "0: Identity(a) -> b"]
        );
    }

    #[test]
    fn attributes_refer_to_the_call_or_the_default() {
        let number = |name: &str, value: f32| AttributeProto {
            name: name.into(),
            type_: AttributeType::FLOAT.into(),
            f: value,
            ..Default::default()
        };
        let reference = |name: &str, to: &str| AttributeProto {
            name: name.into(),
            ref_attr_name: to.into(),
            type_: AttributeType::FLOAT.into(),
            ..Default::default()
        };
        let mut body = node("", "HardSigmoid", &["v"], &["w"]);
        body.attribute = vec![
            reference("alpha", "a"),
            reference("beta", "b"),
            reference("gamma", "nobody"),
        ];
        let mut hard = function("Hard", &["v"], &["w"], vec![body]);
        hard.attribute = vec!["a".into(), "nobody".into()];
        hard.attribute_proto = vec![number("b", 0.5)];
        let mut call = node("f", "Hard", &["x"], &["y"]);
        call.attribute = vec![number("a", 0.25)];
        let whole = model(vec![call.clone()], vec![hard.clone()]);
        let nodes = flatten(&whole, 17);
        let found: Vec<_> = (nodes[0].node.attribute.iter())
            .map(|a| (a.name.as_str(), a.f))
            .collect();
        assert_eq!(found, [("alpha", 0.25), ("beta", 0.5)]);
        call.attribute = vec![number("odd", 1.0)];
        let nodes = flat(&model(vec![call], vec![hard]));
        assert!(nodes[0].contains("no attribute \"odd\""), "{nodes:?}");
    }

    #[test]
    fn recursion_and_growth_are_refused() {
        let body = |op: &str| vec![node("f", op, &["v"], &["w"])];
        let ping = function("Ping", &["v"], &["w"], body("Pong"));
        let pong = function("Pong", &["v"], &["w"], body("Ping"));
        let nodes = flat(&model(body("Ping"), vec![ping, pong]));
        assert!(nodes[0].contains("calls itself"), "{nodes:?}");
        // Each calls the next one ten times.
        let step = |i: usize| {
            let call = |k: usize| {
                let (from, to) = (format!("t{k}"), format!("t{}", k + 1));
                node("f", &format!("F{}", i + 1), &[&from], &[&to])
            };
            function(
                &format!("F{i}"),
                &["t0"],
                &["t10"],
                (0..10).map(call).collect(),
            )
        };
        let functions = (0..20).map(step).collect();
        let nodes = flat(&model(vec![node("f", "F0", &["a"], &["b"])], functions));
        assert!(nodes.len() <= MAX_NODES);
        assert!(nodes.iter().any(|n| n.contains("too large")));
    }
}
