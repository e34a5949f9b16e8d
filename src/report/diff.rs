//! What changed between two plans: the comparison that `cipherloom diff` prints.

use super::Report;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

/// The part of an `explain` report that is compared; reads what `explain --format json` prints.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Summary {
    name: String,
    plan_id: String,
    parameters: Parameters,
    security: Security,
    cost: Cost,
    outputs: Vec<Output>,
    approximations: Vec<Approximation>,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Parameters {
    log_n: u32,
    levels: u32,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Security {
    target: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Cost {
    latency_s: f64,
    eval_key_bytes: u64,
    rotation_keys: u64,
    run_bytes: u64,
    plan_bytes: u64,
    input_bytes: u64,
    output_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Output {
    precision_bits: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Approximation {
    layer: String,
    function: String,
    degree: u32,
    sup_error: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Layer {
    layer: String,
    rotations: u64,
    products: u64,
    latency_s: f64,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Step {
    level: u32,
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
    fn value(&self, quantity: Quantity) -> Option<f64> {
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
    fn worse(self, old: Option<f64>, new: Option<f64>) -> f64 {
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
    quantity: Quantity,
    amount: f64,
    percent: bool,
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

/// What changed, in the form of `diff --format json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// The plan before.
    pub old: Side,
    /// The plan after.
    pub new: Side,
    /// Whether it is the same plan, byte for byte.
    pub same_plan: bool,
    /// Every quantity.
    pub quantities: Vec<Change>,
    /// The polynomials that came, went or changed.
    pub approximations: Vec<ApproximationChange>,
    /// The layers that came, went or changed.
    pub layers: Vec<LayerChange>,
    /// The limits that are exceeded, in words.
    pub exceeded: Vec<String>,
}

/// One of two plans.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The model's name.
    pub name: String,
    /// The plan's id.
    pub plan_id: String,
    /// The security target.
    pub security: String,
}

/// A quantity before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub quantity: &'static str,
    /// Its unit; empty for numbers.
    pub unit: &'static str,
    /// Before.
    pub old: Option<f64>,
    /// After.
    pub new: Option<f64>,
    /// The difference over the old value; null where that is 0 or there is none.
    pub relative: Option<f64>,
}

/// A polynomial before and after; null where there was none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApproximationChange {
    /// The layer.
    pub layer: String,
    /// Function, degree and largest error before.
    pub old: Option<(String, u32, f64)>,
    /// The same after.
    pub new: Option<(String, u32, f64)>,
}

/// A layer before and after; null where there was none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerChange {
    /// The layer.
    pub layer: String,
    /// Before.
    pub old: Option<LayerSummary>,
    /// After.
    pub new: Option<LayerSummary>,
}

/// What a layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Its steps.
    pub steps: usize,
    /// The lowest level of its results.
    pub level: u32,
    /// Rotations.
    pub rotations: u64,
    /// Products of ciphertexts.
    pub products: u64,
    /// Expected seconds on one thread.
    pub latency_s: f64,
}

impl Diff {
    /// Compares two plans.
    pub fn new(old: &Summary, new: &Summary, limits: &[Limit]) -> Self {
        let changes = Quantity::ALL.map(|q| {
            let (old, new) = (old.value(q), new.value(q));
            let relative = old.zip(new).filter(|(old, _)| *old != 0.0);
            Change {
                quantity: q.name(),
                unit: q.unit(),
                old,
                new,
                relative: relative.map(|(old, new)| new / old - 1.0),
            }
        });
        let exceeded = limits.iter().filter_map(|limit| exceeds(*limit, old, new));
        Self {
            old: side(old),
            new: side(new),
            same_plan: old.plan_id == new.plan_id,
            quantities: changes.into(),
            approximations: changed(&approximations(old), &approximations(new))
                .map(|(layer, old, new)| ApproximationChange { layer, old, new })
                .collect(),
            layers: changed(&layers(old), &layers(new))
                .map(|(layer, old, new)| LayerChange { layer, old, new })
                .collect(),
            exceeded: exceeded.collect(),
        }
    }

    /// The comparison as text for a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.render(&mut out);
        out
    }

    fn render(&self, out: &mut String) -> fmt::Result {
        let Side {
            name,
            plan_id,
            security,
        } = &self.old;
        writeln!(out, "old  {name} · plan {plan_id} · {security}")?;
        let Side {
            name,
            plan_id,
            security,
        } = &self.new;
        writeln!(out, "new  {name} · plan {plan_id} · {security}")?;
        if self.same_plan {
            writeln!(out, "the same plan")?;
        }
        writeln!(out, "\n{:<28}{:>16}{:>16}   change", "", "old", "new")?;
        for c in &self.quantities {
            let unit = if c.unit.is_empty() {
                String::new()
            } else {
                format!(" ({})", c.unit)
            };
            let title = format!("{}{unit}", c.quantity);
            let change = match c.relative {
                _ if c.old == c.new => "-".into(),
                Some(relative) => format!("{:+.1} %", 100.0 * relative),
                None => "changed".into(),
            };
            writeln!(
                out,
                "{title:<28}{:>16}{:>16}   {change}",
                figure(c.old),
                figure(c.new)
            )?;
        }
        for a in &self.approximations {
            let shown = |v: &Option<(String, u32, f64)>| match v {
                Some((function, degree, error)) => {
                    format!("{function}, degree {degree}, errs by {error:.1e}")
                }
                None => "none".into(),
            };
            writeln!(
                out,
                "polynomial  {}: {} -> {}",
                a.layer,
                shown(&a.old),
                shown(&a.new)
            )?;
        }
        for l in &self.layers {
            let shown = |v: &Option<LayerSummary>| match v {
                Some(s) => format!(
                    "{} steps down to level {}, {} rotations, {} products, {:.3} ms",
                    s.steps,
                    s.level,
                    s.rotations,
                    s.products,
                    1e3 * s.latency_s
                ),
                None => "none".into(),
            };
            writeln!(
                out,
                "layer  {}\n    old  {}\n    new  {}",
                l.layer,
                shown(&l.old),
                shown(&l.new)
            )?;
        }
        for limit in &self.exceeded {
            writeln!(out, "limit exceeded: {limit}")?;
        }
        Ok(())
    }
}

fn side(summary: &Summary) -> Side {
    Side {
        name: summary.name.clone(),
        plan_id: summary.plan_id.clone(),
        security: summary.security.target.clone(),
    }
}

/// In words, how a limit is exceeded.
fn exceeds(limit: Limit, old: &Summary, new: &Summary) -> Option<String> {
    let q = limit.quantity;
    let (before, after) = (old.value(q), new.value(q));
    let worse = q.worse(before, after);
    let allowed = match limit.percent {
        true => limit.amount / 100.0 * before.unwrap_or(0.0).abs(),
        false => limit.amount,
    };
    // The last bits of a sum are no change.
    let tolerance = 1e-9 * before.unwrap_or(0.0).abs();
    (worse > allowed + tolerance).then(|| {
        format!(
            "{limit}: {} was {}, now {}",
            q.name(),
            figure(before),
            figure(after)
        )
    })
}

/// A number for people.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(v) if v.fract() == 0.0 && v.abs() < 1e15 => format!("{v}"),
        Some(v) if v.abs() < 0.01 => format!("{v:.2e}"),
        Some(v) => format!("{v:.3}"),
    }
}

