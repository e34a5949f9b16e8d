//! The network between the tensor stage and the integer stage: inputs and lookups, joined by affine maps.
//!
//! Affine operations cost no bootstrap, so they are never made values of their own: each tensor value is kept as a sum of
//! matrices times inputs and lookups, plus a bias, until a function reads it. Functions that follow each other become one.

use super::choice::Choice;
use super::constants::Constants;
use super::error::IntegerError;
use super::grids::Grid;
use super::levels::Levels;
use super::scalar::{Part, Scalar};
use crate::lower::affine::{affine_map, broadcast, matmul_indices};
use crate::lower::network::pending::Pending;
use crate::lower::sparse::{self, concat_places, selection};
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::tensor::{Comparison, Function, Module, Node, Op, Reduction};
use cipherloom_ir::value::{Range, element_count};
use cipherloom_ir::{NodeId, Origin};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Lookups of one network, at most.
const MAX_LOOKUPS: usize = 1 << 20;

/// How a value is made.
#[derive(Clone)]
pub(super) enum Kind {
    /// An input of the model.
    Input(String),
    /// A function of each element of an affine map of earlier values.
    Lookup { operand: Pending, function: Scalar },
}

/// A vector of ciphertexts.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) len: usize,
    /// How often each element is there: so many lookups compute it, each with noise of its own. All elements come before
    /// their copies.
    pub(super) copies: usize,
    /// For inputs, the grid that the network itself rounds them to.
    pub(super) grid: Option<Grid>,
    /// Where its elements are levels, what is known of these.
    pub(super) levels: Option<Levels>,
    /// Whether it tells which of two levels is the larger one: a step or a sign of their difference.
    pub(super) is_comparison: bool,
    pub(super) origin: Origin,
}

impl Value {
    pub(super) fn is_step(&self) -> bool {
        matches!(&self.kind, Kind::Lookup { function, .. } if function.is_step())
    }
}

/// An output of the network.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) value: Pending,
    pub(super) origin: Origin,
}

/// Values in an order in which operands come first.
#[derive(Clone, Default)]
pub(super) struct Network {
    pub(super) values: Vec<Value>,
    pub(super) outputs: Vec<Port>,
}

impl Network {
    /// Whether numbers are compared, other than truth values.
    pub(super) fn compares(&self) -> bool {
        let number = |v: &usize| !self.values[*v].is_step();
        self.values.iter().any(|value| match &value.kind {
            Kind::Lookup { operand, function } if function.is_step() => {
                operand.terms.iter().any(|(v, _)| number(v))
            }
            _ => false,
        })
    }

    /// The entries of all matrices.
    pub(super) fn entries(&self) -> usize {
        let operands = self.values.iter().filter_map(|v| match &v.kind {
            Kind::Lookup { operand, .. } => Some(operand),
            Kind::Input(_) => None,
        });
        let all = operands.chain(self.outputs.iter().map(|o| &o.value));
        all.flat_map(|p| &p.terms).map(|(_, m)| m.entries()).sum()
    }

    /// The network without the elements of lookups that reach no output: what other lookups took the place of.
    fn without_dead(mut self) -> Self {
        let live = self.live();
        let values = self.values.iter_mut().zip(live);
        for value in values.filter_map(|(value, live)| (!live).then_some(value)) {
            if let Kind::Lookup { operand, .. } = &mut value.kind {
                *operand = Pending::default();
            }
            (value.len, value.levels) = (0, None);
        }
        self
    }

    /// Which values reach an output; inputs always count.
    pub(super) fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.values.len()];
        let mark = |pending: &Pending, live: &mut Vec<bool>| {
            let terms = pending.terms.iter().filter(|(_, m)| m.entries() > 0);
            terms.for_each(|(v, _)| live[*v] = true);
        };
        self.outputs.iter().for_each(|o| mark(&o.value, &mut live));
        for v in (0..self.values.len()).rev() {
            match &self.values[v].kind {
                Kind::Lookup { operand, .. } if live[v] => mark(operand, &mut live),
                Kind::Lookup { .. } => {}
                Kind::Input(_) => live[v] = true,
            }
        }
        live
    }
}

/// What is exact where it can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exactness {
    pub(super) maxima: bool,
    pub(super) comparisons: bool,
}

/// What is known of a module's values.
pub(super) struct Known {
    /// The ranges of nodes.
    pub(super) ranges: BTreeMap<NodeId, Range>,
    /// Inputs of whole numbers that are no more than levels, by name.
    pub(super) whole: BTreeSet<String>,
}

