//! A transform's diagonals: expanded modulo some of the primes, and kept as integers where they are not.
//!
//! Expanded, a diagonal of period n takes 2n words for each prime. The primes that there is no room for are expanded
//! from 2n integer coefficients while their limb is worked on, the diagonals of one giant step at a time.
//!
//! Words lie in the order in which they are multiplied, so that they stream: for each strip of positions, for each sum,
//! for each few positions that are worked on at a time, the words of all diagonals of that sum.

use super::Group;
use crate::encoding::{Coefficients, Encoder};
use crate::error::CkksError;
use crate::kernel::{self, Buffer, Row, STREAMS, Words, broadcast_group, split_terms};
use crate::parallel;
use crate::params::Parameters;
use cipherloom_ir::Scale;
use cipherloom_ir::plan::Diagonal;

/// The most positions of a strip, in which all sums are worked on before the next one.
const LONGEST_STRIP: usize = 128;
/// The fewest.
const SHORTEST_STRIP: usize = 32;
/// So many words of rotations stay in the first-level cache: 32 KiB.
const CACHED_WORDS: usize = 1 << 12;

/// The positions of a strip of a column: as many as leave all its rotations in the first-level cache.
pub(super) fn strip(babies: usize) -> usize {
    let fit = CACHED_WORDS / (2 * babies.max(1));
    let fit = 1 << fit.max(1).ilog2();
    fit.clamp(SHORTEST_STRIP, LONGEST_STRIP)
}

/// The diagonals of a transform.
pub(super) struct Diagonals {
    /// By limb, then column, in Montgomery form; empty for a limb that is expanded at use.
    resident: Vec<Vec<Words>>,
    /// The coefficients of each diagonal; none where all limbs are resident.
    coefficients: Vec<Coefficients>,
    count: usize,
    level: usize,
    /// 2n for period n.
    width: usize,
    log_run: u32,
    /// The positions of a strip, by column.
    strips: Vec<usize>,
}

/// Where the words of a group lie among those of all groups that are kept with it: a part for each stream.
#[derive(Clone, Copy)]
struct Place {
    /// By stream: the number of diagonals of all groups, and of those before this group.
    streams: [(usize, usize); STREAMS],
    /// Of this group.
    count: usize,
    /// Words of one diagonal that belong to a strip.
    strip: usize,
    /// Words of one diagonal.
    width: usize,
}

impl Place {
    /// By stream: where the words of a strip start.
    fn strip(&self, number: usize) -> [usize; STREAMS] {
        let mut part = 0;
        self.streams.map(|(all, before)| {
            let start = part + (number * all + before) * self.strip;
            part += all * self.width;
            start
        })
    }
}

/// The words of one group, to multiply with.
pub(super) struct GroupWords<'a> {
    words: Row<'a>,
    place: Place,
    log_run: u32,
}

impl<'a> GroupWords<'a> {
    /// By stream: the factors from a position on that starts a strip.
    pub(super) fn at(&self, position: usize) -> [Row<'a>; STREAMS] {
        let number = (position >> self.log_run) / self.place.strip;
        self.place.strip(number).map(|start| self.words.from(start))
    }
}

impl Diagonals {
    /// Encodes diagonals, each rotated by minus its giant step, and expands the first `resident` limbs. The groups of each
    /// column name the diagonals in order.
    pub(super) fn encode(
        params: &Parameters,
        encoder: &Encoder,
        recipes: &[(u32, &Diagonal)],
        (columns, babies): (&[Vec<Group>], &[Vec<u32>]),
        (period, level, scale): (usize, usize, &Scale),
        resident: usize,
    ) -> Result<Self, CkksError> {
        let limbs = level + 1 + params.p().len();
        let held = resident.min(limbs);
        let mut results: Vec<Result<Coefficients, CkksError>> = Vec::with_capacity(recipes.len());
        results.resize_with(recipes.len(), || Err(CkksError::Shape));
        // Some diagonals at a time, so that a task is worth handing to another thread.
        let jobs = results.chunks_mut(16).zip(recipes.chunks(16)).collect();
        parallel::for_each(
            jobs,
            |(results, recipes): (&mut [_], &[(u32, &Diagonal)])| {
                for (result, (giant, diagonal)) in results.iter_mut().zip(recipes) {
                    // Each value serves all samples, which lie side by side.
                    let samples = period / diagonal.values.len().max(1);
                    let blocks = diagonal.values.iter();
                    let blocks = blocks.flat_map(|v| std::iter::repeat_n(*v, samples));
                    let mut values: Vec<f64> = blocks.collect();
                    values.rotate_right(*giant as usize % period);
                    *result = encoder.coefficients(&values, level, scale);
                }
            },
        );
        let mut all = Self {
            resident: (0..limbs).map(|_| Vec::new()).collect(),
            coefficients: results.into_iter().collect::<Result<_, _>>()?,
            count: recipes.len(),
            level,
            width: 2 * period,
            log_run: (params.slots() / period).trailing_zeros(),
            strips: babies.iter().map(|b| strip(b.len())).collect(),
        };
        let mut words: Vec<Option<Words>> = Vec::new();
        words.resize_with(held * columns.len(), || None);
        let jobs = words.iter_mut().enumerate().collect();
        parallel::for_each(jobs, |(i, words): (usize, &mut Option<Words>)| {
            let (limb, column) = (i / columns.len(), i % columns.len());
            *words = Some(all.expand(params, limb, column, &columns[column]));
        });
        let mut words = words.into_iter().flatten();
        for limb in all.resident.iter_mut().take(held) {
            limb.extend(words.by_ref().take(columns.len()));
        }
        if held == limbs {
            all.coefficients = Vec::new();
        }
        Ok(all)
    }

