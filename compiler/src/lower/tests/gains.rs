//! Factors that scales take in, differences, and outputs that are read where they lie: none takes a level.

use super::{Net, agree, approximation, compile, simulated_variance};
use crate::lower::Options;
use cipherloom_ir::plan::{Plan, StepOp};
use cipherloom_ir::tensor::{Function, Op, Output};
use cipherloom_ir::value::DType;
use cipherloom_ir::{NodeId, Tensor};

fn times(mut net: Net, factor: f64) -> Net {
    let tensor = Tensor::from_vec(vec![factor]);
    let value = net.module.add_constant("factor", tensor);
    net.then(Op::MulConst { value })
}

/// Elements of the network's last value as an output.
fn show(net: &mut Net, of: NodeId, name: &str, elements: &[f64], factor: f64) {
    let tensor = Tensor::from_vec(elements.to_vec());
    let index = net.module.add_constant("index", tensor);
    let mut node = net.join(Op::Take { index }, &[of], &[]);
    if factor != 1.0 {
        let tensor = Tensor::from_vec(vec![factor]);
        let value = net.module.add_constant("factor", tensor);
        node = net.join(Op::MulConst { value }, &[node], &[]);
    }
    net.module.outputs.push(Output {
        name: name.into(),
        node,
        dtype: DType::F32,
        batched: false,
    });
}

fn depth(plan: &Plan) -> usize {
    plan.params.max_level()
}

fn count(plan: &Plan, of: fn(&StepOp) -> bool) -> usize {
    plan.steps.iter().filter(|s| of(&s.op)).count()
}

fn is_gain(op: &StepOp) -> bool {
    matches!(op, StepOp::Gain { .. })
}

#[test]
fn factors_and_differences_take_no_level() {
    for factor in [3.0, -0.3] {
        let (_, plan) = agree(&times(Net::new(80, &[1, 8]), factor).done());
        assert_eq!((depth(&plan), count(&plan, is_gain)), (0, 1));
    }
    // 3 x - 2 x^2 in one sum, and the difference of two products.
    let mut net = Net::new(81, &[1, 8]);
    let x = net.last;
    net = times(net, 3.0);
    let a = net.last;
    let square = net.join(Op::Power { exponent: 2 }, &[x], &[]);
    net.last = square;
    net = times(net, 2.0);
    let b = net.last;
    net.join(Op::Sub, &[a, b], &[]);
    let (_, plan) = agree(&net.done());
    assert_eq!(depth(&plan), 1);
    let mut net = Net::new(82, &[1, 8]).gemm(8).square();
    let a = net.last;
    net.last = net.module.inputs[0].node;
    net = net.gemm(8).square();
    let b = net.last;
    net.join(Op::Sub, &[a, b], &[]);
    net = net.square();
    let (_, plan) = agree(&net.done());
    let subtractions = count(&plan, |op| matches!(op, StepOp::Sub { .. }));
    assert_eq!((depth(&plan), subtractions), (3, 1));
}

/// What brings an operand to [-1, 1] is a gain, behind an input, a product, or a polynomial.
#[test]
fn domains_take_no_level() {
    let tanh = |net: Net, hi: f64| approximation(net, Function::Tanh, -hi, hi, 7);
    let (_, plan) = agree(&tanh(Net::new(83, &[1, 12]), 2.0).done());
    assert_eq!((depth(&plan), count(&plan, is_gain)), (3, 1));
    let (_, plan) = agree(&tanh(Net::new(84, &[1, 12]).square(), 1.5).done());
    assert_eq!(depth(&plan), 4);
    let (_, plan) = agree(&tanh(tanh(Net::new(85, &[1, 12]), 2.0), 1.5).done());
    assert_eq!(depth(&plan), 6);
    let mut net = Net::new(86, &[1, 12]).gemm(9);
    let a = net.last;
    net = net.gemm(9);
    let b = net.last;
    net.join(Op::Mul, &[a, b], &[]);
    let (_, plan) = agree(&tanh(net, 20.0).gemm(3).done());
    assert_eq!(depth(&plan), 7);
}

