//! Measures this machine's rates for the cost model.
//!
//! Operations of the scheme are timed on random keys and ciphertexts, which cost the same as real ones, for several ring
//! degrees and both widths of words. Their counts of primitive operations are known ([`cipherloom_compiler::cost`]); the
//! rates are those, none negative, that bring the counts closest to the times, by least squares of relative errors. So a
//! rate is what a primitive takes within an operation, with its share of traffic between caches and memory.

mod fit;
mod setup;

use crate::Error;
use crate::bench::Spread;
use cipherloom_compiler::cost::{CostModel, Ring};
use cipherloom_runtime::memory;
use fit::{Sample, fit};
use rayon::ThreadPool;
use rayon::prelude::*;
use setup::{Operation, Setup, WIDTHS};
use std::time::{Duration, Instant};

/// The ring degrees that are measured, as logarithms.
const RINGS: [u32; 4] = [13, 14, 15, 16];
/// An operation is repeated until so many runs and so much time have passed.
const RUNS: usize = 7;
const TIME: Duration = Duration::from_millis(50);
/// The words that the memory's rate is measured on: more than caches hold.
const BUFFER_WORDS: usize = 32 << 20;

/// Measures all rates; takes less than half a minute. `progress` is told what is done, out of how much.
///
/// Rings that the machine has no memory for are left out, all but the smallest.
///
/// # Errors
/// [`Error::Internal`] where threads cannot be started or the scheme refuses its own operations.
pub fn calibrate(progress: &mut dyn FnMut(usize, usize)) -> Result<CostModel, Error> {
    let room = memory::available().unwrap_or(u64::MAX);
    let fits = |log_n: &u32| *log_n == RINGS[0] || setup::bytes(*log_n) <= room / 2;
    let rings: Vec<u32> = RINGS.into_iter().filter(fits).collect();
    measure(&rings, progress)
}

/// The rates at some ring degrees.
fn measure(rings: &[u32], progress: &mut dyn FnMut(usize, usize)) -> Result<CostModel, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (one, all) = (pool(1)?, pool(cores)?);
    let total = 1 + rings.len() * WIDTHS.len();
    progress(0, total);
    let mut model = CostModel {
        machine: machine(cores),
        memory_bytes_per_s: rounded(all.install(memory_rate)),
        ..CostModel::default()
    };
    let mut done = 1;
    progress(done, total);
    for &log_n in rings {
        let mut ring = Ring::default();
        for width in WIDTHS {
            let setups = width.cases.map(|case| Setup::new(log_n, case));
            let setups = setups.into_iter().collect::<Result<Vec<_>, _>>()?;
            let operations: Vec<Operation<'_>> =
                setups.iter().flat_map(Setup::operations).collect();
            let samples = one.install(|| times(&operations))?;
            let rates = fit(&samples).with_each(rounded);
            if width.wide {
                ring.wide = rates;
            } else {
                ring.narrow = rates;
                // The last operation of a case is the transform with the most rotations, as networks are made of.
                let last = operations.len() / width.cases.len();
                let together = all.install(|| times(&operations[last - 1..last]))?;
                let share = serial_share(&samples[last - 1..last], &together, cores);
                ring.serial_share = rounded(share);
            }
            done += 1;
            progress(done, total);
        }
        model.rings.insert(log_n, ring);
    }
    Ok(model)
}

fn pool(threads: usize) -> Result<ThreadPool, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| Error::Internal(format!("threads cannot be started: {e}")))
}

/// The seconds of each operation on the threads of the current pool.
fn times(operations: &[Operation<'_>]) -> Result<Vec<Sample>, Error> {
    let sample = |operation: &Operation<'_>| {
        Ok(Sample {
            work: operation.work,
            seconds: seconds(&operation.run)?,
        })
    };
    operations.iter().map(sample).collect()
}

/// The median of several runs, the first of which does not count.
fn seconds(run: &dyn Fn() -> Result<(), Error>) -> Result<f64, Error> {
    run()?;
    let (begin, mut found) = (Instant::now(), Vec::new());
    while found.len() < RUNS || begin.elapsed() < TIME {
        let start = Instant::now();
        run()?;
        found.push(start.elapsed().as_secs_f64());
    }
    Ok(Spread::of(found).median)
}

/// The share of the time that is left with infinitely many threads, by Amdahl's law from two numbers of threads, over all
/// operations together.
fn serial_share(one: &[Sample], all: &[Sample], threads: usize) -> f64 {
    if threads < 2 {
        return 0.0;
    }
    let least = 1.0 / threads as f64;
    let sum = |samples: &[Sample]| samples.iter().map(|s| s.seconds).sum::<f64>();
    let ratio = sum(all) / sum(one).max(f64::MIN_POSITIVE);
    ((ratio - least) / (1.0 - least)).clamp(0.0, 1.0)
}

/// Bytes per second at which all threads of the current pool read memory.
fn memory_rate() -> f64 {
    let words: Vec<u64> = (0..BUFFER_WORDS as u64).collect();
    let sum = |words: &[u64]| words.iter().fold(0, |a: u64, b| a.wrapping_add(*b));
    let read = || {
        let start = Instant::now();
        let sum = words
            .par_chunks(1 << 16)
            .map(sum)
            .reduce(|| 0, u64::wrapping_add);
        std::hint::black_box(sum);
        start.elapsed().as_secs_f64()
    };
    let least = (0..RUNS).map(|_| read()).fold(f64::INFINITY, f64::min);
    8.0 * BUFFER_WORDS as f64 / least.max(1e-9)
}

/// Four significant digits: more would be noise.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The processor, where the system tells, and the number of threads.
fn machine(threads: usize) -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = line.map(|rest| rest.trim_start_matches(|c: char| c.is_whitespace() || c == ':'));
    let name = name.unwrap_or(std::env::consts::ARCH);
    format!(
        "{}, {threads} thread(s)",
        name.chars().take(200).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_compiler::cost::{Limbs, Work};

    #[test]
    fn the_serial_share_is_amdahls() {
        let sample = |seconds| Sample {
            work: Work::default(),
            seconds,
        };
        let one = [sample(1.0), sample(2.0)];
        assert_eq!(serial_share(&one, &one, 1), 0.0);
        assert_eq!(serial_share(&one, &one, 2), 1.0);
        assert_eq!(serial_share(&one, &[sample(0.5), sample(1.0)], 2), 0.0);
        // A quarter of the time stays: 0.25 + 0.75 / 4.
        let some = serial_share(&one, &[sample(0.4375), sample(0.875)], 4);
        assert!((some - 0.25).abs() < 1e-12);
    }

    #[test]
    fn a_measured_model_has_every_rate() {
        let mut told = Vec::new();
        let model = measure(&RINGS[..1], &mut |done, all| told.push((done, all))).unwrap();
        assert_eq!(told, [(0, 3), (1, 3), (2, 3), (3, 3)]);
        assert_eq!(CostModel::from_text(&model.to_text()).as_ref(), Ok(&model));
        let ring = model.rings[&RINGS[0]];
        for rates in [ring.narrow, ring.wide] {
            let switch = Limbs {
                q: 5,
                p: 1,
                digit_size: 1,
            };
            assert!(rates.ntt > 0.0 && rates.seconds(switch.key_switch(true)) > 0.0);
        }
        assert!(model.memory_bytes_per_s > 1e6);
    }

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(rounded(12.34567), 12.35);
        assert_eq!(rounded(0.0), 0.0);
        assert_eq!(rounded(1.23456e10), 1.235e10);
    }
}
