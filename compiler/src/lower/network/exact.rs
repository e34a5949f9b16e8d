//! What polynomials stand for: the functions themselves, so that a network can be evaluated without approximations.

use cipherloom_ir::tensor::Function;
use cipherloom_ir::value::Range;

/// The function that a value approximates: `gain f(slope t + shift) + offset`, where t is the value's operand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exact {
    function: Function,
    slope: f64,
    shift: f64,
    gain: f64,
    offset: f64,
}

impl Exact {
    /// A function of `slope t + shift`.
    pub(crate) fn new(function: &Function, slope: f64, shift: f64) -> Self {
        Self {
            function: function.clone(),
            slope,
            shift,
            gain: 1.0,
            offset: 0.0,
        }
    }

    /// A function over a domain that t in [-1, 1] stands for.
    pub(crate) fn over(function: &Function, domain: Range) -> Self {
        let (half, middle) = (0.5 * (domain.hi - domain.lo), 0.5 * (domain.lo + domain.hi));
        Self::new(function, half, middle)
    }

    /// The value `v` for which the function is `a v + b`.
    pub(crate) fn solved(mut self, a: f64, b: f64) -> Self {
        self.gain /= a;
        self.offset = (self.offset - b) / a;
        self
    }

    /// The value at `t`.
    pub(crate) fn eval(&self, t: f64) -> f64 {
        self.gain * self.function.eval(self.slope * t + self.shift) + self.offset
    }

    /// Makes the value `f` times as large, and its operand `g` times.
    pub(crate) fn rescale(&mut self, f: f64, g: f64) {
        self.gain *= f;
        self.offset *= f;
        self.slope /= g;
    }
}
