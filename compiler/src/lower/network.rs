//! The network between the two stages: a few values that will be ciphertexts, joined by sums of matrices and by
//! products.
//!
//! Affine operations are not lowered one by one. Each tensor value is kept as a *pending* sum of matrices times
//! values that exist already, plus a bias, and becomes a value of its own only where a product, an output or a
//! second user needs it. So chains of layers collapse, data movement vanishes, and factors (a polynomial's leading
//! coefficient, a scaling) move through squares into the next matrix without taking a level.

use super::LowerError;
use super::affine::{affine_map, broadcast, matmul_indices};
use super::packing::dense_diagonals;
use super::sparse::{
    self, RowBuilder, as_scaled_identity, as_scaled_selection, scaled_identity, selection,
};
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::tensor::{Module, Op};
use cipherloom_ir::value::{Range, Tensors, element_count};
use cipherloom_ir::{NodeId, Origin};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Products of encrypted matrices are spelled out element by element up to this many products.
const MAX_PRODUCT_TERMS: usize = 1 << 20;

/// Two matrices whose product takes more multiplications than this are not tried together.
const MAX_COMPOSE_WORK: usize = 400_000_000;

/// Values whose range is not known yet are taken to be of this size.
const UNKNOWN_RANGE: f64 = 4.0;

/// A summand of a linear value.
#[derive(Clone, Debug)]
pub(crate) enum Term {
    /// The operand itself.
    Identity,
    /// The operand times a number.
    Scalar(f64),
    /// A matrix times the operand.
    Matrix(Arc<Matrix>),
}

/// How a value is made.
#[derive(Clone, Debug)]
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
            Kind::Square(a) => vec![*a],
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
}

impl Network {
    /// All values for one sample; `None` where an input is missing or has another number of elements.
    pub(crate) fn eval(&self, inputs: &Tensors) -> Option<Vec<Vec<f64>>> {
        let mut all: Vec<Vec<f64>> = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let data = match &value.kind {
                Kind::Input(name) => inputs
                    .get(name)
                    .filter(|t| t.len() == value.len())?
                    .data()
                    .to_vec(),
                Kind::Linear { terms, bias } => {
                    let mut sum = if bias.is_empty() {
                        vec![0.0; value.len()]
                    } else {
                        bias.clone()
                    };
                    for (operand, term) in terms {
                        let x = &all[*operand];
                        match term {
                            Term::Identity => sum.iter_mut().zip(x).for_each(|(s, x)| *s += x),
                            Term::Scalar(f) => sum.iter_mut().zip(x).for_each(|(s, x)| *s += f * x),
                            Term::Matrix(m) => {
                                sum.iter_mut()
                                    .zip(sparse::apply(m, x))
                                    .for_each(|(s, x)| *s += x);
                            }
                        }
                    }
                    sum
                }
                Kind::Mul(a, b) => all[*a].iter().zip(&all[*b]).map(|(a, b)| a * b).collect(),
                Kind::Square(a) => all[*a].iter().map(|a| a * a).collect(),
            };
            all.push(data);
        }
        Some(all)
    }
}

/// A tensor value that is not made yet.
#[derive(Clone)]
struct Pending {
    terms: Vec<(usize, Arc<Matrix>)>,
    bias: Vec<f64>,
    name: String,
}

impl Pending {
    fn of(value: usize, len: usize) -> Self {
        Self {
            terms: vec![(value, Arc::new(scaled_identity(len, 1.0)))],
            bias: vec![0.0; len],
            name: String::new(),
        }
    }

    fn has_bias(&self) -> bool {
        self.bias.iter().any(|b| *b != 0.0)
    }

    /// One value behind a selection of equal factors and no bias: elementwise operations may pass it.
    fn as_selection(&self) -> Option<(usize, f64)> {
        match self.terms.as_slice() {
            [(value, matrix)] if !self.has_bias() => Some((*value, as_scaled_selection(matrix)?)),
            _ => None,
        }
    }

    fn is_movement(&self) -> bool {
        self.terms.len() == 1 && self.terms.iter().all(|(_, m)| sparse::is_movement(m))
    }

