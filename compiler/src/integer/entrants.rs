//! What meets and is compared exactly: elements that lookups make anew as levels, or inputs that the client rounds to levels.
//!
//! Elements have to be copies: of what lookups yield, which then yield levels, or of inputs. Inputs are rounded once, so that whatever
//! compares one of them takes the levels that it has already, and nothing else reads it, unless it holds whole numbers that
//! are no more than levels: these lose nothing.

use super::error::IntegerError;
use super::levels::Levels;
use super::network::{Builder, Kind, rows};
use super::scalar::Scalar;
use crate::lower::network::pending::Pending;
use crate::lower::sparse::selection;
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::Op;
use std::collections::{BTreeMap, BTreeSet};

/// What meets: its elements, and which of them each element of the operand is.
pub(super) struct Entrants {
    /// The elements.
    pub(super) values: Pending,
    /// Where each element of `values` is: the value that makes it, and its place there.
    pub(super) places: Vec<(usize, usize)>,
    /// For each element of the operand that meets others, which of the elements it is.
    pub(super) numbers: BTreeMap<usize, usize>,
    /// The operand is so many times the elements, and so much more.
    pub(super) factor: f64,
    pub(super) shift: f64,
}

/// A row of an operand that is a copy: value, element, factor and summand.
pub(super) type Copy = (usize, usize, f64, f64);

impl Builder<'_> {
    /// What is known of an operand whose rows, as far as they meet, are copies of elements.
    pub(super) fn copies(
        &self,
        operand: &Pending,
        used: &[usize],
    ) -> Option<BTreeMap<usize, Copy>> {
        let mut found = BTreeMap::new();
        for row in used {
            let mut entries = operand.row(*row);
            let (value, element, factor) = entries.next()?;
            if entries.next().is_some() {
                return None;
            }
            found.insert(*row, (value, element, factor, *operand.bias.get(*row)?));
        }
        Some(found)
    }

    /// Makes levels of copies that meet each other: for maxima, or for comparisons alone. `None` where they cannot be levels.
    pub(super) fn entrants(
        &mut self,
        id: NodeId,
        copies: &BTreeMap<usize, Copy>,
        compared: bool,
    ) -> Result<Option<Entrants>, IntegerError> {
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
            // Copies of one element with several factors stay: they are refused.
            list.dedup();
        }
        let fits = |(v, list): (&usize, &Vec<Copy>)| self.enters(*v, list, (alike, compared));
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
    fn enters(&self, value: usize, list: &[Copy], (alike, compared): (bool, bool)) -> bool {
        let Some(found) = self.network.values.get(value) else {
            return false;
        };
        match &found.kind {
            Kind::Lookup { function, .. } => {
                let same = |c: &Copy| list.first().is_some_and(|f| (f.2, f.3) == (c.2, c.3));
                !function.is_step() && !found.is_comparison && list.iter().all(same)
            }
            Kind::Input(name) => {
                let plain = alike || list.iter().all(|c| (c.2, c.3) == (1.0, 0.0));
                let free = match compared {
                    true => self.of_inputs || self.whole.contains(name),
                    false => self.of_inputs && found.levels.is_none(),
                };
                free && plain
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
    pub(super) fn grown_entrants(
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

    /// Notes of the values of entrants that they are levels. What is compared already brings its group along.
    pub(super) fn enter(
        &mut self,
        entrants: &Entrants,
        classes: &[usize],
        group: usize,
        halvings: u32,
    ) {
        let mut next = classes.len();
        let values = || entrants.places.iter().map(|(v, _)| *v);
        let levels = |v: usize| self.network.values.get(v)?.levels.as_ref();
        let known: BTreeSet<usize> = values().filter(|v| levels(*v).is_some()).collect();
        let old: BTreeSet<usize> = known
            .iter()
            .filter_map(|v| Some(levels(*v)?.group))
            .collect();
        for old in old {
            let all = self.network.values.iter_mut();
            let all = all
                .filter_map(|v| v.levels.as_mut())
                .filter(|l| l.group == old);
            let mut most = next;
            for levels in all {
                levels.group = group;
                levels.classes.iter_mut().for_each(|class| {
                    *class += next;
                    most = most.max(*class + 1);
                });
            }
            next = most;
        }
        let mut same = vec![];
        for ((v, element), class) in entrants.places.iter().zip(classes) {
            let Some(value) = self.network.values.get_mut(*v) else {
                continue;
            };
            let whole = matches!(&value.kind, Kind::Input(name) if self.whole.contains(name));
            let levels = value.levels.get_or_insert_with(|| {
                // An input's elements that meet no other one have classes of their own.
                let alone = (next..next + value.len).collect();
                next += value.len;
                Levels {
                    group,
                    classes: alone,
                    halvings,
                    distance: false,
                    whole,
                }
            });
            if let Some(own) = levels.classes.get_mut(*element) {
                match known.contains(v) {
                    true => same.push((*own, *class)),
                    false => *own = *class,
                }
            }
        }
        self.unify(group, next, &same);
    }

    /// Makes one class of each two of a group's, which has fewer than so many.
    fn unify(&mut self, group: usize, count: usize, same: &[(usize, usize)]) {
        if same.is_empty() {
            return;
        }
        let mut parents: Vec<usize> = (0..count).collect();
        same.iter().for_each(|(a, b)| join(&mut parents, *a, *b));
        let all = self.network.values.iter_mut();
        for levels in all.filter_map(|v| v.levels.as_mut()) {
            if levels.group == group {
                let classes = levels.classes.iter_mut();
                classes.for_each(|class| *class = root(&mut parents, *class));
            }
        }
    }
}

/// For each of some elements its class: those of one window are of one, and so are those of windows that share an element.
pub(super) fn classes(count: usize, windows: &[Vec<usize>]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..count).collect();
    for pair in windows.iter().flat_map(|window| window.windows(2)) {
        join(&mut parents, pair[0], pair[1]);
    }
    (0..count).map(|i| root(&mut parents, i)).collect()
}

/// The first of those that are the same as one.
fn root(parents: &mut [usize], mut i: usize) -> usize {
    while parents[i] != i {
        parents[i] = parents[parents[i]];
        i = parents[i];
    }
    i
}

/// Makes two the same.
fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b)] = a.min(b);
}
