//! Functions and the polynomials that stand for them: sampled for the report, and drawn over their domains.

use super::ApproximationReport;
use super::page::{MOST_ROWS, escape, more};
use super::plot::{Curve, Panel, key, open, range_of};
use cipherloom_ir::plan::PlanApproximation;
use std::fmt::{Result, Write};

/// Intervals between the points of a curve, at least and at most; some for each wave of the error.
const INTERVALS: (u32, u32) = (200, 600);
/// Height of a drawing.
const HEIGHT: f64 = 302.0;

/// A function and its polynomial at points of the domain, its ends included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampled {
    /// The points, ascending.
    pub x: Vec<f64>,
    /// The function's values.
    pub function: Vec<f64>,
    /// The polynomial's values.
    pub polynomial: Vec<f64>,
}

/// Samples an approximation; nothing where the plan does not keep its polynomial.
pub(super) fn sample(a: &PlanApproximation) -> Sampled {
    let mut sampled = Sampled::default();
    let Some(function) = a.exact() else {
        return sampled;
    };
    let (least, most) = INTERVALS;
    let intervals = a.degree.saturating_mul(4).clamp(least, most);
    let width = a.domain.hi - a.domain.lo;
    for i in 0..=intervals {
        let x = a.domain.lo + width * (f64::from(i) / f64::from(intervals));
        if let Some(polynomial) = a.polynomial(x) {
            sampled.x.push(x);
            sampled.function.push(function.eval(x));
            sampled.polynomial.push(polynomial);
        }
    }
    sampled
}

/// A drawing for each approximation.
pub(super) fn render(fits: &[ApproximationReport], out: &mut String) -> Result {
    writeln!(
        out,
        "<p>{}{}{}</p>\n<div class=\"plots\">",
        key("a", "the function"),
        key("b", "its polynomial; below, polynomial less function"),
        key("seen", "the operand’s range; beside it, the margin")
    )?;
    for fit in fits.iter().take(MOST_ROWS) {
        writeln!(out, "<figure><figcaption>")?;
        caption(fit, out)?;
        writeln!(out, "</figcaption>")?;
        if fit.sampled.x.is_empty() {
            writeln!(
                out,
                "<p class=\"dim\">The plan does not hold this polynomial: compile the model again to see it.</p>"
            )?;
        } else {
            draw(fit, out)?;
        }
        writeln!(out, "</figure>")?;
    }
    writeln!(out, "</div>")?;
    more(fits.len(), out)
}

/// What there is to say of an approximation.
fn caption(fit: &ApproximationReport, out: &mut String) -> Result {
    write!(
        out,
        "<b>{}</b><br/>{}{}, degree {} on [{:.4}, {:.4}]",
        escape(&fit.layer),
        escape(&fit.function),
        parameters(fit),
        fit.degree,
        fit.domain[0],
        fit.domain[1]
    )?;
    if let Some([lo, hi]) = fit.seen {
        write!(out, ", for operands in [{lo:.4}, {hi:.4}]")?;
    }
    write!(
        out,
        "<br/>error at most {:.1e}{}",
        fit.sup_error,
        fit.rms_error.map_or_else(
            || ", no samples".into(),
            |e| format!(", mean square {:.1e} on the samples (root {e:.1e})", e * e)
        )
    )?;
    if let Some(zone) = fit.dead_zone {
        write!(out, "; undecided within {zone:.1e} of 0")?;
    }
    writeln!(out)
}

/// The formula, and the values of its parameters.
fn parameters(fit: &ApproximationReport) -> String {
    let named = fit.parameters.iter();
    let named = named.map(|(name, value)| format!(", {name} = {value}"));
    let formula = fit.formula.map_or_else(String::new, |f| format!(": {f}"));
    escape(&(formula + &named.collect::<String>()))
}

/// Function and polynomial above, their difference below.
fn draw(fit: &ApproximationReport, out: &mut String) -> Result {
    let Sampled {
        x,
        function,
        polynomial,
    } = &fit.sampled;
    let curve = |class, values: &[f64]| -> Curve<'_> {
        (class, x.iter().zip(values).map(|(x, y)| [*x, *y]).collect())
    };
    let above = Panel {
        x: fit.domain,
        y: range_of(function.iter().chain(polynomial).copied()),
        rows: [6.0, 186.0],
    };
    // Within a dead zone the error is far beyond the stated one.
    let bound = 1.1 * fit.sup_error.max(1e-300);
    let below = Panel {
        y: [-bound, bound],
        x: fit.domain,
        rows: [202.0, 282.0],
    };
    let decided = |x: f64, e: f64| match fit.dead_zone {
        Some(zone) if x.abs() < zone => f64::NAN,
        _ => e,
    };
    let pairs = x.iter().zip(function).zip(polynomial);
    let errors: Vec<f64> = pairs.map(|((x, f), p)| decided(*x, p - f)).collect();
    open(
        &format!("{} and its polynomial, {}", fit.function, fit.layer),
        HEIGHT,
        "fit",
        out,
    )?;
    for panel in [&above, &below] {
        if let Some(seen) = fit.seen {
            panel.band("seen", seen.map(|v| v.clamp(x[0], x[x.len() - 1])), out)?;
        }
    }
    above.axes(5, false, out)?;
    below.axes(5, true, out)?;
    above.curve(&curve("a", function), out)?;
    above.curve(&curve("b", polynomial), out)?;
    below.curve(&curve("error", &errors), out)?;
    writeln!(out, "</svg>")
}
