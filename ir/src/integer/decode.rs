//! From messages to integer plans. Nothing is trusted: what contradicts itself is refused here, what has no meaning by
//! [`super::verify`].

use super::proto;
use super::verify::MAX_WEIGHT;
use super::{
    IntegerClientPlan, IntegerEstimates, IntegerPlan, IntegerPort, Matrix, Quantisation, Step,
    StepOp, Table, TfheSet,
};
use crate::container::PlanId;
use crate::plan::proto::{Array, Module as WireModule};
use crate::plan::sections::{Reader, shape};
use crate::plan::{PlanError, Register, module_wire};
use crate::tensor::Module;
use crate::value::Range;

fn bad(what: impl Into<String>) -> PlanError {
    PlanError::Malformed(what.into())
}

fn set(set: Option<proto::Set>) -> Result<TfheSet, PlanError> {
    let set = set.ok_or_else(|| bad("the parameter set is missing"))?;
    Ok(TfheSet::checked(&set.name, &set.numbers)?)
}

fn integers(array: Option<Array>, reader: &mut Reader<'_>) -> Result<Vec<i64>, PlanError> {
    let whole = |value: f64| {
        let fits = value.trunc() == value && value.abs() <= MAX_WEIGHT as f64;
        fits.then_some(value as i64)
            .ok_or_else(|| bad(format!("{value} is no integer below 2^53")))
    };
    reader.array(array)?.into_iter().map(whole).collect()
}

fn indices(list: Option<proto::Indices>, reader: &mut Reader<'_>) -> Result<Vec<u32>, PlanError> {
    let list = list.ok_or_else(|| bad("a list of indices is missing"))?;
    reader.indices(list.offset, list.count)
}

fn registers(list: Vec<u32>) -> Vec<Register> {
    list.into_iter().map(Register).collect()
}

fn quantisation(
    q: Option<proto::Quantisation>,
    reader: &mut Reader<'_>,
) -> Result<Quantisation, PlanError> {
    let q = q.ok_or_else(|| bad("a quantisation is missing"))?;
    Ok(Quantisation {
        scale: reader.array(q.scale)?,
        zero_point: integers(q.zero_point, reader)?,
        lo: q.lo,
        hi: q.hi,
    })
}

fn port(port: proto::Port, reader: &mut Reader<'_>) -> Result<IntegerPort, PlanError> {
    let range = port.range.and_then(|i| Range::new(i.lo, i.hi));
    Ok(IntegerPort {
        name: port.name,
        shape: shape(&port.shape)?,
        dtype: module_wire::dtype(port.dtype)?,
        batched: port.batched,
        range: range.ok_or_else(|| bad("a range is missing, empty or not finite"))?,
        register: Register(port.register),
        log_delta: port.log_delta,
        quantisation: quantisation(port.quantisation, reader)?,
        slack: port.slack,
        variance: port.variance,
        log2_failure: port.log2_failure,
    })
}

fn ports(list: Vec<proto::Port>, reader: &mut Reader<'_>) -> Result<Vec<IntegerPort>, PlanError> {
    list.into_iter().map(|p| port(p, reader)).collect()
}

fn matrix(m: proto::Matrix, reader: &mut Reader<'_>) -> Result<Matrix, PlanError> {
    Ok(Matrix {
        name: m.name,
        columns: m.columns,
        starts: indices(m.starts, reader)?,
        indices: indices(m.indices, reader)?,
        weights: integers(m.weights, reader)?,
        bias: integers(m.bias, reader)?,
    })
}

fn step(step: proto::Step, reader: &mut Reader<'_>) -> Result<Step, PlanError> {
    let op = match (step.linear, step.lookup) {
        (Some(linear), None) => StepOp::Linear {
            src: registers(linear.src),
            matrix: linear.matrix,
        },
        (None, Some(lookup)) => StepOp::Lookup {
            src: Register(lookup.src),
            tables: indices(lookup.tables, reader)?,
            reads: lookup.reads,
            slack: lookup.slack,
            negacyclic: lookup.negacyclic,
        },
        _ => return Err(bad("a step is neither linear nor a lookup, or is both")),
    };
    Ok(Step {
        dst: Register(step.dst),
        op,
        length: step.length,
        log_delta: step.log_delta,
        lo: step.lo,
        hi: step.hi,
        variance: step.variance,
        log2_failure: step.log2_failure,
        free: registers(step.free),
        origin: step.origin,
    })
}

fn tail(tail: Option<WireModule>, reader: &mut Reader<'_>) -> Result<Option<Module>, PlanError> {
    tail.map(|t| module_wire::decode(t, reader)).transpose()
}

/// The plan of a message.
pub(super) fn server_plan(
    message: proto::ServerPlan,
    reader: &mut Reader<'_>,
) -> Result<IntegerPlan, PlanError> {
    let estimates = message.estimates.unwrap_or_default();
    let mut plan = IntegerPlan {
        name: message.name,
        source: message.source,
        params: set(message.set)?,
        log2_failure: message.log2_failure,
        inputs: ports(message.inputs, reader)?,
        outputs: ports(message.outputs, reader)?,
        matrices: Vec::with_capacity(message.matrices.len()),
        tables: Vec::with_capacity(message.tables.len()),
        steps: Vec::with_capacity(message.steps.len()),
        estimates: IntegerEstimates {
            bootstraps: estimates.bootstraps,
            macs: estimates.macs,
            latency_s: estimates.latency_s,
            eval_key_bytes: estimates.eval_key_bytes,
            run_bytes: estimates.run_bytes,
            choice: estimates.choice,
        },
        margin: message.margin,
        clear: Module::default(),
        tail: None,
    };
    for m in message.matrices {
        plan.matrices.push(matrix(m, reader)?);
    }
    for t in message.tables {
        plan.tables.push(Table {
            name: t.name,
            entries: integers(t.entries, reader)?,
        });
    }
    for s in message.steps {
        plan.steps.push(step(s, reader)?);
    }
    let clear = message
        .clear
        .ok_or_else(|| bad("the clear network is missing"))?;
    plan.clear = module_wire::decode(clear, reader)?;
    plan.tail = tail(message.tail, reader)?;
    Ok(plan)
}

/// The client's plan of a message.
pub(super) fn client_plan(
    message: proto::ClientPlan,
    plan_id: PlanId,
    reader: &mut Reader<'_>,
) -> Result<IntegerClientPlan, PlanError> {
    Ok(IntegerClientPlan {
        plan_id,
        name: message.name,
        params: set(message.set)?,
        log2_failure: message.log2_failure,
        inputs: ports(message.inputs, reader)?,
        outputs: ports(message.outputs, reader)?,
        tail: tail(message.tail, reader)?,
    })
}
