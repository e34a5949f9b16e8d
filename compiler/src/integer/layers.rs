//! The places where integers are decoded: lookups and outputs. Each sums up values, within a part of the torus that the
//! sums never leave.

use super::coding::Budget;
use super::fold::{Fold, Ranges};
use super::intervals::{Intervals, Sharing, Wish};
use super::joint::Joint;
use super::levels;
use super::network::{Kind, Network};
use super::scalar::Scalar;
use super::shared::{self, Bootstraps};
use super::statistics::{Spread, Statistics};
use crate::lower::network::pending::Pending;

/// Index bits of a table that sees the high bits of its operand.
pub(super) const TABLE_BITS: u32 = 9;
/// The part of the torus that an output may range over to either side of its middle.
const OUTPUT_REACH: f64 = 0.48;
/// Outputs range around 0, unless half of the widest range is below this part of the farthest end: then each around its middle.
const LOPSIDED: f64 = 0.75;
/// By which part the gains of copies are apart, so that their masks, and with them their noise, have nothing in common.
const APART: f64 = 1.0 / 32.0;
/// The largest whole weight of a sum of truth values.
const MOST_EXACT: f64 = 64.0;

/// What decodes the sums.
#[derive(Clone, Copy)]
pub(super) enum Reader<'n> {
    /// A lookup: the number of the value that it yields, and its function.
    Lookup(usize, &'n Scalar),
    /// An output, by its number.
    Output(usize),
}

/// Sums of truth values with whole weights, maxima and differences of levels: the index is the sum.
pub(super) struct Exact {
    /// Index bits of the table.
    pub(super) bits: u32,
    /// For each row, by how much a sum is larger whose index is larger by 1.
    pub(super) weights: Vec<f64>,
    /// For each row, the sum that index 0 stands for, as a multiple of that.
    pub(super) origins: Vec<i64>,
    /// Whether indices are below 0 too, where tables are read negated.
    pub(super) negacyclic: bool,
}

impl Exact {
    /// The part of the torus of one unit.
    pub(super) fn unit(&self) -> f64 {
        unit(self.bits)
    }

    /// For each bootstrap of a layer, the row that it computes, and how many entries further on the results of all rows that it
    /// serves are.
    pub(super) fn bootstraps(&self, layer: &Layer<'_>) -> Vec<(usize, Vec<u32>)> {
        let origin = |row: &usize| self.origins.get(*row).copied().unwrap_or(0);
        let reads = |rows: &Vec<usize>| {
            let first = *rows.first()?;
            // Rows by ascending constants are by descending origins.
            let read = |row| u32::try_from(origin(&first) - origin(row)).unwrap_or(0);
            Some((first, rows.iter().map(read).collect()))
        };
        match &layer.shared {
            Some(groups) => groups.iter().filter_map(reads).collect(),
            None => (0..self.origins.len()).map(|row| (row, vec![0])).collect(),
        }
    }

    /// Whether a lookup meets its index, for a table of so many bits and a sum of truth values with the given squared norm.
    pub(super) fn is_told(bits: u32, norm2: f64, budget: &Budget) -> bool {
        0.5 * unit(bits) >= budget.reach(norm2 * budget.bootstrap)
    }
}

/// The part of the torus of one entry of a table.
fn unit(bits: u32) -> f64 {
    libm::exp2(-1.0 - f64::from(bits))
}

/// Sums and what decodes them.
pub(super) struct Layer<'n> {
    pub(super) reader: Reader<'n>,
    pub(super) pending: &'n Pending,
    /// For each row, which part of the torus a difference of 1 may take.
    pub(super) gains: Vec<f64>,
    /// For each row of an output, what the phase 0 stands for; nothing for lookups.
    pub(super) centres: Vec<f64>,
    /// For each row, its variance over the samples.
    pub(super) variances: Vec<f64>,
    pub(super) exact: Option<Exact>,
    pub(super) fold: Option<Fold>,
    /// Rows that one bootstrap serves, each group by ascending constant.
    pub(super) shared: Option<Vec<Vec<usize>>>,
    /// The lookups of other functions that its bootstraps are those of too.
    pub(super) joint: Option<Joint>,
    /// How often each row is there.
    pub(super) copies: usize,
}

