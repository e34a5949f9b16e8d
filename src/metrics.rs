//! How well results agree with the clear ones: decisions, errors, ranges.

use crate::report::error_bits;
use cipherloom_ir::plan::Plan;
use cipherloom_ir::tensor::{EvalError, Function, Module, Op, eval};
use cipherloom_ir::{NodeId, Range, Tensor, Tensors};
use std::collections::BTreeMap;

/// How an output becomes a decision. Where some outputs are numbers and others whole numbers (class labels), only the
/// numbers decide: labels follow from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The output's name.
    pub output: String,
    /// With one element: the threshold, 0.5 after a sigmoid, else 0.
    pub threshold: f64,
    /// Whether the output's one element is itself the class.
    pub label: bool,
}

impl Decision {
    /// The rules for a plan: those of its tail, or else of its clear network.
    pub fn of_plan(plan: &Plan) -> Vec<Self> {
        Self::of(plan.tail.as_ref().unwrap_or(&plan.clear))
    }

    /// The rule for each output of a network that decides, in order.
    pub fn of(module: &Module) -> Vec<Self> {
        let scores = module.outputs.iter().any(|o| o.dtype.is_float());
        let rule = |output: &cipherloom_ir::tensor::Output| {
            let mut node = output.node;
            while let Some(Op::Reshape) = module.graph.get(node).map(|n| &n.op) {
                let Some(operand) = module.graph.operands(node).first().copied() else {
                    break;
                };
                node = operand;
            }
            let sigmoid = matches!(
                module.graph.get(node).map(|n| &n.op),
                Some(Op::Function(Function::Sigmoid))
            );
            Self {
                output: output.name.clone(),
                threshold: if sigmoid { 0.5 } else { 0.0 },
                label: !scores,
            }
        };
        let decides = |o: &&cipherloom_ir::tensor::Output| o.dtype.is_float() || !scores;
        module.outputs.iter().filter(decides).map(rule).collect()
    }

    /// The class: the first largest element, or with one element whether it exceeds the threshold.
    pub fn class(&self, values: &[f64]) -> usize {
        if let ([value], true) = (values, self.label) {
            return value.round() as usize;
        }
        if let [value] = values {
            return usize::from(*value > self.threshold);
        }
        let mut best = (0, f64::NEG_INFINITY);
        for (i, value) in values.iter().enumerate() {
            if *value > best.1 {
                best = (i, *value);
            }
        }
        best.0
    }

    /// The class of a sample's results; `None` where the output is missing.
    pub fn of_sample(&self, outputs: &Tensors) -> Option<usize> {
        outputs
            .get(&self.output)
            .map(|tensor| self.class(tensor.data()))
    }
}

/// The results of one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The plan's outputs, as they are encrypted.
    pub encrypted: Tensors,
    /// The model's outputs: what the tail makes of them.
    pub finished: Tensors,
}

impl Results {
    /// The results that belong to a plan's outputs.
    ///
    /// # Errors
    /// A tail that cannot be computed of them.
    pub fn new(plan: &Plan, encrypted: Tensors) -> Result<Self, EvalError> {
        Self::of(plan.tail.as_ref(), encrypted)
    }

    /// The results that belong to encrypted outputs behind which there may be a tail.
    ///
    /// # Errors
    /// A tail that cannot be computed of them.
    pub fn of(tail: Option<&Module>, encrypted: Tensors) -> Result<Self, EvalError> {
        let finished = match tail {
            Some(tail) => eval(tail, &encrypted)?,
            None => encrypted.clone(),
        };
        Ok(Self {
            encrypted,
            finished,
        })
    }
}

/// Sums over samples of results beside the clear ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Samples.
    pub samples: usize,
    /// Samples whose decisions all equal the clear ones.
    pub agreeing: usize,
    /// Samples whose first decision equals the label.
    pub correct: usize,
    /// The largest absolute error.
    pub max_abs_error: f64,
    /// The largest absolute clear output.
    pub max_abs_clear: f64,
    /// Elements compared, over all samples.
    pub elements: usize,
}

