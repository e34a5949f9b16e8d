//! The `plan` stage: straight-line steps on registers, the constants and keys they need.
//!
//! A step is one operation of the scheme on opaque handles (a whole linear transform, not a single rotation), so
//! that a runtime may stream it limb by limb. Constants are recipes in clear; the runtime expands them.

mod decode;
pub(crate) mod encode;
mod fit;
mod memory;
pub(crate) mod module_wire;
pub(crate) mod proto;
pub(crate) mod read;
mod residency;
pub(crate) mod sections;
pub(crate) mod simulate;
mod steps;
mod tail;
#[cfg(test)]
mod test_plans;
mod text;
mod verify;
mod verify_parts;
mod verify_steps;
#[cfg(test)]
mod weighted_tests;
mod wire;

pub use fit::Fit;
pub use memory::{KeyBytes, OPEN_SUMS, key_bytes, run_bytes};
pub use residency::{Residency, residency};
pub use simulate::{SimulateError, Simulator, simulate};
pub use tail::{MAX_TAIL_ELEMENTS, MAX_TAIL_OPERATIONS, ResultPort, may_finish};
pub(crate) use tail::{faults as tail_faults, results as tail_results};
pub use text::{parse, print};
pub use verify::{Fault, verify, verify_client, verify_structure};
pub use wire::{
    PlanError, client_plan_from_bytes, client_plan_to_bytes, plan_from_bytes, plan_to_bytes,
};

use crate::circuit::Matrix;
use crate::container::PlanId;
use crate::layout::Layout;
use crate::params::CkksLiteral;
use crate::scale::Scale;
use crate::tensor;
use crate::value::{DType, Range};
use std::fmt;
use std::sync::Arc;