impl Layer<'_> {
    pub(super) fn reads(&self, value: usize) -> bool {
        let mut terms = self.pending.terms.iter();
        terms.any(|(v, m)| *v == value && m.entries() > 0)
    }

    /// What its lookups yield.
    pub(super) fn value(&self) -> Option<usize> {
        match self.reader {
            Reader::Lookup(v, _) => Some(v),
            Reader::Output(_) => None,
        }
    }

    /// Whether its lookups yield the value.
    pub(super) fn makes(&self, value: usize) -> bool {
        matches!(self.reader, Reader::Lookup(v, _) if v == value)
    }

    pub(super) fn is_step(&self) -> bool {
        matches!(self.reader, Reader::Lookup(_, function) if function.is_step())
    }

    /// In how many parts its tables are.
    pub(super) fn parts(&self) -> u32 {
        self.joint.as_ref().map_or(1, Joint::parts)
    }

    /// Whether bootstraps of another value compute its own.
    pub(super) fn is_guest(&self) -> bool {
        let guest = |joint: &Joint| self.value().is_some_and(|v| !joint.makes(v));
        self.joint.as_ref().is_some_and(guest)
    }

    /// For each bootstrap, the row that it computes, and by how much the constants of all rows that it serves are above that one's.
    pub(super) fn bootstraps(&self) -> Vec<(usize, Vec<f64>)> {
        let bias = |row: &usize| self.pending.bias.get(*row).copied().unwrap_or(0.0);
        let above = |rows: &Vec<usize>| {
            let first = *rows.first()?;
            let above = rows.iter().map(|row| bias(row) - bias(&first));
            Some((first, above.collect()))
        };
        match &self.shared {
            Some(groups) => groups.iter().filter_map(above).collect(),
            None => (0..self.gains.len()).map(|row| (row, vec![0.0])).collect(),
        }
    }

    /// Whether tables are read negated too.
    pub(super) fn is_negacyclic(&self) -> bool {
        self.is_step() || self.fold.is_some() || self.exact.as_ref().is_some_and(|e| e.negacyclic)
    }
}

/// All layers, in the order of the values; outputs last.
pub(super) struct Layers<'n> {
    list: Vec<Layer<'n>>,
    pub(super) bootstraps: Bootstraps,
}

impl<'n> Layers<'n> {
    /// The layers; where lookups are folded, the intervals become those of what they yield.
    pub(super) fn of(
        network: &'n Network,
        statistics: &Statistics,
        intervals: &mut Intervals,
        budget: &Budget,
        wish: Wish,
    ) -> Self {
        let mut bootstraps = Bootstraps::default();
        let joint = match wish.shared {
            Sharing::None => vec![],
            Sharing::Comparisons | Sharing::Paths => network.joint(),
        };
        let live = network.live();
        let lookups = network.values.iter().enumerate().filter(|(v, _)| live[*v]);
        let lookups = lookups.filter_map(|(v, value)| match &value.kind {
            Kind::Lookup { operand, function } => Some((Reader::Lookup(v, function), operand)),
            Kind::Input(_) => None,
        });
        let outputs = network.outputs.iter().enumerate();
        let outputs = outputs.map(|(i, o)| (Reader::Output(i), &o.value));
        let layer = |(reader, pending)| {
            let spreads = match reader {
                Reader::Lookup(v, _) => &statistics.sums[v],
                Reader::Output(i) => &statistics.outputs[i],
            };
            let ends = extremes(pending, intervals, &bootstraps);
            let mut layer = Layer {
                reader,
                pending,
                gains: vec![],
                centres: match reader {
                    Reader::Lookup(..) => vec![],
                    Reader::Output(_) if wish.shared == Sharing::Paths => middles(&ends),
                    Reader::Output(_) => vec![0.0; ends.len()],
                },
                variances: spreads.iter().map(|s| s.variance).collect(),
                exact: None,
                fold: None,
                shared: None,
                joint: None,
                copies: match reader {
                    Reader::Lookup(v, _) => network.values[v].copies,
                    Reader::Output(_) => 1,
                },
            };
            layer.exact = if network.is_of_levels(pending, layer.value()) {
                levels::exact(network, &layer, intervals, budget)
            } else {
                exact(network, &layer, &bootstraps, budget)
            };
            if let (Reader::Lookup(v, _), None) = (reader, &layer.exact) {
                let mut own = joint.iter().filter(|j| j.values.contains(&v));
                let found = own.find(|j| j.fits(lost(budget), budget));
                if let Some(maker) = found.and_then(|j| j.values.first()) {
                    bootstraps.note_joint(v, *maker, pending.bias.len());
                }
                layer.joint = found.cloned();
            }
            layer.gains = gains(&layer, &ends, budget);
            if let (Reader::Lookup(v, _), Some(groups)) = (reader, thresholds(&layer, wish)) {
                for rows in &groups {
                    let gains = rows.iter().map(|row| layer.gains[*row]);
                    let least = gains.fold(f64::INFINITY, f64::min);
                    rows.iter().for_each(|row| layer.gains[*row] = least);
                }
                bootstraps.note(v, &groups);
                layer.shared = Some(groups);
            }
            let is_levels = layer.value().is_some_and(|v| network.values[v].is_levels());
            if wish.folded && !is_levels && layer.joint.is_none() {
                layer.fold = fold(&layer, spreads, &ends, intervals, budget);
            }
            if let (Reader::Lookup(v, _), Some(fold)) = (layer.reader, &layer.fold) {
                layer.gains.clone_from(&fold.gains);
                intervals.replace(v, fold.results.clone());
            }
            let own = layer.gains.len() / layer.copies;
            for (row, gain) in layer.gains.iter_mut().enumerate() {
                *gain *= 1.0 - APART * (row / own.max(1)) as f64;
            }
            layer
        };
        let list = lookups.chain(outputs).map(layer).collect();
        Self { list, bootstraps }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Layer<'n>> {
        self.list.iter()
    }
}

