//! Loops over residues: pointwise arithmetic, lazy multiply-accumulates, base conversion, permutations.
//!
//! Each kernel exists in portable Rust and for AVX-512 IFMA; the one to run is chosen once per process by what the
//! CPU has. Both give the same bits: all results are reduced to `[0, p)`. All slices of a call have the same length
//! unless stated otherwise; operands are residues below the modulus.

mod buffer;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod modulus;
mod portable;
mod roots;
#[cfg(test)]
mod tests;
pub(crate) mod weighted;
mod words;

pub(crate) use buffer::Buffer;
pub(crate) use modulus::{MAX_TERMS, Modulus, Shoup};
pub(crate) use roots::Roots;
pub(crate) use words::{Row, Word, Words};

use crate::automorphism::{Automorphism, IDENTITY_PATTERN, Pattern};

/// A piece of the inner product of digits with a switching key modulo one prime, under an automorphism.
///
/// With digits `x_d` and key halves `b_d`, `a_d`: `out0 = sum phi(x_d) b_d + phi(extra_0)`,
/// `out1 = sum phi(x_d) a_d + phi(extra_1)`, from position `offset` on.
pub(crate) struct InnerProduct<'a> {
    /// The digits, in the NTT domain: whole limbs.
    pub(crate) digits: &'a [&'a [u64]],
    /// `b_0, a_0, b_1, a_1, ..`, each as long as a digit, in Montgomery form and in the order of
    /// [`Automorphism::unpermute_blocks`]; at least as many as digits.
    pub(crate) key: Row<'a>,
    /// For each sum, a row and a factor in Montgomery form whose product joins it.
    pub(crate) extra: [Option<(&'a [u64], u64)>; 2],
    /// The automorphism; none is the identity.
    pub(crate) automorphism: Option<&'a Automorphism>,
    /// The first position of the piece, a multiple of eight.
    pub(crate) offset: usize,
    /// Whether results are added to what the outputs hold.
    pub(crate) accumulate: bool,
}

impl InnerProduct<'_> {
    /// Which block of eight words the automorphism takes to a block.
    fn source(&self, block: usize) -> (usize, &Pattern) {
        self.automorphism
            .map_or((block, &IDENTITY_PATTERN), |a| a.source(block))
    }
}

/// A piece of the sum of products of compact plaintexts with pairs of rows modulo one prime.
///
/// `out_c[i] = sum_t f_t[(offset + i) >> log_run] * x_c,t[i]`, for c = 0, 1. The terms are split into streams; the
/// factors of each stream lie in the order in which they are used: for each sixteen positions, or each `2^log_run` if
/// those are more, the factors of every term of the stream.
pub(crate) struct Broadcast<'a> {
    /// The factors of each stream, in Montgomery form and all of one width.
    pub(crate) factors: [Row<'a>; STREAMS],
    /// For each term, which of the pairs of rows it multiplies.
    pub(crate) terms: &'a [u32],
    /// Pairs of rows, one after the other: of `2 * stride` words each.
    pub(crate) rows: &'a [u64],
    /// Words of a row.
    pub(crate) stride: usize,
    /// Where in its row the piece starts.
    pub(crate) start: usize,
    /// log2 of the number of consecutive positions that one factor serves.
    pub(crate) log_run: u32,
    /// Whether results are added to what the outputs hold.
    pub(crate) accumulate: bool,
}

/// Factors lie in so many streams, as memory arrives faster in several than in one.
pub(crate) const STREAMS: usize = 4;

/// The terms of each stream.
pub(crate) fn split_terms<T>(terms: &[T]) -> [&[T]; STREAMS] {
    std::array::from_fn(|s| &terms[s * terms.len() / STREAMS..(s + 1) * terms.len() / STREAMS])
}

/// How many positions, and how many factors of one term, lie together.
pub(crate) fn broadcast_group(log_run: u32) -> (usize, usize) {
    if log_run < 4 {
        (16, 16 >> log_run)
    } else {
        (1 << log_run, 1)
    }
}

