//! Blind rotations of several accumulators side by side: each step of the bootstrapping key is read once for all of them.
//!
//! An accumulator `(A_1 .. A_k, B)` becomes `X^(b - <a, s>)` times itself, step by step: it is replaced by itself plus the external
//! product of the key's GGSW ciphertext of `s_i` with `X^(a_i)` times itself less itself (Chillotti, Gama, Georgieva and
//! Izabachene, "TFHE: fast fully homomorphic encryption over the torus", eprint 2018/421, algorithm 4). The sets decompose into
//! one digit, the highest bits.
//!
//! A lookup with the set for 4 bits multiplies by 918 GGSW ciphertexts of 64 KiB each, and every one takes two forward and two
//! backward transforms of 1024 complex numbers. One by one lookups would read 57 MiB of key each, more than a near cache holds; side by side
//! they share them. The transforms are the crate's, and results have the same bits as with `blind_rotate_assign`.

use ::tfhe::core_crypto::fft_impl::fft64::c64;
use ::tfhe::core_crypto::fft_impl::fft64::crypto::bootstrap::FourierLweBootstrapKeyView;
use ::tfhe::core_crypto::fft_impl::fft64::math::fft::FftView;
use ::tfhe::core_crypto::fft_impl::fft64::math::polynomial::FourierPolynomialMutView;
use ::tfhe::core_crypto::prelude::{ComputationBuffers, Polynomial};

/// Frequencies that are multiplied at a time: those of a key's matrix stay in the nearest cache for all accumulators.
const BLOCK: usize = 64;

/// Vectors of numbers that are summed up in registers; a block holds a whole number of them, whatever the vectors' width is.
const RUN: usize = 8;

/// Room for external products of several accumulators.
pub(super) struct Scratch {
    digits: Vec<u64>,
    /// For each accumulator the transforms of its polynomials' digits, then those of the products.
    transforms: Vec<Vec<c64>>,
    /// Products of a block.
    products: Vec<c64>,
    buffers: ComputationBuffers,
}

impl Scratch {
    /// For so many accumulators of `polynomials` polynomials.
    pub(super) fn new(fft: FftView<'_>, polynomials: usize, accumulators: usize) -> Self {
        let size = fft.polynomial_size().0;
        let mut buffers = ComputationBuffers::new();
        let needed = fft.forward_scratch().or(fft.backward_scratch());
        buffers.resize(needed.unaligned_bytes_required());
        Self {
            digits: vec![0; size],
            transforms: vec![vec![c64::default(); polynomials * size / 2]; accumulators],
            products: vec![c64::default(); polynomials * BLOCK],
            buffers,
        }
    }
}

/// `table / X^turn`, for a turn below `2 N`.
pub(super) fn turned_back(table: &[u64], turn: usize) -> impl Iterator<Item = u64> {
    let (size, turn) = (table.len(), turn % (2 * table.len()).max(1));
    let (below, above) = table.split_at(turn % size.max(1));
    let negated = |negate: bool| move |x: &u64| if negate { x.wrapping_neg() } else { *x };
    let past = turn >= size;
    let first = above.iter().map(negated(past));
    first.chain(below.iter().map(negated(!past)))
}

/// Rotates each accumulator by its own turns: `turns[i]`, from 0 to `2 N - 1`, are those of accumulator i, one for each step of the key.
pub(super) fn rotate(
    key: FourierLweBootstrapKeyView<'_>,
    fft: FftView<'_>,
    accumulators: &mut [Vec<u64>],
    turns: &[Vec<usize>],
    scratch: &mut Scratch,
) {
    let size = fft.polynomial_size().0;
    let base_log = key.decomposition_base_log().0 as u32;
    for (step, ggsw) in key.into_ggsw_iter().enumerate() {
        let all = accumulators.iter().zip(turns).zip(&mut scratch.transforms);
        for ((accumulator, turns), transforms) in all {
            let polynomials = accumulator.chunks(size);
            for (polynomial, transform) in polynomials.zip(transforms.chunks_mut(size / 2)) {
                pulp::Arch::new().dispatch(Digits {
                    polynomial,
                    turn: turns.get(step).copied().unwrap_or(0),
                    base_log,
                    digits: &mut scratch.digits,
                });
                fft.forward_as_integer(
                    FourierPolynomialMutView { data: transform },
                    Polynomial::from_container(scratch.digits.as_slice()),
                    scratch.buffers.stack(),
                );
            }
        }
        pulp::Arch::new().dispatch(Products {
            matrix: ggsw.data(),
            length: size / 2,
            vectors: &mut scratch.transforms,
            products: &mut scratch.products,
        });
        for (accumulator, products) in accumulators.iter_mut().zip(&mut scratch.transforms) {
            let polynomials = accumulator.chunks_mut(size);
            for (polynomial, product) in polynomials.zip(products.chunks_mut(size / 2)) {
                fft.add_backward_in_place_as_torus(
                    Polynomial::from_container(polynomial),
                    FourierPolynomialMutView { data: product },
                    scratch.buffers.stack(),
                );
            }
        }
    }
}

