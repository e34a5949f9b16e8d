//! Tests of [`super`]: paths of random trees, for all truth values.

use super::super::network::{Port, Value};
use super::super::scalar::Scalar;
use super::super::statistics::evaluate;
use super::*;
use cipherloom_ir::integer::{SETS, noise};
use cipherloom_ir::tensor::Function;
use cipherloom_ir::{Origin, Tensor, Tensors};

/// A tree: the number of a leaf, or a truth value with the branches where it does not hold and where it does.
enum Tree {
    Leaf,
    Branch(usize, Box<[Tree; 2]>),
}

impl Tree {
    /// A tree that asks for each truth value once at most on a path.
    fn random(seed: &mut u64, known: &[usize], truths: usize, depth: usize) -> Self {
        let mut draw = |n: usize| {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*seed >> 33) as usize % n
        };
        let open: Vec<usize> = (0..truths).filter(|t| !known.contains(t)).collect();
        if depth == 0 || open.is_empty() || !known.is_empty() && draw(5) == 0 {
            return Tree::Leaf;
        }
        let truth = open[draw(open.len())];
        let known = [known, &[truth]].concat();
        let branch = |seed: &mut u64| Tree::random(seed, &known, truths, depth - 1);
        Tree::Branch(truth, Box::new([branch(seed), branch(seed)]))
    }

    fn paths(&self, path: &[(usize, bool)], all: &mut Vec<Vec<(usize, bool)>>) {
        match self {
            Tree::Leaf => all.push(path.to_vec()),
            Tree::Branch(truth, branches) => {
                for (holds, branch) in [false, true].into_iter().zip(branches.iter()) {
                    branch.paths(&[path, &[(*truth, holds)]].concat(), all);
                }
            }
        }
    }
}

/// Truth values of an input's elements, the paths of trees over them, and the paths put out.
fn network(truths: usize, paths: &[Vec<(usize, bool)>]) -> Network {
    let lookup = |operand: Pending| Value {
        len: operand.bias.len(),
        kind: Kind::Lookup {
            operand,
            function: Scalar::function(Function::Step),
        },
        copies: 1,
        grid: None,
        levels: None,
        is_comparison: false,
        origin: Origin::Pass("test".into()),
    };
    let input = Value {
        kind: Kind::Input("x".into()),
        len: truths,
        ..lookup(Pending::of(0, truths))
    };
    let weight = |holds: bool| if holds { 1.0 } else { -1.0 };
    let row = |path: &Vec<(usize, bool)>| path.iter().map(|(t, h)| (*t, weight(*h))).collect();
    let asked = |path: &Vec<(usize, bool)>| path.iter().filter(|(_, h)| *h).count() as f64;
    let sums = Pending {
        terms: vec![(1, rows(truths, paths.iter().map(row)))],
        bias: paths.iter().map(|p| 0.5 - asked(p)).collect(),
        name: String::new(),
    };
    Network {
        values: vec![input, lookup(Pending::of(0, truths)), lookup(sums)],
        outputs: vec![Port {
            value: Pending::of(2, paths.len()),
            origin: Origin::Pass("test".into()),
        }],
    }
}

fn outputs(network: &Network, bits: usize, truths: usize) -> Vec<f64> {
    let x = (0..truths).map(|t| if bits >> t & 1 == 1 { 0.5 } else { -0.5 });
    let x = Tensor::new(vec![truths], x.collect()).unwrap();
    let sample = evaluate(network, &Tensors::from([("x".to_owned(), x)])).unwrap();
    crate::integer::statistics::apply(&network.outputs[0].value, &sample)
}

fn bootstraps(network: &Network) -> usize {
    let looked_up = network.values.iter().filter_map(|v| match &v.kind {
        Kind::Lookup { operand, .. } => Some(operand),
        Kind::Input(_) => None,
    });
    looked_up.map(|o| shared::groups(o).len()).sum()
}

