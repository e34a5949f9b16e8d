//! Table lookups: keyswitch, centred modulus switch, blind rotation and extraction, on the crate `tfhe`.
//!
//! A thread makes a few lookups side by side, so that they share what is read of the keys.

use super::keyswitch::RoundedKey;
use super::rotation::{Scratch, rotate, turned_back};
use crate::ServerError;
use ::tfhe::core_crypto::commons::math::random::{CompressionSeed, Seed as WideSeed};
use ::tfhe::core_crypto::prelude::*;
use cipherloom_ir::integer::{IntegerPlan, StepOp, Table, TfheSet};
use cipherloom_lwe::{Seed, ServerKeys};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Bootstraps that a thread makes side by side, at most: the accumulators of so many stay in a near cache.
const SIDE_BY_SIDE: usize = 8;
/// Bootstraps per thread between two reports of progress.
const PER_REPORT: usize = 4 * SIDE_BY_SIDE;

/// The server's keys, expanded, and the tables as polynomials.
pub(super) struct Bootstrapper {
    set: TfheSet,
    bootstrap: FourierLweBootstrapKeyOwned,
    keyswitch: RoundedKey,
    fft: Fft,
    /// By table and delta exponent.
    polynomials: BTreeMap<(u32, u32), Vec<u64>>,
    /// How many coefficients an entry of a table takes.
    widths: BTreeMap<u32, usize>,
}

/// A lookup step with what it reads.
pub(super) struct Lookup<'a> {
    /// The words of all elements of all samples.
    pub(super) operand: &'a [u64],
    pub(super) tables: &'a [u32],
    pub(super) reads: &'a [u32],
    pub(super) log_delta: u32,
}

/// One bootstrap: which lookup it belongs to, and of which element.
struct Element<'a> {
    number: usize,
    lookup: &'a Lookup<'a>,
    element: usize,
}

impl<'a> Element<'a> {
    /// The ciphertext that is read, of so many words.
    fn input(&self, words: usize) -> &'a [u64] {
        let words = self.element * words..(self.element + 1) * words;
        self.lookup.operand.get(words).unwrap_or_default()
    }
}

fn native() -> CiphertextModulus<u64> {
    CiphertextModulus::new_native()
}

fn glwe_size(set: &TfheSet) -> GlweSize {
    GlweDimension(set.glwe_dimension as usize).to_glwe_size()
}

fn seed(bytes: Seed) -> CompressionSeed {
    WideSeed(u128::from_le_bytes(bytes)).into()
}

/// The words of ciphertexts whose masks follow from a seed.
pub(super) fn expand_seeded(set: &TfheSet, mask: Seed, bodies: Vec<u64>) -> Vec<u64> {
    let size = LweDimension(set.big_dimension()).to_lwe_size();
    let list = SeededLweCiphertextList::from_container(bodies, size, seed(mask), native());
    list.par_decompress_into_lwe_ciphertext_list()
        .into_container()
}

