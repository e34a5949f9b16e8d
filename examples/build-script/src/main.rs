//! A client that carries its plans: it needs the client's crate alone, and neither the compiler nor the models.

use cipherloom_client::Client;
use cipherloom_ir::plan::client_plan_from_bytes;
use cipherloom_ir::{Tensor, Tensors};
use std::error::Error;

/// The plans that `build.rs` made.
mod plans {
    include!(concat!(env!("OUT_DIR"), "/plans.rs"));
}

fn main() -> Result<(), Box<dyn Error>> {
    encrypt(plans::digits::CLIENT_PLAN, "input", vec![1, 64])?;
    encrypt(plans::risk::CLIENT_PLAN, "features", vec![8])
}

/// Encrypts a tensor of halves for a plan.
fn encrypt(plan: &[u8], input: &str, shape: Vec<usize>) -> Result<(), Box<dyn Error>> {
    let client = Client::new(client_plan_from_bytes(plan)?)?;
    let values = Tensor::filled(shape, 0.5).ok_or("a shape without elements")?;
    let inputs = Tensors::from([(input.to_owned(), values)]);
    let ciphertexts = client.encrypt(&inputs)?.to_bytes(client.params())?;
    println!(
        "plan {}: {input:?} takes {} bytes encrypted",
        client.plan().plan_id,
        ciphertexts.len()
    );
    Ok(())
}
