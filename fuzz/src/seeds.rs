//! Small real files: a network compiled for secure parameters, and a client of a toy ring.

use cipherloom_ckks::Parameters;
use cipherloom_client::Client;
use cipherloom_compiler::{Compiled, Compiler};
use cipherloom_ir::Scale;
use cipherloom_ir::container::PlanId;
use cipherloom_ir::integer::{
    IntegerBuilder, Matrix, Quantisation, SETS, Table, integer_plan_to_bytes,
};
use cipherloom_ir::layout::Layout;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::plan::{ClientPlan, KeyRequest, PlanPort, RotationKeySpec};
use cipherloom_ir::security::Security;
use cipherloom_ir::tensor;
use cipherloom_ir::value::{DType, Range, Tensor, Tensors};
use std::sync::LazyLock;

/// A network with one node of most kinds.
pub const NETWORK: &str = r#"module "tiny" · from "tiny.onnx, opset 17" · stage tensor
  shape            range                  | op
  [1,1,3,3]        -                      | %0 = input "image"
  [1,2,2,2]        -                      | %1 = conv %0, @w, @b strides [1,1] pads [0,0,0,0] ; node 0 Conv "/conv"
  [1,2,2,2]        -                      | %2 = mul %1, %1                                  ; node 1 Mul "/act"
  [1,8]            -                      | %3 = reshape %2                                  ; node 2 Flatten "/flat"
  [1,2]            -                      | %4 = gemm %3, @fc                                ; node 3 Gemm "/fc"
  [1,2]            -                      | %5 = softmax %4 axis 1                           ; node 4 Softmax "/out"
  [1,1]            -                      | %6 = arg_max %5 axis 1                           ; node 5 ArgMax "/class"
  [1,1]            -                      | %7 = lookup %6, @labels                          ; node 6 ArrayFeatureExtractor "/label"
input "image" = %0 · f32 · batched
output "probabilities" = %5 · batched
output "label" = %7 · i64 · batched
const @labels [2] = [-1.0, 7.0]
const @w [2,1,2,2] = [0.5, -0.1, 0.0, 1e-7, 1.0, 0.5, -0.25, 0.125]
const @b [2] = [0.25, -0.75]
const @fc [2,8] = [1.0, 1.0, 0.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.25, 1.0]
"#;

/// [`NETWORK`], compiled.
pub static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let module = tensor::parse(NETWORK, &[]).expect("the network is well-formed");
    let compiler = Compiler::new().input_range("image", -1.0, 1.0);
    compiler.compile(&module).expect("the network compiles")
});

/// `server.plan` of [`COMPILED`].
pub static SERVER_PLAN: LazyLock<Vec<u8>> =
    LazyLock::new(|| cipherloom_ir::plan::plan_to_bytes(&COMPILED.plan).0);

/// `client.plan` of [`COMPILED`].
pub static CLIENT_PLAN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let plan = COMPILED.plan.client_plan(COMPILED.plan.id());
    cipherloom_ir::plan::client_plan_to_bytes(&plan)
});

/// `server.plan` of the TFHE backend: one step of each kind.
pub static INTEGER_PLAN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let integers = Quantisation {
        scale: vec![0.5],
        zero_point: vec![0],
        lo: 0,
        hi: 3,
    };
    let range = Range { lo: 0.0, hi: 1.5 };
    let mut b = IntegerBuilder::new("tiny", "tiny.onnx", SETS[1]);
    let x = b.input("image", &[1, 9], range, 59, integers.clone());
    let rows = (0..3).map(|i| (vec![(i, 1), (i + 3, -1), (8, 1)], 3));
    let sums = Matrix::from_rows("sums", 9, rows).expect("no weight overflows");
    let sums = b.matrix(sums);
    let sums = b.linear(&[x], sums, 59, "node 0 Gemm");
    let relu = b.table(Table {
        name: "relu".into(),
        entries: (0..16).map(|i| (i - 3_i64).max(0)).collect(),
    });
    let y = b.lookup(sums, &[relu], 59, "node 1 Relu");
    b.output("y", &[1, 3], range, y, integers);
    b.plan_mut().clear = COMPILED.plan.clear.clone();
    let plan = b.finish().expect("the plan is sound");
    integer_plan_to_bytes(&plan).0
});

fn toy_port(params: &CkksLiteral, name: &str, level: usize) -> PlanPort {
    let shape = vec![1, 6];
    PlanPort {
        name: name.into(),
        dtype: DType::F32,
        batched: true,
        clear: false,
        range: Range { lo: -1.0, hi: 1.0 },
        layout: Layout::dense(shape.clone(), params.slots()),
        shape,
        level,
        scale: Scale::pow2(28),
        registers: vec![],
        noise: 1e-9,
    }
}

/// A client of a ring of degree 16, with a fresh secret key; the plan's id is always the same.
pub static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let log_n = 4;
    let q = ntt_primes_near(log_n, 35.0, 3, &[]);
    let p = ntt_primes_near(log_n, 39.0, 2, &q);
    let params = CkksLiteral {
        log_n,
        q,
        p,
        digit_size: 2,
        security: Security::Classical128,
    };
    let plan = ClientPlan {
        plan_id: PlanId([5; 32]),
        name: "toy".into(),
        inputs: vec![toy_port(&params, "x", 2)],
        outputs: vec![toy_port(&params, "y", 0)],
        keys: KeyRequest {
            relinearization: Some(2),
            rotations: vec![RotationKeySpec { steps: 3, level: 1 }],
            conjugation: None,
        },
        params,
        tail: None,
    };
    Client::insecure_for_tests(plan).expect("the toy plan is well-formed")
});

/// The parameters of [`CLIENT`].
pub fn toy() -> &'static Parameters {
    CLIENT.params()
}

/// `eval.key` of [`CLIENT`].
pub static EVALUATION_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let keys = CLIENT.evaluation_key().expect("keys are made");
    let bytes = cipherloom_ckks::wire::keys_to_bytes(toy(), CLIENT.plan().plan_id, &keys);
    bytes.expect("keys are written")
});

/// Two runs of encrypted inputs of [`CLIENT`].
pub static CIPHERTEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let values = (0..12).map(|i| f64::from(i) / 12.0).collect();
    let tensor = Tensor::new(vec![2, 6], values).expect("the shape fits");
    let set = CLIENT.encrypt(&Tensors::from([("x".to_owned(), tensor)]));
    let bytes = set.expect("the inputs fit").to_bytes(toy());
    bytes.expect("ciphertexts are written")
});

/// `secret.key` of [`CLIENT`].
pub static SECRET_KEY: LazyLock<Vec<u8>> =
    LazyLock::new(|| CLIENT.secret_key().to_bytes().to_vec());

/// The public key of [`CLIENT`].
pub static PUBLIC_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = CLIENT.public_key().expect("a key is made");
    key.to_bytes(toy()).expect("the key is written")
});
