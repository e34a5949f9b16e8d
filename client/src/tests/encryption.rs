//! Encryption and decryption.

use super::*;
use crate::{ClientError, PublicClient, PublicKey, SecretKey};
use cipherloom_ckks::set::CiphertextSet;
use cipherloom_ckks::xof::Seed;
use cipherloom_ckks::{CkksError, Parameters};
use cipherloom_ir::container::{self, ContainerError, KeyId, Kind};
use cipherloom_ir::noise::NoiseModel;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn big_client() -> Client {
    let params = literal(12, 40.0, 3, 1);
    let slots = params.slots();
    Client::insecure_for_tests(plan_of(params, &[1, slots])).unwrap()
}

#[test]
fn fresh_encryptions_have_the_predicted_noise() {
    let client = big_client();
    let model = NoiseModel::new(client.params().literal());
    let slots = client.params().slots();
    let message = values(slots, 1);
    let inputs = tensors("x", &[1, slots], message.clone());

    let set = client.encrypt(&inputs).unwrap();
    let back = client.decrypt_inputs(&set).unwrap();
    assert_eq!(back["x"].shape(), [1, slots]);
    expect_noise(
        "secret key",
        back["x"].data(),
        &message,
        model.fresh_secret(28.0),
    );

    let key = client.public_key().unwrap();
    let public =
        PublicClient::with_parameters(client.plan().clone(), client.params().clone(), key).unwrap();
    let set = public.encrypt(&inputs).unwrap();
    let back = client.decrypt_inputs(&set).unwrap();
    expect_noise(
        "public key",
        back["x"].data(),
        &message,
        model.fresh_public(28.0),
    );
}

#[test]
fn a_vector_that_repeats_is_decrypted_as_the_mean_over_its_copies() {
    let params = literal(12, 40.0, 3, 1);
    let (count, runs) = (params.slots() / 64, 20);
    let client = Client::insecure_for_tests(plan_of(params, &[1, count])).unwrap();
    let model = NoiseModel::new(client.params().literal());
    assert_eq!(model.share(count), 1.0 / 64.0);
    let message = values(count * runs, 1);
    let inputs = tensors("x", &[runs, count], message.clone());
    let back = client
        .decrypt_inputs(&client.encrypt(&inputs).unwrap())
        .unwrap();
    expect_noise(
        "mean of 64 slots",
        back["x"].data(),
        &message,
        model.share(count) * model.fresh_secret(28.0),
    );
}

#[test]
fn every_encryption_is_fresh() {
    let client = Client::insecure_for_tests(toy_plan()).unwrap();
    let inputs = tensors("x", &[4, 40], vec![0.5; 160]);
    let mut seeds = BTreeSet::<Seed>::new();
    let mut words = BTreeSet::new();
    for _ in 0..3 {
        let set = client.encrypt(&inputs).unwrap();
        for ciphertext in set.ports[0].runs.iter().flatten() {
            let AnyCiphertext::Seeded(seeded) = ciphertext else {
                panic!("not seeded")
            };
            seeds.insert(*seeded.seed());
            words.insert(seeded.c0().limb(0).to_vec());
        }
    }
    // Forty values do not fit 32 slots, so that each of 3 x 4 samples takes two ciphertexts.
    assert_eq!((seeds.len(), words.len()), (24, 24));
}

#[test]
fn keys_files_and_ciphertexts_serve_another_process() {
    let plan = toy_plan();
    let client = Client::insecure_for_tests(plan.clone()).unwrap();
    let message = values(120, 8);
    let inputs = tensors("x", &[3, 40], message.clone());
    let key = SecretKey::from_bytes(&client.secret_key().to_bytes(), &plan).unwrap();
    let params = Parameters::insecure_for_tests(&plan.params).unwrap();
    let second = Client::with_parameters(plan.clone(), params.clone(), key).unwrap();
    let bytes = client.encrypt(&inputs).unwrap().to_bytes(&params).unwrap();
    let set = CiphertextSet::from_bytes(&params, plan.plan_id, &bytes).unwrap();
    let back = second.decrypt_inputs(&set).unwrap();
    assert!(
        back["x"]
            .data()
            .iter()
            .zip(&message)
            .all(|(a, b)| (a - b).abs() < 1e-5)
    );

    let public = client.public_key().unwrap();
    let bytes = public.to_bytes(&params).unwrap();
    assert_eq!(
        PublicKey::from_bytes(&bytes, &params, plan.plan_id).unwrap(),
        public
    );
    for i in (0..bytes.len()).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[i] ^= 2;
        assert!(PublicKey::from_bytes(&damaged, &params, plan.plan_id).is_err());
    }
    assert!(PublicKey::from_bytes(&bytes, &params, PlanId([1; 32])).is_err());
    let mut foreign = plan;
    foreign.plan_id.0[3] ^= 1;
    assert!(PublicClient::with_parameters(foreign, params, public).is_err());
}

