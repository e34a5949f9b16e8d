//! What changed between two plans: the comparison that `cipherloom diff` prints.

mod limit;
mod summary;
#[cfg(test)]
mod tests;

pub use limit::{Limit, Quantity};
pub use summary::Summary;

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use summary::{Approximation, Layer};

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
