//! What polynomials in place of functions do to each value, on samples.

use super::super::network::Network;
use super::super::sparse::LANES;
use cipherloom_ir::value::Tensors;
use rayon::prelude::*;

/// Samples on which errors are found, in batches of [`LANES`].
const BATCHES: usize = 16;

/// For each value, the mean square of its difference from the network without approximations. `None` where a function
/// has no value of its own, or there are no samples.
pub(super) fn errors(network: &Network, samples: &[Tensors]) -> Option<Vec<f64>> {
    if network.inexact || samples.is_empty() {
        return None;
    }
    if network.exact.is_empty() {
        return Some(vec![0.0; network.values.len()]);
    }
    let count = samples.len().min(BATCHES * LANES);
    let picked: Vec<&Tensors> = (0..count)
        .filter_map(|i| samples.get(i * samples.len() / count))
        .collect();
    let parts: Vec<Option<Vec<f64>>> = picked
        .par_chunks(LANES)
        .map(|batch| differences(network, batch))
        .collect();
    let mut errors = vec![0.0; network.values.len()];
    for part in parts {
        errors.iter_mut().zip(part?).for_each(|(e, p)| *e += p);
    }
    for (error, value) in errors.iter_mut().zip(&network.values) {
        *error /= (count * value.len().max(1)) as f64;
    }
    errors.iter().all(|e| e.is_finite()).then_some(errors)
}

/// The sums of the squared differences of each value over some samples, at most [`LANES`].
fn differences(network: &Network, batch: &[&Tensors]) -> Option<Vec<f64>> {
    let mut lanes = [*batch.first()?; LANES];
    lanes.iter_mut().zip(batch).for_each(|(to, s)| *to = s);
    let (found, exact) = (network.eval(lanes)?, network.eval_exact(lanes)?);
    let sum = |(found, exact): (&Vec<[f64; LANES]>, &Vec<[f64; LANES]>)| {
        let pairs = found.iter().zip(exact);
        pairs
            .map(|(f, e)| {
                let lanes = f.iter().zip(e).take(batch.len());
                lanes.map(|(f, e)| (f - e) * (f - e)).sum::<f64>()
            })
            .sum()
    };
    Some(found.iter().zip(&exact).map(sum).collect())
}