    /// Calls `task` with the words modulo a limb of each group of a column, expanded now if they are not resident.
    pub(super) fn for_each_group(
        &self,
        params: &Parameters,
        limb: usize,
        column: usize,
        groups: &[Group],
        mut task: impl FnMut(&[Group], &[GroupWords<'_>]),
    ) {
        if let Some(words) = self.resident[limb].get(column) {
            let places = self.places(column, groups);
            let words: Vec<_> = places.map(|place| self.at(words.row(), place)).collect();
            return task(groups, &words);
        }
        for group in groups.chunks(1) {
            let words = self.expand(params, limb, column, group);
            let row = words.row();
            let places = self.places(column, group);
            let words: Vec<_> = places.map(|place| self.at(row, place)).collect();
            task(group, &words);
        }
    }

    fn at<'w>(&self, words: Row<'w>, place: Place) -> GroupWords<'w> {
        GroupWords {
            words,
            place,
            log_run: self.log_run,
        }
    }

    /// The places of groups of a column that are kept together.
    fn places(&self, column: usize, groups: &[Group]) -> impl Iterator<Item = Place> {
        let strip = (self.strips[column] >> self.log_run).clamp(1, self.width);
        let counts = |group: &Group| split_terms(&group.babies).map(<[u32]>::len);
        let mut streams = [(0, 0); STREAMS];
        for group in groups {
            let counts = streams.iter_mut().zip(counts(group));
            counts.for_each(|((all, _), count)| *all += count);
        }
        groups.iter().scan(streams, move |streams, group| {
            let place = Place {
                streams: *streams,
                count: group.babies.len(),
                strip,
                width: self.width,
            };
            let counts = streams.iter_mut().zip(counts(group));
            counts.for_each(|((_, before), count)| *before += count);
            Some(place)
        })
    }

    /// Whether a limb's words are kept.
    pub(super) fn is_resident(&self, limb: usize) -> bool {
        !self.resident[limb].is_empty()
    }

    /// The diagonals of some groups modulo a limb.
    fn expand(&self, params: &Parameters, limb: usize, column: usize, groups: &[Group]) -> Words {
        let limb = params.limb(self.level, limb);
        let modulus = &limb.modulus;
        let total: usize = groups.iter().map(|g| g.babies.len()).sum();
        let mut words = Words::unspecified(modulus, total * self.width);
        let mut space = Buffer::unspecified(self.width);
        for (group, place) in groups.iter().zip(self.places(column, groups)) {
            for term in 0..place.count {
                self.coefficients[group.first + term].reduce_into(modulus, 1, &mut space);
                limb.ntt.forward_subring(&mut space);
                kernel::mul_shoup_assign(modulus, &mut space, modulus.shoup(modulus.one));
                self.scatter(&mut words, place, term, &space);
            }
        }
        words
    }

    /// Writes the words of one diagonal of a group where they are used.
    fn scatter(&self, words: &mut Words, place: Place, term: usize, residues: &[u64]) {
        let (_, together) = broadcast_group(self.log_run);
        let terms: Vec<usize> = (0..place.count).collect();
        let streams = split_terms(&terms).into_iter().enumerate();
        for (stream, terms) in streams.filter(|(_, terms)| terms.contains(&term)) {
            let term = term - terms[0];
            for (number, residues) in residues.chunks(place.strip).enumerate() {
                let start = place.strip(number)[stream];
                for (i, residues) in residues.chunks(together).enumerate() {
                    words.write(start + (i * terms.len() + term) * together, residues);
                }
            }
        }
    }

    /// The number of limbs.
    pub(super) fn limbs(&self) -> usize {
        self.resident.len()
    }

    /// 2n for period n.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The number of diagonals.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let words = self.resident.iter().flatten().map(Words::bytes);
        let coefficients = self.coefficients.iter().map(Coefficients::bytes);
        words.chain(coefficients).sum()
    }
}
