//! What the tests over model files share: reading `.npz`, finding the folders, comparing with references.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::{Tensor, Tensors};
use npyz::{DType, NpyFile, TypeChar};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder of larger test sets: `CIPHERLOOM_SHARED`, or `shared` beside the repository.
pub(crate) fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("CIPHERLOOM_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let found = path.join("models").is_dir();
    if !found {
        // The test harness hides what passing tests print by macro, but not what they write to the stream itself.
        let line = format!("skipped: {} has no models\n", path.display());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found.then_some(path)
}

/// The files of a folder with the given ending, by name.
pub(crate) fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// The arrays of an `.npz` file, and the number of significant bits of its narrowest floating-point type.
pub(crate) fn read_npz(path: &Path) -> (BTreeMap<String, Tensor>, u32) {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bits = 53;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).unwrap();
        let name = entry.name().trim_end_matches(".npy").to_owned();
        let array = NpyFile::new(entry).unwrap();
        let shape: Vec<usize> = array.shape().iter().map(|d| *d as usize).collect();
        assert_eq!(array.header().order(), npyz::Order::C);
        let DType::Plain(kind) = array.dtype() else {
            panic!("{name}: not a plain array")
        };
        let data: Vec<f64> = match (kind.type_char(), kind.size_field()) {
            (TypeChar::Float, 2) => {
                bits = bits.min(11);
                array
                    .into_vec::<npyz::half::f16>()
                    .unwrap()
                    .into_iter()
                    .map(f64::from)
                    .collect()
            }
            (TypeChar::Float, 4) => {
                bits = bits.min(24);
                array
                    .into_vec::<f32>()
                    .unwrap()
                    .into_iter()
                    .map(f64::from)
                    .collect()
            }
            (TypeChar::Float, 8) => array.into_vec::<f64>().unwrap(),
            (TypeChar::Int, 8) => array
                .into_vec::<i64>()
                .unwrap()
                .into_iter()
                .map(|x| x as f64)
                .collect(),
            (TypeChar::Int, 4) => array
                .into_vec::<i32>()
                .unwrap()
                .into_iter()
                .map(f64::from)
                .collect(),
            (TypeChar::Uint, 1) => array
                .into_vec::<u8>()
                .unwrap()
                .into_iter()
                .map(f64::from)
                .collect(),
            (TypeChar::Bool, 1) => array
                .into_vec::<bool>()
                .unwrap()
                .into_iter()
                .map(|b| f64::from(u8::from(b)))
                .collect(),
            other => panic!("{}: {name} has type {other:?}", path.display()),
        };
        arrays.insert(name, Tensor::new(shape, data).unwrap());
    }
    (arrays, bits)
}

/// Row `index` of an array along axis 0, which stays with size 1.
fn row(array: &Tensor, index: usize) -> Tensor {
    let run: usize = array.shape()[1..].iter().product();
    let mut shape = array.shape().to_vec();
    shape[0] = 1;
    Tensor::new(shape, array.data()[index * run..][..run].to_vec()).unwrap()
}

/// Evaluates the module on the inputs, sample by sample, and returns the largest deviation from the
/// expected outputs over the largest expected value (or 1, if that is larger).
pub(crate) fn deviation(module: &Module, inputs: &Tensors, expected: &Tensors) -> f64 {
    let samples = module
        .inputs
        .iter()
        .filter(|i| i.batched)
        .map(|i| inputs[&i.name].shape()[0])
        .max()
        .unwrap_or(1);
    let mut worst = 0.0_f64;
    for sample in 0..samples {
        let one: Tensors = module
            .inputs
            .iter()
            .map(|i| {
                let whole = &inputs[&i.name];
                (
                    i.name.clone(),
                    if i.batched {
                        row(whole, sample)
                    } else {
                        whole.clone()
                    },
                )
            })
            .collect();
        let outputs = eval(module, &one).unwrap();
        assert_eq!(
            outputs.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for output in &module.outputs {
            let whole = &expected[&output.name];
            let expected = if output.batched && samples > 1 {
                row(whole, sample)
            } else {
                whole.clone()
            };
            let found = &outputs[&output.name];
            assert_eq!(
                found.shape(),
                expected.shape(),
                "shape of {:?}",
                output.name
            );
            let largest = whole.data().iter().fold(1.0_f64, |m, x| m.max(x.abs()));
            for (a, b) in found.data().iter().zip(expected.data()) {
                let error = (a - b).abs() / largest;
                assert!(error.is_finite());
                worst = worst.max(error);
            }
        }
    }
    worst
}
