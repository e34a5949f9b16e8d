//! Measures a plan: latency, throughput, and the time of each step, on inputs made for it.

use crate::backend::{AnyCiphertexts, AnyServer, AnyServerPlan};
use crate::data::PortSpec;
use crate::report::AnyReport;
use crate::{Error, Range, Tensors};
use cipherloom_ir::Tensor;
#[cfg(feature = "tfhe")]
use cipherloom_ir::integer::StepOp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When to stop: after so many runs, or without a number after so long, but not before [`LEAST_RUNS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Measured runs.
    pub runs: Option<usize>,
    /// The time that they may take together.
    pub time: Duration,
}

/// The fewest runs of which a median says something.
pub const LEAST_RUNS: usize = 3;
/// No more runs are kept.
const MOST_RUNS: usize = 100_000;

impl Limit {
    /// How many runs there will be, guessed from those that are done.
    fn expected(self, done: usize, elapsed: Duration) -> usize {
        let by_time = || {
            let each = elapsed.as_secs_f64() / done.max(1) as f64;
            let runs = (self.time.as_secs_f64() / each.max(1e-9)).ceil();
            // A saturating cast; the bounds keep it sensible.
            (runs as usize).clamp(LEAST_RUNS, MOST_RUNS)
        };
        self.runs.unwrap_or_else(by_time).max(done)
    }

    fn reached(self, done: usize, elapsed: Duration) -> bool {
        match self.runs {
            Some(runs) => done >= runs.max(1),
            None => done >= MOST_RUNS || (done >= LEAST_RUNS && elapsed >= self.time),
        }
    }
}

/// Seconds of several runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The median; of an even number, the mean of the middle two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// The distance between the quartiles.
    pub quartiles: f64,
}

impl Spread {
    /// The figures of some measurements; zeros of none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * values.len().saturating_sub(1) as f64;
            let value = |i: f64| values.get(i as usize).copied().unwrap_or(0.0);
            let (low, high) = (value(place.floor()), value(place.ceil()));
            low + (high - low) * place.fract()
        };
        Self {
            median: at(0.5),
            min: at(0.0),
            max: at(1.0),
            quartiles: at(0.75) - at(0.25),
        }
    }
}

/// What runs took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Seconds of each run.
    pub runs: Vec<f64>,
    /// For each step of the plan, seconds in each run.
    pub steps: Vec<Vec<f64>>,
}

/// For each step of a plan, how much progress a run reports when it is done; `None` where a run does not tell, as of sums of
/// the TFHE backend, whose time counts with the lookups that read them.
fn reports(server: &AnyServer) -> Vec<Option<usize>> {
    match server {
        AnyServer::Ckks(server) => (1..=server.plan().plan().steps.len()).map(Some).collect(),
        #[cfg(feature = "tfhe")]
        AnyServer::Tfhe(server) => {
            let mut done = 0;
            let report = |step: &cipherloom_ir::integer::Step| match &step.op {
                StepOp::Linear { .. } => None,
                StepOp::Lookup { reads, .. } => {
                    done += step.length as usize / reads.len().max(1);
                    Some(done)
                }
            };
            server.plan().plan().steps.iter().map(report).collect()
        }
    }
}

/// The seconds of each step of one run.
struct Clock<'a> {
    reports: &'a [Option<usize>],
    seconds: Vec<f64>,
    last: Instant,
}

impl Clock<'_> {
    /// The time since the last step that was reported goes to the one that now is.
    fn tell(&mut self, done: usize) {
        let open = self.seconds.len();
        let reported = self.reports.iter().enumerate().skip(open);
        let mut reported = reported.filter(|(_, r)| r.is_some_and(|r| r <= done));
        if let Some((step, _)) = reported.next_back() {
            self.up_to(step + 1);
        }
    }

    fn up_to(&mut self, steps: usize) {
        let now = Instant::now();
        self.seconds.resize(steps, 0.0);
        if let Some(step) = self.seconds.last_mut() {
            *step += (now - self.last).as_secs_f64();
        }
        self.last = now;
    }
}

/// Runs a plan again and again, once without measuring. `progress` is told the runs done, and how many there will be.
///
/// # Errors
/// As [`AnyServer::run_with`].
pub fn measure(
    server: &AnyServer,
    inputs: &AnyCiphertexts,
    limit: Limit,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Measured, Error> {
    let reports = reports(server);
    let mut measured = Measured {
        runs: vec![],
        steps: vec![vec![]; reports.len()],
    };
    server.run_with(inputs, &mut |_, _| ())?;
    let begin = Instant::now();
    while !limit.reached(measured.runs.len(), begin.elapsed()) {
        let start = Instant::now();
        let mut clock = Clock {
            reports: &reports,
            seconds: Vec::with_capacity(reports.len()),
            last: start,
        };
        server.run_with(inputs, &mut |done, _| clock.tell(done))?;
        measured.runs.push(start.elapsed().as_secs_f64());
        if clock.seconds.len() < reports.len() {
            clock.up_to(reports.len());
        }
        for (step, seconds) in measured.steps.iter_mut().zip(clock.seconds) {
            step.push(seconds);
        }
        let done = measured.runs.len();
        progress(done, limit.expected(done, begin.elapsed()));
    }
    Ok(measured)
}

/// The share of a run that a layer or a kind of operation takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The layer, as the model names it, or the operation.
    pub name: String,
    /// How many steps it has.
    pub steps: usize,
    /// Seconds in a run: the sum of its steps' medians.
    pub seconds: f64,
}

impl Measured {
    /// Each layer's time, in the report's order.
    pub fn layers(&self, report: &AnyReport) -> Vec<Part> {
        let mut medians = self.medians();
        let part = |(name, steps): (&str, Vec<&str>)| Part {
            name: name.to_owned(),
            steps: steps.len(),
            seconds: medians.by_ref().take(steps.len()).sum(),
        };
        operations(report).into_iter().map(part).collect()
    }

    /// Each kind of operation's time, the longest first.
    pub fn operations(&self, report: &AnyReport) -> Vec<Part> {
        let mut kinds: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
        let steps = operations(report).into_iter().flat_map(|(_, steps)| steps);
        for (op, seconds) in steps.zip(self.medians()) {
            let kind = kinds.entry(op).or_default();
            *kind = (kind.0 + 1, kind.1 + seconds);
        }
        let mut parts: Vec<Part> = kinds
            .into_iter()
            .map(|(name, (steps, seconds))| Part {
                name: name.into(),
                steps,
                seconds,
            })
            .collect();
        parts.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        parts
    }

    fn medians(&self) -> impl Iterator<Item = f64> {
        self.steps
            .iter()
            .map(|seconds| Spread::of(seconds.clone()).median)
    }
}

/// The layers of a report and the operations of each one's steps.
fn operations(report: &AnyReport) -> Vec<(&str, Vec<&str>)> {
    match report {
        AnyReport::Ckks(report) => {
            let layers = report.layers.iter();
            let ops = layers.map(|l| (&*l.layer, l.steps.iter().map(|s| s.op).collect()));
            ops.collect()
        }
        AnyReport::Tfhe(report) => {
            let layers = report.layers.iter();
            let ops = layers.map(|l| (&*l.layer, l.steps.iter().map(|s| s.op).collect()));
            ops.collect()
        }
    }
}

/// Inputs of one full run: uniform numbers of each input's accepted range, of its type, the same on every call.
///
/// # Errors
/// A shape that does not fit, which the plan's verifier excludes.
pub fn inputs(plan: &AnyServerPlan) -> Result<Tensors, Error> {
    let mut numbers = Numbers(0);
    let tensor = |port: PortSpec| {
        let mut shape = port.shape.clone();
        match (plan.samples(), shape.first_mut()) {
            (1, _) => {}
            (samples, Some(first)) if port.batched => *first = samples,
            (samples, _) => shape.insert(0, samples),
        }
        let count = shape.iter().product();
        let Range { lo, hi } = port.range.unwrap_or(Range { lo: 0.0, hi: 1.0 });
        let values = (0..count).map(|_| {
            let value = lo + (hi - lo) * numbers.next();
            let value = if port.dtype.is_float() {
                value
            } else {
                value.round()
            };
            value.clamp(lo, hi)
        });
        let tensor = Tensor::new(shape, values.collect()).ok_or_else(|| {
            Error::Internal(format!("input {:?} does not fit its shape", port.name))
        })?;
        Ok((port.name, tensor))
    };
    plan.inputs().into_iter().map(tensor).collect()
}

/// Numbers from 0 to 1: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_of_few_measurements() {
        assert_eq!(Spread::of(vec![]), Spread::default());
        let one = Spread::of(vec![2.0]);
        assert_eq!(
            (one.median, one.min, one.max, one.quartiles),
            (2.0, 2.0, 2.0, 0.0)
        );
        let four = Spread::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((four.median, four.min, four.max), (2.5, 1.0, 4.0));
        assert!((four.quartiles - 1.5).abs() < 1e-12);
    }

    #[test]
    fn times_go_to_the_steps_that_are_reported() {
        let reports = [None, Some(4), None, None, Some(6), None];
        let mut clock = Clock {
            reports: &reports,
            seconds: vec![],
            last: Instant::now(),
        };
        clock.tell(3);
        assert!(clock.seconds.is_empty());
        clock.tell(4);
        assert_eq!(clock.seconds.len(), 2);
        clock.tell(6);
        assert_eq!(clock.seconds.len(), 5);
        assert_eq!([0, 2, 3].map(|step| clock.seconds[step]), [0.0; 3]);
        clock.up_to(6);
        assert!(clock.seconds[5] >= 0.0 && clock.seconds.len() == 6);
    }

    #[test]
    fn runs_end_by_number_or_by_time() {
        let second = Duration::from_secs(1);
        let limit = |runs| Limit { runs, time: second };
        assert!(!limit(Some(2)).reached(1, 9 * second));
        assert!(limit(Some(2)).reached(2, Duration::ZERO));
        assert!(!limit(None).reached(LEAST_RUNS - 1, 9 * second));
        assert!(limit(None).reached(LEAST_RUNS, second));
        assert!(!limit(None).reached(LEAST_RUNS, second / 2));
        assert_eq!(limit(None).expected(2, second / 5), 10);
        assert_eq!(limit(Some(7)).expected(2, second), 7);
    }
}