/// Two polynomials of one value whose domains differ cannot share its scale: one of them gets a factor of its own.
#[test]
fn one_polynomial_decides_on_a_scale() {
    let mut net = Net::new(87, &[1, 12]);
    let x = net.last;
    net = approximation(net, Function::Tanh, -2.0, 2.0, 15);
    let first = net.last;
    net.last = x;
    net = approximation(net, Function::Sigmoid, -8.0, 8.0, 15);
    let second = net.last;
    net.join(Op::Add, &[first, second], &[]);
    let (_, plan) = agree(&net.done());
    let factors = count(&plan, |op| matches!(op, StepOp::MulScalar { .. }));
    assert_eq!((depth(&plan), count(&plan, is_gain), factors), (5, 1, 1));
}

/// What a polynomial reads keeps a scale near the primes', which a sum behind the polynomial, at level 0, could not hold: there
/// the same value gets a factor, for which it has levels to spare.
#[test]
fn sums_behind_a_polynomial_part_from_its_operand() {
    let mut net = Net::new(92, &[1, 12]);
    let x = net.last;
    net = approximation(net, Function::Tanh, -2.0, 2.0, 31);
    let y = net.last;
    net.join(Op::Add, &[x, y], &[]);
    let (lowered, plan) = agree(&net.done());
    let factors = count(&plan, |op| matches!(op, StepOp::MulScalar { .. }));
    assert_eq!((depth(&plan), count(&plan, is_gain), factors), (5, 1, 1));
    assert!(lowered.output_bits >= 12.0, "{}", lowered.output_bits);
}

#[test]
fn simulated_noise_of_gains_matches_its_prediction() {
    let square = times(Net::new(88, &[1, 16]).square(), 0.7);
    let module = times(approximation(square, Function::Tanh, -1.5, 1.5, 14), -3.0).done();
    let (lowered, plan) = compile(&module, &Options::default());
    assert!(lowered.output_bits >= 12.0, "{}", lowered.output_bits);
    let ratio = simulated_variance(&module, &plan, 300) / plan.outputs[0].noise;
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn outputs_are_read_where_they_lie() {
    let transforms = |plan: &Plan| plan.transforms.len();
    let net = || approximation(Net::new(89, &[9]), Function::Tanh, -2.0, 2.0, 7);
    let mut all = net();
    let value = all.last;
    show(&mut all, value, "last", &[8.0], -3.0);
    show(
        &mut all,
        value,
        "others",
        &[7.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        1.0,
    );
    let (_, plan) = agree(&all.module);
    assert_eq!((depth(&plan), transforms(&plan)), (3, 0));
    // Elements that no output shows must not be decrypted.
    let mut some = net();
    let value = some.last;
    show(&mut some, value, "last", &[8.0], -3.0);
    show(
        &mut some,
        value,
        "others",
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        1.0,
    );
    let (_, plan) = agree(&some.module);
    assert_eq!((depth(&plan), transforms(&plan)), (4, 2));
}

/// Products that only a sum reads share a scale, so that none of them is multiplied by 1.
#[test]
fn products_of_a_sum_share_a_scale() {
    let mut net = Net::new(90, &[1, 12]).gemm(9);
    let x = net.last;
    net = net.square();
    let first = net.last;
    net.last = x;
    net = net.gemm(9).square();
    let second = net.last;
    net.join(Op::Add, &[first, second], &[]);
    let (_, plan) = agree(&approximation(net, Function::Tanh, -40.0, 40.0, 7).done());
    assert_eq!(depth(&plan), 6);
    // The squares of two inputs, and one that something else reads at another level.
    let mut net = Net::new(91, &[1, 12]).gemm(9);
    let a = net.last;
    net.last = net.module.inputs[0].node;
    net = net.gemm(9);
    let b = net.last;
    let [first, second] = [a, b].map(|v| net.join(Op::Power { exponent: 2 }, &[v], &[]));
    let difference = net.join(Op::Sub, &[first, second], &[]);
    net = net.square();
    net.last = first;
    net = net.square();
    let square = net.last;
    net.last = difference;
    net = net.square();
    let other = net.last;
    net.join(Op::Add, &[square, other], &[]);
    agree(&net.done());
}
