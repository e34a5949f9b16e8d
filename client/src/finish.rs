//! What is left to do after decryption: the plan's tail, in clear.

use crate::ClientError;
use crate::inputs::{InputPort, stack};
use cipherloom_ir::plan::{ClientPlan, ResultPort};
use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::value::{Tensor, Tensors, element_count};

/// The model's outputs from the decrypted ones, sample by sample; without a tail they are these themselves.
///
/// The tensors are named and shaped as [`crate::Client::decrypt_exact`] gives them: axis 0 counts samples where the
/// plan's output is batched or there are several of them. What has been rounded before ([`crate::round_for_sharing`])
/// stays a function of rounded values.
///
/// # Errors
/// [`ClientError::Outputs`] for a tensor that is missing or has another shape or another number of samples than the
/// rest, [`ClientError::Tail`] where the tail cannot be computed.
pub fn finish(plan: &ClientPlan, outputs: &Tensors) -> Result<Tensors, ClientError> {
    finish_ports(&plan.outputs, plan.tail.as_ref(), plan.results(), outputs)
}

/// [`finish`] for the ports of either backend.
pub(crate) fn finish_ports<P: InputPort>(
    ports: &[P],
    tail: Option<&Module>,
    expected: Vec<ResultPort>,
    outputs: &Tensors,
) -> Result<Tensors, ClientError> {
    let Some(tail) = tail else {
        return Ok(outputs.clone());
    };
    let mut samples: Vec<Tensors> = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let misfit = |reason: &str| ClientError::Outputs(format!("\"{}\" {reason}", port.name()));
        let tensor = outputs
            .get(port.name())
            .ok_or_else(|| misfit("is missing"))?;
        let size = element_count(port.shape()).unwrap_or(0).max(1);
        if !tensor
            .shape()
            .ends_with(port.shape().get(1..).unwrap_or_default())
            || tensor.is_empty()
            || !tensor.len().is_multiple_of(size)
        {
            return Err(misfit("has another shape"));
        }
        let count = tensor.len() / size;
        if i == 0 {
            samples.resize(count, Tensors::new());
        } else if samples.len() != count {
            return Err(misfit("has another number of samples"));
        }
        for (sample, values) in samples.iter_mut().zip(tensor.data().chunks(size)) {
            let one = Tensor::new(port.shape().to_vec(), values.to_vec());
            sample.insert(
                port.name().to_owned(),
                one.ok_or_else(|| misfit("has another shape"))?,
            );
        }
    }
    let finished: Vec<Tensors> = samples
        .iter()
        .map(|sample| eval(tail, sample))
        .collect::<Result<_, _>>()?;
    let mut results = Tensors::new();
    for result in expected {
        let runs = finished
            .iter()
            .filter_map(|f| f.get(&result.name).map(|t| t.data().to_vec()))
            .collect();
        let stacked = stack(
            &result.name,
            &result.shape,
            result.batched,
            samples.len(),
            runs,
        )?;
        results.insert(result.name, stacked);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::toy_plan;
    use cipherloom_ir::tensor::parse;

    const TAIL: &str = r#"
module "tail" · from "toy" · stage tensor
  shape            range                  | op
  [1,40]           -                      | %0 = input "y"           ; port "y"
  [1,40]           -                      | %1 = softmax %0 axis 1   ; node 0 Softmax "/out"
  [1,1]            -                      | %2 = arg_max %0 axis 1   ; node 1 ArgMax "/class"
  [1]              -                      | %3 = reshape %2          ; node 1 ArgMax "/class"
input "y" = %0 · f64 · batched
output "p" = %1 · batched
output "class" = %3 · i64 · batched
"#;

    fn plan() -> ClientPlan {
        ClientPlan {
            tail: Some(parse(TAIL, &[]).unwrap()),
            ..toy_plan()
        }
    }

    #[test]
    fn each_sample_is_finished_alone() {
        // The largest element of sample s is element 3 s + 1.
        let at = |s: usize, i: usize| if i == 3 * s + 1 { 2.0 } else { 0.0 };
        let data = (0..3)
            .flat_map(|s| (0..40).map(move |i| at(s, i)))
            .collect();
        let outputs = Tensors::from([("y".into(), Tensor::new(vec![3, 40], data).unwrap())]);
        let results = finish(&plan(), &outputs).unwrap();
        assert_eq!(results["class"].shape(), [3]);
        assert_eq!(results["class"].data(), [1.0, 4.0, 7.0]);
        assert_eq!(results["p"].shape(), [3, 40]);
        let e2 = libm::exp(2.0);
        for s in 0..3 {
            for i in 0..40 {
                let expected = if i == 3 * s + 1 { e2 } else { 1.0 } / (39.0 + e2);
                assert!((results["p"].data()[40 * s + i] - expected).abs() < 1e-15);
            }
        }
        // Without a tail nothing changes.
        assert_eq!(finish(&toy_plan(), &outputs).unwrap(), outputs);
        let ports = plan().results();
        let names: Vec<_> = ports
            .iter()
            .map(|p| (p.name.as_str(), &p.shape[..]))
            .collect();
        assert_eq!(names, [("p", &[1, 40][..]), ("class", &[1][..])]);
    }

    #[test]
    fn outputs_that_do_not_fit_are_refused() {
        let refused = |name: &str, shape: &[usize]| {
            let tensor = Tensor::filled(shape.to_vec(), 0.5).unwrap();
            finish(&plan(), &Tensors::from([(name.to_owned(), tensor)])).unwrap_err()
        };
        for (name, shape) in [
            ("z", &[1, 40][..]),
            ("y", &[1, 39]),
            ("y", &[40, 1]),
            ("y", &[0, 40]),
        ] {
            let error = refused(name, shape);
            assert!(matches!(error, ClientError::Outputs(_)), "{error}");
        }
    }
}