/// The digits of `(X^turn - 1) * polynomial`: the nearest multiples of `2^(64 - base_log)`, as numbers from
/// `-2^(base_log - 1)` to `2^(base_log - 1)`.
struct Digits<'a> {
    polynomial: &'a [u64],
    turn: usize,
    base_log: u32,
    digits: &'a mut [u64],
}

impl pulp::NullaryFnOnce for Digits<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let size = self.polynomial.len().max(1);
        let (full, part) = (self.turn / size, self.turn % size);
        let (ahead, behind) = self.polynomial.split_at(size - part);
        let (first, second) = self.digits.split_at_mut(part);
        let (own_first, own_second) = self.polynomial.split_at(part);
        let base_log = self.base_log;
        // What X^turn carries past the end comes back negated.
        let copied = |digits: &mut [u64], from: &[u64], own: &[u64]| {
            for ((digit, x), own) in digits.iter_mut().zip(from).zip(own) {
                *digit = nearest(x.wrapping_sub(*own), base_log);
            }
        };
        let negated = |digits: &mut [u64], from: &[u64], own: &[u64]| {
            for ((digit, x), own) in digits.iter_mut().zip(from).zip(own) {
                *digit = nearest(x.wrapping_neg().wrapping_sub(*own), base_log);
            }
        };
        if full % 2 == 0 {
            negated(first, behind, own_first);
            copied(second, ahead, own_second);
        } else {
            copied(first, behind, own_first);
            negated(second, ahead, own_second);
        }
    }
}

/// `x / 2^(64 - base_log)` to the nearest, as a signed number; exactly between the two ends it takes the sign that the bit below tells.
#[inline(always)]
fn nearest(x: u64, base_log: u32) -> u64 {
    let above = x >> (63 - base_log);
    let digit = ((above + 1) >> 1) & ((1 << base_log) - 1);
    let half = 1 << (base_log - 1);
    let carry = digit & (digit.wrapping_sub(1) | ((above & 1) * half)) & half;
    digit.wrapping_sub(carry << 1)
}

/// Vectors times a matrix of polynomials, in the Fourier domain: each vector is replaced by its product.
struct Products<'a> {
    /// By rows, a polynomial after the other.
    matrix: &'a [c64],
    /// Of a polynomial.
    length: usize,
    vectors: &'a mut [Vec<c64>],
    /// Of a block: as many as a vector has polynomials.
    products: &'a mut [c64],
}

impl pulp::WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let columns = self.products.len() / BLOCK;
        for start in (0..self.length).step_by(BLOCK) {
            let block = start..self.length.min(start + BLOCK);
            for vector in self.vectors.iter_mut() {
                for (column, products) in self.products.chunks_mut(BLOCK).enumerate() {
                    let (sums, _) = S::as_mut_simd_c64s(products).0.as_chunks_mut();
                    for (run, sums) in sums.iter_mut().enumerate() {
                        for (row, factors) in vector.chunks(self.length).enumerate() {
                            let place = (row * columns + column) * self.length;
                            let polynomial = &self.matrix[place..][block.clone()];
                            let factors = &factors[block.clone()];
                            let pair = (at::<S>(polynomial, run), at::<S>(factors, run));
                            if let (Some(a), Some(b)) = pair {
                                multiply_add(simd, sums, a, b, row > 0);
                            }
                        }
                    }
                }
                let products = self.products.chunks(BLOCK);
                for (target, products) in vector.chunks_mut(self.length).zip(products) {
                    target[block.clone()].copy_from_slice(&products[..block.len()]);
                }
            }
        }
    }
}

