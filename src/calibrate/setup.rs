//! Operations of the scheme on random data.

use crate::Error;
use cipherloom_ckks::encoding::Encoder;
use cipherloom_ckks::xof::{Seed, uniform_limb};
use cipherloom_ckks::{
    Ciphertext, CkksError, Combination, CompactCiphertext, Domain, EvaluationKeys, Evaluator,
    KeyName, LinearTransform, Parameters, Poly, SeededSwitchingKey, Summands, WeightedSums,
};
use cipherloom_compiler::cost::{Limbs, TransformShape, Work};
use cipherloom_ir::Scale;
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::plan::{Block, Diagonal, Transform, Weights};
use cipherloom_ir::security::Security;
use std::sync::{Arc, Mutex};

/// A chain whose primes have so many bits, with a special modulus for its digits; all within the security table at 2^13.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    bits: f64,
    limbs: usize,
    digit_size: usize,
}

/// The cases of one width of words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Width {
    /// Whether words have 64 bits.
    pub(super) wide: bool,
    /// With digits of one prime, and one digit of all: the first has the most products with keys, the second the most conversions.
    pub(super) cases: [Case; 2],
}

const fn case(bits: f64, limbs: usize, digit_size: usize) -> Case {
    Case {
        bits,
        limbs,
        digit_size,
    }
}

pub(super) const WIDTHS: [Width; 2] = [
    Width {
        wide: false,
        cases: [case(27.8, 5, 1), case(27.8, 3, 3)],
    },
    Width {
        wide: true,
        cases: [case(40.0, 4, 1), case(40.0, 2, 2)],
    },
];

/// Baby and giant steps of the transform.
const BABY_STEP: u32 = 16;
const ROTATIONS: u32 = 128;
/// The slots of a diagonal's period.
const PERIOD: usize = 512;
/// Multiples that a sum has.
const TERMS: usize = 9;
/// Results of weighted sums, the operands of each, and the ciphertexts that these are.
const SUMS: usize = 32;
const SUMMANDS: usize = 96;
const SUMMED: usize = 48;
/// Rotations that are timed together, each with its own key.
const ROTATED: usize = 8;
const LABEL: &str = "cipherloom calibration";

/// About the bytes that the cases of one width take together.
pub(super) fn bytes(log_n: u32) -> u64 {
    let keys = u64::from(BABY_STEP + ROTATIONS / BABY_STEP);
    // Two cases of at most 30 digits times limbs, two halves, words of eight bytes; as much again for all else.
    let summed = (SUMS + SUMMED) as u64;
    (2 * keys * 30 * 2 * 8 * 2 + 2 * summed * 5 * 2 * 8) << log_n
}

/// Parameters with all that the operations need.
pub(super) struct Setup {
    limbs: Limbs,
    params: Parameters,
    evaluator: Evaluator,
    keys: EvaluationKeys,
    ciphertext: Ciphertext,
    transforms: Vec<(LinearTransform, TransformShape)>,
    weights: WeightedSums,
    /// What weighted sums add up, each in memory of its own.
    summed: Vec<CompactCiphertext>,
    /// An element that is transformed back and forth.
    element: Mutex<Poly>,
}

/// An operation and what it does.
pub(super) struct Operation<'s> {
    pub(super) work: Work,
    pub(super) run: Box<dyn Fn() -> Result<(), Error> + Sync + 's>,
}

impl Setup {
    pub(super) fn new(log_n: u32, case: Case) -> Result<Self, Error> {
        let Case {
            bits,
            limbs,
            digit_size,
        } = case;
        let q = ntt_primes_near(log_n, bits, limbs, &[]);
        // Three bits above the largest digit, spread over as many primes, and a little more.
        let p = ntt_primes_near(log_n, bits + 3.15 / digit_size as f64, digit_size, &q);
        let params = Parameters::new(&CkksLiteral {
            log_n,
            q,
            p,
            digit_size,
            security: Security::Classical128,
        })?;
        let level = params.max_level();
        let digits = params.digits(level) as u64;
        let halves = (0..digits).map(|d| random(&params, level, true, d));
        let key = SeededSwitchingKey::new(&params, level, Seed([9; 32]), halves.collect())?;
        let babies = 1..BABY_STEP;
        let giants = (BABY_STEP..ROTATIONS).step_by(BABY_STEP as usize);
        let expand = |name| key.expand(&params, name);
        let keys = EvaluationKeys {
            relinearization: Some(expand(KeyName::Relinearization)),
            rotations: babies
                .chain(giants)
                .map(|steps| (steps, expand(KeyName::Rotation(steps))))
                .collect(),
            ..EvaluationKeys::default()
        };
        let [c0, c1] = [100, 101].map(|i| random(&params, level, false, i));
        let transform = |rotations| {
            let (recipe, shape) = transform(level, rotations);
            let encoded = LinearTransform::new(&params, &Encoder::new(&params), &recipe)?;
            Ok::<_, CkksError>((encoded, shape))
        };
        let ciphertext = Ciphertext::new(c0, c1, Scale::pow2(24))?;
        Ok(Self {
            limbs: Limbs {
                q: limbs as u64,
                p: digit_size as u64,
                digit_size: digit_size as u64,
            },
            transforms: vec![transform(BABY_STEP)?, transform(ROTATIONS)?],
            weights: WeightedSums::new(&weights())?,
            summed: vec![CompactCiphertext::new(&params, &ciphertext)?; SUMMED],
            evaluator: Evaluator::new(&params),
            keys,
            ciphertext,
            element: Mutex::new(random(&params, level, false, 102)),
            params,
        })
    }

