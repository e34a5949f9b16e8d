//! Mutation of container files that keeps length, section table and checksum right, so that fuzzing gets to what lies behind.

use crate::{Rng, mutate_bytes, protobuf};
use cipherloom_ir::container::{self, Container, Kind};

/// The trailing hash.
const TRAILER: usize = 32;

/// Changes the container in `data[..size]` and returns its new size; starts from `seed_file` if there is none.
pub fn mutate(
    kind: Kind,
    seed_file: &[u8],
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
) -> usize {
    let mut rng = Rng::new(seed);
    let new = match Container::read(&data[..size], kind) {
        Ok(_) if rng.once_in(32) => corrupt(&data[..size], &mut rng),
        Ok(file) => change(kind, &file, &mut rng),
        Err(_) => seed_file.to_vec(),
    };
    match data.get_mut(..new.len()) {
        Some(place) if new.len() <= max_size => {
            place.copy_from_slice(&new);
            new.len()
        }
        _ => size.min(max_size),
    }
}

/// Any byte may change; length and hash are made to fit.
fn corrupt(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = file[..file.len() - TRAILER].to_vec();
    mutate_bytes(&mut bytes, rng);
    seal(&mut bytes);
    bytes
}

/// Writes length and hash.
fn seal(bytes: &mut Vec<u8>) {
    let total = (bytes.len() + TRAILER) as u64;
    if let Some(length) = bytes.get_mut(64..72) {
        length.copy_from_slice(&total.to_le_bytes());
    }
    let hash = blake3::hash(bytes);
    bytes.extend_from_slice(hash.as_bytes());
}

/// One section changes, or their number.
fn change(kind: Kind, file: &Container<'_>, rng: &mut Rng) -> Vec<u8> {
    let mut sections: Vec<Vec<u8>> = (0..file.section_count())
        .filter_map(|i| file.section(i).ok().map(<[u8]>::to_vec))
        .collect();
    let count = sections.len();
    let mut key_id = file.key_id;
    match rng.below(32) {
        0 if count > 0 => drop(sections.remove(rng.below(count))),
        1 if count > 0 => {
            let copy = sections[rng.below(count)].clone();
            sections.insert(rng.below(count + 1), copy);
        }
        2 => key_id.0[rng.below(16)] ^= 1,
        3..12 if count > 1 => mutate_bytes(&mut sections[1 + rng.below(count - 1)], rng),
        _ if count > 0 => protobuf::mutate(&mut sections[0], rng),
        _ => sections.push(Vec::new()),
    }
    let sections: Vec<&[u8]> = sections.iter().map(Vec::as_slice).collect();
    container::write(kind, file.plan_id, key_id, &sections)
}
