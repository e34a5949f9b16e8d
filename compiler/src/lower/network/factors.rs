//! Factors move into what their operands are made of.
//!
//! A factor that is the same for all elements, `f * u`, takes a level if it is a step of its own. But the matrix that
//! makes u can hold it, as can the coefficients of a polynomial, and `f (W x)^2 = (sqrt(f) W x)^2`. What else
//! uses u then takes 1/f into a matrix or factor of its own.

use super::super::sparse;
use super::{Kind, Network, Term};
use std::sync::Arc;

/// Factors of a sum that differ by more than this keep scales of their own: as gains they would tie the precision of one
/// operand to that of another that matters less.
const ALIKE: f64 = 16.0;

/// Moves factors where that saves a level.
pub(crate) fn fold_factors(network: &mut Network) {
    for v in 0..network.values.len() {
        let Kind::Linear { terms, .. } = &network.values[v].kind else {
            continue;
        };
        if terms.iter().any(|(_, t)| matches!(t, Term::Matrix(_))) {
            continue;
        }
        for t in 0..terms.len() {
            let Kind::Linear { terms, .. } = &network.values[v].kind else {
                continue;
            };
            if let Some((u, Term::Scalar(f))) = terms.get(t)
                && *f != 0.0
                && f.is_finite()
            {
                let (u, f) = (*u, *f);
                if others_absorb(network, u, v) && scalable(network, u, f) {
                    apply(network, u, f, v);
                    if let Kind::Linear { terms, .. } = &mut network.values[v].kind {
                        terms[t].1 = Term::Gain(1.0);
                    }
                }
            }
        }
    }
}

/// Factors become gains, which take no level: all in a sum without a matrix, else those of -1 next to a value as it is.
///
/// What [`super::super::levels::assign`] finds no common scale for gets its factor back.
pub(crate) fn gains(network: &mut Network) {
    for value in &mut network.values {
        let Kind::Linear { terms, .. } = &mut value.kind else {
            continue;
        };
        let any = |of: fn(&Term) -> bool| terms.iter().any(|(_, t)| of(t));
        let matrix = any(|t| matches!(t, Term::Matrix(_)));
        let difference = any(|t| *t == Term::Gain(1.0));
        let sizes = terms.iter().filter_map(|(_, t)| match t {
            Term::Gain(f) | Term::Scalar(f) => Some(f.abs()),
            Term::Matrix(_) => None,
        });
        let (least, most) = sizes.fold((f64::INFINITY, 0.0_f64), |(a, b), f| (a.min(f), b.max(f)));
        let alike = least > 0.0 && most <= ALIKE * least;
        for (_, term) in terms.iter_mut() {
            if let Term::Scalar(f) = *term
                && (!matrix && alike || difference && f == -1.0)
            {
                *term = Term::Gain(f);
            }
        }
    }
}

/// Whether everything but `user` that uses `u` can take a factor in.
fn others_absorb(network: &Network, u: usize, user: usize) -> bool {
    let absorbs = |(v, value): (usize, &super::Value)| match &value.kind {
        _ if v == user => true,
        Kind::Linear { terms, .. } => {
            let of_u = terms.iter().filter(|(x, _)| *x == u);
            of_u.into_iter().all(|(_, t)| !t.is_free())
        }
        _ => !value.operands().contains(&u),
    };
    !network.outputs.contains(&u) && network.values.iter().enumerate().all(absorbs)
}

/// Whether `u` can be made `f` times as large by what it is made of.
fn scalable(network: &Network, u: usize, f: f64) -> bool {
    match &network.values[u].kind {
        Kind::Input(_) => false,
        Kind::Linear { terms, .. } => terms.iter().all(|(_, t)| !t.is_free()),
        Kind::Square(a) => {
            f > 0.0 && others_absorb(network, *a, u) && scalable(network, *a, libm::sqrt(f))
        }
        Kind::Mul(a, b) => factor_side(network, u, *a, *b, f).is_some(),
        Kind::Fold(a, _) | Kind::View(a, _) => {
            others_absorb(network, *a, u) && scalable(network, *a, f)
        }
        Kind::Polynomial { .. } => true,
    }
}

/// The factor of product `u` that can be made `f` times as large.
fn factor_side(network: &Network, u: usize, a: usize, b: usize, f: f64) -> Option<usize> {
    let fits = |x: &usize| others_absorb(network, *x, u) && scalable(network, *x, f);
    [a, b].into_iter().find(fits)
}

/// Makes `u` `f` times as large, and divides by `f` wherever another than `user` uses it.
fn apply(network: &mut Network, u: usize, f: f64, user: usize) {
    for (v, value) in network.values.iter_mut().enumerate() {
        if let Kind::Linear { terms, .. } = &mut value.kind
            && v != user
        {
            let of_u = terms.iter_mut().filter(|(x, _)| *x == u);
            of_u.for_each(|(_, term)| multiply(term, 1.0 / f));
        }
    }
    let square = matches!(network.values[u].kind, Kind::Square(_));
    if let Some(exact) = network.exact.get_mut(&u) {
        exact.rescale(f, if square { libm::sqrt(f) } else { 1.0 });
    }
    let below = match &mut network.values[u].kind {
        Kind::Linear { terms, bias } => {
            terms.iter_mut().for_each(|(_, term)| multiply(term, f));
            bias.iter_mut().for_each(|b| *b *= f);
            None
        }
        Kind::Polynomial { program, .. } => {
            *program = Arc::new(program.scaled(f));
            None
        }
        Kind::Fold(a, _) | Kind::View(a, _) => Some((*a, f)),
        Kind::Square(a) => Some((*a, libm::sqrt(f))),
        Kind::Mul(a, b) => {
            let (a, b) = (*a, *b);
            factor_side(network, u, a, b, f).map(|side| (side, f))
        }
        Kind::Input(_) => None,
    };
    if let Some((below, f)) = below {
        apply(network, below, f, u);
    }
}

fn multiply(term: &mut Term, f: f64) {
    match term {
        Term::Matrix(m) => *m = Arc::new(sparse::scale(m, f)),
        Term::Scalar(s) => *s *= f,
        Term::Gain(g) => *term = Term::Scalar(*g * f),
    }
}