/// Two rows, and two rows that they are multiplied with.
pub(crate) type RowPair<'a> = [&'a [u64]; 2];

/// Sums of tensor products and multiples modulo one prime.
///
/// `out_0 = sum a_0 b_0 + sum f x_0 + constant`, `out_1 = sum (a_0 b_1 + a_1 b_0) + sum f x_1`, `out_2 = sum a_1 b_1`.
pub(crate) struct Sums<'a> {
    /// The pairs `a` and `b`.
    pub(crate) products: &'a [(RowPair<'a>, RowPair<'a>)],
    /// The pairs `x` and the factors `f`.
    pub(crate) terms: &'a [(RowPair<'a>, u64)],
    /// A residue.
    pub(crate) constant: u64,
}

#[cfg(test)]
thread_local! {
    /// Tests set this to run the portable code on their thread.
    pub(crate) static FORCE_PORTABLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether all threads run the portable code.
#[cfg(feature = "insecure-test-parameters")]
static ALL_PORTABLE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Makes all threads run the portable kernels, or again those that the CPU has: tests compare whole evaluations.
#[cfg(feature = "insecure-test-parameters")]
pub fn use_portable_kernels(portable: bool) {
    ALL_PORTABLE.store(portable, std::sync::atomic::Ordering::SeqCst);
}

/// Whether the IFMA kernels may run on rows of this length.
#[cfg(target_arch = "x86_64")]
fn use_ifma(len: usize, lanes: usize) -> bool {
    #[cfg(test)]
    if FORCE_PORTABLE.get() {
        return false;
    }
    #[cfg(feature = "insecure-test-parameters")]
    if ALL_PORTABLE.load(std::sync::atomic::Ordering::Relaxed) {
        return false;
    }
    len.is_multiple_of(lanes)
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Calls a kernel in its IFMA form where the CPU has it and the rows are whole multiples of `$lanes`.
macro_rules! dispatch {
    ($len:expr, $lanes:literal, $kernel:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if use_ifma($len, $lanes) {
            // SAFETY: the CPU has the features, as `use_ifma` found. The lengths of all rows were checked above, and
            // they are multiples of the vectors' lengths, so that no access leaves them.
            unsafe { ifma::$kernel($($argument),*) }
            return;
        }
        portable::$kernel($($argument),*);
    }};
}

/// Whether the transforms of this module may run on rows of this length.
#[cfg(target_arch = "x86_64")]
fn use_transforms(m: &Modulus, roots: &Roots, len: usize) -> bool {
    len >= ifma::SHORTEST
        && len.is_power_of_two()
        && roots.len() == len
        && ifma::stays_small(m, len)
        && use_ifma(len, 16)
}

/// Coefficients to values of the negacyclic transform, if there is a kernel for this CPU, prime and length.
///
/// `roots` are the powers of psi. Whether it was done is returned.
pub(crate) fn ntt_forward(m: &Modulus, roots: &Roots, x: &mut [u64]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if use_transforms(m, roots, x.len()) {
        // SAFETY: the CPU has the features. There are as many roots as words, a power of two and at least 128, so that
        // parts halve down to blocks of sixteen words and no access leaves the rows.
        unsafe { ifma::ntt_forward(m, roots, x) }
        return true;
    }
    let _ = (m, roots, x);
    false
}

/// Values to coefficients times N times `scale`, from `x` to `out`; as [`ntt_forward`], with the inverse roots.
pub(crate) fn ntt_inverse(
    m: &Modulus,
    roots: &Roots,
    out: &mut [u64],
    x: &[u64],
    scale: Shoup,
) -> bool {
    assert_eq!(out.len(), x.len());
    #[cfg(target_arch = "x86_64")]
    if use_transforms(m, roots, x.len()) {
        // SAFETY: as in `ntt_forward`; both rows have one length.
        unsafe { ifma::ntt_inverse(m, roots, out, x, scale) }
        return true;
    }
    let _ = (m, roots, scale);
    false
}

/// `x += y`.
pub(crate) fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    assert_eq!(x.len(), y.len());
    dispatch!(x.len(), 8, add_assign(m, x, y));
}

