//! Clear tensors in and out: validation, the split into runs, and stacking.

use crate::ClientError;
use cipherloom_ir::integer::IntegerPort;
use cipherloom_ir::plan::PlanPort;
use cipherloom_ir::value::{Range, Tensor, Tensors, element_count};

/// What inputs are checked against, whatever the backend.
pub(crate) trait InputPort {
    fn name(&self) -> &str;
    fn shape(&self) -> &[usize];
    fn batched(&self) -> bool;
    fn range(&self) -> Range;
}

macro_rules! input_port {
    ($port:ty) => {
        impl InputPort for $port {
            fn name(&self) -> &str {
                &self.name
            }
            fn shape(&self) -> &[usize] {
                &self.shape
            }
            fn batched(&self) -> bool {
                self.batched
            }
            fn range(&self) -> Range {
                self.range
            }
        }
    };
}
input_port!(PlanPort);
input_port!(IntegerPort);

/// For each ciphertext of a run, its slot vector.
type Run = Vec<Vec<f64>>;

/// The input tensors, checked, in the order of the ports.
#[derive(Debug)]
pub(crate) struct CheckedInputs<'a, P> {
    /// The number of samples.
    pub(crate) samples: usize,
    pub(crate) ports: Vec<(&'a P, &'a Tensor)>,
}

impl<'a, P: InputPort> CheckedInputs<'a, P> {
    /// Checks names, shapes, numbers of samples, and every value.
    pub(crate) fn new(ports: &'a [P], inputs: &'a Tensors) -> Result<Self, ClientError> {
        if let Some(name) = inputs
            .keys()
            .find(|name| ports.iter().all(|p| p.name() != **name))
        {
            let expected: Vec<String> = ports.iter().map(|p| format!("\"{}\"", p.name())).collect();
            return Err(ClientError::UnknownInput {
                name: name.clone(),
                expected: expected.join(", "),
            });
        }
        let mut samples = None;
        let mut checked = Vec::with_capacity(ports.len());
        for port in ports {
            let missing = || ClientError::MissingInput {
                name: port.name().to_owned(),
            };
            let tensor = inputs.get(port.name()).ok_or_else(missing)?;
            let found = count_samples(port, tensor)?;
            match samples {
                Some(expected) if expected != found => {
                    return Err(ClientError::Samples {
                        name: port.name().to_owned(),
                        found,
                        expected,
                    });
                }
                _ => samples = Some(found),
            }
            check_values(port, tensor)?;
            checked.push((port, tensor));
        }
        Ok(Self {
            samples: samples.unwrap_or(0),
            ports: checked,
        })
    }
}

impl<'a> CheckedInputs<'a, PlanPort> {
    /// For each port, for each run, the slot vectors of its ciphertexts, packed one run at a time. A last run that is
    /// not full is padded with the accepted value nearest to zero.
    pub(crate) fn runs(
        &self,
    ) -> impl Iterator<Item = (&'a PlanPort, impl Iterator<Item = Result<Run, ClientError>>)> {
        self.ports
            .iter()
            .map(|(port, tensor)| (*port, slots_of_runs(port, tensor)))
    }
}

fn count_samples<P: InputPort>(port: &P, tensor: &Tensor) -> Result<usize, ClientError> {
    let shape = tensor.shape();
    let inner = if port.batched() {
        port.shape().get(1..).unwrap_or_default()
    } else {
        port.shape()
    };
    let samples = match shape.split_first() {
        _ if !port.batched() && shape == port.shape() => Some(1),
        Some((samples, rest)) if rest == inner => Some(*samples),
        _ => None,
    };
    match samples {
        None => {
            let dims: Vec<String> = inner.iter().map(ToString::to_string).collect();
            let stacked = format!(
                "[samples{}{}]",
                if dims.is_empty() { "" } else { ", " },
                dims.join(", ")
            );
            let expected = if port.batched() {
                stacked
            } else {
                format!("{:?} or {stacked}", port.shape())
            };
            Err(ClientError::Shape {
                name: port.name().to_owned(),
                found: shape.to_vec(),
                expected,
            })
        }
        Some(0) => Err(ClientError::NoSamples {
            name: port.name().to_owned(),
        }),
        Some(samples) => Ok(samples),
    }
}

