//! The language against independent values, its formatter against itself, and its messages.

mod documentation;
mod formatting;
mod hostile;
mod messages;
mod tracing;
mod values;

use super::{LoomError, NoResources, Program, Resources, read};
use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::{Tensor, Tensors};

fn program(source: &str) -> Result<Program, LoomError> {
    read("prog.loom", source, &NoResources)
}

/// A program's outputs in clear.
fn run(source: &str, inputs: &[(&str, &[f64])]) -> Tensors {
    run_with(source, inputs, &NoResources)
}

fn run_with(source: &str, inputs: &[(&str, &[f64])], resources: &dyn Resources) -> Tensors {
    let program = match read("prog.loom", source, resources) {
        Ok(program) => program,
        Err(error) => panic!("{error}"),
    };
    clear(&program.module, inputs)
}

fn clear(module: &Module, inputs: &[(&str, &[f64])]) -> Tensors {
    let given = inputs.iter().map(|(name, data)| {
        let port = module.inputs.iter().find(|i| i.name == *name).unwrap();
        let shape = module.graph.get(port.node).unwrap().shape.clone();
        (
            (*name).to_owned(),
            Tensor::new(shape, data.to_vec()).unwrap(),
        )
    });
    eval(module, &given.collect()).unwrap()
}
