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

use super::network::{Kind, Network, Term};
use crate::cost::{Limbs, TransformCounts};
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::layout::Layout;
use std::collections::BTreeMap;

/// The diagonals of a matrix between two layouts.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The period of the diagonals.
    pub(crate) period: usize,
    /// Baby steps are rotations below this power of two.
    pub(crate) baby_step: usize,
    /// What it takes.
    pub(crate) counts: TransformCounts,
}

/// Which diagonals are not zero: one flag per block and rotation.
struct Occupied {
    modulus: usize,
    flags: Vec<bool>,
}

fn occupied(m: &Matrix, from: &Layout, to: &Layout) -> Occupied {
    let modulus = from.period.min(to.period);
    let mut flags = vec![false; from.ciphertexts * to.ciphertexts * modulus];
    for r in 0..m.rows {
        let row = to.positions[r] as usize;
        let (row_block, row_slot) = (row / to.period, row % to.period);
        for (c, _) in m.row(r) {
            let col = from.positions[c] as usize;
            let (col_block, col_slot) = (col / from.period, col % from.period);
            // Both are powers of two, so that a wrapping difference keeps its residue.
            let d = col_slot.wrapping_sub(row_slot) & (modulus - 1);
            flags[(row_block * from.ciphertexts + col_block) * modulus + d] = true;
        }
    }
    Occupied { modulus, flags }
}

/// The number of diagonals in row-major packing within one ciphertext, whatever its size.
pub(crate) fn dense_diagonals(m: &Matrix) -> usize {
    let layout = |n: usize| Layout::dense(vec![n], usize::MAX / 2 + 1);
    occupied(m, &layout(m.cols), &layout(m.rows))
        .flags
        .iter()
        .filter(|f| **f)
        .count()
}

/// How a matrix is applied between two layouts: its diagonals and the cheapest split into baby and giant steps.
pub(crate) fn shape(m: &Matrix, from: &Layout, to: &Layout, limbs: Limbs, log_n: u32) -> Shape {
    let found = occupied(m, from, to);
    let period = from.period.max(to.period);
    let folds = (period / to.period.max(1)).ilog2();
    let mut union = vec![false; found.modulus];
    for (i, flag) in found.flags.iter().enumerate() {
        union[i % found.modulus] |= flag;
    }
    let diagonals = found.flags.iter().filter(|f| **f).count() as u64;
    let mut best: Option<(f64, Shape)> = None;
    let mut step = 1;
    while step <= found.modulus {
        let mut babies = vec![false; step];
        let mut giants = vec![false; found.modulus / step];
        for (d, _) in union.iter().enumerate().filter(|(_, f)| **f) {
            babies[d % step] = true;
            giants[d / step] = true;
        }
        let count = |flags: &[bool]| flags.iter().skip(1).filter(|f| **f).count() as u64;
        let counts = TransformCounts {
            cols: from.ciphertexts as u64,
            rows: to.ciphertexts as u64,
            diagonals,
            babies: count(&babies),
            giants: count(&giants),
            folds: u64::from(folds),
        };
        let cost = limbs.transform(counts).seconds(log_n);
        if best.as_ref().is_none_or(|(old, _)| cost < *old) {
            best = Some((
                cost,
                Shape {
                    period,
                    baby_step: step,
                    counts,
                },
            ));
        }
        step *= 2;
    }
    let fallback = Shape {
        period,
        baby_step: 1,
        counts: TransformCounts::default(),
    };
    best.map_or(fallback, |(_, shape)| shape)
}

/// The layouts of all values.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    /// The layouts that are used.
    pub(crate) layouts: Vec<Layout>,
    /// For each value, its layout.
    pub(crate) of: Vec<usize>,
    /// For each value and term of a linear value that has a matrix, how it is applied.
    pub(crate) shapes: BTreeMap<(usize, usize), Shape>,
}

