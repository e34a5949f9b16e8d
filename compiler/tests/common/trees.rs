//! A small trainer of decision trees, and the nodes of `ai.onnx.ml` that exporters write of them.

#![allow(dead_code, clippy::unwrap_used)]

use super::build::{A, Model, node};

/// A node of a tree: a leaf's class counts, or a comparison of a feature and two branches.
enum Node {
    Leaf(Vec<f64>),
    Branch(usize, f64, usize, usize),
}

/// A tree as a list of nodes, the root first.
pub(crate) struct Tree(Vec<Node>);

/// Rows of features and their classes.
pub(crate) struct Set<'a> {
    pub(crate) rows: &'a [Vec<f64>],
    pub(crate) classes: &'a [usize],
    pub(crate) count: usize,
}

impl Tree {
    /// Splits by Gini impurity, at f32 midpoints, over the features that `allowed` names for a seed.
    pub(crate) fn train(set: &Set<'_>, members: &[usize], depth: usize, seed: u64) -> Self {
        let mut tree = Tree(vec![]);
        tree.grow(set, members, depth, &mut { seed });
        tree
    }

    fn grow(&mut self, set: &Set<'_>, members: &[usize], depth: usize, seed: &mut u64) -> usize {
        let place = self.0.len();
        let counts = counts(set, members);
        self.0.push(Node::Leaf(counts.clone()));
        let pure = counts.iter().filter(|c| **c > 0.0).count() < 2;
        if depth == 0 || pure {
            return place;
        }
        let Some((feature, threshold)) = best_split(set, members, seed) else {
            return place;
        };
        let (yes, no): (Vec<usize>, Vec<usize>) = members
            .iter()
            .partition(|m| set.rows[**m][feature] <= threshold);
        let yes = self.grow(set, &yes, depth - 1, seed);
        let no = self.grow(set, &no, depth - 1, seed);
        self.0[place] = Node::Branch(feature, threshold, yes, no);
        place
    }
}

fn counts(set: &Set<'_>, members: &[usize]) -> Vec<f64> {
    let mut counts = vec![0.0; set.count];
    members.iter().for_each(|m| counts[set.classes[*m]] += 1.0);
    counts
}

fn gini(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    total - counts.iter().map(|c| c * c).sum::<f64>() / total.max(1.0)
}

fn best_split(set: &Set<'_>, members: &[usize], seed: &mut u64) -> Option<(usize, f64)> {
    let mut best: Option<(f64, usize, f64)> = None;
    for feature in 0..set.rows[0].len() {
        // Seed 0 sees all features, others a third of them.
        if *seed != 0 {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if !(*seed >> 33).is_multiple_of(3) {
                continue;
            }
        }
        let mut order = members.to_vec();
        order.sort_by(|a, b| set.rows[*a][feature].total_cmp(&set.rows[*b][feature]));
        let (mut left, mut right) = (vec![0.0; set.count], counts(set, members));
        for pair in order.windows(2) {
            let class = set.classes[pair[0]];
            left[class] += 1.0;
            right[class] -= 1.0;
            let (a, b) = (set.rows[pair[0]][feature], set.rows[pair[1]][feature]);
            let middle = f64::from((0.5 * (a + b)) as f32);
            if !(a <= middle && middle < b) {
                continue;
            }
            let impurity = gini(&left) + gini(&right);
            if best.is_none_or(|(least, ..)| impurity < least) {
                best = Some((impurity, feature, middle));
            }
        }
    }
    best.map(|(_, feature, threshold)| (feature, threshold))
}

/// The lists of an ensemble, as the attributes of `TreeEnsembleClassifier` hold them.
#[derive(Clone, Default)]
pub(crate) struct Lists {
    pub(crate) trees: Vec<i64>,
    pub(crate) ids: Vec<i64>,
    pub(crate) features: Vec<i64>,
    pub(crate) modes: Vec<&'static str>,
    pub(crate) values: Vec<f32>,
    pub(crate) yes: Vec<i64>,
    pub(crate) no: Vec<i64>,
    pub(crate) leaf_trees: Vec<i64>,
    pub(crate) leaf_ids: Vec<i64>,
    pub(crate) classes: Vec<i64>,
    pub(crate) weights: Vec<f32>,
}

