//! What a plan will cost: work, latency, and the bytes of keys and of a run.

use crate::cost::{Limbs, TransformCounts, Work};
use cipherloom_ir::plan::{Estimates, Plan, StepOp, key_bytes, run_bytes};

/// All estimates of a plan whose steps and keys are known.
pub(super) fn estimates(plan: &Plan) -> Estimates {
    let params = &plan.params;
    let mut work = Work::default();
    let limbs = |level: usize| Limbs {
        q: level as u64 + 1,
        p: params.p.len() as u64,
        digit_size: params.digit_size as u64,
    };
    for step in &plan.steps {
        match &step.op {
            StepOp::LinearTransform {
                transform,
                src,
                dst,
                ..
            } => {
                let Some(transform) = plan.transforms.get(*transform as usize) else {
                    continue;
                };
                let diagonals: usize = transform.blocks.iter().map(|b| b.diagonals.len()).sum();
                let babies = transform.baby_rotations().len() as u64;
                work += limbs(transform.level).transform(TransformCounts {
                    cols: src.len() as u64,
                    rows: dst.len() as u64,
                    diagonals: diagonals as u64,
                    babies,
                    giants: transform.giant_rotations().len() as u64,
                    folds: transform.folds.len() as u64,
                });
            }
            StepOp::Mul { rescale, .. } | StepOp::Square { rescale, .. } => {
                work += limbs(step.level + usize::from(*rescale)).multiply();
            }
            StepOp::MulScalar { rescale, .. } | StepOp::MulVector { rescale, .. } => {
                let level = step.level + usize::from(*rescale);
                work += Work {
                    ntts: 0,
                    macs: 2 * (level as u64 + 1),
                };
                if *rescale {
                    work += limbs(level).rescale();
                }
            }
            StepOp::Fold { rotations, .. } => {
                rotations
                    .iter()
                    .for_each(|_| work += limbs(step.level).key_switch());
            }
            StepOp::Combine {
                products,
                terms,
                rescale,
                ..
            } => {
                let level = step.level + usize::from(*rescale);
                let (products, terms) = (products.len() as u64, terms.len() as u64);
                work += limbs(level).combine(products, terms, *rescale);
            }
            StepOp::Rescale { .. } => work += limbs(step.level + 1).rescale(),
            StepOp::Add { .. } | StepOp::Sub { .. } | StepOp::AddVector { .. } => {
                work += Work {
                    ntts: 0,
                    macs: 2 * (step.level as u64 + 1),
                };
            }
            StepOp::DropLevel { .. } => {}
        }
    }
    Estimates {
        ntts: work.ntts,
        limb_macs: work.macs,
        latency_s: work.seconds(params.log_n),
        eval_key_bytes: key_bytes(plan).file,
        run_bytes: run_bytes(plan),
    }
}
