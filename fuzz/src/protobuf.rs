//! Mutation of protobuf messages that keeps them messages: fields are changed, dropped, doubled and moved at every depth, and
//! all lengths are written anew.
//!
//! The schema is not needed. What reads as a message is taken for one most of the time; strings that happen to do so merely get
//! odder mutations.

use crate::{Rng, mutate_bytes};

enum Payload {
    Varint(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
}

struct Field {
    number: u64,
    payload: Payload,
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 127) << shift;
        if first & 128 == 0 {
            return Some(value);
        }
    }
    None
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = read_varint(&mut bytes)?;
        let mut take = |count: usize| {
            let (head, rest) = bytes.split_at_checked(count)?;
            bytes = rest;
            Some(head.to_vec())
        };
        let payload = match key & 7 {
            0 => Payload::Varint(read_varint(&mut bytes)?),
            1 => Payload::Fixed(take(8)?),
            5 => Payload::Fixed(take(4)?),
            2 => {
                let length = usize::try_from(read_varint(&mut bytes)?).ok()?;
                let (head, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Payload::Bytes(head.to_vec())
            }
            _ => return None,
        };
        let number = key >> 3;
        if number == 0 || number > 1000 {
            return None;
        }
        fields.push(Field { number, payload });
    }
    Some(fields)
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        let key = |kind: u64| field.number << 3 | kind;
        match &field.payload {
            Payload::Varint(value) => {
                write_varint(key(0), &mut out);
                write_varint(*value, &mut out);
            }
            Payload::Fixed(bytes) => {
                write_varint(key(if bytes.len() == 8 { 1 } else { 5 }), &mut out);
                out.extend_from_slice(bytes);
            }
            Payload::Bytes(bytes) => {
                write_varint(key(2), &mut out);
                write_varint(bytes.len() as u64, &mut out);
                out.extend_from_slice(bytes);
            }
        }
    }
    out
}

fn clone(field: &Field) -> Field {
    let payload = match &field.payload {
        Payload::Varint(value) => Payload::Varint(*value),
        Payload::Fixed(bytes) => Payload::Fixed(bytes.clone()),
        Payload::Bytes(bytes) => Payload::Bytes(bytes.clone()),
    };
    Field {
        number: field.number,
        payload,
    }
}

fn mutate_number(value: &mut u64, rng: &mut Rng) {
    *value = match rng.below(8) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => value.wrapping_mul(2),
        3 => 0,
        4 => u64::MAX >> rng.below(64),
        5 => *value ^ (1 << rng.below(64)),
        6 => rng.below(20) as u64,
        _ => 1 << rng.below(64),
    };
}

/// Changes a message, or what is none as plain bytes.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let fields = read(bytes).filter(|fields| !fields.is_empty());
    let Some(mut fields) = fields else {
        return mutate_bytes(bytes, rng);
    };
    let at = rng.below(fields.len());
    match rng.below(16) {
        0 => drop(fields.remove(at)),
        1 => {
            let copy = clone(&fields[at]);
            fields.insert(rng.below(fields.len() + 1), copy);
        }
        2 => {
            let other = rng.below(fields.len());
            fields.swap(at, other);
        }
        3 => fields[at].number = 1 + rng.below(20) as u64,
        _ => match &mut fields[at].payload {
            Payload::Varint(value) => mutate_number(value, rng),
            Payload::Fixed(bytes) => {
                let length = bytes.len();
                mutate_bytes(bytes, rng);
                bytes.resize(length, 0);
            }
            Payload::Bytes(bytes) if rng.once_in(8) => mutate_bytes(bytes, rng),
            Payload::Bytes(bytes) => mutate(bytes, rng),
        },
    }
    *bytes = write(&fields);
}