/// A rule that gives a value a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Row-major.
    Dense,
    /// Blocks of one phase of one channel, for a total stride; `pitch` and `block` in slots.
    Phases {
        stride: usize,
        pitch: usize,
        block: usize,
        phase_major: bool,
    },
}

impl Rule {
    /// The layout, or `None` where the rule does not apply.
    fn layout(self, shape: &[usize], stride: usize, slots: usize) -> Option<Layout> {
        let Rule::Phases {
            stride: total,
            pitch,
            block,
            phase_major,
        } = self
        else {
            return Some(Layout::dense(shape.to_vec(), slots));
        };
        let &[n, channels, height, width] = shape else {
            return None;
        };
        let split = phases(total, stride)?;
        let (rows, columns) = (height.div_ceil(split), width.div_ceil(split));
        if columns > pitch || rows * pitch > block {
            return None;
        }
        let blocks = n * channels * split * split;
        let length = blocks.checked_mul(block)?;
        let period = length.next_power_of_two().min(slots);
        let mut positions = Vec::with_capacity(n * channels * height * width);
        for image_channel in 0..n * channels {
            for y in 0..height {
                for x in 0..width {
                    let phase = y % split * split + x % split;
                    let index = if phase_major {
                        phase * n * channels + image_channel
                    } else {
                        image_channel * split * split + phase
                    };
                    positions.push((index * block + y / split * pitch + x / split) as u32);
                }
            }
        }
        Some(Layout {
            shape: shape.to_vec(),
            period,
            ciphertexts: length.div_ceil(period),
            positions,
        })
    }
}

/// The number of phases along an axis of a value at `stride` when the total stride is `total`.
fn phases(total: usize, stride: usize) -> Option<usize> {
    (stride > 0 && total.is_multiple_of(stride)).then(|| total / stride)
}

