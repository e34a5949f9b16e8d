//! The lines of a plan's text.

use super::encode::{hash_module, hash_transform, hash_weights};
use super::{
    Estimates, Fit, KeyRequest, Plan, PlanApproximation, PlanPort, Register, RotationKeySpec,
    SlotVector, Step, StepOp, Transform, Weights,
};
use crate::circuit::read::read_layout;
use crate::scale::Scale;
use crate::tensor::Module;
use crate::tensor::read::{read_dtype, read_tensor};
use crate::text::{
    Cursor, Kind, Line, MAX_POSITIONS, ParseError, ScaleTable, hash_values, no_params, read_params,
};
use crate::value::{Range, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most registers of one list.
const MAX_REGISTERS: usize = 1 << 20;

/// What the line `exact` says of a step.
struct Exact {
    level: usize,
    scale: Scale,
    range: Range,
    noise: f64,
    approximation: Option<f64>,
}

/// Reads all lines behind the first.
pub(super) fn read_lines(
    head: &Line<'_>,
    lines: &[Line<'_>],
    name: String,
    source: String,
    donor: &Plan,
) -> Result<Plan, ParseError> {
    let scales = ScaleTable::read(lines)?;
    let mut plan = Plan {
        name,
        source,
        params: no_params(),
        inputs: vec![],
        outputs: vec![],
        transforms: vec![],
        weights: vec![],
        vectors: vec![],
        steps: vec![],
        keys: KeyRequest::default(),
        estimates: Estimates::default(),
        margin: 1.0,
        clear: Module::default(),
        tail: None,
        approximations: vec![],
    };
    let transforms: BTreeMap<String, &Transform> = donor
        .transforms
        .iter()
        .map(|t| (hash_transform(t), t))
        .collect();
    let weights: BTreeMap<String, &Weights> =
        donor.weights.iter().map(|w| (hash_weights(w), w)).collect();
    let vectors: BTreeMap<String, &SlotVector> = donor
        .vectors
        .iter()
        .map(|v| (hash_values(&[&[v.values.len()]], &v.values), v))
        .collect();
    let mut budget = MAX_POSITIONS;
    let mut exact: BTreeMap<usize, Exact> = BTreeMap::new();
    let mut clear = false;
    for line in lines {
        if line.columns.is_none() && Cursor::new(line).accept("exact") {
            let (number, values) = read_exact(line, &scales)?;
            if exact.insert(number, values).is_some() {
                return Err(line.error(format!("step {number} has two such lines")));
            }
        }
    }
    for line in lines {
        let mut cursor = Cursor::new(line);
        if line.columns.is_some() {
            let number = plan.steps.len();
            let values = exact.remove(&number);
            let values =
                values.ok_or_else(|| line.error(format!("step {number} has no line `exact`")))?;
            plan.steps.push(read_step(line, cursor, values, &scales)?);
            continue;
        }
        if read_params(line, &mut plan.params)? {
            continue;
        }
        match cursor.word()? {
            "margin" => plan.margin = cursor.number()?,
            "estimate" => plan.estimates = read_estimates(&mut cursor)?,
            "approximation" => plan.approximations.push(read_approximation(&mut cursor)?),
            "fit" => read_fit(&mut cursor, &mut plan.approximations)?,
            "keys" => {
                cursor.expect("relinearization")?;
                plan.keys.relinearization = read_level(&mut cursor)?;
                cursor.expect("conjugation")?;
                plan.keys.conjugation = read_level(&mut cursor)?;
            }
            "rotations" => {
                cursor.expect("level")?;
                let level = cursor.number()?;
                cursor.expect("steps")?;
                let steps = cursor.positions(&mut budget)?;
                plan.keys.rotations.extend(
                    steps
                        .into_iter()
                        .map(|steps| RotationKeySpec { steps, level }),
                );
            }
            "input" => plan
                .inputs
                .push(read_port(&mut cursor, &scales, &mut budget)?),
            "output" => plan
                .outputs
                .push(read_port(&mut cursor, &scales, &mut budget)?),
            "transform" => {
                numbered(&mut cursor, 't', plan.transforms.len())?;
                plan.transforms.push(named(&mut cursor, &transforms)?);
            }
            "weights" => {
                numbered(&mut cursor, 'w', plan.weights.len())?;
                plan.weights.push(named(&mut cursor, &weights)?);
            }
            "vector" => {
                numbered(&mut cursor, 'v', plan.vectors.len())?;
                let name = cursor.text()?;
                plan.vectors.push(SlotVector {
                    name,
                    values: read_vector(&mut cursor, &vectors)?,
                });
            }
            "clear" => {
                cursor.expect("blake3")?;
                if hash_module(&donor.clear) != cursor.text()? {
                    return Err(cursor.error("the donor has another clear network"));
                }
                plan.clear = donor.clear.clone();
                clear = true;
            }
            "tail" => {
                cursor.expect("blake3")?;
                let hash = cursor.text()?;
                let found = donor.tail.as_ref().filter(|t| hash_module(t) == hash);
                let missing = || cursor.error("the donor has no such tail");
                plan.tail = Some(found.ok_or_else(missing)?.clone());
            }
            // These were read before.
            "exact" | "scale" => continue,
            word => return Err(cursor.error(format!("{word:?} starts no line of this stage"))),
        }
        cursor.end()?;
    }
    if let Some(number) = exact.keys().next() {
        return Err(head.error(format!("there is a line `exact`, but no step {number}")));
    }
    if !clear {
        return Err(head.error("there is no line `clear`"));
    }
    Ok(plan)
}

/// What the donor has under the hash at a line's end. What stands before it is for people: the hash is over all of it.
fn named<T: Clone>(
    cursor: &mut Cursor<'_, '_>,
    donor: &BTreeMap<String, &T>,
) -> Result<T, ParseError> {
    while !cursor.accept("blake3") {
        cursor.any()?;
    }
    let found = donor.get(&cursor.text()?);
    let found = found.ok_or_else(|| cursor.error("the donor has nothing of this hash"))?;
    Ok(T::clone(found))
}

/// The number behind a letter: `r3`.
pub(crate) fn letter(cursor: &Cursor<'_, '_>, word: &str, letter: char) -> Result<u32, ParseError> {
    let number = word
        .strip_prefix(letter)
        .filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    number
        .and_then(|d| d.parse().ok())
        .ok_or_else(|| cursor.error(format!("this is nothing such as {letter}3")))
}

pub(crate) fn numbered(
    cursor: &mut Cursor<'_, '_>,
    prefix: char,
    expected: usize,
) -> Result<(), ParseError> {
    let word = cursor.word()?;
    if letter(cursor, word, prefix)? as usize == expected {
        return Ok(());
    }
    Err(cursor.error(format!("{prefix}{expected} should stand here")))
}

fn read_level(cursor: &mut Cursor<'_, '_>) -> Result<Option<u32>, ParseError> {
    if cursor.accept("-") {
        Ok(None)
    } else {
        cursor.number().map(Some)
    }
}

fn read_scale(cursor: &mut Cursor<'_, '_>, scales: &ScaleTable) -> Result<Scale, ParseError> {
    cursor.expect("scale")?;
    scales
        .get(cursor.any()?)
        .ok_or_else(|| cursor.error("this is no scale of the table"))
}

fn read_exact(line: &Line<'_>, scales: &ScaleTable) -> Result<(usize, Exact), ParseError> {
    let mut cursor = Cursor::new(line);
    cursor.expect("exact")?;
    let number = cursor.number()?;
    cursor.expect("level")?;
    let level = cursor.number()?;
    let scale = read_scale(&mut cursor, scales)?;
    cursor.expect("range")?;
    let range = cursor.range()?;
    cursor.expect("noise")?;
    let noise = cursor.number()?;
    let approximation = cursor.approximation()?;
    cursor.end()?;
    Ok((
        number,
        Exact {
            level,
            scale,
            range,
            noise,
            approximation,
        },
    ))
}

fn read_approximation(cursor: &mut Cursor<'_, '_>) -> Result<PlanApproximation, ParseError> {
    let (origin, function) = (cursor.text()?, cursor.word_or_text()?);
    cursor.expect("degree")?;
    let degree = cursor.number()?;
    cursor.expect("on")?;
    let domain = cursor.range()?;
    cursor.expect("sup")?;
    let sup_error = cursor.number()?;
    cursor.expect("rms")?;
    let rms_error = cursor.number()?;
    let dead_zone = if cursor.accept("dead") {
        cursor.number()?
    } else {
        0.0
    };
    Ok(PlanApproximation {
        origin,
        function,
        domain,
        degree,
        sup_error,
        rms_error,
        dead_zone,
        fit: None,
    })
}

/// Reads the fit of the last approximation, which has none yet.
fn read_fit(
    cursor: &mut Cursor<'_, '_>,
    approximations: &mut [PlanApproximation],
) -> Result<(), ParseError> {
    let last = approximations.last_mut().filter(|a| a.fit.is_none());
    let last = last.ok_or_else(|| cursor.error("no approximation stands before this"))?;
    cursor.expect("seen")?;
    let seen = cursor.range()?;
    cursor.expect("parameters")?;
    let parameters = cursor.list()?;
    cursor.expect("by")?;
    let mut stages = vec![cursor.list()?];
    while cursor.accept("then") {
        stages.push(cursor.list()?);
    }
    last.fit = Some(Fit {
        parameters,
        seen,
        stages,
    });
    Ok(())
}

fn read_estimates(cursor: &mut Cursor<'_, '_>) -> Result<Estimates, ParseError> {
    let mut integer = |word: &str| {
        cursor.expect(word)?;
        cursor.number::<u64>()
    };
    let (ntts, limb_macs) = (integer("ntts")?, integer("limb_macs")?);
    cursor.expect("latency_s")?;
    let latency_s = cursor.number()?;
    let mut integer = |word: &str| {
        cursor.expect(word)?;
        cursor.number::<u64>()
    };
    let (eval_key_bytes, run_bytes) = (integer("eval_key_bytes")?, integer("run_bytes")?);
    Ok(Estimates {
        ntts,
        limb_macs,
        latency_s,
        eval_key_bytes,
        run_bytes,
        choice: String::new(),
    })
}

fn read_vector(
    cursor: &mut Cursor<'_, '_>,
    pool: &BTreeMap<String, &SlotVector>,
) -> Result<Vec<f64>, ParseError> {
    let hash = match cursor.last() {
        Some(Kind::Text(hash)) => hash.clone(),
        _ => String::new(),
    };
    let find = |_: &str| {
        pool.get(&hash)
            .map(|v| Arc::new(Tensor::from_vec(v.values.clone())))
    };
    let tensor = read_tensor(cursor, "vector", find)?;
    Ok(tensor.data().to_vec())
}

fn read_port(
    cursor: &mut Cursor<'_, '_>,
    scales: &ScaleTable,
    budget: &mut usize,
) -> Result<PlanPort, ParseError> {
    let (name, shape, dtype) = (cursor.text()?, cursor.list()?, read_dtype(cursor)?);
    cursor.expect("level")?;
    let level = cursor.number()?;
    let scale = read_scale(cursor, scales)?;
    cursor.expect("range")?;
    let range = cursor.range()?;
    cursor.expect("noise")?;
    let noise = cursor.number()?;
    let batched = cursor.accept("batched");
    let clear = cursor.accept("clear");
    cursor.equals()?;
    let mut registers = Vec::new();
    while !cursor.accept("layout") {
        read_registers(cursor, &mut registers)?;
    }
    let layout = read_layout(cursor, budget)?;
    Ok(PlanPort {
        name,
        shape,
        dtype,
        batched,
        clear,
        range,
        layout,
        level,
        scale,
        registers,
        noise,
    })
}

/// A register, or a list of them as runs of numbers.
fn read_registers(
    cursor: &mut Cursor<'_, '_>,
    registers: &mut Vec<Register>,
) -> Result<(), ParseError> {
    if let Some(Kind::List(_)) = cursor.peek() {
        // A plan holds fewer registers than this.
        let mut budget = MAX_REGISTERS;
        registers.extend(cursor.positions(&mut budget)?.into_iter().map(Register));
    } else {
        let word = cursor.word()?;
        registers.push(Register(letter(cursor, word, 'r')?));
    }
    Ok(())
}

/// The parts of a step's row.
#[derive(Default)]
struct Parts<'a> {
    results: Vec<Register>,
    operands: Vec<Register>,
    by: Option<&'a str>,
    bias: Vec<u32>,
    free: Vec<Register>,
    value: Option<f64>,
    scale: Option<Scale>,
    level: Option<usize>,
    gain: Option<u32>,
    terms: Vec<(Register, f64, Scale)>,
    constant: Option<f64>,
    rotations: Vec<u32>,
    rescaled: bool,
    squares: bool,
}

impl<'a> Parts<'a> {
    fn read(
        cursor: &mut Cursor<'_, 'a>,
        scales: &ScaleTable,
    ) -> Result<(Self, &'a str), ParseError> {
        let mut parts = Self::default();
        while !matches!(cursor.peek(), Some(Kind::Equals)) {
            read_registers(cursor, &mut parts.results)?;
        }
        cursor.equals()?;
        let op = cursor.word()?;
        let mut section = "";
        while !cursor.is_done() {
            if let Some(Kind::List(_)) = cursor.peek() {
                let freed = section == "free";
                let list = if freed {
                    &mut parts.free
                } else {
                    &mut parts.operands
                };
                read_registers(cursor, list)?;
                continue;
            }
            match cursor.word()? {
                "by" => parts.by = Some(cursor.word()?),
                "value" => parts.value = Some(cursor.number()?),
                "scale" => {
                    let scale = scales.get(cursor.any()?);
                    parts.scale =
                        Some(scale.ok_or_else(|| cursor.error("this is no scale of the table"))?);
                }
                "level" => parts.level = Some(cursor.number()?),
                "gain" => parts.gain = Some(cursor.number()?),
                "constant" => parts.constant = Some(cursor.number()?),
                "plus" => {
                    let word = cursor.word()?;
                    let operand = Register(letter(cursor, word, 'r')?);
                    let (value, scale) = scales.factor(cursor)?;
                    parts.terms.push((operand, value, scale));
                }
                "rotations" => parts.rotations = cursor.list()?,
                "rescaled" => parts.rescaled = true,
                "squares" => parts.squares = true,
                word @ ("bias" | "free") => section = word,
                word if section == "bias" => parts.bias.push(letter(cursor, word, 'v')?),
                word if section == "free" => parts.free.push(Register(letter(cursor, word, 'r')?)),
                word => parts.operands.push(Register(letter(cursor, word, 'r')?)),
            }
        }
        Ok((parts, op))
    }
}

fn read_step(
    line: &Line<'_>,
    mut cursor: Cursor<'_, '_>,
    exact: Exact,
    scales: &ScaleTable,
) -> Result<Step, ParseError> {
    let (parts, word) = Parts::read(&mut cursor, scales)?;
    let count = |results: usize, operands: usize| match (parts.results.len(), parts.operands.len())
    {
        (r, o) if r == results && o == operands => Ok(()),
        _ => Err(line.error(format!(
            "{word} has {results} result and takes {operands} operands"
        ))),
    };
    let unary = || match (&parts.results[..], &parts.operands[..]) {
        (&[dst], &[a]) => Ok((dst, a)),
        _ => count(1, 1).map(|()| (Register(0), Register(0))),
    };
    let binary = || match (&parts.results[..], &parts.operands[..]) {
        (&[dst], &[a, b]) => Ok((dst, a, b)),
        _ => count(1, 2).map(|()| (Register(0), Register(0), Register(0))),
    };
    let missing = |what: &str| line.error(format!("{word} needs its {what}"));
    let by = |prefix: char| {
        letter(
            &cursor,
            parts.by.ok_or_else(|| missing("constant"))?,
            prefix,
        )
    };
    let plain_scale = || parts.scale.clone().ok_or_else(|| missing("scale"));
    let rescale = parts.rescaled;
    let op = match word {
        "linear_transform" => StepOp::LinearTransform {
            transform: by('t')?,
            src: parts.operands.clone(),
            dst: parts.results.clone(),
            rescale,
            bias: parts.bias.clone(),
        },
        "weighted_sums" => StepOp::WeightedSums {
            weights: by('w')?,
            src: parts.operands.clone(),
            dst: parts.results.clone(),
            squares: parts.squares,
            rescale,
        },
        "mul" => {
            let (dst, a, b) = binary()?;
            StepOp::Mul { dst, a, b, rescale }
        }
        "fold" => {
            let (dst, a) = unary()?;
            StepOp::Fold {
                dst,
                a,
                rotations: parts.rotations.clone(),
            }
        }
        "square" => {
            let (dst, a) = unary()?;
            StepOp::Square { dst, a, rescale }
        }
        "add" => {
            let (dst, a, b) = binary()?;
            StepOp::Add { dst, a, b }
        }
        "sub" => {
            let (dst, a, b) = binary()?;
            StepOp::Sub { dst, a, b }
        }
        "add_vector" => {
            let (dst, a) = unary()?;
            StepOp::AddVector {
                dst,
                a,
                vector: by('v')?,
            }
        }
        "mul_vector" => {
            let (dst, a) = unary()?;
            StepOp::MulVector {
                dst,
                a,
                vector: by('v')?,
                plain_scale: plain_scale()?,
                rescale,
            }
        }
        "mul_scalar" => {
            let (dst, a) = unary()?;
            let value = parts.value.ok_or_else(|| missing("value"))?;
            StepOp::MulScalar {
                dst,
                a,
                value,
                plain_scale: plain_scale()?,
                rescale,
            }
        }
        "rescale" => {
            let (dst, a) = unary()?;
            StepOp::Rescale { dst, a }
        }
        "gain" => {
            let (dst, a) = unary()?;
            StepOp::Gain {
                dst,
                a,
                factor: parts.value.ok_or_else(|| missing("value"))?,
            }
        }
        "drop_level" => {
            let (dst, a) = unary()?;
            StepOp::DropLevel {
                dst,
                a,
                level: parts.level.ok_or_else(|| missing("level"))?,
            }
        }
        "combine" => {
            let pair = |p: &[Register]| match *p {
                [a, b] => Ok((a, b)),
                _ => Err(line.error("the factors of products come in pairs")),
            };
            StepOp::Combine {
                dst: match parts.results[..] {
                    [dst] => dst,
                    _ => return Err(line.error("combine has 1 result")),
                },
                products: parts
                    .operands
                    .chunks(2)
                    .map(pair)
                    .collect::<Result<_, _>>()?,
                gain: parts.gain.ok_or_else(|| missing("gain"))?,
                terms: parts.terms.clone(),
                constant: parts.constant.ok_or_else(|| missing("constant"))?,
                rescale,
            }
        }
        _ => return Err(line.error(format!("{word:?} is no step"))),
    };
    let Exact {
        level,
        scale,
        range,
        noise,
        approximation,
    } = exact;
    Ok(Step {
        op,
        free: parts.free.clone(),
        level,
        scale,
        range,
        noise,
        approximation,
        origin: line.remark()?,
    })
}
