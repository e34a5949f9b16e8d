//! Counts against counts by hand, and the text form.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::Compiler;
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::plan::{Block, Diagonal, Plan, Register, Step, StepOp, Transform, Weights};
use cipherloom_ir::{Scale, tensor};
use proptest::prelude::*;
use serde_json::Value;

fn work(ntts: u64, converts: u64, keys: u64, diagonals: u64, passes: u64) -> Work {
    Work {
        ntts,
        converts,
        keys,
        diagonals,
        sums: 0,
        passes,
    }
}

/// Three chain primes and a special one, digits of one prime.
const SINGLE: Limbs = Limbs {
    q: 3,
    p: 1,
    digit_size: 1,
};

/// Three chain primes and two special ones, digits of two primes and of one.
const DOUBLE: Limbs = Limbs {
    q: 3,
    p: 2,
    digit_size: 2,
};

#[test]
fn operations_of_the_scheme_are_counted_by_hand() {
    // A key switch: 3 limbs go to coefficients, each digit goes to its 3 other limbs; 3 digits and the sum for 4 limbs. Two
    // divisions by one prime: 1 limb to coefficients, converted to 3.
    assert_eq!(SINGLE.key_switch(false), work(12 + 8, 9 + 6, 16, 0, 3 + 8));
    // Fused with the rescale: two primes, three rows for each of 2 limbs, two rows for the overflow.
    assert_eq!(SINGLE.key_switch(true), work(12 + 8, 9 + 16, 16, 0, 3 + 8));
    assert_eq!(SINGLE.multiply(true), work(20, 25, 16, 0, 11 + 9));
    assert_eq!(SINGLE.rescale(), work(6, 4, 0, 0, 6));
    assert_eq!(SINGLE.combine(0, 2, false), work(0, 0, 0, 0, 9));
    assert_eq!(SINGLE.combine(2, 1, false), work(20, 15, 16, 0, 11 + 24));
    assert_eq!(SINGLE.combine(0, 1, true), work(6, 4, 0, 0, 6 + 6));
    // Digits of 2 and 1 primes on 5 limbs: 3 rows for 3 limbs, 1 row for 4, 3 rows for overflows. Divisions: 3 rows for 3
    // limbs and 2 for the overflow, twice.
    assert_eq!(
        DOUBLE.key_switch(false),
        work(10 + 10, 9 + 4 + 3 + 22, 15, 0, 3 + 10)
    );
}

#[test]
fn weighted_sums_are_counted_by_hand() {
    // Two parts of three limbs for each entry; each part of both results is written, read again and rescaled.
    let sums = |sums, rest| Work { sums, ..rest };
    let expected = sums(10 * 2 * 3, work(2 * 6, 2 * 4, 0, 0, 2 * (12 + 6)));
    assert_eq!(SINGLE.weighted_sums(10, 2, false, true), expected);
    let unscaled = sums(10 * 2 * 3, work(0, 0, 0, 0, 2 * 12));
    assert_eq!(SINGLE.weighted_sums(10, 2, false, false), unscaled);
    // Squares have three parts; a relinearisation with a rescale follows at two limbs.
    let below = Limbs { q: 2, ..SINGLE };
    let squares = sums(
        10 * 3 * 3,
        work(9, 6, 0, 0, 18 + 9) + below.key_switch(true),
    );
    assert_eq!(SINGLE.weighted_sums(10, 1, true, true), squares);
}

#[test]
fn transforms_are_counted_by_hand() {
    let shape = TransformShape {
        decomposed: 1,
        babies: 2,
        unrotated: 1,
        diagonals: 5,
        giants: 1,
        folds: 1,
        rows: 1,
        rescale: false,
    };
    // Decomposed: the operand and two moved sums, 12 NTTs, 9 conversions and 3 passes each. Switched: 2 + 1 + 1 times, 16 products.
    // Divided: the moved sums' second parts, 4 NTTs, 3 conversions, 4 passes each; the result, twice as much.
    let expected = work(36 + 8 + 8, 27 + 6 + 6, 64, 20, 6 + 9 + 8 + 4 + 8);
    assert_eq!(SINGLE.transform(shape), expected);
    let counts = TransformCounts {
        cols: 1,
        rows: 1,
        diagonals: 5,
        babies: 2,
        giants: 1,
        folds: 1,
    };
    let searched = TransformShape::from(counts);
    assert_eq!(
        searched,
        TransformShape {
            rescale: true,
            ..shape
        }
    );
}

