//! What a lookup computes: a function of one number, put together from the functions that follow each other.

use cipherloom_ir::tensor::Function;

/// One of the functions that a lookup computes one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// A function of the tensor stage.
    Function(Function),
    /// A polynomial: coefficients of 1, x, x^2, ...
    Polynomial(Vec<f64>),
    /// The element of a table at the nearest whole number.
    Table(Vec<f64>),
}

impl Part {
    fn eval(&self, x: f64) -> f64 {
        match self {
            Part::Function(function) => function.eval(x),
            Part::Polynomial(coefficients) => {
                coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
            }
            Part::Table(table) => {
                // A conversion saturates.
                let at = libm::round(x) as usize;
                let last = table.last().copied().unwrap_or(0.0);
                table.get(at).copied().unwrap_or(last)
            }
        }
    }

    fn name(&self) -> &str {
        match self {
            Part::Function(function) => function.name(),
            Part::Polynomial(coefficients) => match coefficients.as_slice() {
                [0.0, 0.0, 1.0] => "square",
                [_, _] => "scale",
                _ => "polynomial",
            },
            Part::Table(_) => "labels",
        }
    }
}

/// `min(max(round(x) + shift, lo), hi)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rounding {
    pub(super) shift: f64,
    pub(super) lo: f64,
    pub(super) hi: f64,
}

/// A function of one number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar(Vec<Part>);

impl Scalar {
    pub(super) fn of(part: Part) -> Self {
        Self(vec![part])
    }

    pub(super) fn function(function: Function) -> Self {
        Self::of(Part::Function(function))
    }

    /// The number itself.
    pub(super) fn identity() -> Self {
        Self(vec![])
    }

    pub(super) fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// `x^exponent`.
    pub(super) fn power(exponent: u32) -> Self {
        let mut coefficients = vec![0.0; exponent as usize];
        coefficients.push(1.0);
        Self::of(Part::Polynomial(coefficients))
    }

    /// This function, then `factor x + shift`, then the other.
    pub(super) fn then(&self, factor: f64, shift: f64, next: &Self) -> Self {
        let mut parts = self.0.clone();
        if (factor, shift) != (1.0, 0.0) {
            parts.push(Part::Polynomial(vec![shift, factor]));
        }
        parts.extend(next.0.iter().cloned());
        Self(parts)
    }

    /// The value; NaN or infinite where there is none.
    pub(super) fn eval(&self, x: f64) -> f64 {
        self.0.iter().fold(x, |x, part| part.eval(x))
    }

    /// Whether it is rounding to whole numbers from one to another.
    pub(super) fn as_rounding(&self) -> Option<Rounding> {
        let (shift, (lo, hi)) = match self.0.as_slice() {
            [
                Part::Function(Function::Round),
                Part::Function(Function::Clip { lo, hi }),
            ] => (0.0, (*lo, *hi)),
            [
                Part::Function(Function::Round),
                Part::Polynomial(line),
                Part::Function(Function::Clip { lo, hi }),
            ] => match line.as_slice() {
                [shift, 1.0] => (*shift, (*lo, *hi)),
                _ => return None,
            },
            _ => return None,
        };
        Some(Rounding { shift, lo, hi })
    }

    /// Whether it keeps the order of all numbers that it has a value for.
    pub(super) fn is_increasing(&self) -> bool {
        let rises = |part: &Part| match part {
            Part::Function(function) => matches!(
                function,
                Function::Sqrt
                    | Function::Exp
                    | Function::Log
                    | Function::Sigmoid
                    | Function::LogSigmoid
                    | Function::Tanh
                    | Function::Softplus
            ),
            Part::Polynomial(line) => matches!(line.as_slice(), [_, slope] if *slope > 0.0),
            Part::Table(_) => false,
        };
        self.0.iter().all(rises)
    }

    /// Whether it is 1 above 0, else 0: what one sign tells.
    pub(super) fn is_step(&self) -> bool {
        self.0 == [Part::Function(Function::Step)]
    }

    /// Whether a larger argument never has a smaller value. A step is left out: sums of truth values are exact, those of arguments
    /// are not.
    pub(super) fn grows(&self) -> bool {
        let grows = |part: &Part| match part {
            Part::Function(function) => matches!(
                function,
                Function::Relu | Function::Sigmoid | Function::Tanh | Function::Clip { .. }
            ),
            Part::Polynomial(coefficients) => {
                matches!(coefficients.as_slice(), [_, slope] if *slope > 0.0)
            }
            Part::Table(_) => false,
        };
        self.0.iter().all(grows)
    }

    /// Whether it is the distance from 0.
    pub(super) fn is_distance(&self) -> bool {
        self.0 == [Part::Function(Function::Abs)]
    }

    /// Whether it is -1 below 0, 0 at 0 and 1 above.
    pub(super) fn is_sign(&self) -> bool {
        self.0 == [Part::Function(Function::Sign)]
    }

    /// The names of its parts, for people.
    pub(super) fn name(&self) -> String {
        if self.is_identity() {
            return "same".to_owned();
        }
        let names: Vec<&str> = self.0.iter().map(Part::name).collect();
        names.join("+")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other() {
        let relu = Scalar::function(Function::Relu);
        let both = relu.then(2.0, -1.0, &Scalar::power(2));
        for x in [-3.0, 0.0, 0.25, 2.0] {
            let y = 2.0 * f64::max(x, 0.0) - 1.0;
            assert_eq!(both.eval(x), y * y);
        }
        assert_eq!(both.name(), "relu+scale+square");
        assert!(!both.grows() && relu.then(2.0, -1.0, &relu).grows());
        assert!(!relu.then(-2.0, 1.0, &relu).grows());
        assert!(!Scalar::function(Function::Step).grows());
        assert!(!both.is_step() && Scalar::function(Function::Step).is_step());
        let labels = Scalar::of(Part::Table(vec![7.0, 9.0]));
        let found: Vec<f64> = [-1.0, 0.4, 0.6, 5.0].map(|x| labels.eval(x)).to_vec();
        assert_eq!(found, [7.0, 7.0, 9.0, 9.0]);
        let clip = Scalar::function(Function::Clip { lo: 0.0, hi: 255.0 });
        let round = Scalar::function(Function::Round);
        let rounding = |shift| Rounding {
            shift,
            lo: 0.0,
            hi: 255.0,
        };
        assert_eq!(
            round.then(1.0, 0.0, &clip).as_rounding(),
            Some(rounding(0.0))
        );
        assert_eq!(
            round.then(1.0, 3.0, &clip).as_rounding(),
            Some(rounding(3.0))
        );
        assert_eq!(round.then(2.0, 3.0, &clip).as_rounding(), None);
        assert_eq!(both.as_rounding(), None);
        let root = Scalar::function(Function::Sqrt);
        assert!(root.is_increasing() && !both.is_increasing());
        let exp = Scalar::function(Function::Exp);
        assert!(root.then(2.0, 1.0, &exp).is_increasing());
        assert!(!root.then(-2.0, 1.0, &exp).is_increasing());
    }
}
