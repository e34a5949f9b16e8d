//! Weighted sums against plain arithmetic, on one thread and several, their noise against its rule.

use super::*;
use crate::Ciphertext;
use crate::kernel::FORCE_PORTABLE;
use crate::keys::EvaluationKeys;
use crate::testing::{Rng, Secret, distance, toy, toy_double, toy_single};
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::noise::{NoiseModel, REAL_PART};
use std::sync::Arc;

/// A matrix with some empty rows and columns, several rows of equal columns, and a bias.
fn weights(rng: &mut Rng, rows: usize, cols: usize, scale: Scale) -> Weights {
    let mut matrix = Matrix {
        name: "m".into(),
        rows,
        cols,
        row_starts: vec![0],
        columns: vec![],
        values: vec![],
    };
    for row in 0..rows {
        for col in 0..cols {
            if row != 3 && (row % 3 == 0 || (row + col) % 3 == 1) && col != 1 {
                matrix.columns.push(col as u32);
                matrix.values.push(rng.real());
            }
        }
        matrix.row_starts.push(matrix.columns.len());
    }
    let bias = (0..rows).map(|r| if r % 2 == 0 { rng.real() } else { 0.0 });
    Weights {
        matrix: Arc::new(matrix),
        plain_scale: scale,
        bias: bias.collect(),
    }
}

struct Case {
    secret: Secret,
    keys: EvaluationKeys,
    operands: Vec<Ciphertext>,
    values: Vec<Vec<f64>>,
    weights: Weights,
}

impl Case {
    fn new(params: &Parameters, level: usize, bits: u32, plain: u32) -> Self {
        let mut rng = Rng(8);
        let secret = Secret::new(params, &mut rng);
        let keys = secret.keys(&[], level, &mut rng).expand(params);
        let weights = weights(&mut rng, 17, 9, Scale::pow2(plain));
        let values: Vec<Vec<f64>> = (0..9).map(|_| rng.reals(params.slots())).collect();
        let scale = Scale::pow2(bits);
        let operands = values
            .iter()
            .map(|x| secret.encrypt(x, level, &scale, &mut rng))
            .collect();
        Self {
            secret,
            keys,
            operands,
            values,
            weights,
        }
    }

    fn run(&self, summands: Summands, rescale: bool) -> Result<Vec<Ciphertext>, CkksError> {
        let params = &self.secret.params;
        let compact: Vec<CompactCiphertext> = self
            .operands
            .iter()
            .map(|c| CompactCiphertext::new(params, c).unwrap())
            .collect();
        let compact: Vec<&CompactCiphertext> = compact.iter().collect();
        let weights = WeightedSums::new(&self.weights).unwrap();
        let evaluator = Evaluator::new(params);
        let sums = evaluator.weighted_sums(&weights, &compact, summands, rescale, &self.keys)?;
        Ok(sums.iter().map(|c| c.expand(params)).collect())
    }

    /// The sums in clear.
    fn expected(&self, summands: Summands, row: usize) -> Vec<f64> {
        let slots = self.secret.params.slots();
        let term = |slot: usize, (col, w): (usize, f64)| {
            let x = self.values[col][slot];
            w * if summands == Summands::Squares {
                x * x
            } else {
                x
            }
        };
        let sum = |slot| {
            let terms = self.weights.matrix.row(row).map(|entry| term(slot, entry));
            terms.sum::<f64>() + self.weights.bias[row]
        };
        (0..slots).map(sum).collect()
    }
}

