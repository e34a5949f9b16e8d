//! The lines of an integer plan's text.

use super::encode::hash_matrix;
use super::{
    IntegerEstimates, IntegerPlan, IntegerPort, Matrix, Quantisation, SETS, Step, StepOp, Table,
    TfheSet,
};
use crate::plan::Register;
use crate::plan::encode::hash_module;
use crate::plan::read::{letter, numbered};
use crate::tensor::Module;
use crate::tensor::read::{read_dtype, read_tensor};
use crate::text::{Cursor, Kind, Line, MAX_POSITIONS, ParseError, hash_values};
use crate::value::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the line `exact` says of a step.
struct Exact {
    length: u32,
    log_delta: u32,
    lo: i64,
    hi: i64,
    variance: f64,
    log2_failure: f64,
}

/// Constants of the donor, by hash.
struct Pool<'d> {
    matrices: BTreeMap<String, &'d Matrix>,
    lists: BTreeMap<String, Vec<f64>>,
}

impl<'d> Pool<'d> {
    fn new(donor: &'d IntegerPlan) -> Self {
        let real = |list: &[i64]| list.iter().map(|v| *v as f64).collect::<Vec<_>>();
        let mut lists: Vec<Vec<f64>> = donor.tables.iter().map(|t| real(&t.entries)).collect();
        for port in donor.inputs.iter().chain(&donor.outputs) {
            lists.push(port.quantisation.scale.clone());
            lists.push(real(&port.quantisation.zero_point));
        }
        let hashed = |list: Vec<f64>| (hash_values(&[&[list.len()]], &list), list);
        Self {
            matrices: donor.matrices.iter().map(|m| (hash_matrix(m), m)).collect(),
            lists: lists.into_iter().map(hashed).collect(),
        }
    }