/// A run of numbers.
#[inline(always)]
fn at<S: pulp::Simd>(numbers: &[c64], run: usize) -> Option<&[S::c64s; RUN]> {
    S::as_simd_c64s(numbers).0.as_chunks().0.get(run)
}

/// Adds products to the sums, or begins these.
#[inline(always)]
fn multiply_add<S: pulp::Simd>(
    simd: S,
    sums: &mut [S::c64s; RUN],
    a: &[S::c64s; RUN],
    b: &[S::c64s; RUN],
    begun: bool,
) {
    if begun {
        *sums = std::array::from_fn(|i| simd.mul_add_c64s(a[i], b[i], sums[i]));
    } else {
        *sums = std::array::from_fn(|i| simd.mul_c64s(a[i], b[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tfhe::core_crypto::prelude::*;

    /// Words without a pattern, by a fixed sequence (splitmix64).
    fn words(seed: u64, count: usize) -> Vec<u64> {
        let word = |i: u64| {
            let x = (seed + i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        (1..=count as u64).map(word).collect()
    }

    #[test]
    fn all_sets_decompose_into_one_digit() {
        for set in cipherloom_ir::integer::SETS {
            assert_eq!(set.pbs_level, 1, "{}", set.name);
            assert!(set.polynomial_size() / 2 >= BLOCK, "{}", set.name);
        }
    }

    #[test]
    fn digits_are_the_nearest_numbers_of_the_rotated_difference() {
        let (size, base_log) = (16, 23);
        let polynomial = words(5, size);
        for turn in 0..2 * size {
            let mut digits = vec![0; size];
            pulp::Arch::new().dispatch(Digits {
                polynomial: &polynomial,
                turn,
                base_log,
                digits: &mut digits,
            });
            for (j, digit) in digits.iter().enumerate() {
                // The coefficient that X^turn brings to j.
                let from = (j as i64 - turn as i64).rem_euclid(2 * size as i64) as usize;
                let x = polynomial[from % size];
                let x = if from < size { x } else { x.wrapping_neg() };
                let error = x
                    .wrapping_sub(polynomial[j])
                    .wrapping_sub(digit << (64 - base_log)) as i64;
                assert!(error.unsigned_abs() <= 1 << (63 - base_log), "{turn} {j}");
                let digit = (*digit as i64).unsigned_abs();
                assert!(digit <= 1 << (base_log - 1), "{turn} {j}");
            }
        }
    }

    #[test]
    fn rotations_have_the_bits_of_the_crate_s() {
        for (dimension, log_size) in [(1, 11), (4, 9)] {
            let (size, steps, count) = (PolynomialSize(1 << log_size), 5, 3);
            let glwe = GlweDimension(dimension).to_glwe_size();
            let (base, level) = (DecompositionBaseLog(23), DecompositionLevelCount(1));
            let modulus = CiphertextModulus::new_native();
            let length = steps * glwe.0 * glwe.0 * size.0;
            let standard =
                LweBootstrapKey::from_container(words(1, length), glwe, size, base, level, modulus);
            let mut key = FourierLweBootstrapKey::new(LweDimension(steps), glwe, size, base, level);
            convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut key);
            let fft = Fft::new(size);
            let table = words(2, size.0);
            let mut expected = vec![];
            let (mut turns, mut accumulators) = (vec![], vec![]);
            for number in 0..count {
                let mut small = words(100 * (number + 1), steps + 1);
                if number == 0 {
                    // A step that turns nothing.
                    small[2] = 0;
                }
                let small = LweCiphertext::from_container(small, modulus);
                let log_modulus = size.to_blind_rotation_input_modulus_log();
                let switched = lwe_ciphertext_modulus_switch::<u64, usize, _>(small, log_modulus);
                let mut one = GlweCiphertext::new(0, glwe, size, modulus);
                one.get_mut_body().as_mut().copy_from_slice(&table);
                blind_rotate_assign(&switched, &mut one, &key);
                expected.push(one.into_container());
                turns.push(switched.mask().collect());
                let mut accumulator = vec![0; dimension * size.0];
                accumulator.extend(turned_back(&table, switched.body()));
                accumulators.push(accumulator);
            }
            let mut scratch = Scratch::new(fft.as_view(), glwe.0, accumulators.len());
            rotate(
                key.as_view(),
                fft.as_view(),
                &mut accumulators,
                &turns,
                &mut scratch,
            );
            assert!(accumulators == expected, "dimension {dimension}");
        }
    }
}
