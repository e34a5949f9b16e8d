//! From arrays to samples, and from results back to arrays.

use super::npz::Arrays;
use super::{DataError, npy, npz};
use cipherloom_ir::integer::IntegerPort;
use cipherloom_ir::plan::{PlanPort, ResultPort};
use cipherloom_ir::{DType, Range, Tensor, Tensors, tensor};

/// What a network expects of an input, or yields as an output.
#[derive(Clone, Debug, PartialEq)]
pub struct PortSpec {
    /// The name in the model.
    pub name: String,
    /// The shape of one sample, batch axis included.
    pub shape: Vec<usize>,
    /// The declared element type.
    pub dtype: DType,
    /// Whether axis 0 counts samples.
    pub batched: bool,
    /// The accepted range, margin included; `None` before calibration.
    pub range: Option<Range>,
}

impl From<&PlanPort> for PortSpec {
    fn from(port: &PlanPort) -> Self {
        Self {
            name: port.name.clone(),
            shape: port.shape.clone(),
            dtype: port.dtype,
            batched: port.batched,
            range: Some(port.range),
        }
    }
}

impl From<&IntegerPort> for PortSpec {
    fn from(port: &IntegerPort) -> Self {
        Self {
            name: port.name.clone(),
            shape: port.shape.clone(),
            dtype: port.dtype,
            batched: port.batched,
            range: Some(port.range),
        }
    }
}

impl From<&ResultPort> for PortSpec {
    fn from(port: &ResultPort) -> Self {
        Self {
            name: port.name.clone(),
            shape: port.shape.clone(),
            dtype: port.dtype,
            batched: port.batched,
            range: None,
        }
    }
}

impl PortSpec {
    /// The inputs of a network that has not been calibrated.
    pub fn of_module(module: &tensor::Module) -> Vec<Self> {
        let spec = |input: &tensor::Input| Self {
            name: input.name.clone(),
            shape: module
                .graph
                .get(input.node)
                .map(|n| n.shape.clone())
                .unwrap_or_default(),
            dtype: input.dtype,
            batched: input.batched,
            range: None,
        };
        module.inputs.iter().map(spec).collect()
    }

    fn accepted(&self) -> String {
        if self.batched {
            let rest: String = self
                .shape
                .iter()
                .skip(1)
                .map(|axis| format!(", {axis}"))
                .collect();
            format!("[samples{rest}]")
        } else {
            let rest: String = self.shape.iter().map(|axis| format!(", {axis}")).collect();
            format!("{:?} or [samples{rest}]", self.shape)
        }
    }

    /// The number of samples of an array of the given shape; `None` where it does not fit.
    fn samples(&self, shape: &[usize]) -> Option<usize> {
        if !self.batched && shape == self.shape {
            return Some(1);
        }
        let (samples, rest) = shape.split_first()?;
        let expected = if self.batched {
            self.shape.get(1..)?
        } else {
            &self.shape[..]
        };
        (rest == expected).then_some(*samples)
    }
}

/// Reads the given inputs out of the bytes of a `.npy` or `.npz` file, stacked as the file has them.
///
/// Headers are checked before elements are read. With `limits`, values beyond a port's range are refused.
pub fn read_inputs(bytes: &[u8], ports: &[PortSpec], limits: bool) -> Result<Tensors, DataError> {
    let mut arrays = Arrays::open(bytes, "array")?;
    let names = arrays.names();
    let mut inputs = Tensors::new();
    let mut counted: Option<(&str, usize)> = None;
    for port in ports {
        let name = match (names.as_slice(), ports.len()) {
            ([only], 1) => only,
            _ => &port.name,
        };
        let missing = || DataError::Missing {
            input: port.name.clone(),
            found: names.clone(),
        };
        let header = arrays.header(name).ok_or_else(missing)??;
        let count = port
            .samples(&header.shape)
            .ok_or_else(|| DataError::Shape {
                input: port.name.clone(),
                found: header.shape.clone(),
                expected: port.accepted(),
            })?;
        if count == 0 {
            return Err(DataError::Empty {
                input: port.name.clone(),
            });
        }
        let (other, expected) = *counted.get_or_insert((&port.name, count));
        if count != expected {
            let (input, other) = (port.name.clone(), other.to_owned());
            return Err(DataError::Samples {
                input,
                found: count,
                other,
                expected,
            });
        }
        let array = arrays.read(name)?;
        check_values(port, &array, limits)?;
        inputs.insert(port.name.clone(), array);
    }
    Ok(inputs)
}

