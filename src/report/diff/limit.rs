//! What is compared, and how much worse it may become.

use std::fmt;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Expected milliseconds of one run on one thread.
    Latency,
    /// The highest level.
    Levels,
    /// The logarithm of the ring degree.
    Ring,
    /// Rotations of one run.
    Rotations,
    /// Products of ciphertexts in one run.
    Products,
    /// Rotation keys.
    RotationKeys,
    /// Bytes of the evaluation keys.
    Keys,
    /// Bytes at the peak of a run.
    Memory,
    /// Bytes of the plan.
    Plan,
    /// Bytes of all inputs and outputs of one run.
    Ciphertexts,
    /// Bits of the largest expected noise below the largest value, of the least precise output.
    Precision,
    /// The largest error of a polynomial in place of a function.
    ApproximationError,
}

impl Quantity {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Latency,
        Self::Precision,
        Self::ApproximationError,
        Self::Ring,
        Self::Levels,
        Self::Rotations,
        Self::Products,
        Self::RotationKeys,
        Self::Keys,
        Self::Memory,
        Self::Plan,
        Self::Ciphertexts,
    ];

    /// The name in limits and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Levels => "levels",
            Self::Ring => "ring",
            Self::Rotations => "rotations",
            Self::Products => "products",
            Self::RotationKeys => "rotation-keys",
            Self::Keys => "keys",
            Self::Memory => "memory",
            Self::Plan => "plan",
            Self::Ciphertexts => "ciphertexts",
            Self::Precision => "precision",
            Self::ApproximationError => "approximation-error",
        }
    }

    /// The unit; empty for numbers.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Latency => "ms",
            Self::Precision => "bits",
            Self::Keys | Self::Memory | Self::Plan | Self::Ciphertexts => "bytes",
            Self::Ring => "log2 N",
            _ => "",
        }
    }

    /// By how much the new value is worse, in the quantity's unit; below 0 where it is better.
    pub(super) fn worse(self, old: Option<f64>, new: Option<f64>) -> f64 {
        // No noise is the best precision, and no approximation has no error.
        let value = |v: Option<f64>| match self {
            Self::Precision => -v.unwrap_or(f64::INFINITY),
            _ => v.unwrap_or(0.0),
        };
        let (old, new) = (value(old), value(new));
        if old == new { 0.0 } else { new - old }
    }
}

/// How much worse a quantity may become: `latency=10%`, `precision=0.5`, `levels=0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub(super) quantity: Quantity,
    pub(super) amount: f64,
    pub(super) percent: bool,
}

impl std::str::FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = "a limit is written QUANTITY=AMOUNT or QUANTITY=AMOUNT%";
        let (name, amount) = text.split_once('=').ok_or(shape)?;
        let known = Quantity::ALL.into_iter();
        let quantity = known.clone().find(|q| q.name() == name).ok_or_else(|| {
            let names: Vec<&str> = known.map(Quantity::name).collect();
            format!(
                "there is no quantity {name:?}; there are {}",
                names.join(", ")
            )
        })?;
        let (amount, percent) = match amount.strip_suffix('%') {
            Some(amount) => (amount, true),
            None => (amount, false),
        };
        let found = amount.trim().parse::<f64>().ok();
        let amount = found.filter(|a| (0.0..1e18).contains(a));
        Ok(Self {
            quantity,
            amount: amount.ok_or(format!("{text:?} has no amount from 0 up; {shape}"))?,
            percent,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = if self.percent { "%" } else { "" };
        write!(f, "{}={}{percent}", self.quantity.name(), self.amount)
    }
}