fn check_values<P: InputPort>(port: &P, tensor: &Tensor) -> Result<(), ClientError> {
    for (flat, value) in tensor.data().iter().enumerate() {
        let (name, value) = (port.name(), *value);
        if !value.is_finite() {
            return Err(ClientError::NotFinite {
                name: name.to_owned(),
                index: index_of(tensor.shape(), flat),
                value,
            });
        }
        if !port.range().contains(value) {
            let index = index_of(tensor.shape(), flat);
            return Err(ClientError::OutOfRange {
                name: name.to_owned(),
                index,
                value,
                range: port.range(),
            });
        }
    }
    Ok(())
}

/// The index of the element at a place in row-major order.
fn index_of(shape: &[usize], mut flat: usize) -> Vec<usize> {
    let mut index: Vec<usize> = Vec::with_capacity(shape.len());
    for dim in shape.iter().rev() {
        let dim = (*dim).max(1);
        index.push(flat % dim);
        flat /= dim;
    }
    index.reverse();
    index
}

fn slots_of_runs<'a>(
    port: &'a PlanPort,
    tensor: &'a Tensor,
) -> impl Iterator<Item = Result<Run, ClientError>> + 'a {
    let misfit = move || {
        ClientError::Plan(format!(
            "the layout of input \"{}\" does not fit its shape",
            port.name
        ))
    };
    // A plan is verified, so that there is no port without elements.
    let elements = element_count(&port.shape).unwrap_or(0).max(1);
    let run = elements.saturating_mul(port.layout.samples);
    let filler = 0.0_f64.max(port.range.lo).min(port.range.hi);
    let pack = move |run| port.layout.pack_all(run, filler).ok_or_else(misfit);
    tensor.data().chunks(run).map(pack)
}