impl Comparison {
    /// Adds one sample: its decisions, and the errors of the encrypted outputs, which a tail may hide or enlarge. A
    /// missing or wrongly shaped result, or one that is no number, is an infinite error.
    pub fn add(
        &mut self,
        rules: &[Decision],
        clear: &Results,
        found: &Results,
        label: Option<usize>,
    ) {
        self.samples += 1;
        self.decide(rules, &clear.finished, &found.finished, label);
        self.measure(&clear.encrypted, &found.encrypted);
    }

    fn decide(
        &mut self,
        rules: &[Decision],
        clear: &Tensors,
        found: &Tensors,
        label: Option<usize>,
    ) {
        let agrees = rules
            .iter()
            .all(|rule| rule.of_sample(clear) == rule.of_sample(found));
        self.agreeing += usize::from(agrees);
        let decision = rules.first().and_then(|rule| rule.of_sample(found));
        self.correct += usize::from(label.is_some() && decision == label);
    }

    fn measure(&mut self, clear: &Tensors, found: &Tensors) {
        for (name, tensor) in clear {
            let other = found.get(name).map(Tensor::data).unwrap_or_default();
            for (i, expected) in tensor.data().iter().enumerate() {
                let error = other
                    .get(i)
                    .map_or(f64::INFINITY, |value| (value - expected).abs());
                self.max_abs_error =
                    self.max_abs_error
                        .max(if error.is_nan() { f64::INFINITY } else { error });
                self.max_abs_clear = self.max_abs_clear.max(expected.abs());
                self.elements += 1;
            }
        }
    }

    /// The share of samples whose decisions equal the clear ones; `None` without samples.
    pub fn agreement(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.agreeing as f64 / self.samples as f64)
    }

    /// The share of samples whose first decision equals the label; `None` without samples.
    pub fn accuracy(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.correct as f64 / self.samples as f64)
    }

    /// -log2 of the largest error over the largest clear output; `None` where there is no error.
    pub fn error_bits(&self) -> Option<f64> {
        error_bits(self.max_abs_error, self.max_abs_clear)
    }
}

/// Measured noise beside the predicted, for each element of the encrypted outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoiseRatio {
    samples: usize,
    /// By output and element, the sum over samples of the squared error, over the predicted variance.
    squares: BTreeMap<(String, usize), f64>,
}

impl NoiseRatio {
    /// Adds one sample: what its outputs would be without noise, and what was decrypted.
    pub fn add(&mut self, plan: &Plan, exact: &Tensors, found: &Tensors) {
        self.samples += 1;
        for port in &plan.outputs {
            let (Some(exact), Some(found)) = (exact.get(&port.name), found.get(&port.name)) else {
                continue;
            };
            for (i, (a, b)) in exact.data().iter().zip(found.data()).enumerate() {
                let square = (a - b) * (a - b) / port.noise;
                *self.squares.entry((port.name.clone(), i)).or_default() += square;
            }
        }
    }

    /// The median over all elements of their standard deviation over the samples (around zero), as a multiple of the
    /// predicted one: near 1 where the prediction is right and there are some samples; of few it scatters, of one
    /// it is 0.67 in the mean. `None` without samples or where no noise is predicted.
    pub fn median(&self) -> Option<f64> {
        let share = |sum: &f64| (sum / self.samples as f64).sqrt();
        let found = self.squares.values().map(share).collect();
        median(found).filter(|m| m.is_finite())
    }
}

/// The median; of an even number, the mean of the middle two.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    let lower = if numbers.len().is_multiple_of(2) {
        *numbers.get(middle - 1)?
    } else {
        upper
    };
    Some(0.5 * (lower + upper))
}

/// A value inside the network that left its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Excursion {
    /// The layer.
    pub layer: String,
    /// The range that was expected, margin included.
    pub range: Range,
    /// The value farthest outside.
    pub value: f64,
    /// The share of the layer's values, over all samples, that lie outside.
    pub share: f64,
    /// The samples in which it happened.
    pub samples: usize,
    /// The first of them.
    pub first: usize,
}

