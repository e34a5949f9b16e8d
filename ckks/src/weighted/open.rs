//! Sums before their division and relinearisation: where nearly all the time goes.
//!
//! For each part and limb, and for as many words at a time as lie in the caches, the operands (or the products of their
//! parts) are laid out in a panel, and all rows are summed up from there.

use super::Summands;
use super::groups::Piece;
use crate::compact::CompactCiphertext;
use crate::kernel::Modulus;
use crate::kernel::weighted::{BLOCK, Factors, Panel, Weighted, weighted_sums};
use crate::parallel;
use crate::params::Parameters;

/// The bytes of a panel: so wide that operands are read in long pieces, and not larger than the caches.
const PANEL_BYTES: usize = 3 << 20;
/// Panels have at most so many words of each operand: a page of narrow ones.
const MAX_WIDTH: usize = 1024;

/// The sums of the rows of some pieces, in their order: the limbs of ring elements, of degree one or two in the secret key.
pub(super) fn open_sums(
    params: &Parameters,
    pieces: &[Piece],
    operands: &[&CompactCiphertext],
    level: usize,
    summands: Summands,
    sums: &mut [u64],
) {
    let n = params.n();
    let parts = match summands {
        Summands::Values => 2,
        Summands::Squares => 3,
    };
    // The columns that occur, and the pieces' columns as places among them.
    let mut used: Vec<u32> = pieces
        .iter()
        .flat_map(|p| p.columns.iter().copied())
        .collect();
    used.sort_unstable();
    used.dedup();
    let place = |c: &u32| used.binary_search(c).unwrap_or_default() as u32;
    let places: Vec<Vec<u32>> = pieces
        .iter()
        .map(|p| p.columns.iter().map(place).collect())
        .collect();
    let integers: Vec<i64> = pieces
        .iter()
        .flat_map(|p| p.integers.iter().copied())
        .collect();
    let factors: Vec<Factors> = (0..=level)
        .map(|i| Factors::new(&params.limb_at(i).modulus, &integers))
        .collect();

    let words = PANEL_BYTES / 4 / used.len().max(1);
    let width = (words / BLOCK * BLOCK).clamp(BLOCK, MAX_WIDTH).min(n);
    let rows: usize = pieces.iter().map(|p| p.rows.len()).sum();
    // One job for each part, limb and span of words: the words of all rows.
    let spans = n.div_ceil(width);
    let mut jobs: Vec<Vec<&mut [u64]>> = Vec::new();
    jobs.resize_with(parts * (level + 1) * spans, || Vec::with_capacity(rows));
    for row in sums.chunks_exact_mut(parts * (level + 1) * n) {
        let words = row
            .chunks_exact_mut(n)
            .flat_map(|limb| limb.chunks_mut(width));
        jobs.iter_mut()
            .zip(words)
            .for_each(|(job, words)| job.push(words));
    }
    let jobs = jobs.into_iter().enumerate().collect();
    parallel::for_each(jobs, |(index, mut out): (usize, Vec<&mut [u64]>)| {
        let (part, limb, span) = (
            index / spans / (level + 1),
            index / spans % (level + 1),
            index % spans,
        );
        let modulus = &params.limb_at(limb).modulus;
        let at = span * width;
        let len = out.first().map_or(0, |o| o.len());
        let source = Source {
            modulus,
            limb,
            at,
            part,
            summands,
        };
        let panel = source.panel(&used, operands, len);
        for at in (0..len).step_by(BLOCK) {
            let (mut start, mut rest) = (0, &mut out[..]);
            for (piece, columns) in pieces.iter().zip(&places) {
                let (own, behind) = rest.split_at_mut(piece.rows.len());
                rest = behind;
                let work = Weighted {
                    panel: &panel,
                    columns,
                    factors: &factors[limb],
                    start,
                    at,
                    len: BLOCK.min(len - at),
                };
                weighted_sums(modulus, own, &work);
                start += piece.integers.len();
            }
        }
    });
}

/// Which words of which part a panel holds.
struct Source<'a> {
    modulus: &'a Modulus,
    limb: usize,
    at: usize,
    part: usize,
    summands: Summands,
}

impl Source<'_> {
    /// `len` words of the used operands, or of a part of their squares: `c0^2`, `2 c0 c1`, `c1^2`.
    fn panel(&self, used: &[u32], operands: &[&CompactCiphertext], len: usize) -> Panel {
        let m = self.modulus;
        let mut panel = Panel::new(m, used.len(), len);
        for (place, column) in used.iter().enumerate() {
            let operand = operands[*column as usize];
            let words = |part| operand.words(part, self.limb, self.at, len);
            match self.summands {
                Summands::Values => panel.set(m, place, words(self.part)),
                Summands::Squares => {
                    let (a, b) = [(0, 0), (0, 1), (1, 1)][self.part.min(2)];
                    panel.set_product(m, place, [a, b].map(words), a != b);
                }
            }
        }
        panel
    }
}
