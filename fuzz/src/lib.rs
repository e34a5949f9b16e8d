//! What the fuzz targets share: files that pass every checksum, and seeds.

pub mod files;
pub mod protobuf;
pub mod seeds;

/// SplitMix64: the choices of a mutation, made from the number that libFuzzer gives.
pub struct Rng(u64);

impl Rng {
    /// The choices that follow from a seed.
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed))
    }

    /// A number of 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// libFuzzer's own mutation of some bytes, which may grow a little.
pub fn mutate_bytes(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let size = bytes.len();
    let room = size + [0, 1, 8, 64][rng.below(4)];
    if room == 0 {
        return;
    }
    bytes.resize(room, 0);
    let size = libfuzzer_sys::fuzzer_mutate(bytes, size, room);
    bytes.truncate(size);
}