impl Layers<'_> {
    /// The elements of a value by the bootstraps that they come from.
    pub(super) fn together(&self, value: usize, len: usize) -> Vec<Vec<usize>> {
        let groups = self.iter().find(|l| l.makes(value));
        match groups.and_then(|l| l.shared.as_ref()) {
            Some(groups) => groups.clone(),
            None => (0..len).map(|e| vec![e]).collect(),
        }
    }
}

/// The rows that differ by their thresholds alone, where there are such; not those of levels.
fn thresholds(layer: &Layer<'_>, wish: Wish) -> Option<Vec<Vec<usize>>> {
    let least = match &layer.exact {
        None => Sharing::Comparisons,
        Some(exact) if exact.negacyclic => return None,
        Some(_) => Sharing::Paths,
    };
    if wish.shared < least || !layer.is_step() || layer.copies != 1 {
        return None;
    }
    let groups = shared::groups(layer.pending);
    (groups.len() < layer.gains.len()).then_some(groups)
}

/// The smallest and largest value of each row, whatever the values within their intervals are.
fn extremes(pending: &Pending, intervals: &Intervals, bootstraps: &Bootstraps) -> Vec<(f64, f64)> {
    let of_row = |(row, bias): (usize, &f64)| {
        let (lo, hi) = bootstraps.ends(pending.row(row).map(|(value, element, weight)| {
            let (lo, hi) = intervals.of(value, element);
            (value, element, weight * lo, weight * hi)
        }));
        (bias + lo, bias + hi)
    };
    pending.bias.iter().enumerate().map(of_row).collect()
}

/// The fold of a layer that may have one.
fn fold(
    layer: &Layer<'_>,
    spreads: &[Spread],
    ends: &[(f64, f64)],
    intervals: &Intervals,
    budget: &Budget,
) -> Option<Fold> {
    let Reader::Lookup(v, function) = layer.reader else {
        return None;
    };
    if layer.is_step() || layer.exact.is_some() {
        return None;
    }
    let usual: Vec<(f64, f64)> = spreads.iter().map(|s| (s.lo, s.hi)).collect();
    let ranges = Ranges {
        usual: &usual,
        possible: ends,
        clip: &|row| intervals.of(v, row),
        gains: &layer.gains,
    };
    let bits = TABLE_BITS.min(budget.set.max_table_bits());
    Fold::of(function, &ranges, budget, bits)
}

