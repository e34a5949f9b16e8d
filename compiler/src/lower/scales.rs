//! Exact scales of all values, from the magnitudes that the search has found.

use super::LowerError;
use super::levels::Levels;
use super::network::{Kind, Network};
use super::noise::Analysis;
use super::params::Chosen;
use cipherloom_ir::Scale;

/// A scale near `2^log` with a short mantissa, so that exact fractions stay short.
fn short_scale(log: f64) -> Option<Scale> {
    const MANTISSA_BITS: f64 = 20.0;
    let unit = libm::floor(log) - MANTISSA_BITS;
    Scale::from_f64(libm::exp2(unit) * libm::round(libm::exp2(log - unit)))
}

/// The scale of each free group. What a polynomial reads gets a short one, since T_2, T_4, .. double its length again and again,
/// and the ratios of the others of its group to it have as many bits as their gains.
fn root_scales(
    network: &Network,
    levels: &Levels,
    analysis: &Analysis<'_>,
    chosen: &Chosen,
) -> Vec<Option<Scale>> {
    let mut short: Vec<Option<usize>> = vec![None; levels.groups];
    for value in &network.values {
        if let Kind::Polynomial { operand, .. } = value.kind
            && let Some(g) = levels.group[operand]
        {
            short[g].get_or_insert(operand);
        }
    }
    let root = |(g, short): (usize, &Option<usize>)| {
        let log = chosen.candidate.magnitude[g] - libm::log2(analysis.group_max[g]);
        match *short {
            Some(v) => Some(short_scale(log + levels.log_ratio[v])?.div(&levels.ratio[v])),
            None => short_scale(log),
        }
    };
    short.iter().enumerate().map(root).collect()
}

/// The exact scale of every value.
pub(super) fn exact_scales(
    network: &Network,
    levels: &Levels,
    analysis: &Analysis<'_>,
    chosen: &Chosen,
) -> Result<Vec<Scale>, LowerError> {
    let lost = |v: usize| LowerError::Malformed(format!("the scale of value {v} is out of range"));
    let roots = root_scales(network, levels, analysis, chosen);
    let mut scales: Vec<Scale> = Vec::with_capacity(network.values.len());
    for (v, value) in network.values.iter().enumerate() {
        let prime = chosen
            .literal
            .q
            .get(levels.level[v] + 1)
            .copied()
            .unwrap_or(1);
        let scale = match (levels.group[v], &value.kind) {
            (Some(g), _) => {
                let root = roots[g].as_ref().ok_or_else(|| lost(v))?;
                root.mul(&levels.ratio[v])
            }
            (None, Kind::Square(a)) => scales[*a].mul(&scales[*a]).div_prime(prime),
            (None, Kind::Mul(a, b)) => scales[*a].mul(&scales[*b]).div_prime(prime),
            (None, Kind::Linear { terms, .. }) => {
                let kept = terms.iter().find_map(|(u, t)| Some((*u, t.gain()?)));
                let gain = kept.and_then(|(u, f)| Some((u, Scale::from_f64(f.abs())?)));
                gain.map(|(u, gain)| scales[u].div(&gain))
                    .ok_or_else(|| lost(v))?
            }
            (None, Kind::Fold(a, _) | Kind::View(a, _)) => scales[*a].clone(),
            (None, Kind::Input(_) | Kind::Polynomial { .. }) => return Err(lost(v)),
        };
        scales.push(scale);
    }
    Ok(scales)
}
