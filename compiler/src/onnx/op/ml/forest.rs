//! The trees of an ensemble, from the flat lists of the file: every fault of their structure is found here.

use crate::onnx::call::Call;
use crate::onnx::error::Refusal;
use std::collections::BTreeMap;

/// Nodes of an ensemble, at most.
const MAX_NODES: usize = 1 << 20;
/// Levels of a tree, at most: each leaf keeps its path.
const MAX_DEPTH: usize = 256;

/// `sign (x - threshold) > 0` for a feature x: what one comparison under encryption tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Above {
    pub(super) feature: usize,
    pub(super) threshold: f64,
    pub(super) sign: f64,
}

/// A leaf: what the comparisons on its path count, of which all must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Leaf {
    /// Comparisons and their weights.
    pub(super) terms: Vec<(usize, f64)>,
    /// `sum of terms + offset` is one half where the leaf is reached, and at most minus one half elsewhere.
    pub(super) offset: f64,
    /// Outputs and what the leaf adds to them.
    pub(super) weights: Vec<(usize, f64)>,
}

/// Trees whose comparisons are shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Forest {
    pub(super) comparisons: Vec<Above>,
    /// The leaves of each tree; one alone is always reached.
    pub(super) trees: Vec<Vec<Leaf>>,
}

/// When a node goes to its true branch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Leaf,
    AtMost,
    Below,
    Above,
    AtLeast,
    Equal,
    Unequal,
}

impl Mode {
    fn of(name: &str) -> Result<Self, String> {
        Ok(match name {
            "LEAF" => Mode::Leaf,
            "BRANCH_LEQ" => Mode::AtMost,
            "BRANCH_LT" => Mode::Below,
            "BRANCH_GT" => Mode::Above,
            "BRANCH_GTE" => Mode::AtLeast,
            "BRANCH_EQ" => Mode::Equal,
            "BRANCH_NEQ" => Mode::Unequal,
            other => {
                return Err(format!(
                    "a node's mode is {other:?}, which ONNX does not define"
                ));
            }
        })
    }

    /// 1 where the true branch is taken, as a constant and weights of `x > t` and `x < t`.
    fn taken(self) -> (f64, [f64; 2]) {
        match self {
            Mode::Leaf => (0.0, [0.0, 0.0]),
            Mode::AtMost => (1.0, [-1.0, 0.0]),
            Mode::Below => (0.0, [0.0, 1.0]),
            Mode::Above => (0.0, [1.0, 0.0]),
            Mode::AtLeast => (1.0, [0.0, -1.0]),
            Mode::Equal => (1.0, [-1.0, -1.0]),
            Mode::Unequal => (0.0, [1.0, 1.0]),
        }
    }
}

struct Node {
    mode: Mode,
    feature: i64,
    threshold: f64,
    branches: [i64; 2],
    weights: Vec<(usize, f64)>,
    parents: usize,
}

/// The names of the lists of weights: `class` or `target`.
pub(super) struct Names {
    pub(super) trees: &'static str,
    pub(super) nodes: &'static str,
    pub(super) outputs: &'static str,
    pub(super) weights: &'static str,
    pub(super) weights_tensor: &'static str,
}

impl Forest {
    /// Reads the lists; outputs are numbered below `outputs`.
    pub(super) fn of(
        call: &mut Call<'_>,
        names: &Names,
        features: usize,
        outputs: usize,
    ) -> Result<Self, Refusal> {
        let mut trees = nodes(call)?;
        weights(call, names, outputs, &mut trees)?;
        let mut forest = Forest::default();
        let mut known = BTreeMap::new();
        for (tree, nodes) in &trees {
            let leaves = forest.leaves(nodes, features, &mut known);
            let leaves = leaves.map_err(|what| format!("tree {tree}: {what}"))?;
            forest.trees.push(leaves);
        }
        Ok(forest)
    }

