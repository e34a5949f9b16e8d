//! The search for parameters: published sets by ascending price, and under each the clipping ranges and the numbers of lookups
//! with which the samples keep their decisions.

use super::agreement::{Decisions, Kept};
use super::coding::{self, Budget};
use super::intervals::{CAUTIONS, Intervals, Sharing, Wish};
use super::layers::{Layer, Layers, Reader};
use super::levels;
use super::network::Network;
use super::statistics::Statistics;
use super::{Evidence, IntegerCompiled, IntegerError, IntegerOptions, Tried, emit};
use cipherloom_ir::integer::{AnalyseError, SETS, TfheSet, lookup_seconds};
use cipherloom_ir::{Origin, Tensors};
use std::cell::Cell;

/// By so much a dearer plan has to be better where none keeps what was asked for.
pub(super) const GAIN: f64 = 0.01;
/// A set costs little more than another one if it costs less than so many times as much.
const CHEAP: f64 = 2.0;
/// The expected share may lose so many times as much: it takes errors as normal, and few leads decide it.
const UNSURE: f64 = 1.5;
/// Of large networks, sets that keep fewer decisions than this part of what is asked for are given up at once,
const HOPELESS: f64 = 0.5;
/// and these are large: multiply-adds of all affine maps.
const LARGE: usize = 1 << 20;
/// Multiply-adds of the affine maps of all plans that are tried under one set, together, at most.
const EFFORT: usize = 1 << 27;
/// Lookups of one element, at most.
const MAX_COPIES: usize = 8;

/// Why a set computes no exact maxima and comparisons.
const NO_LEVELS: &str = "its lookups tell too few numbers apart for exact maxima and comparisons";

/// What all plans have in common.
pub(super) struct Search<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) decisions: &'a Decisions,
    pub(super) samples: &'a [Tensors],
    /// Whether errors are far from normal, so that the expected share means nothing.
    pub(super) by_share: bool,
    pub(super) options: &'a IntegerOptions,
    /// Multiply-adds of the affine maps of all plans that were tried under the set in hand.
    pub(super) spent: Cell<usize>,
}

/// A network, perhaps with copies, and the plan that it gives.
struct Trial {
    network: Network,
    statistics: Statistics,
    wish: Wish,
    /// As [`Search::score`].
    score: f64,
    /// The values of which more copies may help.
    noisy: Vec<usize>,
    compiled: IntegerCompiled,
}

impl Trial {
    fn rank(&self) -> (bool, f64) {
        (self.compiled.agrees, self.score)
    }

    /// Whether it is to be taken instead of another one; where none keeps what was asked for, a dearer one has to be much better, the
    /// more so the dearer it is.
    fn beats(&self, other: &Self) -> bool {
        if self.compiled.agrees == other.compiled.agrees && self.bootstraps() > other.bootstraps() {
            let dearer = self.bootstraps() / other.bootstraps().max(1.0);
            return self.score > other.score + GAIN * dearer;
        }
        self.rank() > other.rank()
    }

    fn bootstraps(&self) -> f64 {
        self.compiled.plan.estimates.bootstraps as f64
    }
}

/// Whether a set's plan is to be taken instead of the one of a cheaper set.
fn is_better(found: &IntegerCompiled, best: &IntegerCompiled) -> bool {
    let cheaper = found.plan.estimates.latency_s < best.plan.estimates.latency_s;
    match (found.agrees, best.agrees) {
        (true, true) => cheaper,
        (true, false) => true,
        (false, true) => false,
        (false, false) => {
            found.agreement > best.agreement + GAIN || cheaper && found.agreement >= best.agreement
        }
    }
}

/// Cautions near one, that one first.
fn around(caution: f64) -> [f64; 3] {
    [caution, 4.0 * caution, 0.25 * caution]
}

