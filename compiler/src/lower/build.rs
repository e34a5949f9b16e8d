//! The circuit of a network whose packing, levels and parameters are chosen, with exact scales.
//!
//! A plaintext scale is the exact rational that brings its product to the scale that is wanted after the rescale:
//! `s_plain = s_out q_l / s_in`. So no two summands ever differ in scale.

use super::levels::{Levels, consumes};
use super::network::{Kind, Network, Term};
use super::noise::{Analysis, Source};
use super::params::Chosen;
use super::polynomial::Program;
use super::scales::exact_scales;
use super::statistics::Statistics;
use super::{InputKnowledge, LowerError, Options};
use cipherloom_ir::circuit::{
    Circuit, CircuitNode, CircuitOp, LayoutId, Matrix, MatrixId, Port, TransformShape, Vector,
    VectorId,
};
use cipherloom_ir::graph::Dag;
use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::Range;
use cipherloom_ir::{NodeId, Scale, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Builds the circuit.
pub(super) fn circuit(
    module: &Module,
    network: &Network,
    levels: &Levels,
    statistics: &Statistics,
    inputs: InputKnowledge<'_>,
    options: &Options,
    chosen: &Chosen,
) -> Result<Circuit, LowerError> {
    let max = super::levels::group_max(levels, statistics);
    let analysis = Analysis::new(network, levels, statistics, &chosen.packing, max);
    let variances = analysis.variances(&chosen.candidate);
    let mut noise: Vec<f64> = variances.iter().map(|v| mean(v)).collect();
    let sources = analysis.sources(&chosen.candidate);
    for (i, output) in network.outputs.iter().enumerate() {
        noise[*output] = mean(&statistics.gains.variances(i, &sources));
    }
    let mut builder = Builder {
        network,
        levels,
        statistics,
        chosen,
        scales: exact_scales(network, levels, &analysis, chosen)?,
        sources,
        noise,
        made: Vec::new(),
        dropped: BTreeMap::new(),
        circuit: Circuit {
            name: module.name.clone(),
            source: module.source.clone(),
            params: chosen.literal.clone(),
            graph: Dag::new(),
            layouts: chosen.packing.layouts.clone(),
            matrices: vec![],
            vectors: vec![],
            inputs: vec![],
            outputs: vec![],
        },
    };
    for v in 0..network.values.len() {
        let node = builder.value(v)?;
        builder.made.push(node);
    }
    for input in &module.inputs {
        let made = network
            .values
            .iter()
            .position(|v| matches!(&v.kind, Kind::Input(n) if *n == input.name));
        let Some(v) = made else { continue };
        let shape = module
            .graph
            .get(input.node)
            .map(|n| n.shape.clone())
            .unwrap_or_default();
        let known = inputs
            .ranges
            .get(&input.name)
            .copied()
            .unwrap_or(statistics.ranges[v]);
        builder.circuit.inputs.push(Port {
            name: input.name.clone(),
            node: builder.made[v],
            shape,
            dtype: input.dtype,
            batched: input.batched,
            clear: input.clear,
            range: known.widened(options.margin),
        });
    }
    for (output, v) in module.outputs.iter().zip(&network.outputs) {
        builder.circuit.outputs.push(Port {
            name: output.name.clone(),
            node: builder.made[*v],
            shape: module
                .graph
                .get(output.node)
                .map(|n| n.shape.clone())
                .unwrap_or_default(),
            dtype: output.dtype,
            batched: output.batched,
            clear: false,
            range: statistics.ranges[*v],
        });
    }
    Ok(builder.circuit)
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

struct Builder<'b> {
    network: &'b Network,
    levels: &'b Levels,
    statistics: &'b Statistics,
    chosen: &'b Chosen,
    scales: Vec<Scale>,
    sources: Vec<Source>,
    noise: Vec<f64>,
    made: Vec<NodeId>,
    dropped: BTreeMap<(usize, usize), NodeId>,
    circuit: Circuit,
}

impl Builder<'_> {
    fn add(
        &mut self,
        op: CircuitOp,
        operands: &[NodeId],
        template: &CircuitNode,
    ) -> Result<NodeId, LowerError> {
        let node = CircuitNode {
            op,
            ..template.clone()
        };
        let added = self.circuit.graph.add(node, operands);
        added.ok_or_else(|| LowerError::Malformed("an operand of the circuit is missing".into()))
    }

    /// What is known of value `v` once it is made.
    fn template(&self, v: usize) -> CircuitNode {
        CircuitNode {
            op: CircuitOp::Rescale,
            level: self.levels.level[v],
            scale: self.scales[v].clone(),
            layout: LayoutId(self.chosen.packing.of[v] as u32),
            range: self.statistics.ranges[v],
            mean_square: self.statistics.mean_square(v),
            noise: self.noise[v],
            approximation: self
                .statistics
                .approximations
                .as_ref()
                .and_then(|a| a.get(v).copied()),
            origin: self.network.values[v].origin.clone(),
        }
    }

    /// Value `u` at `level`.
    fn at(&mut self, u: usize, level: usize) -> Result<NodeId, LowerError> {
        if self.levels.level[u] == level {
            return Ok(self.made[u]);
        }
        if let Some(done) = self.dropped.get(&(u, level)) {
            return Ok(*done);
        }
        let template = CircuitNode {
            level,
            ..self.template(u)
        };
        let node = self.add(CircuitOp::DropLevel, &[self.made[u]], &template)?;
        self.dropped.insert((u, level), node);
        Ok(node)
    }

    fn unique(&self, name: &str) -> String {
        let base = if name.is_empty() { "matrix" } else { name };
        let taken = |n: &str| {
            self.circuit.matrices.iter().any(|m| m.name == n)
                || self.circuit.vectors.iter().any(|v| v.name == n)
        };
        let mut unique = base.to_owned();
        let mut suffix = 1;
        while taken(&unique) {
            suffix += 1;
            unique = format!("{base}.{suffix}");
        }
        unique
    }

    fn value(&mut self, v: usize) -> Result<NodeId, LowerError> {
        let done = self.template(v);
        let level = done.level;
        let prime = self
            .chosen
            .literal
            .q
            .get(level + 1)
            .and_then(|q| Scale::from_u64(*q))
            .unwrap_or_else(Scale::one);
        let rounding = self.sources[v].rounding;
        // The value before its rescale: at the level above, at the scale times the prime.
        let open = CircuitNode {
            level: level + 1,
            scale: done.scale.mul(&prime),
            noise: (done.noise - rounding).max(0.0),
            ..done.clone()
        };
        let value = &self.network.values[v];
        match &value.kind {
            Kind::Input(name) => self.add(CircuitOp::Input { name: name.clone() }, &[], &done),
            Kind::Fold(a, _) => {
                let operand = self.at(*a, level)?;
                self.add(CircuitOp::Fold, &[operand], &done)
            }
            Kind::View(a, elements) => {
                let operand = self.at(*a, level)?;
                let elements = elements.to_vec();
                self.add(CircuitOp::View { elements }, &[operand], &done)
            }
            Kind::Square(a) => {
                let operand = self.at(*a, level + 1)?;
                let square = self.add(CircuitOp::Square, &[operand], &open)?;
                self.add(CircuitOp::Rescale, &[square], &done)
            }
            Kind::Mul(a, b) => {
                let operands = [self.at(*a, level + 1)?, self.at(*b, level + 1)?];
                let product = self.add(CircuitOp::Mul, &operands, &open)?;
                self.add(CircuitOp::Rescale, &[product], &done)
            }
            Kind::Polynomial { operand, program } => self.polynomial(v, *operand, program),
            Kind::Linear { terms, bias } => {
                let unbiased = self.statistics.unbiased[v];
                let open = CircuitNode {
                    range: unbiased,
                    ..open
                };
                let partial = CircuitNode {
                    range: unbiased,
                    ..done.clone()
                };
                let mut sum: Option<NodeId> = None;
                for (t, (u, term)) in terms.iter().enumerate() {
                    let plain_scale = open.scale.div(&self.scales[*u]);
                    let op = match term {
                        Term::Gain(_) => continue,
                        Term::Scalar(value) => CircuitOp::MulScalar {
                            value: *value,
                            plain_scale,
                        },
                        Term::Matrix(matrix) => self.matvec(v, t, matrix, plain_scale)?,
                    };
                    let operand = self.at(*u, level + 1)?;
                    let product = self.add(op, &[operand], &open)?;
                    sum = Some(match sum {
                        None => product,
                        Some(before) => self.add(CircuitOp::Add, &[before, product], &open)?,
                    });
                }
                let mut result = match sum {
                    Some(sum) => Some(self.add(CircuitOp::Rescale, &[sum], &partial)?),
                    None => None,
                };
                let gains = terms.iter().filter_map(|(u, t)| Some((*u, t.gain()?)));
                let (added, subtracted): (Vec<_>, Vec<_>) = gains.partition(|(_, f)| *f > 0.0);
                for (u, f) in added.into_iter().chain(subtracted) {
                    let operand = self.at(u, level)?;
                    result = Some(self.gain(result, operand, f, &partial)?);
                }
                let Some(result) = result else {
                    return Err(LowerError::Constant(value.origin.clone()));
                };
                debug_assert!(consumes(&value.kind) || sum.is_none());
                if bias.is_empty() {
                    return Ok(result);
                }
                let vector = VectorId(self.circuit.vectors.len() as u32);
                let name = self.unique(&format!("{}.bias", value.name));
                let tensor = Arc::new(Tensor::from_vec(bias.clone()));
                self.circuit.vectors.push(Vector { name, tensor });
                self.add(CircuitOp::AddVector { vector }, &[result], &done)
            }
        }
    }

    /// `sum + f operand`, where the sum has `template`'s scale.
    fn gain(
        &mut self,
        sum: Option<NodeId>,
        operand: NodeId,
        f: f64,
        template: &CircuitNode,
    ) -> Result<NodeId, LowerError> {
        let factor = if sum.is_some() { f.abs() } else { f };
        let mut operand = operand;
        if factor != 1.0 {
            let from = self.circuit.graph.get(operand);
            let from = from.ok_or_else(|| LowerError::Malformed("a summand is missing".into()))?;
            let (a, b) = (factor * from.range.lo, factor * from.range.hi);
            let scaled = CircuitNode {
                range: Range {
                    lo: a.min(b),
                    hi: a.max(b),
                },
                mean_square: factor * factor * from.mean_square,
                noise: factor * factor * from.noise,
                approximation: from.approximation.map(|e| factor * factor * e),
                ..template.clone()
            };
            operand = self.add(CircuitOp::Gain { factor }, &[operand], &scaled)?;
        }
        match sum {
            None => Ok(operand),
            Some(sum) if f < 0.0 => self.add(CircuitOp::Sub, &[sum, operand], template),
            Some(sum) => self.add(CircuitOp::Add, &[sum, operand], template),
        }
    }

    /// The sums of a polynomial, each with its rescale.
    fn polynomial(
        &mut self,
        v: usize,
        operand: usize,
        program: &Program,
    ) -> Result<NodeId, LowerError> {
        let missing = || LowerError::Malformed("a polynomial's values are missing".into());
        let done = self.template(v);
        let top = done.level + program.depth();
        let mut primes = Vec::new();
        for q in &self.chosen.literal.q {
            primes.push(Scale::from_u64(*q).ok_or_else(missing)?);
        }
        let prime = |depth: usize| {
            primes
                .get(top + 1 - depth)
                .cloned()
                .unwrap_or_else(Scale::one)
        };
        let scales = program.scales(&self.scales[operand], &done.scale, prime);
        let statistics = self.statistics;
        let moments = statistics.moments.get(&v).ok_or_else(missing)?;
        let errors: Vec<f64> = std::iter::once(self.noise[operand])
            .chain(self.sources[v].operand.iter().copied())
            .collect();
        let mut nodes = vec![self.made[operand]];
        for (i, sum) in program.sums.iter().enumerate() {
            let value = i + 1;
            let last = value == program.sums.len();
            let scale = scales.get(value).ok_or_else(missing)?;
            let by = moments.inner.get(value).ok_or_else(missing)?;
            let node = CircuitNode {
                op: CircuitOp::Rescale,
                level: top - sum.depth,
                scale: scale.clone(),
                range: *moments.ranges.get(value).ok_or_else(missing)?,
                mean_square: *moments.mean_squares.get(value).ok_or_else(missing)?,
                noise: by.iter().zip(&errors).map(|(a, e)| a * e).sum(),
                // What lies within a polynomial stands for nothing in the network.
                approximation: None,
                ..done.clone()
            };
            let node = if last { done.clone() } else { node };
            let open = CircuitNode {
                level: node.level + 1,
                scale: scale.mul(&prime(sum.depth)),
                ..node.clone()
            };
            let mut operands = Vec::new();
            for x in sum.products.iter().flat_map(|(a, b)| [a, b]) {
                operands.push(*nodes.get(*x).ok_or_else(missing)?);
            }
            let mut factors = Vec::new();
            for (x, factor) in &sum.terms {
                operands.push(*nodes.get(*x).ok_or_else(missing)?);
                factors.push((*factor, open.scale.div(scales.get(*x).ok_or_else(missing)?)));
            }
            let op = CircuitOp::Combine {
                products: sum.products.len(),
                gain: sum.gain,
                factors,
                constant: sum.constant,
            };
            let combined = self.add(op, &operands, &open)?;
            nodes.push(self.add(CircuitOp::Rescale, &[combined], &node)?);
        }
        nodes.last().copied().ok_or_else(missing)
    }

    fn matvec(
        &mut self,
        v: usize,
        t: usize,
        matrix: &Arc<Matrix>,
        plain_scale: Scale,
    ) -> Result<CircuitOp, LowerError> {
        let packing = &self.chosen.packing;
        let (baby_step, diagonals) = match packing.shapes.get(&(v, t)) {
            Some(shape) => (shape.baby_step, shape.counts.diagonals as usize),
            // Each entry multiplies a ciphertext of its own.
            None if packing.separate => (1, matrix.entries()),
            None => return Err(LowerError::Malformed("a matrix has no packing".into())),
        };
        let shape = TransformShape {
            block_height: self.circuit.layouts[packing.of[v]].period,
            baby_step,
            diagonals,
        };
        let id = MatrixId(self.circuit.matrices.len() as u32);
        let name = self.unique(&self.network.values[v].name);
        self.circuit.matrices.push(Arc::new(Matrix {
            name,
            ..Matrix::clone(matrix)
        }));
        Ok(CircuitOp::MatVec {
            matrix: id,
            plain_scale,
            shape,
        })
    }
}