/// Lowers a module. Maxima and comparisons are exact where they can be, as far as that is asked for: those of inputs too, if
/// nothing else reads these.
pub(super) fn build(
    module: &Module,
    known: &Known,
    exact: Exactness,
) -> Result<Network, IntegerError> {
    let network = build_with(module, known, exact, true)?;
    if network.misreads_levels() {
        return build_with(module, known, exact, false);
    }
    Ok(network)
}

fn build_with(
    module: &Module,
    known: &Known,
    exact: Exactness,
    of_inputs: bool,
) -> Result<Network, IntegerError> {
    let order = module
        .graph
        .topological()
        .map_err(|_| IntegerError::Malformed("the graph has a cycle".into()))?;
    super::legal::check(module)?;
    let mut builder = Builder {
        module,
        ranges: &known.ranges,
        whole: &known.whole,
        network: Network::default(),
        pending: BTreeMap::new(),
        choices: BTreeMap::new(),
        lookups: 0,
        exact,
        of_inputs,
        groups: 0,
        done: BTreeSet::new(),
    };
    for id in order {
        builder.lower(id)?;
    }
    for output in &module.outputs {
        let value = builder.of(output.node)?;
        let origin = builder.origin(output.node);
        if value.terms.iter().all(|(_, m)| m.entries() == 0) {
            return Err(IntegerError::Constant(origin));
        }
        builder.network.outputs.push(Port { value, origin });
    }
    let network = builder.network.with_maxima_put_out().with_own_grids();
    Ok(network.without_dead())
}

pub(super) struct Builder<'m> {
    pub(super) module: &'m Module,
    ranges: &'m BTreeMap<NodeId, Range>,
    pub(super) network: Network,
    pending: BTreeMap<NodeId, Pending>,
    choices: BTreeMap<NodeId, Choice>,
    lookups: usize,
    /// What is exact where it can be.
    pub(super) exact: Exactness,
    /// Whether inputs may become levels.
    pub(super) of_inputs: bool,
    /// Inputs of whole numbers that are no more than levels.
    pub(super) whole: &'m BTreeSet<String>,
    /// Groups of levels so far.
    groups: usize,
    /// Functions that were looked up ahead of their places.
    pub(super) done: BTreeSet<NodeId>,
}

