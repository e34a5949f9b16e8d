//! Small plans for the tests of this stage.

use super::*;
use crate::tensor::parse as parse_module;

/// The network of [`plan`], as far as a clear network goes: not the same function.
fn clear() -> tensor::Module {
    let text = r#"
module "tiny" · from "tiny.onnx, opset 17" · stage tensor
  shape   range   | op
  [1,4]   -       | %0 = input "x"   ; port "x"
  [1,4]   -       | %1 = relu %0     ; node 0 Relu "/act"
input "x" = %0 · f32 · batched
output "y" = %1 · batched
"#;
    parse_module(text, &[]).unwrap()
}

fn tail() -> tensor::Module {
    let text = r#"
module "tail" · from "tiny.onnx, opset 17" · stage tensor
  shape   range   | op
  [1,3]   -       | %0 = input "y"           ; port "y"
  [1,1]   -       | %1 = arg_max %0 axis 1   ; node 8 ArgMax "/class"
input "y" = %0 · f64 · batched
output "class" = %1 · i64 · batched
"#;
    parse_module(text, &[]).unwrap()
}

pub(super) fn one_scale(scale: f64, lo: i64, hi: i64) -> Quantisation {
    Quantisation {
        scale: vec![scale],
        zero_point: vec![0],
        lo,
        hi,
    }
}

pub(super) fn range(lo: f64, hi: f64) -> Range {
    Range { lo, hi }
}

/// Four inputs of 3 bits; a sum looked up approximately, relu, and a bootstrap with two outputs.
pub(super) fn builder() -> IntegerBuilder {
    let mut b = IntegerBuilder::new("tiny", "tiny.onnx, opset 17", SETS[1]);
    let x = b.input("x", &[1, 4], range(-2.0, 2.0), 56, one_scale(0.5, -4, 3));
    let rows = [
        (vec![(0, 1), (1, -2), (3, 1)], 16),
        (vec![(0, -1), (2, 2)], 12),
    ];
    let first = b.matrix(Matrix::from_rows("first", 4, rows).unwrap());
    let sums = b.linear(&[x], first, 56, "node 0 Gemm \"/fc\"");
    let relu = b.table(Table {
        name: "relu".into(),
        entries: vec![0, 0, 0, 0, 0, 1, 2, 3],
    });
    // The sums lie in 0 .. 31 at delta 2^56: the table sees their upper bits.
    let op = StepOp::Lookup {
        src: sums,
        tables: vec![relu, relu],
        reads: vec![0],
        slack: 1,
        negacyclic: true,
    };
    let hidden = b.push(op, 60, "node 1 Relu \"/act\"");
    let last = b.matrix(Matrix::from_rows("sum", 2, [(vec![(0, 1), (1, 1)], 6)]).unwrap());
    let sum = b.linear(&[hidden], last, 60, "node 2 Add \"/sum\"");
    let digits = b.table(Table {
        name: "halves".into(),
        entries: vec![0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5],
    });
    let wide = b.matrix(Matrix::from_rows("wide", 1, [(vec![(0, 1)], 0)]).unwrap());
    let sum = b.linear(&[sum], wide, 59, "pass widen");
    let op = StepOp::Lookup {
        src: sum,
        tables: vec![digits],
        reads: vec![0, 1, 2],
        slack: 0,
        negacyclic: true,
    };
    let outputs = b.push(op, 59, "pass halves");
    b.output(
        "y",
        &[1, 3],
        range(0.0, 5.0),
        outputs,
        one_scale(0.25, 0, 0),
    );
    let plan = b.plan_mut();
    (plan.clear, plan.tail) = (clear(), Some(tail()));
    plan.log2_failure = -40.0;
    b
}

pub(super) fn plan() -> IntegerPlan {
    builder().finish().unwrap()
}

