//! Exact maxima: what is compared is made levels by the lookups that it comes from, before it meets.
//!
//! Elements have to be results of lookups, which then yield levels, or inputs that nothing else reads, which the client rounds to
//! levels. Of wide sums, a growing function that follows goes first: `relu(max(a, b)) = max(relu(a), relu(b))`.

use super::error::IntegerError;
use super::levels::{HALVINGS, Levels};
use super::network::{Builder, Kind, Maxima, Network, Value, rows, selected};
use super::scalar::Scalar;
use super::select::Round;
use crate::lower::network::pending::Pending;
use crate::lower::sparse::selection;
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::{Function, Op};
use std::collections::BTreeMap;

/// What meets: its elements, and which of them each element of the operand is.
struct Entrants {
    /// The elements.
    values: Pending,
    /// Where each element of `values` is: the value that makes it, and its place there.
    places: Vec<(usize, usize)>,
    /// For each element of the operand that meets others, which of the elements it is.
    numbers: BTreeMap<usize, usize>,
    /// The operand is so many times the elements, and so much more.
    factor: f64,
    shift: f64,
}

/// A row of an operand that is a copy: value, element, factor and summand.
type Copy = (usize, usize, f64, f64);

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
        if most < 2 || self.maxima == Maxima::Approximate {
            return Ok(None);
        }
        let Some(entrants) = self.entrants(id, operand, windows)? else {
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

    /// What is known of an operand whose rows, as far as they meet, are copies of elements.
    fn copies(&self, operand: &Pending, used: &[usize]) -> Option<BTreeMap<usize, Copy>> {
        let mut found = BTreeMap::new();
        for row in used {
            let mut entries = operand
                .terms
                .iter()
                .flat_map(|(v, m)| m.row(*row).map(|(e, w)| (*v, e, w)));
            let (value, element, factor) = entries.next()?;
            if entries.next().is_some() {
                return None;
            }
            found.insert(*row, (value, element, factor, *operand.bias.get(*row)?));
        }
        Some(found)
    }

    /// Makes levels of what meets.
    fn entrants(
        &mut self,
        id: NodeId,
        operand: &Pending,
        windows: &[Vec<usize>],
    ) -> Result<Option<Entrants>, IntegerError> {
        let mut used: Vec<usize> = windows.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let Some(copies) = self.copies(operand, &used) else {
            return self.grown_entrants(id, operand, &used);
        };
        let Some((_, _, factor, shift)) = copies.values().next().copied() else {
            return Ok(None);
        };
        let alike = copies.values().all(|c| (c.2, c.3) == (factor, shift));
        let (factor, shift) = if alike { (factor, shift) } else { (1.0, 0.0) };
        let mut elements: BTreeMap<usize, Vec<Copy>> = BTreeMap::new();
        for copy in copies.values() {
            elements.entry(copy.0).or_default().push(*copy);
        }
        for list in elements.values_mut() {
            list.sort_by_key(|c| c.1);
            list.dedup_by_key(|c| c.1);
        }
        let fits = |(v, list): (&usize, &Vec<Copy>)| self.enters(*v, list, alike);
        if !elements.iter().all(fits) {
            return Ok(None);
        }
        let mut places = BTreeMap::new();
        for (value, list) in &elements {
            let made = self.entrant(id, *value, list, alike)?;
            for (place, copy) in list.iter().enumerate() {
                let place = if made == *value { copy.1 } else { place };
                places.insert((*value, copy.1), (made, place));
            }
        }
        let order: BTreeMap<(usize, usize), usize> =
            places.keys().enumerate().map(|(i, k)| (*k, i)).collect();
        let places: Vec<(usize, usize)> = places.into_values().collect();
        let number = |(row, c): (&usize, &Copy)| Some((*row, *order.get(&(c.0, c.1))?));
        Ok(Some(Entrants {
            values: self.at(&places),
            places,
            numbers: copies.iter().filter_map(number).collect(),
            factor,
            shift,
        }))
    }

    /// Whether copies of a value's elements can be levels.
    fn enters(&self, value: usize, list: &[Copy], alike: bool) -> bool {
        match self.looked_up(value) {
            Some((_, function)) => {
                let same = |c: &Copy| list.first().is_some_and(|f| (f.2, f.3) == (c.2, c.3));
                !function.is_step() && list.iter().all(same)
            }
            None => {
                let free = self
                    .network
                    .values
                    .get(value)
                    .is_some_and(|v| v.levels.is_none());
                let plain = alike || list.iter().all(|c| (c.2, c.3) == (1.0, 0.0));
                self.maxima == Maxima::OfInputs && free && plain
            }
        }
    }

    /// The value whose elements enter for those of another one.
    fn entrant(
        &mut self,
        id: NodeId,
        value: usize,
        list: &[Copy],
        alike: bool,
    ) -> Result<usize, IntegerError> {
        let Some((inner, function)) = self.looked_up(value) else {
            return Ok(value);
        };
        let places = selection(list.iter().map(|c| Some(c.1)), inner.bias.len());
        let operand = inner.map(&places, &vec![0.0; places.rows]);
        let function = match list.first() {
            Some((_, _, factor, shift)) if !alike => {
                function.then(*factor, *shift, &Scalar::identity())
            }
            _ => function.clone(),
        };
        let origin = self.network.values.get(value).map(|v| v.origin.clone());
        let made = self.push_lookup(id, operand, function)?;
        if let (Some(origin), Some(value)) = (origin, self.network.values.get_mut(made)) {
            value.origin = origin;
        }
        Ok(made)
    }

    /// A growing function that alone reads a node's wide sums, looked up before they meet.
    fn grown_entrants(
        &mut self,
        id: NodeId,
        operand: &Pending,
        used: &[usize],
    ) -> Result<Option<Entrants>, IntegerError> {
        let graph = &self.module.graph;
        let [user] = graph.users(id)[..] else {
            return Ok(None);
        };
        let function = match graph.get(user).map(|node| &node.op) {
            Some(Op::Function(function)) => Scalar::function(function.clone()),
            _ => return Ok(None),
        };
        let is_output = self.module.outputs.iter().any(|o| o.node == id);
        if is_output || !function.grows() {
            return Ok(None);
        }
        let places = selection(used.iter().map(|row| Some(*row)), operand.bias.len());
        let operand = operand.map(&places, &vec![0.0; places.rows]);
        let made = self.push_lookup(user, operand, function)?;
        self.done.insert(user);
        let places: Vec<(usize, usize)> = (0..used.len()).map(|i| (made, i)).collect();
        Ok(Some(Entrants {
            values: self.at(&places),
            places,
            numbers: used.iter().enumerate().map(|(i, row)| (*row, i)).collect(),
            factor: 1.0,
            shift: 0.0,
        }))
    }

    /// The elements at places of values.
    fn at(&self, places: &[(usize, usize)]) -> Pending {
        let mut values: Vec<usize> = places.iter().map(|p| p.0).collect();
        values.sort_unstable();
        values.dedup();
        let term = |value: usize| {
            let len = self.network.values.get(value).map_or(0, |v| v.len);
            let here = places.iter().map(|(v, e)| match *v == value {
                true => vec![(*e, 1.0)],
                false => vec![],
            });
            (value, rows(len, here))
        };
        Pending {
            terms: values.into_iter().map(term).collect(),
            bias: vec![0.0; places.len()],
            name: String::new(),
        }
    }

    /// Plays all windows at once; levels are made anew where rounds have used up their parts of an entry.
    fn tournament(
        &mut self,
        id: NodeId,
        entrants: &Entrants,
        mut windows: Vec<Vec<usize>>,
        smallest: bool,
    ) -> Result<Pending, IntegerError> {
        let group = self.groups;
        self.groups += 1;
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

    /// Notes of the values of entrants that they are levels.
    fn enter(&mut self, entrants: &Entrants, classes: &[usize], group: usize, halvings: u32) {
        for ((v, element), class) in entrants.places.iter().zip(classes) {
            if let Some(value) = self.network.values.get_mut(*v) {
                // An input's elements that meet no other one have classes of their own.
                let alone = (0..value.len).map(|e| entrants.places.len() + e);
                let levels = value.levels.get_or_insert_with(|| Levels {
                    group,
                    classes: alone.collect(),
                    halvings,
                    distance: false,
                });
                if let Some(own) = levels.classes.get_mut(*element) {
                    *own = *class;
                }
            }
        }
    }

    /// Notes of the last value that it is levels.
    fn mark(&mut self, group: usize, classes: &[usize], halvings: u32, distance: bool) {
        if let Some(value) = self.network.values.last_mut() {
            value.levels = Some(Levels {
                group,
                classes: classes.to_vec(),
                halvings,
                distance,
            });
        }
    }
}

/// For each of some elements its class: those of one window are of one, and so are those of windows that share an element.
fn classes(count: usize, windows: &[Vec<usize>]) -> Vec<usize> {
    fn root(parents: &mut [usize], mut i: usize) -> usize {
        while parents[i] != i {
            parents[i] = parents[parents[i]];
            i = parents[i];
        }
        i
    }
    let mut parents: Vec<usize> = (0..count).collect();
    for window in windows {
        for pair in window.windows(2) {
            let (a, b) = (root(&mut parents, pair[0]), root(&mut parents, pair[1]));
            parents[a.max(b)] = a.min(b);
        }
    }
    (0..count).map(|i| root(&mut parents, i)).collect()
}

impl Value {
    /// Whether its elements are levels.
    pub(super) fn is_levels(&self) -> bool {
        self.levels.is_some()
    }
}

impl Network {
    /// Whether there are exact maxima.
    pub(super) fn has_levels(&self) -> bool {
        self.values.iter().any(Value::is_levels)
    }

    /// Whether an affine map is of levels alone.
    pub(super) fn is_of_levels(&self, pending: &Pending) -> bool {
        let mut terms = pending.terms.iter().filter(|(_, m)| m.entries() > 0);
        !pending.terms.is_empty() && terms.all(|(v, _)| self.values[*v].is_levels())
    }

    /// Whether an input is levels, and something else than its maxima reads it.
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
            let reads = terms().any(|v| is_input(v) && levels(v).is_some());
            reads && !terms().any(|v| levels(v).is_some_and(|l| l.distance))
        };
        let live = self.live();
        let lookups = self
            .values
            .iter()
            .enumerate()
            .any(|(v, value)| match &value.kind {
                Kind::Lookup { operand, .. } if live[v] => {
                    misread(operand) && !levels(v).is_some_and(|l| l.distance)
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
            if function.is_identity() && factor > 0.0 && shift == 0.0 && self.is_of_levels(operand)
            {
                let copies = selected(copies);
                let found = operand.map(&copies, &vec![0.0; copies.rows]).scaled(factor);
                self.outputs[i].value = found;
            }
        }
        self
    }
}
