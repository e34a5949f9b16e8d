//! Makes the arrays under `tests/data/images` from the original files of MNIST and scikit-learn's digits.
//!
//! Usage: `cargo run --release --example make_test_data -- DATA` where `DATA` holds `mnist/` and `tabular/` as
//! `tests/data/images/README.md` describes them.

use cipherloom::Tensor;
use cipherloom::data::{npy, npz};
use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PIXELS: usize = 28 * 28;

fn main() -> Outcome<()> {
    let source = std::env::args()
        .nth(1)
        .ok_or("usage: make_test_data DATA")?;
    let (source, target) = (
        Path::new(&source),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images"),
    );
    fs::create_dir_all(&target)?;

    let test = unpack(&source.join("mnist/t10k-images-idx3-ubyte.gz"))?;
    let test = test.get(16..).ok_or("the test images are cut")?;
    let labels = unpack(&source.join("mnist/t10k-labels-idx1-ubyte.gz"))?;
    let labels = labels.get(8..).ok_or("the test labels are cut")?;
    let calibration = fs::read(source.join("mnist/calib1000.images.bin"))?;

    // The first images of each set, in order.
    images(&target.join("mnist-test.npz"), test, 300, scaled)?;
    images(&target.join("mnist-calib.npz"), &calibration, 200, scaled)?;
    images(
        &target.join("mnist-normalized-test.npz"),
        test,
        100,
        normalized,
    )?;
    images(
        &target.join("mnist-normalized-calib.npz"),
        &calibration,
        200,
        normalized,
    )?;
    bytes(&target.join("mnist-test-labels.npy"), labels, 300)?;
    bytes(
        &target.join("mnist-normalized-test-labels.npy"),
        labels,
        100,
    )?;

    let digits = fs::read(source.join("tabular/digits-test.npz"))?;
    let mut digits = npz::Arrays::open(&digits, "digits")?;
    let x = digits.read("x")?;
    fs::write(
        target.join("digits-test.npz"),
        npz::write(&[("input", &x, cipherloom::DType::F32)], true)?,
    )?;
    let y: Vec<u8> = digits.read("y")?.data().iter().map(|y| *y as u8).collect();
    bytes(&target.join("digits-test-labels.npy"), &y, y.len())?;
    breast_cancer(&source.join("tabular/breast-cancer-test.npz"), &target)
}

/// The held-out samples in two parts: every fourth to find ranges with, the others to test.
fn breast_cancer(source: &Path, target: &Path) -> Outcome<()> {
    let file = fs::read(source)?;
    let mut arrays = npz::Arrays::open(&file, "breast-cancer")?;
    let (x, y) = (arrays.read("x")?, arrays.read("y")?);
    let features = x.len() / y.len();
    for (name, calibration) in [("calib", true), ("test", false)] {
        let rows = x.data().chunks(features).enumerate();
        let chosen: Vec<_> = rows.filter(|(i, _)| (i % 4 == 0) == calibration).collect();
        let values = chosen.iter().flat_map(|(_, row)| row.to_vec()).collect();
        let tensor = Tensor::new(vec![chosen.len(), features], values);
        let tensor = tensor.ok_or("the samples have another size")?;
        let arrays = npz::write(&[("input", &tensor, cipherloom::DType::F32)], true)?;
        fs::write(target.join(format!("breast-cancer-{name}.npz")), arrays)?;
        if !calibration {
            let label = |(i, _): &(usize, &[f64])| y.data().get(*i).map(|y| *y as u8);
            let labels: Vec<u8> = chosen.iter().filter_map(label).collect();
            bytes(
                &target.join("breast-cancer-test-labels.npy"),
                &labels,
                labels.len(),
            )?;
        }
    }
    Ok(())
}

fn unpack(path: &Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A pixel in [0, 1], in single precision as torch's `ToTensor` computes it.
fn scaled(pixel: u8) -> f32 {
    f32::from(pixel) / 255.0
}

/// A pixel with the mean and the standard deviation of MNIST taken out.
fn normalized(pixel: u8) -> f32 {
    (scaled(pixel) - 0.1307) / 0.3081
}

fn images(path: &Path, pixels: &[u8], count: usize, value: fn(u8) -> f32) -> Outcome<()> {
    let pixels = pixels
        .get(..count * PIXELS)
        .ok_or("there are too few images")?;
    let values = pixels
        .iter()
        .map(|pixel| f64::from(value(*pixel)))
        .collect();
    let tensor =
        Tensor::new(vec![count, 1, 28, 28], values).ok_or("the images have another size")?;
    Ok(fs::write(
        path,
        npz::write(&[("input", &tensor, cipherloom::DType::F32)], true)?,
    )?)
}

fn bytes(path: &Path, labels: &[u8], count: usize) -> Outcome<()> {
    let mut file = Vec::new();
    npy::write_bytes(
        labels.get(..count).ok_or("there are too few labels")?,
        &mut file,
    )?;
    Ok(fs::write(path, file)?)
}
