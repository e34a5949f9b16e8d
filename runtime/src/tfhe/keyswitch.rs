//! Keyswitches of several ciphertexts side by side: each row of the key is read once for all of them.
//!
//! A ciphertext `(a, b)` under the large key becomes `(0, b) - sum_i sum_j d_ij K_ij` under the small one, where `d_ij` are the signed digits
//! of `a_i` and `K_ij` encrypts `s_i` at the scale of digit j (Chillotti et al., eprint 2018/421, algorithm 2). With the set for 4 bits that is
//! 8192 rows of 919 words, and as many multiplications as words.
//!
//! The modulus switch that follows keeps 11 to 13 bits of a word, so that the key's words are rounded to their upper 32 bits: half the
//! memory to read, and multiplications that are much quicker. `ir::integer::noise` counts the error, far below the others.

use ::tfhe::core_crypto::prelude::*;

/// A keyswitching key whose words are rounded to 32 bits.
pub(super) struct RoundedKey {
    /// By coefficient of the large key, then by digit: a ciphertext under the small key each.
    rows: Vec<u32>,
    /// Words of a row.
    size: usize,
    decomposer: SignedDecomposer<u64>,
}

impl RoundedKey {
    pub(super) fn new(key: &LweKeyswitchKeyOwned<u64>) -> Self {
        let (base_log, levels) = (
            key.decomposition_base_log(),
            key.decomposition_level_count(),
        );
        Self {
            rows: key.as_ref().iter().map(|word| rounded(*word)).collect(),
            size: key.output_key_lwe_dimension().to_lwe_size().0,
            decomposer: SignedDecomposer::new(base_log, levels),
        }
    }

    /// The ciphertexts under the small key.
    pub(super) fn switch(&self, inputs: &[&[u64]]) -> Vec<Vec<u64>> {
        let digits = self.digits(inputs);
        let mut sums: Vec<Vec<u32>> = inputs.iter().map(|_| vec![0; self.size]).collect();
        let of_rows = digits.chunks(inputs.len().max(1));
        for (row, digits) in self.rows.chunks(self.size).zip(of_rows) {
            pulp::Arch::new().dispatch(SubtractMultiples {
                sums: &mut sums,
                row,
                digits,
            });
        }
        let wide = |sums: Vec<u32>| sums.into_iter().map(|word| u64::from(word) << 32);
        let mut results: Vec<Vec<u64>> = sums.into_iter().map(|s| wide(s).collect()).collect();
        for (result, input) in results.iter_mut().zip(inputs) {
            if let (Some(body), Some(b)) = (result.last_mut(), input.last()) {
                *body = body.wrapping_add(*b);
            }
        }
        results
    }

    /// The digits of all masks, by row of the key: one for each ciphertext.
    fn digits(&self, inputs: &[&[u64]]) -> Vec<u32> {
        let (rows, count) = (self.rows.len() / self.size.max(1), inputs.len());
        let levels = self.decomposer.level_count().0;
        let mut digits = vec![0; rows * count];
        for (number, input) in inputs.iter().enumerate() {
            let places = digits.chunks_mut((levels * count).max(1));
            for (a, places) in input.iter().zip(places) {
                let terms = self.decomposer.decompose(*a);
                for (term, place) in terms.zip(places.iter_mut().skip(number).step_by(count)) {
                    *place = term.value() as u32;
                }
            }
        }
        digits
    }
}

/// The upper 32 bits, rounded to the nearest.
fn rounded(word: u64) -> u32 {
    (word.wrapping_add(1 << 31) >> 32) as u32
}

/// Subtracts a row times a digit from each sum.
struct SubtractMultiples<'a> {
    sums: &'a mut [Vec<u32>],
    row: &'a [u32],
    digits: &'a [u32],
}

impl pulp::NullaryFnOnce for SubtractMultiples<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (sums, digit) in self.sums.iter_mut().zip(self.digits) {
            for (sum, word) in sums.iter_mut().zip(self.row) {
                *sum = sum.wrapping_sub(word.wrapping_mul(*digit));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyswitches_are_those_of_the_crate_with_the_rounded_key() {
        let (from, to) = (LweDimension(37), LweDimension(70));
        let word = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 40);
        let words = |from: u64, count: usize| (from..from + count as u64).map(word).collect();
        for (base, level) in [(4, 4), (5, 3)] {
            let (base_log, levels) = (DecompositionBaseLog(base), DecompositionLevelCount(level));
            let modulus = CiphertextModulus::new_native();
            let key: Vec<u64> = words(1, from.0 * level * to.to_lwe_size().0);
            let as_key = |words: Vec<u64>| {
                LweKeyswitchKey::from_container(words, base_log, levels, to.to_lwe_size(), modulus)
            };
            let wide = |w: &u64| u64::from(rounded(*w)) << 32;
            let crates = as_key(key.iter().map(wide).collect());
            let own = RoundedKey::new(&as_key(key));
            let inputs: Vec<Vec<u64>> = (0..3).map(|i| words(1000 * (i + 1), from.0 + 1)).collect();
            let found = own.switch(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
            for (input, found) in inputs.into_iter().zip(found) {
                let input = LweCiphertext::from_container(input, modulus);
                let mut expected = LweCiphertext::new(0, to.to_lwe_size(), modulus);
                keyswitch_lwe_ciphertext(&crates, &input, &mut expected);
                assert_eq!(found, expected.into_container());
            }
        }
    }

    #[test]
    fn words_are_rounded_to_the_nearest() {
        let found = [0, (1 << 31) - 1, 1 << 31, u64::MAX, 7 << 32].map(rounded);
        assert_eq!(found, [0, 0, 1, 0, 7]);
    }
}
