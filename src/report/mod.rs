//! The explain report: what a plan costs and why, layer by layer.

mod build;
mod charts;
mod diff;
mod fits;
mod graph;
mod html;
mod integer;
mod integer_text;
mod page;
mod parts;
mod plot;
mod tables;
mod text;

pub use build::name;
use build::tail_of;
pub use diff::{
    ApproximationChange, Change, Diff, LayerChange, LayerSummary, Limit, Quantity, Side, Summary,
};
pub use fits::Sampled;
pub use graph::{GraphNode, GraphReport};
pub use html::html;
pub(crate) use integer::integer_seconds;
pub use integer::{
    FailureReport, IntegerCost, IntegerLayer, IntegerPortReport, IntegerReport, IntegerStep,
    SetReport,
};
pub use integer_text::{integer_html, integer_text};
pub use parts::{
    ApproximationReport, CostReport, LayerReport, ParameterReport, PortReport, Report,
    ResultReport, SecurityReport, StepReport, TailReport, ThreadLatency,
};
pub use tables::TableReport;
pub use text::text;

use crate::backend::AnyServerPlan;
use cipherloom_compiler::cost::CostModel;
use serde::Serialize;

/// Something said of a plan as a whole.
struct Fact {
    /// What it is about, in a word.
    label: &'static str,
    value: String,
}

impl Fact {
    fn new(label: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        Self { label, value }
    }
}

/// The report of a plan of either backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyReport {
    /// Of the CKKS backend.
    Ckks(Box<Report>),
    /// Of the TFHE backend.
    Tfhe(Box<IntegerReport>),
}

impl AnyReport {
    /// The report of a plan; `plan_bytes` is the size of its file, or zero. The costs are of CKKS.
    pub fn new(plan: &AnyServerPlan, plan_bytes: u64, costs: &CostModel) -> Self {
        match plan {
            AnyServerPlan::Ckks(plan) => {
                let report = Report::with_costs(plan.plan(), plan.id(), plan_bytes, costs);
                Self::Ckks(Box::new(report))
            }
            #[cfg(feature = "tfhe")]
            AnyServerPlan::Tfhe(plan) => {
                let report = IntegerReport::new(plan.plan(), plan.id(), plan_bytes);
                Self::Tfhe(Box::new(report))
            }
        }
    }

    /// The report for a terminal.
    pub fn text(&self) -> String {
        match self {
            Self::Ckks(report) => text(report),
            Self::Tfhe(report) => integer_text(report),
        }
    }

    /// The report as a page that needs no other file.
    pub fn html(&self) -> String {
        match self {
            Self::Ckks(report) => html(report),
            Self::Tfhe(report) => integer_html(report),
        }
    }
}

/// The largest absolute value that is expected of so many independent Gaussian errors of the given variance:
/// sigma * sqrt(2 ln(count)), and sigma where that is less.
pub fn expected_maximum(variance: f64, count: usize) -> f64 {
    variance.sqrt() * (2.0 * (count.max(1) as f64).ln()).sqrt().max(1.0)
}

/// -log2 of an error over the largest value; `None` where there is no error or no value.
pub fn error_bits(error: f64, largest: f64) -> Option<f64> {
    let bits = -(error / largest).log2();
    (error > 0.0 && largest > 0.0 && bits.is_finite()).then_some(bits)
}

/// A number of bytes for people.
pub fn human_bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_for_people() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1_540), "1.5 kB");
        assert_eq!(human_bytes(60_000_000), "60.0 MB");
        assert_eq!(human_bytes(u64::MAX), "18446744.1 TB");
    }

    #[test]
    fn no_error_has_no_bits() {
        assert_eq!(error_bits(0.0, 1.0), None);
        assert_eq!(error_bits(0.25, 1.0), Some(2.0));
        assert_eq!(error_bits(f64::NAN, 1.0), None);
        assert_eq!(expected_maximum(4.0, 1), 2.0);
        assert!((expected_maximum(1.0, 10) - 2.1459).abs() < 1e-3);
    }
}
