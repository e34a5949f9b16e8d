//! Rates from the times of operations whose counts are known.

use cipherloom_compiler::cost::{Rates, Work};

/// One measured operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// What it does.
    pub(super) work: Work,
    /// What it takes.
    pub(super) seconds: f64,
}

/// Rounds of the descent; it converges in far fewer.
const ROUNDS: usize = 20_000;

/// The rates, none negative, with the least sum of squares of relative errors: coordinate descent on the normal equations.
pub(super) fn fit(samples: &[Sample]) -> Rates {
    // One row per sample: the share of its time that a microsecond of each rate makes.
    let row = |sample: &Sample| -> Vec<f64> {
        let share = |field| sample_share(sample, field);
        Rates::FIELDS
            .iter()
            .map(|(_, field)| share(*field))
            .collect()
    };
    let rows: Vec<Vec<f64>> = samples.iter().map(row).collect();
    let unknowns = Rates::FIELDS.len();
    let product = |i: usize, j: usize| rows.iter().map(|r| r[i] * r[j]).sum::<f64>();
    let mut x = vec![0.0; unknowns];
    let normal: Vec<Vec<f64>> = (0..unknowns)
        .map(|i| (0..unknowns).map(|j| product(i, j)).collect())
        .collect();
    let target: Vec<f64> = (0..unknowns)
        .map(|i| rows.iter().map(|r| r[i]).sum())
        .collect();
    for _ in 0..ROUNDS {
        for i in 0..unknowns {
            let others: f64 = (0..unknowns)
                .filter(|j| *j != i)
                .map(|j| normal[i][j] * x[j])
                .sum();
            if normal[i][i] > 0.0 {
                x[i] = ((target[i] - others) / normal[i][i]).max(0.0);
            }
        }
    }
    let mut rates = Rates::default();
    for ((_, field), value) in Rates::FIELDS.iter().zip(x) {
        *field(&mut rates) = value;
    }
    rates
}

/// The share of a sample's time that one microsecond of a rate makes.
fn sample_share(sample: &Sample, field: fn(&mut Rates) -> &mut f64) -> f64 {
    let mut rates = Rates::default();
    *field(&mut rates) = 1.0;
    rates.seconds(sample.work) / sample.seconds.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_compiler::cost::Limbs;

    /// Operations on several moduli.
    fn works() -> Vec<Work> {
        let limbs = [(5, 1, 1), (5, 2, 2), (9, 3, 3), (7, 1, 1)];
        let each = |(q, p, digit_size)| {
            let limbs = Limbs { q, p, digit_size };
            let ntt = Work {
                ntts: q,
                ..Work::default()
            };
            let diagonals = Work {
                diagonals: 64 * q,
                ..limbs.rescale()
            };
            let all = [ntt, diagonals, limbs.key_switch(false), limbs.rescale()];
            [
                &all[..],
                &[limbs.multiply(true), limbs.combine(0, 9, false)],
                &[limbs.weighted_sums(512, 16, false, false)],
            ]
            .concat()
        };
        limbs.into_iter().flat_map(each).collect()
    }

    #[test]
    fn times_that_follow_rates_give_them_back() {
        let rates = Rates {
            ntt: 13.0,
            convert: 1.5,
            key: 3.25,
            diagonal: 2.0,
            sum: 0.5,
            pass: 1.0,
        };
        let sample = |work: Work| Sample {
            work,
            seconds: rates.seconds(work),
        };
        let mut found = fit(&works().into_iter().map(sample).collect::<Vec<_>>());
        let mut expected = rates;
        for (name, field) in Rates::FIELDS {
            let (found, expected) = (*field(&mut found), *field(&mut expected));
            assert!((found / expected - 1.0).abs() < 0.02, "{name}: {found}");
        }
    }

    #[test]
    fn no_rate_is_negative() {
        let sample = |(i, work): (usize, Work)| Sample {
            work,
            seconds: 1e-3 * (1 + i % 3) as f64,
        };
        let samples: Vec<Sample> = works().into_iter().enumerate().map(sample).collect();
        let mut found = fit(&samples);
        for (name, field) in Rates::FIELDS {
            let value = *field(&mut found);
            assert!(value >= 0.0 && value.is_finite(), "{name}: {value}");
        }
        assert_eq!(fit(&[]), Rates::default());
    }
}