#[test]
fn paths_of_random_trees_stay_what_they_are() {
    for seed in 0..60_u64 {
        let truths = 3 + seed as usize % 5;
        let mut paths = vec![];
        let mut draws = seed;
        for _ in 0..1 + seed % 3 {
            Tree::random(&mut draws, &[], truths, 5).paths(&[], &mut paths);
        }
        let before = network(truths, &paths);
        for (set, rest) in SETS.into_iter().flat_map(|s| [(s, true), (s, false)]) {
            let budget = Budget::new(set, noise::DEFAULT_LOG2_FAILURE);
            let Some((after, changed)) = before.with_siblings(&budget, rest) else {
                continue;
            };
            assert_eq!(changed, [2]);
            assert!(bootstraps(&after) < bootstraps(&before), "{seed}");
            for bits in 0..1 << truths {
                let reached = |path: &Vec<(usize, bool)>| {
                    let holds = path.iter().all(|(t, h)| (bits >> t & 1 == 1) == *h);
                    f64::from(u8::from(holds))
                };
                let expected: Vec<f64> = paths.iter().map(reached).collect();
                assert_eq!(outputs(&after, bits, truths), expected, "{seed}");
                assert_eq!(outputs(&before, bits, truths), expected, "{seed}");
            }
        }
    }
}

/// Bootstraps for paths, of numbers from 1 on that are negative where the opposite has to hold.
fn joined(paths: &[&[i32]], bits: u32, rest: bool) -> Option<usize> {
    let truth = |l: &i32| (l.unsigned_abs() as usize - 1, *l > 0);
    let paths: Vec<Vec<_>> = paths
        .iter()
        .map(|p| p.iter().map(truth).collect())
        .collect();
    let budget = Budget::new(
        SETS.into_iter().find(|s| s.bits == bits)?,
        noise::DEFAULT_LOG2_FAILURE,
    );
    let (network, _) = network(12, &paths).with_siblings(&budget, rest)?;
    Some(bootstraps(&network) - 12)
}

#[test]
fn siblings_take_one_bootstrap() {
    let tree: [&[i32]; 4] = [&[1, 2], &[1, -2], &[-1, 3], &[-1, -3]];
    // Three truth values spell numbers below 8.
    assert_eq!(joined(&tree, 4, false), Some(1));
    assert_eq!(joined(&tree, 2, false), Some(2));
    let chain: [&[i32]; 5] = [&[1, 2, 3, 4], &[1, 2, 3, -4], &[1, 2, -3], &[1, -2], &[-1]];
    assert_eq!(joined(&chain, 4, false), Some(2));
    assert_eq!(joined(&chain[..3], 4, false), Some(1));
    assert_eq!(joined(&chain[..2], 4, false), Some(1));
    // One path is what the others leave.
    let three: [&[i32]; 3] = [&[1, 2], &[1, -2], &[-1]];
    assert_eq!(
        (joined(&three, 2, false), joined(&three, 2, true)),
        (Some(1), Some(1))
    );
    // Twice seven and 1 are within the 16 entries of a table, twice eight and 1 are not.
    let long: Vec<i32> = (1..=8).collect();
    let other = [&long[..7], &[-8]].concat();
    assert_eq!(joined(&[&long, &other], 4, false), Some(1));
    let long: Vec<i32> = (1..=9).collect();
    let other = [&long[..8], &[-9]].concat();
    assert_eq!(joined(&[&long, &other], 4, false), None);
}

#[test]
fn stumps_take_no_bootstrap_of_their_own() {
    assert_eq!(joined(&[&[1], &[-1], &[2], &[-2]], 2, true), Some(0));
}

#[test]
fn what_is_counted_stays() {
    let paths = [vec![(0, true), (1, true)], vec![(0, true), (1, false)]];
    let mut network = network(2, &paths);
    let budget = Budget::new(SETS[1], noise::DEFAULT_LOG2_FAILURE);
    assert!(network.with_siblings(&budget, true).is_some());
    let mut counted = network.values[2].clone();
    counted.len = 1;
    counted.kind = Kind::Lookup {
        operand: Pending {
            terms: vec![(2, rows(2, [vec![(0, 1.0), (1, 2.0)]].into_iter()))],
            bias: vec![-0.5],
            name: String::new(),
        },
        function: Scalar::function(Function::Step),
    };
    network.values.push(counted);
    assert!(network.with_siblings(&budget, true).is_none());
}