impl Search<'_> {
    /// The cheapest plan with which the decisions are kept, or the one that keeps most.
    pub(super) fn run(
        &self,
        network: &Network,
        statistics: &Statistics,
    ) -> Result<IntegerCompiled, IntegerError> {
        let mut best: Option<IntegerCompiled> = None;
        let mut tried = vec![];
        let mut last = AnalyseError(vec![]);
        // Of a number that is put out nothing tells how precise it has to be, and one lookup for each path is finer.
        let decides = !self.decisions.are_of_number(network) || self.evidence.tail.is_some();
        let ways = if decides { &[true, false][..] } else { &[] };
        let joined = SETS.map(|set| {
            let budget = Budget::new(set, self.options.log2_failure);
            let of = |rest: &bool| {
                let (joined, changed) = network.with_siblings(&budget, *rest)?;
                let statistics = statistics.renewed(&joined, &changed);
                Some((joined, statistics))
            };
            ways.iter().filter_map(of).collect::<Vec<_>>()
        });
        let shares = network.shares() || joined.iter().any(|j| !j.is_empty());
        for (i, set) in SETS.into_iter().enumerate() {
            self.spent.set(0);
            let several = joined.get(i).map(Vec::as_slice).unwrap_or_default();
            let trial = match self.best_of(set, (network, statistics), several) {
                Ok(trial) => trial,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            let next = SETS.get(i + 1).map_or(f64::INFINITY, lookup_seconds);
            let limit = trial.bootstraps() * next / lookup_seconds(&set);
            let found = self.with_copies(set, trial, limit, &mut tried).compiled;
            let agrees = found.agrees;
            if best.as_ref().is_none_or(|b| is_better(&found, b)) {
                best = Some(found);
            }
            // A dearer set may let one bootstrap serve more thresholds or functions.
            if agrees && !shares {
                break;
            }
        }
        if let Some(best) = &mut best {
            best.tried = tried;
        }
        best.ok_or(IntegerError::NoParameters {
            log2_failure: self.options.log2_failure,
            reason: last,
        })
    }

    /// The plan for a set: those of networks whose paths share bootstraps are cheaper, the cheapest first; the other one may be finer.
    fn best_of(
        &self,
        set: TfheSet,
        (network, statistics): (&Network, &Statistics),
        joined: &[(Network, Statistics)],
    ) -> Result<Trial, AnalyseError> {
        let mut best: Option<Trial> = None;
        for (network, statistics) in joined {
            let Ok(trial) = self.over_cautions(set, network, statistics, &[Sharing::Paths]) else {
                continue;
            };
            if trial.compiled.agrees {
                return Ok(trial);
            }
            if best.as_ref().is_none_or(|b| trial.beats(b)) {
                best = Some(trial);
            }
        }
        // One lookup for several thresholds is cheaper; one for each may be finer.
        let shared = if network.shares() {
            &[Sharing::Comparisons, Sharing::None][..]
        } else {
            &[Sharing::None]
        };
        match (self.over_cautions(set, network, statistics, shared), best) {
            (Ok(found), Some(joined)) if !found.beats(&joined) => Ok(joined),
            (Err(_), Some(joined)) => Ok(joined),
            (found, _) => found,
        }
    }

    /// The plan for a set with the clipping ranges that keep most; whether one bootstrap serves several thresholds is as `shared`
    /// says, the cheapest first.
    fn over_cautions(
        &self,
        set: TfheSet,
        network: &Network,
        statistics: &Statistics,
        shared: &[Sharing],
    ) -> Result<Trial, AnalyseError> {
        let mut best: Option<Trial> = None;
        let mut last = AnalyseError(vec![]);
        // What is far from the samples is safer with wide ranges, and with tables that are not folded.
        let mut forms = [(false, false), (true, false), (false, true), (true, true)];
        if network.entries() > LARGE {
            // Layers of many elements, as of images, have some that hardly vary.
            forms = forms.map(|(own, folded)| (!own, folded));
        }
        let all = shared.iter().flat_map(|s| forms.map(|(o, f)| (*s, o, f)));
        for (shared, own, folded) in all {
            let cautions = match &best {
                Some(best) if best.compiled.agrees || self.is_hopeless(best) => break,
                Some(best) => around(best.wish.caution).to_vec(),
                None => CAUTIONS.to_vec(),
            };
            for caution in cautions {
                let settled = best.as_ref().is_some_and(|b| self.is_settled(b));
                if settled || !self.affords(network) {
                    break;
                }
                let (network, statistics) = (network.clone(), statistics.clone());
                let wish = Wish {
                    caution,
                    own,
                    folded,
                    shared,
                };
                match self.attempt(set, network, statistics, wish) {
                    Ok(trial) if best.as_ref().is_none_or(|b| trial.beats(b)) => {
                        best = Some(trial);
                    }
                    Ok(_) => {}
                    Err(error) => last = error,
                }
            }
        }
        best.ok_or(last)
    }

    /// Whether a large network's plan keeps what was asked for, so that trying others would take long for little.
    fn is_settled(&self, trial: &Trial) -> bool {
        trial.compiled.agrees && trial.network.entries() > LARGE
    }

    /// Whether one more plan for a network may be tried under the set in hand.
    fn affords(&self, network: &Network) -> bool {
        self.spent.get().saturating_add(network.entries()) <= EFFORT || self.spent.get() == 0
    }

    /// Whether a large network's plan is so far from what was asked for that trying others would take long for nothing.
    fn is_hopeless(&self, trial: &Trial) -> bool {
        let least = HOPELESS * self.options.agreement;
        trial.compiled.agreement < least && trial.network.entries() > LARGE
    }

    /// Adds lookups where they help most for their price, until the decisions are kept or the next set would be cheaper.
    fn with_copies(
        &self,
        set: TfheSet,
        mut trial: Trial,
        limit: f64,
        tried: &mut Vec<Tried>,
    ) -> Trial {
        loop {
            tried.push(Tried::of(&trial.compiled));
            if trial.compiled.agrees || self.is_hopeless(&trial) {
                return trial;
            }
            let mut best: Option<(f64, Trial)> = None;
            for value in trial.noisy.clone() {
                let added = trial.network.values[value].len as f64;
                if trial.bootstraps() + added > limit {
                    continue;
                }
                let network = trial.network.doubled(value);
                let statistics = trial.statistics.doubled(value);
                // Less noise may ask for wider ranges.
                for factor in [1.0, 0.5, 0.1] {
                    if !self.affords(&network) {
                        break;
                    }
                    let (network, statistics) = (network.clone(), statistics.clone());
                    let wish = Wish {
                        caution: factor * trial.wish.caution,
                        ..trial.wish
                    };
                    let found = self.attempt(set, network, statistics, wish);
                    let Ok(found) = found else {
                        continue;
                    };
                    let gain = (found.score - trial.score) / added;
                    if gain > best.as_ref().map_or(0.0, |b| b.0) {
                        best = Some((gain, found));
                    }
                }
            }
            match best {
                Some((_, found)) => trial = found,
                None => return trial,
            }
        }
    }

    /// Whether so much is kept as was asked for.
    fn enough(&self, kept: &Kept, set: &TfheSet) -> bool {
        // Samples of other origin lose more: where a much better set costs little more, a tenth of the losses is allowed.
        let next = SETS.into_iter().find(|s| s.bits > set.bits);
        let cheap = next.is_some_and(|s| lookup_seconds(&s) < CHEAP * lookup_seconds(set));
        let lost = (1.0 - self.options.agreement) * if cheap { 0.1 } else { 1.0 };
        kept.share >= 1.0 - lost && (self.by_share || kept.expected >= 1.0 - UNSURE * lost)
    }

    /// What the search ascends by. The expected share is a mean over all leads, so that it is smoother than the counted one.
    fn score(&self, kept: &Kept) -> f64 {
        if self.by_share {
            kept.share + kept.expected
        } else {
            kept.expected + 0.1 * kept.share
        }
    }

    fn attempt(
        &self,
        set: TfheSet,
        network: Network,
        statistics: Statistics,
        wish: Wish,
    ) -> Result<Trial, AnalyseError> {
        let entries = network.entries();
        self.spent.set(self.spent.get().saturating_add(entries));
        let options = self.options;
        let budget = Budget::new(set, options.log2_failure);
        if network.has_levels() && levels::bits(&budget).is_none() {
            return Err(emit::fault(&Origin::Pass("integer".into()), NO_LEVELS));
        }
        let mut intervals = Intervals::choose(&network, &statistics, &budget, options.margin, wish);
        let layers = Layers::of(&network, &statistics, &mut intervals, &budget, wish);
        let whole =
            |l: &Layer<'_>| l.exact.is_some() || !network.is_of_levels(l.pending, l.value());
        if !layers.iter().all(whole) {
            return Err(emit::fault(&Origin::Pass("integer".into()), NO_LEVELS));
        }
        let codings = coding::choose(
            &network,
            &layers,
            &intervals,
            &statistics,
            &budget,
            options.input_bits,
        );
        let parts = emit::Parts {
            network: &network,
            layers: &layers,
            codings: &codings,
            evidence: self.evidence,
            statistics: &statistics,
            budget: &budget,
            margin: options.margin,
        };
        let (plan, reports) = emit::emit(&parts)?;
        let noisy = layers.iter().filter(|l| l.exact.is_none() && !l.is_step());
        let noisy = noisy.filter_map(|l| match l.reader {
            Reader::Lookup(v, _) if l.copies < MAX_COPIES && !network.values[v].is_levels() => {
                Some(v)
            }
            _ => None,
        });
        let noisy = noisy.collect();
        let kept = self.decisions.kept(&plan, self.samples, entries <= LARGE);
        let compiled = IntegerCompiled {
            plan,
            agreement: kept.share,
            expected_agreement: kept.expected,
            agrees: self.enough(&kept, &set),
            tried: vec![],
            layers: reports,
        };
        Ok(Trial {
            network,
            statistics,
            wish,
            score: self.score(&kept),
            noisy,
            compiled,
        })
    }
}