impl Builder<'_> {
    pub(super) fn malformed(&self, id: NodeId) -> IntegerError {
        let node = self.module.graph.get(id);
        let what = node.map(|n| format!("{} ({})", n.op.name(), n.origin));
        IntegerError::Malformed(format!(
            "operation {id} {} does not fit its operands",
            what.unwrap_or_default()
        ))
    }

    fn origin(&self, id: NodeId) -> Origin {
        let node = self.module.graph.get(id);
        node.map_or(Origin::Pass("lower".into()), |n| n.origin.clone())
    }

    fn of(&self, id: NodeId) -> Result<Pending, IntegerError> {
        let found = self.pending.get(&id).cloned();
        found.ok_or_else(|| self.malformed(id))
    }

    fn shape(&self, id: NodeId) -> Result<&[usize], IntegerError> {
        let node = self.module.graph.get(id);
        node.map(|n| n.shape.as_slice())
            .ok_or_else(|| self.malformed(id))
    }

    fn lower(&mut self, id: NodeId) -> Result<(), IntegerError> {
        let module = self.module;
        let Some(node) = module.graph.get(id) else {
            return Ok(());
        };
        let operands = module.graph.operands(id);
        if !node.op.takes(operands.len()) {
            return Err(self.malformed(id));
        }
        let pending = match operands[..] {
            [] => self.input(node)?,
            [x] => self.unary(id, node, x)?,
            _ if matches!(node.op, Op::Concat { .. }) => self.concat(id, &node.op, &operands)?,
            [a, b] => self.binary(id, node, a, b)?,
            [c, a, b] => {
                // b + c (a - b)
                let (condition, b_value) = (self.broadcast(id, c)?, self.broadcast(id, b)?);
                let difference = self.broadcast(id, a)?.plus(&b_value.scaled(-1.0));
                let bound = 2.0 * self.bound(a).max(self.bound(b));
                let chosen = self.product(id, &condition, &difference, (1.0, bound))?;
                b_value.plus(&chosen)
            }
            _ => return Err(self.malformed(id)),
        };
        self.pending.insert(id, pending);
        Ok(())
    }

    fn input(&mut self, node: &Node) -> Result<Pending, IntegerError> {
        let Op::Input { name } = &node.op else {
            let what = format!("{} has no operand", node.op.name());
            return Err(IntegerError::Malformed(what));
        };
        let len = element_count(&node.shape).unwrap_or(0);
        self.network.values.push(Value {
            kind: Kind::Input(name.clone()),
            len,
            copies: 1,
            grid: None,
            levels: None,
            is_comparison: false,
            origin: node.origin.clone(),
        });
        Ok(Pending::of(self.network.values.len() - 1, len))
    }

    fn unary(&mut self, id: NodeId, node: &Node, x: NodeId) -> Result<Pending, IntegerError> {
        let operand = self.of(x)?;
        if self.done.contains(&id) {
            return Ok(operand);
        }
        let choice = self.choices.get(&x);
        if let Some(choice) = choice.and_then(|c| c.after(self.module, id, &node.op)) {
            return Ok(self.chosen(id, choice));
        }
        let function = match &node.op {
            Op::Power { exponent: 2 } => return self.square(id, &operand),
            Op::Power { exponent } => Scalar::power(*exponent),
            Op::Polynomial { coefficients } => Scalar::of(Part::Polynomial(coefficients.clone())),
            Op::Function(function) => Scalar::function(function.clone()),
            Op::Lookup { table } => {
                let table = self
                    .module
                    .tensor(*table)
                    .ok_or_else(|| self.malformed(id))?;
                Scalar::of(Part::Table(table.data().to_vec()))
            }
            Op::Concat { .. } => return self.concat(id, &node.op, &[x]),
            Op::MaxPool(pool) => {
                let windows = super::select::windows(pool, self.shape(x)?, &node.shape);
                let windows = windows.ok_or_else(|| self.malformed(id))?;
                return self.largest(id, operand, windows, false);
            }
            Op::Reduce {
                kind: kind @ (Reduction::Max | Reduction::Min),
                ..
            } => {
                let targets = broadcast(self.shape(x)?, &node.shape);
                let count = element_count(&node.shape).unwrap_or(0);
                let mut windows = vec![vec![]; count];
                for (element, target) in targets.unwrap_or_default().into_iter().enumerate() {
                    if let Some(window) = windows.get_mut(target) {
                        window.push(element);
                    }
                }
                return self.largest(id, operand, windows, *kind == Reduction::Min);
            }
            Op::ArgMax {
                axis,
                smallest,
                last,
            } => {
                let lanes = super::select::lanes(self.shape(x)?, *axis);
                let lanes = lanes.ok_or_else(|| self.malformed(id))?;
                let sign = if *smallest { -1.0 } else { 1.0 };
                let choice = self.places(id, &operand.scaled(sign), &lanes, (1, *last))?;
                return Ok(self.chosen(id, choice));
            }
            Op::TopK {
                axis, k, smallest, ..
            } => {
                let lanes = super::select::lanes(self.shape(x)?, *axis);
                let lanes = lanes.ok_or_else(|| self.malformed(id))?;
                let sign = if *smallest { -1.0 } else { 1.0 };
                let choice = self.places(id, &operand.scaled(sign), &lanes, (*k, false))?;
                let order = super::select::by_lanes(&node.shape, *axis);
                let order = order.ok_or_else(|| self.malformed(id))?;
                let choice = choice.in_order(&order).ok_or_else(|| self.malformed(id))?;
                return Ok(self.chosen(id, choice));
            }
            _ => {
                let map = affine_map(self.module, id).ok_or_else(|| self.malformed(id))?;
                let mut result = operand.map(&map.matrix, &map.bias);
                if !sparse::is_movement(&map.matrix) || result.name.is_empty() {
                    result.name = node.op.name().to_owned();
                }
                return Ok(result);
            }
        };
        self.lookup(id, &operand, function)
    }

    /// Notes that a value is one of several constants.
    fn chosen(&mut self, id: NodeId, choice: Choice) -> Pending {
        let value = choice.value();
        self.choices.insert(id, choice);
        value
    }

    fn binary(
        &mut self,
        id: NodeId,
        node: &Node,
        a: NodeId,
        b: NodeId,
    ) -> Result<Pending, IntegerError> {
        if node.op == Op::MatMul {
            return self.matmul(id, node, a, b);
        }
        let (x, y) = (self.broadcast(id, a)?, self.broadcast(id, b)?);
        let minus = |x: &Pending, y: &Pending| x.plus(&y.scaled(-1.0));
        match &node.op {
            Op::Add => Ok(x.plus(&y)),
            Op::Max | Op::Min => self.larger(id, (&x, &y), node.op == Op::Min),
            Op::Sub => Ok(minus(&x, &y)),
            Op::Mul if a == b => self.square(id, &x),
            Op::Mul => self.product(id, &x, &y, (self.bound(a), self.bound(b))),
            Op::Compare(Comparison::Greater) => self.step(id, &minus(&x, &y)),
            Op::Compare(Comparison::GreaterOrEqual) => {
                Ok(complement(&self.step(id, &minus(&y, &x))?))
            }
            _ => Err(self.malformed(id)),
        }
    }

    fn matmul(
        &mut self,
        id: NodeId,
        node: &Node,
        a: NodeId,
        b: NodeId,
    ) -> Result<Pending, IntegerError> {
        let (from_a, from_b) = (self.shape(a)?.to_vec(), self.shape(b)?.to_vec());
        let terms = matmul_indices(&from_a, &from_b, &node.shape);
        let (left, right) = terms.ok_or_else(|| self.malformed(id))?;
        let count: usize = left.iter().map(Vec::len).sum();
        self.afford(id, count.saturating_mul(2))?;
        let pick = |lists: &[Vec<usize>], shape: &[usize]| {
            let columns = element_count(shape).unwrap_or(0);
            selection(lists.iter().flatten().map(|i| Some(*i)), columns)
        };
        let zeros = vec![0.0; count];
        let x = self.of(a)?.map(&pick(&left, &from_a), &zeros);
        let y = self.of(b)?.map(&pick(&right, &from_b), &zeros);
        let products = self.product(id, &x, &y, (self.bound(a), self.bound(b)))?;
        let mut rows = sparse::RowBuilder::new(count);
        let mut next = 0;
        for list in &left {
            for _ in list {
                rows.push(next, 1.0);
                next += 1;
            }
            rows.end_row();
        }
        let sums = rows.finish();
        let zeros = vec![0.0; sums.rows];
        Ok(products.map(&sums, &zeros))
    }

    fn concat(&self, id: NodeId, op: &Op, operands: &[NodeId]) -> Result<Pending, IntegerError> {
        let malformed = || self.malformed(id);
        let Op::Concat { axis } = op else {
            return Err(malformed());
        };
        let shapes: Vec<&[usize]> = operands
            .iter()
            .map(|o| self.shape(*o))
            .collect::<Result<_, _>>()?;
        let places = concat_places(self.shape(id)?, &shapes, *axis).ok_or_else(malformed)?;
        let mut sum: Option<Pending> = None;
        for (operand, place) in operands.iter().zip(&places) {
            let part = self.of(*operand)?.map(place, &vec![0.0; place.rows]);
            sum = Some(sum.map_or(part.clone(), |sum| sum.plus(&part)));
        }
        sum.ok_or_else(malformed)
    }

    fn broadcast(&self, id: NodeId, operand: NodeId) -> Result<Pending, IntegerError> {
        let (out, from) = (self.shape(id)?, self.shape(operand)?);
        let pending = self.of(operand)?;
        if out == from {
            return Ok(pending);
        }
        let sources = broadcast(out, from).ok_or_else(|| self.malformed(id))?;
        let (count, columns) = (sources.len(), element_count(from).unwrap_or(0));
        let matrix = selection(sources.into_iter().map(Some), columns);
        Ok(pending.map(&matrix, &vec![0.0; count]))
    }

    /// The largest absolute value of a node.
    fn bound(&self, id: NodeId) -> f64 {
        let range = self.ranges.get(&id).map_or(1.0, |r| r.max_abs());
        if range > 0.0 { range } else { 1.0 }
    }

    fn afford(&mut self, id: NodeId, lookups: usize) -> Result<(), IntegerError> {
        self.check_lookups(id, lookups)?;
        self.lookups += lookups;
        Ok(())
    }

    /// Refuses so many more lookups where they are too many.
    pub(super) fn check_lookups(&self, id: NodeId, more: usize) -> Result<(), IntegerError> {
        if self.lookups.saturating_add(more) > MAX_LOOKUPS {
            return Err(IntegerError::TooLarge(self.origin(id)));
        }
        Ok(())
    }

    /// The number of a new group of levels.
    pub(super) fn new_group(&mut self) -> usize {
        self.groups += 1;
        self.groups - 1
    }

    /// What a value is looked up from, and by which function.
    pub(super) fn looked_up(&self, value: usize) -> Option<(&Pending, &Scalar)> {
        match &self.network.values.get(value)?.kind {
            Kind::Lookup { operand, function } => Some((operand, function)),
            Kind::Input(_) => None,
        }
    }

    /// A function of each element.
    pub(super) fn lookup(
        &mut self,
        id: NodeId,
        operand: &Pending,
        function: Scalar,
    ) -> Result<Pending, IntegerError> {
        if let Some(found) = self.compared(id, operand, &function)? {
            return Ok(found);
        }
        if let Some(found) = self.of_comparison(operand, &function) {
            return Ok(found);
        }
        let (mut operand, mut function) = (operand.clone(), function);
        // A function of copies of what a lookup yields is one function with it.
        if let Some((value, factor, shift)) = operand.as_copies()
            && let Some((inner, first)) = self.looked_up(value)
            && let [(_, copies)] = operand.terms.as_slice()
            && !self.is_comparison(value)
        {
            function = first.then(factor, shift, &function);
            operand = inner.map(&selected(copies), &vec![0.0; copies.rows]);
        }
        if operand.terms.iter().all(|(_, m)| m.entries() == 0) {
            return Err(IntegerError::Constant(self.origin(id)));
        }
        let known = Constants::of(&operand, &function);
        if let Some(known) = &known {
            operand = known.others(&operand);
        }
        let len = operand.bias.len();
        let made = Pending::of(self.push_lookup(id, operand, function)?, len);
        Ok(known.map_or(made.clone(), |known| known.put_in(&made)))
    }

    /// A value of lookups: its number.
    pub(super) fn push_lookup(
        &mut self,
        id: NodeId,
        operand: Pending,
        function: Scalar,
    ) -> Result<usize, IntegerError> {
        let len = operand.bias.len();
        self.afford(id, len)?;
        let origin = self.origin(id);
        self.network.values.push(Value {
            kind: Kind::Lookup { operand, function },
            len,
            copies: 1,
            grid: None,
            levels: None,
            is_comparison: false,
            origin,
        });
        Ok(self.network.values.len() - 1)
    }

    /// The larger of two elements each, or the smaller.
    fn larger(
        &mut self,
        id: NodeId,
        (x, y): (&Pending, &Pending),
        smaller: bool,
    ) -> Result<Pending, IntegerError> {
        let count = x.bias.len();
        let place = |from: usize| {
            let sources = (0..2 * count).map(move |i| i.checked_sub(from).filter(|i| *i < count));
            selection(sources, count)
        };
        let zeros = vec![0.0; 2 * count];
        let both = x.map(&place(0), &zeros).plus(&y.map(&place(count), &zeros));
        let windows = (0..count).map(|i| vec![i, count + i]).collect();
        self.largest(id, both, windows, smaller)
    }

    /// 1 above 0, else 0.
    pub(super) fn step(&mut self, id: NodeId, x: &Pending) -> Result<Pending, IntegerError> {
        self.lookup(id, x, Scalar::function(Function::Step))
    }

    /// `a b = ((r a + b)^2 - (r a - b)^2) / (4 r)`, where r makes both summands equally large.
    fn product(
        &mut self,
        id: NodeId,
        a: &Pending,
        b: &Pending,
        (bound_a, bound_b): (f64, f64),
    ) -> Result<Pending, IntegerError> {
        let ratio = bound_b / bound_a;
        let a = a.scaled(ratio);
        let sum = self.lookup(id, &a.plus(b), Scalar::power(2))?;
        let difference = self.lookup(id, &a.plus(&b.scaled(-1.0)), Scalar::power(2))?;
        let quarter = 0.25 / ratio;
        Ok(sum.scaled(quarter).plus(&difference.scaled(-quarter)))
    }
}

/// A selection of elements without its factor.
pub(super) fn selected(copies: &Matrix) -> Matrix {
    let mut copies = copies.clone();
    copies.values.iter_mut().for_each(|v| *v = 1.0);
    copies
}

/// `1 - x`.
pub(super) fn complement(x: &Pending) -> Pending {
    let mut result = x.scaled(-1.0);
    result.bias.iter_mut().for_each(|b| *b += 1.0);
    result
}

/// An affine map from rows of (column, factor) and a bias.
pub(super) fn rows(columns: usize, rows: impl Iterator<Item = Vec<(usize, f64)>>) -> Arc<Matrix> {
    let mut builder = sparse::RowBuilder::new(columns);
    for row in rows {
        row.iter().for_each(|(c, f)| builder.push(*c, *f));
        builder.end_row();
    }
    Arc::new(builder.finish())
}
