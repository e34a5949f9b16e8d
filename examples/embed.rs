//! All roles in one file: compile a network, encrypt images, run the plan on them, decrypt the scores.
//!
//! Usage: `cargo run --release --example embed`

use cipherloom::data::{read_inputs, read_labels, split};
use cipherloom::{Client, Compiler, Model, Security, Server, Tensors};
use std::error::Error;
use std::fs;
use std::path::Path;

const IMAGES: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let model = Model::from_onnx(data.join("models/lola.onnx"))?;
    let read = |name: &str| -> Result<Vec<Tensors>, Box<dyn Error>> {
        let bytes = fs::read(data.join("images").join(name))?;
        let stacked = read_inputs(&bytes, &model.inputs(), false)?;
        Ok(split(&stacked, &model.inputs()).ok_or("the arrays have no samples")?)
    };
    let samples = read("mnist-calib.npz")?;

    let compiled = Compiler::new()
        .security(Security::Classical128)
        .calibrate(&samples)
        .compile(&model)?;
    let client = Client::new(compiled.client_plan())?;
    let server = Server::new(compiled.server_plan(), client.evaluation_key()?)?;

    let labels = read_labels(&fs::read(data.join("images/mnist-test-labels.npy"))?, 300)?;
    for (inputs, label) in read("mnist-test.npz")?.iter().zip(labels).take(IMAGES) {
        let scores = client.decrypt(&server.run(&client.encrypt(inputs)?)?)?;
        let scores = scores
            .get("output")
            .ok_or("the network has no output of this name")?
            .data();
        let class = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let class = class.ok_or("there are no scores")?;
        println!(
            "label {label}, classified as {class} with a score of {:.3}",
            scores[class]
        );
        if class != label {
            return Err(
                "an image that is classified correctly in clear was not under encryption".into(),
            );
        }
    }
    Ok(())
}
