//! Wishes: what a plan is to be good at, where no exact option says so.

use crate::compile::{CompileError, Compiled};
use crate::cost::CostModel;
use crate::lower::{Batch, LowerError, Options};
use crate::pass::{ApproximationError, PassError};
use cipherloom_ir::plan::{Plan, PlanPort, key_bytes};

/// What a plan is to be good at. Exact options go before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// The least expected time of one run on one thread, with noise at least 12 bits below the outputs.
    #[default]
    Latency,
    /// The most samples a second: as many in one run as pay ([`Batch::Max`]). A batch of more than one sample goes before.
    Throughput,
    /// The fewest bytes of evaluation keys and of ciphertexts that are sent: the smallest of the plans that are chosen with the
    /// time that keys take counted once, 4 and 16 times ([`KEY_WEIGHTS`]); of equal ones the first.
    Size,
    /// The most precise outputs of 24, 20 and 16 bits ([`PRECISIONS`]) that parameters and polynomials give; as without a
    /// wish where they give none of these.
    Precision,
}

/// The bits of precision that [`Preference::Precision`] tries, in this order.
pub const PRECISIONS: [f64; 3] = [24.0, 20.0, 16.0];
/// How often [`Preference::Size`] counts the time that keys take.
pub const KEY_WEIGHTS: [f64; 3] = [1.0, 4.0, 16.0];

impl Preference {
    /// Compiles with a wish: `compile` is called with options that are changed for it.
    pub(crate) fn compile(
        self,
        options: &Options,
        compile: &mut dyn FnMut(&Options) -> Result<Compiled, CompileError>,
    ) -> Result<Compiled, CompileError> {
        match self {
            Self::Latency => compile(options),
            Self::Throughput if options.batch != Batch::Samples(1) => compile(options),
            Self::Throughput => compile(&Options {
                batch: Batch::Max,
                ..options.clone()
            }),
            Self::Precision if options.precision.is_some() => compile(options),
            Self::Precision => {
                for bits in PRECISIONS {
                    let precision = Some(bits);
                    match compile(&Options {
                        precision,
                        ..options.clone()
                    }) {
                        Err(error) if out_of_reach(&error) => {}
                        done => return done,
                    }
                }
                compile(options)
            }
            Self::Size => {
                let mut best = compile(options)?;
                for weight in KEY_WEIGHTS.into_iter().filter(|w| *w != 1.0) {
                    let cost = with_keys(&options.cost, weight);
                    let found = compile(&Options {
                        cost,
                        ..options.clone()
                    })?;
                    if bytes(&found.plan) < bytes(&best.plan) {
                        best = found;
                    }
                }
                Ok(best)
            }
        }
    }
}

/// Rates with the time that keys take counted several times.
fn with_keys(cost: &CostModel, weight: f64) -> CostModel {
    let mut cost = cost.clone();
    for ring in cost.rings.values_mut() {
        ring.narrow.key *= weight;
        ring.wide.key *= weight;
    }
    cost
}

/// Whether no parameters or polynomials give the precision.
fn out_of_reach(error: &CompileError) -> bool {
    matches!(
        error,
        CompileError::Lower(LowerError::NoParameters { .. })
            | CompileError::Pass(PassError::Approximation(
                ApproximationError::OutOfReach { .. } | ApproximationError::Imprecise { .. }
            ))
    )
}

/// Bytes of the evaluation keys, and of one run's inputs and outputs; an input is seeded.
pub fn bytes(plan: &Plan) -> u64 {
    let port = |port: &PlanPort, elements: u64| {
        let primes = plan.params.q.iter().take(port.level + 1);
        let bits: u32 = primes.map(|q| 64 - q.leading_zeros()).sum();
        let words = port.layout.ciphertexts as u64 * elements * plan.params.n() as u64;
        words * u64::from(bits) / 8
    };
    let inputs: u64 = plan.inputs.iter().map(|p| port(p, 1)).sum();
    let outputs: u64 = plan.outputs.iter().map(|p| port(p, 2)).sum();
    key_bytes(plan).file + inputs + outputs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Compiler;
    use crate::loom::trace;
    use cipherloom_ir::plan;

    fn compiled(preference: Preference, precision: Option<f64>) -> Compiled {
        let program = trace("p", |t| {
            let x = t.input("x", &[64], 0.0..=1.0);
            let turned = (0..64 * 64).map(|i| f64::from(i % 7) / 64.0).collect();
            let weight = cipherloom_ir::Tensor::new(vec![64, 64], turned).unwrap();
            let hidden = x.matmul(&weight);
            t.output("y", (&hidden * &hidden).matmul(&weight));
        });
        let mut compiler = Compiler::new().margin(1.0).prefer(preference);
        if let Some(bits) = precision {
            compiler = compiler.precision(bits);
        }
        compiler.compile(&program.unwrap().module).unwrap()
    }

    #[test]
    fn wishes_are_kept() {
        let latency = compiled(Preference::Latency, None);
        let size = compiled(Preference::Size, None);
        let precision = compiled(Preference::Precision, None);
        assert!(bytes(&size.plan) <= bytes(&latency.plan));
        assert!(
            precision.output_bits >= PRECISIONS[0],
            "{}",
            precision.output_bits
        );
        assert!(latency.output_bits < precision.output_bits);
        // An exact precision goes before, and the plan is that of the precision alone.
        let exact = compiled(Preference::Precision, Some(13.0));
        let plain = compiled(Preference::Latency, Some(13.0));
        assert_eq!(plan::print(&exact.plan), plan::print(&plain.plan));
    }
}