    fn map(&self, matrix: &Matrix, bias: &[f64]) -> Self {
        let terms = self
            .terms
            .iter()
            .map(|(v, m)| (*v, Arc::new(sparse::product(matrix, m))))
            .collect();
        let mut moved = if self.has_bias() {
            sparse::apply(matrix, &self.bias)
        } else {
            vec![0.0; matrix.rows]
        };
        moved.iter_mut().zip(bias).for_each(|(m, b)| *m += b);
        Self {
            terms,
            bias: moved,
            name: self.name.clone(),
        }
    }

    fn scaled(&self, factor: f64) -> Self {
        let terms = self
            .terms
            .iter()
            .map(|(v, m)| (*v, Arc::new(sparse::scale(m, factor))))
            .collect();
        Self {
            terms,
            bias: self.bias.iter().map(|b| b * factor).collect(),
            name: self.name.clone(),
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut merged: BTreeMap<usize, Arc<Matrix>> = BTreeMap::new();
        for (value, matrix) in self.terms.iter().chain(&other.terms) {
            let sum = match merged.get(value) {
                None => matrix.clone(),
                Some(old) => Arc::new(sparse::sum(old, matrix)),
            };
            merged.insert(*value, sum);
        }
        let bias = self
            .bias
            .iter()
            .zip(&other.bias)
            .map(|(a, b)| a + b)
            .collect();
        let name = if self.name.is_empty() {
            other.name.clone()
        } else {
            self.name.clone()
        };
        Self {
            terms: merged.into_iter().collect(),
            bias,
            name,
        }
    }

    /// The cost of making it now: diagonals in row-major packing.
    fn diagonals(&self) -> usize {
        self.terms.iter().map(|(_, m)| dense_diagonals(m)).sum()
    }
}

/// Lowers a module whose operations are affine or polynomial.
pub(crate) fn build(module: &Module) -> Result<Network, LowerError> {
    let order = module
        .graph
        .topological()
        .map_err(|_| LowerError::Malformed("the graph has a cycle".into()))?;
    let mut builder = Builder {
        module,
        network: Network::default(),
        pending: BTreeMap::new(),
        strides: BTreeMap::new(),
    };
    let unsupported: Vec<(Origin, String)> = order
        .iter()
        .filter_map(|id| module.graph.get(*id))
        .filter(|n| matches!(n.op, Op::Activation(_)))
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
    Ok(builder.network)
}

struct Builder<'m> {
    module: &'m Module,
    network: Network,
    pending: BTreeMap<NodeId, Pending>,
    strides: BTreeMap<NodeId, usize>,
}

