//! SVMClassifier: a decision for every pair of classes, and the class that wins most of them.
//!
//! For classes i < j: `s_ij = sum of coefficient[j - 1, v] kernel(x, v)` over the support vectors of i `+ sum of
//! coefficient[i, v] kernel(x, v)` over those of j `+ rho`; above 0 class i wins, else j. Attribute
//! `vectors_per_class` says whose vectors are whose; `coefficients` has classes - 1 rows.
//!
//! The second output is the decisions (for two classes `-s` and `s`), or, with `prob_a` and `prob_b` and two
//! classes, the probabilities `sigmoid(-(a s + b))` and its complement (Platt, in the limit of onnxruntime's
//! iteration). Without support vectors the coefficients are one row of weights for each class.
//! Version 1 of `ai.onnx.ml`.

use super::features::{Transform, dense, rows};
use super::labels::Labels;
use super::svm::Kernel;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem, computed_count};
use crate::onnx::error::Refusal;
use crate::onnx::op::activation::apply;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Function, Op, Reduction};

/// Two classes, the smaller one first.
type Pair = (usize, usize);

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let transform = Transform::of(call)?;
    let labels = Labels::of(call)?;
    let kernel = Kernel::of(call)?;
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    let rho = call.floats("rho")?.unwrap_or_default();
    let vectors = call.floats("support_vectors")?.unwrap_or_default();
    let per_class = call.ints("vectors_per_class")?.unwrap_or_default();
    let platt = platt(call)?;
    let (x, features) = rows(call)?;
    let classes = labels.len();
    if per_class.is_empty() {
        if classes == 2 {
            return Err(
                Refusal::new("two classes without support vectors are not supported")
                    .help("export the model as a LinearClassifier"),
            );
        }
        let rho = *rho.first().ok_or("rho is missing")?;
        let weights = (coefficients, features);
        let scores = dense(call, &x, weights, vec![rho; classes])?;
        let label = labels.of_largest(call, &scores)?;
        let scores = transform.apply(call, &scores)?;
        return Ok([label, scores].map(Value::Encrypted).to_vec());
    }
    if !matches!(transform, Transform::None) {
        return Err("post_transform is not supported together with support vectors".into());
    }
    let sizes: Option<Vec<usize>> = per_class.iter().map(|n| usize::try_from(*n).ok()).collect();
    let sizes = sizes.ok_or("vectors_per_class has a negative number")?;
    let count = vectors.len() / features;
    if sizes.len() != classes
        || classes < 2
        || sizes.iter().try_fold(0_usize, |a, b| a.checked_add(*b)) != Some(count)
    {
        return Err(format!(
            "vectors_per_class {sizes:?} does not fit {classes} classes and {count} vectors"
        )
        .into());
    }
    let (weights, pairs) = decisions(&coefficients, &sizes, count)?;
    let rho = rho.get(..pairs.len()).ok_or("rho has too few numbers")?;
    let values = kernel.apply(call, &x, (vectors, features), count)?;
    let scores = dense(call, &values, (weights, count), rho.to_vec())?;
    let votes = votes(call, &scores, pairs.len(), classes)?;
    let label = labels.of_largest(call, &votes)?;
    let second = match (classes, platt) {
        (2, Some((a, b))) => both(call, &scores, -a, -b, Some(Function::Sigmoid))?,
        (2, None) => both(call, &scores, 1.0, 0.0, None)?,
        (_, None) => scores,
        (_, Some(_)) => {
            return Err(Refusal::new(
                "probabilities of more than two classes come from an iteration, which is not supported",
            )
            .help("export the decisions instead (`probability=False`)"));
        }
    };
    Ok([label, second].map(Value::Encrypted).to_vec())
}

/// The numbers that turn the first decision into a probability, if any are given.
fn platt(call: &mut Call<'_>) -> Result<Option<(f64, f64)>, Refusal> {
    let a = call.floats("prob_a")?.unwrap_or_default();
    let b = call.floats("prob_b")?.unwrap_or_default();
    match (a.first(), b.first()) {
        (Some(a), Some(b)) => Ok(Some((*a, *b))),
        (None, None) => Ok(None),
        _ => Err("prob_a and prob_b must come together".into()),
    }
}