    /// The leaves of a tree, each with its path.
    fn leaves(
        &mut self,
        nodes: &BTreeMap<i64, Node>,
        features: usize,
        known: &mut BTreeMap<(usize, u64, bool), usize>,
    ) -> Result<Vec<Leaf>, String> {
        let mut roots = nodes.iter().filter(|(_, n)| n.parents == 0);
        let (Some((root, _)), None) = (roots.next(), roots.next()) else {
            return Err("it has no root, or several".into());
        };
        let mut leaves = vec![];
        let mut seen = 0;
        let start = Leaf {
            offset: 0.5,
            ..Leaf::default()
        };
        let mut open = vec![(*root, 0, start)];
        while let Some((id, depth, path)) = open.pop() {
            if depth > MAX_DEPTH {
                return Err(format!("it has more than {MAX_DEPTH} levels"));
            }
            // Each node but the root has one parent, so none is met twice.
            seen += 1;
            let node = nodes.get(&id).ok_or("a node is missing")?;
            if node.mode == Mode::Leaf {
                leaves.push(Leaf {
                    weights: node.weights.clone(),
                    ..path
                });
                continue;
            }
            let feature = usize::try_from(node.feature).ok().filter(|f| *f < features);
            let feature = feature.ok_or_else(|| {
                format!("node {id} asks for feature {} of {features}", node.feature)
            })?;
            let (constant, weights) = node.mode.taken();
            let mut terms = vec![];
            for (sign, weight) in [1.0, -1.0].into_iter().zip(weights) {
                if weight != 0.0 {
                    let above = Above {
                        feature,
                        threshold: node.threshold,
                        sign,
                    };
                    terms.push((self.comparison(above, known), weight));
                }
            }
            // The false branch first, so that the true one is followed first.
            for (branch, sign, constant) in [
                (node.branches[1], -1.0, -constant),
                (node.branches[0], 1.0, constant - 1.0),
            ] {
                let mut path = path.clone();
                path.terms.extend(terms.iter().map(|(c, w)| (*c, sign * w)));
                path.offset += constant;
                open.push((branch, depth + 1, path));
            }
        }
        if seen != nodes.len() {
            return Err(format!(
                "{} of its nodes are not reached",
                nodes.len() - seen
            ));
        }
        Ok(leaves)
    }

    fn comparison(
        &mut self,
        above: Above,
        known: &mut BTreeMap<(usize, u64, bool), usize>,
    ) -> usize {
        // 0 and -0 are one threshold.
        let bits = (above.threshold + 0.0).to_bits();
        let key = (above.feature, bits, above.sign > 0.0);
        *known.entry(key).or_insert_with(|| {
            self.comparisons.push(above);
            self.comparisons.len() - 1
        })
    }
}

/// Numbers that the file gives as floats or, from version 3 on, as a tensor.
pub(super) fn numbers(
    call: &mut Call<'_>,
    name: &'static str,
    tensor: &'static str,
) -> Result<Vec<f64>, Refusal> {
    match (call.floats(name)?, call.tensor(tensor)?) {
        (Some(list), None) => Ok(list),
        (None, Some(tensor)) => Ok(tensor.data().to_vec()),
        (None, None) => Ok(vec![]),
        (Some(_), Some(_)) => Err(format!("{name} is given twice").into()),
    }
}

fn equal_lengths(lists: &[(&str, usize)], count: usize) -> Result<(), Refusal> {
    match lists.iter().find(|(_, len)| *len != count) {
        Some((name, len)) => Err(format!("{name} has {len} entries, not {count}").into()),
        None => Ok(()),
    }
}

