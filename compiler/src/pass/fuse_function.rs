//! fuse-function: operations that together compute a named function of one value become that function: `x
//! sigmoid(x)` is silu, `x (1 + erf(x / sqrt(2))) / 2` gelu, a softplus that is replaced by x above a threshold softplus.
//!
//! Exporters spell functions out, each in its own way, so the spelling does not count: every part of the graph that
//! computes one value from one other ([`region`]) is taken as a function of one number and compared with the named
//! ones at fixed points ([`recognise`]). It leaves alone what is no named function (each function is then
//! approximated by itself), polynomials (fuse-polynomial does those), constants that differ from element to element,
//! and parts of which a value inside is needed elsewhere, since fusing would compute it twice.

mod recognise;
mod region;

use super::{PassError, TensorPass};
use cipherloom_ir::tensor::{Module, Op, Patch};
use cipherloom_ir::{NodeId, Tensor};
use recognise::{Factors, Named, recognise};
use region::Region;
use std::collections::BTreeMap;

/// The pass; see the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub struct FuseFunction;

impl TensorPass for FuseFunction {
    fn name(&self) -> &'static str {
        "fuse-function"
    }

    fn doc(&self) -> &'static str {
        "put operations that compute a named function of one value together, such as x sigmoid(x)"
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        let Ok(order) = module.graph.topological() else {
            return Ok(None);
        };
        let positions: BTreeMap<NodeId, usize> =
            order.iter().enumerate().map(|(p, id)| (*id, p)).collect();
        // The last value first, and the widest part that is exactly a named function: what it consists of is not
        // fused by itself. Factors are written anew only where no part goes without.
        for id in order.iter().rev() {
            let regions = region::regions(module, &positions, *id);
            let exact = regions.iter().rev().map(|r| (r, Factors::None));
            let scaled = regions.iter().map(|r| (r, Factors::Fitted));
            for (region, factors) in exact.chain(scaled) {
                if let Some(patch) = propose(module, region, factors) {
                    return Ok(Some(patch));
                }
            }
        }
        Ok(None)
    }
}

fn propose(module: &Module, region: &Region, factors: Factors) -> Option<Patch> {
    // A function alone, or between factors, stands already.
    let done = match factors {
        Factors::None => region.inner.len() == 1 && region.functions == 1,
        Factors::Fitted => region.functions + region.others < 2,
    };
    if done {
        return None;
    }
    let Named {
        function,
        inner,
        outer,
    } = recognise(module, region, factors)?;
    let id = region.result()?;
    let node = module.graph.get(id)?;
    let origins = region.inner.iter().filter_map(|i| module.graph.get(*i));
    let origin = origins
        .map(|n| n.origin.clone())
        .reduce(|all, next| all.merge(&next))?;
    let mut patch = Patch::new(module);
    let mut value = region.root;
    let scaled = |patch: &mut Patch, value, name: &str, factor: f64| {
        if factor == 1.0 {
            return Some(value);
        }
        let factor = patch.add_constant(name, Tensor::filled(vec![], factor)?);
        let op = Op::MulConst { value: factor };
        Some(patch.add(op, &[value], node.shape.clone(), None, origin.clone()))
    };
    value = scaled(&mut patch, value, "inner", inner)?;
    let shape = node.shape.clone();
    let range = node.range.filter(|_| outer == 1.0);
    value = patch.add(
        Op::Function(function),
        &[value],
        shape,
        range,
        origin.clone(),
    );
    value = scaled(&mut patch, value, "outer", outer)?;
    patch.replace(id, value);
    Some(patch)
}
