//! Inputs that the network itself rounds to a grid, as quantised models do: the client rounds them, and no bootstrap does.

use super::network::{Kind, Network};
use super::scalar::Rounding;
use crate::lower::network::pending::Pending;
use crate::lower::sparse::{self, as_scaled_identity};
use std::sync::Arc;

/// Steps of a grid, at most: 16 bits.
const MOST_STEPS: f64 = 65535.0;

/// The numbers that an input is rounded to: whole multiples of a unit, from one to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) unit: f64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Grid {
    /// The nearest of the numbers.
    pub(super) fn nearest(&self, x: f64) -> f64 {
        libm::rint(x / self.unit).clamp(self.from, self.to) * self.unit
    }
}

impl Network {
    /// The network whose inputs have the grids that it rounds them to.
    pub(super) fn with_own_grids(&self) -> Self {
        let mut network = self.clone();
        for value in 0..network.values.len() {
            if let Some((input, factor, rounding)) = network.rounded_input(value) {
                network.values[input].grid = Some(Grid {
                    unit: 1.0 / factor,
                    from: rounding.lo - rounding.shift,
                    to: rounding.hi - rounding.shift,
                });
                network.replace(value, input, (factor, rounding.shift));
            }
        }
        network
    }

    /// The input that a lookup rounds, if nothing else reads it: its number, the factor in front, and how it is rounded. Lookups of
    /// levels stay, since what reads them takes whole levels.
    fn rounded_input(&self, value: usize) -> Option<(usize, f64, Rounding)> {
        let live = self.live();
        let found = self.values.get(value).filter(|_| live[value])?;
        if found.is_levels() {
            return None;
        }
        let Kind::Lookup { operand, function } = &found.kind else {
            return None;
        };
        let rounding = function.as_rounding()?;
        let [(input, matrix)] = operand.terms.as_slice() else {
            return None;
        };
        let factor = as_scaled_identity(matrix).filter(|f| *f > 0.0)?;
        let steps = rounding.hi - rounding.lo;
        let whole = |x: f64| x == libm::rint(x);
        let fits = (1.0..=MOST_STEPS).contains(&steps)
            && whole(rounding.lo - rounding.shift)
            && whole(steps)
            && operand.bias.iter().all(|b| *b == 0.0);
        let is_input = matches!(self.values[*input].kind, Kind::Input(_));
        let reads = |pending: &Pending| pending.terms.iter().any(|(v, _)| v == input);
        let others = self.values.iter().enumerate().any(|(v, other)| {
            let reads = matches!(&other.kind, Kind::Lookup { operand, .. } if reads(operand));
            live[v] && v != value && reads
        });
        let free = !others && !self.outputs.iter().any(|o| reads(&o.value));
        (fits && is_input && free).then_some((*input, factor, rounding))
    }

    /// Reads `factor x + shift` of an input instead of a value.
    fn replace(&mut self, value: usize, input: usize, (factor, shift): (f64, f64)) {
        let outputs = self.outputs.iter_mut().map(|o| &mut o.value);
        let operands = self.values.iter_mut().filter_map(|v| match &mut v.kind {
            Kind::Lookup { operand, .. } => Some(operand),
            Kind::Input(_) => None,
        });
        for pending in outputs.chain(operands) {
            let Some(place) = pending.terms.iter().position(|(v, _)| *v == value) else {
                continue;
            };
            let (_, matrix) = pending.terms.remove(place);
            let shifts = sparse::apply(&matrix, &vec![shift; matrix.cols]);
            let mut moved = pending.clone();
            moved.bias.iter_mut().zip(shifts).for_each(|(b, s)| *b += s);
            let own = Pending {
                terms: vec![(input, Arc::new(sparse::scale(&matrix, factor)))],
                bias: vec![0.0; matrix.rows],
                name: String::new(),
            };
            *pending = moved.plus(&own);
        }
    }
}