impl Bootstrapper {
    /// Expands keys that fit the plan's parameters, on all threads of the current pool.
    pub(super) fn new(plan: &IntegerPlan, keys: ServerKeys) -> Self {
        let set = plan.params;
        let size = PolynomialSize(set.polynomial_size());
        let (base, level) = (
            DecompositionBaseLog(set.pbs_base_log as usize),
            DecompositionLevelCount(set.pbs_level as usize),
        );
        let keyswitch = SeededLweKeyswitchKey::from_container(
            keys.keyswitch,
            DecompositionBaseLog(set.ks_base_log as usize),
            DecompositionLevelCount(set.ks_level as usize),
            LweDimension(set.lwe_dimension as usize).to_lwe_size(),
            seed(keys.keyswitch_seed),
            native(),
        )
        .par_decompress_into_lwe_keyswitch_key();
        let keyswitch = RoundedKey::new(&keyswitch);
        let standard = SeededLweBootstrapKey::from_container(
            keys.bootstrap,
            glwe_size(&set),
            size,
            base,
            level,
            seed(keys.bootstrap_seed),
            native(),
        )
        .par_decompress_into_lwe_bootstrap_key();
        let mut bootstrap = FourierLweBootstrapKeyOwned::new(
            LweDimension(set.lwe_dimension as usize),
            glwe_size(&set),
            size,
            base,
            level,
        );
        par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut bootstrap);
        drop(standard);
        let (mut polynomials, mut widths) = (BTreeMap::new(), BTreeMap::new());
        for step in &plan.steps {
            let StepOp::Lookup { tables, .. } = &step.op else {
                continue;
            };
            for number in tables {
                if let Some(table) = plan.tables.get(*number as usize) {
                    widths.insert(*number, set.polynomial_size() / table.entries.len().max(1));
                    polynomials
                        .entry((*number, step.log_delta))
                        .or_insert_with(|| polynomial(&set, table, step.log_delta));
                }
            }
        }
        Self {
            set,
            bootstrap,
            keyswitch,
            fft: Fft::new(size),
            polynomials,
            widths,
        }
    }

    /// Makes lookups side by side, all elements of all samples: of each lookup, for each sample the outputs of the first read, then
    /// those of the second and so on. `done` is told the number of each group of bootstraps that is done.
    pub(super) fn lookups(
        &self,
        lookups: &[Lookup<'_>],
        samples: usize,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u64>>, ServerError> {
        let words = self.set.ciphertext_words();
        let count = |lookup: &Lookup<'_>| lookup.operand.len() / words;
        let empty = |lookup: &Lookup<'_>| vec![0_u64; count(lookup) * lookup.reads.len() * words];
        let mut results: Vec<Vec<u64>> = lookups.iter().map(empty).collect();
        let numbered = lookups.iter().enumerate();
        let elements: Vec<Element<'_>> = numbered
            .flat_map(|(number, lookup)| {
                (0..count(lookup)).map(move |element| Element {
                    number,
                    lookup,
                    element,
                })
            })
            .collect();
        let threads = rayon::current_num_threads();
        for group in elements.chunks(PER_REPORT * threads) {
            // All threads have as much to do.
            let rounds = group.len().div_ceil(SIDE_BY_SIDE * threads);
            let outputs: Vec<Vec<Vec<u64>>> = group
                .par_chunks(group.len().div_ceil(rounds * threads))
                .map(|elements| self.bootstraps(elements, samples))
                .collect::<Result<_, _>>()?;
            for (e, outputs) in group.iter().zip(outputs.into_iter().flatten()) {
                let length = count(e.lookup) / samples.max(1);
                let (sample, element) = (e.element / length.max(1), e.element % length.max(1));
                for (r, output) in outputs.chunks(words).enumerate() {
                    let place = (sample * e.lookup.reads.len() + r) * length + element;
                    let target = results.get_mut(e.number);
                    let target = target.and_then(|t| t.get_mut(place * words..(place + 1) * words));
                    if let Some(target) = target {
                        target.copy_from_slice(output);
                    }
                }
            }
            done(group.len());
        }
        Ok(results)
    }

    /// A few bootstraps: of each the outputs of all reads, one after the other.
    fn bootstraps(
        &self,
        elements: &[Element<'_>],
        samples: usize,
    ) -> Result<Vec<Vec<u64>>, ServerError> {
        let words = self.set.ciphertext_words();
        let inputs: Vec<&[u64]> = elements.iter().map(|e| e.input(words)).collect();
        let size = PolynomialSize(self.set.polynomial_size());
        let (mut accumulators, mut turns, mut widths) = (vec![], vec![], vec![]);
        for (e, small) in elements.iter().zip(self.keyswitch.switch(&inputs)) {
            let length = e.lookup.operand.len() / words / samples.max(1);
            let own = e.lookup.tables.get(e.element % length.max(1));
            let table = own.or(e.lookup.tables.first()).copied();
            let table = table.unwrap_or(u32::MAX);
            let missing = || ServerError::Malformed(format!("there is no table {table}"));
            let polynomial = self.polynomials.get(&(table, e.lookup.log_delta));
            let polynomial = polynomial.ok_or_else(missing)?;
            widths.push(*self.widths.get(&table).ok_or_else(missing)?);
            let switched = lwe_ciphertext_centered_binary_modulus_switch::<u64, usize, _>(
                LweCiphertext::from_container(small, native()),
                size.to_blind_rotation_input_modulus_log(),
            );
            turns.push(switched.mask().collect());
            let mut accumulator = vec![0; self.set.big_dimension()];
            accumulator.extend(turned_back(polynomial, switched.body()));
            accumulators.push(accumulator);
        }
        let fft = self.fft.as_view();
        let mut scratch = Scratch::new(fft, glwe_size(&self.set).0, elements.len());
        let key = self.bootstrap.as_view();
        rotate(key, fft, &mut accumulators, &turns, &mut scratch);
        let lookups = elements.iter().zip(accumulators).zip(widths);
        let outputs = lookups.map(|((e, accumulator), width)| {
            let accumulator = GlweCiphertext::from_container(accumulator, size, native());
            let mut outputs = vec![0; e.lookup.reads.len() * words];
            for (read, output) in e.lookup.reads.iter().zip(outputs.chunks_mut(words)) {
                // Coefficient j of the rotated table is the one j places behind the index.
                extract_lwe_sample_from_glwe_ciphertext(
                    &accumulator,
                    &mut LweCiphertext::from_container(output, native()),
                    MonomialDegree(*read as usize * width),
                );
            }
            outputs
        });
        Ok(outputs.collect())
    }
}

/// A table as a polynomial: each entry takes N / 2^t coefficients, the first entry half of them at either end, so that an
/// index is found from the phases half an entry below it to half an entry above.
fn polynomial(set: &TfheSet, table: &Table, log_delta: u32) -> Vec<u64> {
    let size = set.polynomial_size();
    let width = size / table.entries.len().max(1);
    let entry = |j: usize| (table.at(((j + width / 2) / width) as i64) as u64) << log_delta;
    (0..size).map(entry).collect()
}
