//! Outputs that are some elements of a value are read where these lie.
//!
//! The client takes the elements out of their slots, which saves a matrix and its level. What else lies in these ciphertexts
//! is decrypted too, so all elements of the value must be elements of outputs anyway.

use super::super::sparse::as_scaled_selection;
use super::{Kind, Network, Term, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes outputs views where other outputs show the rest of the value.
pub(crate) fn view_outputs(network: &mut Network) {
    let mut views: BTreeMap<usize, Vec<(usize, Vec<u32>, f64)>> = BTreeMap::new();
    for v in &network.outputs {
        if let Some((operand, elements, factor)) = view(network, *v) {
            let of = views.entry(operand).or_default();
            if !of.iter().any(|(known, ..)| known == v) {
                of.push((*v, elements, factor));
            }
        }
    }
    for (operand, of) in views {
        let mut shown = vec![network.outputs.contains(&operand); network.values[operand].len()];
        for element in of.iter().flat_map(|(_, elements, _)| elements) {
            shown[*element as usize] = true;
        }
        if shown.iter().all(|s| *s) {
            of.into_iter()
                .for_each(|(v, elements, factor)| replace(network, operand, v, elements, factor));
        }
    }
}

/// The value of which output `v`, which nothing else reads, shows elements times a factor.
fn view(network: &Network, v: usize) -> Option<(usize, Vec<u32>, f64)> {
    let Kind::Linear { terms, bias } = &network.values[v].kind else {
        return None;
    };
    let [(operand, Term::Matrix(matrix))] = terms.as_slice() else {
        return None;
    };
    let factor = as_scaled_selection(matrix).filter(|f| f.is_finite() && *f != 0.0)?;
    let each = matrix.entries() == matrix.rows && bias.is_empty();
    let mut sorted = matrix.columns.clone();
    sorted.sort_unstable();
    let distinct = sorted.windows(2).all(|w| w[0] < w[1]);
    let unread = network.values.iter().all(|u| !u.operands().contains(&v));
    (each && distinct && unread).then(|| (*operand, matrix.columns.clone(), factor))
}

fn replace(network: &mut Network, operand: usize, v: usize, elements: Vec<u32>, factor: f64) {
    network.values[v].kind = Kind::View(operand, Arc::new(elements));
    if factor == 1.0 {
        return;
    }
    let scaled = Value {
        kind: Kind::Linear {
            terms: vec![(v, Term::Scalar(factor))],
            bias: vec![],
        },
        ..network.values[v].clone()
    };
    let made = network.values.len();
    network.values.push(scaled);
    let outputs = network.outputs.iter_mut().filter(|o| **o == v);
    outputs.for_each(|o| *o = made);
}
