//! Encryption against decryption, and hostile files.

use super::*;
use cipherloom_ir::container::{self, Container, Kind};
use cipherloom_ir::integer::{Quantisation, SETS, noise};
use cipherloom_ir::plan::Register;
use cipherloom_ir::value::{DType, Range, Tensor};

/// The input of 8 elements is also the output.
fn plan() -> IntegerClientPlan {
    let quantisation = Quantisation {
        scale: vec![0.5],
        zero_point: vec![1],
        lo: -8,
        hi: 7,
    };
    let variance = noise::fresh(&SETS[0]);
    let input = IntegerPort {
        name: "x".into(),
        shape: vec![1, 8],
        dtype: DType::F32,
        batched: true,
        range: Range { lo: -4.5, hi: 3.0 },
        register: Register(0),
        log_delta: 58,
        quantisation,
        slack: 0,
        variance,
        log2_failure: f64::NEG_INFINITY,
    };
    let output = IntegerPort {
        log2_failure: noise::log2_failure(0.5 * libm::exp2(-6.0), variance),
        ..input.clone()
    };
    IntegerClientPlan {
        plan_id: PlanId([5; 32]),
        name: "toy".into(),
        params: SETS[0],
        log2_failure: -128.0,
        inputs: vec![input],
        outputs: vec![output],
        tail: None,
    }
}

fn samples(count: usize) -> Tensors {
    let data = (0..8 * count)
        .map(|i| (i % 16) as f64 * 0.5 - 4.5)
        .collect();
    let tensor = Tensor::new(vec![count, 8], data).unwrap();
    Tensors::from([("x".to_owned(), tensor)])
}

/// The set with masks written out, by the crate's own expansion.
fn expanded(client: &TfheClient, set: &LweSet) -> LweSet {
    let mut set = set.clone();
    for vector in &mut set.ports[0].samples {
        let LweVector::Seeded { seed, bodies } = vector else {
            panic!("inputs are seeded");
        };
        let size = LweDimension(client.plan().params.big_dimension()).to_lwe_size();
        let list = SeededLweCiphertextList::from_container(
            bodies.clone(),
            size,
            seeder::seed(*seed).into(),
            native(),
        );
        *vector = LweVector::Full(list.decompress_into_lwe_ciphertext_list().into_container());
    }
    set
}

#[test]
fn integers_come_back_and_noise_is_as_predicted() {
    let client = TfheClient::new(plan()).unwrap();
    let set = client.encrypt(&samples(250)).unwrap();
    assert_eq!(
        (set.samples, set.key_id),
        (250, client.secret_key().key_id())
    );
    let full = expanded(&client, &set);
    assert_eq!(client.decrypt(&full).unwrap(), samples(250));
    let phases = client
        .decrypt_phases(&client.plan().outputs[0], &full)
        .unwrap();
    let mut sum = 0.0;
    for (i, phase) in phases.iter().flat_map(|s| s.iter()).enumerate() {
        let exact = (((i % 16) as i64 - 8) as u64) << 58;
        let error = phase.wrapping_sub(exact) as i64 as f64;
        sum += error * error;
    }
    let ratio = sum / 2000.0 / libm::exp2(128.0) / noise::fresh(&SETS[0]);
    // Four standard deviations of a variance of 2000 samples of TUniform.
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn each_encryption_and_each_key_is_fresh() {
    let client = TfheClient::new(plan()).unwrap();
    let (a, b) = (
        client.encrypt(&samples(1)).unwrap(),
        client.encrypt(&samples(1)).unwrap(),
    );
    assert_ne!(a.ports, b.ports);
    let other = TfheClient::new(plan()).unwrap();
    assert_ne!(client.secret_key().key_id(), other.secret_key().key_id());
    assert_ne!(
        *client.secret.bits_for_tests(),
        *other.secret.bits_for_tests()
    );
    let refused = other.decrypt(&expanded(&client, &a)).unwrap_err();
    assert!(matches!(
        refused,
        ClientError::Container(ContainerError::OtherKey { .. })
    ));
    assert!(matches!(client.decrypt(&a), Err(ClientError::Outputs(_))));
}

#[test]
fn inputs_are_checked() {
    let client = TfheClient::new(plan()).unwrap();
    let with = |value: f64| {
        let mut inputs = samples(2);
        inputs.get_mut("x").unwrap().data_mut()[9] = value;
        client.encrypt(&inputs).unwrap_err()
    };
    assert!(matches!(with(f64::NAN), ClientError::NotFinite { .. }));
    assert!(matches!(with(3.5), ClientError::OutOfRange { index, .. } if index == [1, 1]));
    assert!(matches!(
        client.encrypt(&Tensors::new()),
        Err(ClientError::MissingInput { .. })
    ));
}

#[test]
fn a_key_comes_back_and_shows_nothing() {
    let plan = plan();
    let key = TfheSecretKey::generate(&plan).unwrap();
    let back = TfheSecretKey::from_bytes(&key.to_bytes(), &plan).unwrap();
    assert_eq!(*back.bits_for_tests(), *key.bits_for_tests());
    let ones: u32 = key.bits_for_tests().iter().map(|b| u32::from(*b)).sum();
    assert!(
        ones.abs_diff(key_words(&SETS[0]) as u32 / 2) < 200,
        "{ones}"
    );
    let shown = format!("TfheSecretKey({}, plan {})", key.key_id(), plan.plan_id);
    assert_eq!(format!("{key:?}"), shown);
    let mut foreign = plan.clone();
    foreign.plan_id.0[0] ^= 1;
    assert!(TfheSecretKey::from_bytes(&key.to_bytes(), &foreign).is_err());
    assert!(TfheClient::with_secret_key(foreign, key).is_err());
    let mut other = plan.clone();
    other.params = SETS[1];
    let key = TfheSecretKey::generate(&plan).unwrap();
    assert!(TfheSecretKey::from_bytes(&key.to_bytes(), &other).is_err());
}

#[test]
fn key_files_are_private_and_strange_ones_refused() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
    let path = folder.path().join("secret.key");
    let key = TfheSecretKey::generate(&plan).unwrap();
    key.save(&path).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let back = TfheSecretKey::load(&path, &plan).unwrap();
    assert_eq!(*back.to_bytes(), *key.to_bytes());
    assert!(matches!(key.save(&path), Err(ClientError::File { .. })));
    let bytes = key.to_bytes();
    let header = Container::read(&bytes, Kind::TfheSecretKey)
        .unwrap()
        .section(0)
        .unwrap()
        .to_vec();
    let forged = |header: &[u8], body: &[u8]| {
        let file = container::write(
            Kind::TfheSecretKey,
            plan.plan_id,
            KeyId::default(),
            &[header, body],
        );
        TfheSecretKey::from_bytes(&file, &plan)
    };
    let count = key_words(&plan.params);
    assert!(forged(&header, &vec![1; count]).is_ok());
    assert!(forged(&header, &vec![1; count - 1]).is_err());
    assert!(forged(&header[1..], &vec![1; count]).is_err());
    for strange in [2, 128, 255] {
        let mut body = vec![0; count];
        body[count / 2] = strange;
        assert!(forged(&header, &body).is_err(), "{strange}");
    }
}
