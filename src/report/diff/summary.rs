//! What is compared of a plan.

use super::super::Report;
use super::Quantity;
use serde::Deserialize;

/// The part of an `explain` report that is compared; reads what `explain --format json` prints.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Summary {
    pub(super) name: String,
    pub(super) plan_id: String,
    pub(super) parameters: Parameters,
    pub(super) security: Security,
    pub(super) cost: Cost,
    pub(super) outputs: Vec<Output>,
    pub(super) approximations: Vec<Approximation>,
    pub(super) layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Parameters {
    pub(super) log_n: u32,
    pub(super) levels: u32,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Security {
    pub(super) target: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Cost {
    pub(super) latency_s: f64,
    pub(super) eval_key_bytes: u64,
    pub(super) rotation_keys: u64,
    pub(super) run_bytes: u64,
    pub(super) plan_bytes: u64,
    pub(super) input_bytes: u64,
    pub(super) output_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Output {
    pub(super) precision_bits: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Approximation {
    pub(super) layer: String,
    pub(super) function: String,
    pub(super) degree: u32,
    pub(super) sup_error: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Layer {
    pub(super) layer: String,
    pub(super) rotations: u64,
    pub(super) products: u64,
    pub(super) latency_s: f64,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Step {
    pub(super) level: u32,
}

impl Summary {
    /// The summary of a report.
    ///
    /// # Errors
    /// A report that its own text does not give back: a mistake of cipherloom.
    pub fn of(report: &Report) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(report)?)
    }

    /// Reads what `explain --format json` printed.
    ///
    /// # Errors
    /// Text that is no such report.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A quantity's value; `None` for the precision of outputs without noise, and the error where nothing is approximated.
    pub(super) fn value(&self, quantity: Quantity) -> Option<f64> {
        let sum = |of: fn(&Layer) -> u64| self.layers.iter().map(of).sum::<u64>() as f64;
        let c = &self.cost;
        let value = match quantity {
            Quantity::Latency => 1e3 * c.latency_s,
            Quantity::Levels => f64::from(self.parameters.levels),
            Quantity::Ring => f64::from(self.parameters.log_n),
            Quantity::Rotations => sum(|l| l.rotations),
            Quantity::Products => sum(|l| l.products),
            Quantity::RotationKeys => c.rotation_keys as f64,
            Quantity::Keys => c.eval_key_bytes as f64,
            Quantity::Memory => c.run_bytes as f64,
            Quantity::Plan => c.plan_bytes as f64,
            Quantity::Ciphertexts => c.input_bytes as f64 + c.output_bytes as f64,
            Quantity::Precision => {
                let known = self.outputs.iter().filter_map(|o| o.precision_bits);
                return known.reduce(f64::min);
            }
            Quantity::ApproximationError => {
                let errors = self.approximations.iter().map(|a| a.sup_error);
                return errors.reduce(f64::max);
            }
        };
        Some(value)
    }
}
