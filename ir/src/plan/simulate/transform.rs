//! Transforms on clear slot vectors: diagonals and folds, as the encrypted operation has them.

use super::super::{Register, Transform};
use super::spread::folded;
use super::state::State;
use super::{SimulateError, Simulator, cycled, malformed, mean_square};
use crate::noise::{REAL_PART, TransformNoise};
use std::ops::Range as Span;

/// What a transform needs besides its diagonals.
#[derive(Debug)]
pub(super) struct Prepared {
    /// For each block and diagonal, the span outside of which it is zero.
    spans: Vec<Vec<Span<usize>>>,
    hoisted: bool,
    giants: usize,
    diagonals: usize,
}

impl Simulator<'_> {
    /// The results of a transform and the variance of each result's own error, complex slots.
    pub(super) fn transform(
        &self,
        index: u32,
        src: &[Register],
        rows: usize,
        state: &mut State,
    ) -> Result<Vec<(Vec<f64>, f64)>, SimulateError> {
        let missing = || malformed("a transform is missing");
        let transform = self
            .plan
            .transforms
            .get(index as usize)
            .ok_or_else(missing)?;
        let prepared = self.transforms.get(index as usize).ok_or_else(missing)?;
        let period = transform.period;
        let (log_scale, level) =
            self.facts(*src.first().ok_or_else(|| malformed("no operand"))?)?;
        let folds = transform.folds.len() as u32;
        // Copies of the operand whose errors count apart, one after the other.
        let longest = src.iter().map(|r| state.get(*r).map(<[f64]>::len));
        let longest = longest.collect::<Result<Vec<_>, _>>()?.into_iter().max();
        let copies = (longest.unwrap_or(0) / period).max(1);
        let length = period * copies;
        let mut facts = TransformNoise {
            level,
            log_scale,
            log_plain_scale: transform.plain_scale.log2(),
            period,
            copies,
            diagonals: prepared.diagonals as f64 / rows.max(1) as f64,
            hoisted: prepared.hoisted,
            giants: prepared.giants as f64,
            folds,
            mean_square: 0.0,
        };
        let mut squares = 0.0;
        let mut operands = Vec::with_capacity(src.len());
        for register in src {
            let mut operand = cycled(state.get(*register)?, length);
            squares += mean_square(&operand);
            let (_, hoisted) = self.model.transform(&facts);
            state.add_noise(&mut operand, REAL_PART * hoisted);
            // Twice the vector, so that every rotation is one contiguous window.
            operand.extend_from_within(..);
            operands.push(operand);
        }
        facts.mean_square = squares / src.len() as f64;
        let (inner, _) = self.model.transform(&facts);
        let mut sums = vec![vec![0.0; length]; rows];
        for (block, spans) in transform.blocks.iter().zip(&prepared.spans) {
            let missing = || malformed("a block lies outside its transform");
            let operand = operands.get(block.col as usize).ok_or_else(missing)?;
            let sum = sums.get_mut(block.row as usize).ok_or_else(missing)?;
            for (diagonal, span) in block.diagonals.iter().zip(spans) {
                let rotation = diagonal.rotation as usize;
                let values = &diagonal.values[span.clone()];
                for (copy, sum) in sum.chunks_exact_mut(period).enumerate() {
                    let first = copy * period + rotation;
                    let window = &operand[first + span.start..first + span.end];
                    for ((s, v), x) in sum[span.clone()].iter_mut().zip(values).zip(window) {
                        *s += v * x;
                    }
                }
            }
        }
        for sum in &mut sums {
            for fold in &transform.folds {
                let fold = *fold as usize;
                *sum = (0..length)
                    .map(|p| sum[p] + sum[(p + fold) % length])
                    .collect();
            }
            sum.truncate(folded(transform) * copies);
        }
        Ok(sums.into_iter().map(|sum| (sum, inner)).collect())
    }
}

pub(super) fn prepare(transform: &Transform) -> Result<Prepared, SimulateError> {
    let bad = || malformed("a diagonal does not fit its transform's period");
    let period = transform.period;
    if period == 0 || transform.folds.iter().any(|f| *f as usize >= period.max(2)) {
        return Err(bad());
    }
    let mut spans = Vec::new();
    let mut diagonals = 0;
    for block in &transform.blocks {
        let mut found = Vec::new();
        for diagonal in &block.diagonals {
            if diagonal.values.len() != period || diagonal.rotation as usize >= period {
                return Err(bad());
            }
            let start = diagonal.values.iter().position(|v| *v != 0.0).unwrap_or(0);
            let end = diagonal
                .values
                .iter()
                .rposition(|v| *v != 0.0)
                .map_or(0, |p| p + 1);
            found.push(start..end.max(start));
            diagonals += 1;
        }
        spans.push(found);
    }
    let hoisted = !transform.baby_rotations().is_empty();
    Ok(Prepared {
        spans,
        hoisted,
        giants: transform.giant_rotations().len(),
        diagonals,
    })
}
