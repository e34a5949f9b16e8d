//! The bytes of a plan's keys, and those that a run holds at its peak.
//!
//! A run has two moments that may take the most: when the keys are expanded one by one, while their file is still
//! there, and the most demanding step. Residues are 32-bit words modulo primes below 2^32 where they are kept (keys,
//! diagonals) and 64-bit words where they are worked on (ciphertexts, scratch).

use super::{Plan, Register, StepOp, Transform};
use crate::params::CkksLiteral;
use std::collections::{BTreeMap, BTreeSet};

/// The program itself with its stacks and small allocations.
const PROCESS_BYTES: u64 = 11 << 20;
/// Bytes per word of a limb that the tables of its transform take.
const TABLE_BYTES: u64 = 64;
/// Buffers that threads use at once are counted for this many.
pub(super) const THREADS: u64 = 4;

/// Bytes that weighted sums take at most before they are divided.
pub const OPEN_SUMS: u64 = 256 << 20;

/// What all keys of a plan take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyBytes {
    /// In the file: one half, bit-packed.
    pub file: u64,
    /// The largest one as it is read: one half, 64-bit words.
    pub seeded: u64,
    /// As they are used: both halves in the words of their primes.
    pub expanded: u64,
}

/// The bytes of the word that keeps a residue.
pub(super) fn word_bytes(prime: u64) -> u64 {
    if prime < 1 << 32 { 4 } else { 8 }
}

/// The primes of a ring element at a level with special limbs.
pub(super) fn primes(params: &CkksLiteral, level: usize) -> impl Iterator<Item = u64> {
    params.q.iter().take(level + 1).chain(&params.p).copied()
}

/// The bytes of `limbs` rows of 64-bit words.
fn rows(params: &CkksLiteral, limbs: usize) -> u64 {
    8 * (limbs as u64) * params.n() as u64
}

/// The bytes of all keys that a plan asks for.
pub fn key_bytes(plan: &Plan) -> KeyBytes {
    let (params, n) = (&plan.params, plan.params.n() as u64);
    let rotations = plan.keys.rotations.iter().map(|k| k.level);
    let single = plan
        .keys
        .relinearization
        .iter()
        .chain(&plan.keys.conjugation);
    let mut all = KeyBytes::default();
    for level in rotations.chain(single.copied()) {
        let level = (level as usize).min(params.max_level());
        let digits = (level + 1).div_ceil(params.digit_size.max(1)) as u64;
        let mut seeded = 0;
        for prime in primes(params, level) {
            all.file += digits * n * u64::from(u64::BITS - prime.leading_zeros()) / 8;
            all.expanded += digits * n * 2 * word_bytes(prime);
            seeded += digits * n * 8;
        }
        all.seeded = all.seeded.max(seeded);
        // The seed, the entry in the header, and the section's place and padding.
        all.file += 96;
    }
    all
}

/// The numbers of the plan itself: recipes, vectors and the clear network's weights.
fn recipes(plan: &Plan) -> u64 {
    let diagonals = plan
        .transforms
        .iter()
        .flat_map(|t| &t.blocks)
        .flat_map(|b| &b.diagonals);
    let numbers = diagonals.map(|d| d.values.len()).sum::<usize>()
        + plan.vectors.iter().map(|v| v.values.len()).sum::<usize>()
        // Entry and column, in the plan and as the kernels read them.
        + plan
            .weights
            .iter()
            .map(|w| 3 * w.matrix.values.len() + w.bias.len())
            .sum::<usize>()
        + plan
            .clear
            .constants
            .iter()
            .map(|c| c.tensor.len())
            .sum::<usize>();
    8 * numbers as u64
}

