//! The range of a function over an interval.

use super::{Function, Pole};
use crate::value::Range;

impl Pole {
    /// Whether an interval holds a point without a value.
    pub fn lies_in(self, interval: Range) -> bool {
        match self {
            Pole::Negative => interval.lo < 0.0,
            Pole::NonPositive => interval.lo <= 0.0,
            Pole::Zero => interval.contains(0.0),
        }
    }
}

impl Function {
    /// The smallest range that holds the function's values over an interval, up to rounding; `None` where the
    /// function has no value somewhere in it, or values that are not finite.
    ///
    /// Between the ends and the turning points every function is monotone.
    pub fn range_over(&self, interval: Range) -> Option<Range> {
        if self.pole().is_some_and(|pole| pole.lies_in(interval)) {
            return None;
        }
        let mut values = vec![self.eval(interval.lo), self.eval(interval.hi)];
        match *self {
            // Sine and cosine turn at multiples of half a circle, shifted.
            Function::Sin => turns(interval, 0.5, &mut values),
            Function::Cos => turns(interval, 0.0, &mut values),
            Function::ThresholdedRelu { alpha } if interval.contains(alpha) => {
                // The values on both sides of the jump.
                values.push(0.0);
                if alpha < interval.hi {
                    values.push(alpha);
                }
            }
            _ => {}
        }
        let inside = self.turning_points().into_iter();
        values.extend(
            inside
                .filter(|p| interval.contains(*p))
                .map(|p| self.eval(p)),
        );
        Range::of(values)
    }

    /// Where the function may change from falling to rising or back (sine and cosine aside, which do so without end).
    fn turning_points(&self) -> Vec<f64> {
        match *self {
            // Below 0 a negative factor turns the branch round.
            Function::LeakyRelu { .. }
            | Function::Elu { .. }
            | Function::Selu { .. }
            | Function::Celu { .. }
            | Function::Abs
            | Function::Pow { .. } => vec![0.0],
            // Zeros of the derivatives, to double precision.
            Function::Silu => vec![-1.278_464_542_761_074],
            Function::HardSwish => vec![-3.0, -1.5, 3.0],
            Function::Gelu => vec![-0.751_791_524_693_564_5],
            Function::GeluTanh => vec![-0.752_461_422_074_384],
            Function::Mish => vec![-1.192_431_214_515_158],
            _ => vec![],
        }
    }
}

/// Adds 1 and -1 where `sin(x + shift)` or the like takes them: at `(k + offset) pi`, for even and odd `k`.
fn turns(interval: Range, offset: f64, values: &mut Vec<f64>) {
    for parity in 0..2 {
        // Turning points of one kind are a whole circle apart.
        let phase = offset + f64::from(parity);
        let circles = |x: f64| (x / std::f64::consts::PI - phase) / 2.0;
        if circles(interval.lo).ceil() <= circles(interval.hi).floor() {
            values.push(if parity == 0 { 1.0 } else { -1.0 });
        }
    }
}
