//! Einsum: a sum of products that an equation names, such as `bij,bjk->bik`: letters that do not stand behind the
//! arrow are summed over. One operand or more, of which any may be clear.
//!
//! Without an arrow the result has the letters that occur once, in their order. No ellipsis. Opsets: 12.
//!
//! Operands are joined from the left, each join by one product of stacks of matrices: the letters of both that are
//! still needed are the stack, those that are not are the inner axis.

use super::{matmul, reduce};
use crate::broadcast::for_each_index;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;
use crate::onnx::selection::Selection;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Reduction;
use cipherloom_ir::value::strides;
use std::collections::BTreeMap;

/// A value whose axes have letters, each once.
struct Term {
    value: Value,
    letters: Vec<char>,
}

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let count = call.inputs.len();
    call.arity(1, count.max(1))?;
    let equation = call.string("equation", "")?;
    let (inputs, output) = parse(&equation)?;
    if inputs.len() != count {
        return Err(format!("{equation:?} has {} operands, not {count}", inputs.len()).into());
    }
    let mut sizes = BTreeMap::new();
    let mut terms = vec![];
    for (position, letters) in inputs.iter().enumerate() {
        let value = call.value(position)?;
        if value.shape().len() != letters.len() {
            return Err(format!(
                "operand {position} of {equation:?} has shape {:?}",
                value.shape()
            )
            .into());
        }
        for (letter, size) in letters.iter().zip(value.shape()) {
            if *sizes.entry(*letter).or_insert(*size) != *size {
                return Err(format!("{letter:?} of {equation:?} has two sizes").into());
            }
        }
        terms.push(diagonal(call, value, letters)?);
    }
    if let Some(unknown) = output.iter().find(|l| !sizes.contains_key(l)) {
        return Err(format!("{unknown:?} of {equation:?} stands in no operand").into());
    }
    let mut terms = terms.into_iter();
    let mut joined = terms.next().ok_or("there is no operand")?;
    while let Some(next) = terms.next() {
        let needed = |letter: &char| {
            output.contains(letter) || terms.as_slice().iter().any(|t| t.letters.contains(letter))
        };
        joined = join(call, joined, next, &needed, &sizes)?;
    }
    let last = summed(call, joined, &|letter| output.contains(letter))?;
    Ok(vec![arranged(call, &last, &output)?])
}

/// The letters of the operands and of the result.
fn parse(equation: &str) -> Result<(Vec<Vec<char>>, Vec<char>), String> {
    let plain: String = equation.chars().filter(|c| *c != ' ').collect();
    let (left, right) = match plain.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (plain.as_str(), None),
    };
    let letters = |part: &str| -> Result<Vec<char>, String> {
        match part.chars().find(|c| !c.is_ascii_alphabetic()) {
            None => Ok(part.chars().collect()),
            Some('.') => Err(format!(
                "{equation:?} has an ellipsis, which is not supported"
            )),
            Some(other) => Err(format!("{other:?} in {equation:?} is no letter")),
        }
    };
    let inputs = left
        .split(',')
        .map(letters)
        .collect::<Result<Vec<_>, _>>()?;
    let output = match right {
        Some(right) => letters(right)?,
        None => {
            let mut all = inputs.concat();
            all.sort_unstable();
            let once = |l: &char| all.iter().filter(|o| *o == l).count() == 1;
            all.iter().copied().filter(once).collect()
        }
    };
    let repeated = |l: &char| output.iter().filter(|o| *o == l).count() > 1;
    match output.iter().find(|l| repeated(l)) {
        Some(letter) => Err(format!("{equation:?} names {letter:?} twice in its result")),
        None => Ok((inputs, output)),
    }
}

/// The value with one axis for each letter: of axes that share a letter, the diagonal.
fn diagonal(call: &mut Call<'_>, value: Value, letters: &[char]) -> Result<Term, Refusal> {
    let mut own: Vec<char> = vec![];
    let mut shape = vec![];
    let mut steps: Vec<usize> = vec![];
    let sizes = value.shape().to_vec();
    for ((letter, size), step) in letters.iter().zip(&sizes).zip(strides(&sizes)) {
        match own.iter().position(|o| o == letter) {
            Some(axis) => steps[axis] += step,
            None => {
                own.push(*letter);
                shape.push(*size);
                steps.push(step);
            }
        }
    }
    let value = if own.len() == letters.len() {
        value
    } else {
        crate::onnx::clear::computed_count(&shape)?;
        let mut index = vec![];
        for_each_index(&shape, |place| {
            index.push(place.iter().zip(&steps).map(|(i, s)| i * s).sum::<usize>() as i64);
        });
        call.take(&value, Selection::new(&shape, index)?)?
    };
    Ok(Term {
        value,
        letters: own,
    })
}

