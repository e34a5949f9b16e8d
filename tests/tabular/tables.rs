//! Tables of labelled rows, and files of them.

// The benches take a part of this.
#![allow(dead_code)]

use crate::common::{image, sets::shared};
use cipherloom::data::{npy, npz};
use cipherloom::{DType, Tensor, Tensors};
use std::fs;
use std::path::Path;

/// Rows of features and their classes.
pub(crate) struct Table {
    pub(crate) rows: Vec<Vec<f64>>,
    pub(crate) classes: Vec<usize>,
}

fn read(bytes: &[u8], name: &str) -> Tensor {
    npz::Arrays::open(bytes, name).unwrap().read(name).unwrap()
}

impl Table {
    fn of(x: &Tensor, y: &Tensor) -> Self {
        let width = x.len() / y.len();
        Self {
            rows: x.data().chunks(width).map(<[f64]>::to_vec).collect(),
            classes: y.data().iter().map(|y| *y as usize).collect(),
        }
    }

    /// One of the sets of `../shared/data`, if it is there.
    pub(crate) fn shared(set: &str, array: &str) -> Option<Self> {
        let path = shared()?.join(format!("data/tabular/{set}-test.npz"));
        let bytes = fs::read(path).unwrap();
        Some(Self::of(&read(&bytes, array), &read(&bytes, "y")))
    }

    /// The held-out samples of breast cancer that the repository holds.
    pub(crate) fn breast_cancer() -> Self {
        let x = fs::read(image("breast-cancer-test.npz")).unwrap();
        let y = fs::read(image("breast-cancer-test-labels.npy")).unwrap();
        Self::of(&read(&x, "input"), &read(&y, "y"))
    }

    pub(crate) fn count(&self) -> usize {
        self.classes.iter().max().map_or(0, |c| c + 1)
    }

    /// Every second row, from the first or the second.
    pub(crate) fn half(&self, odd: usize) -> Self {
        let own = |i: &usize| i % 2 == odd;
        let indices = || (0..self.rows.len()).filter(own);
        Self {
            rows: indices().map(|i| self.rows[i].clone()).collect(),
            classes: indices().map(|i| self.classes[i]).collect(),
        }
    }

    /// The first rows.
    pub(crate) fn first(&self, count: usize) -> Self {
        Self {
            rows: self.rows.iter().take(count).cloned().collect(),
            classes: self.classes.iter().take(count).copied().collect(),
        }
    }

    pub(crate) fn samples(&self) -> Vec<Tensors> {
        let sample = |row: &Vec<f64>| {
            let tensor = Tensor::new(vec![1, row.len()], row.clone()).unwrap();
            Tensors::from([("x".to_owned(), tensor)])
        };
        self.rows.iter().map(sample).collect()
    }

    /// Writes `NAME.npz` and `NAME-labels.npy`.
    pub(crate) fn write(&self, dir: &Path, name: &str) {
        let width = self.rows[0].len();
        let x = Tensor::new(vec![self.rows.len(), width], self.rows.concat()).unwrap();
        let bytes = npz::write(&[("x", &x, DType::F64)], false).unwrap();
        fs::write(dir.join(format!("{name}.npz")), bytes).unwrap();
        let labels: Vec<u8> = self.classes.iter().map(|c| *c as u8).collect();
        let mut bytes = vec![];
        npy::write_bytes(&labels, &mut bytes).unwrap();
        fs::write(dir.join(format!("{name}-labels.npy")), bytes).unwrap();
    }
}