/// The samples of stacked tensors, one by one; `None` where a tensor is missing or has another shape.
pub fn split(stacked: &Tensors, ports: &[PortSpec]) -> Option<Vec<Tensors>> {
    let mut samples: Vec<Tensors> = Vec::new();
    for port in ports {
        let array = stacked.get(&port.name)?;
        let count = port.samples(array.shape())?;
        samples.resize(count, Tensors::new());
        let size = (array.len() / count.max(1)).max(1);
        for (sample, values) in samples.iter_mut().zip(array.data().chunks(size)) {
            sample.insert(
                port.name.clone(),
                Tensor::new(port.shape.clone(), values.to_vec())?,
            );
        }
    }
    Some(samples)
}

/// Stacks samples, the opposite of [`split`]; `None` where a sample lacks an input or has it in another shape.
pub fn stack(samples: &[Tensors], ports: &[PortSpec]) -> Option<Tensors> {
    let mut stacked = Tensors::new();
    for port in ports {
        let mut data = Vec::new();
        for sample in samples {
            let array = sample.get(&port.name);
            data.extend_from_slice(array.filter(|a| a.shape() == port.shape)?.data());
        }
        let mut shape = port.shape.clone();
        match shape.first_mut() {
            Some(first) if port.batched => *first = samples.len(),
            _ => shape.insert(0, samples.len()),
        }
        stacked.insert(port.name.clone(), Tensor::new(shape, data)?);
    }
    Some(stacked)
}

/// Refuses NaN, infinities and, with `limits`, values beyond the port's range.
fn check_values(port: &PortSpec, array: &Tensor, limits: bool) -> Result<(), DataError> {
    let range = port.range.filter(|_| limits);
    for (flat, value) in array.data().iter().copied().enumerate() {
        let (input, index) = (|| port.name.clone(), || unravel(flat, array.shape()));
        if !value.is_finite() {
            return Err(DataError::NotFinite {
                input: input(),
                index: index(),
                value,
            });
        }
        if let Some(range) = range.filter(|range| !range.contains(value)) {
            return Err(DataError::OutOfRange {
                input: input(),
                index: index(),
                value,
                lo: range.lo,
                hi: range.hi,
            });
        }
    }
    Ok(())
}

/// The index of a position in row-major order.
fn unravel(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|axis| {
            let i = flat % (*axis).max(1);
            flat /= (*axis).max(1);
            i
        })
        .collect();
    index.reverse();
    index
}

/// Reads one whole number per sample out of the bytes of a `.npy` file, or a `.npz` file with one array or one
/// named `labels`.
pub fn read_labels(bytes: &[u8], samples: usize) -> Result<Vec<usize>, DataError> {
    let mut arrays = Arrays::open(bytes, "labels")?;
    let names = arrays.names();
    let name = match names.as_slice() {
        [only] => only.as_str(),
        _ => "labels",
    };
    let fault = |text: String| DataError::Labels(text);
    let header = arrays
        .header(name)
        .ok_or_else(|| fault("the file has no array named \"labels\"".into()))??;
    if header.count != samples || header.shape.iter().filter(|axis| **axis != 1).count() > 1 {
        return Err(fault(format!(
            "an array of shape {:?} for {samples} samples",
            header.shape
        )));
    }
    let array = arrays.read(name)?;
    let label = |(i, value): (usize, &f64)| {
        let whole = *value >= 0.0 && value.fract() == 0.0 && *value < 9e15;
        if whole {
            Ok(*value as usize)
        } else {
            Err(fault(format!("index {i}: {value} is no class number")))
        }
    };
    array.data().iter().enumerate().map(label).collect()
}

