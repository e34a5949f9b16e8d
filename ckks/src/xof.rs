//! Uniform ring elements expanded from public seeds.
//!
//! The public part of a key or of a seeded ciphertext is a uniform polynomial, stored as 32 bytes. A seed and a
//! context string give a ChaCha20 key (BLAKE3 `derive_key`), and the polynomial's index and limb number give the nonce, so
//! that two uses never share a keystream. Words are masked to the width of the prime and rejected when they are not
//! below it, which makes the result exactly uniform; the number of rejections depends on public data alone.

use chacha20::cipher::StreamCipher;
use chacha20::{ChaCha20, KeyIvInit};

/// A public seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed(pub [u8; 32]);

/// Bytes of keystream made at a time; a multiple of eight.
const CHUNK: usize = 4096;

/// Fills `out` with words uniform in `[0, modulus)`.
///
/// The same arguments always give the same words, on every machine. Moduli below 2^32 consume 32-bit little-endian
/// words of the keystream, larger ones 64-bit words. `index` tells apart the polynomials of one seed (the digit of a
/// key, say), `limb` the residues of one polynomial. A modulus of zero or one gives zeros.
pub fn uniform_limb(
    seed: &Seed,
    context: &'static str,
    index: u64,
    limb: usize,
    modulus: u64,
    out: &mut [u64],
) {
    if modulus <= 1 {
        out.fill(0);
        return;
    }
    let key = blake3::derive_key(context, &seed.0);
    let mut nonce = [0_u8; 12];
    nonce[..8].copy_from_slice(&index.to_le_bytes());
    nonce[8..].copy_from_slice(&(limb as u32).to_le_bytes());
    let mut stream = ChaCha20::new(&key.into(), &nonce.into());
    let mask = u64::MAX >> (modulus - 1).leading_zeros();
    if modulus < 1 << 32 {
        fill(
            &mut stream,
            out,
            |word: [u8; 4]| u64::from(u32::from_le_bytes(word)) & mask,
            modulus,
        );
    } else {
        fill(
            &mut stream,
            out,
            |word: [u8; 8]| u64::from_le_bytes(word) & mask,
            modulus,
        );
    }
}

