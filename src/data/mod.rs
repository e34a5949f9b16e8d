//! Data in and out: NumPy's `.npy` and `.npz`, samples and labels.

mod error;
pub mod npy;
pub mod npz;
mod samples;

pub use error::DataError;
pub use samples::{PortSpec, read_inputs, read_labels, split, stack, write_outputs};