/// The nodes of each tree by their numbers.
fn nodes(call: &mut Call<'_>) -> Result<BTreeMap<i64, BTreeMap<i64, Node>>, Refusal> {
    let mut ints = |name| Ok::<_, Refusal>(call.ints(name)?.unwrap_or_default());
    let trees = ints("nodes_treeids")?;
    let ids = ints("nodes_nodeids")?;
    let features = ints("nodes_featureids")?;
    let yes = ints("nodes_truenodeids")?;
    let no = ints("nodes_falsenodeids")?;
    // Only NaN goes by these, and no input of an encrypted network is NaN.
    ints("nodes_missing_value_tracks_true")?;
    numbers(call, "nodes_hitrates", "nodes_hitrates_as_tensor")?;
    let modes = call.strings("nodes_modes")?.unwrap_or_default();
    let values = numbers(call, "nodes_values", "nodes_values_as_tensor")?;
    let count = trees.len();
    if count == 0 || count > MAX_NODES {
        return Err(format!("it has {count} nodes; from 1 to {MAX_NODES} are read").into());
    }
    let lists = [
        ("nodes_nodeids", ids.len()),
        ("nodes_featureids", features.len()),
        ("nodes_truenodeids", yes.len()),
        ("nodes_falsenodeids", no.len()),
        ("nodes_modes", modes.len()),
        ("nodes_values", values.len()),
    ];
    equal_lengths(&lists, count)?;
    let mut found: BTreeMap<i64, BTreeMap<i64, Node>> = BTreeMap::new();
    for i in 0..count {
        let node = Node {
            mode: Mode::of(&modes[i])?,
            feature: features[i],
            threshold: values[i],
            branches: [yes[i], no[i]],
            weights: vec![],
            parents: 0,
        };
        if node.mode != Mode::Leaf && !node.threshold.is_finite() {
            let what = format!(
                "node {} of tree {} has the threshold {}",
                ids[i], trees[i], values[i]
            );
            return Err(what.into());
        }
        let tree = found.entry(trees[i]).or_default();
        if tree.insert(ids[i], node).is_some() {
            return Err(format!("tree {} has two nodes {}", trees[i], ids[i]).into());
        }
    }
    for (tree, nodes) in &mut found {
        parents(nodes).map_err(|what| format!("tree {tree}: {what}"))?;
    }
    Ok(found)
}

/// Counts the parents of each node: none has two, so that what the root reaches is a tree.
fn parents(nodes: &mut BTreeMap<i64, Node>) -> Result<(), String> {
    let branches: Vec<(i64, i64)> = nodes
        .iter()
        .filter(|(_, n)| n.mode != Mode::Leaf)
        .flat_map(|(id, n)| n.branches.map(|b| (*id, b)))
        .collect();
    for (id, branch) in branches {
        let node = nodes
            .get_mut(&branch)
            .ok_or_else(|| format!("node {id} leads to node {branch}, which is missing"))?;
        node.parents += 1;
        if node.parents > 1 {
            return Err(format!(
                "node {branch} is reached from two branches: this is no tree"
            ));
        }
    }
    Ok(())
}

fn weights(
    call: &mut Call<'_>,
    names: &Names,
    outputs: usize,
    trees: &mut BTreeMap<i64, BTreeMap<i64, Node>>,
) -> Result<(), Refusal> {
    let mut ints = |name| Ok::<_, Refusal>(call.ints(name)?.unwrap_or_default());
    let (tree_ids, node_ids) = (ints(names.trees)?, ints(names.nodes)?);
    let ids = ints(names.outputs)?;
    let values = numbers(call, names.weights, names.weights_tensor)?;
    let lists = [
        (names.nodes, node_ids.len()),
        (names.outputs, ids.len()),
        (names.weights, values.len()),
    ];
    equal_lengths(&lists, tree_ids.len())?;
    for (i, value) in values.iter().enumerate() {
        let (tree, node) = (tree_ids[i], node_ids[i]);
        let leaf = trees.get_mut(&tree).and_then(|t| t.get_mut(&node));
        let leaf = leaf.filter(|n| n.mode == Mode::Leaf).ok_or_else(|| {
            format!(
                "{} names node {node} of tree {tree}, which is no leaf",
                names.nodes
            )
        })?;
        let output = usize::try_from(ids[i]).ok().filter(|o| *o < outputs);
        let output =
            output.ok_or_else(|| format!("{} holds {}, of {outputs}", names.outputs, ids[i]))?;
        if !value.is_finite() {
            return Err(format!("{} holds {value}", names.weights).into());
        }
        leaf.weights.push((output, *value));
    }
    Ok(())
}