/// `x -= y`.
pub(crate) fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    assert_eq!(x.len(), y.len());
    dispatch!(x.len(), 8, sub_assign(m, x, y));
}

/// `x = -x`.
pub(crate) fn negate_assign(m: &Modulus, x: &mut [u64]) {
    portable::negate_assign(m, x);
}

/// `x += scalar`.
pub(crate) fn add_scalar_assign(m: &Modulus, x: &mut [u64], scalar: u64) {
    portable::add_scalar_assign(m, x, scalar);
}

/// `x *= w`.
pub(crate) fn mul_shoup_assign(m: &Modulus, x: &mut [u64], w: Shoup) {
    dispatch!(x.len(), 8, mul_shoup_assign(m, x, w));
}

/// `out = x * w`.
pub(crate) fn mul_shoup(m: &Modulus, out: &mut [u64], x: &[u64], w: Shoup) {
    assert_eq!(out.len(), x.len());
    dispatch!(x.len(), 8, mul_shoup(m, out, x, w));
}

/// `x *= y`, pointwise.
pub(crate) fn mul_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    assert_eq!(x.len(), y.len());
    dispatch!(x.len(), 8, mul_assign(m, x, y));
}

/// `out = (x - t) * w`.
pub(crate) fn sub_mul(m: &Modulus, out: &mut [u64], x: &[u64], t: &[u64], w: Shoup) {
    assert_eq!(out.len(), x.len());
    assert_eq!(out.len(), t.len());
    dispatch!(x.len(), 8, sub_mul(m, out, x, t, w));
}

/// `(low, high) = (low + w high, low - w high)`, pointwise.
pub(crate) fn butterfly(m: &Modulus, low: &mut [u64], high: &mut [u64], w: Shoup) {
    assert_eq!(low.len(), high.len());
    dispatch!(low.len(), 8, butterfly(m, low, high, w));
}

/// `(a_0 b_0, a_0 b_1 + a_1 b_0, a_1 b_1)`, pointwise.
pub(crate) fn tensor(m: &Modulus, out: [&mut [u64]; 3], a: [&[u64]; 2], b: [&[u64]; 2]) {
    let len = out[0].len();
    assert!(out.iter().all(|x| x.len() == len) && a.iter().chain(&b).all(|x| x.len() == len));
    dispatch!(len, 8, tensor(m, out, a, b));
}

/// See [`Sums`]; `out2` must be there if there are products.
pub(crate) fn sums(m: &Modulus, out: [&mut [u64]; 2], out2: Option<&mut [u64]>, work: &Sums<'_>) {
    let [out0, out1] = out;
    let n = out0.len();
    let fits = |rows: &RowPair<'_>| rows.iter().all(|row| row.len() == n);
    assert!(out1.len() == n && work.terms.iter().all(|(x, _)| fits(x)));
    assert!(work.products.iter().all(|(a, b)| fits(a) && fits(b)));
    assert!(2 * work.products.len() + work.terms.len() <= MAX_TERMS);
    match out2 {
        Some(out2) => {
            assert_eq!(out2.len(), n);
            dispatch!(n, 8, sums_of_products(m, [out0, out1, out2], work));
        }
        None => {
            assert!(work.products.is_empty());
            dispatch!(n, 8, sums_of_multiples(m, [out0, out1], work));
        }
    }
}

/// `out = sum_j rows_j * factors_j`, the factors in Montgomery form; rows may hold any words below 2^50.
pub(crate) fn convert(m: &Modulus, out: &mut [u64], rows: &[&[u64]], factors: &[u64]) {
    assert!(rows.len() <= factors.len() && rows.len() <= MAX_TERMS);
    assert!(rows.iter().all(|row| row.len() == out.len()));
    dispatch!(out.len(), 16, convert(m, out, rows, factors));
}

