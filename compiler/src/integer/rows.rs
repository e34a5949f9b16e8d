//! Sums with integer weights: what a layer's matrix becomes, and how its phases are read.

use super::coding::{Budget, Coding};
use super::layers::{Exact, Layer, TABLE_BITS};
use super::shared::Bootstraps;
use super::statistics::Statistics;
use rayon::prelude::*;

/// A row's gain is lowered by this factor until its sums fit.
const SHRINK: f64 = 0.985;
/// So often at most.
const MAX_SHRINKS: usize = 200;
/// The largest weight, far beyond any that fits.
const MAX_WEIGHT: f64 = (1_u64 << 40) as f64;
/// 2^64: the words of the torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;

/// A row of integers.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Columns of all operands one after the other, and weights.
    pub(super) weights: Vec<(u32, i64)>,
    /// In units of the result's delta exponent.
    pub(super) bias: i64,
    /// Which element of the layer it is.
    pub(super) element: usize,
    /// How many entries further on the results of its bootstrap are read.
    pub(super) reads: Vec<u32>,
    /// What the phase 0 stands for.
    origin: f64,
    /// Words of the phase for a difference of 1.
    gain: f64,
    /// The variance of the sum.
    variance: f64,
    /// The smallest and the largest phase, without the bias.
    ends: (i128, i128),
}

impl Row {
    /// The number that a phase stands for.
    pub(super) fn decode(&self, phase: f64) -> f64 {
        self.origin + phase / self.gain
    }
}

/// The rows of a layer.
pub(super) struct Rows {
    /// The values that are read: the operands.
    pub(super) operands: Vec<usize>,
    pub(super) rows: Vec<Row>,
    /// The result's delta exponent.
    pub(super) log_delta: u32,
    /// Index bits of a lookup's tables.
    pub(super) bits: u32,
    /// By how many entries, or units of an output, the result may be wrong.
    pub(super) slack: u32,
}

/// An entry of a row: operand, element, column and factor.
struct Entry<'a> {
    value: usize,
    coding: &'a Coding,
    element: usize,
    column: u32,
    weight: f64,
    mean: f64,
    spread: f64,
}

pub(super) struct Maker<'a> {
    pub(super) codings: &'a [Coding],
    pub(super) statistics: &'a Statistics,
    pub(super) bootstraps: &'a Bootstraps,
    pub(super) budget: &'a Budget,
}