#[test]
fn foreign_ciphertexts_and_keys_are_refused() {
    let plan = toy_plan();
    let (client, other) = (
        Client::insecure_for_tests(plan.clone()).unwrap(),
        Client::insecure_for_tests(plan.clone()).unwrap(),
    );
    let set = client
        .encrypt(&tensors("x", &[1, 40], vec![0.0; 40]))
        .unwrap();
    let refusal = |set: &CiphertextSet| client.decrypt_inputs(set).unwrap_err();
    assert!(matches!(
        other.decrypt_inputs(&set),
        Err(ClientError::Container(ContainerError::OtherKey { .. }))
    ));
    let mut changed = set.clone();
    changed.plan_id.0[0] ^= 1;
    assert!(matches!(
        refusal(&changed),
        ClientError::Container(ContainerError::OtherPlan { .. })
    ));
    // Inputs are no outputs: the names and levels differ.
    assert!(matches!(client.decrypt(&set), Err(ClientError::Outputs(_))));
    let mut changed = set.clone();
    changed.samples = 2;
    assert!(matches!(refusal(&changed), ClientError::Outputs(_)));
    let mut changed = set.clone();
    changed.ports[0].runs[0].pop();
    assert!(matches!(refusal(&changed), ClientError::Outputs(_)));
    let mut changed = set.clone();
    changed.ports.push(changed.ports[0].clone());
    assert!(matches!(refusal(&changed), ClientError::Outputs(_)));

    let mut second = plan.clone();
    second.plan_id.0[0] ^= 1;
    let key = SecretKey::generate(&second).unwrap();
    let params = Parameters::insecure_for_tests(&plan.params).unwrap();
    assert!(Client::with_parameters(plan, params, key).is_err());
}

#[test]
fn keys_of_other_parameters_are_refused() {
    // The same plan id with other primes, fewer levels, or another ring.
    let plan = toy_plan();
    let client = Client::insecure_for_tests(plan.clone()).unwrap();
    for other in [
        literal(6, 34.0, 3, 1),
        literal(6, 35.0, 2, 1),
        literal(7, 35.0, 3, 1),
    ] {
        let other = plan_of(other, &[1, 40]);
        let params = Parameters::insecure_for_tests(&other.params).unwrap();
        let secret = SecretKey::from_bytes(&client.secret_key().to_bytes(), &plan).unwrap();
        let refused = Client::with_parameters(other.clone(), params.clone(), secret).err();
        assert!(matches!(refused, Some(ClientError::Malformed { .. })));
        let public = client.public_key().unwrap();
        assert!(public.to_bytes(&params).is_err());
        let refused = PublicClient::with_parameters(other, params, public).err();
        assert!(matches!(refused, Some(ClientError::Malformed { .. })));
    }
    let mut huge = plan;
    huge.params.log_n = 62;
    assert!(matches!(
        SecretKey::generate(&huge),
        Err(ClientError::Parameters(_))
    ));
}