/// The residues of the numbers in `(-source/2, source/2]` that `x` gives modulo the odd number `source` below 2^50.
pub(crate) fn convert_centred(m: &Modulus, out: &mut [u64], x: &[u64], source: u64) {
    assert_eq!(out.len(), x.len());
    dispatch!(x.len(), 8, convert_centred(m, out, x, source));
}

/// `floor(1/2 + sum_j rows_j * inverses_j)`, in double precision, summed in order.
pub(crate) fn overflow(out: &mut [u64], rows: &[&[u64]], inverses: &[f64]) {
    assert!(rows.iter().all(|row| row.len() == out.len()));
    dispatch!(out.len(), 8, overflow(out, rows, inverses));
}

/// See [`InnerProduct`].
pub(crate) fn inner_product(
    m: &Modulus,
    out0: &mut [u64],
    out1: &mut [u64],
    work: &InnerProduct<'_>,
) {
    match work.key {
        Row::Narrow(key) => inner_product_with(m, out0, out1, work, key),
        Row::Wide(key) => inner_product_with(m, out0, out1, work, key),
    }
}

fn inner_product_with<W: Word>(
    m: &Modulus,
    out0: &mut [u64],
    out1: &mut [u64],
    work: &InnerProduct<'_>,
    key: &[W],
) {
    let n = work.digits.first().map_or(out0.len(), |d| d.len());
    assert!(out0.len() == out1.len() && work.digits.iter().all(|d| d.len() == n));
    assert!(work.extra.iter().flatten().all(|(row, _)| row.len() == n));
    assert!(work.offset.is_multiple_of(8) && work.offset + out0.len() <= n);
    // Sources are a permutation of the blocks.
    assert!(out0.len().is_multiple_of(8) && work.automorphism.is_none_or(|a| a.blocks() == n / 8));
    // Up to one extra product joins each sum.
    assert!(work.digits.len() < MAX_TERMS);
    assert!(key.len() >= 2 * work.digits.len() * n);
    dispatch!(out0.len(), 8, inner_product(m, out0, out1, work, key));
}

/// See [`Broadcast`].
pub(crate) fn mac_broadcast(m: &Modulus, out0: &mut [u64], out1: &mut [u64], work: &Broadcast<'_>) {
    let streams = work.factors;
    if let Some(factors) = all_of(streams, |row| match row {
        Row::Narrow(factors) => Some(factors),
        Row::Wide(_) => None,
    }) {
        return mac_broadcast_with(m, out0, out1, work, &factors);
    }
    let factors = all_of(streams, |row| match row {
        Row::Wide(factors) => Some(factors),
        Row::Narrow(_) => None,
    });
    assert!(factors.is_some());
    if let Some(factors) = factors {
        mac_broadcast_with(m, out0, out1, work, &factors);
    }
}

/// What all streams are.
fn all_of<'a, W>(
    streams: [Row<'a>; STREAMS],
    factors: impl Fn(Row<'a>) -> Option<&'a [W]>,
) -> Option<[&'a [W]; STREAMS]> {
    let mut all: [&[W]; STREAMS] = [&[]; STREAMS];
    for (factors, row) in all.iter_mut().zip(streams.map(factors)) {
        *factors = row?;
    }
    Some(all)
}

fn mac_broadcast_with<W: Word>(
    m: &Modulus,
    out0: &mut [u64],
    out1: &mut [u64],
    work: &Broadcast<'_>,
    factors: &[&[W]; STREAMS],
) {
    let (len, (positions, width)) = (out0.len(), broadcast_group(work.log_run));
    assert!(out0.len() == out1.len() && work.terms.len() <= MAX_TERMS);
    for (terms, factors) in split_terms(work.terms).iter().zip(factors) {
        assert!(factors.len() >= len.div_ceil(positions) * width * terms.len());
    }
    assert!(work.start + len <= work.stride);
    let largest = work.terms.iter().max().map_or(0, |t| *t as usize + 1);
    assert!(2 * largest * work.stride <= work.rows.len());
    dispatch!(len, 16, mac_broadcast(m, out0, out1, work, factors));
}
