//! Galois automorphisms of vectors in the NTT domain.
//!
//! Position i of a vector holds the value at `psi^(2 brv(i) + 1)`, so `X -> X^g` sends exponent e to e g. The low
//! three bits of a position are the high three bits of its exponent: multiples of N/4. Hence eight aligned
//! consecutive words stay together, and an automorphism moves whole cache lines and permutes within them.

use crate::ntt::reverse;

/// How the eight words of a block are permuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Word `j` of the source goes to word `scatter[j]`.
    pub(crate) scatter: [u64; 8],
    /// Word `j` of the result is word `gather[j]` of the source.
    pub(crate) gather: [u64; 8],
}

/// The pattern that leaves a block as it is.
pub(crate) const IDENTITY_PATTERN: Pattern = Pattern {
    scatter: [0, 1, 2, 3, 4, 5, 6, 7],
    gather: [0, 1, 2, 3, 4, 5, 6, 7],
};

/// The permutation of an automorphism, by destination block.
#[derive(Debug)]
pub(crate) struct Automorphism {
    /// For each block of the image: `8 * source + pattern`.
    blocks: Vec<u32>,
    patterns: [Pattern; 8],
}

impl Automorphism {
    /// The automorphism `X -> X^galois` for odd `galois` below 2N, in the ring of degree `2^log_n`, `log_n >= 3`.
    pub(crate) fn new(log_n: u32, galois: usize) -> Self {
        let n = 1_usize << log_n;
        let inverse = invert_odd(galois, 2 * n);
        let quarter = n / 4;
        let mut blocks = vec![0; n / 8];
        for source in 0..n / 8 {
            let exponent = (2 * reverse(source, log_n - 3) + 1) * inverse % (2 * n);
            let destination = reverse((exponent % quarter) / 2, log_n - 3);
            blocks[destination] = (8 * source + exponent / quarter) as u32;
        }
        let patterns = std::array::from_fn(|carry| {
            let mut pattern = IDENTITY_PATTERN;
            for lane in 0..8 {
                let target = reverse((carry + reverse(lane, 3) * inverse) % 8, 3);
                pattern.scatter[lane] = target as u64;
                pattern.gather[target] = lane as u64;
            }
            pattern
        });
        Self { blocks, patterns }
    }

    /// The number of blocks of eight words.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The source block and the pattern of a block of the image.
    #[inline]
    pub(crate) fn source(&self, block: usize) -> (usize, &Pattern) {
        let entry = self.blocks[block] as usize;
        (entry / 8, &self.patterns[entry % 8])
    }

    /// `out = phi(x)`.
    pub(crate) fn apply(&self, out: &mut [u64], x: &[u64]) {
        for (block, target) in out.chunks_exact_mut(8).enumerate() {
            let (source, pattern) = self.source(block);
            permute(target, &x[8 * source..8 * source + 8], &pattern.gather);
        }
    }

    /// Leaves the blocks of an image where they are and brings the words of each into their order before the
    /// automorphism: what stands next to a word of a source block is then what the automorphism takes it to.
    pub(crate) fn unpermute_blocks(&self, out: &mut [u64], image: &[u64]) {
        let blocks = out.chunks_exact_mut(8).zip(image.chunks_exact(8));
        for (block, (target, words)) in blocks.enumerate() {
            permute(target, words, &self.source(block).1.scatter);
        }
    }
}

/// Word j of the target is word `lanes[j]` of a block.
fn permute(target: &mut [u64], words: &[u64], lanes: &[u64; 8]) {
    for (word, lane) in target.iter_mut().zip(lanes) {
        *word = words[(*lane & 7) as usize];
    }
}

/// The inverse of an odd number modulo a power of two.
pub(crate) fn invert_odd(x: usize, modulus: usize) -> usize {
    let mut inverse = 1_usize;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_usize.wrapping_sub(x.wrapping_mul(inverse)));
    }
    inverse & (modulus - 1)
}

/// The Galois element of a left rotation by `steps`: `5^steps mod 2N`.
pub(crate) fn rotation_element(log_n: u32, steps: u32) -> usize {
    let mask = (2_usize << log_n) - 1;
    let (mut result, mut base, mut exponent) = (1_usize, 5_usize, steps);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base) & mask;
        }
        base = base.wrapping_mul(base) & mask;
        exponent >>= 1;
    }
    result
}

/// The Galois element of the complex conjugation: `-1 mod 2N`.
pub(crate) fn conjugation_element(log_n: u32) -> usize {
    (2_usize << log_n) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poly::{Domain, Poly};
    use crate::testing::{Rng, random_poly, toy_single};

    #[test]
    fn permutations_are_the_automorphisms_of_the_coefficient_domain() {
        for log_n in [4, 5, 9] {
            let params = toy_single(log_n);
            let n = params.n();
            let poly = random_poly(&params, &mut Rng(3), 1, true);
            let mut coefficients = poly.clone();
            coefficients.to_coefficients(&params);
            let elements = [
                1,
                3,
                5,
                25,
                2 * n - 1,
                rotation_element(log_n, 3),
                conjugation_element(log_n),
                n + 1,
            ];
            for galois in elements {
                let mut expected = Poly::zero(&params, 1, true, Domain::Coefficient);
                for i in 0..expected.limbs() {
                    let prime = params.prime(1, i).unwrap();
                    for (j, c) in coefficients.limb(i).iter().enumerate() {
                        let power = j * galois % (2 * n);
                        expected.limb_mut(i)[power % n] =
                            if power < n { *c } else { (prime - c) % prime };
                    }
                }
                let mut image = poly.automorphism(galois, &params).unwrap();
                image.to_coefficients(&params);
                assert_eq!(image, expected, "N = {n}, galois {galois}");
                let inverse = invert_odd(galois, 2 * n);
                let back = poly
                    .automorphism(galois, &params)
                    .unwrap()
                    .automorphism(inverse, &params)
                    .unwrap();
                assert_eq!(back, poly);
            }
            assert!(poly.automorphism(2, &params).is_err());
        }
    }

    #[test]
    fn rotation_elements_are_powers_of_five() {
        assert_eq!(rotation_element(4, 0), 1);
        assert_eq!(rotation_element(4, 3), 125 % 32);
        assert_eq!(
            rotation_element(13, 1000),
            (0..1000).fold(1, |g, _| g * 5 % 16384)
        );
    }
}