/// The bytes of a file that holds results: `.npy` if `single_array`, else `.npz`, in the types that the ports declare.
/// `None` where a result is missing, or a `.npy` file is asked for and there are several outputs.
pub fn write_outputs(
    outputs: &Tensors,
    ports: &[PortSpec],
    single_array: bool,
) -> Option<std::io::Result<Vec<u8>>> {
    let array = |port: &'_ PortSpec| Some((outputs.get(&port.name)?, port.dtype));
    if single_array {
        let [only] = ports else { return None };
        let (tensor, dtype) = array(only)?;
        let mut bytes = Vec::new();
        return Some(npy::write(tensor, dtype, &mut bytes).map(|()| bytes));
    }
    let mut arrays = Vec::with_capacity(ports.len());
    for port in ports {
        let (tensor, dtype) = array(port)?;
        arrays.push((port.name.as_str(), tensor, dtype));
    }
    Some(npz::write(&arrays, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, shape: &[usize], batched: bool) -> PortSpec {
        let range = Range::new(-10.0, 10.0);
        PortSpec {
            name: name.into(),
            shape: shape.into(),
            dtype: DType::F32,
            batched,
            range,
        }
    }

    fn array(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        Tensor::new(shape.into(), (0..count).map(|i| i as f64 % 10.0).collect()).unwrap()
    }

    fn read_samples(
        bytes: &[u8],
        ports: &[PortSpec],
        limits: bool,
    ) -> Result<Vec<Tensors>, DataError> {
        Ok(split(&read_inputs(bytes, ports, limits)?, ports).unwrap())
    }

    fn file(arrays: &[(&str, &Tensor)]) -> Vec<u8> {
        npz::write(
            &arrays
                .iter()
                .map(|(n, t)| (*n, *t, DType::F64))
                .collect::<Vec<_>>(),
            true,
        )
        .unwrap()
    }

    #[test]
    fn axis_zero_counts_samples() {
        let bytes = file(&[("anything", &array(&[3, 2, 2]))]);
        let samples = read_samples(&bytes, &[port("in", &[1, 2, 2], true)], true).unwrap();
        assert_eq!(samples.len(), 3);
        assert_eq!(samples[1]["in"].shape(), [1, 2, 2]);
        assert_eq!(samples[1]["in"].data(), [4.0, 5.0, 6.0, 7.0]);
        let fixed = read_samples(&bytes, &[port("in", &[3, 2, 2], false)], true).unwrap();
        assert_eq!(fixed.len(), 1);
        let more = read_samples(&bytes, &[port("in", &[2, 2], false)], true).unwrap();
        assert_eq!(more.len(), 3);
        let wrong = read_samples(&bytes, &[port("in", &[1, 2, 3], true)], true).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "input \"in\" has shape [3, 2, 2]; the network takes [samples, 2, 3]"
        );
    }

    #[test]
    fn inputs_are_found_by_name_and_counted() {
        let bytes = file(&[
            ("a", &array(&[2, 2])),
            ("b", &array(&[2, 3])),
            ("extra", &array(&[9])),
        ]);
        let ports = [port("a", &[1, 2], true), port("b", &[1, 3], true)];
        assert_eq!(read_samples(&bytes, &ports, true).unwrap().len(), 2);
        let missing = read_samples(&bytes, &[port("c", &[1, 2], true)], true).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("\"c\": no array of this name; the file has \"a\", \"b\""),
            "{missing}"
        );
        let uneven = file(&[("a", &array(&[2, 2])), ("b", &array(&[3, 3]))]);
        assert!(matches!(
            read_samples(&uneven, &ports, true),
            Err(DataError::Samples {
                found: 3,
                expected: 2,
                ..
            })
        ));
    }

    #[test]
    fn bad_values_are_named_with_their_index() {
        let mut tensor = array(&[2, 2, 2]);
        tensor.data_mut()[6] = f64::NAN;
        let nan = read_samples(
            &file(&[("x", &tensor)]),
            &[port("in", &[1, 2, 2], true)],
            true,
        )
        .unwrap_err();
        assert_eq!(
            nan.to_string(),
            "input \"in\", index [1, 1, 0]: NaN is not a finite number"
        );
        tensor.data_mut()[6] = 10.5;
        let bytes = file(&[("x", &tensor)]);
        let far = read_samples(&bytes, &[port("in", &[1, 2, 2], true)], true).unwrap_err();
        assert!(
            far.to_string()
                .contains("index [1, 1, 0]: 10.5 is outside [-10, 10]"),
            "{far}"
        );
        assert!(read_samples(&bytes, &[port("in", &[1, 2, 2], true)], false).is_ok());
    }

    #[test]
    fn results_are_written_and_labels_are_whole() {
        let outputs = Tensors::from([("y".to_owned(), array(&[2, 3]))]);
        let bytes = write_outputs(&outputs, &[port("y", &[1, 3], true)], true)
            .unwrap()
            .unwrap();
        assert_eq!(
            Arrays::open(&bytes, "y").unwrap().read("y").unwrap(),
            outputs["y"]
        );
        let bytes = write_outputs(&outputs, &[port("y", &[1, 3], true)], false)
            .unwrap()
            .unwrap();
        assert_eq!(
            Arrays::open(&bytes, "x").unwrap().read("y").unwrap(),
            outputs["y"]
        );
        assert!(write_outputs(&outputs, &[port("z", &[1, 3], true)], false).is_none());
        let labels = file(&[("l", &array(&[4]))]);
        assert_eq!(read_labels(&labels, 4).unwrap(), [0, 1, 2, 3]);
        assert!(read_labels(&labels, 5).is_err());
        let fractions = file(&[("l", &Tensor::from_vec(vec![0.5]))]);
        assert!(matches!(
            read_labels(&fractions, 1),
            Err(DataError::Labels(_))
        ));
    }
}
