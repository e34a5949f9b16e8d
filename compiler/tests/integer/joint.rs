//! Different functions of the same sums in one bootstrap.

use crate::maxima::{PORTS, WEIGHTS, samples};
use crate::module;
use cipherloom_compiler::integer::{IntegerCompiled, IntegerOptions, compile_integer};
use cipherloom_ir::integer::{IntegerSimulator, StepOp, verify};
use cipherloom_ir::tensor::{Function, Module, eval};

const FUNCTIONS: [Function; 4] = [
    Function::Relu,
    Function::Abs,
    Function::Sigmoid,
    Function::Sin,
];

/// A layer of four sums, and the first so many functions of each, side by side.
fn network(count: usize) -> (Module, Module) {
    let mut body = "  [1,4] - | %0 = input \"x\"\n  [1,4] - | %1 = gemm %0, @w\n".to_owned();
    let layer = module(&format!("{body}{}{WEIGHTS}", PORTS.replace("%9", "%1")));
    for (i, function) in FUNCTIONS[..count].iter().enumerate() {
        body += &format!("  [1,4] - | %{} = {} %1\n", 2 + i, function.name());
    }
    let all: Vec<String> = (0..count).map(|i| format!("%{}", 2 + i)).collect();
    body += &format!(
        "  [1,{}] - | %9 = concat {} axis 1\n",
        4 * count,
        all.join(", ")
    );
    (module(&format!("{body}{PORTS}{WEIGHTS}")), layer)
}

fn compiled(module: &Module, agreement: f64) -> IntegerCompiled {
    let options = IntegerOptions {
        keep_tail: true,
        agreement,
        ..IntegerOptions::default()
    };
    compile_integer(module, &samples("x", &[1, 4]), &options).unwrap()
}

/// Where a table was read, and how far its index may be off.
fn lookup(found: &IntegerCompiled) -> (Vec<u32>, u32) {
    let mut lookups = found.plan.steps.iter().filter_map(|step| match &step.op {
        StepOp::Lookup { reads, slack, .. } => Some((reads.clone(), *slack)),
        StepOp::Linear { .. } => None,
    });
    lookups.next().unwrap()
}

#[test]
fn functions_of_one_sum_are_one_bootstrap() {
    for count in 2..=4 {
        let (network, layer) = network(count);
        let found = compiled(&network, 0.5);
        assert_eq!(found.plan.bootstraps(), 4, "of {count}");
        assert_eq!(verify(&found.plan), []);
        let lookups: Vec<usize> = found.layers.iter().map(|l| l.lookups).collect();
        assert_eq!((lookups[0], lookups.iter().sum::<usize>()), (4, 4));
        let part = 512 / count.next_power_of_two() as u32;
        let (reads, slack) = lookup(&found);
        assert_eq!(
            reads,
            (0..count as u32).map(|i| i * part).collect::<Vec<_>>()
        );
        // Sums range over less than 10, and have more than half of a part's entries.
        let entry = 10.0 / (0.5 * f64::from(part));
        let simulator = IntegerSimulator::new(&found.plan);
        for (i, sample) in samples("x", &[1, 4])[..60].iter().enumerate() {
            let sums = eval(&layer, sample).unwrap()["y"].data().to_vec();
            for (seed, off) in [(None, 1.0), (Some(i as u64), f64::from(slack) + 1.0)] {
                let results = simulator.run(sample, seed).unwrap()["y"].data().to_vec();
                for (f, function) in FUNCTIONS[..count].iter().enumerate() {
                    let range = found.layers[f].range;
                    let room = 0.03 * (range.hi - range.lo);
                    for (sum, y) in sums.iter().zip(&results[4 * f..]) {
                        // Whatever the function is where the index may be.
                        let near = (-16..=16).map(|k| sum + off * entry * f64::from(k) / 16.0);
                        let near = near.map(|x| function.eval(x).clamp(range.lo, range.hi));
                        let lo = near.clone().fold(f64::INFINITY, f64::min) - room;
                        let hi = near.fold(f64::NEG_INFINITY, f64::max) + room;
                        let name = function.name();
                        assert!(
                            (lo..=hi).contains(y),
                            "{name} of {sum}: {y} in {lo} .. {hi}"
                        );
                    }
                }
            }
        }
    }
}

/// A sum of two functions of one number, which errors of one bootstrap hit together.
#[test]
fn functions_of_one_sum_may_be_summed() {
    let body = "  [1,4] - | %0 = input \"x\"\n  [1,4] - | %1 = gemm %0, @w\n  [1,4] - | %2 = relu %1\n  [1,4] - | %3 = abs %1\n";
    let sum =
        "  [1,4] - | %4 = add %2, %3\n  [1,4] - | %5 = gemm %4, @w\n  [1,4] - | %9 = relu %5\n";
    let module = module(&format!("{body}{sum}{PORTS}{WEIGHTS}"));
    let found = compiled(&module, 0.9);
    assert_eq!(verify(&found.plan), []);
    let functions: Vec<_> = found
        .layers
        .iter()
        .map(|l| (l.function.as_deref(), l.lookups))
        .collect();
    assert_eq!(functions[..2], [(Some("relu"), 4), (Some("abs"), 0)]);
    assert!(found.agreement >= 0.9, "{}", found.agreement);
}

/// Where a table of two parts is too coarse, each function has lookups of its own.
#[test]
fn functions_are_looked_up_alone_where_decisions_ask_for_it() {
    let (network, _) = network(4);
    let found = compiled(&network, 1.0);
    assert!(found.plan.bootstraps() > 4);
}
