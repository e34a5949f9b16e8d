//! What an approximation replaced and by which polynomials, so that a report can draw both.

use super::PlanApproximation;
use crate::tensor::{Function, chebyshev};
use crate::value::Range;

/// The polynomials of a composition, at most.
const MAX_STAGES: usize = 32;
/// The coefficients of all polynomials of an approximation, at most.
const MAX_COEFFICIENTS: usize = 1 << 12;

/// A function's parameters and the polynomials that stand for it. For people: nothing that runs reads it, and the plan's
/// id is the same without it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The function's parameters, in the order of [`Function::parameter_names`].
    pub parameters: Vec<f64>,
    /// The range of the operand without margin: of the calibration samples' values, or what intervals give.
    pub seen: Range,
    /// Chebyshev coefficients. The first polynomial is one over the approximation's domain; each further one, of a
    /// composition, over [-1, 1] takes the values of the one before.
    pub stages: Vec<Vec<f64>>,
}

impl PlanApproximation {
    /// The function; `None` without a fit, or where the name and the parameters give none.
    pub fn exact(&self) -> Option<Function> {
        let function = Function::new(&self.function, &self.fit.as_ref()?.parameters)?;
        function.check().is_ok().then_some(function)
    }

    /// The polynomial's value at `x`, also outside of the domain; `None` without a fit.
    pub fn polynomial(&self, x: f64) -> Option<f64> {
        let Range { lo, hi } = self.domain;
        let unit = (2.0 * x - lo - hi) / (hi - lo);
        let stages = self.fit.as_ref()?.stages.iter();
        Some(stages.fold(unit, |t, stage| chebyshev(stage, t)))
    }

    /// What is wrong with the fit.
    pub(super) fn faults(&self) -> Vec<String> {
        let Some(fit) = &self.fit else {
            return vec![];
        };
        let mut faults = Vec::new();
        if self.exact().is_none() {
            faults.push(format!(
                "{:?} of {} parameters is no function",
                self.function,
                fit.parameters.len()
            ));
        }
        for range in [self.domain, fit.seen] {
            if Range::new(range.lo, range.hi).is_none() {
                faults.push(format!("the range {range} is empty or not finite"));
            }
        }
        if self.domain.lo >= self.domain.hi {
            faults.push(format!("the domain {} has no width", self.domain));
        }
        let count: usize = fit.stages.iter().map(Vec::len).sum();
        if fit.stages.is_empty() || fit.stages.len() > MAX_STAGES || count > MAX_COEFFICIENTS {
            faults.push(format!(
                "{} polynomials of {count} coefficients; at least one, at most {MAX_STAGES} of {MAX_COEFFICIENTS}",
                fit.stages.len()
            ));
        }
        let sound = |s: &Vec<f64>| !s.is_empty() && s.iter().all(|c| c.is_finite());
        if !fit.stages.iter().all(sound) {
            faults.push("a polynomial has no coefficient, or one that is not finite".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn approximation(function: &str, fit: Fit) -> PlanApproximation {
        PlanApproximation {
            origin: "node".into(),
            function: function.into(),
            domain: Range { lo: -2.0, hi: 6.0 },
            degree: 1,
            sup_error: 0.0,
            rms_error: 0.0,
            dead_zone: 0.0,
            fit: Some(fit),
        }
    }

    fn fit(parameters: &[f64], stages: &[&[f64]]) -> Fit {
        Fit {
            parameters: parameters.to_vec(),
            seen: Range { lo: -1.0, hi: 1.0 },
            stages: stages.iter().map(|s| s.to_vec()).collect(),
        }
    }

    proptest! {
        /// A composition of powers of t, with t from -1 to 1 over the domain; T_2 = 2 t^2 - 1, T_3 = 4 t^3 - 3 t.
        #[test]
        fn polynomials_are_composed_over_the_domain(x in -3.0_f64..7.0, c in prop::array::uniform4(-2.0_f64..2.0)) {
            let a = approximation("relu", fit(&[], &[&c, &[0.5, 0.0, 0.5]]));
            let t = (x - 2.0) / 4.0;
            let first = c[0] + c[1] * t + c[2] * (2.0 * t * t - 1.0) + c[3] * (4.0 * t * t * t - 3.0 * t);
            let found = a.polynomial(x).unwrap();
            prop_assert!((found - first * first).abs() < 1e-10 * (1.0 + first * first), "{found} {first}");
        }
    }

    #[test]
    fn functions_are_those_of_name_and_parameters() {
        let leaky = approximation("leaky_relu", fit(&[0.25], &[&[1.0]]));
        assert_eq!(leaky.exact().map(|f| f.eval(-4.0)), Some(-1.0));
        assert_eq!(leaky.faults(), [""; 0]);
        let without = PlanApproximation { fit: None, ..leaky };
        assert_eq!((without.exact(), without.polynomial(0.0)), (None, None));
        assert_eq!(without.faults(), [""; 0]);
    }

    #[test]
    fn faults_are_named() {
        let message = |function: &str, fit: Fit| approximation(function, fit).faults().join("; ");
        for (found, part) in [
            (message("relu", fit(&[1.0], &[&[1.0]])), "is no function"),
            (message("celu", fit(&[0.0], &[&[1.0]])), "is no function"),
            (message("snail", fit(&[], &[&[1.0]])), "is no function"),
            (message("relu", fit(&[], &[])), "0 polynomials"),
            (message("relu", fit(&[], &[&[0.0; 4097]])), "4097 coeff"),
            (
                message("relu", fit(&[], &[&[1.0][..]; 33])),
                "33 polynomials",
            ),
            (message("relu", fit(&[], &[&[]])), "no coefficient"),
            (message("relu", fit(&[], &[&[f64::NAN]])), "not finite"),
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
        let mut flat = approximation("relu", fit(&[], &[&[1.0]]));
        flat.domain.hi = flat.domain.lo;
        assert!(flat.faults().join("").contains("no width"));
        let seen = Range {
            lo: 1.0,
            hi: f64::INFINITY,
        };
        let fit = Fit {
            seen,
            ..fit(&[], &[&[1.0]])
        };
        assert!(
            approximation("relu", fit).faults()[0].contains("not finite"),
            "an infinite range"
        );
    }
}