/// A plan on three chain primes, two of them narrow, and a wide special one; its transforms and steps are replaced.
fn plan(steps: Vec<(StepOp, usize)>) -> Plan {
    let text = r#"
module "tiny" · from "tiny.onnx" · stage tensor
  shape  range        | op
  [1,4]  [-1.0, 1.0]  | %0 = input "x"   ; port "x"
  [1,4]  [0.0, 1.0]   | %1 = mul %0, %0  ; node 0 Mul "/mul"
input "x" = %0 · f32 · batched
output "y" = %1 · f32 · batched
"#;
    let module = tensor::parse(text, &[]).unwrap();
    let compiled = Compiler::new().input_range("x", -1.0, 1.0).compile(&module);
    let mut plan = compiled.unwrap().plan;
    let mut q = ntt_primes_near(13, 40.0, 1, &[]);
    q.extend(ntt_primes_near(13, 28.0, 2, &[]));
    plan.params = CkksLiteral {
        log_n: 13,
        p: ntt_primes_near(13, 45.0, 1, &q),
        q,
        digit_size: 1,
        ..plan.params
    };
    let diagonal = |rotation| Diagonal {
        rotation,
        values: vec![1.0; 8],
    };
    let diagonals = |all: &[u32]| all.iter().copied().map(diagonal).collect();
    let block = |row, col, all| Block {
        row,
        col,
        diagonals: diagonals(all),
    };
    plan.transforms = vec![Transform {
        name: "two by two".into(),
        period: 8,
        samples: 1,
        level: 2,
        plain_scale: Scale::pow2(20),
        baby_step: 2,
        folds: vec![4],
        blocks: vec![
            block(0, 0, &[0, 1, 3]),
            block(0, 1, &[0]),
            block(1, 0, &[2, 5]),
        ],
    }];
    let model = plan.steps.first().unwrap().clone();
    let step = |(op, level)| Step {
        op,
        level,
        free: vec![],
        ..model.clone()
    };
    plan.steps = steps.into_iter().map(step).collect();
    plan
}

fn transform(rescale: bool, level: usize) -> (StepOp, usize) {
    let registers = |all: [u32; 2]| all.map(Register).to_vec();
    let op = StepOp::LinearTransform {
        transform: 0,
        src: registers([0, 1]),
        dst: registers([2, 3]),
        rescale,
        bias: vec![0, 0],
    };
    (op, level)
}

/// A model in which one primitive takes a microsecond and all others nothing, and memory is no limit.
fn unit(name: &str, serial_share: f64) -> CostModel {
    let mut rates = Rates::default();
    let field = Rates::FIELDS.iter().find(|(field, _)| *field == name);
    *field.unwrap().1(&mut rates) = 1.0;
    let ring = Ring {
        narrow: rates,
        wide: rates,
        serial_share,
    };
    CostModel {
        machine: "synthetic".into(),
        memory_bytes_per_s: 1e15,
        rings: [(13, ring)].into(),
    }
}

#[test]
fn a_plans_steps_are_counted_by_hand() {
    let (dst, a, b) = (Register(4), Register(2), Register(3));
    let fold = StepOp::Fold {
        dst,
        a,
        rotations: vec![2, 1],
    };
    let square = StepOp::Square {
        dst,
        a,
        rescale: true,
    };
    let plan = plan(vec![
        transform(false, 2),
        (square, 1),
        (StepOp::Rescale { dst, a }, 1),
        (fold, 2),
        (StepOp::Add { dst, a, b }, 2),
    ]);
    // The transform rotates operand 0 by 1, moves both results by 2 and the second by 4, folds both, and uses both operands as they
    // are: one and five decompositions, six switches, five divisions of one part and two of two parts; biases take four passes.
    let transform = [
        12 * 6 + 4 * 5 + 8 * 2,
        9 * 6 + 3 * 5 + 6 * 2,
        16 * 6,
        6 * 4,
        0,
        2 * 6 + 3 * 6 + 4 * 5 + 4 * 2 + 8 * 2 + 24,
    ];
    let expected = [
        transform,
        [20, 25, 16, 0, 0, 20],
        [6, 4, 0, 0, 0, 6],
        [40, 30, 32, 0, 0, 2 * (11 + 12)],
        [0, 0, 0, 0, 0, 12],
    ];
    for (nth, (name, _)) in Rates::FIELDS.iter().enumerate() {
        let seconds = step_seconds(&plan, &unit(name, 0.0), 1);
        for (step, (found, expected)) in seconds.iter().zip(expected).enumerate() {
            let found = (found * 1e6).round() as u64;
            assert_eq!(found, expected[nth], "{name} of step {step}");
        }
        // Half of the time is shared by two threads.
        let shared: f64 = step_seconds(&plan, &unit(name, 0.5), 2).iter().sum();
        let alone: f64 = seconds.iter().sum();
        // What memory takes is next to nothing here, and no thread shares it.
        assert!(
            (shared - 0.75 * alone).abs() < 1e-3 * alone + 1e-8,
            "{name}: {shared} {alone}"
        );
    }
    let sum = estimates(&plan, &unit("ntt_us", 0.0));
    assert_eq!(
        sum.ntts,
        expected.iter().map(|counts| counts[0]).sum::<u64>()
    );
    assert!((sum.latency_s - 1e-6 * sum.ntts as f64).abs() < 1e-12);
}