/// The largest of `2^levels` inputs of 0 .. 7, by `b + relu(a - b)`.
pub(super) fn maximum(levels: u32) -> Result<IntegerPlan, AnalyseError> {
    let count = 1_usize << levels;
    let mut b = IntegerBuilder::new("max", "max.onnx", SETS[1]);
    let mut x = b.input("x", &[1, count], range(0.0, 7.0), 59, one_scale(1.0, 0, 7));
    let relu = b.table(Table {
        name: "relu of index - 8".into(),
        entries: (0..16).map(|i| (i - 8_i64).max(0)).collect(),
    });
    let mut left = count as u32 / 2;
    while left > 0 {
        let difference = (0..left).map(|i| (vec![(i, 1), (i + left, -1)], 8));
        let m = b.matrix(Matrix::from_rows("difference", 2 * left, difference).unwrap());
        let difference = b.linear(&[x], m, 59, "difference");
        let positive = b.lookup(difference, &[relu], 59, "relu");
        let sum = (0..left).map(|i| (vec![(i + left, 1), (2 * left + i, 1)], 0));
        let m = b.matrix(Matrix::from_rows("sum", 3 * left, sum).unwrap());
        x = b.linear(&[x, positive], m, 59, "max");
        left /= 2;
    }
    b.output("y", &[1, 1], range(0.0, 7.0), x, one_scale(1.0, 0, 0));
    b.plan_mut().clear = clear();
    b.plan_mut().clear.inputs[0].name = "x".into();
    b.finish()
}

/// The largest of four bootstrapped integers of 0 .. `most`, at most 15, exactly, by `distance` of their differences.
///
/// The integers are encoded in quarters of an index, so that twice and four times the largest is computed without a
/// halving: `a + b + |a - b|` is twice the larger one.
pub(super) fn largest_of_four(
    distance: impl Fn(i64) -> i64,
    most: i64,
) -> Result<IntegerPlan, AnalyseError> {
    let mut b = IntegerBuilder::new("largest", "max.onnx", SETS[1]);
    let ends = range(0.0, most as f64);
    let x = b.input("x", &[1, 4], ends, 59, one_scale(1.0, 0, most));
    let same = b.table(Table {
        name: "same".into(),
        entries: (0..16).collect(),
    });
    // Less the half of a turn, a distance goes on negated.
    let distance = b.table(Table {
        name: "distance".into(),
        entries: (0..16).map(|d| distance(d) - 8).collect(),
    });
    let fine = b.lookup(x, &[same], 57, "fine");
    let rows = [(vec![(0, 4), (1, -4)], 0), (vec![(2, 4), (3, -4)], 0)];
    let m = b.matrix(Matrix::from_rows("differences", 4, rows).unwrap());
    let differences = b.linear(&[fine], m, 57, "first round");
    let distances = |b: &mut IntegerBuilder, src, delta| {
        let op = StepOp::Lookup {
            src,
            tables: vec![distance],
            reads: vec![0],
            slack: 0,
            negacyclic: true,
        };
        b.push(op, delta, "distance")
    };
    let first = distances(&mut b, differences, 57);
    let rows = [
        (vec![(0, 1), (1, 1), (4, 1)], 8),
        (vec![(2, 1), (3, 1), (5, 1)], 8),
    ];
    let m = b.matrix(Matrix::from_rows("twice", 6, rows).unwrap());
    let twice = b.linear(&[fine, first], m, 57, "twice the larger ones");
    let rows = [(vec![(0, 2), (1, -2)], 0)];
    let m = b.matrix(Matrix::from_rows("difference", 2, rows).unwrap());
    let difference = b.linear(&[twice], m, 57, "second round");
    let second = distances(&mut b, difference, 58);
    let rows = [(vec![(0, 1), (1, 1), (2, 1)], 16)];
    let m = b.matrix(Matrix::from_rows("four times", 3, rows).unwrap());
    let largest = b.linear(&[twice, second], m, 57, "four times the largest");
    let y = b.lookup(largest, &[same], 59, "largest");
    b.output("y", &[1, 1], ends, y, one_scale(1.0, 0, 0));
    b.plan_mut().clear = clear();
    b.finish()
}