#[test]
fn plans_that_contradict_themselves_are_refused() {
    // A ring below the security table.
    assert!(matches!(
        Client::new(toy_plan()),
        Err(ClientError::Parameters(_))
    ));
    let refused = |change: &dyn Fn(&mut ClientPlan)| {
        let mut plan = toy_plan();
        change(&mut plan);
        matches!(Client::insecure_for_tests(plan), Err(ClientError::Plan(_)))
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|p| p.inputs[0].level = 3));
    assert!(refused(&|p| p.inputs[0].layout.period = 24));
    assert!(refused(&|p| p.inputs[0].layout.period = 64));
    assert!(refused(&|p| p.inputs[0].layout.positions[0] = 64));
    assert!(refused(&|p| p.inputs[0].layout.positions[0] = 1));
    assert!(refused(&|p| p.inputs[0].layout.ciphertexts = usize::MAX));
    assert!(refused(&|p| p.inputs[0].layout.ciphertexts = 1000));
    assert!(refused(&|p| p.outputs[0].shape = vec![usize::MAX, 2]));
    assert!(refused(&|p| p.outputs[0].shape = vec![]));
    assert!(refused(&|p| p.outputs[0].range.lo = f64::NAN));
    assert!(refused(&|p| p.outputs.push(p.outputs[0].clone())));
    assert!(refused(&|p| p.keys.relinearization = Some(3)));
    let rotation = |steps, level| cipherloom_ir::plan::RotationKeySpec { steps, level };
    assert!(refused(&|p| p.keys.rotations = vec![rotation(0, 1)]));
    assert!(refused(&|p| p.keys.rotations = vec![rotation(32, 1)]));
    assert!(refused(&|p| p.keys.rotations = vec![rotation(1, 9)]));
    assert!(refused(
        &|p| p.keys.rotations = vec![rotation(1, 1), rotation(1, 2)]
    ));
}

#[test]
fn a_message_beyond_the_modulus_is_refused() {
    let mut plan = toy_plan();
    plan.inputs[0].level = 0;
    plan.inputs[0].range.hi = 1000.0;
    let client = Client::insecure_for_tests(plan).unwrap();
    let refused = client.encrypt(&tensors("x", &[1, 40], vec![900.0; 40]));
    assert!(matches!(
        refused,
        Err(ClientError::Ckks(CkksError::TooLarge { .. }))
    ));
}

proptest! {
    #[test]
    fn samples_come_back(samples in 1_usize..4, seed: u64, batched: bool) {
        let mut plan = toy_plan();
        plan.inputs[0].batched = batched;
        let client = Client::insecure_for_tests(plan).unwrap();
        let shape: &[usize] = if batched { &[samples, 40] } else { &[samples, 1, 40] };
        let message = values(40 * samples, seed);
        let set = client.encrypt(&tensors("x", shape, message.clone())).unwrap();
        prop_assert_eq!(set.samples, samples);
        let back = client.decrypt_inputs(&set).unwrap();
        // 10 standard deviations of fresh noise.
        let bound = 10.0 * (64.0_f64 * 10.3).sqrt() / 2.0_f64.powi(28);
        prop_assert!(back["x"].data().iter().zip(&message).all(|(a, b)| (a - b).abs() < bound));
    }

    /// Forged key files whose checksum fits are refused or read, and never cause a panic.
    #[test]
    fn forged_keys_never_panic(first: Vec<u8>, mut second in prop::collection::vec(any::<u8>(), 0..300), exact: bool) {
        let plan = toy_plan();
        let params = Parameters::insecure_for_tests(&plan.params).unwrap();
        if exact {
            second.resize(64, 1);
        }
        let write = |kind| container::write(kind, plan.plan_id, KeyId::default(), &[&first, &second]);
        let _ = SecretKey::from_bytes(&write(Kind::SecretKey), &plan);
        let _ = PublicKey::from_bytes(&write(Kind::PublicKey), &params, plan.plan_id);
        // With the right header too.
        let client = Client::insecure_for_tests(plan.clone()).unwrap();
        let bytes = client.secret_key().to_bytes();
        let header = container::Container::read(&bytes, Kind::SecretKey).unwrap().section(0).unwrap().to_vec();
        let forged = container::write(Kind::SecretKey, plan.plan_id, KeyId::default(), &[&header, &second]);
        let ternary = second.len() == 64 && second.iter().all(|b| [0, 1, 255].contains(b));
        prop_assert_eq!(SecretKey::from_bytes(&forged, &plan).is_ok(), ternary);
    }
}
