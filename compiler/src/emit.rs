//! From the `circuit` stage to a plan: matrices become diagonals in slot order, values become registers.
//!
//! A matrix with its rescale and bias is one step, as is a square or product with its rescale. Every register is freed after
//! its last use. The rotation keys are exactly those of the transforms' baby, giant and fold rotations, each up to
//! the highest level at which it is used.

mod blocks;
mod combine;
mod fold;
mod weighted;

use crate::cost::CostModel;
pub(crate) use blocks::blocks;
use cipherloom_ir::circuit::{Circuit, CircuitNode, CircuitOp, MatrixId, Port, VectorId};
use cipherloom_ir::layout::Layout;
use cipherloom_ir::plan::{
    Estimates, KeyRequest, Plan, PlanPort, Register, SlotVector, Step, StepOp, Transform,
};
use cipherloom_ir::tensor::Module;
use cipherloom_ir::{NodeId, Scale};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Why a circuit cannot be emitted: it contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the circuit is malformed at {node}: {message}")]
pub struct EmitError {
    /// The node.
    pub node: NodeId,
    /// What is wrong.
    pub message: String,
}

/// Emits a plan. `clear` is the imported network, which the plan carries; `margin` is what the input ranges hold already.
pub fn emit(circuit: &Circuit, clear: &Module, margin: f64) -> Result<Plan, EmitError> {
    let order = circuit.graph.topological().map_err(|cycle| EmitError {
        node: cycle.first().copied().unwrap_or(NodeId::new(0)),
        message: "the graph has a cycle".into(),
    })?;
    let mut emitter = Emitter {
        circuit,
        plan: Plan {
            name: circuit.name.clone(),
            source: circuit.source.clone(),
            params: circuit.params.clone(),
            inputs: vec![],
            outputs: vec![],
            transforms: vec![],
            weights: vec![],
            vectors: vec![],
            steps: vec![],
            keys: KeyRequest::default(),
            estimates: Estimates::default(),
            margin,
            clear: clear.clone(),
            tail: None,
            approximations: vec![],
        },
        registers: BTreeMap::new(),
        fused: BTreeSet::new(),
        squared: BTreeSet::new(),
        next: 0,
    };
    for id in order {
        emitter.node(id)?;
    }
    for port in &circuit.inputs {
        let port = emitter.port(port)?;
        emitter.plan.inputs.push(port);
    }
    for port in &circuit.outputs {
        let port = emitter.port(port)?;
        emitter.plan.outputs.push(port);
    }
    let mut plan = emitter.plan;
    free(&mut plan);
    plan.keys = plan.required_keys();
    plan.estimates = crate::cost::estimates(&plan, CostModel::built_in());
    Ok(plan)
}

struct Emitter<'c> {
    circuit: &'c Circuit,
    plan: Plan,
    registers: BTreeMap<NodeId, Vec<Register>>,
    /// Nodes that an earlier step yields already.
    fused: BTreeSet<NodeId>,
    /// Squares that are made by the weighted sums that read them; their registers hold the operand.
    squared: BTreeSet<NodeId>,
    next: u32,
}