#[test]
fn sums_agree_with_plain_arithmetic() {
    for (params, bits) in [
        (toy_single(6), 27),
        (toy_double(6), 38),
        (toy(6, &[33.0, 31.5, 31.9, 28.0], &[37.0], 1), 27),
    ] {
        for (summands, rescale, level) in [
            (Summands::Values, false, 1),
            (Summands::Values, true, 1),
            (Summands::Values, true, params.max_level()),
            (Summands::Squares, true, 2),
            (Summands::Squares, true, params.max_level()),
        ] {
            let case = Case::new(&params, level, bits, 24);
            let found = case.run(summands, rescale).unwrap();
            let fallen = usize::from(rescale) + usize::from(summands == Summands::Squares);
            for (row, found) in found.iter().enumerate() {
                assert_eq!(found.level(), level - fallen);
                let values = case.secret.decrypt(found, params.slots());
                let error = distance(&values, &case.expected(summands, row));
                assert!(error < 3e-3, "{summands:?} {rescale} {level}: {error}");
            }
            // The same bits on several threads, and without vector kernels.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
            let threads = pool.unwrap().install(|| case.run(summands, rescale));
            assert_eq!(threads.unwrap(), found);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
            let portable = pool.unwrap().install(|| {
                FORCE_PORTABLE.set(true);
                case.run(summands, rescale)
            });
            assert_eq!(portable.unwrap(), found);
        }
    }
}

#[test]
fn misfits_are_refused() {
    let params = toy_single(5);
    let mut case = Case::new(&params, 2, 27, 24);
    assert!(case.run(Summands::Squares, false).is_err());
    case.operands[4] = Evaluator::new(&params)
        .drop_level(&case.operands[4], 1)
        .unwrap();
    assert!(matches!(
        case.run(Summands::Values, true),
        Err(CkksError::LevelMismatch { .. })
    ));
    let low = Case::new(&params, 1, 27, 24);
    assert!(matches!(
        low.run(Summands::Squares, true),
        Err(CkksError::Level { .. })
    ));
    case.operands.pop();
    assert!(case.run(Summands::Values, true).is_err());
    let mut bad = case.weights.clone();
    bad.bias.pop();
    assert!(WeightedSums::new(&bad).is_err());
    let mut bad = case.weights.clone();
    Arc::make_mut(&mut bad.matrix).columns[0] = 9;
    assert!(WeightedSums::new(&bad).is_err());
    let mut bad = case.weights.clone();
    bad.plain_scale = Scale::pow2(70);
    assert!(WeightedSums::new(&bad).is_err());
    bad.plain_scale = Scale::pow2(24);
    Arc::make_mut(&mut bad.matrix).values[0] = f64::NAN;
    assert!(WeightedSums::new(&bad).is_err());
}

/// What the rules say of the error that the operation itself adds: the roundings of the divisions, the key switch, and
/// entries that are rounded to integers.
#[test]
fn noise_agrees_with_its_rule() {
    let params = toy(10, &[40.0, 28.0, 28.0, 28.0], &[44.0], 1);
    // Large scales of the operands, so that their own noise does not show.
    for (summands, bits, plain) in [(Summands::Values, 50, 6), (Summands::Squares, 36, 6)] {
        let case = Case::new(&params, 3, bits, plain);
        let found = case.run(summands, true).unwrap();
        let model = NoiseModel::new(params.literal());
        let (mut squares, mut predicted) = (0.0, 0.0);
        for (row, found) in found.iter().enumerate() {
            let values = case.secret.decrypt(found, params.slots());
            let expected = case.expected(summands, row);
            let errors = values.iter().zip(&expected).map(|(a, b)| (a - b) * (a - b));
            squares += errors.sum::<f64>() / params.slots() as f64;
            let log = found.scale().log2();
            let mut variance = model.rounding(log);
            if summands == Summands::Squares {
                let prime = (params.q()[found.level() + 1] as f64).log2();
                variance += model.key_noise(found.level() + 1, log + prime);
            }
            // Uniform values have the mean square 1/3, their squares 1/5.
            let mean_square = if summands == Summands::Values {
                1.0 / 3.0
            } else {
                0.2
            };
            for (_, weight) in case.weights.matrix.row(row) {
                variance +=
                    NoiseModel::encoded_factor(weight, &case.weights.plain_scale, mean_square);
            }
            predicted += REAL_PART * variance;
        }
        let ratio = squares / predicted;
        assert!((0.7..1.4).contains(&ratio), "{summands:?}: {ratio}");
    }
}