/// Values that must share a layout: elementwise operands and results.
fn classes(network: &Network) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..network.values.len()).collect();
    fn root(parent: &[usize], mut i: usize) -> usize {
        while parent[i] != i {
            i = parent[i];
        }
        i
    }
    for (v, value) in network.values.iter().enumerate() {
        let joined: Vec<usize> = match &value.kind {
            Kind::Input(_) => vec![],
            Kind::Mul(a, b) => vec![*a, *b],
            Kind::Square(a) => vec![*a],
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

/// Chooses the layouts with the lowest cost of all matrices. `levels[v]` is the level of value `v`.
pub(crate) fn choose(
    network: &Network,
    levels: &[usize],
    log_n: u32,
    digit_size: usize,
    special: usize,
) -> Packing {
    let slots = 1_usize << (log_n - 1);
    let class = classes(network);
    let roots: Vec<usize> = (0..class.len()).filter(|v| class[*v] == *v).collect();
    let shape_of = |root: usize| {
        let members = (0..class.len()).filter(|v| class[*v] == root);
        let value = members
            .map(|v| &network.values[v])
            .find(|v| v.shape.len() == 4);
        let value = value.unwrap_or(&network.values[root]);
        (value.shape.clone(), value.stride)
    };
    let shapes: BTreeMap<usize, (Vec<usize>, usize)> =
        roots.iter().map(|r| (*r, shape_of(*r))).collect();

    let rules = rules(shapes.values());
    let mut layouts: Vec<Layout> = Vec::new();
    let mut intern = |layout: Layout| match layouts.iter().position(|l| *l == layout) {
        Some(old) => old,
        None => {
            layouts.push(layout);
            layouts.len() - 1
        }
    };
    // For each class, the layout of each rule; a rule that does not apply falls back to row-major.
    let mut options: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (root, (shape, stride)) in &shapes {
        let dense = intern(Layout::dense(shape.clone(), slots));
        let of_rule = |rule: &Rule| rule.layout(shape, *stride, slots);
        let made: Vec<usize> = rules
            .iter()
            .map(|r| of_rule(r).map_or(dense, &mut intern))
            .collect();
        options.insert(*root, made);
    }

    let edges: Vec<Edge<'_>> = edges(network, &class);
    let mut memo: BTreeMap<(usize, usize, usize), (f64, Shape)> = BTreeMap::new();
    let mut edge_cost = |e: usize, from: usize, to: usize| {
        let edge = &edges[e];
        let known = memo.entry((e, from, to)).or_insert_with(|| {
            let limbs = Limbs {
                q: levels[edge.value] as u64 + 2,
                p: special as u64,
                digit_size: digit_size as u64,
            };
            let shape = shape(edge.matrix, &layouts[from], &layouts[to], limbs, log_n);
            (limbs.transform(shape.counts).seconds(log_n), shape)
        });
        known.clone()
    };
    let mut total = |choice: &BTreeMap<usize, usize>, touching: Option<usize>| {
        let mut sum = 0.0;
        for (e, edge) in edges.iter().enumerate() {
            if touching.is_none_or(|root| edge.from == root || edge.to == root) {
                sum += edge_cost(e, choice[&edge.from], choice[&edge.to]).0;
            }
        }
        sum
    };

    let mut best: Option<(f64, BTreeMap<usize, usize>)> = None;
    for rule in 0..rules.len() {
        let choice: BTreeMap<usize, usize> = options
            .iter()
            .map(|(root, made)| (*root, made[rule]))
            .collect();
        let cost = total(&choice, None);
        if best.as_ref().is_none_or(|(old, _)| cost < *old) {
            best = Some((cost, choice));
        }
    }
    let mut choice = best.map(|(_, choice)| choice).unwrap_or_default();
    loop {
        let mut improved = false;
        for root in &roots {
            let mut current = total(&choice, Some(*root));
            for option in &options[root] {
                let old = choice[root];
                if *option == old {
                    continue;
                }
                choice.insert(*root, *option);
                let cost = total(&choice, Some(*root));
                if cost < current * (1.0 - 1e-9) {
                    (current, improved) = (cost, true);
                } else {
                    choice.insert(*root, old);
                }
            }
        }
        if !improved {
            break;
        }
    }

    let mut used: Vec<usize> = choice.values().copied().collect();
    used.sort_unstable();
    used.dedup();
    let of = class
        .iter()
        .map(|root| used.iter().position(|u| *u == choice[root]).unwrap_or(0))
        .collect();
    let mut made = BTreeMap::new();
    for (e, edge) in edges.iter().enumerate() {
        made.insert(
            (edge.value, edge.term),
            edge_cost(e, choice[&edge.from], choice[&edge.to]).1,
        );
    }
    Packing {
        layouts: used.iter().map(|u| layouts[*u].clone()).collect(),
        of,
        shapes: made,
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

/// All rules worth trying for values of the given shapes and strides.
fn rules<'s>(shapes: impl Iterator<Item = &'s (Vec<usize>, usize)> + Clone) -> Vec<Rule> {
    let images = shapes.filter_map(|(s, stride)| match s.as_slice() {
        &[_, _, h, w] if h * w > 1 => Some((h, w, *stride)),
        _ => None,
    });
    let mut totals: Vec<usize> = images.clone().map(|(_, _, stride)| stride).collect();
    totals.sort_unstable();
    totals.dedup();
    let mut rules = vec![Rule::Dense];
    for total in totals {
        let split = images
            .clone()
            .filter_map(|(h, w, stride)| Some((h, w, phases(total, stride)?)));
        let height = split
            .clone()
            .map(|(h, _, s)| h.div_ceil(s))
            .max()
            .unwrap_or(1);
        let width = split.map(|(_, w, s)| w.div_ceil(s)).max().unwrap_or(1);
        for pitch in [width, width.next_power_of_two()] {
            let exact = height * pitch;
            for block in [exact, exact.next_power_of_two()] {
                for phase_major in [false, true] {
                    let rule = Rule::Phases {
                        stride: total,
                        pitch,
                        block,
                        phase_major,
                    };
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
    }
    rules
}