/// The weights of the kernel's values in each pair's decision, and the pairs.
fn decisions(
    coefficients: &[f64],
    sizes: &[usize],
    count: usize,
) -> Result<(Vec<f64>, Vec<Pair>), Refusal> {
    let classes = sizes.len();
    if (classes - 1).checked_mul(count) != Some(coefficients.len()) {
        return Err(format!(
            "{} coefficients do not fit {classes} classes and {count} vectors",
            coefficients.len()
        )
        .into());
    }
    let number = classes.saturating_mul(classes - 1) / 2;
    computed_count(&[number, count.max(1)])?;
    let pairs: Vec<Pair> = (0..classes)
        .flat_map(|i| (i + 1..classes).map(move |j| (i, j)))
        .collect();
    let mut owners = Vec::with_capacity(count);
    for (class, size) in sizes.iter().enumerate() {
        owners.extend(std::iter::repeat_n(class, *size));
    }
    let mut weights = Vec::with_capacity(pairs.len() * count);
    for (i, j) in &pairs {
        for (v, owner) in owners.iter().enumerate() {
            let row = match owner {
                owner if owner == i => Some(j - 1),
                owner if owner == j => Some(*i),
                _ => None,
            };
            let weight = row.and_then(|row| coefficients.get(row * count + v));
            weights.push(weight.copied().unwrap_or(0.0));
        }
    }
    Ok((weights, pairs))
}

/// How many decisions each class wins, `[N, classes]`: no matrix, so that the client can count them.
fn votes(
    call: &mut Call<'_>,
    scores: &Encrypted,
    pairs: usize,
    classes: usize,
) -> Result<Encrypted, Refusal> {
    let rows = scores.shape.first().copied().unwrap_or(1);
    let shape = vec![rows, classes, classes - 1];
    computed_count(&shape)?;
    let (mut index, mut factor, mut offset) = (vec![], vec![], vec![]);
    // The pair (i, j) stands behind those of all smaller i, of which each has classes - 1 - i.
    let pair = |i: usize, j: usize| i * (2 * classes - i - 1) / 2 + j - i - 1;
    for class in 0..classes {
        for other in (0..classes).filter(|other| *other != class) {
            let first = class < other;
            factor.push(if first { 1.0 } else { -1.0 });
            offset.push(if first { 0.0 } else { 1.0 });
        }
    }
    for row in 0..rows {
        for class in 0..classes {
            for other in (0..classes).filter(|other| *other != class) {
                let p = pair(class.min(other), class.max(other));
                index.push((row * pairs + p) as f64);
            }
        }
    }
    let mut constant = |name: &str, shape: Vec<usize>, data: Vec<f64>| {
        let tensor = Tensor::new(shape, data).ok_or("the decisions do not fit the classes")?;
        call.constant(&Clear::new(name, Elem::F64, tensor))
    };
    let index = constant("decisions", shape.clone(), index)?;
    let factor = constant("decisions.sign", shape[1..].to_vec(), factor)?;
    let offset = constant("decisions.offset", shape[1..].to_vec(), offset)?;
    let step = apply(call, Function::Step, scores)?;
    let own = call.emit(Op::Take { index }, &[&step], &[])?;
    let own = call.emit(Op::MulConst { value: factor }, &[&own], &[])?;
    let won = call.emit(Op::AddConst { value: offset }, &[&own], &[])?;
    let op = Op::Reduce {
        kind: Reduction::Sum,
        axes: vec![2],
    };
    let total = call.emit(op, &[&won], &[])?;
    call.reshape(&total, &[rows, classes])
}

/// `f(-t)` and `f(t)`, or `f(t)` and `f(-t)` for a probability, with `t = factor s + summand`, from scores `[N, 1]`.
fn both(
    call: &mut Call<'_>,
    scores: &Encrypted,
    factor: f64,
    summand: f64,
    function: Option<Function>,
) -> Result<Encrypted, Refusal> {
    let signs = if function.is_some() {
        vec![1.0, -1.0]
    } else {
        vec![-1.0, 1.0]
    };
    let scaled = |by: f64| Tensor::from_vec(signs.iter().map(|s| s * by).collect());
    let factor = call.constant(&Clear::new("signs", Elem::F64, scaled(factor)))?;
    let summand = call.constant(&Clear::new("signs.summand", Elem::F64, scaled(summand)))?;
    let t = call.emit(Op::MulConst { value: factor }, &[scores], &[])?;
    let t = call.emit(Op::AddConst { value: summand }, &[&t], &[])?;
    match function {
        Some(function) => apply(call, function, &t),
        None => Ok(t),
    }
}