/// How much of the torus an index of a plain table may be off, in both directions.
fn lost(budget: &Budget) -> f64 {
    let bits = TABLE_BITS.min(budget.set.max_table_bits());
    2.0 * budget.usual_reach() + 4.0 * unit(bits)
}

/// What the phase 0 of each row of an output stands for: 0, unless that wastes much of the torus. Differences of paths have more noise
/// than paths, so that they need all of it.
fn middles(ends: &[(f64, f64)]) -> Vec<f64> {
    let half = ends
        .iter()
        .map(|(lo, hi)| 0.5 * (hi - lo))
        .fold(0.0, f64::max);
    let farthest = ends.iter().map(|(lo, hi)| lo.abs().max(hi.abs()));
    if half < LOPSIDED * farthest.fold(0.0, f64::max) {
        ends.iter().map(|(lo, hi)| 0.5 * (lo + hi)).collect()
    } else {
        vec![0.0; ends.len()]
    }
}

fn gains(layer: &Layer<'_>, ends: &[(f64, f64)], budget: &Budget) -> Vec<f64> {
    let bits = TABLE_BITS.min(budget.set.max_table_bits());
    let (reach, entry) = (budget.usual_reach(), unit(bits));
    let usable = |part: f64, width: f64| if width > 0.0 { part / width } else { 1.0 };
    let farthest = |(lo, hi): &(f64, f64)| lo.abs().max(hi.abs());
    match layer.reader {
        Reader::Output(_) => {
            let moved = ends.iter().zip(&layer.centres);
            let moved = moved.map(|((lo, hi), centre)| (lo - centre, hi - centre));
            let most = moved.map(|e| farthest(&e)).fold(0.0, f64::max);
            vec![usable(OUTPUT_REACH, most); ends.len()]
        }
        Reader::Lookup(..) if layer.is_step() => {
            let gain = |e: &(f64, f64)| usable(0.5 - reach - 3.0 * entry, farthest(e));
            ends.iter().map(gain).collect()
        }
        Reader::Lookup(..) => {
            let part = 0.5 / f64::from(layer.parts()) - lost(budget);
            ends.iter().map(|(lo, hi)| usable(part, hi - lo)).collect()
        }
    }
}

/// The exact form of a lookup, where it has one: all operands are truth values, and all weights multiples of the smallest.
fn exact(
    network: &Network,
    layer: &Layer<'_>,
    bootstraps: &Bootstraps,
    budget: &Budget,
) -> Option<Exact> {
    let Reader::Lookup(_, function) = layer.reader else {
        return None;
    };
    let pending = layer.pending;
    let terms = || pending.terms.iter().filter(|(_, m)| m.entries() > 0);
    if !network.reads_truths(pending) {
        return None;
    }
    let sizes = terms().flat_map(|(_, m)| m.values.iter().map(|w| w.abs()));
    let weight = sizes.fold(f64::INFINITY, f64::min);
    let (mut origins, mut bits, mut most) = (vec![], 1, 0.0);
    for (row, bias) in pending.bias.iter().enumerate() {
        let mut wholes = vec![];
        for (value, element, w) in pending.row(row) {
            let whole = libm::round(w / weight);
            if whole.abs() > MOST_EXACT || (whole * weight - w).abs() > 1e-9 * weight {
                return None;
            }
            wholes.push((value, element, whole));
        }
        let parts = wholes.iter();
        let (lo, hi) = bootstraps.ends(parts.map(|(v, e, whole)| (*v, *e, 0.0, *whole)));
        // A step's index 0 is the first sum that lies above 0.
        let origin = if function.is_step() {
            libm::floor(-bias / weight) + 1.0
        } else {
            lo
        };
        most = f64::max(most, bootstraps.variance(wholes.into_iter()));
        while lo - origin < -libm::exp2(f64::from(bits))
            || hi - origin >= libm::exp2(f64::from(bits))
        {
            bits += 1;
            if bits > budget.set.max_table_bits() {
                return None;
            }
        }
        origins.push(origin as i64);
    }
    Exact::is_told(bits, most, budget).then(|| Exact {
        bits,
        weights: vec![weight; origins.len()],
        origins,
        negacyclic: false,
    })
}
