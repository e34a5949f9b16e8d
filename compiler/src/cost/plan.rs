//! What a plan's steps will take.

use super::{CostModel, Limbs, Rates, TransformShape, Work};
use cipherloom_ir::params::CkksLiteral;
use cipherloom_ir::plan::{Estimates, Plan, Step, StepOp, Transform, key_bytes, run_bytes};
use std::collections::BTreeSet;

/// Primes from here on are kept in 64-bit words.
const WIDE: u64 = 1 << 32;

/// The work of a step, at which level, and the bytes that it reads of keys and diagonals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepWork {
    /// Primitive operations.
    pub work: Work,
    /// The level of the operands, at which they are done.
    pub level: usize,
    /// Bytes of keys and diagonals.
    pub bytes: u64,
}

/// All estimates of a plan whose steps and keys are known; the latency is that of one thread.
pub fn estimates(plan: &Plan, model: &CostModel) -> Estimates {
    let mut work = Work::default();
    plan.steps
        .iter()
        .for_each(|s| work += step_work(plan, s).work);
    Estimates {
        ntts: work.ntts,
        limb_macs: work.macs(),
        latency_s: model.seconds(plan, 1),
        eval_key_bytes: key_bytes(plan).file,
        run_bytes: run_bytes(plan),
        choice: plan.estimates.choice.clone(),
    }
}

/// The seconds of each step on so many threads, with keys and constants expanded.
pub fn step_seconds(plan: &Plan, model: &CostModel, threads: usize) -> Vec<f64> {
    let ring = model.ring(plan.params.log_n);
    let speedup = ring.speedup(threads);
    let seconds = |step: &Step| {
        let StepWork { work, level, bytes } = step_work(plan, step);
        let rates = Rates {
            // Weighted sums are modulo the chain alone.
            sum: ring.rates(wide_share(chain(&plan.params, level))).sum,
            ..ring.rates(wide_share(&primes(&plan.params, level)))
        };
        // Memory is shared by all threads.
        let least = bytes as f64 / model.memory_bytes_per_s.max(1.0);
        // Each sum is a job of its own.
        let (sums, rest) = (
            Work {
                sums: work.sums,
                ..Work::default()
            },
            Work { sums: 0, ..work },
        );
        let shared = rates.seconds(rest) / speedup + rates.seconds(sums) / threads.max(1) as f64;
        shared.max(least)
    };
    plan.steps.iter().map(seconds).collect()
}

/// The chain's primes of a level.
fn chain(params: &CkksLiteral, level: usize) -> &[u64] {
    params.q.get(..=level).unwrap_or(&params.q)
}

/// The primes of a level and the special ones.
fn primes(params: &CkksLiteral, level: usize) -> Vec<u64> {
    [chain(params, level), &params.p].concat()
}

/// The share of wide primes.
fn wide_share(primes: &[u64]) -> f64 {
    let wide = primes.iter().filter(|p| **p >= WIDE).count();
    wide as f64 / primes.len().max(1) as f64
}