/// Records by node the values that leave their calibrated range times the margin.
#[derive(Clone, Debug, Default)]
pub struct RangeWatch {
    found: BTreeMap<NodeId, Excursion>,
    /// By node, the values seen and those outside.
    counts: BTreeMap<NodeId, (usize, usize)>,
}

impl RangeWatch {
    /// Looks at all values of one sample. Inputs are left out: those are refused, not warned of.
    pub fn add(
        &mut self,
        module: &Module,
        margin: f64,
        sample: usize,
        values: &BTreeMap<NodeId, Tensor>,
    ) {
        for (id, tensor) in values {
            let Some(node) = module
                .graph
                .get(*id)
                .filter(|n| !matches!(n.op, Op::Input { .. }))
            else {
                continue;
            };
            let Some(range) = node.range.map(|r| r.widened(margin)) else {
                continue;
            };
            // A range of one point has no width to widen; rounding alone must not count as leaving it.
            let slack = 1e-9 * range.max_abs();
            let outside = |v: f64| (range.lo - v).max(v - range.hi);
            let leaves = |v: &f64| outside(*v) > slack || v.is_nan();
            let (seen, left) = self.counts.entry(*id).or_default();
            *seen += tensor.len();
            *left += tensor.data().iter().filter(|v| leaves(v)).count();
            let farthest = tensor
                .data()
                .iter()
                .copied()
                .max_by(|a, b| outside(*a).total_cmp(&outside(*b)));
            let Some(value) = farthest.filter(leaves) else {
                continue;
            };
            let entry = self.found.entry(*id).or_insert_with(|| Excursion {
                layer: node.origin.to_string(),
                range,
                value,
                share: 0.0,
                samples: 0,
                first: sample,
            });
            entry.samples += 1;
            entry.first = entry.first.min(sample);
            if outside(value) > outside(entry.value) {
                entry.value = value;
            }
        }
    }

    /// What was found, by node.
    pub fn excursions(&self) -> impl Iterator<Item = Excursion> + '_ {
        self.found.iter().map(|(id, found)| {
            let (seen, left) = self.counts.get(id).copied().unwrap_or_default();
            Excursion {
                share: left as f64 / seen.max(1) as f64,
                ..found.clone()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Decision {
        Decision {
            output: "y".into(),
            threshold: 0.5,
            label: false,
        }
    }

    fn result(values: &[f64]) -> Results {
        let tensors = Tensors::from([("y".to_owned(), Tensor::from_vec(values.to_vec()))]);
        Results {
            encrypted: tensors.clone(),
            finished: tensors,
        }
    }

    #[test]
    fn decisions() {
        assert_eq!(rule().class(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(rule().class(&[0.4]), 0);
        assert_eq!(rule().class(&[0.6]), 1);
        assert_eq!(rule().of_sample(&Tensors::new()), None);
        let label = Decision {
            label: true,
            ..rule()
        };
        assert_eq!(label.class(&[7.0]), 7);
        assert_eq!(label.class(&[1.0, 3.0]), 1);
    }

    #[test]
    fn sums_over_samples() {
        let mut sums = Comparison::default();
        assert_eq!(
            (sums.accuracy(), sums.agreement(), sums.error_bits()),
            (None, None, None)
        );
        sums.add(
            &[rule()],
            &result(&[1.0, -4.0]),
            &result(&[1.0, -4.0]),
            Some(0),
        );
        assert_eq!(sums.error_bits(), None);
        sums.add(
            &[rule()],
            &result(&[1.0, 1.125]),
            &result(&[1.25, 1.125]),
            Some(1),
        );
        assert_eq!((sums.agreement(), sums.accuracy()), (Some(0.5), Some(0.5)));
        assert_eq!(sums.error_bits(), Some(4.0));
        assert_eq!(sums.elements, 4);
        sums.add(
            &[rule()],
            &result(&[1.0, 2.0]),
            &result(&[1.0, f64::NAN]),
            None,
        );
        assert_eq!(sums.max_abs_error, f64::INFINITY);
    }
}