#[test]
fn wide_primes_count_by_their_share_and_memory_bounds() {
    let (mut plan, mut model) = (plan(vec![transform(false, 2)]), unit("ntt_us", 0.0));
    let narrow = step_seconds(&plan, &model, 1)[0];
    model.rings.get_mut(&13).unwrap().wide.ntt = 3.0;
    // Two of four primes are wide.
    assert!((step_seconds(&plan, &model, 1)[0] - 2.0 * narrow).abs() < 1e-12);
    // Six switches read three digits' keys, here counted with the sums: 24 limbs of two halves, of 6 bytes a word in the mean; and
    // six diagonals of 16 words modulo four primes. However many threads, memory gives no more.
    let bytes = (24 * 2 * 8192 + 6 * 16) * (8 + 4 + 4 + 8);
    model.memory_bytes_per_s = 1.0;
    let bound = step_seconds(&plan, &model, 64)[0];
    assert_eq!(bound, bytes as f64);
    plan.steps.clear();
    assert!(step_seconds(&plan, &model, 1).is_empty());
}

#[test]
fn weighted_sums_are_modulo_the_chain_and_wait_for_nothing() {
    let matrix = Matrix {
        name: "sums".into(),
        rows: 2,
        cols: 2,
        row_starts: vec![0, 2, 3],
        columns: vec![0, 1, 1],
        values: vec![1.0; 3],
    };
    let weights = Weights {
        matrix: matrix.into(),
        plain_scale: Scale::pow2(20),
        bias: vec![],
    };
    let step = StepOp::WeightedSums {
        weights: 0,
        src: vec![Register(0), Register(1)],
        dst: vec![Register(2), Register(3)],
        squares: false,
        rescale: false,
    };
    let mut plan = plan(vec![(step, 2)]);
    plan.weights = vec![weights];
    let mut model = unit("sum_us", 0.5);
    // Three entries, two parts, three limbs, of which one is wide. The special prime, which is wide too, has no part.
    model.rings.get_mut(&13).unwrap().wide.sum = 4.0;
    for (threads, expected) in [(1, 36e-6), (2, 18e-6), (4, 9e-6)] {
        let found = step_seconds(&plan, &model, threads)[0];
        assert!((found - expected).abs() < 1e-9, "{threads}: {found}");
    }
}

#[test]
fn other_rings_are_scaled_from_the_nearest() {
    let mut model = unit("ntt_us", 0.0);
    model.rings.get_mut(&13).unwrap().narrow.pass = 2.0;
    let ring = model.ring(14);
    assert!((ring.narrow.ntt - 2.0 * 14.0 / 13.0).abs() < 1e-12);
    assert_eq!((ring.narrow.pass, ring.wide.pass), (4.0, 0.0));
    assert_eq!(model.ring(13), model.rings[&13]);
    assert_eq!(CostModel::default().ring(13), Ring::default());
}

#[test]
fn the_built_in_figures_are_a_cost_model() {
    let model = CostModel::built_in();
    assert!(model.rings.len() >= 4 && model.memory_bytes_per_s > 1e9);
    for log_n in [13, 14, 15, 16] {
        let ring = model.rings[&log_n];
        for (name, field) in Rates::FIELDS {
            for mut rates in [ring.narrow, ring.wide] {
                assert!(*field(&mut rates) > 0.0, "{name} at {log_n}");
            }
        }
        assert!((1.0..=2.0).contains(&ring.speedup(2)) && ring.speedup(1) == 1.0);
    }
    assert_eq!(CostModel::from_text(&model.to_text()).as_ref(), Ok(model));
}