/// The work of a step.
pub fn step_work(plan: &Plan, step: &Step) -> StepWork {
    let params = &plan.params;
    // Rescaled results lie one level below the operands.
    let level = match &step.op {
        StepOp::LinearTransform { rescale, .. }
        | StepOp::Mul { rescale, .. }
        | StepOp::Square { rescale, .. }
        | StepOp::MulScalar { rescale, .. }
        | StepOp::MulVector { rescale, .. }
        | StepOp::Combine { rescale, .. } => step.level + usize::from(*rescale),
        StepOp::WeightedSums {
            squares, rescale, ..
        } => step.level + usize::from(*squares) + usize::from(*rescale),
        StepOp::Rescale { .. } => step.level + 1,
        _ => step.level,
    };
    let limbs = Limbs {
        q: level as u64 + 1,
        p: params.p.len() as u64,
        digit_size: params.digit_size as u64,
    };
    let passes = |a_limb: u64| Work::passes(a_limb * limbs.q);
    let rescaled = |work: Work, rescale: bool| match rescale {
        true => work + limbs.rescale(),
        false => work,
    };
    let mut diagonal_words = 0;
    let work = match &step.op {
        StepOp::LinearTransform {
            transform,
            bias,
            rescale,
            ..
        } => {
            let Some(transform) = plan.transforms.get(*transform as usize) else {
                return StepWork::default();
            };
            let shape = shape(transform, *rescale);
            diagonal_words = shape.diagonals * 2 * (transform.period * transform.samples) as u64;
            // A bias is expanded, the value copied, and both added.
            limbs.transform(shape) + passes(4 * bias.len() as u64)
        }
        StepOp::WeightedSums {
            weights,
            dst,
            squares,
            rescale,
            ..
        } => {
            let entries = plan.weights.get(*weights as usize);
            let entries = entries.map_or(0, |w| w.matrix.entries() as u64);
            limbs.weighted_sums(entries, dst.len() as u64, *squares, *rescale)
        }
        StepOp::Mul { rescale, .. } | StepOp::Square { rescale, .. } => limbs.multiply(*rescale),
        StepOp::MulScalar { rescale, .. } => rescaled(passes(4), *rescale),
        StepOp::MulVector { rescale, .. } => rescaled(passes(5), *rescale),
        StepOp::Fold { rotations, .. } => {
            (limbs.key_switch(false) + passes(4)) * rotations.len() as u64
        }
        StepOp::Combine {
            products,
            terms,
            rescale,
            ..
        } => limbs.combine(products.len() as u64, terms.len() as u64, *rescale),
        StepOp::Rescale { .. } => limbs.rescale(),
        StepOp::Add { .. } | StepOp::Sub { .. } | StepOp::AddVector { .. } => passes(4),
        StepOp::DropLevel { .. } | StepOp::Gain { .. } => passes(2),
    };
    // Each product with a key reads both halves of one limb; they are spread evenly over the limbs.
    let words: u64 = primes(params, level).into_iter().map(word_bytes).sum();
    let key_limbs = work.keys / limbs_of(params, level);
    let bytes = words * (key_limbs * 2 * params.n() as u64 + diagonal_words);
    StepWork { work, level, bytes }
}

fn word_bytes(prime: u64) -> u64 {
    if prime < WIDE { 4 } else { 8 }
}

fn limbs_of(params: &CkksLiteral, level: usize) -> u64 {
    primes(params, level).len().max(1) as u64
}

/// The totals of a transform: each operand's and each result's own rotations.
fn shape(transform: &Transform, rescale: bool) -> TransformShape {
    let step = transform.baby_step.max(1) as u32;
    let (mut babies, mut giants) = (BTreeSet::new(), BTreeSet::new());
    let (mut rows, mut diagonals) = (BTreeSet::new(), 0);
    for block in &transform.blocks {
        rows.insert(block.row);
        diagonals += block.diagonals.len() as u64;
        for diagonal in &block.diagonals {
            let baby = diagonal.rotation % step;
            babies.insert((block.col, baby));
            giants.insert((block.row, diagonal.rotation - baby));
        }
    }
    let rotated = babies.iter().filter(|(_, baby)| *baby != 0);
    let decomposed: BTreeSet<u32> = rotated.clone().map(|(col, _)| *col).collect();
    let turned = rotated.count() as u64;
    TransformShape {
        decomposed: decomposed.len() as u64,
        babies: turned,
        unrotated: babies.len() as u64 - turned,
        diagonals,
        giants: giants.iter().filter(|(_, giant)| *giant != 0).count() as u64,
        folds: rows.len() as u64 * transform.folds.len() as u64,
        rows: rows.len() as u64,
        rescale,
    }
}

impl CostModel {
    /// The seconds of one run of a plan on so many threads.
    pub fn seconds(&self, plan: &Plan, threads: usize) -> f64 {
        // An empty sum of floating-point numbers would be -0.
        step_seconds(plan, self, threads)
            .iter()
            .fold(0.0, |sum, s| sum + s)
    }
}
