//! Table lookups: keyswitch, centred modulus switch, blind rotation and extraction, on the crate `tfhe`.

use crate::ServerError;
use ::tfhe::core_crypto::commons::math::random::{CompressionSeed, Seed as WideSeed};
use ::tfhe::core_crypto::prelude::*;
use cipherloom_ir::integer::{IntegerPlan, StepOp, Table, TfheSet};
use cipherloom_lwe::{Seed, ServerKeys};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Bootstraps per thread between two reports of progress.
const PER_REPORT: usize = 4;

/// The server's keys, expanded, and the tables as polynomials.
pub(super) struct Bootstrapper {
    set: TfheSet,
    bootstrap: FourierLweBootstrapKeyOwned,
    keyswitch: LweKeyswitchKeyOwned<u64>,
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

/// What a thread needs for its bootstraps.
struct Scratch {
    small: LweCiphertextOwned<u64>,
    accumulator: GlweCiphertextOwned<u64>,
    buffers: ComputationBuffers,
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
        let keyswitch = SeededLweKeyswitchKey::from_container(
            keys.keyswitch,
            DecompositionBaseLog(set.ks_base_log as usize),
            DecompositionLevelCount(set.ks_level as usize),
            LweDimension(set.lwe_dimension as usize).to_lwe_size(),
            seed(keys.keyswitch_seed),
            native(),
        )
        .par_decompress_into_lwe_keyswitch_key();
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

    fn scratch(&self) -> Scratch {
        let size = PolynomialSize(self.set.polynomial_size());
        let mut buffers = ComputationBuffers::new();
        let needed = blind_rotate_assign_mem_optimized_requirement::<u64>(
            glwe_size(&self.set),
            size,
            self.fft.as_view(),
        );
        buffers.resize(needed.unaligned_bytes_required());
        Scratch {
            small: LweCiphertext::new(
                0,
                LweDimension(self.set.lwe_dimension as usize).to_lwe_size(),
                native(),
            ),
            accumulator: GlweCiphertext::new(0, glwe_size(&self.set), size, native()),
            buffers,
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
        let elements: Vec<(usize, &Lookup<'_>, usize)> = numbered
            .flat_map(|(number, lookup)| (0..count(lookup)).map(move |i| (number, lookup, i)))
            .collect();
        for group in elements.chunks(PER_REPORT * rayon::current_num_threads()) {
            let outputs: Vec<Vec<u64>> = group
                .par_iter()
                .map_init(
                    || self.scratch(),
                    |scratch, (_, lookup, i)| {
                        let input = lookup.operand.get(i * words..(i + 1) * words);
                        let length = count(lookup) / samples.max(1);
                        let table = lookup.tables.get(i % length.max(1));
                        let table = table.or(lookup.tables.first()).copied();
                        let table = (table.unwrap_or(u32::MAX), lookup.log_delta);
                        self.bootstrap(scratch, input.unwrap_or_default(), table, lookup.reads)
                    },
                )
                .collect::<Result<_, _>>()?;
            for ((number, lookup, i), output) in group.iter().zip(outputs) {
                let length = count(lookup) / samples.max(1);
                let (sample, element) = (i / length.max(1), i % length.max(1));
                for (r, output) in output.chunks(words).enumerate() {
                    let place = (sample * lookup.reads.len() + r) * length + element;
                    let target = results.get_mut(*number);
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

    /// One bootstrap: the outputs of all reads, one after the other.
    fn bootstrap(
        &self,
        scratch: &mut Scratch,
        input: &[u64],
        table: (u32, u32),
        reads: &[u32],
    ) -> Result<Vec<u64>, ServerError> {
        let missing = || ServerError::Malformed(format!("there is no table {}", table.0));
        let polynomial = self.polynomials.get(&table).ok_or_else(missing)?;
        let width = *self.widths.get(&table.0).ok_or_else(missing)?;
        keyswitch_lwe_ciphertext(
            &self.keyswitch,
            &LweCiphertext::from_container(input, native()),
            &mut scratch.small,
        );
        let size = PolynomialSize(self.set.polynomial_size());
        let switched = lwe_ciphertext_centered_binary_modulus_switch::<u64, usize, _>(
            scratch.small.as_view(),
            size.to_blind_rotation_input_modulus_log(),
        );
        scratch.accumulator.get_mut_mask().as_mut().fill(0);
        let mut body = scratch.accumulator.get_mut_body();
        body.as_mut().copy_from_slice(polynomial);
        blind_rotate_assign_mem_optimized(
            &switched,
            &mut scratch.accumulator,
            &self.bootstrap,
            self.fft.as_view(),
            scratch.buffers.stack(),
        );
        let words = self.set.ciphertext_words();
        let mut outputs = vec![0_u64; reads.len() * words];
        for (read, output) in reads.iter().zip(outputs.chunks_mut(words)) {
            // Coefficient j of the rotated table is the one j places behind the index.
            extract_lwe_sample_from_glwe_ciphertext(
                &scratch.accumulator,
                &mut LweCiphertext::from_container(output, native()),
                MonomialDegree(*read as usize * width),
            );
        }
        Ok(outputs)
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
