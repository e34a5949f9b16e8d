//! Exact maxima: what is compared is made levels by the lookups that it comes from, before it meets.
//!
//! Elements have to be results of lookups, which then yield levels, or inputs that nothing else reads, which the client rounds to
//! levels. Of wide sums, a growing function that follows goes first: `relu(max(a, b)) = max(relu(a), relu(b))`.

use super::entrants::{Entrants, classes};
use super::error::IntegerError;
use super::levels::{HALVINGS, Levels};
use super::network::{Builder, Kind, Network, Value, rows, selected};
use super::scalar::Scalar;
use super::select::Round;
use crate::lower::network::pending::Pending;
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::Function;

impl Builder<'_> {
    /// The exact largest element of each window, or the smallest; `None` where no lookups make the elements.
    pub(super) fn exact_largest(
        &mut self,
        id: NodeId,
        operand: &Pending,
        windows: &[Vec<usize>],
        smallest: bool,
    ) -> Result<Option<Pending>, IntegerError> {
        let most = windows.iter().map(Vec::len).max().unwrap_or(0);
        if most < 2 || !self.exact.maxima {
            return Ok(None);
        }
        let mut used: Vec<usize> = windows.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let entrants = match self.copies(operand, &used) {
            Some(copies) => self.entrants(id, &copies, false)?,
            None => self.grown_entrants(id, operand, &used)?,
        };
        let Some(entrants) = entrants else {
            return Ok(None);
        };
        let numbers = &entrants.numbers;
        let window = |window: &Vec<usize>| {
            let mut found: Vec<usize> = window
                .iter()
                .filter_map(|e| numbers.get(e))
                .copied()
                .collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        let windows: Vec<Vec<usize>> = windows.iter().map(window).collect();
        let smallest = smallest != (entrants.factor < 0.0);
        let found = self.tournament(id, &entrants, windows, smallest)?;
        let mut found = self
            .lookup(id, &found, Scalar::identity())?
            .scaled(entrants.factor);
        found.bias.iter_mut().for_each(|b| *b += entrants.shift);
        Ok(Some(found))
    }

    /// Plays all windows at once; levels are made anew where rounds have used up their parts of an entry.
    fn tournament(
        &mut self,
        id: NodeId,
        entrants: &Entrants,
        mut windows: Vec<Vec<usize>>,
        smallest: bool,
    ) -> Result<Pending, IntegerError> {
        let group = self.new_group();
        let mut classes = classes(entrants.places.len(), &windows);
        let most = windows.iter().map(Vec::len).max().unwrap_or(1);
        let mut left = most.next_power_of_two().trailing_zeros();
        let mut halvings = left.min(HALVINGS);
        self.enter(entrants, &classes, group, halvings);
        let mut current = entrants.values.clone();
        let half = if smallest { -0.5 } else { 0.5 };
        while windows.iter().any(|w| w.len() > 1) {
            if halvings == 0 {
                current = self.lookup(id, &current, Scalar::identity())?;
                halvings = left.min(HALVINGS);
                self.mark(group, &classes, halvings, false);
            }
            let round = Round::of(&windows);
            let differences = round.differences(&current);
            let distances = self.lookup(id, &differences, Scalar::function(Function::Abs))?;
            let of_pairs: Vec<usize> = round.pairs.iter().map(|(a, _)| classes[*a]).collect();
            self.mark(group, &of_pairs, halvings, true);
            classes = round.next.iter().map(|list| classes[list[0].0]).collect();
            current = round.joined(&current, &distances, half);
            windows = round.windows;
            (halvings, left) = (halvings - 1, left.saturating_sub(1));
        }
        let order = windows
            .iter()
            .map(|w| w.iter().map(|i| (*i, 1.0)).collect());
        let order = rows(current.bias.len(), order);
        Ok(current.map(&order, &vec![0.0; order.rows]))
    }

    /// Notes of the last value that it is levels.
    fn mark(&mut self, group: usize, classes: &[usize], halvings: u32, distance: bool) {
        if let Some(value) = self.network.values.last_mut() {
            value.levels = Some(Levels {
                group,
                classes: classes.to_vec(),
                halvings,
                distance,
                whole: false,
            });
        }
    }
}

impl Value {
    /// Whether its elements are levels.
    pub(super) fn is_levels(&self) -> bool {
        self.levels.is_some()
    }
}

impl Network {
    /// Whether there are exact maxima or comparisons.
    pub(super) fn has_levels(&self) -> bool {
        self.values.iter().any(Value::is_levels)
    }

    /// Whether there are exact comparisons.
    pub(super) fn has_comparisons(&self) -> bool {
        self.values.iter().any(|v| v.is_comparison)
    }

    /// Whether an affine map is of levels alone, and read as such: whole numbers are read as levels where a lookup compares them,
    /// else as what they are.
    pub(super) fn is_of_levels(&self, pending: &Pending, reader: Option<usize>) -> bool {
        let terms = || pending.terms.iter().filter(|(_, m)| m.entries() > 0);
        let compares = |v: usize| self.values[v].is_levels() || self.values[v].is_comparison;
        let is_lookup = |v: usize| matches!(self.values[v].kind, Kind::Lookup { .. });
        !pending.terms.is_empty()
            && terms().all(|(v, _)| self.values[*v].is_levels())
            && (reader.is_some_and(compares) || terms().any(|(v, _)| is_lookup(*v)))
    }

    /// Whether an input is levels, and something else than its maxima and comparisons reads it, which whole numbers may be.
    pub(super) fn misreads_levels(&self) -> bool {
        let levels = |v: usize| self.values[v].levels.as_ref();
        let misread = |pending: &Pending| {
            let terms = || {
                pending
                    .terms
                    .iter()
                    .filter(|(_, m)| m.entries() > 0)
                    .map(|(v, _)| *v)
            };
            let is_input = |v: usize| matches!(self.values[v].kind, Kind::Input(_));
            let rounded = |l: &Levels| !l.whole || l.halvings > 0;
            let reads = terms().any(|v| is_input(v) && levels(v).is_some_and(rounded));
            reads && !terms().any(|v| levels(v).is_some_and(|l| l.distance))
        };
        let live = self.live();
        let lookups = self
            .values
            .iter()
            .enumerate()
            .any(|(v, value)| match &value.kind {
                Kind::Lookup { operand, .. } if live[v] => {
                    misread(operand)
                        && !value.is_comparison
                        && !levels(v).is_some_and(|l| l.distance)
                }
                _ => false,
            });
        lookups || self.outputs.iter().any(|o| misread(&o.value))
    }

    /// Outputs that are maxima are read as such, without a lookup that makes them anew.
    pub(super) fn with_maxima_put_out(mut self) -> Self {
        for i in 0..self.outputs.len() {
            let Some((value, factor, shift)) = self.outputs[i].value.as_copies() else {
                continue;
            };
            let Kind::Lookup { operand, function } = &self.values[value].kind else {
                continue;
            };
            let [(_, copies)] = self.outputs[i].value.terms.as_slice() else {
                continue;
            };
            if function.is_identity()
                && factor > 0.0
                && shift == 0.0
                && self.is_of_levels(operand, Some(value))
            {
                let copies = selected(copies);
                let found = operand.map(&copies, &vec![0.0; copies.rows]).scaled(factor);
                self.outputs[i].value = found;
            }
        }
        self
    }
}
