//! Round trips of texts and hostile texts.

use super::super::test_circuits::circuit;
use super::*;
use crate::circuit::verify;
use crate::scale::Scale;
use crate::value::{Range, Tensor};
use proptest::prelude::*;

/// Equal circuits, ids included.
fn same(a: &Circuit, b: &Circuit) {
    assert_eq!(
        (&a.name, &a.source, &a.params),
        (&b.name, &b.source, &b.params)
    );
    assert_eq!(
        (&a.layouts, &a.matrices, &a.vectors),
        (&b.layouts, &b.matrices, &b.vectors)
    );
    assert_eq!((&a.inputs, &a.outputs), (&b.inputs, &b.outputs));
    assert_eq!(a.graph.ids(), b.graph.ids());
    for id in a.graph.ids() {
        assert_eq!(a.graph.get(id), b.graph.get(id));
        assert_eq!(a.graph.operands(id), b.graph.operands(id));
    }
}

#[test]
fn a_circuit_reads_back() {
    let circuit = circuit();
    let text = print(&circuit);
    insta::assert_snapshot!(text);
    let read = parse(&text, &[], &[]).unwrap();
    same(&circuit, &read);
    assert_eq!(print(&read), text);
    assert_eq!(verify(&read), []);
}

#[test]
fn large_matrices_and_vectors_come_from_the_pools_if_they_fit() {
    let mut circuit = circuit();
    circuit.matrices[0] = Arc::new(Matrix {
        name: "fc.weight".into(),
        rows: 2,
        cols: 40,
        row_starts: vec![0, 40, 80],
        columns: (0..40).chain(0..40).collect(),
        values: (0..80).map(f64::from).collect(),
    });
    circuit.vectors[0].tensor = Arc::new(Tensor::from_vec(vec![0.5; 65]));
    let text = print(&circuit);
    same(
        &circuit,
        &parse(&text, &circuit.matrices, &circuit.vectors).unwrap(),
    );
    assert!(
        parse(&text, &[], &circuit.vectors)
            .unwrap_err()
            .message
            .contains("not in the pool")
    );
    assert!(
        parse(&text, &circuit.matrices, &[])
            .unwrap_err()
            .message
            .contains("not in the pool")
    );
    let mut other = circuit.matrices.clone();
    Arc::make_mut(&mut other[0]).values[3] = -1.0;
    assert!(
        parse(&text, &other, &circuit.vectors)
            .unwrap_err()
            .message
            .contains("other entries")
    );
}

#[test]
fn faults_have_their_place() {
    let text = print(&circuit());
    let line_of = |part: &str| text.lines().position(|l| l.contains(part)).unwrap() + 1;
    for (from, to, place) in [
        ("stage circuit", "stage tensor", "stage circuit"),
        ("classical", "odd", "classical"),
        ("classical 128", "classical 129", "classical"),
        ("@fc.weight scale", "@none scale", "%1 = matvec"),
        ("block 4", "block", "%1 = matvec"),
        ("= square %3", "= squire %3", "%4 = square"),
        ("value 0.1", "value [0.1]", "%11 = mul_scalar"),
        ("combine %3, %2", "combine %3", "%13 = combine"),
        ("gain 2 plus", "gain 2 minus", "%13 = combine"),
        ("times -0.75", "times %1", "%13 = combine"),
        ("constant 0.25", "constant", "%13 = combine"),
        ("layout #1 [", "layout #7 [", "layout #1 ["),
        ("at [3-1x4]", "at [3-1x5]", "layout #0 ["),
        ("at [3-1x4]", "at [3+1x99999999]", "layout #0 ["),
        ("exact %3 level", "exact %2 level", "exact %3"),
        ("scale $0 =", "scale $1 =", "scale $1 ="),
        ("noise 1e-9\n", "noise\n", "exact %0"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error = parse(&changed, &[], &[]).unwrap_err();
        assert_eq!(error.line, line_of(place), "{from} -> {to}: {error}");
    }
    assert!(
        parse(&text.replacen("exact %3 ", "exact %33 ", 1), &[], &[])
            .unwrap_err()
            .message
            .contains("%3 has no line")
    );
}

proptest! {
    #[test]
    fn numbers_read_back_exactly(
        numbers in prop::array::uniform6(prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL),
        scale in (1_u64.., 1_u64..),
        positions in prop::collection::vec(any::<u32>(), 0..9),
        (start, stride, count) in (0_u32..1000, 0_u32..50, 0_u32..20),
        at in 0_usize..15,
    ) {
        let mut circuit = circuit();
        let node = circuit.graph.get_mut(NodeId::new(at)).unwrap();
        node.range = Range { lo: numbers[0], hi: numbers[1] };
        node.mean_square = numbers[2];
        node.noise = numbers[3];
        node.approximation = (start % 2 == 0).then_some(numbers[4]);
        node.scale = Scale::from_u64(scale.0).unwrap().div(&Scale::from_u64(scale.1).unwrap());
        circuit.inputs[0].range = Range { lo: numbers[4], hi: numbers[5] };
        circuit.layouts[0].positions.extend(positions);
        circuit.layouts[0].positions.extend((0..count).map(|i| start + stride * i));
        circuit.layouts[0].positions.extend((0..count).rev().map(|i| start + stride * i));
        let text = print(&circuit);
        let read = parse(&text, &[], &[]).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        same(&circuit, &read);
        prop_assert_eq!(print(&read), text);
    }

    #[test]
    fn mutated_texts_never_panic(at in any::<prop::sample::Index>(), junk in ".{0,6}|[0-9x+-]{0,6}", cut in 0_usize..8) {
        let good = print(&circuit());
        let start = at.index(good.chars().count());
        let text: String = good.chars().take(start).chain(junk.chars()).chain(good.chars().skip(start + cut)).collect();
        if let Ok(circuit) = parse(&text, &[], &[]) {
            let _ = verify(&circuit);
            let printed = print(&circuit);
            let read = parse(&printed, &[], &[]).map_err(|e| TestCaseError::fail(format!("{e}\n{printed}")))?;
            prop_assert_eq!(print(&read), printed);
        }
    }

    #[test]
    fn random_texts_never_panic(line in "[%@#$\\[\\]\"\\\\|;=a-z0-9., -]{0,40}") {
        let _ = parse(&line, &[], &[]);
        let _ = parse(&format!("module \"\" from \"\" stage circuit\n{line}"), &[], &[]);
    }
}