/// Rejection sampling: words of `W` bytes in the order of the keystream, those not below the modulus left out.
fn fill<const W: usize>(
    stream: &mut ChaCha20,
    out: &mut [u64],
    word: impl Fn([u8; W]) -> u64,
    modulus: u64,
) {
    let mut filled = 0;
    let mut buffer = [0_u8; CHUNK];
    while filled < out.len() {
        buffer.fill(0);
        stream.apply_keystream(&mut buffer);
        let (words, _) = buffer.as_chunks::<W>();
        for bytes in words {
            // A rejected word is overwritten by the next one: no branch that a predictor would miss half the time.
            let Some(place) = out.get_mut(filled) else {
                return;
            };
            let value = word(*bytes);
            *place = value;
            filled += usize::from(value < modulus);
        }
    }
    // The last word was accepted, as the loop ends only then.
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed([3; 32]);

    fn words(
        context: &'static str,
        index: u64,
        limb: usize,
        modulus: u64,
        count: usize,
    ) -> Vec<u64> {
        let mut out = vec![0; count];
        uniform_limb(&SEED, context, index, limb, modulus, &mut out);
        out
    }

    /// ChaCha20 as RFC 8439, section 2.3, defines it: an independent path to the same words.
    fn chacha_block(key: &[u8; 32], counter: u32, nonce: &[u8; 12]) -> [u8; 64] {
        let word = |b: &[u8], i: usize| {
            u32::from_le_bytes([b[4 * i], b[4 * i + 1], b[4 * i + 2], b[4 * i + 3]])
        };
        let mut start = [0_u32; 16];
        start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for i in 0..8 {
            start[4 + i] = word(key, i);
        }
        start[12] = counter;
        for i in 0..3 {
            start[13 + i] = word(nonce, i);
        }
        let mut s = start;
        let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
            for (x, y, z, r) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                s[x] = s[x].wrapping_add(s[y]);
                s[z] = (s[z] ^ s[x]).rotate_left(r);
            }
        };
        for _ in 0..10 {
            for (a, b, c, d) in [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)] {
                quarter(a, b, c, d);
            }
            for (a, b, c, d) in [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)] {
                quarter(a, b, c, d);
            }
        }
        let mut out = [0; 64];
        for i in 0..16 {
            out[4 * i..4 * i + 4].copy_from_slice(&s[i].wrapping_add(start[i]).to_le_bytes());
        }
        out
    }

    #[test]
    fn follows_its_definition() {
        let key = blake3::derive_key("cipherloom test", &SEED.0);
        for (modulus, width) in [((1_u64 << 28) - 57, 4), ((1 << 49) + 9, 8), (3, 4)] {
            let mut nonce = [0_u8; 12];
            nonce[0] = 5;
            nonce[8] = 2;
            let stream: Vec<u8> = (0..400)
                .flat_map(|c| chacha_block(&key, c, &nonce))
                .collect();
            let bits = 64 - (modulus - 1).leading_zeros();
            let expected: Vec<u64> = stream
                .chunks(width)
                .map(|c| c.iter().rev().fold(0, |v, b| (v << 8) | u64::from(*b)) % (1 << bits))
                .filter(|v| *v < modulus)
                .take(1500)
                .collect();
            assert_eq!(expected.len(), 1500);
            assert_eq!(words("cipherloom test", 5, 2, modulus, 1500), expected);
        }
    }

    #[test]
    fn known_answer() {
        // A change of these words breaks every stored key and ciphertext: it needs a new format version.
        assert_eq!(
            words("cipherloom known answer", 0, 0, 268_369_921, 4),
            KNOWN_NARROW
        );
        assert_eq!(
            words("cipherloom known answer", 1, 3, 1_125_899_906_826_241, 4),
            KNOWN_WIDE
        );
    }

    const KNOWN_NARROW: [u64; 4] = [123_187_259, 171_274_657, 13_552_615, 16_524_989];
    const KNOWN_WIDE: [u64; 4] = [
        925_856_784_700_733,
        1_074_979_359_325_972,
        448_675_908_912_459,
        871_622_707_713_379,
    ];

    #[test]
    fn uses_are_separated() {
        let base = words("a", 0, 0, 1 << 40, 64);
        for other in [
            words("b", 0, 0, 1 << 40, 64),
            words("a", 1, 0, 1 << 40, 64),
            words("a", 0, 1, 1 << 40, 64),
        ] {
            assert_eq!(base.iter().zip(&other).filter(|(a, b)| a == b).count(), 0);
        }
        assert_eq!(words("a", 0, 0, 1 << 40, 32), base[..32]);
        assert_eq!(words("a", 0, 0, 1, 3), [0; 3]);
        assert!(words("a", 0, 0, 7, 0).is_empty());
    }

    #[test]
    fn is_uniform_below_the_modulus() {
        // Chi-square over 64 cells, 63 degrees of freedom: beyond 120 has probability 2e-5, and the seed is fixed.
        for modulus in [
            (1_u64 << 28) + 57,
            (1 << 31) - 1,
            (1 << 50) - 27,
            (1 << 32) + 15,
        ] {
            let count = 1 << 17;
            let sample = words("cipherloom uniformity", 9, 1, modulus, count);
            let mut cells = [0_u32; 64];
            for word in sample {
                assert!(word < modulus);
                cells[(u128::from(word) * 64 / u128::from(modulus)) as usize] += 1;
            }
            let expected = count as f64 / 64.0;
            let chi2: f64 = cells
                .iter()
                .map(|c| (f64::from(*c) - expected).powi(2) / expected)
                .sum();
            assert!(
                (25.0..120.0).contains(&chi2),
                "modulus {modulus}: chi-square {chi2}"
            );
        }
    }
}
