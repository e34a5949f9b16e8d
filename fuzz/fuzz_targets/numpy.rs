//! Bytes as a NumPy file: an error, or finite values of the shape that was asked for.
#![no_main]

use cipherloom::Range;
use cipherloom::data::{PortSpec, npy, npz, read_inputs, read_labels, split};
use cipherloom_ir::value::DType;
use libfuzzer_sys::fuzz_target;

fn port(name: &str, shape: &[usize], batched: bool) -> PortSpec {
    PortSpec {
        name: name.into(),
        shape: shape.into(),
        dtype: DType::F32,
        batched,
        range: Range::new(-10.0, 10.0),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let sets = [
        vec![port("a", &[1, 2, 2], true)],
        vec![port("a", &[3], false)],
        vec![port("a", &[1, 2], true), port("b", &[2], false)],
    ];
    for (ports, limits) in sets.iter().zip([true, false, true]) {
        match read_inputs(bytes, ports, limits) {
            Ok(inputs) => {
                assert!(
                    inputs
                        .values()
                        .all(|t| t.data().iter().all(|v| v.is_finite()))
                );
                let samples = split(&inputs, ports).expect("what was read splits");
                assert!(!samples.is_empty());
            }
            Err(error) => drop(error.to_string()),
        }
    }
    if let Err(error) = read_labels(bytes, 4) {
        drop(error.to_string());
    }
    // Whatever shape an array has.
    let Ok(mut arrays) = npz::Arrays::open(bytes, "a") else {
        return;
    };
    for name in arrays.names() {
        let Ok(tensor) = arrays.read(&name) else {
            continue;
        };
        let mut written = Vec::new();
        npy::write(&tensor, DType::F64, &mut written).expect("a vector can be written to");
        let again = npz::Arrays::open(&written, "a").and_then(|mut a| a.read("a"));
        let again = again.expect("what was written reads back");
        assert_eq!(again.shape(), tensor.shape());
        let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(again.data()), bits(tensor.data()));
    }
});