    /// All operations. Rotations take one key after the other, so that keys come from memory as in a network's run.
    pub(super) fn operations(&self) -> Vec<Operation<'_>> {
        let (eval, x, keys, limbs) = (&self.evaluator, &self.ciphertext, &self.keys, self.limbs);
        let level = x.level();
        let steps: Vec<u32> = keys.rotations.keys().copied().take(ROTATED).collect();
        let scale = Scale::pow2(24);
        let passes = |passes| Work {
            passes,
            ..Work::default()
        };
        let ntts = Work {
            ntts: 2 * limbs.q,
            ..Work::default()
        };
        let mut all = vec![
            operation(ntts, || self.back_and_forth()),
            operation(passes(4 * limbs.q), || eval.add(x, x)),
            operation(limbs.rescale(), || eval.rescale(x)),
            operation(limbs.multiply(true), || eval.square_rescaled(x, keys)),
            operation(limbs.combine(0, TERMS as u64, false), move || {
                let sum = Combination {
                    products: vec![],
                    gain: 1,
                    terms: vec![(x, 0.3, &scale); TERMS],
                    constant: 0.5,
                };
                eval.combine(&sum, level, false, keys)
            }),
            operation(limbs.key_switch(false) * steps.len() as u64, move || {
                let rotate = |steps: &u32| eval.rotate(x, *steps, keys);
                steps.iter().map(rotate).collect::<Result<Vec<_>, _>>()
            }),
        ];
        let (entries, results) = ((SUMS * SUMMANDS) as u64, SUMS as u64);
        let sums = limbs.weighted_sums(entries, results, false, false);
        all.push(operation(sums, move || {
            let operands = self.summed.iter().cycle().take(SUMMANDS);
            let operands: Vec<&CompactCiphertext> = operands.collect();
            eval.weighted_sums(&self.weights, &operands, Summands::Values, false, keys)
        }));
        for (transform, shape) in &self.transforms {
            all.push(operation(limbs.transform(*shape), || {
                eval.linear_transform(transform, &[x], keys, true)
            }));
        }
        all
    }

    fn back_and_forth(&self) -> Result<(), CkksError> {
        // Whatever a thread that failed left behind is as good to transform.
        let mut element = self.element.lock().unwrap_or_else(|e| e.into_inner());
        element.to_coefficients(&self.params);
        element.to_ntt(&self.params);
        Ok(())
    }
}

fn operation<'s, T>(
    work: Work,
    run: impl Fn() -> Result<T, CkksError> + Sync + 's,
) -> Operation<'s> {
    let run = Box::new(move || {
        std::hint::black_box(run()?);
        Ok(())
    });
    Operation { work, run }
}

fn random(params: &Parameters, level: usize, special: bool, index: u64) -> Poly {
    let mut poly = Poly::zero(params, level, special, Domain::Ntt);
    let primes: Vec<u64> = (0..poly.limbs())
        .filter_map(|i| params.prime(level, i))
        .collect();
    for (i, prime) in primes.into_iter().enumerate() {
        uniform_limb(&Seed([7; 32]), LABEL, index, i, prime, poly.limb_mut(i));
    }
    poly
}

/// A dense matrix of integers of some twenty bits.
fn weights() -> Weights {
    let entries = 0..(SUMS * SUMMANDS) as u32;
    let matrix = Matrix {
        name: "calibration".into(),
        rows: SUMS,
        cols: SUMMANDS,
        row_starts: (0..=SUMS).map(|row| row * SUMMANDS).collect(),
        columns: entries.clone().map(|i| i % SUMMANDS as u32).collect(),
        values: entries
            .map(|i| f64::from(i % 1009 + 1) / 1009.0 - 0.3)
            .collect(),
    };
    Weights {
        matrix: Arc::new(matrix),
        plain_scale: Scale::pow2(20),
        bias: vec![],
    }
}

/// A transform with the first rotations, and its totals.
fn transform(level: usize, rotations: u32) -> (Transform, TransformShape) {
    let diagonal = |rotation: u32| Diagonal {
        rotation,
        values: (0..PERIOD as u32)
            .map(|i| f64::from((i * 7 + rotation) % 19) / 19.0 - 0.5)
            .collect(),
    };
    let recipe = Transform {
        name: "calibration".into(),
        period: PERIOD,
        samples: 1,
        level,
        plain_scale: Scale::pow2(24),
        baby_step: BABY_STEP as usize,
        folds: vec![],
        blocks: vec![Block {
            row: 0,
            col: 0,
            diagonals: (0..rotations).map(diagonal).collect(),
        }],
    };
    let shape = TransformShape {
        decomposed: 1,
        babies: u64::from(BABY_STEP - 1),
        unrotated: 1,
        diagonals: u64::from(rotations),
        giants: u64::from(rotations / BABY_STEP - 1),
        folds: 0,
        rows: 1,
        rescale: true,
    };
    (recipe, shape)
}