/// A register: holds one ciphertext; printed `r3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(pub u32);

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One non-zero generalised diagonal of a block: slot `p` of the result gains `values[p] * x[p + rotation]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagonal {
    /// The rotation, `0 .. period`.
    pub rotation: u32,
    /// The values, one per slot of the period.
    pub values: Vec<f64>,
}

/// The part of a transform that maps operand ciphertext `col` to result ciphertext `row`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Index of the result.
    pub row: u32,
    /// Index of the operand.
    pub col: u32,
    /// The diagonals, by ascending rotation.
    pub diagonals: Vec<Diagonal>,
}

/// A linear map between slot vectors of one period: the sum over diagonals, then `y += rotate(y, f)` for each fold.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// A name for people.
    pub name: String,
    /// The period of operand and result vectors, a power of two, in blocks of `samples` slots.
    pub period: usize,
    /// The samples that lie side by side (see [`Layout`]): all rotations are by multiples of it, and each value of a
    /// diagonal serves as many slots.
    pub samples: usize,
    /// The level at which it is applied.
    pub level: usize,
    /// The scale at which the diagonals are encoded.
    pub plain_scale: Scale,
    /// Baby steps are rotations below this power of two; giant steps its multiples.
    pub baby_step: usize,
    /// Rotations by which the result is folded onto itself, in order.
    pub folds: Vec<u32>,
    /// The blocks, by row, then column.
    pub blocks: Vec<Block>,
}

impl Transform {
    /// The baby rotations that need a key, ascending: those that occur as `d mod baby_step`, zero left out.
    pub fn baby_rotations(&self) -> Vec<u32> {
        self.rotations(|d, step| d % step)
    }

    /// The giant rotations that need a key, ascending: those that occur as `d - d mod baby_step`, zero left out.
    pub fn giant_rotations(&self) -> Vec<u32> {
        self.rotations(|d, step| d - d % step)
    }

    fn rotations(&self, part: impl Fn(u32, u32) -> u32) -> Vec<u32> {
        let step = (self.baby_step as u32).max(1);
        let all = self
            .blocks
            .iter()
            .flat_map(|b| &b.diagonals)
            .map(|d| part(d.rotation, step));
        let found: std::collections::BTreeSet<u32> = all.filter(|r| *r != 0).collect();
        found.into_iter().collect()
    }
}

/// A matrix whose entries multiply whole ciphertexts: each result is a weighted sum of the operands or of their squares.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// One row per result, one column per operand; its name is for people.
    pub matrix: Arc<Matrix>,
    /// The scale at which the entries are rounded to integers.
    pub plain_scale: Scale,
    /// What is added to each result at its own scale, after the rescale; empty for nothing.
    pub bias: Vec<f64>,
}

/// A constant slot vector: added to a value at its own scale and level, or multiplied.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotVector {
    /// A name for people.
    pub name: String,
    /// The values, one per slot of the period.
    pub values: Vec<f64>,
}

/// What a step does. Steps write registers that nothing has written before.
#[derive(Clone, Debug, PartialEq)]
pub enum StepOp {
    /// A linear transform, then a rescale if asked for, then a bias per result.
    LinearTransform {
        /// Index into [`Plan::transforms`].
        transform: u32,
        /// The operands, one per column of blocks.
        src: Vec<Register>,
        /// The results, one per row of blocks.
        dst: Vec<Register>,
        /// Whether the results are rescaled (fused with the division by the special modulus).
        rescale: bool,
        /// Indices into [`Plan::vectors`], one per result; empty for none. Added last.
        bias: Vec<u32>,
    },
    /// Weighted sums of operands of one level and scale, or of their squares.
    ///
    /// Sums of squares are divided by the last prime, then relinearised and divided once more: two levels for a square
    /// and a matrix, with one relinearisation per result.
    WeightedSums {
        /// Index into [`Plan::weights`].
        weights: u32,
        /// The operands, one per column.
        src: Vec<Register>,
        /// The results, one per row.
        dst: Vec<Register>,
        /// Whether the operands are squared; then the results are rescaled.
        squares: bool,
        /// Whether the results are rescaled, with squares twice.
        rescale: bool,
    },
    /// `dst = a`, then `dst += rotate(dst, r)` for each rotation in order.
    Fold {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
        /// The rotations, at least one, in blocks of as many slots as a run has samples.
        rotations: Vec<u32>,
    },
    /// `dst = a * b`, relinearised.
    Mul {
        /// The result.
        dst: Register,
        /// A factor.
        a: Register,
        /// A factor.
        b: Register,
        /// Whether the result is rescaled.
        rescale: bool,
    },
    /// `dst = a^2`, relinearised.
    Square {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
        /// Whether the result is rescaled.
        rescale: bool,
    },
    /// `dst = a + b`.
    Add {
        /// The result.
        dst: Register,
        /// A summand.
        a: Register,
        /// A summand.
        b: Register,
    },
    /// `dst = a - b`.
    Sub {
        /// The result.
        dst: Register,
        /// The minuend.
        a: Register,
        /// The subtrahend.
        b: Register,
    },
    /// `dst = a + vector`, at the scale of `a`.
    AddVector {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
        /// Index into [`Plan::vectors`].
        vector: u32,
    },
    /// `dst = a * vector`, slot by slot.
    MulVector {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
        /// Index into [`Plan::vectors`].
        vector: u32,
        /// The vector's scale.
        plain_scale: Scale,
        /// Whether the result is rescaled.
        rescale: bool,
    },
    /// `dst = a * value`.
    MulScalar {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
        /// The factor.
        value: f64,
        /// The factor's scale.
        plain_scale: Scale,
        /// Whether the result is rescaled.
        rescale: bool,
    },
    /// `dst = gain * (sum of products) + sum of terms + constant`, relinearised once if there are products.
    ///
    /// Operands may lie at higher levels than the result: their lower limbs are used.
    Combine {
        /// The result.
        dst: Register,
        /// The factors of each product; the products share one scale.
        products: Vec<(Register, Register)>,
        /// What the sum of products is multiplied with, by division of its scale; 1 where there are no products.
        gain: u32,
        /// What is added: the operand, the number that multiplies it, and the number's scale.
        terms: Vec<(Register, f64, Scale)>,
        /// What is added to every slot.
        constant: f64,
        /// Whether the result is rescaled.
        rescale: bool,
    },
    /// `dst = a`, divided by the last prime.
    Rescale {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
    },
    /// `dst = a * factor`, by division of the scale by the factor's magnitude; nothing else is computed but a sign.
    Gain {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
        /// The factor, not 0.
        factor: f64,
    },
    /// `dst = a` at a lower level.
    DropLevel {
        /// The result.
        dst: Register,
        /// The operand.
        a: Register,
        /// The level.
        level: usize,
    },
}

/// One step, and what is known of the value that it yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The operation.
    pub op: StepOp,
    /// Registers that no later step reads, to be freed after this one.
    pub free: Vec<Register>,
    /// The result's level.
    pub level: usize,
    /// The result's exact scale.
    pub scale: Scale,
    /// The result's range (without margin).
    pub range: Range,
    /// The predicted variance of the result's error per slot.
    pub noise: f64,
    /// The mean square of the error that polynomials in place of functions cause, on the calibration samples; `None`
    /// where it is not known, or the result has no counterpart in the network.
    pub approximation: Option<f64>,
    /// The layer, for people: the origin's text.
    pub origin: String,
}

/// An input or output: how a tensor becomes ciphertexts and back.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanPort {
    /// The name in the model.
    pub name: String,
    /// The tensor's shape, batch axis included (1).
    pub shape: Vec<usize>,
    /// The declared element type.
    pub dtype: DType,
    /// Whether axis 0 counts samples.
    pub batched: bool,
    /// For inputs: whether it is given in clear: everyone sees its values, the server too.
    pub clear: bool,
    /// For inputs: the accepted range, margin included. For outputs: the expected range.
    pub range: Range,
    /// The packing.
    pub layout: Layout,
    /// The level at which it is encrypted or arrives.
    pub level: usize,
    /// The scale at which it is encrypted or arrives.
    pub scale: Scale,
    /// The registers that hold it at the start or the end, one per ciphertext.
    pub registers: Vec<Register>,
    /// The predicted variance of the error per slot, at the start or the end.
    pub noise: f64,
}

/// A rotation (Galois) key: for a left rotation by `steps` of all N/2 slots, usable up to `level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RotationKeySpec {
    /// Slots to the left, `1 .. N/2`.
    pub steps: u32,
    /// The highest level at which it is used.
    pub level: u32,
}

