//! The network of a module.
//!
//! Affine operations are not lowered one by one. Each tensor value is kept as a *pending* sum of matrices times
//! values that exist already, plus a bias, and becomes a value of its own only where a product, an output or a
//! second user needs it. So chains of layers collapse, data movement vanishes, and factors (a polynomial's leading
//! coefficient, a scaling) move through squares into the next matrix without taking a level.

use super::super::LowerError;
use super::super::affine::{affine_map, broadcast};
use super::super::packing::dense_diagonals;
use super::super::sparse::{self, as_scaled_identity, scaled_identity, selection};
use super::pending::Pending;
use super::{Kind, Network, Term, Value};
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::tensor::{Module, Op};
use cipherloom_ir::value::element_count;
use cipherloom_ir::{NodeId, Origin};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Two matrices whose product takes more multiplications than this are not tried together.
const MAX_COMPOSE_WORK: usize = 400_000_000;

/// Lowers a module whose operations are affine or polynomial; values may exceed their ranges by the factor `margin`.
pub(crate) fn build(module: &Module, margin: f64) -> Result<Network, LowerError> {
    let order = module
        .graph
        .topological()
        .map_err(|_| LowerError::Malformed("the graph has a cycle".into()))?;
    let mut builder = Builder {
        module,
        margin,
        network: Network::default(),
        pending: BTreeMap::new(),
        strides: BTreeMap::new(),
    };
    let unsupported: Vec<(Origin, String)> = order
        .iter()
        .filter_map(|id| module.graph.get(*id))
        .filter(|n| !has_form(&n.op))
        .map(|n| (n.origin.clone(), n.op.name().to_owned()))
        .collect();
    if !unsupported.is_empty() {
        return Err(LowerError::Unsupported(unsupported));
    }
    for id in order {
        builder.lower(id)?;
    }
    for output in &module.outputs {
        let made = builder.make(output.node)?;
        builder.network.outputs.push(made);
    }
    super::fold::settle(&mut builder.network);
    Ok(builder.network)
}

pub(super) struct Builder<'m> {
    pub(super) module: &'m Module,
    pub(super) margin: f64,
    pub(super) network: Network,
    pub(super) pending: BTreeMap<NodeId, Pending>,
    pub(super) strides: BTreeMap<NodeId, usize>,
}

