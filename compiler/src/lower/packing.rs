//! Where elements lie in slots, and what matrices then cost.
//!
//! Vectors have a power-of-two period and are repeated to fill all slots. A matrix from period a to period b becomes
//! generalised diagonals over the period max(a, b): entry (row slot r, column slot c) lies on diagonal
//! (c - r) mod min(a, b). If a > b, every slot of the larger period holds a partial sum of row (slot mod b), and
//! log2(a/b) folds by a/2, a/4 .. b add them up; the result then has period b by itself. If a < b, no fold is
//! needed, since the operand repeats. (Replicated packing: the "hybrid" of Orion without its zero padding.)
//!
//! The layout of every value is free, the client's included. Images may be stored in their row-major order, or split into
//! the phases of the strides to come: every phase of every channel is a block of slots with one common pitch, so that
//! a strided convolution becomes a few shifts within a block and a shift of whole blocks, which wraps around.
//!
//! With several samples in a run a slot of the period is a block of as many slots, one for each sample. Where the samples
//! fill a ciphertext, every element has a ciphertext of its own, and matrices become weighted sums of ciphertexts,
//! without rotations; squares join the sums that follow them.
//!
//! Views, which outputs alone are, lie where their operand's elements do.
//!
//! The operand of a fold has no layout of its own: its groups' members lie one result's length apart, behind one
//! another, wherever the result's elements are.

mod diagonals;
mod rules;
#[cfg(test)]
mod tests;

use super::network::{Fold, Kind, Network, Term};
use crate::cost::{Limbs, Rates};
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::layout::Layout;
pub(crate) use diagonals::{Shape, dense_diagonals, shape};
use rules::{Rule, rules};
use std::collections::{BTreeMap, BTreeSet};

/// The layouts of all values.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    /// The layouts that are used.
    pub(crate) layouts: Vec<Layout>,
    /// For each value, its layout.
    pub(crate) of: Vec<usize>,
    /// For each value and term of a linear value that has a matrix, how it is applied.
    pub(crate) shapes: BTreeMap<(usize, usize), Shape>,
    /// Whether every element has a ciphertext of its own, so that matrices become weighted sums.
    pub(crate) separate: bool,
    /// Squares that are made within the weighted sums that use them.
    pub(crate) squares: BTreeSet<usize>,
}

impl Packing {
    /// The samples that lie side by side.
    pub(crate) fn samples(&self) -> usize {
        self.layouts.first().map_or(1, |l| l.samples)
    }
}

/// The packing of as many samples as there are slots: a ciphertext for each element.
fn separate(network: &Network, levels: &[usize], slots: usize) -> Packing {
    let class = classes(network);
    let mut search = Search::new(network, &class, 1, slots);
    let rows = search.options.iter().map(|(root, made)| (*root, made[0]));
    let choice: Choice = rows.collect();
    let of = class
        .iter()
        .map(|root| search.layout_of(*root, &choice))
        .collect();
    Packing {
        layouts: search.layouts,
        of,
        shapes: BTreeMap::new(),
        separate: true,
        squares: joined_squares(network, levels),
    }
}

/// The squares that only one matrix reads, alone and right below them.
fn joined_squares(network: &Network, levels: &[usize]) -> BTreeSet<usize> {
    let read_once = |u: usize| {
        let readers = network
            .values
            .iter()
            .flat_map(super::network::Value::operands);
        readers.filter(|x| *x == u).count() == 1 && !network.outputs.contains(&u)
    };
    let joined = |(v, value): (usize, &super::network::Value)| match &value.kind {
        Kind::Linear { terms, .. } => match terms.as_slice() {
            [(u, Term::Matrix(_))] => {
                let square = matches!(network.values[*u].kind, Kind::Square(_));
                (square && read_once(*u) && levels[*u] == levels[v] + 1).then_some(*u)
            }
            _ => None,
        },
        _ => None,
    };
    network
        .values
        .iter()
        .enumerate()
        .filter_map(joined)
        .collect()
}