/// Stacks the values of an output's runs, given its name, the shape of a run and whether axis 0 counts samples; the padding of the last run is cut off.
///
/// Axis 0 counts samples where the port is batched or there are several samples; a single sample of a port that is
/// not batched keeps the model's own shape.
pub(crate) fn stack(
    name: &str,
    shape: &[usize],
    batched: bool,
    samples: usize,
    runs: Vec<Vec<f64>>,
) -> Result<Tensor, ClientError> {
    let misfit = || {
        ClientError::Plan(format!(
            "the layout of output \"{name}\" does not fit its shape"
        ))
    };
    let inner = if batched {
        shape.get(1..).unwrap_or_default()
    } else {
        shape
    };
    let mut shape = inner.to_vec();
    if batched || samples != 1 {
        shape.insert(0, samples);
    }
    let mut data = runs.concat();
    let count = element_count(&shape)
        .filter(|count| *count <= data.len())
        .ok_or_else(misfit)?;
    data.truncate(count);
    Tensor::new(shape, data).ok_or_else(misfit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_ir::Scale;
    use cipherloom_ir::layout::Layout;
    use cipherloom_ir::value::{DType, Range};

    fn port(shape: &[usize], batched: bool) -> PlanPort {
        PlanPort {
            name: "x".into(),
            shape: shape.to_vec(),
            dtype: DType::F32,
            batched,
            clear: false,
            range: Range::new(-1.0, 4.0).unwrap(),
            layout: Layout::dense(shape.to_vec(), 4),
            level: 1,
            scale: Scale::pow2(30),
            registers: vec![],
            noise: 0.0,
        }
    }

    fn check(
        port: PlanPort,
        shape: &[usize],
        data: Vec<f64>,
    ) -> Result<(usize, Vec<Run>), ClientError> {
        let inputs = Tensors::from([("x".to_owned(), Tensor::new(shape.to_vec(), data).unwrap())]);
        let ports = [port];
        let checked = CheckedInputs::new(&ports, &inputs)?;
        let slots = checked.runs().next().unwrap().1.collect::<Result<_, _>>()?;
        Ok((checked.samples, slots))
    }

    #[test]
    fn axis_zero_counts_samples_as_the_contract_says() {
        let (samples, slots) = check(
            port(&[1, 3], true),
            &[2, 3],
            vec![0.0, 1.0, 2.0, 3.0, 4.0, -1.0],
        )
        .unwrap();
        assert_eq!(
            (samples, slots),
            (
                2,
                vec![
                    vec![vec![0.0, 1.0, 2.0, 0.0]],
                    vec![vec![3.0, 4.0, -1.0, 0.0]]
                ]
            )
        );
        assert_eq!(check(port(&[3], false), &[3], vec![1.0; 3]).unwrap().0, 1);
        assert_eq!(
            check(port(&[3], false), &[5, 3], vec![1.0; 15]).unwrap().0,
            5
        );
        // Six values need two ciphertexts of four slots.
        assert_eq!(
            check(port(&[1, 6], true), &[1, 6], vec![1.0; 6]).unwrap().1[0].len(),
            2
        );
    }

    #[test]
    fn a_packed_batch_is_filled_up() {
        let mut packed = port(&[1, 2], true);
        packed.range = Range::new(0.5, 1.0).unwrap();
        packed.layout.samples = 2;
        let values = vec![0.6, 0.7, 0.8, 0.9, 1.0, 0.5];
        let (samples, slots) = check(packed, &[3, 2], values).unwrap();
        assert_eq!(samples, 3);
        assert_eq!(slots, [[[0.6, 0.8, 0.7, 0.9]], [[1.0, 0.5, 0.5, 0.5]]]);
    }

    #[test]
    fn each_fault_is_named() {
        let shape_error = |port: PlanPort, shape: &[usize]| {
            let count = shape.iter().product();
            matches!(
                check(port, shape, vec![0.0; count]),
                Err(ClientError::Shape { .. })
            )
        };
        assert!(shape_error(port(&[1, 3], true), &[3]));
        assert!(shape_error(port(&[1, 3], true), &[2, 4]));
        assert!(shape_error(port(&[3], false), &[1, 1, 3]));
        assert!(shape_error(port(&[3], false), &[]));
        assert!(matches!(
            check(port(&[1, 3], true), &[0, 3], vec![]),
            Err(ClientError::NoSamples { .. })
        ));
        let nan = check(
            port(&[1, 3], true),
            &[2, 3],
            vec![0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0],
        )
        .unwrap_err();
        assert_eq!(nan.to_string(), "input \"x\", element [1, 1] is NaN");
        let far = check(port(&[1, 3], true), &[1, 3], vec![0.0, 0.0, 4.5]).unwrap_err();
        assert_eq!(
            far.to_string(),
            "input \"x\", element [0, 2] is 4.5, outside the accepted range [-1, 4]"
        );
        let ports = [port(&[1], true)];
        let none = Tensors::new();
        assert!(matches!(
            CheckedInputs::new(&ports, &none),
            Err(ClientError::MissingInput { .. })
        ));
        let other = Tensors::from([("y".to_owned(), Tensor::from_vec(vec![1.0]))]);
        assert!(matches!(
            CheckedInputs::new(&ports, &other),
            Err(ClientError::UnknownInput { .. })
        ));
    }

    #[test]
    fn different_numbers_of_samples_are_refused() {
        let mut second = port(&[1, 1], true);
        second.name = "y".into();
        let ports = [port(&[1, 1], true), second];
        let column = |n: usize| Tensor::filled(vec![n, 1], 0.0).unwrap();
        let inputs = Tensors::from([("x".to_owned(), column(2)), ("y".to_owned(), column(3))]);
        assert!(matches!(
            CheckedInputs::new(&ports, &inputs),
            Err(ClientError::Samples {
                found: 3,
                expected: 2,
                ..
            })
        ));
    }

    #[test]
    fn outputs_are_stacked() {
        let runs = || vec![vec![1.0, 2.0], vec![3.0, 4.0]];
        assert_eq!(
            stack("y", &[1, 2], true, 2, runs()).unwrap().shape(),
            [2, 2]
        );
        assert_eq!(stack("y", &[2], false, 2, runs()).unwrap().shape(), [2, 2]);
        assert_eq!(
            stack("y", &[2], false, 1, vec![vec![1.0, 2.0]])
                .unwrap()
                .shape(),
            [2]
        );
        let packed = stack("y", &[2, 1], true, 3, runs()).unwrap();
        assert_eq!(
            (packed.shape(), packed.data()),
            (&[3, 1][..], &[1.0, 2.0, 3.0][..])
        );
        assert!(stack("y", &[1, 2], true, 3, runs()).is_err());
    }
}
