//! Sets of ciphertexts as files, honest and forged.

use super::*;
use crate::poly::{Domain, Poly};
use crate::xof::uniform_limb;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::security::Security;
use proptest::prelude::*;

fn params() -> Parameters {
    let q = ntt_primes_near(5, 29.0, 3, &[]);
    let p = ntt_primes_near(5, 34.0, 1, &q);
    let literal = CkksLiteral {
        log_n: 5,
        q,
        p,
        digit_size: 1,
        security: Security::Classical128,
    };
    Parameters::insecure_for_tests(&literal).unwrap()
}

fn random_poly(params: &Parameters, level: usize, index: u64) -> Poly {
    let mut poly = Poly::zero(params, level, false, Domain::Ntt);
    for i in 0..poly.limbs() {
        let prime = params.prime(level, i).unwrap();
        uniform_limb(
            &Seed([1; 32]),
            "set test",
            index,
            i,
            prime,
            poly.limb_mut(i),
        );
    }
    poly
}

fn set(params: &Parameters) -> CiphertextSet {
    let scale = Scale::pow2(28).div_prime(params.q()[1]);
    let seeded = |i: u8| {
        let c0 = random_poly(params, 2, u64::from(i));
        AnyCiphertext::Seeded(SeededCiphertext::new(c0, Seed([i; 32]), scale.clone()).unwrap())
    };
    let full = |i: u64| {
        let (c0, c1) = (random_poly(params, 1, i), random_poly(params, 1, i + 100));
        AnyCiphertext::Full(Ciphertext::new(c0, c1, Scale::pow2(20)).unwrap())
    };
    let clear = |i: u64| {
        AnyCiphertext::Clear(Plaintext::new(random_poly(params, 1, i), Scale::pow2(20)).unwrap())
    };
    CiphertextSet {
        plan_id: PlanId([3; 32]),
        key_id: KeyId([4; 16]),
        samples: 3,
        ports: vec![
            PortCiphertexts {
                name: "x".into(),
                runs: vec![vec![seeded(1), seeded(2)], vec![seeded(3), seeded(4)]],
            },
            PortCiphertexts {
                name: "y".into(),
                runs: vec![vec![full(5)], vec![full(6)]],
            },
            PortCiphertexts {
                name: "w".into(),
                runs: vec![vec![clear(7)], vec![clear(8)]],
            },
        ],
    }
}

#[test]
fn a_set_comes_back() {
    let params = params();
    let set = set(&params);
    let bytes = set.to_bytes(&params).unwrap();
    let back = CiphertextSet::from_bytes(&params, set.plan_id, &bytes).unwrap();
    assert_eq!(back, set);
    // Three limbs of 29 or 30 bits and a seed each; a full one has two elements of two limbs, one in clear one.
    let residues = 4 * (packed_len(&params, 2, false).unwrap() + 32)
        + 6 * packed_len(&params, 1, false).unwrap();
    assert!(bytes.len() < residues + 500);
}

#[test]
fn what_does_not_fit_is_refused() {
    let params = params();
    let good = set(&params);
    let bytes = good.to_bytes(&params).unwrap();
    let other = CiphertextSet::from_bytes(&params, PlanId([9; 32]), &bytes);
    assert!(matches!(other, Err(CkksError::Container(_))));
    for i in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[i] ^= 1;
        assert!(CiphertextSet::from_bytes(&params, good.plan_id, &damaged).is_err());
    }
    let mut uneven = good.clone();
    uneven.ports[0].runs[1].pop();
    assert!(matches!(
        uneven.to_bytes(&params),
        Err(CkksError::Malformed { .. })
    ));
    let mut fewer = good.clone();
    fewer.ports[1].runs.pop();
    assert!(fewer.to_bytes(&params).is_err());
    let mut empty = good;
    empty.ports[0].runs = vec![];
    assert!(empty.to_bytes(&params).is_err());
}

#[test]
fn a_set_may_hold_more_runs_than_16_bits_count() {
    let params = params();
    let mut many = set(&params);
    many.ports.truncate(1);
    let run = many.ports[0].runs[0][..1].to_vec();
    many.ports[0].runs = vec![run; 66_000];
    many.samples = 66_000;
    let bytes = many.to_bytes(&params).unwrap();
    let back = CiphertextSet::from_bytes(&params, many.plan_id, &bytes).unwrap();
    assert!(back == many);
}

