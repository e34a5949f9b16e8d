//! A client that carries its plan: it needs the client's crate alone, and neither the compiler nor the model.

use cipherloom_client::Client;
use cipherloom_ir::plan::client_plan_from_bytes;
use cipherloom_ir::{Tensor, Tensors};
use std::error::Error;

/// The plan that `build.rs` made.
const PLAN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/client.plan"));

fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::new(client_plan_from_bytes(PLAN)?)?;
    let image = Tensor::filled(vec![1, 64], 0.5).ok_or("a shape without elements")?;
    let inputs = Tensors::from([("input".to_owned(), image)]);
    let ciphertexts = client.encrypt(&inputs)?.to_bytes(client.params())?;
    println!(
        "plan {}: an image takes {} bytes encrypted",
        client.plan().plan_id,
        ciphertexts.len()
    );
    Ok(())
}
