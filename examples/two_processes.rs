//! Client and server as two processes that share nothing but a pipe: keys and ciphertexts go to the server, ciphertexts come back.
//!
//! The client starts the server, which is this same program with the argument `server`. Both read what the compiler
//! wrote: the server `server.plan`, the client `client.plan`. The secret key never leaves the client's process.
//!
//! Usage: `cargo run --release --example two_processes`

use cipherloom::data::{read_inputs, split};
use cipherloom::{
    CiphertextSet, Client, Compiler, Model, Server, ServerPlan, client_plan_from_bytes,
    keys_to_bytes,
};
use std::error::Error;
use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::path::Path;
use std::process::{Command, Stdio};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["server", plan] => serve(Path::new(plan)),
        [] => {
            let dir = std::env::temp_dir()
                .join(format!("cipherloom-two-processes-{}", std::process::id()));
            let outcome = compile(&dir).and_then(|()| ask(&dir));
            fs::remove_dir_all(&dir)?;
            outcome
        }
        _ => Err("usage: two_processes".into()),
    }
}

/// The model's owner: writes both plans.
fn compile(dir: &Path) -> Outcome<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let model = Model::from_onnx(data.join("models/lola.onnx"))?;
    let samples = read_inputs(
        &fs::read(data.join("images/mnist-calib.npz"))?,
        &model.inputs(),
        false,
    )?;
    let samples = split(&samples, &model.inputs()).ok_or("the arrays have no samples")?;
    Compiler::new()
        .calibrate(&samples)
        .compile(&model)?
        .save(dir)?;
    Ok(())
}

/// The server: reads evaluation keys and encrypted inputs, writes encrypted outputs. It could not decrypt if it wanted to.
fn serve(plan: &Path) -> Outcome<()> {
    let plan = ServerPlan::from_bytes(&fs::read(plan)?)?;
    let server = Server::with_key_bytes(plan, &receive(&mut stdin())?)?;
    let inputs = server.read(&receive(&mut stdin())?)?;
    send(&mut stdout(), &server.write(&server.run(&inputs)?)?)
}

/// The client: makes keys, encrypts an image, asks the server, decrypts.
fn ask(dir: &Path) -> Outcome<()> {
    let client = Client::new(client_plan_from_bytes(&fs::read(dir.join("client.plan"))?)?)?;
    let plan = client.plan();
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images/mnist-test.npz");
    let ports: Vec<_> = plan.inputs.iter().map(Into::into).collect();
    let images = split(&read_inputs(&fs::read(images)?, &ports, true)?, &ports)
        .ok_or("there are no images")?;
    let inputs = client
        .encrypt(images.first().ok_or("there is no image")?)?
        .to_bytes(client.params())?;
    let keys = keys_to_bytes(client.params(), plan.plan_id, &client.evaluation_key()?)?;

    let mut server = Command::new(std::env::current_exe()?)
        .arg("server")
        .arg(dir.join("server.plan"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut pipe = server.stdin.take().ok_or("the server has no input")?;
    send(&mut pipe, &keys)?;
    send(&mut pipe, &inputs)?;
    let outputs = receive(&mut server.stdout.take().ok_or("the server has no output")?)?;
    if !server.wait()?.success() {
        return Err("the server failed".into());
    }

    let outputs = CiphertextSet::from_bytes(client.params(), plan.plan_id, &outputs)?;
    let scores = client.decrypt(&outputs)?;
    let scores = scores
        .get("output")
        .ok_or("the network has no output of this name")?
        .data();
    let class = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    println!(
        "{} bytes of keys and {} of ciphertext sent; the image is a {class:?}",
        keys.len(),
        inputs.len()
    );
    // The first image of the test set shows a seven.
    if class == Some(7) {
        Ok(())
    } else {
        Err("the image was misread".into())
    }
}

/// Sends a message: its length as 64 bits, then its bytes.
fn send(to: &mut impl Write, message: &[u8]) -> Outcome<()> {
    to.write_all(&(message.len() as u64).to_le_bytes())?;
    to.write_all(message)?;
    Ok(to.flush()?)
}

/// Receives a message; memory grows with what really arrives.
fn receive(from: &mut impl Read) -> Outcome<Vec<u8>> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut message = Vec::new();
    from.take(length).read_to_end(&mut message)?;
    if message.len() as u64 == length {
        Ok(message)
    } else {
        Err("a message was cut".into())
    }
}
