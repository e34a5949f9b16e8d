//! `TensorProto` in all its encodings.
//!
//! The elements stand in one of: `raw_data` (little-endian, packed), a typed field (`float_data`,
//! `double_data`, `int64_data`, `uint64_data`; `int32_data` also for the narrow integers, for booleans and
//! for the bit patterns of the 16-bit floats), or a file beside the model ([`super::external`]).
//! Lengths are checked against the shape before anything is allocated.

use super::clear::{Clear, Elem, MAX_ELEMENTS, bounded_count, from_bf16, from_f16};
use super::external;
use cipherloom_ir::value::Tensor;
use onnx_protobuf::tensor_proto::DataLocation;
use onnx_protobuf::{SparseTensorProto, TensorProto};
use std::path::Path;

/// Reads a tensor. `dir` is the model's folder, for data in other files.
pub(crate) fn decode(proto: &TensorProto, dir: Option<&Path>) -> Result<Clear, String> {
    let elem =
        Elem::from_onnx(proto.data_type).map_err(|what| format!("the element type is {what}"))?;
    let shape = dims(&proto.dims)?;
    let count = bounded_count(&shape, MAX_ELEMENTS)
        .ok_or_else(|| format!("the shape {shape:?} has more than {MAX_ELEMENTS} elements"))?;
    if proto.segment.is_some() {
        return Err("the tensor is split into segments, which no exporter writes".into());
    }
    let data = if proto.data_location.enum_value() == Ok(DataLocation::EXTERNAL) {
        from_bytes(
            elem,
            &external::read(&proto.external_data, dir, count * width(elem))?,
        )
    } else if !proto.raw_data.is_empty() {
        let bytes = &proto.raw_data;
        if bytes.len() != count * width(elem) {
            return Err(format!(
                "raw_data has {} bytes, but {elem}{shape:?} needs {}",
                bytes.len(),
                count * width(elem)
            ));
        }
        from_bytes(elem, bytes)
    } else {
        typed(proto, elem)
    };
    if data.len() != count {
        return Err(format!(
            "{} elements are stored, but {elem}{shape:?} needs {count}",
            data.len()
        ));
    }
    let tensor = Tensor::new(shape, data).ok_or("the shape does not fit the elements")?;
    Ok(Clear::new(&proto.name, elem, tensor))
}

/// Dimensions as sizes.
pub(crate) fn dims(dims: &[i64]) -> Result<Vec<usize>, String> {
    dims.iter()
        .map(|d| usize::try_from(*d).map_err(|_| format!("the shape {dims:?} has a negative size")))
        .collect()
}

/// Bytes of an element in `raw_data`.
fn width(elem: Elem) -> usize {
    match elem {
        Elem::Bool | Elem::Int("i8" | "u8") => 1,
        Elem::F16 | Elem::Bf16 | Elem::Int("i16" | "u16") => 2,
        Elem::F32 | Elem::Int("i32" | "u32") => 4,
        Elem::F64 | Elem::Int(_) => 8,
    }
}

fn from_bytes(elem: Elem, bytes: &[u8]) -> Vec<f64> {
    fn each<const W: usize>(bytes: &[u8], f: impl Fn([u8; W]) -> f64) -> Vec<f64> {
        bytes
            .chunks_exact(W)
            .filter_map(|c| c.try_into().ok().map(&f))
            .collect()
    }
    match elem {
        Elem::F16 => each(bytes, |b| from_f16(u16::from_le_bytes(b))),
        Elem::Bf16 => each(bytes, |b| from_bf16(u16::from_le_bytes(b))),
        Elem::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        Elem::F64 => each(bytes, f64::from_le_bytes),
        Elem::Bool => each(bytes, |[b]| f64::from(u8::from(b != 0))),
        Elem::Int("i8") => each(bytes, |b| f64::from(i8::from_le_bytes(b))),
        Elem::Int("u8") => each(bytes, |b| f64::from(u8::from_le_bytes(b))),
        Elem::Int("i16") => each(bytes, |b| f64::from(i16::from_le_bytes(b))),
        Elem::Int("u16") => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
        Elem::Int("i32") => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
        Elem::Int("u32") => each(bytes, |b| f64::from(u32::from_le_bytes(b))),
        Elem::Int("u64") => each(bytes, |b| u64::from_le_bytes(b) as f64),
        Elem::Int(_) => each(bytes, |b| i64::from_le_bytes(b) as f64),
    }
}

fn typed(proto: &TensorProto, elem: Elem) -> Vec<f64> {
    match elem {
        Elem::F32 => proto.float_data.iter().map(|x| f64::from(*x)).collect(),
        Elem::F64 => proto.double_data.clone(),
        Elem::Int("i64") => proto.int64_data.iter().map(|x| *x as f64).collect(),
        Elem::Int("u64" | "u32") => proto.uint64_data.iter().map(|x| *x as f64).collect(),
        Elem::F16 => proto
            .int32_data
            .iter()
            .map(|x| from_f16(*x as u16))
            .collect(),
        Elem::Bf16 => proto
            .int32_data
            .iter()
            .map(|x| from_bf16(*x as u16))
            .collect(),
        Elem::Bool => proto
            .int32_data
            .iter()
            .map(|x| f64::from(u8::from(*x != 0)))
            .collect(),
        Elem::Int(_) => proto.int32_data.iter().map(|x| f64::from(*x)).collect(),
    }
}

