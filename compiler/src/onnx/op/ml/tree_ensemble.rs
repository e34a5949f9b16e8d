//! TreeEnsembleClassifier and TreeEnsembleRegressor: sums of what the leaves hold that a row of features reaches.
//!
//! A node compares one feature with a number. Each distinct comparison is made once: `step(x - t)` is 1 where x > t. A
//! leaf is reached where all comparisons on its path come out as the path says, which a sum and one more
//! step tell; the leaves' weights are a matrix.
//!
//! The classifier's first output is the label, the second the scores after `post_transform`. For two classes with
//! weights of one class alone, the score s stands for `1 - s` and `s` where no weight is negative, else for `-s` and `s`,
//! as in onnxruntime. The regressor sums or averages. Versions 1 and 3 of `ai.onnx.ml`. Flags for missing values
//! have no effect, since no input is NaN.

use super::features::{Transform, rows};
use super::forest::{Above, Forest, Leaf, Names, numbers};
use super::labels::Labels;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem, computed_count};
use crate::onnx::error::Refusal;
use crate::onnx::op::activation::apply;
use crate::onnx::selection::{NOTHING, Selection};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Function, Op};

pub(super) fn classifier(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let transform = Transform::of(call)?;
    let labels = Labels::of(call)?;
    let base = numbers(call, "base_values", "base_values_as_tensor")?;
    let (x, features) = rows(call)?;
    let names = Names {
        trees: "class_treeids",
        nodes: "class_nodeids",
        outputs: "class_ids",
        weights: "class_weights",
        weights_tensor: "class_weights_as_tensor",
    };
    let mut forest = Forest::of(call, &names, features, labels.len())?;
    let weights = || forest.trees.iter().flatten().flat_map(|l| &l.weights);
    let first = weights().next().map(|(o, _)| *o);
    let single = labels.len() == 2 && first.is_some() && weights().all(|(o, _)| Some(*o) == first);
    if !single {
        let scores = scores(call, &x, &forest, labels.len(), base)?;
        let label = labels.of_largest(call, &scores)?;
        let scores = transform.apply(call, &scores)?;
        return Ok([label, scores].map(Value::Encrypted).to_vec());
    }
    let positive = weights().all(|(_, w)| *w >= 0.0);
    let leaves = forest.trees.iter_mut().flatten();
    leaves.for_each(|l| l.weights.iter_mut().for_each(|(o, _)| *o = 0));
    if base.len() > 1 {
        return Err(format!("base_values has {} numbers for one score", base.len()).into());
    }
    let score = scores(call, &x, &forest, 1, base)?;
    let both = pair(call, &score, if positive { 1.0 } else { 0.0 })?;
    let label = labels.of_largest(call, &both)?;
    let both = match transform {
        Transform::Logistic if !positive => apply(call, Function::Sigmoid, &both)?,
        _ => both,
    };
    Ok([label, both].map(Value::Encrypted).to_vec())
}

pub(super) fn regressor(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let transform = Transform::of(call)?;
    let targets = usize::try_from(call.int("n_targets", 1)?).unwrap_or(0);
    if targets == 0 {
        return Err("n_targets is not above 0".into());
    }
    computed_count(&[targets])?;
    let aggregate = call.string("aggregate_function", "SUM")?;
    let base = numbers(call, "base_values", "base_values_as_tensor")?;
    let (x, features) = rows(call)?;
    let names = Names {
        trees: "target_treeids",
        nodes: "target_nodeids",
        outputs: "target_ids",
        weights: "target_weights",
        weights_tensor: "target_weights_as_tensor",
    };
    let mut forest = Forest::of(call, &names, features, targets)?;
    match aggregate.as_str() {
        "SUM" => {}
        "AVERAGE" => {
            let count = forest.trees.len() as f64;
            let leaves = forest.trees.iter_mut().flatten();
            leaves.for_each(|l| l.weights.iter_mut().for_each(|(_, w)| *w /= count));
        }
        "MIN" | "MAX" => {
            return Err(Refusal::new(format!(
                "the aggregate_function {aggregate} compares the trees' results, which is not supported"
            ))
            .help("train an ensemble that sums or averages"));
        }
        other => {
            return Err(
                format!("aggregate_function is {other:?}, which ONNX does not define").into(),
            );
        }
    }
    let y = scores(call, &x, &forest, targets, base)?;
    Ok(vec![Value::Encrypted(transform.apply(call, &y)?)])
}

/// `c - s` and `s`.
fn pair(call: &mut Call<'_>, score: &Encrypted, c: f64) -> Result<Encrypted, Refusal> {
    let vector = |data: [f64; 2]| Tensor::from_vec(data.to_vec());
    let factor = call.constant(&Clear::new("signs", Elem::F64, vector([-1.0, 1.0])))?;
    let both = call.emit(Op::MulConst { value: factor }, &[score], &[])?;
    if c == 0.0 {
        return Ok(both);
    }
    let offset = call.constant(&Clear::new("complement", Elem::F64, vector([c, 0.0])))?;
    call.emit(Op::AddConst { value: offset }, &[&both], &[])
}

