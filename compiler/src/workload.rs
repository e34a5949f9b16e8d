//! What evaluating a network on samples costs, and how many samples are affordable.

use cipherloom_ir::Tensors;
use cipherloom_ir::tensor::{Module, Op};
use std::borrow::Cow;

/// Multiply-accumulates that one evaluation of the network on all calibration samples may take. Large networks are
/// calibrated on fewer samples, so that compilation takes seconds.
const CALIBRATION_WORK: f64 = 2e9;
/// Samples that are taken whatever they cost.
const LEAST: usize = 64;

/// What one evaluation of a network costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Workload {
    /// Multiply-accumulates, about.
    pub(crate) work: f64,
    /// The elements of all values.
    pub(crate) values: f64,
}

/// As many of the samples as are affordable.
pub(crate) fn affordable<'s>(module: &Module, samples: &'s [Tensors]) -> Cow<'s, [Tensors]> {
    let count = (CALIBRATION_WORK / Workload::of(module).work) as usize;
    if count >= samples.len() || LEAST >= samples.len() {
        return Cow::Borrowed(samples);
    }
    Cow::Owned(spread(samples, count.max(LEAST)))
}

/// So many of the samples, evenly spread.
pub(crate) fn spread(samples: &[Tensors], count: usize) -> Vec<Tensors> {
    let count = count.min(samples.len());
    (0..count)
        .filter_map(|i| samples.get(i * samples.len() / count).cloned())
        .collect()
}

impl Workload {
    /// The cost of a network on one sample.
    pub(crate) fn of(module: &Module) -> Self {
        let (mut work, mut values) = (1.0, 1.0);
        for id in module.graph.ids() {
            let Some(node) = module.graph.get(id) else {
                continue;
            };
            let size: f64 = node.shape.iter().map(|d| *d as f64).product();
            let weight = |id| module.tensor(id).map_or(1.0, |t| t.len() as f64);
            let channels = node.shape.get(1).map_or(1.0, |c| *c as f64).max(1.0);
            let operands = module.graph.operands(id);
            let inner = || {
                let shape = &operands.first().and_then(|o| module.graph.get(*o))?.shape;
                shape.last().map(|d| *d as f64)
            };
            work += size
                * match &node.op {
                    Op::Conv(conv) => weight(conv.weight) / channels,
                    Op::Gemm { .. } | Op::MatMul => inner().unwrap_or(1.0),
                    Op::ConstMatMul { weight: id } => {
                        let shape = module.tensor(*id).map(|t| t.shape().to_vec());
                        shape
                            .and_then(|s| s.last().copied())
                            .map_or(1.0, |d| d as f64)
                    }
                    Op::Function(_) => 32.0,
                    _ => 1.0,
                };
            values += size;
        }
        Self { work, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_ir::Tensor;
    use cipherloom_ir::tensor::parse;

    #[test]
    fn matrices_and_samples_are_counted() {
        let text = r#"module "m" · from "m" · stage tensor
  shape range | op
  [1,3] - | %0 = input "x"
  [1,2] - | %1 = gemm %0, @w
input "x" = %0 · f32 · batched
output "y" = %1 · f32 · batched
const @w [2,3] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"#;
        let module = parse(text, &[]).unwrap();
        let found = Workload::of(&module);
        assert_eq!(
            (found.work, found.values),
            (1.0 + 3.0 + 6.0, 1.0 + 3.0 + 2.0)
        );
        let sample = |i: usize| [("x".to_owned(), Tensor::from_vec(vec![i as f64]))].into();
        let samples: Vec<Tensors> = (0..10).map(sample).collect();
        assert_eq!(affordable(&module, &samples).len(), 10);
        let few: Vec<f64> = spread(&samples, 4)
            .iter()
            .map(|s| s["x"].data()[0])
            .collect();
        assert_eq!(few, [0.0, 2.0, 5.0, 7.0]);
        assert_eq!(spread(&samples, 40).len(), 10);
    }
}