impl Lists {
    /// A forest whose leaves vote with the shares of their classes.
    pub(crate) fn of(forest: &[Tree]) -> Self {
        let mut lists = Lists::default();
        for (t, tree) in forest.iter().enumerate() {
            for (id, node) in tree.0.iter().enumerate() {
                let (mode, feature, value, yes, no) = match node {
                    Node::Leaf(_) => ("LEAF", 0, 0.0, 0, 0),
                    Node::Branch(f, v, yes, no) => ("BRANCH_LEQ", *f, *v, *yes, *no),
                };
                lists.push(
                    t as i64,
                    id as i64,
                    (mode, feature as i64, value as f32),
                    [yes as i64, no as i64],
                );
                if let Node::Leaf(counts) = node {
                    let total: f64 = counts.iter().sum();
                    for (class, count) in counts.iter().enumerate().filter(|(_, c)| **c > 0.0) {
                        let weight = count / total / forest.len() as f64;
                        lists.leaf(t as i64, id as i64, class as i64, weight as f32);
                    }
                }
            }
        }
        lists
    }

    pub(crate) fn push(
        &mut self,
        tree: i64,
        id: i64,
        (mode, feature, value): (&'static str, i64, f32),
        [yes, no]: [i64; 2],
    ) {
        self.trees.push(tree);
        self.ids.push(id);
        self.modes.push(mode);
        self.features.push(feature);
        self.values.push(value);
        self.yes.push(yes);
        self.no.push(no);
    }

    pub(crate) fn leaf(&mut self, tree: i64, id: i64, class: i64, weight: f32) {
        self.leaf_trees.push(tree);
        self.leaf_ids.push(id);
        self.classes.push(class);
        self.weights.push(weight);
    }

    /// The model: a classifier, or a regressor of `classes` targets.
    pub(crate) fn model(
        &self,
        features: usize,
        classes: usize,
        regressor: bool,
        more: &[(&str, A)],
    ) -> Model {
        let mut attributes = vec![
            ("nodes_treeids", A::Is(self.trees.clone())),
            ("nodes_nodeids", A::Is(self.ids.clone())),
            ("nodes_featureids", A::Is(self.features.clone())),
            ("nodes_modes", A::Ss(self.modes.clone())),
            ("nodes_values", A::Fs(self.values.clone())),
            ("nodes_truenodeids", A::Is(self.yes.clone())),
            ("nodes_falsenodeids", A::Is(self.no.clone())),
        ];
        let own: [(&str, A); 4] = if regressor {
            [
                ("target_treeids", A::Is(self.leaf_trees.clone())),
                ("target_nodeids", A::Is(self.leaf_ids.clone())),
                ("target_ids", A::Is(self.classes.clone())),
                ("target_weights", A::Fs(self.weights.clone())),
            ]
        } else {
            [
                ("class_treeids", A::Is(self.leaf_trees.clone())),
                ("class_nodeids", A::Is(self.leaf_ids.clone())),
                ("class_ids", A::Is(self.classes.clone())),
                ("class_weights", A::Fs(self.weights.clone())),
            ]
        };
        attributes.extend(own);
        attributes.push(if regressor {
            ("n_targets", A::I(classes as i64))
        } else {
            ("classlabels_int64s", A::Is((0..classes as i64).collect()))
        });
        attributes.extend(more.iter().cloned());
        let (op, outputs) = if regressor {
            ("ai.onnx.ml:TreeEnsembleRegressor", "y")
        } else {
            ("ai.onnx.ml:TreeEnsembleClassifier", "label y")
        };
        let mut model = Model::of(
            17,
            node(op, "x", outputs, &attributes),
            &[1, features as i64],
            vec![],
        );
        model.outputs = outputs.split(' ').collect();
        model
    }
}