/// Every object of a value, by path; `change` is given each field of it.
fn each_field(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let at = format!("{path}/{name}");
                each_field(inner, &at, found);
                found.push((path.to_owned(), name.clone()));
            }
        }
        Value::Array(all) => {
            for (i, inner) in all.iter().enumerate() {
                each_field(inner, &format!("{path}/{i}"), found);
            }
        }
        _ => {}
    }
}

/// The field as errors name it.
fn named(path: &str, name: &str) -> String {
    let mut text = String::new();
    for part in path.split('/').skip(1).chain([name]) {
        if part.parse::<usize>().is_ok() {
            text = format!("{text}[{part}]");
        } else {
            let dot = if text.is_empty() { "" } else { "." };
            text = format!("{text}{dot}{part}");
        }
    }
    text
}

#[test]
fn each_faulty_field_is_named() {
    let good: Value = serde_json::from_str(&unit("ntt_us", 0.5).to_text()).unwrap();
    let mut fields = Vec::new();
    each_field(&good, "", &mut fields);
    assert_eq!(fields.len(), 5 + 4 + 2 * 6);
    for (path, name) in fields {
        let named = named(&path, &name);
        for change in 0..3 {
            let mut value = good.clone();
            let object = value.pointer_mut(&path).unwrap().as_object_mut().unwrap();
            let mut expected = named.clone();
            match change {
                0 => drop(object.remove(&name)),
                1 => drop(object.insert(name.clone(), Value::Null)),
                _ => {
                    object.insert(format!("{name}_"), Value::Null);
                    expected.push('_');
                }
            }
            let error = CostModel::from_text(&value.to_string()).unwrap_err();
            let text = format!("cost model: {expected} is ");
            assert!(error.to_string().starts_with(&text), "{error} for {text}");
        }
    }
    let with = |from: &str, to: &str| CostModel::from_text(&good.to_string().replace(from, to));
    let refused = |from: &str, to: &str| with(from, to).unwrap_err().to_string();
    assert!(refused("\"version\":2", "\"version\":1").contains("version 1"));
    assert!(
        refused("\"log_n\":13", "\"log_n\":99").contains("rings[0].log_n is not from 10 to 17")
    );
    assert!(refused(":0.5", ":1.5").contains("rings[0].serial_share is no number from 0 to 1"));
    assert!(refused(":0.5", ":-0.5").contains("serial_share"));
    assert!(refused("[{", "[{\"log_n\"").contains("not JSON"));
    let ring = good["rings"][0].to_string();
    assert!(refused(&ring, &format!("{ring},{ring}")).contains("rings[1].log_n occurs twice"));
    assert!(refused(&ring, "").contains("rings is no array with an element"));
    let long = CostModel::from_text(&" ".repeat(1 << 17));
    assert_eq!(long, Err(CostModelError::Length(1 << 17)));
}

fn rates() -> impl Strategy<Value = Rates> {
    proptest::array::uniform5(0.0..1e6_f64).prop_map(|values| {
        let mut rates = Rates::default();
        for ((_, field), value) in Rates::FIELDS.iter().zip(values) {
            *field(&mut rates) = value;
        }
        rates
    })
}

fn models() -> impl Strategy<Value = CostModel> {
    let ring = (rates(), rates(), 0.0..=1.0_f64).prop_map(|(narrow, wide, serial_share)| Ring {
        narrow,
        wide,
        serial_share,
    });
    let rings = proptest::collection::btree_map(10..=17_u32, ring, 1..=8);
    (".{0,40}", 1.0..1e15_f64, rings).prop_map(|(machine, memory_bytes_per_s, rings)| CostModel {
        machine,
        memory_bytes_per_s,
        rings,
    })
}

proptest! {
    #[test]
    fn models_are_written_and_read_back(model in models()) {
        prop_assert_eq!(CostModel::from_text(&model.to_text()), Ok(model));
    }

    /// A text with some bytes changed is refused with a reason, or is a model whose estimates are finite.
    #[test]
    fn damaged_texts_do_no_harm(model in models(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = model.to_text().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        match CostModel::from_text(&String::from_utf8_lossy(&bytes)) {
            Ok(model) => {
                let seconds = model.ring(12).rates(0.5).seconds(SINGLE.key_switch(true));
                prop_assert!(seconds.is_finite() && seconds >= 0.0);
                prop_assert_eq!(CostModel::from_text(&model.to_text()), Ok(model));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
