//! Residues on disk: each word takes as many bits as its prime has.
//!
//! The words of a limb follow one another without gaps, least significant bit first; a limb ends on a byte boundary.

use crate::error::CkksError;
use crate::params::Parameters;
use crate::poly::{Domain, Poly};

/// The bits of a word modulo `prime`.
fn width(prime: u64) -> usize {
    (u64::BITS - (prime - 1).leading_zeros()) as usize
}

/// The bytes that a packed ring element takes: `level + 1` limbs of N words, and the special ones if asked for.
///
/// `None` for a level that the parameters do not have.
pub fn packed_len(params: &Parameters, level: usize, special: bool) -> Option<usize> {
    let chain = params.q().get(..=level)?;
    let primes = chain
        .iter()
        .chain(params.p().iter().filter(move |_| special));
    Some(primes.map(|p| (params.n() * width(*p)).div_ceil(8)).sum())
}

/// Appends a ring element, limb by limb.
///
/// # Errors
/// [`CkksError::Shape`] for a ring element of other parameters, [`CkksError::Domain`] for one that is not in the NTT domain.
pub fn pack_poly(params: &Parameters, poly: &Poly, out: &mut Vec<u8>) -> Result<(), CkksError> {
    poly.expect(Domain::Ntt)?;
    let special = if poly.has_special() {
        params.p().len()
    } else {
        0
    };
    if poly.limbs() != poly.level() + 1 + special || poly.limb(0).len() != params.n() {
        return Err(CkksError::Shape);
    }
    for i in 0..poly.limbs() {
        let prime = params.prime(poly.level(), i).ok_or(CkksError::Shape)?;
        pack_words(poly.limb(i), width(prime), out);
    }
    Ok(())
}

/// Reads a ring element in the NTT domain that [`pack_poly`] wrote: exactly [`packed_len`] bytes.
///
/// # Errors
/// [`CkksError::Malformed`], naming `what`, for another length, a word that is not below its prime, or padding that is not zero.
pub fn unpack_poly(
    params: &Parameters,
    level: usize,
    special: bool,
    bytes: &[u8],
    what: &'static str,
) -> Result<Poly, CkksError> {
    let malformed = |reason: &str| CkksError::Malformed {
        what,
        reason: reason.to_owned(),
    };
    if packed_len(params, level, special) != Some(bytes.len()) {
        return Err(malformed("the residues have the wrong length"));
    }
    let mut poly = Poly::zero(params, level, special, Domain::Ntt);
    let mut rest = bytes;
    for i in 0..poly.limbs() {
        let prime = params.prime(level, i).ok_or(CkksError::Shape)?;
        let len = (params.n() * width(prime)).div_ceil(8);
        let (limb, tail) = rest
            .split_at_checked(len)
            .ok_or_else(|| malformed("the residues are cut"))?;
        rest = tail;
        if !unpack_words(limb, width(prime), prime, poly.limb_mut(i)) {
            return Err(malformed("a residue is not below its prime"));
        }
    }
    Ok(poly)
}

fn pack_words(words: &[u64], width: usize, out: &mut Vec<u8>) {
    out.reserve((words.len() * width).div_ceil(8));
    let (mut pending, mut bits) = (0_u128, 0);
    for word in words {
        pending |= u128::from(*word) << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&(pending as u64).to_le_bytes());
            pending >>= 64;
            bits -= 64;
        }
    }
    let tail = (pending as u64).to_le_bytes();
    out.extend_from_slice(&tail[..bits.div_ceil(8)]);
}

/// Whether every word is below the prime and the padding is zero.
fn unpack_words(bytes: &[u8], width: usize, prime: u64, out: &mut [u64]) -> bool {
    let mask = u64::MAX >> (64 - width);
    let (mut pending, mut bits) = (0_u128, 0);
    let (whole, tail) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    let mut source = whole.iter().chain([&last]);
    let mut fits = true;
    for word in out {
        if bits < width {
            let next = source.next().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            pending |= u128::from(next) << bits;
            bits += 64;
        }
        *word = pending as u64 & mask;
        fits &= *word < prime;
        pending >>= width;
        bits -= width;
    }
    fits && pending == 0 && source.all(|bytes| *bytes == [0; 8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_lie_bit_by_bit() {
        let mut out = vec![7];
        pack_words(&[0b101, 0b011, 0b110], 3, &mut out);
        assert_eq!(out, [7, 0b1001_1101, 0b1]);
        let mut words = [0; 3];
        assert!(unpack_words(&out[1..], 3, 7, &mut words));
        assert_eq!(words, [5, 3, 6]);
        // A word that is not below the prime, and padding that is not zero.
        assert!(!unpack_words(&out[1..], 3, 6, &mut words));
        assert!(!unpack_words(&[0b1001_1101, 0b11], 3, 7, &mut words));
    }

    #[test]
    fn coefficients_are_not_packed_as_values() {
        let params = crate::testing::toy_single(5);
        let poly = Poly::zero(&params, 1, false, Domain::Coefficient);
        let packed = pack_poly(&params, &poly, &mut vec![]);
        assert!(matches!(packed, Err(CkksError::Domain { .. })));
        for count in [31, 33] {
            let poly = Poly::from_signed(&params, 1, false, &vec![1; count]);
            assert_eq!(poly, Err(CkksError::Shape));
        }
        assert!(Poly::from_signed(&params, 99, false, &[1; 32]).is_err());
    }

    proptest! {
        #[test]
        fn words_come_back(width in 1_usize..=50, count in 1_usize..200, seed: u64) {
            let prime = 1_u64 << width;
            let words: Vec<u64> = (0..count as u64).map(|i| seed.wrapping_mul(i * i + 1).rotate_left(17) % prime).collect();
            let mut bytes = vec![];
            pack_words(&words, width, &mut bytes);
            prop_assert_eq!(bytes.len(), (count * width).div_ceil(8));
            let mut back = vec![0; count];
            prop_assert!(unpack_words(&bytes, width, prime, &mut back));
            prop_assert_eq!(back, words);
        }
    }
}
