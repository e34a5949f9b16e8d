//! The network between the two stages: a few values that will be ciphertexts, joined by sums of matrices and by
//! products.

mod exact;
mod factors;
mod fold;
mod make;
pub(crate) mod pending;
mod polynomials;
mod products;
mod views;

use super::polynomial::{Program, clenshaw};
use super::sparse::{self, LANES};
use cipherloom_ir::Origin;
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::value::Tensors;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use exact::Exact;
pub(crate) use factors::{fold_factors, gains};
pub(crate) use fold::Fold;
pub(crate) use make::build;
pub(crate) use views::view_outputs;

/// A summand of a linear value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    /// The operand times a number, by reading it at another scale: it takes no level. 1 is the operand itself.
    Gain(f64),
    /// The operand times a number, a plaintext: it takes a level, and the scale is free.
    Scalar(f64),
    /// A matrix times the operand.
    Matrix(Arc<Matrix>),
}

impl Term {
    /// Whether it is no product, so that it takes no level.
    pub(crate) fn is_free(&self) -> bool {
        self.gain().is_some()
    }

    /// The number by which reading the operand at another scale multiplies it.
    pub(crate) fn gain(&self) -> Option<f64> {
        match self {
            Term::Gain(f) => Some(*f),
            Term::Scalar(_) | Term::Matrix(_) => None,
        }
    }
}

/// How a value is made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// An input of the model.
    Input(String),
    /// A sum over operands, plus a bias per element (empty for none).
    Linear {
        terms: Vec<(usize, Term)>,
        bias: Vec<f64>,
    },
    /// An elementwise product.
    Mul(usize, usize),
    /// An elementwise square.
    Square(usize),
    /// Sums of groups of elements, without a product.
    Fold(usize, Fold),
    /// Some elements of a value, where they lie, in this order.
    View(usize, Arc<Vec<u32>>),
    /// A polynomial of each element, which lies in [-1, 1].
    Polynomial {
        operand: usize,
        program: Arc<Program>,
    },
}

/// A value that will be one ciphertext or several.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// How it is made.
    pub(crate) kind: Kind,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// The product of the strides between the input and this value.
    pub(crate) stride: usize,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// A name for its matrices and bias.
    pub(crate) name: String,
}

impl Value {
    /// The bias of its elements, if there is one.
    pub(crate) fn bias(&self) -> &[f64] {
        match &self.kind {
            Kind::Linear { bias, .. } => bias,
            _ => &[],
        }
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values that it is made of.
    pub(crate) fn operands(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Input(_) => vec![],
            Kind::Linear { terms, .. } => terms.iter().map(|(u, _)| *u).collect(),
            Kind::Mul(a, b) => vec![*a, *b],
            Kind::Square(a) | Kind::Fold(a, _) | Kind::View(a, _) => vec![*a],
            Kind::Polynomial { operand, .. } => vec![*operand],
        }
    }
}

/// Values in an order in which operands come first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// The values.
    pub(crate) values: Vec<Value>,
    /// For each output of the module, in order, its value.
    pub(crate) outputs: Vec<usize>,
    /// The functions that values stand for.
    pub(crate) exact: BTreeMap<usize, Exact>,
    /// Whether a function was replaced by something that no value alone stands for.
    pub(crate) inexact: bool,
}

impl Network {
    /// All values for several samples; `None` where an input is missing or has another number of elements.
    pub(crate) fn eval(&self, samples: [&Tensors; LANES]) -> Option<Vec<Vec<[f64; LANES]>>> {
        self.eval_with(samples, &|_| None)
    }

    /// The same with the functions themselves in place of what approximates them.
    pub(crate) fn eval_exact(&self, samples: [&Tensors; LANES]) -> Option<Vec<Vec<[f64; LANES]>>> {
        self.eval_with(samples, &|v| self.exact.get(&v))
    }

    fn eval_with<'n>(
        &'n self,
        samples: [&Tensors; LANES],
        exact: &dyn Fn(usize) -> Option<&'n Exact>,
    ) -> Option<Vec<Vec<[f64; LANES]>>> {
        let mut all: Vec<Vec<[f64; LANES]>> = Vec::with_capacity(self.values.len());
        for (v, value) in self.values.iter().enumerate() {
            if let (Some(exact), [operand]) = (exact(v), &value.operands()[..]) {
                let of = |t: &[f64; LANES]| t.map(|t| exact.eval(t));
                let data = all[*operand].iter().map(of).collect();
                all.push(data);
                continue;
            }
            let data = match &value.kind {
                Kind::Input(name) => {
                    let mut data = vec![[0.0; LANES]; value.len()];
                    for (lane, sample) in samples.iter().enumerate() {
                        let tensor = sample.get(name).filter(|t| t.len() == value.len())?;
                        data.iter_mut()
                            .zip(tensor.data())
                            .for_each(|(to, from)| to[lane] = *from);
                    }
                    data
                }
                Kind::Linear { terms, bias } => {
                    let mut sum = if bias.is_empty() {
                        vec![[0.0; LANES]; value.len()]
                    } else {
                        bias.iter().map(|b| [*b; LANES]).collect()
                    };
                    for (operand, term) in terms {
                        let x = &all[*operand];
                        match term {
                            Term::Gain(f) | Term::Scalar(f) => add_scaled(&mut sum, *f, x),
                            Term::Matrix(m) => sparse::apply_lanes(m, x, &mut sum),
                        }
                    }
                    sum
                }
                Kind::Mul(a, b) => {
                    let pairs = all[*a].iter().zip(&all[*b]);
                    let product = |(a, b): (&[f64; LANES], &[f64; LANES])| {
                        std::array::from_fn(|lane| a[lane] * b[lane])
                    };
                    pairs.map(product).collect()
                }
                Kind::Square(a) => all[*a].iter().map(|a| a.map(|a| a * a)).collect(),
                Kind::Fold(a, fold) => fold.eval(&all[*a]),
                Kind::View(a, elements) => elements.iter().map(|e| all[*a][*e as usize]).collect(),
                Kind::Polynomial { operand, program } => {
                    let of = |t: &[f64; LANES]| t.map(|t| clenshaw(&program.coefficients, t));
                    all[*operand].iter().map(of).collect()
                }
            };
            all.push(data);
        }
        Some(all)
    }
}

fn add_scaled(sum: &mut [[f64; LANES]], factor: f64, x: &[[f64; LANES]]) {
    for (sum, x) in sum.iter_mut().zip(x) {
        for lane in 0..LANES {
            sum[lane] += factor * x[lane];
        }
    }
}
