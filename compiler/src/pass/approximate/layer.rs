//! One function of the network, and its fits.

use crate::approx::{Density, Method, Series, Structure, degree_of_depth, fit, structure};
use cipherloom_ir::tensor::Function;
use cipherloom_ir::{NodeId, Origin, Range};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The weight of least squares where no value was seen, relative to the largest density.
const FLOOR: f64 = 1e-3;
/// Values from which a density is told.
const ENOUGH: f64 = 1000.0;
/// Highest coefficients are dropped while together they stay below this part of the error that there is anyway.
const NEGLIGIBLE: f64 = 0.01;
/// Errors below this part of the function's largest value are rounding: what makes them is dropped.
const ROUNDING: f64 = 1e-13;

/// How a layer is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Weighted least squares where there is a density, else minimax.
    LeastSquares,
    /// Near minimax.
    Minimax,
}

/// A polynomial for a layer.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) series: Arc<Series>,
    /// The largest error over the domain.
    pub(super) sup_error: f64,
}

/// A function of the network.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) node: NodeId,
    pub(super) function: Function,
    pub(super) origin: Origin,
    /// Without margin.
    pub(super) seen: Range,
    pub(super) domain: Range,
    pub(super) density: Option<Density>,
    structure: Structure,
    fits: BTreeMap<(u32, Kind), Option<Fitted>>,
}

impl Layer {
    pub(super) fn new(
        node: NodeId,
        function: Function,
        origin: Origin,
        seen: Range,
        domain: Range,
    ) -> Self {
        Self {
            structure: structure(&|x| function.eval(x), domain),
            node,
            function,
            origin,
            seen,
            domain,
            density: None,
            fits: BTreeMap::new(),
        }
    }

    /// The largest absolute value of the function over the domain.
    pub(super) fn largest(&self) -> f64 {
        let at = |i: i32| {
            let x = self.domain.lo + (self.domain.hi - self.domain.lo) * f64::from(i) / 256.0;
            self.function.eval(x).abs()
        };
        (0..=256).map(at).fold(0.0, f64::max)
    }

    /// The best polynomial that takes at most so many levels; `None` where the function is not finite on its domain.
    pub(super) fn fit(&mut self, depth: u32, kind: Kind) -> Option<Fitted> {
        let enough = self.density.as_ref().is_some_and(|d| d.count() >= ENOUGH);
        let kind = if enough { kind } else { Kind::Minimax };
        if let Some(known) = self.fits.get(&(depth, kind)) {
            return known.clone();
        }
        let found = self.compute(depth, kind);
        self.fits.insert((depth, kind), found.clone());
        found
    }

    /// Near minimax, the lowest degree above those of fewer levels whose largest error is at most `bound`.
    pub(super) fn least(&self, depth: u32, bound: f64) -> Option<Fitted> {
        let degree = |depth: u32| degree_of_depth(self.structure, depth);
        let (mut low, mut high) = (degree(depth.saturating_sub(1)) + 1, degree(depth));
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.of_degree(middle, Kind::Minimax) {
                Some(fit) if fit.sup_error <= bound => {
                    found = Some(fit);
                    high = middle;
                }
                _ => low = middle + 1,
            }
        }
        found
    }

    fn compute(&self, depth: u32, kind: Kind) -> Option<Fitted> {
        self.of_degree(degree_of_depth(self.structure, depth), kind)
    }

    fn of_degree(&self, degree: usize, kind: Kind) -> Option<Fitted> {
        let f = |x: f64| self.function.eval(x);
        let by = |method| fit(&f, self.domain, degree, method);
        let squares = || match (&self.density, kind) {
            (Some(density), Kind::LeastSquares) => by(Method::LeastSquares {
                density,
                floor: FLOOR,
            }),
            _ => None,
        };
        let found = squares()
            .or_else(|| by(Method::Minimax))
            .or_else(|| by(Method::Interpolation))?;
        let spare = (NEGLIGIBLE * found.sup_error).max(ROUNDING * self.largest());
        let series = found.series.trimmed(spare);
        let sup_error = series.sup_error(&f);
        Some(Fitted {
            series: Arc::new(series),
            sup_error,
        })
    }

    /// The root of the mean square error over the values that were seen; 0 where none was.
    pub(super) fn rms_error(&self, series: &Series) -> f64 {
        let error = |x: f64| self.function.eval(x) - series.eval(x);
        self.density.as_ref().map_or(0.0, |d| d.rms(&error))
    }
}