/// The encoded diagonals and vectors.
fn constants(plan: &Plan) -> u64 {
    let params = &plan.params;
    let transform = |t: &Transform| {
        let diagonals: usize = t.blocks.iter().map(|b| b.diagonals.len()).sum();
        let words: u64 = primes(params, t.level).map(word_bytes).sum();
        (diagonals * 2 * t.period * t.samples) as u64 * words
    };
    let vectors: usize = plan.vectors.iter().map(|v| v.values.len()).sum();
    let vectors = vectors * plan.samples();
    plan.transforms.iter().map(transform).sum::<u64>() + (2 * 8 * vectors * params.q.len()) as u64
}

/// What a transform holds while it is executed, besides its operands and results.
fn transform_scratch(params: &CkksLiteral, t: &Transform) -> u64 {
    let digits = (t.level + 1).div_ceil(params.digit_size.max(1));
    let limbs = t.level + 1 + params.p.len();
    let overflow = if params.digit_size > 1 { digits } else { 0 };
    let decomposition = rows(params, t.level + 1 + overflow);
    let step = t.baby_step.max(1);
    let (mut giants, mut columns) = (BTreeSet::new(), BTreeSet::new());
    let mut babies: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    for block in &t.blocks {
        columns.insert(block.col);
        for diagonal in &block.diagonals {
            let rotation = diagonal.rotation as usize;
            giants.insert((block.row, rotation / step));
            babies.entry(block.col).or_default().insert(rotation % step);
        }
    }
    let rotations = babies.values().map(BTreeSet::len).max().unwrap_or(0);
    let hoisted = columns.len() as u64 * decomposition
        + giants.len() as u64 * rows(params, 2 * limbs)
        + THREADS * rows(params, 2 * rotations + digits);
    // The giant steps' sums stay while their second parts are divided and decomposed; folds need less.
    let moved = giants.len() as u64 * (rows(params, 2 * limbs + t.level + 1) + decomposition)
        + t.blocks
            .iter()
            .map(|b| b.row)
            .max()
            .map_or(0, |r| u64::from(r) + 1)
            * rows(params, 2 * limbs);
    hoisted.max(moved)
}

/// The most that live ciphertexts and one step's scratch take.
fn execution(plan: &Plan) -> u64 {
    let params = &plan.params;
    let ciphertext = |level: usize| rows(params, 2 * (level + 1));
    // Between weighted sums values lie in words of their primes' size.
    let compact = |level: usize| {
        let words = params.q.iter().take(level + 1).map(|q| word_bytes(*q));
        2 * params.n() as u64 * words.sum::<u64>()
    };
    let mut sizes: BTreeMap<Register, u64> = BTreeMap::new();
    let mut given = 0;
    for port in &plan.inputs {
        let size = if plan.weights.is_empty() {
            ciphertext(port.level)
        } else {
            compact(port.level)
        };
        sizes.extend(port.registers.iter().map(|r| (*r, size)));
        // The ciphertexts as they came stay, and what is left of their file: one part in full words, and half as much.
        given += port.registers.len() as u64 * rows(params, port.level + 1) * 3 / 2;
    }
    if plan.weights.is_empty() {
        given = 2 * sizes.values().sum::<u64>();
    }
    let mut live: u64 = sizes.values().sum();
    let mut peak = live;
    for step in &plan.steps {
        let scratch = match &step.op {
            StepOp::LinearTransform { transform, .. } => plan
                .transforms
                .get(*transform as usize)
                .map_or(0, |t| transform_scratch(params, t)),
            StepOp::Combine { products, .. } if products.is_empty() => {
                2 * ciphertext(step.level + 1)
            }
            StepOp::WeightedSums { squares, .. } => {
                // Some results at a time before their division, and a relinearisation for each thread.
                let limbs = step.level + 3 + params.p.len();
                OPEN_SUMS + THREADS * rows(params, if *squares { 8 } else { 4 } * limbs)
            }
            StepOp::Mul { .. }
            | StepOp::Square { .. }
            | StepOp::Fold { .. }
            | StepOp::Combine { .. } => {
                let limbs = step.level + 2 + params.p.len();
                // The product's three parts, the digits, the switched pair and its division.
                rows(params, 6 * limbs) + THREADS * rows(params, limbs)
            }
            StepOp::Rescale { .. } | StepOp::MulScalar { .. } | StepOp::MulVector { .. } => {
                2 * ciphertext(step.level + 1)
            }
            StepOp::Add { .. }
            | StepOp::Sub { .. }
            | StepOp::AddVector { .. }
            | StepOp::Gain { .. }
            | StepOp::DropLevel { .. } => ciphertext(step.level),
        };
        let size = match &step.op {
            StepOp::WeightedSums { .. } => compact(step.level),
            _ => ciphertext(step.level),
        };
        for register in step.op.results() {
            live += size;
            live -= sizes.insert(register, size).unwrap_or(0);
        }
        peak = peak.max(live + scratch);
        for register in &step.free {
            live -= sizes.remove(register).unwrap_or(0);
        }
    }
    // The file of the inputs stays beside them.
    peak + given
}