/// `base + sum over the trees`, `[N, outputs]`.
fn scores(
    call: &mut Call<'_>,
    x: &Encrypted,
    forest: &Forest,
    outputs: usize,
    base: Vec<f64>,
) -> Result<Encrypted, Refusal> {
    let mut base = match base.len() {
        0 => vec![0.0; outputs],
        n if n == outputs => base,
        n => return Err(format!("base_values has {n} numbers for {outputs} outputs").into()),
    };
    // A tree of one leaf is a constant.
    let (single, trees): (Vec<&Vec<Leaf>>, Vec<&Vec<Leaf>>) =
        forest.trees.iter().partition(|t| t.len() == 1);
    for (output, weight) in single.into_iter().flatten().flat_map(|l| &l.weights) {
        base[*output] += weight;
    }
    if trees.is_empty() {
        return Err(
            "no tree of it compares anything, so that the result is the same for all inputs".into(),
        );
    }
    let held = comparisons(call, x, &forest.comparisons)?;
    let reached = reached(call, &held, &trees)?;
    let most = reached.shape[1] / trees.len();
    let mut weight = vec![0.0; computed_count(&[outputs, reached.shape[1]])?];
    for (t, leaves) in trees.iter().enumerate() {
        for (l, leaf) in leaves.iter().enumerate() {
            for (output, value) in &leaf.weights {
                weight[output * reached.shape[1] + t * most + l] += value;
            }
        }
    }
    let columns = reached.shape[1];
    super::features::dense(call, &reached, (weight, columns), base)
}

/// 1 where a comparison holds, else 0: `[N, comparisons]`.
fn comparisons(
    call: &mut Call<'_>,
    x: &Encrypted,
    comparisons: &[Above],
) -> Result<Encrypted, Refusal> {
    let picks = comparisons.iter().map(|c| c.feature as i64).collect();
    let selection = Selection::along_axis(&x.shape, 1, picks)?;
    let features = call.take_encrypted(x, selection)?;
    let signs: Vec<f64> = comparisons.iter().map(|c| c.sign).collect();
    let offsets = comparisons.iter().map(|c| -c.sign * c.threshold).collect();
    let mut difference = features;
    if signs.iter().any(|s| *s != 1.0) {
        let signs = Clear::new("directions", Elem::F64, Tensor::from_vec(signs));
        let value = call.constant(&signs)?;
        difference = call.emit(Op::MulConst { value }, &[&difference], &[])?;
    }
    let offsets = Clear::new("thresholds", Elem::F64, Tensor::from_vec(offsets));
    let value = call.constant(&offsets)?;
    let difference = call.emit(Op::AddConst { value }, &[&difference], &[])?;
    apply(call, Function::Step, &difference)
}

/// 1 where a leaf is reached, else 0: `[N, trees * leaves]`; trees with fewer leaves are filled up with such as never are.
fn reached(
    call: &mut Call<'_>,
    held: &Encrypted,
    trees: &[&Vec<Leaf>],
) -> Result<Encrypted, Refusal> {
    // The comparisons of each tree, in the order in which they are met.
    let own: Vec<Vec<usize>> = trees
        .iter()
        .map(|leaves| {
            let mut own: Vec<usize> = leaves.iter().flat_map(|l| &l.terms).map(|t| t.0).collect();
            own.sort_unstable();
            own.dedup();
            own
        })
        .collect();
    let (rows, count) = (held.shape[0], held.shape[1]);
    let most_own = own.iter().map(Vec::len).max().unwrap_or(0);
    let most = trees.iter().map(|t| t.len()).max().unwrap_or(0);
    let shape = [rows, trees.len(), most_own, 1];
    let mut index = Vec::with_capacity(computed_count(&shape)?);
    for row in 0..rows {
        for own in &own {
            let at = |k: usize| own.get(k).map_or(NOTHING, |c| (row * count + c) as i64);
            index.extend((0..most_own).map(at));
        }
    }
    let held = call.take_encrypted(held, Selection::new(&shape, index)?)?;
    let mut path = vec![0.0; computed_count(&[trees.len(), most, most_own])?];
    // What is no leaf is never reached.
    let mut offset = vec![-0.5; trees.len() * most];
    for (t, leaves) in trees.iter().enumerate() {
        for (l, leaf) in leaves.iter().enumerate() {
            let place = t * most + l;
            offset[place] = leaf.offset;
            for (comparison, weight) in &leaf.terms {
                if let Ok(k) = own[t].binary_search(comparison) {
                    path[place * most_own + k] += weight;
                }
            }
        }
    }
    let mut constant = |name: &str, shape: Vec<usize>, data: Vec<f64>| {
        let tensor = Tensor::new(shape, data).ok_or("the paths do not fit the trees")?;
        call.constant(&Clear::new(name, Elem::F64, tensor))
    };
    let weight = constant("paths", vec![trees.len(), most, most_own], path)?;
    let value = constant("paths.offset", vec![trees.len(), most, 1], offset)?;
    let sums = call.emit(Op::ConstMatMul { weight }, &[&held], &[])?;
    let sums = call.emit(Op::AddConst { value }, &[&sums], &[])?;
    let reached = apply(call, Function::Step, &sums)?;
    call.reshape(&reached, &[rows, trees.len() * most])
}