/// The sum over all letters that are not needed.
fn summed(
    call: &mut Call<'_>,
    term: Term,
    needed: &dyn Fn(&char) -> bool,
) -> Result<Term, Refusal> {
    let (letters, over): (Vec<char>, Vec<char>) =
        term.letters.iter().copied().partition(|l| needed(l));
    if over.is_empty() {
        return Ok(term);
    }
    let axes: Vec<usize> = (0..term.letters.len())
        .filter(|axis| over.contains(&term.letters[*axis]))
        .collect();
    let value = match &term.value {
        Value::Encrypted(x) => {
            Value::Encrypted(reduce::over_axes(call, x, Reduction::Sum, &axes, false)?)
        }
        Value::Clear(_) => {
            let order = [letters.clone(), over].concat();
            let Value::Clear(x) = arranged(call, &term, &order)? else {
                return Err("a constant is expected".into());
            };
            Value::Clear(row_sums(&x, letters.len())?)
        }
    };
    Ok(Term { value, letters })
}

/// The sums over the axes from `kept` on.
fn row_sums(x: &Clear, kept: usize) -> Result<Clear, String> {
    let (front, back) = x.shape().split_at(kept);
    let row: usize = back.iter().product();
    let sums = x
        .data()
        .chunks(row.max(1))
        .map(|r| r.iter().sum())
        .collect();
    Tensor::new(front.to_vec(), sums)
        .map(|t| Clear::new(&x.name, x.elem, t))
        .ok_or_else(|| "an axis has no element".into())
}

/// The term's value with its axes in the order of the given letters, which are its own.
fn arranged(call: &mut Call<'_>, term: &Term, order: &[char]) -> Result<Value, Refusal> {
    let perm: Option<Vec<usize>> = order
        .iter()
        .map(|l| term.letters.iter().position(|o| o == l))
        .collect();
    let perm = perm.ok_or("a letter is missing")?;
    call.transpose_value(&term.value, &perm)
}

/// The sum of products of two terms over the letters that are not needed.
fn join(
    call: &mut Call<'_>,
    a: Term,
    b: Term,
    needed: &dyn Fn(&char) -> bool,
    sizes: &BTreeMap<char, usize>,
) -> Result<Term, Refusal> {
    let a = summed(call, a, &|l| needed(l) || b.letters.contains(l))?;
    let b = summed(call, b, &|l| needed(l) || a.letters.contains(l))?;
    let (shared, rows): (Vec<char>, Vec<char>) = a
        .letters
        .iter()
        .copied()
        .partition(|l| b.letters.contains(l));
    let columns: Vec<char> = b
        .letters
        .iter()
        .copied()
        .filter(|l| !shared.contains(l))
        .collect();
    let (stack, inner): (Vec<char>, Vec<char>) = shared.iter().copied().partition(|l| needed(l));
    let size = |letters: &[char]| -> usize {
        let each = letters.iter().filter_map(|l| sizes.get(l));
        each.product()
    };
    let (n, k) = (size(&stack), size(&inner));
    // A stack of one matrix is a matrix, which a layer can have as its weight.
    let form = |height: usize, width: usize| match stack[..] {
        [] => vec![height, width],
        _ => vec![n, height, width],
    };
    let left = arranged(call, &a, &[&stack[..], &rows, &inner].concat())?;
    let left = call.reshape_value(&left, &form(size(&rows), k))?;
    let right = arranged(call, &b, &[&stack[..], &inner, &columns].concat())?;
    let right = call.reshape_value(&right, &form(k, size(&columns)))?;
    let product: Encrypted = matmul::product(call, &left, &right)?;
    let letters = [stack, rows, columns].concat();
    let shape: Vec<usize> = letters
        .iter()
        .filter_map(|l| sizes.get(l).copied())
        .collect();
    Ok(Term {
        value: Value::Encrypted(call.reshape(&product, &shape)?),
        letters,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn equations_name_operands_and_result() {
        let chars = |parts: &[&str]| -> Vec<Vec<char>> {
            parts.iter().map(|p| p.chars().collect()).collect()
        };
        let (inputs, output) = parse("bij, bjk -> bik").unwrap();
        assert_eq!(inputs, chars(&["bij", "bjk"]));
        assert_eq!(output, ['b', 'i', 'k']);
        // Letters that occur once, in alphabetical order.
        assert_eq!(parse("kj,ij").unwrap().1, ['i', 'k']);
        assert_eq!(parse("ii").unwrap().1, [] as [char; 0]);
        assert_eq!(parse("ij->").unwrap().1, [] as [char; 0]);
        assert!(parse("...i->i").unwrap_err().contains("ellipsis"));
        assert!(parse("ij->ii").is_err() && parse("i1->i").is_err());
    }
}