/// Things by name; the second of one name is told apart by its number.
type Named<T> = Vec<((String, usize), T)>;

fn named<T>(items: impl Iterator<Item = (String, T)>) -> Named<T> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let number = |(name, item): (String, T)| {
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        ((name, *count), item)
    };
    items.map(number).collect()
}

fn layers(summary: &Summary) -> Named<LayerSummary> {
    let one = |l: &Layer| {
        let taken = LayerSummary {
            steps: l.steps.len(),
            level: l.steps.iter().map(|s| s.level).min().unwrap_or(0),
            rotations: l.rotations,
            products: l.products,
            latency_s: l.latency_s,
        };
        (l.layer.clone(), taken)
    };
    named(summary.layers.iter().map(one))
}

fn approximations(summary: &Summary) -> Named<(String, u32, f64)> {
    let one = |a: &Approximation| (a.layer.clone(), (a.function.clone(), a.degree, a.sup_error));
    named(summary.approximations.iter().map(one))
}

/// Those that came, went or changed: in the old order, then the new ones.
fn changed<T: Clone + PartialEq>(
    old: &Named<T>,
    new: &Named<T>,
) -> impl Iterator<Item = (String, Option<T>, Option<T>)> {
    let before: BTreeMap<_, _> = old.iter().cloned().collect();
    let after: BTreeMap<_, _> = new.iter().cloned().collect();
    let mut told = BTreeSet::new();
    let keys: Vec<_> = old.iter().chain(new).map(|(key, _)| key.clone()).collect();
    keys.into_iter().filter_map(move |key| {
        let (old, new) = (before.get(&key), after.get(&key));
        let tell = old != new && told.insert(key.clone());
        tell.then(|| (key.0, old.cloned(), new.cloned()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn summary() -> Summary {
        let layer = |name: &str, rotations| Layer {
            layer: name.into(),
            rotations,
            products: 1,
            latency_s: 0.25,
            steps: vec![Step { level: 2 }, Step { level: 1 }],
        };
        Summary {
            name: "m".into(),
            plan_id: "1".into(),
            parameters: Parameters {
                log_n: 13,
                levels: 3,
            },
            security: Security {
                target: "classical 128".into(),
            },
            cost: Cost {
                latency_s: 0.5,
                eval_key_bytes: 1000,
                rotation_keys: 7,
                run_bytes: 4000,
                plan_bytes: 10,
                input_bytes: 5,
                output_bytes: 6,
            },
            outputs: vec![
                Output {
                    precision_bits: Some(14.0),
                },
                Output {
                    precision_bits: Some(12.5),
                },
            ],
            approximations: vec![],
            layers: vec![layer("a", 3), layer("b", 4), layer("a", 5)],
        }
    }

    #[test]
    fn limits_hold_to_the_last_bit_and_no_further() {
        let old = summary();
        let mut new = summary();
        new.cost.latency_s = 0.55;
        new.outputs[1].precision_bits = Some(12.0);
        new.layers[2].rotations = 6;
        let found = |limits: &[&str]| {
            let limits: Vec<Limit> = limits.iter().map(|l| l.parse().unwrap()).collect();
            Diff::new(&old, &new, &limits).exceeded
        };
        assert_eq!(
            found(&["latency=10%", "precision=0.5", "rotations=1", "keys=0"]),
            [""; 0]
        );
        assert_eq!(
            found(&["latency=9.9%", "precision=0.4", "rotations=0", "latency=49"]),
            [
                "latency=9.9%: latency was 500, now 550",
                "precision=0.4: precision was 12.500, now 12",
                "rotations=0: rotations was 12, now 13",
                "latency=49: latency was 500, now 550",
            ]
        );
        // What became better exceeds nothing.
        let back = Diff::new(
            &new,
            &old,
            &["latency=0".parse().unwrap(), "precision=0".parse().unwrap()],
        );
        assert_eq!(back.exceeded, [""; 0]);
        // Outputs without noise are the most precise.
        let mut exact = summary();
        exact.outputs.clear();
        let limit = ["precision=40".parse().unwrap()];
        assert_eq!(Diff::new(&exact, &old, &limit).exceeded.len(), 1);
        assert_eq!(Diff::new(&old, &exact, &limit).exceeded.len(), 0);
        for bad in [
            "latency",
            "speed=1",
            "latency=-1",
            "latency=x%",
            "latency=NaN",
            "latency=1e19",
        ] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_changed_is_told() {
        let old = summary();
        let same = Diff::new(&old, &old, &[]);
        assert!(same.same_plan && same.layers.is_empty() && same.approximations.is_empty());
        let mut new = summary();
        new.plan_id = "2".into();
        // The second layer of one name changes, one goes, one comes.
        new.layers[2].rotations = 9;
        new.layers.remove(1);
        new.layers.push(Layer {
            layer: "c".into(),
            ..old.layers[0].clone()
        });
        new.approximations.push(Approximation {
            layer: "c".into(),
            function: "relu".into(),
            degree: 7,
            sup_error: 0.01,
        });
        let diff = Diff::new(&old, &new, &[]);
        let told: Vec<_> = diff
            .layers
            .iter()
            .map(|l| (l.layer.as_str(), l.old.is_some(), l.new.is_some()))
            .collect();
        assert_eq!(
            told,
            [("b", true, false), ("a", true, true), ("c", false, true)]
        );
        assert_eq!(diff.layers[1].new.unwrap().rotations, 9);
        assert_eq!(diff.approximations[0].new, Some(("relu".into(), 7, 0.01)));
        let text = diff.text();
        assert!(
            text.contains("polynomial  c: none -> relu, degree 7, errs by 1.0e-2"),
            "{text}"
        );
    }
}
