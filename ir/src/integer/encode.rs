//! From integer plans to messages.

use super::proto;
use super::{
    IntegerClientPlan, IntegerPlan, IntegerPort, Matrix, Quantisation, Step, StepOp, Table, TfheSet,
};
use crate::plan::proto::{Array, Interval};
use crate::plan::sections::Writer;
use crate::plan::{Register, module_wire};

fn set(set: &TfheSet) -> Option<proto::Set> {
    Some(proto::Set {
        name: set.name.to_owned(),
        numbers: set.numbers().to_vec(),
    })
}

/// Integers below 2^53 in size; the verifier refuses others.
fn integers(list: &[i64], writer: &mut Writer) -> Option<Array> {
    let values: Vec<f64> = list.iter().map(|v| *v as f64).collect();
    Some(writer.array(&values))
}

fn indices(list: &[u32], writer: &mut Writer) -> Option<proto::Indices> {
    Some(proto::Indices {
        offset: writer.indices(list),
        count: list.len() as u64,
    })
}

fn registers(list: &[Register]) -> Vec<u32> {
    list.iter().map(|r| r.0).collect()
}

fn quantisation(q: &Quantisation, writer: &mut Writer) -> Option<proto::Quantisation> {
    Some(proto::Quantisation {
        scale: Some(writer.array(&q.scale)),
        zero_point: integers(&q.zero_point, writer),
        lo: q.lo,
        hi: q.hi,
    })
}

fn port(port: &IntegerPort, writer: &mut Writer) -> proto::Port {
    proto::Port {
        name: port.name.clone(),
        shape: port.shape.iter().map(|d| *d as u64).collect(),
        dtype: port.dtype.number(),
        batched: port.batched,
        range: Some(Interval {
            lo: port.range.lo,
            hi: port.range.hi,
        }),
        register: port.register.0,
        log_delta: port.log_delta,
        quantisation: quantisation(&port.quantisation, writer),
        slack: port.slack,
        variance: port.variance,
        log2_failure: port.log2_failure,
    }
}

fn matrix(m: &Matrix, writer: &mut Writer) -> proto::Matrix {
    proto::Matrix {
        name: m.name.clone(),
        columns: m.columns,
        starts: indices(&m.starts, writer),
        indices: indices(&m.indices, writer),
        weights: integers(&m.weights, writer),
        bias: integers(&m.bias, writer),
    }
}

fn step(step: &Step, writer: &mut Writer) -> proto::Step {
    let (mut linear, mut lookup) = (None, None);
    match &step.op {
        StepOp::Linear { src, matrix } => {
            linear = Some(proto::Linear {
                src: registers(src),
                matrix: *matrix,
            });
        }
        StepOp::Lookup {
            src,
            tables,
            reads,
            slack,
            negacyclic,
        } => {
            lookup = Some(proto::Lookup {
                src: src.0,
                tables: indices(tables, writer),
                reads: reads.clone(),
                slack: *slack,
                negacyclic: *negacyclic,
            });
        }
    }
    proto::Step {
        dst: step.dst.0,
        length: step.length,
        log_delta: step.log_delta,
        lo: step.lo,
        hi: step.hi,
        variance: step.variance,
        log2_failure: step.log2_failure,
        free: registers(&step.free),
        origin: step.origin.clone(),
        linear,
        lookup,
    }
}

/// The message of a server's plan; its arrays go into the writer.
pub(super) fn server_plan(plan: &IntegerPlan, writer: &mut Writer) -> proto::ServerPlan {
    let table = |t: &Table, writer: &mut Writer| proto::Table {
        name: t.name.clone(),
        entries: integers(&t.entries, writer),
    };
    let e = &plan.estimates;
    proto::ServerPlan {
        name: plan.name.clone(),
        source: plan.source.clone(),
        set: set(&plan.params),
        log2_failure: plan.log2_failure,
        inputs: plan.inputs.iter().map(|p| port(p, writer)).collect(),
        outputs: plan.outputs.iter().map(|p| port(p, writer)).collect(),
        matrices: plan.matrices.iter().map(|m| matrix(m, writer)).collect(),
        tables: plan.tables.iter().map(|t| table(t, writer)).collect(),
        steps: plan.steps.iter().map(|s| step(s, writer)).collect(),
        estimates: Some(proto::Estimates {
            bootstraps: e.bootstraps,
            macs: e.macs,
            latency_s: e.latency_s,
            eval_key_bytes: e.eval_key_bytes,
            run_bytes: e.run_bytes,
            choice: e.choice.clone(),
        }),
        margin: plan.margin,
        clear: Some(module_wire::encode(&plan.clear, writer)),
        tail: plan.tail.as_ref().map(|t| module_wire::encode(t, writer)),
    }
}

/// The message of a client's plan.
pub(super) fn client_plan(plan: &IntegerClientPlan, writer: &mut Writer) -> proto::ClientPlan {
    proto::ClientPlan {
        name: plan.name.clone(),
        set: set(&plan.params),
        log2_failure: plan.log2_failure,
        inputs: plan.inputs.iter().map(|p| port(p, writer)).collect(),
        outputs: plan.outputs.iter().map(|p| port(p, writer)).collect(),
        tail: plan.tail.as_ref().map(|t| module_wire::encode(t, writer)),
    }
}

/// BLAKE3 over a matrix, its name included, in hexadecimal.
pub(super) fn hash_matrix(matrix: &Matrix) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("cipherloom 2026 integer matrix v1");
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(matrix.name.as_bytes());
    part(&matrix.columns.to_le_bytes());
    for list in [&matrix.starts, &matrix.indices] {
        part(
            &list
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<Vec<_>>(),
        );
    }
    for list in [&matrix.weights, &matrix.bias] {
        part(
            &list
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<Vec<_>>(),
        );
    }
    hasher.finalize().to_hex().to_string()
}