/// Values that must share a layout: elementwise operands and results.
pub(crate) fn classes(network: &Network) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..network.values.len()).collect();
    fn root(parent: &[usize], mut i: usize) -> usize {
        while parent[i] != i {
            i = parent[i];
        }
        i
    }
    for (v, value) in network.values.iter().enumerate() {
        let joined: Vec<usize> = match &value.kind {
            Kind::Input(_) | Kind::Fold(..) | Kind::View(..) => vec![],
            Kind::Mul(a, b) => vec![*a, *b],
            Kind::Square(a) => vec![*a],
            Kind::Polynomial { operand, .. } => vec![*operand],
            Kind::Linear { terms, .. } => terms
                .iter()
                .filter(|(_, t)| !matches!(t, Term::Matrix(_)))
                .map(|(u, _)| *u)
                .collect(),
        };
        for u in joined {
            let (a, b) = (root(&parent, v), root(&parent, u));
            parent[a.max(b)] = a.min(b);
        }
    }
    (0..parent.len()).map(|v| root(&parent, v)).collect()
}

/// Chooses the layouts with the lowest cost of all matrices, by the rates of ring degree `2^log_n`. `levels[v]` is the level
/// of value `v`; a power of two of samples lie side by side.
pub(crate) fn choose(
    network: &Network,
    levels: &[usize],
    log_n: u32,
    digit_size: usize,
    special: usize,
    rates: &Rates,
    samples: usize,
) -> Packing {
    let slots = 1 << (log_n - 1);
    if samples == slots {
        return separate(network, levels, samples);
    }
    let class = classes(network);
    let mut search = Search::new(network, &class, slots / samples, samples);
    let edges = edges(network, &class);
    let limbs = |e: usize| Limbs {
        q: levels[edges[e].value] as u64 + 2,
        p: special as u64,
        digit_size: digit_size as u64,
    };
    let mut memo: BTreeMap<(usize, usize, usize), Known> = BTreeMap::new();
    let mut edge_cost = |search: &Search<'_>, e: usize, from: usize, to: usize, limit: f64| {
        match memo.get(&(e, from, to)) {
            Some(Known::Exactly(cost, shape)) => return Some((*cost, shape.clone())),
            Some(Known::MoreThan(cost)) if *cost >= limit => return None,
            _ => {}
        }
        let (from_layout, to_layout) = (&search.layouts[from], &search.layouts[to]);
        let found = shape(
            edges[e].matrix,
            from_layout,
            to_layout,
            limbs(e),
            (log_n, rates),
            limit,
        );
        let known = match &found {
            Some((cost, shape)) => Known::Exactly(*cost, shape.clone()),
            None => Known::MoreThan(limit),
        };
        memo.insert((e, from, to), known);
        found
    };
    // The cost of all edges, or of those that a class has a part in; infinite where it is above the limit.
    let mut total = |search: &mut Search<'_>, choice: &Choice, part: Option<usize>, limit: f64| {
        let mut sum = 0.0;
        for (e, edge) in edges.iter().enumerate() {
            let ends = [edge.from, edge.to];
            if part.is_none_or(|root| ends.iter().any(|end| search.base(*end) == root)) {
                let [from, to] = ends.map(|end| search.layout_of(end, choice));
                match edge_cost(search, e, from, to, limit - sum) {
                    Some((cost, _)) => sum += cost,
                    None => return f64::INFINITY,
                }
            }
        }
        sum
    };

    let mut best: Option<(f64, Choice)> = None;
    for rule in 0..search.rules {
        let made = search
            .options
            .iter()
            .map(|(root, made)| (*root, made[rule]));
        let choice: Choice = made.collect();
        let limit = best.as_ref().map_or(f64::INFINITY, |(cost, _)| *cost);
        let cost = total(&mut search, &choice, None, limit);
        if cost < limit {
            best = Some((cost, choice));
        }
    }
    let mut choice = best.map(|(_, choice)| choice).unwrap_or_default();
    loop {
        let mut improved = false;
        for (root, options) in search.options.clone() {
            let mut current = total(&mut search, &choice, Some(root), f64::INFINITY);
            for option in options {
                let old = choice[&root];
                if option == old {
                    continue;
                }
                choice.insert(root, option);
                let limit = current * (1.0 - 1e-9);
                let cost = total(&mut search, &choice, Some(root), limit);
                if cost < limit {
                    (current, improved) = (cost, true);
                } else {
                    choice.insert(root, old);
                }
            }
        }
        if !improved {
            break;
        }
    }

    let of: Vec<usize> = class
        .iter()
        .map(|root| search.layout_of(*root, &choice))
        .collect();
    let mut shapes = BTreeMap::new();
    for (e, edge) in edges.iter().enumerate() {
        let [from, to] = [edge.from, edge.to].map(|end| search.layout_of(end, &choice));
        if let Some((_, shape)) = edge_cost(&search, e, from, to, f64::INFINITY) {
            shapes.insert((edge.value, edge.term), shape);
        }
    }
    let mut used = of.clone();
    used.sort_unstable();
    used.dedup();
    Packing {
        layouts: used.iter().map(|u| search.layouts[*u].clone()).collect(),
        of: of
            .iter()
            .map(|l| used.iter().position(|u| u == l).unwrap_or(0))
            .collect(),
        shapes,
        separate: false,
        squares: BTreeSet::new(),
    }
}

