//! What the outputs of an integer plan may be.

use cipherloom_ir::integer::{IntegerPlan, StepOp};
use std::collections::BTreeMap;

/// For each output, the smallest and the largest integer of its elements, where every index of a lookup may be off by its
/// slack, and every output by its own.
pub fn intervals(plan: &IntegerPlan, inputs: &[Vec<i64>]) -> Vec<Vec<(i128, i128)>> {
    let mut registers: BTreeMap<_, Vec<(i128, i128)>> = BTreeMap::new();
    for (port, integers) in plan.inputs.iter().zip(inputs) {
        let phase = |m: &i64| i128::from(*m) << port.log_delta;
        let phases = integers.iter().map(|m| (phase(m), phase(m))).collect();
        registers.insert(port.register, phases);
    }
    for step in &plan.steps {
        let values: Vec<(i128, i128)> = match &step.op {
            StepOp::Linear { src, matrix } => {
                let matrix = &plan.matrices[*matrix as usize];
                let operands: Vec<_> = src.iter().flat_map(|r| &registers[r]).collect();
                let row = |row: usize| {
                    let bias = i128::from(matrix.bias[row]) << step.log_delta;
                    matrix.row(row).fold((bias, bias), |(lo, hi), (column, w)| {
                        let (a, b) = operands[column];
                        let (a, b) = (a * i128::from(w), b * i128::from(w));
                        (lo + a.min(b), hi + a.max(b))
                    })
                };
                (0..matrix.rows()).map(row).collect()
            }
            StepOp::Lookup {
                src,
                tables,
                reads,
                slack,
                ..
            } => {
                let one = |read: i64, (i, (lo, hi)): (usize, &(i128, i128))| {
                    let table = &plan.tables[*tables.get(i).unwrap_or(&tables[0]) as usize];
                    let entry = 1_i128 << (63 - table.bits());
                    let index = |p: &i128| (p + entry / 2).div_euclid(entry) as i64;
                    let slack = i64::from(*slack);
                    let (from, to) = (index(lo) - slack + read, index(hi) + slack + read);
                    // A whole turn holds every entry.
                    let found = (from..=to.min(from + (2 << table.bits()))).map(|i| table.at(i));
                    let (least, most) = (found.clone().min().unwrap(), found.max().unwrap());
                    let phase = |m: i64| i128::from(m) << step.log_delta;
                    (phase(least), phase(most))
                };
                let operand = &registers[src];
                let of = |read: &u32| {
                    let read = i64::from(*read);
                    operand.iter().enumerate().map(move |x| one(read, x))
                };
                reads.iter().flat_map(of).collect()
            }
        };
        registers.insert(step.dst, values);
    }
    let output = |port: &cipherloom_ir::integer::IntegerPort| {
        let slack = i128::from(port.slack);
        let decode = |phase: i128| (phase + (1_i128 << port.log_delta) / 2) >> port.log_delta;
        let element = |(lo, hi): &(i128, i128)| (decode(*lo) - slack, decode(*hi) + slack);
        registers[&port.register].iter().map(element).collect()
    };
    plan.outputs.iter().map(output).collect()
}