    fn list(&self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<f64>, ParseError> {
        let hash = match cursor.last() {
            Some(Kind::Text(hash)) => hash.clone(),
            _ => String::new(),
        };
        let find = |_: &str| {
            let found = self.lists.get(&hash);
            found.map(|v| Arc::new(Tensor::from_vec(v.clone())))
        };
        Ok(read_tensor(cursor, "list", find)?.data().to_vec())
    }

    fn integers(&self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<i64>, ParseError> {
        let whole = |value: f64| {
            let fits = value.trunc() == value && value.abs() <= libm::exp2(53.0);
            fits.then_some(value as i64)
        };
        let list: Option<Vec<i64>> = self.list(cursor)?.into_iter().map(whole).collect();
        list.ok_or_else(|| cursor.error("this is no list of integers below 2^53"))
    }
}

/// Reads all lines behind the first.
pub(super) fn read_lines(
    head: &Line<'_>,
    lines: &[Line<'_>],
    name: String,
    source: String,
    donor: &IntegerPlan,
) -> Result<IntegerPlan, ParseError> {
    let pool = Pool::new(donor);
    let mut plan = IntegerPlan {
        name,
        source,
        params: SETS[0],
        log2_failure: f64::NAN,
        inputs: vec![],
        outputs: vec![],
        matrices: vec![],
        tables: vec![],
        steps: vec![],
        estimates: IntegerEstimates::default(),
        margin: f64::NAN,
        clear: Module::default(),
        tail: None,
    };
    let mut exact = BTreeMap::new();
    for line in lines {
        if line.columns.is_none() && Cursor::new(line).accept("exact") {
            let (number, values) = read_exact(line)?;
            if exact.insert(number, values).is_some() {
                return Err(line.error(format!("step {number} has two such lines")));
            }
        }
    }
    let mut budget = MAX_POSITIONS;
    let (mut params, mut clear, mut output) = (false, false, false);
    for line in lines {
        let mut cursor = Cursor::new(line);
        if line.columns.is_some() {
            let number = plan.steps.len();
            let values = exact.remove(&number);
            let values =
                values.ok_or_else(|| line.error(format!("step {number} has no line `exact`")))?;
            let step = read_step(line, &mut cursor, values, &mut budget)?;
            plan.steps.push(step);
            cursor.end()?;
            continue;
        }
        match cursor.word()? {
            "params" => {
                cursor.expect("tfhe")?;
                let found = TfheSet::by_name(&cursor.text()?);
                plan.params =
                    found.ok_or_else(|| cursor.error("there is no such parameter set"))?;
                params = true;
            }
            "failure" => plan.log2_failure = cursor.number()?,
            "margin" => plan.margin = cursor.number()?,
            "estimate" => plan.estimates = read_estimates(&mut cursor)?,
            word @ ("input" | "output") => {
                output = word == "output";
                let port = read_port(&mut cursor)?;
                ports(&mut plan, output).push(port);
            }
            word @ ("scale" | "zero_point") => {
                let missing = || line.error("this belongs behind an input or output");
                let port = ports(&mut plan, output).last_mut().ok_or_else(missing)?;
                if word == "scale" {
                    port.quantisation.scale = pool.list(&mut cursor)?;
                } else {
                    port.quantisation.zero_point = pool.integers(&mut cursor)?;
                }
            }
            "matrix" => {
                numbered(&mut cursor, 'm', plan.matrices.len())?;
                // What stands between name and hash is for people: the hash is over all of it.
                while !cursor.accept("blake3") {
                    cursor.any()?;
                }
                let found = pool.matrices.get(&cursor.text()?).copied();
                let found = found.ok_or_else(|| cursor.error("the donor has no such matrix"))?;
                plan.matrices.push(found.clone());
            }
            "table" => {
                numbered(&mut cursor, 't', plan.tables.len())?;
                let name = cursor.text()?;
                let entries = pool.integers(&mut cursor)?;
                plan.tables.push(Table { name, entries });
            }
            "clear" => {
                plan.clear = read_module(&mut cursor, Some(&donor.clear))?;
                clear = true;
            }
            "tail" => plan.tail = Some(read_module(&mut cursor, donor.tail.as_ref())?),
            // These were read before.
            "exact" => continue,
            word => return Err(cursor.error(format!("{word:?} starts no line of this stage"))),
        }
        cursor.end()?;
    }
    if let Some(number) = exact.keys().next() {
        return Err(head.error(format!("there is a line `exact`, but no step {number}")));
    }
    if !clear || !params {
        return Err(head.error("there is no line `clear`, or none `params`"));
    }
    Ok(plan)
}

fn ports(plan: &mut IntegerPlan, output: bool) -> &mut Vec<IntegerPort> {
    if output {
        &mut plan.outputs
    } else {
        &mut plan.inputs
    }
}

fn read_module(cursor: &mut Cursor<'_, '_>, donor: Option<&Module>) -> Result<Module, ParseError> {
    cursor.expect("blake3")?;
    let hash = cursor.text()?;
    let found = donor.filter(|m| hash_module(m) == hash);
    let missing = || cursor.error("the donor has another network");
    Ok(found.ok_or_else(missing)?.clone())
}

fn after<T: std::str::FromStr>(cursor: &mut Cursor<'_, '_>, word: &str) -> Result<T, ParseError> {
    cursor.expect(word)?;
    cursor.number()
}

fn read_exact(line: &Line<'_>) -> Result<(usize, Exact), ParseError> {
    let mut cursor = Cursor::new(line);
    let number = after(&mut cursor, "exact")?;
    let exact = Exact {
        length: after(&mut cursor, "length")?,
        log_delta: after(&mut cursor, "delta")?,
        lo: after(&mut cursor, "range")?,
        hi: cursor.number()?,
        variance: after(&mut cursor, "variance")?,
        log2_failure: after(&mut cursor, "failure")?,
    };
    cursor.end()?;
    Ok((number, exact))
}

fn read_estimates(cursor: &mut Cursor<'_, '_>) -> Result<IntegerEstimates, ParseError> {
    Ok(IntegerEstimates {
        bootstraps: after(cursor, "bootstraps")?,
        macs: after(cursor, "macs")?,
        latency_s: after(cursor, "latency_s")?,
        eval_key_bytes: after(cursor, "eval_key_bytes")?,
        run_bytes: after(cursor, "run_bytes")?,
        choice: String::new(),
    })
}

fn read_port(cursor: &mut Cursor<'_, '_>) -> Result<IntegerPort, ParseError> {
    let (name, shape, dtype) = (cursor.text()?, cursor.list()?, read_dtype(cursor)?);
    let log_delta = after(cursor, "delta")?;
    let (lo, hi) = (after(cursor, "integers")?, cursor.number()?);
    let slack = after(cursor, "slack")?;
    cursor.expect("range")?;
    let range = cursor.range()?;
    let variance = after(cursor, "variance")?;
    let log2_failure = after(cursor, "failure")?;
    let batched = cursor.accept("batched");
    cursor.equals()?;
    Ok(IntegerPort {
        name,
        shape,
        dtype,
        batched,
        range,
        register: register(cursor)?,
        log_delta,
        quantisation: Quantisation {
            scale: vec![],
            zero_point: vec![],
            lo,
            hi,
        },
        slack,
        variance,
        log2_failure,
    })
}

fn register(cursor: &mut Cursor<'_, '_>) -> Result<Register, ParseError> {
    let word = cursor.word()?;
    Ok(Register(letter(cursor, word, 'r')?))
}

/// Registers up to one of the words, which is read too, or the end of the line.
fn registers(cursor: &mut Cursor<'_, '_>, until: &[&str]) -> Result<Vec<Register>, ParseError> {
    let mut found = Vec::new();
    while !cursor.is_done() && !until.iter().any(|word| cursor.accept(word)) {
        found.push(register(cursor)?);
    }
    Ok(found)
}

fn read_step(
    line: &Line<'_>,
    cursor: &mut Cursor<'_, '_>,
    exact: Exact,
    budget: &mut usize,
) -> Result<Step, ParseError> {
    let dst = register(cursor)?;
    cursor.equals()?;
    let op = match cursor.word()? {
        "linear" => {
            let src = registers(cursor, &["by"])?;
            let word = cursor.word()?;
            StepOp::Linear {
                src,
                matrix: letter(cursor, word, 'm')?,
            }
        }
        "lookup" => {
            let src = register(cursor)?;
            cursor.expect("tables")?;
            let tables = cursor.positions(budget)?;
            let reads = if cursor.accept("reads") {
                cursor.positions(budget)?
            } else {
                vec![0]
            };
            let slack = if cursor.accept("slack") {
                cursor.number()?
            } else {
                0
            };
            StepOp::Lookup {
                src,
                tables,
                reads,
                slack,
                negacyclic: cursor.accept("negacyclic"),
            }
        }
        word => return Err(cursor.error(format!("{word:?} is no step of this stage"))),
    };
    let free = if cursor.accept("free") {
        registers(cursor, &[])?
    } else {
        vec![]
    };
    Ok(Step {
        dst,
        op,
        length: exact.length,
        log_delta: exact.log_delta,
        lo: exact.lo,
        hi: exact.hi,
        variance: exact.variance,
        log2_failure: exact.log2_failure,
        free,
        origin: line.remark()?,
    })
}