impl Builder<'_> {
    pub(super) fn malformed(&self, id: NodeId) -> LowerError {
        let what = self
            .module
            .graph
            .get(id)
            .map(|n| format!("{} ({})", n.op.name(), n.origin))
            .unwrap_or_default();
        LowerError::Malformed(format!("operation {id} {what} does not fit its operands"))
    }

    pub(super) fn shape_of(&self, id: NodeId) -> Vec<usize> {
        self.module
            .graph
            .get(id)
            .map(|n| n.shape.clone())
            .unwrap_or_default()
    }

    pub(super) fn pending_of(&self, id: NodeId) -> Result<Pending, LowerError> {
        let pending = self.pending.get(&id).cloned();
        pending.ok_or_else(|| self.malformed(id))
    }

    pub(super) fn push(
        &mut self,
        id: NodeId,
        kind: Kind,
        shape: Vec<usize>,
        name: String,
    ) -> usize {
        let origin = self
            .module
            .graph
            .get(id)
            .map_or(Origin::Pass("lower".into()), |n| n.origin.clone());
        let stride = self.strides.get(&id).copied().unwrap_or(1);
        self.network.values.push(Value {
            kind,
            shape,
            stride,
            origin,
            name,
        });
        self.network.values.len() - 1
    }

    /// Makes a pending tensor a value of its own.
    pub(super) fn materialise(
        &mut self,
        id: NodeId,
        pending: &Pending,
        shape: &[usize],
    ) -> Result<usize, LowerError> {
        if let ([(value, matrix)], false) = (pending.terms.as_slice(), pending.has_bias())
            && as_scaled_identity(matrix) == Some(1.0)
        {
            return Ok(*value);
        }
        let mut terms = Vec::new();
        for (value, matrix) in &pending.terms {
            let term = match as_scaled_identity(matrix) {
                _ if matrix.entries() == 0 => continue,
                Some(1.0) => Term::Gain(1.0),
                Some(factor) => Term::Scalar(factor),
                None => Term::Matrix(matrix.clone()),
            };
            terms.push((*value, term));
        }
        if terms.is_empty() {
            let origin = self
                .module
                .graph
                .get(id)
                .map_or(Origin::Pass("lower".into()), |n| n.origin.clone());
            return Err(LowerError::Constant(origin));
        }
        let bias = if pending.has_bias() {
            pending.bias.clone()
        } else {
            vec![]
        };
        // A value with an operand's own elements keeps the operand's shape, and so its packing.
        let movement = terms.iter().find(|(_, t)| !matches!(t, Term::Matrix(_)));
        let (shape, stride) = match movement {
            Some((v, _)) => (
                self.network.values[*v].shape.clone(),
                Some(self.network.values[*v].stride),
            ),
            None => (shape.to_vec(), None),
        };
        let made = self.push(
            id,
            Kind::Linear { terms, bias },
            shape,
            pending.name.clone(),
        );
        if let Some(stride) = stride {
            self.network.values[made].stride = stride;
        }
        Ok(made)
    }

    /// The value of a tensor, made if it is not yet.
    pub(super) fn make(&mut self, id: NodeId) -> Result<usize, LowerError> {
        let (pending, shape) = (self.pending_of(id)?, self.shape_of(id));
        let made = self.materialise(id, &pending, &shape)?;
        let len = self.network.values[made].len();
        self.pending.insert(id, Pending::of(made, len));
        Ok(made)
    }

    /// A pending tensor as one value behind a uniform selection, made if it is not of that form.
    pub(super) fn selected(&mut self, id: NodeId) -> Result<(usize, Arc<Matrix>, f64), LowerError> {
        let pending = self.pending_of(id)?;
        if let (Some((value, factor)), [(_, matrix)]) =
            (pending.as_selection(), pending.terms.as_slice())
        {
            let unit = if factor == 1.0 {
                matrix.clone()
            } else {
                Arc::new(unit_entries(matrix))
            };
            return Ok((value, unit, factor));
        }
        let made = self.make(id)?;
        Ok((
            made,
            Arc::new(scaled_identity(self.network.values[made].len(), 1.0)),
            1.0,
        ))
    }

    fn lower(&mut self, id: NodeId) -> Result<(), LowerError> {
        let module = self.module;
        let Some(node) = module.graph.get(id) else {
            return Ok(());
        };
        let operands = module.graph.operands(id);
        if !node.op.takes(operands.len()) {
            return Err(self.malformed(id));
        }
        let step = match &node.op {
            Op::Conv(c) => c.strides[0].max(c.strides[1]),
            Op::AveragePool(p) => p.strides[0].max(p.strides[1]),
            _ => 1,
        };
        let stride = operands
            .iter()
            .filter_map(|o| self.strides.get(o))
            .max()
            .copied()
            .unwrap_or(1);
        self.strides.insert(id, stride.saturating_mul(step.max(1)));
        let pending = match &node.op {
            Op::Input { name } => {
                let made = self.push(
                    id,
                    Kind::Input(name.clone()),
                    node.shape.clone(),
                    name.clone(),
                );
                Pending::of(made, self.network.values[made].len())
            }
            Op::Add | Op::Sub => {
                let sign = if node.op == Op::Sub { -1.0 } else { 1.0 };
                let a = self.broadcast(id, operands[0])?;
                let b = self.broadcast(id, operands[1])?;
                a.plus(&b.scaled(sign))
            }
            Op::Concat { axis } => self.concat(id, *axis, &operands)?,
            Op::Mul => self.product(id, operands[0], operands[1])?,
            Op::MatMul => self.matmul(id, operands[0], operands[1])?,
            Op::Power { exponent } => {
                let mut coefficients = vec![0.0; *exponent as usize + 1];
                if let Some(last) = coefficients.last_mut() {
                    *last = 1.0;
                }
                self.polynomial(id, operands[0], &coefficients)?
            }
            Op::Polynomial { coefficients } => self.polynomial(id, operands[0], coefficients)?,
            Op::Approximation {
                function,
                domain,
                coefficients,
            } => self.series(id, operands[0], *domain, coefficients, Some(function))?,
            _ => self.affine(id, operands[0])?,
        };
        let users =
            module.graph.users(id).len() + module.outputs.iter().filter(|o| o.node == id).count();
        self.pending.insert(id, pending);
        let movement = self
            .pending
            .get(&id)
            .is_some_and(|p| p.is_movement() && !p.has_bias());
        if users > 1 && !movement {
            self.make(id)?;
        }
        Ok(())
    }

    fn affine(&mut self, id: NodeId, operand: NodeId) -> Result<Pending, LowerError> {
        let map = affine_map(self.module, id).ok_or_else(|| self.malformed(id))?;
        let name = self.name_of(id);
        let pending = self.pending_of(operand)?;
        let pending = self.fold_before(operand, pending, &map.matrix);
        let trivial = sparse::is_movement(&map.matrix)
            || pending.terms.iter().all(|(_, m)| sparse::is_movement(m))
                && pending.terms.len() == 1;
        let mut composed = None;
        if trivial {
            composed = Some(pending.map(&map.matrix, &map.bias));
        } else if pending
            .terms
            .iter()
            .all(|(_, m)| work(&map.matrix, m) <= MAX_COMPOSE_WORK)
        {
            let candidate = pending.map(&map.matrix, &map.bias);
            let apart = pending.diagonals() + dense_diagonals(&map.matrix);
            // A level saved is worth a quarter of the diagonals and a few more.
            if candidate.diagonals() <= apart + apart / 4 + 16 {
                composed = Some(candidate);
            }
        }
        let mut result = match composed {
            Some(composed) => composed,
            None => {
                let made = self.make(operand)?;
                Pending::of(made, self.network.values[made].len()).map(&map.matrix, &map.bias)
            }
        };
        if !sparse::is_movement(&map.matrix) || result.name.is_empty() {
            result.name = name;
        }
        Ok(result)
    }

    /// The sum of the operands, each moved to its place in the result.
    fn concat(&self, id: NodeId, axis: usize, operands: &[NodeId]) -> Result<Pending, LowerError> {
        let shape = |id| self.module.graph.get(id).map(|n| n.shape.as_slice());
        let malformed = || self.malformed(id);
        let out = shape(id).ok_or_else(malformed)?;
        let parts: Option<Vec<&[usize]>> = operands.iter().map(|o| shape(*o)).collect();
        let places = sparse::concat_places(out, &parts.ok_or_else(malformed)?, axis);
        let mut sum = None::<Pending>;
        for (operand, place) in operands.iter().zip(places.ok_or_else(malformed)?) {
            let part = self.pending.get(operand).ok_or_else(malformed)?;
            let part = part.map(&place, &vec![0.0; place.rows]);
            sum = Some(match sum {
                None => part,
                Some(sum) => sum.plus(&part),
            });
        }
        sum.ok_or_else(malformed)
    }

    fn name_of(&self, id: NodeId) -> String {
        let Some(node) = self.module.graph.get(id) else {
            return String::new();
        };
        let constant = match &node.op {
            Op::Conv(c) => Some(c.weight),
            Op::Gemm { weight, .. } | Op::ConstMatMul { weight } => Some(*weight),
            Op::Affine { scale, .. } => Some(*scale),
            Op::AddConst { value } | Op::MulConst { value } => Some(*value),
            _ => None,
        };
        let named = constant
            .and_then(|c| self.module.constant(c))
            .map(|c| c.name.clone());
        named.unwrap_or_else(|| node.op.name().to_owned())
    }

    pub(super) fn broadcast(&self, id: NodeId, operand: NodeId) -> Result<Pending, LowerError> {
        let shape = |id| self.module.graph.get(id).map(|n| n.shape.as_slice());
        let pending = self.pending.get(&operand);
        let (Some(out), Some(from), Some(pending)) = (shape(id), shape(operand), pending) else {
            return Err(self.malformed(id));
        };
        if out == from {
            return Ok(pending.clone());
        }
        let sources = broadcast(out, from).ok_or_else(|| self.malformed(id))?;
        let count = sources.len();
        let matrix = selection(
            sources.into_iter().map(Some),
            element_count(from).unwrap_or(0),
        );
        Ok(pending.map(&matrix, &vec![0.0; count]))
    }
}

/// Whether the operation is lowered here.
fn has_form(op: &Op) -> bool {
    let products = matches!(
        op,
        Op::Add
            | Op::Sub
            | Op::Mul
            | Op::MatMul
            | Op::Power { .. }
            | Op::Polynomial { .. }
            | Op::Approximation { .. }
    );
    products || op.is_affine() || matches!(op, Op::Input { .. } | Op::Concat { .. })
}

/// The matrix with 1 for each of its entries.
pub(super) fn unit_entries(m: &Matrix) -> Matrix {
    let mut unit = m.clone();
    unit.values.iter_mut().for_each(|v| *v = 1.0);
    unit
}

/// The multiplications of the product of two matrices.
fn work(a: &Matrix, b: &Matrix) -> usize {
    if as_scaled_identity(b).is_some() {
        return 0;
    }
    let lengths: Vec<usize> = b.row_starts.windows(2).map(|w| w[1] - w[0]).collect();
    a.columns
        .iter()
        .map(|c| lengths.get(*c as usize).copied().unwrap_or(0))
        .sum()
}