impl Builder<'_> {
    fn malformed(&self, id: NodeId) -> LowerError {
        let what = self
            .module
            .graph
            .get(id)
            .map(|n| format!("{} ({})", n.op.name(), n.origin))
            .unwrap_or_default();
        LowerError::Malformed(format!("operation {id} {what} does not fit its operands"))
    }

    fn push(&mut self, id: NodeId, kind: Kind, shape: Vec<usize>, name: String) -> usize {
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
    fn materialise(
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
                Some(1.0) => Term::Identity,
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
    fn make(&mut self, id: NodeId) -> Result<usize, LowerError> {
        let pending = self
            .pending
            .get(&id)
            .cloned()
            .ok_or_else(|| self.malformed(id))?;
        let shape = self
            .module
            .graph
            .get(id)
            .map(|n| n.shape.clone())
            .unwrap_or_default();
        let made = self.materialise(id, &pending, &shape)?;
        let len = self.network.values[made].len();
        self.pending.insert(id, Pending::of(made, len));
        Ok(made)
    }

    /// A pending tensor as one value behind a uniform selection, made if it is not of that form.
    fn selected(&mut self, id: NodeId) -> Result<(usize, Arc<Matrix>, f64), LowerError> {
        let pending = self
            .pending
            .get(&id)
            .cloned()
            .ok_or_else(|| self.malformed(id))?;
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
        if operands.len() != node.op.arity() {
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
            Op::Mul => self.product(id, operands[0], operands[1])?,
            Op::MatMul => self.matmul(id, operands[0], operands[1])?,
            Op::Power { exponent } => {
                let mut coefficients = vec![0.0; *exponent as usize + 1];
                if let Some(last) = coefficients.last_mut() {
                    *last = 1.0;
                }
                self.polynomial(operands[0], &coefficients)?
            }
            Op::Polynomial { coefficients } => self.polynomial(operands[0], coefficients)?,
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
        let pending = self
            .pending
            .get(&operand)
            .cloned()
            .ok_or_else(|| self.malformed(id))?;
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

    fn broadcast(&self, id: NodeId, operand: NodeId) -> Result<Pending, LowerError> {
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

    fn square_of(&mut self, id: NodeId, value: usize) -> usize {
        let old = self
            .network
            .values
            .iter()
            .position(|v| matches!(v.kind, Kind::Square(a) if a == value));
        if let Some(old) = old {
            return old;
        }
        let (shape, stride) = (
            self.network.values[value].shape.clone(),
            self.network.values[value].stride,
        );
        let made = self.push(id, Kind::Square(value), shape, String::new());
        self.network.values[made].stride = stride;
        made
    }

    fn mul_of(&mut self, id: NodeId, a: usize, b: usize) -> usize {
        if a == b {
            return self.square_of(id, a);
        }
        let (a, b) = (a.min(b), a.max(b));
        let old = self
            .network
            .values
            .iter()
            .position(|v| matches!(v.kind, Kind::Mul(x, y) if (x, y) == (a, b)));
        if let Some(old) = old {
            return old;
        }
        let (shape, stride) = (
            self.network.values[a].shape.clone(),
            self.network.values[a].stride,
        );
        let made = self.push(id, Kind::Mul(a, b), shape, String::new());
        self.network.values[made].stride = stride;
        made
    }

    fn product(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Pending, LowerError> {
        if a == b {
            return self.polynomial(a, &[0.0, 0.0, 1.0]);
        }
        let shape = |id| {
            self.module
                .graph
                .get(id)
                .map(|n| n.shape.clone())
                .unwrap_or_default()
        };
        let out = shape(id);
        if shape(a) == out && shape(b) == out {
            let ((va, ma, fa), (vb, mb, fb)) = (self.selected(a)?, self.selected(b)?);
            if ma == mb {
                let made = self.mul_of(id, va, vb);
                let len = ma.rows;
                let matrix = Arc::new(sparse::scale(&ma, fa * fb));
                return Ok(Pending {
                    terms: vec![(made, matrix)],
                    bias: vec![0.0; len],
                    name: String::new(),
                });
            }
        }
        let (pa, pb) = (self.broadcast(id, a)?, self.broadcast(id, b)?);
        let va = self.materialise(id, &pa, &out)?;
        let vb = self.materialise(id, &pb, &out)?;
        let made = self.mul_of(id, va, vb);
        Ok(Pending::of(made, element_count(&out).unwrap_or(0)))
    }

    fn matmul(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Pending, LowerError> {
        let shape = |id| {
            self.module
                .graph
                .get(id)
                .map(|n| n.shape.clone())
                .unwrap_or_default()
        };
        let (sa, sb, out) = (shape(a), shape(b), shape(id));
        let (left, right) = matmul_indices(&sa, &sb, &out).ok_or_else(|| self.malformed(id))?;
        let k = left.first().map_or(0, Vec::len);
        let terms = left.len() * k;
        if terms > MAX_PRODUCT_TERMS {
            let origin = self
                .module
                .graph
                .get(id)
                .map_or(Origin::Pass("lower".into()), |n| n.origin.clone());
            return Err(LowerError::TooLarge {
                origin,
                elements: terms,
            });
        }
        let spread = |rows: &[Vec<usize>], shape: &[usize]| {
            let sources: Vec<usize> = rows.iter().flatten().copied().collect();
            selection(
                sources.into_iter().map(Some),
                element_count(shape).unwrap_or(0),
            )
        };
        let wide = vec![left.len(), k];
        let zeros = vec![0.0; terms];
        let pending = |id| {
            self.pending
                .get(&id)
                .cloned()
                .ok_or_else(|| self.malformed(id))
        };
        let pa = pending(a)?.map(&spread(&left, &sa), &zeros);
        let pb = pending(b)?.map(&spread(&right, &sb), &zeros);
        let (va, vb) = (
            self.materialise(id, &pa, &wide)?,
            self.materialise(id, &pb, &wide)?,
        );
        let made = self.mul_of(id, va, vb);
        let mut rows = RowBuilder::new(terms);
        for r in 0..left.len() {
            (0..k).for_each(|i| rows.push(r * k + i, 1.0));
            rows.end_row();
        }
        let bias = vec![0.0; left.len()];
        Ok(Pending {
            terms: vec![(made, Arc::new(rows.finish()))],
            bias,
            name: String::new(),
        })
    }

    fn polynomial(&mut self, operand: NodeId, coefficients: &[f64]) -> Result<Pending, LowerError> {
        let degree = coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
        let coefficient = |k: usize| coefficients.get(k).copied().unwrap_or(0.0);
        let pending = self
            .pending
            .get(&operand)
            .cloned()
            .ok_or_else(|| self.malformed(operand))?;
        if degree <= 1 {
            let mut result = pending.scaled(coefficient(1));
            result.bias.iter_mut().for_each(|b| *b += coefficient(0));
            return Ok(result);
        }
        let monomial = coefficients[..degree].iter().all(|c| *c == 0.0);
        if monomial {
            let (value, matrix, factor) = self.selected(operand)?;
            let power = self.power(operand, value, degree);
            let factor = coefficient(degree) * libm::pow(factor, degree as f64);
            let bias = vec![0.0; matrix.rows];
            let terms = vec![(power, Arc::new(sparse::scale(&matrix, factor)))];
            return Ok(Pending {
                terms,
                bias,
                name: String::new(),
            });
        }
        if degree == 2 {
            // a x^2 + b x + c = a (x + b/2a)^2 + (c - b^2/4a): the shift joins the bias before, the rest what follows.
            let (a, b, c) = (coefficient(2), coefficient(1), coefficient(0));
            let shift = b / (2.0 * a);
            let range = self
                .module
                .graph
                .get(operand)
                .and_then(|n| n.range)
                .map_or(UNKNOWN_RANGE, Range::max_abs);
            // A shift far beyond the values would square a large number and cancel it again.
            if shift.abs() <= 4.0 * range {
                let mut shifted = pending;
                shifted.bias.iter_mut().for_each(|v| *v += shift);
                let shape = self
                    .module
                    .graph
                    .get(operand)
                    .map(|n| n.shape.clone())
                    .unwrap_or_default();
                let base = self.materialise(operand, &shifted, &shape)?;
                let square = self.square_of(operand, base);
                let len = self.network.values[square].len();
                let mut result = Pending::of(square, len).scaled(a);
                result.bias = vec![c - b * b / (4.0 * a); len];
                return Ok(result);
            }
        }
        let base = self.make(operand)?;
        let len = self.network.values[base].len();
        let mut result = Pending::of(base, len).scaled(coefficient(1));
        if coefficient(1) == 0.0 {
            result.terms.clear();
        }
        for k in 2..=degree {
            if coefficient(k) != 0.0 {
                let power = self.power(operand, base, k);
                result = result.plus(&Pending::of(power, len).scaled(coefficient(k)));
            }
        }
        result.bias.iter_mut().for_each(|b| *b += coefficient(0));
        Ok(result)
    }

    /// `value^k` with a depth of ceil(log2 k); powers that exist are used again.
    fn power(&mut self, id: NodeId, value: usize, k: usize) -> usize {
        if k <= 1 {
            return value;
        }
        let low = self.power(id, value, k / 2);
        let high = self.power(id, value, k - k / 2);
        self.mul_of(id, low, high)
    }
}

fn unit_entries(m: &Matrix) -> Matrix {
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