/// The peak of the resident memory, in bytes, of a process that executes a plan that passed the verifier and holds all
/// diagonals expanded; see [`super::residency`] for less.
pub fn run_bytes(plan: &Plan) -> u64 {
    let keys = key_bytes(plan);
    let params = &plan.params;
    let limbs = (params.q.len() + params.p.len()) as u64;
    // Automorphisms have tables of their own.
    let moves = 2 * plan.keys.rotations.len() as u64 * 4 * params.n() as u64;
    let tables = limbs * TABLE_BYTES * params.n() as u64 + moves;
    let resident = PROCESS_BYTES + tables + recipes(plan) + constants(plan) + keys.expanded;
    resident + (keys.file + THREADS * keys.seeded).max(execution(plan))
}

#[cfg(test)]
mod tests {
    use super::super::test_plans::{params, plan};
    use super::*;
    use crate::plan::{KeyRequest, RotationKeySpec};

    fn rotation(steps: u32, level: u32) -> RotationKeySpec {
        RotationKeySpec { steps, level }
    }

    /// Five digits over five narrow primes and one wide special one.
    #[test]
    fn keys_take_the_words_of_their_primes() {
        let mut plan = plan();
        plan.params = params();
        plan.keys = KeyRequest {
            rotations: vec![rotation(1, 4)],
            ..KeyRequest::default()
        };
        let keys = key_bytes(&plan);
        assert_eq!(keys.expanded, 5 * 2 * 8192 * (5 * 4 + 8));
        assert_eq!(keys.seeded, 5 * 8192 * 6 * 8);
        let (low, high) = (plan.params.log_qp(), plan.params.log_qp() + 6.0);
        let bits = keys.file as f64 * 8.0 / (5.0 * 8192.0);
        assert!(low < bits && bits < high + 0.1, "{bits} of {low}");
        // At level 1 there are two digits and three limbs.
        plan.keys.rotations.push(rotation(2, 1));
        let both = key_bytes(&plan);
        assert_eq!(both.expanded - keys.expanded, 2 * 2 * 8192 * (2 * 4 + 8));
        assert_eq!(both.seeded, keys.seeded);
    }

    #[test]
    fn a_run_holds_its_keys_and_its_live_ciphertexts() {
        let mut plan = plan();
        let before = run_bytes(&plan);
        let ciphertexts = plan
            .inputs
            .iter()
            .map(|p| p.registers.len() as u64 * 2 * 8192 * 8);
        let keys = key_bytes(&plan).expanded;
        assert!(before > PROCESS_BYTES + keys + ciphertexts.sum::<u64>());
        let other = plan
            .keys
            .rotations
            .iter()
            .map(|k| k.steps)
            .max()
            .unwrap_or(0)
            + 1;
        plan.keys.rotations.push(rotation(other, 0));
        let added = run_bytes(&plan) - before;
        assert!(added >= key_bytes(&plan).expanded - keys, "{added}");
    }
}