impl Maker<'_> {
    /// The rows of a layer; `None` where copies of a row cannot be told apart.
    pub(super) fn rows(&self, layer: &Layer<'_>) -> Option<Rows> {
        let terms = layer.pending.terms.iter();
        let operands: Vec<usize> = terms
            .filter(|(_, m)| m.entries() > 0)
            .map(|(v, _)| *v)
            .collect();
        let deltas = operands.iter().map(|v| self.codings[*v].log_delta);
        let log_delta = deltas.min().unwrap_or(0);
        // Thresholds that one bootstrap serves are whole entries apart.
        let bits = match layer.shared {
            Some(_) => self.budget.set.max_table_bits(),
            None => TABLE_BITS.min(self.budget.set.max_table_bits()),
        };
        let mut made = Rows {
            operands,
            rows: vec![],
            log_delta,
            bits,
            slack: 0,
        };
        if let Some(exact) = &layer.exact {
            made.bits = exact.bits;
            made.rows = self.exact(layer, exact, log_delta);
            return Some(made);
        }
        let served = layer.bootstraps();
        let rows: Vec<Row> = served
            .par_iter()
            .map(|(row, _)| self.row(layer, *row, layer.gains[*row]))
            .collect();
        let most = rows.iter().map(|r| r.variance).fold(0.0, f64::max);
        let reader = Reading::of(layer, self.budget, log_delta, bits, most);
        made.slack = reader.slack;
        let own = (rows.len() / layer.copies).max(1);
        for (number, (mut row, (element, above))) in rows.into_iter().zip(&served).enumerate() {
            let mut gain = layer.gains[*element];
            let centre = match &layer.fold {
                Some(fold) => fold.centres[*element],
                None => layer.centres.get(*element).copied().unwrap_or(0.0),
            };
            let is_copy = |row: &Row, made: &[Row]| {
                let mut copies = made.iter().skip(number % own).step_by(own);
                copies.any(|copy| copy.weights == row.weights)
            };
            for _ in 0..MAX_SHRINKS {
                if !is_copy(&row, &made.rows) && reader.place(&mut row, centre, above) {
                    break;
                }
                gain *= SHRINK;
                row = self.row(layer, *element, gain);
            }
            if is_copy(&row, &made.rows) {
                return None;
            }
            made.rows.push(row);
        }
        Some(made)
    }

    fn entries(&self, layer: &Layer<'_>, row: usize) -> Vec<Entry<'_>> {
        let mut entries = vec![];
        let mut start = 0;
        for (value, matrix) in &layer.pending.terms {
            if matrix.entries() == 0 {
                continue;
            }
            for (element, weight) in matrix.row(row) {
                let spread = self.statistics.spreads[*value][element];
                entries.push(Entry {
                    value: *value,
                    coding: &self.codings[*value],
                    element,
                    column: start + element as u32,
                    weight,
                    mean: spread.mean,
                    spread: spread.variance,
                });
            }
            start += matrix.cols as u32;
        }
        entries
    }

    /// Rounded weights at a gain, and what their sum stands for.
    fn row(&self, layer: &Layer<'_>, row: usize, gain: f64) -> Row {
        let words = gain * TORUS;
        let (mut fit, mut size) = (0.0, 0.0);
        let mut made = Row {
            origin: layer.pending.bias[row],
            element: row,
            reads: vec![0],
            ..Row::default()
        };
        let entries = self.entries(layer, row);
        let (mut deviations, mut parts) = (vec![], vec![]);
        for e in &entries {
            let unit = e.coding.unit(e.element);
            let step = libm::exp2(f64::from(e.coding.log_delta));
            let exact = words * e.weight * unit / step;
            let weight = libm::round(exact).clamp(-MAX_WEIGHT, MAX_WEIGHT);
            if weight != 0.0 {
                made.weights.push((e.column, weight as i64));
                let deviation = weight * libm::sqrt(e.coding.variance);
                deviations.push((e.value, e.element, deviation));
                let words = (weight as i128) << e.coding.log_delta;
                let (lo, hi) = e.coding.ends(e.element);
                let (a, b) = (words * i128::from(lo), words * i128::from(hi));
                parts.push((e.value, e.element, a, b));
            }
            // By least squares, elements weighted by how much they vary.
            let scale = e.spread.max(1e-12 * unit * unit) * step * step / (unit * unit);
            fit += weight * exact * scale;
            size += exact * exact * scale;
        }
        made.ends = self.bootstraps.ends(parts.into_iter());
        made.variance = self.bootstraps.variance(deviations.into_iter());
        made.gain = if layer.is_output() || fit <= 0.0 {
            words
        } else {
            words * fit / size
        };
        for e in &entries {
            let step = libm::exp2(f64::from(e.coding.log_delta));
            let (unit, offset) = (e.coding.unit(e.element), e.coding.offset(e.element));
            let exact = words * e.weight * unit / step;
            let rounded =
                libm::round(exact).clamp(-MAX_WEIGHT, MAX_WEIGHT) * step / (made.gain * unit);
            // What the rounded weight makes of the element's mean is put right.
            made.origin += e.weight * e.mean - rounded * (e.mean - offset);
        }
        made
    }

    /// Whole weights: index 0 is the row's origin.
    fn exact(&self, layer: &Layer<'_>, exact: &Exact, log_delta: u32) -> Vec<Row> {
        let unit = exact.unit() * TORUS;
        let row = |(number, reads): (usize, Vec<u32>)| {
            let (one, origin) = (exact.weights[number], exact.origins[number]);
            let mut made = Row {
                gain: unit / one,
                origin: layer.pending.bias[number] + origin as f64 * one,
                element: number,
                reads,
                ..Row::default()
            };
            let mut shift = -(origin as f64) * unit;
            for e in self.entries(layer, number) {
                let step = libm::exp2(f64::from(e.coding.log_delta));
                // An operand is its offset and so many units.
                let whole = e.weight / one;
                let weight = whole * unit * e.coding.unit(e.element) / step;
                shift += whole * unit * e.coding.offset(e.element);
                made.weights.push((e.column, libm::round(weight) as i64));
            }
            made.bias = libm::round(shift / libm::exp2(f64::from(log_delta))) as i64;
            made
        };
        exact.bootstraps(layer).into_iter().map(row).collect()
    }
}