/// What is known of the cost of a matrix between two layouts.
enum Known {
    Exactly(f64, Shape),
    MoreThan(f64),
}

/// For each free class, by its root, the index of its layout.
type Choice = BTreeMap<usize, usize>;

/// The layouts that classes may have.
struct Search<'n> {
    /// The slots of one sample.
    slots: usize,
    samples: usize,
    layouts: Vec<Layout>,
    /// The number of rules.
    rules: usize,
    /// For each free class, the layout of each rule; row-major where the rule does not apply.
    options: BTreeMap<usize, Vec<usize>>,
    /// For each operand of a fold, the class of the result and how its elements are grouped.
    derived: BTreeMap<usize, (usize, &'n Fold)>,
    /// For each view, the class of its operand and the elements.
    views: BTreeMap<usize, (usize, &'n [u32])>,
    /// The shape and stride of each class.
    shapes: BTreeMap<usize, (Vec<usize>, usize)>,
    /// The layouts of operands of folds, by class and the result's layout.
    made: BTreeMap<(usize, usize), usize>,
}

impl<'n> Search<'n> {
    fn new(network: &'n Network, class: &[usize], slots: usize, samples: usize) -> Self {
        let (mut derived, mut views) = (BTreeMap::new(), BTreeMap::new());
        for (v, value) in network.values.iter().enumerate() {
            if let Kind::Fold(operand, fold) = &value.kind {
                derived.insert(class[*operand], (class[v], fold));
            }
            if let Kind::View(operand, elements) = &value.kind {
                views.insert(class[v], (class[*operand], elements.as_slice()));
            }
        }
        let shape_of = |root: usize| {
            let members = (0..class.len()).filter(|v| class[*v] == root);
            let value = members
                .map(|v| &network.values[v])
                .find(|v| v.shape.len() == 4);
            let value = value.unwrap_or(&network.values[root]);
            (value.shape.clone(), value.stride)
        };
        let roots = (0..class.len()).filter(|v| class[*v] == *v);
        let shapes: BTreeMap<usize, (Vec<usize>, usize)> =
            roots.map(|r| (r, shape_of(r))).collect();
        let rules = if slots == 1 {
            vec![Rule::Dense]
        } else {
            rules(shapes.values())
        };
        let mut search = Self {
            slots,
            samples,
            layouts: Vec::new(),
            rules: rules.len(),
            options: BTreeMap::new(),
            derived,
            views,
            shapes: BTreeMap::new(),
            made: BTreeMap::new(),
        };
        for (root, (shape, stride)) in &shapes {
            if search.derived.contains_key(root) || search.views.contains_key(root) {
                continue;
            }
            let dense = search.intern(Layout::dense(shape.clone(), slots));
            let mut made = Vec::new();
            for rule in &rules {
                let layout = rule.layout(shape, *stride, slots);
                made.push(layout.map_or(dense, |l| search.intern(l)));
            }
            search.options.insert(*root, made);
        }
        search.shapes = shapes;
        search
    }

    fn intern(&mut self, layout: Layout) -> usize {
        let layout = Layout {
            samples: self.samples,
            ..layout
        };
        match self.layouts.iter().position(|l| *l == layout) {
            Some(old) => old,
            None => {
                self.layouts.push(layout);
                self.layouts.len() - 1
            }
        }
    }

    /// The free class that decides a class's layout.
    fn base(&self, mut root: usize) -> usize {
        // A result of a fold has fewer elements than its operand, and nothing reads a view, so that this ends.
        loop {
            let result = self.derived.get(&root).map(|(result, _)| *result);
            match result.or_else(|| self.views.get(&root).map(|(operand, _)| *operand)) {
                Some(other) => root = other,
                None => return root,
            }
        }
    }

    fn layout_of(&mut self, root: usize, choice: &Choice) -> usize {
        if let Some(&(operand, elements)) = self.views.get(&root) {
            let from = self.layout_of(operand, choice);
            let shape = self.shapes.get(&root).map(|(shape, _)| shape.clone());
            let view = self.layouts[from].view(elements, shape.unwrap_or_default());
            // The elements are the operand's.
            return view.map_or(from, |layout| self.intern(layout));
        }
        let Some(&(result, fold)) = self.derived.get(&root) else {
            return choice.get(&root).copied().unwrap_or(0);
        };
        let result = self.layout_of(result, choice);
        if let Some(made) = self.made.get(&(root, result)) {
            return *made;
        }
        let mut layout = unfolded(fold, &self.layouts[result], self.slots);
        if let Some((shape, _)) = self.shapes.get(&root) {
            layout.shape.clone_from(shape);
        }
        let made = self.intern(layout);
        self.made.insert((root, result), made);
        made
    }
}

/// The layout of a fold's operand for one of its result: the members of each group one result's length apart.
fn unfolded(fold: &Fold, result: &Layout, slots: usize) -> Layout {
    let length = result.period * result.ciphertexts;
    let mut positions = vec![0; fold.members.len()];
    for (round, members) in fold.rounds().enumerate() {
        for (member, position) in members.iter().zip(&result.positions) {
            positions[*member as usize] = (round * length) as u32 + position;
        }
    }
    // A result of several ciphertexts fills them, so that its members lie in further ciphertexts.
    let total = length << fold.halvings();
    let period = if result.ciphertexts > 1 {
        result.period
    } else {
        total.min(slots)
    };
    Layout {
        shape: vec![fold.members.len()],
        period,
        ciphertexts: total / period,
        samples: result.samples,
        positions,
    }
}

struct Edge<'n> {
    value: usize,
    term: usize,
    from: usize,
    to: usize,
    matrix: &'n Matrix,
}

fn edges<'n>(network: &'n Network, class: &[usize]) -> Vec<Edge<'n>> {
    let mut edges = Vec::new();
    for (v, value) in network.values.iter().enumerate() {
        let Kind::Linear { terms, .. } = &value.kind else {
            continue;
        };
        for (t, (u, term)) in terms.iter().enumerate() {
            if let Term::Matrix(matrix) = term {
                edges.push(Edge {
                    value: v,
                    term: t,
                    from: class[*u],
                    to: class[v],
                    matrix,
                });
            }
        }
    }
    edges
}