impl<'c> Emitter<'c> {
    fn get(&self, id: NodeId) -> Result<&'c CircuitNode, EmitError> {
        self.circuit
            .graph
            .get(id)
            .ok_or_else(|| fault(id, "the node is missing"))
    }

    fn layout(&self, id: NodeId) -> Result<&'c Layout, EmitError> {
        let index = self.get(id)?.layout.0 as usize;
        self.circuit
            .layouts
            .get(index)
            .ok_or_else(|| fault(id, "its layout is missing"))
    }

    fn fresh(&mut self, id: NodeId) -> Result<Vec<Register>, EmitError> {
        let count = self.layout(id)?.ciphertexts as u32;
        let first = self.next;
        self.next += count;
        Ok((first..first + count).map(Register).collect())
    }

    /// A register for a part of a value.
    fn register(&mut self) -> Register {
        self.next += 1;
        Register(self.next - 1)
    }

    fn registers(&self, id: NodeId) -> Result<Vec<Register>, EmitError> {
        self.registers
            .get(&id)
            .cloned()
            .ok_or_else(|| fault(id, "its operand is not there"))
    }

    /// The one user of a node, if it has only one and is no output.
    fn sole_user(&self, id: NodeId) -> Option<(NodeId, &'c CircuitNode)> {
        let users = self.circuit.graph.users(id);
        let output = self.circuit.outputs.iter().any(|o| o.node == id);
        match (users.as_slice(), output) {
            (&[user], false) => Some((user, self.circuit.graph.get(user)?)),
            _ => None,
        }
    }

    fn sole_rescale(&self, id: NodeId) -> Option<NodeId> {
        self.sole_user(id)
            .filter(|(_, n)| n.op == CircuitOp::Rescale)
            .map(|(user, _)| user)
    }

    fn node(&mut self, id: NodeId) -> Result<(), EmitError> {
        if self.fused.contains(&id) {
            return Ok(());
        }
        let node = self.get(id)?;
        let operands = self.circuit.graph.operands(id);
        let operand = |i: usize| {
            operands
                .get(i)
                .copied()
                .ok_or_else(|| fault(id, "an operand is missing"))
        };
        if let CircuitOp::Input { .. } = node.op {
            let made = self.fresh(id)?;
            self.registers.insert(id, made);
            return Ok(());
        }
        if let CircuitOp::View { elements } = &node.op {
            let from = self.registers(operand(0)?)?;
            let held = self.layout(operand(0)?)?.holders(elements);
            let held = held.ok_or_else(|| fault(id, "its operand has fewer elements"))?;
            let made: Option<Vec<Register>> = held.iter().map(|c| from.get(*c).copied()).collect();
            let made = made.ok_or_else(|| fault(id, "its operand has fewer ciphertexts"))?;
            self.registers.insert(id, made);
            return Ok(());
        }
        if let Some(rescaled) = self.joined_square(id, node) {
            let operand = self.registers(operand(0)?)?;
            self.registers.insert(rescaled, operand);
            self.fused.insert(rescaled);
            self.squared.insert(rescaled);
            return Ok(());
        }
        // A transform, product or factor takes a rescale that follows into its step, a transform a bias as well.
        let takes_rescale = matches!(
            node.op,
            CircuitOp::MatVec { .. }
                | CircuitOp::Mul
                | CircuitOp::Square
                | CircuitOp::MulScalar { .. }
                | CircuitOp::MulVector { .. }
                | CircuitOp::Combine { .. }
        );
        let rescaled = if takes_rescale {
            self.sole_rescale(id)
        } else {
            None
        };
        let mut last = rescaled.unwrap_or(id);
        let rescale = rescaled.is_some();
        if let CircuitOp::MatVec {
            matrix,
            plain_scale,
            ..
        } = &node.op
            && self.is_separate(id)
        {
            return self.weighted_sums(id, operand(0)?, *matrix, plain_scale, rescaled);
        }
        let mut bias = Vec::new();
        if matches!(node.op, CircuitOp::MatVec { .. })
            && let Some((
                user,
                CircuitNode {
                    op: CircuitOp::AddVector { vector },
                    ..
                },
            )) = self.sole_user(last)
        {
            bias = self.slot_vectors(user, *vector)?;
            last = user;
        }
        self.fused.extend(rescaled);
        self.fused.insert(last);
        if let CircuitOp::Combine { .. } = node.op {
            return self.combine(node, &operands, last, rescale);
        }
        let a = self.registers(operand(0)?)?;
        let dst = self.fresh(last)?;
        if let CircuitOp::MatVec {
            matrix,
            plain_scale,
            shape,
        } = &node.op
        {
            let transform = self.transform(
                id,
                operand(0)?,
                *matrix,
                plain_scale,
                shape.baby_step,
                shape.block_height,
            )?;
            let op = StepOp::LinearTransform {
                transform,
                src: a,
                dst: dst.clone(),
                rescale,
                bias,
            };
            self.step(last, op)?;
            self.registers.insert(last, dst);
            return Ok(());
        }
        if let CircuitOp::Fold = node.op {
            self.fold(id, operand(0)?, &a, &dst)?;
            self.registers.insert(id, dst);
            return Ok(());
        }
        let b = match node.op {
            CircuitOp::Add | CircuitOp::Sub | CircuitOp::Mul => self.registers(operand(1)?)?,
            _ => vec![],
        };
        let vectors = match node.op {
            CircuitOp::AddVector { vector } | CircuitOp::MulVector { vector, .. } => {
                self.slot_vectors(id, vector)?
            }
            _ => vec![],
        };
        for (i, dst) in dst.iter().copied().enumerate() {
            let missing = || fault(id, "its operand has fewer ciphertexts");
            let a = *a.get(i).ok_or_else(missing)?;
            let b = || b.get(i).copied().ok_or_else(missing);
            let vector = || vectors.get(i).copied().ok_or_else(missing);
            let op = match &node.op {
                CircuitOp::Rescale => StepOp::Rescale { dst, a },
                CircuitOp::Gain { factor } => StepOp::Gain {
                    dst,
                    a,
                    factor: *factor,
                },
                CircuitOp::DropLevel => StepOp::DropLevel {
                    dst,
                    a,
                    level: node.level,
                },
                CircuitOp::Add => StepOp::Add { dst, a, b: b()? },
                CircuitOp::Sub => StepOp::Sub { dst, a, b: b()? },
                CircuitOp::Mul => StepOp::Mul {
                    dst,
                    a,
                    b: b()?,
                    rescale,
                },
                CircuitOp::Square => StepOp::Square { dst, a, rescale },
                CircuitOp::AddVector { .. } => StepOp::AddVector {
                    dst,
                    a,
                    vector: vector()?,
                },
                CircuitOp::MulScalar { value, plain_scale } => StepOp::MulScalar {
                    dst,
                    a,
                    value: *value,
                    plain_scale: plain_scale.clone(),
                    rescale,
                },
                CircuitOp::MulVector { plain_scale, .. } => StepOp::MulVector {
                    dst,
                    a,
                    vector: vector()?,
                    plain_scale: plain_scale.clone(),
                    rescale,
                },
                CircuitOp::Input { .. }
                | CircuitOp::MatVec { .. }
                | CircuitOp::Fold
                | CircuitOp::View { .. }
                | CircuitOp::Combine { .. } => {
                    continue;
                }
            };
            self.step(last, op)?;
        }
        self.registers.insert(last, dst);
        Ok(())
    }

    fn step(&mut self, id: NodeId, op: StepOp) -> Result<(), EmitError> {
        let node = self.get(id)?;
        self.plan.steps.push(Step {
            op,
            free: vec![],
            level: node.level,
            scale: node.scale.clone(),
            range: node.range,
            noise: node.noise,
            approximation: node.approximation,
            origin: node.origin.to_string(),
        });
        Ok(())
    }

    /// A constant vector in the layout of node `id`, one slot vector per ciphertext.
    fn slot_vectors(&mut self, id: NodeId, vector: VectorId) -> Result<Vec<u32>, EmitError> {
        let vector = self.circuit.vectors.get(vector.0 as usize);
        let vector = vector.ok_or_else(|| fault(id, "its vector is missing"))?;
        let packed = self.layout(id)?.pack(vector.tensor.data());
        let packed = packed.ok_or_else(|| fault(id, "its vector does not fit its layout"))?;
        let several = packed.len() > 1;
        let mut ids = Vec::new();
        for (i, values) in packed.into_iter().enumerate() {
            ids.push(self.plan.vectors.len() as u32);
            let name = if several {
                format!("{}.{i}", vector.name)
            } else {
                vector.name.clone()
            };
            self.plan.vectors.push(SlotVector { name, values });
        }
        Ok(ids)
    }

    fn transform(
        &mut self,
        id: NodeId,
        operand: NodeId,
        matrix: MatrixId,
        plain_scale: &Scale,
        baby_step: usize,
        block_height: usize,
    ) -> Result<u32, EmitError> {
        let matrix = self.circuit.matrices.get(matrix.0 as usize);
        let matrix = matrix.ok_or_else(|| fault(id, "its matrix is missing"))?;
        let (from, to) = (self.layout(operand)?, self.layout(id)?);
        if matrix.rows != to.len() || matrix.cols != from.len() {
            return Err(fault(id, "its matrix does not fit the layouts"));
        }
        if block_height != to.period {
            return Err(fault(id, "rows must repeat with the period of the result"));
        }
        let blocks = blocks(matrix, from, to)
            .ok_or_else(|| fault(id, "a layout has a position out of range"))?;
        let period = from.period.max(to.period);
        let mut folds = Vec::new();
        let mut fold = period / 2;
        while fold >= to.period.max(1) {
            folds.push(fold as u32);
            fold /= 2;
        }
        self.plan.transforms.push(Transform {
            name: matrix.name.clone(),
            period,
            samples: to.samples,
            level: self.get(id)?.level,
            plain_scale: plain_scale.clone(),
            baby_step,
            folds,
            blocks,
        });
        Ok(self.plan.transforms.len() as u32 - 1)
    }

    fn port(&self, port: &Port) -> Result<PlanPort, EmitError> {
        let node = self.get(port.node)?;
        let layout = Layout {
            shape: port.shape.clone(),
            ..self.layout(port.node)?.clone()
        };
        Ok(PlanPort {
            name: port.name.clone(),
            shape: port.shape.clone(),
            dtype: port.dtype,
            batched: port.batched,
            clear: port.clear,
            range: port.range,
            layout,
            level: node.level,
            scale: node.scale.clone(),
            registers: self.registers(port.node)?,
            noise: node.noise,
        })
    }
}

fn fault(node: NodeId, message: &str) -> EmitError {
    EmitError {
        node,
        message: message.to_owned(),
    }
}

/// Notes after each step the registers that nothing reads any more.
fn free(plan: &mut Plan) {
    let mut needed: BTreeSet<Register> = plan
        .outputs
        .iter()
        .flat_map(|o| o.registers.iter().copied())
        .collect();
    for step in plan.steps.iter_mut().rev() {
        let touched: BTreeSet<Register> = step
            .op
            .operands()
            .into_iter()
            .chain(step.op.results())
            .collect();
        step.free = touched.into_iter().filter(|r| needed.insert(*r)).collect();
    }
}