/// Exactly the evaluation keys that a plan needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRequest {
    /// The highest level of a relinearisation, if there is one.
    pub relinearization: Option<u32>,
    /// The rotations, by steps.
    pub rotations: Vec<RotationKeySpec>,
    /// The highest level of a conjugation, if there is one.
    pub conjugation: Option<u32>,
}

/// What a run is expected to cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimates {
    /// NTTs of one limb.
    pub ntts: u64,
    /// Multiply-accumulates over one limb.
    pub limb_macs: u64,
    /// Seconds, one thread, with the built-in cost figures.
    pub latency_s: f64,
    /// Bytes of the evaluation keys on disk.
    pub eval_key_bytes: u64,
    /// Bytes that `run` needs at its peak.
    pub run_bytes: u64,
    /// Why this backend was chosen, and what the other one would cost; empty where there was no choice.
    pub choice: String,
}

/// A runnable plan: what the server holds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model's name.
    pub name: String,
    /// What it was compiled from.
    pub source: String,
    /// The scheme's parameters.
    pub params: CkksLiteral,
    /// The inputs.
    pub inputs: Vec<PlanPort>,
    /// The encrypted outputs.
    pub outputs: Vec<PlanPort>,
    /// The transforms.
    pub transforms: Vec<Transform>,
    /// The matrices of weighted sums.
    pub weights: Vec<Weights>,
    /// The slot vectors, of one period: with several samples in a run each value serves as many slots.
    pub vectors: Vec<SlotVector>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The keys that the steps need.
    pub keys: KeyRequest,
    /// Expected costs.
    pub estimates: Estimates,
    /// The margin that was applied to ranges.
    pub margin: f64,
    /// The imported, unrewritten network up to the encrypted outputs, to compute clear results with; nodes carry
    /// their calibrated ranges.
    pub clear: tensor::Module,
    /// What the client computes of the decrypted outputs: from the encrypted outputs to the model's, unrewritten.
    pub tail: Option<tensor::Module>,
    /// The functions that polynomials stand for, in the order of the network.
    pub approximations: Vec<PlanApproximation>,
}

/// A function of the network that a polynomial stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanApproximation {
    /// The layer, as the model names it.
    pub origin: String,
    /// The function's name.
    pub function: String,
    /// The range on which the polynomial is close to it, margin included.
    pub domain: Range,
    /// The polynomial's degree.
    pub degree: u32,
    /// The largest error over the domain.
    pub sup_error: f64,
    /// The root of the mean square error over the calibration samples; 0 without samples.
    pub rms_error: f64,
    /// The magnitude below which the function, a sign, is undecided and the error larger; 0 where it is decided everywhere.
    pub dead_zone: f64,
    /// What a drawing needs; `None` in plans that were written before there was any.
    pub fit: Option<Fit>,
}

impl Plan {
    /// How many samples one run takes.
    pub fn samples(&self) -> usize {
        samples(&self.inputs)
    }

    /// The model's outputs, as users get them.
    pub fn results(&self) -> Vec<ResultPort> {
        tail::results(tail::plain(&self.outputs), self.tail.as_ref())
    }
}

/// The samples that ports of one plan hold side by side.
fn samples(ports: &[PlanPort]) -> usize {
    ports.first().map_or(1, |p| p.layout.samples.max(1))
}

/// What a client needs, and nothing of the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientPlan {
    /// The id of the server's plan.
    pub plan_id: PlanId,
    /// The model's name.
    pub name: String,
    /// The scheme's parameters.
    pub params: CkksLiteral,
    /// The inputs.
    pub inputs: Vec<PlanPort>,
    /// The encrypted outputs.
    pub outputs: Vec<PlanPort>,
    /// The keys to make.
    pub keys: KeyRequest,
    /// What the client computes of the decrypted outputs; without it they are the model's.
    pub tail: Option<tensor::Module>,
}

impl ClientPlan {
    /// How many samples one run takes.
    pub fn samples(&self) -> usize {
        samples(&self.inputs)
    }

    /// The model's outputs, as users get them.
    pub fn results(&self) -> Vec<ResultPort> {
        tail::results(tail::plain(&self.outputs), self.tail.as_ref())
    }
}