#[test]
fn long_headers_are_neither_written_nor_decoded() {
    let params = params();
    let mut long = set(&params);
    long.ports[0].name = "x".repeat(MAX_HEADER);
    assert!(long.to_bytes(&params).is_err());
    // Empty messages of two bytes each, which would take sixty times as much memory.
    let header = [0x1A, 0].repeat(MAX_HEADER / 2 + 1);
    let file = container::write(
        Kind::Ciphertext,
        long.plan_id,
        long.key_id,
        &[&header, b"run"],
    );
    let refused = CiphertextSet::from_bytes(&params, long.plan_id, &file).unwrap_err();
    assert!(refused.to_string().contains("too long"), "{refused}");
}

/// Files whose checksum fits, made by hand.
#[test]
fn lying_headers_are_refused() {
    let params = params();
    let read = |header: &SetHeader, sections: &[&[u8]]| {
        let encoded = header.encode_to_vec();
        let all: Vec<&[u8]> = [&encoded[..]]
            .into_iter()
            .chain(sections.iter().copied())
            .collect();
        let file = container::write(Kind::Ciphertext, PlanId::default(), KeyId::default(), &all);
        CiphertextSet::from_bytes(&params, PlanId::default(), &file)
    };
    let (numerator, denominator) = Scale::pow2(20).to_parts();
    let port = PortHeader {
        name: "x".into(),
        ciphertexts: 1,
        level: 0,
        scale_numerator: numerator,
        scale_denominator: denominator,
        seeded: true,
        clear: false,
    };
    let header = SetHeader {
        samples: 1,
        runs: 1,
        ports: vec![port.clone()],
    };
    let len = packed_len(&params, 0, false).unwrap() + SEED_BYTES;
    let zeros = vec![0; len];
    assert!(read(&header, &[&zeros]).is_ok());
    let ones = vec![0xff; len];
    assert!(read(&header, &[&ones]).is_err(), "residues above the prime");
    assert!(read(&header, &[&zeros[1..]]).is_err());
    assert!(read(&header, &[]).is_err());
    let with = |change: &dyn Fn(&mut PortHeader)| {
        let mut port = port.clone();
        change(&mut port);
        read(
            &SetHeader {
                ports: vec![port],
                ..header.clone()
            },
            &[&zeros],
        )
    };
    assert!(with(&|p| p.level = 3).is_err());
    assert!(with(&|p| p.level = u32::MAX).is_err());
    assert!(with(&|p| p.ciphertexts = 0).is_err());
    assert!(with(&|p| p.ciphertexts = u64::MAX).is_err());
    assert!(with(&|p| p.ciphertexts = 1 << 15).is_err());
    assert!(with(&|p| p.scale_denominator = vec![]).is_err());
    assert!(with(&|p| p.scale_numerator = vec![1; 1 << 20]).is_err());
    assert!(with(&|p| p.seeded = false).is_err());
    assert!(
        read(
            &SetHeader {
                runs: u64::MAX,
                ..header.clone()
            },
            &[&zeros]
        )
        .is_err()
    );
    assert!(
        read(
            &SetHeader {
                samples: 0,
                ..header.clone()
            },
            &[&zeros]
        )
        .is_err()
    );
    let garbage = container::write(
        Kind::Ciphertext,
        PlanId::default(),
        KeyId::default(),
        &[&[0xff; 9]],
    );
    assert!(CiphertextSet::from_bytes(&params, PlanId::default(), &garbage).is_err());
}
proptest! {
    /// Whatever a file says, reading it ends in a result; the checksum is made to fit, as an attacker would.
    #[test]
    fn forged_files_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let params = params();
        let set = set(&params);
        let mut bytes = set.to_bytes(&params).unwrap();
        let body = bytes.len() - 32;
        for (place, value) in changes {
            // Mostly the headers, where there is something to lie about.
            let place = place.index(3 * body);
            bytes[if place < body { place } else { place % 400.min(body) }] = value;
        }
        let hash = blake3::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(hash.as_bytes());
        if let Ok(read) = CiphertextSet::from_bytes(&params, set.plan_id, &bytes) {
            let written = read.to_bytes(&params).unwrap();
            prop_assert_eq!(CiphertextSet::from_bytes(&params, set.plan_id, &written).unwrap(), read);
        }
    }
}
