//! The larger sets of the folder `../shared`, where it is, in the forms that networks take.

use super::write_npy;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Where a network's samples come from, and in what form it takes them.
#[derive(Clone, Copy)]
pub enum Set {
    /// Pixels from 0 to 1.
    Mnist,
    /// Pixels with mean 0 and deviation 1 over the training set.
    MnistNormalized,
    /// Digits of 8 by 8 pixels as vectors.
    Digits,
    /// Digits of 8 by 8 pixels as images of one channel.
    DigitImages,
    /// Features with mean 0 and deviation 1 over the training set.
    Tabular(&'static str),
    /// Features as they were measured.
    TabularRaw(&'static str),
}

/// The folder, or a line on standard error that it is not there.
pub fn shared() -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if found.join("data/mnist").is_dir() {
        return Some(found);
    }
    // The test harness hides what passing tests print by macro, but not what they write to the stream itself.
    let line = b"skipped: there is no folder ../shared/data\n";
    std::io::stderr().write_all(line).unwrap();
    None
}

fn unpack(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

impl Set {
    /// A pixel's value from its byte.
    fn pixel(self, byte: u8) -> f64 {
        let x = f32::from(byte) / 255.0;
        f64::from(match self {
            Set::MnistNormalized => (x - 0.1307) / 0.3081,
            _ => x,
        })
    }

    /// Writes `samples.npy` and `labels.npy`, the whole test set or the first `most` images of it, and returns its number of samples.
    pub fn write_test(self, shared: &Path, dir: &Path, most: usize) -> usize {
        let (samples, labels) = (dir.join("samples.npy"), dir.join("labels.npy"));
        let (name, array) = match self {
            Set::Mnist | Set::MnistNormalized => {
                let pixels = unpack(&shared.join("data/mnist/t10k-images-idx3-ubyte.gz"));
                let classes = unpack(&shared.join("data/mnist/t10k-labels-idx1-ubyte.gz"));
                let count = most.min(10_000);
                write_npy(&samples, &[count, 1, 28, 28], |i| {
                    self.pixel(pixels[16 + i])
                });
                write_npy(&labels, &[count], |i| f64::from(classes[8 + i]));
                return count;
            }
            Set::Digits | Set::DigitImages => ("digits", "x"),
            Set::Tabular(name) => (name, "x"),
            Set::TabularRaw(name) => (name, "x_raw"),
        };
        let bytes = fs::read(shared.join(format!("data/tabular/{name}-test.npz"))).unwrap();
        let mut arrays = cipherloom::data::npz::Arrays::open(&bytes, name).unwrap();
        let (x, y) = (arrays.read(array).unwrap(), arrays.read("y").unwrap());
        let shape = match self {
            Set::DigitImages => vec![y.len(), 1, 8, 8],
            _ => x.shape().to_vec(),
        };
        write_npy(&samples, &shape, |i| x.data()[i]);
        write_npy(&labels, y.shape(), |i| y.data()[i]);
        y.len()
    }

    /// Writes `calibration.npy`, images of the training set, where there are some.
    pub fn write_calibration(self, shared: &Path, dir: &Path, count: usize) -> bool {
        if !matches!(self, Set::Mnist | Set::MnistNormalized) {
            return false;
        }
        let pixels = fs::read(shared.join("data/mnist/calib1000.images.bin")).unwrap();
        let shape = [count, 1, 28, 28];
        write_npy(&dir.join("calibration.npy"), &shape, |i| {
            self.pixel(pixels[i])
        });
        true
    }
}