/// Reads a sparse tensor as a dense one. `indices` is `[count]` (positions in row-major order) or `[count, rank]`.
pub(crate) fn decode_sparse(
    proto: &SparseTensorProto,
    dir: Option<&Path>,
) -> Result<Clear, String> {
    let shape = dims(&proto.dims)?;
    let count = super::clear::computed_count(&shape)
        .map_err(|_| format!("the sparse tensor's shape {shape:?} is too large"))?;
    let values = decode(
        proto
            .values
            .as_ref()
            .ok_or("a sparse tensor has no values")?,
        dir,
    )?;
    let indices = decode(
        proto
            .indices
            .as_ref()
            .ok_or("a sparse tensor has no indices")?,
        dir,
    )?;
    let positions = indices.ints()?;
    let coordinates = match indices.shape() {
        [n] if *n == values.data().len() => 1,
        [n, rank] if *n == values.data().len() && *rank == shape.len() && *rank > 0 => *rank,
        other => {
            return Err(format!(
                "the indices of a sparse tensor have shape {other:?}"
            ));
        }
    };
    let mut data = vec![0.0; count];
    for (position, value) in positions.chunks_exact(coordinates).zip(values.data()) {
        let offset = if coordinates == 1 && indices.shape().len() == 1 {
            usize::try_from(position[0]).ok()
        } else {
            position
                .iter()
                .zip(&shape)
                .try_fold(0_usize, |offset, (i, size)| {
                    let i = usize::try_from(*i).ok().filter(|i| i < size)?;
                    Some(offset * size + i)
                })
        };
        let slot = offset
            .and_then(|o| data.get_mut(o))
            .ok_or("a sparse tensor's index lies outside its shape")?;
        *slot = *value;
    }
    let tensor = Tensor::new(shape, data).ok_or("the shape does not fit the elements")?;
    Ok(Clear::new(&values.name, values.elem, tensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proto(data_type: i32, dims: &[i64]) -> TensorProto {
        TensorProto {
            data_type,
            dims: dims.to_vec(),
            name: "t".into(),
            ..Default::default()
        }
    }

    #[test]
    fn every_encoding_gives_the_same_numbers() {
        let expected = [1.0, -2.0, 0.5];
        let mut raw = proto(1, &[3]);
        raw.raw_data = expected
            .iter()
            .flat_map(|x| (*x as f32).to_le_bytes())
            .collect();
        let mut float = proto(1, &[3]);
        float.float_data = vec![1.0, -2.0, 0.5];
        let mut double = proto(11, &[3]);
        double.double_data = expected.to_vec();
        let mut half = proto(10, &[3]);
        half.int32_data = vec![0x3c00, 0xc000, 0x3800];
        let mut half_raw = proto(10, &[3]);
        half_raw.raw_data = vec![0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38];
        let mut brain = proto(16, &[3]);
        brain.int32_data = vec![0x3f80, 0xc000, 0x3f00];
        for t in [raw, float, double, half, half_raw, brain] {
            assert_eq!(
                decode(&t, None).unwrap().data(),
                expected,
                "type {}",
                t.data_type
            );
        }
        let mut ints = proto(7, &[2]);
        ints.int64_data = vec![-1, 784];
        assert_eq!(decode(&ints, None).unwrap().ints().unwrap(), [-1, 784]);
        let mut bytes = proto(3, &[2]);
        bytes.raw_data = vec![0xff, 0x7f];
        assert_eq!(decode(&bytes, None).unwrap().data(), [-1.0, 127.0]);
    }

    #[test]
    fn wrong_sizes_are_refused_without_allocating() {
        let mut short = proto(1, &[4, 3]);
        short.raw_data = vec![0; 44];
        assert!(decode(&short, None).unwrap_err().contains("44 bytes"));
        assert!(
            decode(&proto(1, &[1 << 40, 3]), None)
                .unwrap_err()
                .contains("elements")
        );
        assert!(decode(&proto(1, &[0, i64::MAX, i64::MAX]), None).is_err());
        assert!(
            decode(&proto(1, &[-4]), None)
                .unwrap_err()
                .contains("negative")
        );
        assert!(decode(&proto(8, &[]), None).unwrap_err().contains("string"));
        assert!(decode(&proto(99, &[]), None).unwrap_err().contains("99"));
    }

    #[test]
    fn sparse_tensors_become_dense() {
        let mut values = proto(1, &[2]);
        values.float_data = vec![5.0, 7.0];
        let mut indices = proto(7, &[2, 2]);
        indices.int64_data = vec![0, 1, 1, 0];
        let mut sparse = SparseTensorProto {
            dims: vec![2, 2],
            ..Default::default()
        };
        sparse.values = Some(values).into();
        sparse.indices = Some(indices.clone()).into();
        assert_eq!(
            decode_sparse(&sparse, None).unwrap().data(),
            [0.0, 5.0, 7.0, 0.0]
        );
        indices.int64_data = vec![0, 2, 1, 0];
        sparse.indices = Some(indices).into();
        assert!(decode_sparse(&sparse, None).is_err());
    }
}