/// How a layer's phases are read: where they may lie.
struct Reading {
    kind: Kind,
    log_delta: u32,
    /// log2 of the words of an entry.
    log_entry: u32,
    slack: u32,
    /// In how many parts tables are, and how many of them are read.
    parts: (u32, u32),
}

enum Kind {
    Output,
    Step,
    Table,
    Folded,
}

impl Reading {
    fn of(layer: &Layer<'_>, budget: &Budget, log_delta: u32, bits: u32, variance: f64) -> Self {
        let log_entry = 63 - bits;
        let (kind, slack) = if layer.is_output() {
            let units = libm::exp2(64.0 - f64::from(log_delta));
            let reach = budget.deviations * libm::sqrt(variance) * units;
            (Kind::Output, libm::ceil(reach - 0.5).max(0.0))
        } else {
            let entries = libm::exp2(64.0 - f64::from(log_entry));
            let reach = budget.reach(variance) * entries;
            let kind = if layer.is_step() {
                Kind::Step
            } else if layer.fold.is_some() {
                Kind::Folded
            } else {
                Kind::Table
            };
            (kind, libm::ceil(reach))
        };
        Self {
            kind,
            log_delta,
            log_entry,
            slack: slack as u32,
            parts: (
                layer.parts(),
                layer.joint.as_ref().map_or(1, |j| j.values.len() as u32),
            ),
        }
    }

    /// Sets a row's bias so that its phases lie where they are read; false where they do not fit. The middle of a folded table or
    /// of an output is at `centre`; results are read for numbers that are so much `above` the row's.
    fn place(&self, row: &mut Row, centre: f64, above: &[f64]) -> bool {
        let (lo, hi) = row.ends;
        let (unit, entry) = (1_i128 << self.log_delta, 1_i128 << self.log_entry);
        let half = 1_i128 << 63;
        // A conversion saturates.
        let read = |above: &f64| libm::round(above * row.gain / entry as f64) as u32;
        let reads: Vec<u32> = match self.parts {
            (1, _) => above.iter().map(read).collect(),
            (parts, read) => {
                let part = (1_u32 << (63 - self.log_entry)) / parts;
                (0..read).map(|i| i * part).collect()
            }
        };
        let farthest = i128::from(reads.iter().copied().max().unwrap_or(0)) * entry;
        // The phase that stands for 0, before a bias.
        let zero = -row.origin * row.gain;
        let in_units = |phase: f64| libm::round(phase / unit as f64);
        let (bias, least, most) = match self.kind {
            Kind::Output => {
                let middle = (centre - row.origin) * row.gain;
                (in_units(-middle), -half, half - 1)
            }
            Kind::Step => {
                // Index 0 begins half an entry below the phase 0: there the sign changes.
                let bias = in_units(-zero - 0.5 * entry as f64);
                let far = i128::from(self.slack) * entry;
                (bias, far - half, half - far - entry - farthest)
            }
            Kind::Folded => {
                let middle = (centre - row.origin) * row.gain;
                let far = i128::from(self.slack) * entry;
                let bias = in_units(-middle - 0.5 * entry as f64);
                (bias, far - half, half - far - entry)
            }
            Kind::Table => {
                let far = i128::from(self.slack) * entry;
                let part = half / i128::from(self.parts.0);
                let middle = part / 2 - entry / 2;
                let bias = (middle - (lo + hi) / 2).div_euclid(unit) as f64;
                (bias, far, part - far - entry)
            }
        };
        if bias.abs() >= libm::exp2(52.0) || farthest >= half {
            return false;
        }
        row.reads = reads;
        row.bias = bias as i64;
        let shift = i128::from(row.bias) * unit;
        if lo + shift < least || hi + shift > most {
            return false;
        }
        row.origin -= shift as f64 / row.gain;
        true
    }
}

impl Layer<'_> {
    fn is_output(&self) -> bool {
        matches!(self.reader, super::layers::Reader::Output(_))
    }
}
