//! Clear tensors during the import: weights, and values that are computed from weights and shapes alone.
//!
//! All element types are held as `f64`, which is exact for every type here but integers beyond 2^53;
//! those occur in practice only as "until the end" of a Slice, where any large number does.

use crate::broadcast::{broadcast, for_each_index, zip};
use cipherloom_ir::value::{Tensor, element_count, strides};
use std::fmt;
use std::sync::Arc;

/// Elements of one tensor, at most: 2 GiB as `f64`. Weights of larger layers do not fit a plan anyway.
pub(crate) const MAX_ELEMENTS: usize = 1 << 28;

/// Elements of a tensor that is computed rather than stored, at most, so that a small file cannot ask for much.
pub(crate) const MAX_COMPUTED: usize = 1 << 24;

/// Elements of all computed tensors together, at most.
pub(crate) const MAX_COMPUTED_TOTAL: usize = 1 << 26;

/// Axes of a tensor, at most; encrypted values may have fewer.
pub(crate) const MAX_RANK: usize = 64;

/// The element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elem {
    F16,
    Bf16,
    F32,
    F64,
    Int(&'static str),
    Bool,
}

impl Elem {
    /// The type of an ONNX `TensorProto.DataType` number, or the name of one that is not handled.
    pub(crate) fn from_onnx(number: i32) -> Result<Self, String> {
        Ok(match number {
            1 => Elem::F32,
            2 => Elem::Int("u8"),
            3 => Elem::Int("i8"),
            4 => Elem::Int("u16"),
            5 => Elem::Int("i16"),
            6 => Elem::Int("i32"),
            7 => Elem::Int("i64"),
            9 => Elem::Bool,
            10 => Elem::F16,
            11 => Elem::F64,
            12 => Elem::Int("u32"),
            13 => Elem::Int("u64"),
            16 => Elem::Bf16,
            0 => return Err("undefined".into()),
            8 => return Err("string".into()),
            14 | 15 => return Err("complex".into()),
            17..=20 => return Err("an 8-bit floating-point type".into()),
            21..=23 => return Err("a 4-bit type".into()),
            other => return Err(format!("number {other}, which ONNX does not define")),
        })
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Elem::F16 | Elem::Bf16 | Elem::F32 | Elem::F64)
    }

    /// A value as this type holds it.
    pub(crate) fn round(self, x: f64) -> f64 {
        match self {
            Elem::F64 => x,
            Elem::F32 => f64::from(x as f32),
            Elem::F16 => round_to_bits(x, 11, -24, 65504.0),
            Elem::Bf16 => round_to_bits(x, 8, -133, f64::from(f32::from_bits(0x7f7f_0000))),
            Elem::Int(_) => x.trunc(),
            Elem::Bool => f64::from(u8::from(x != 0.0)),
        }
    }
}

impl fmt::Display for Elem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Elem::F16 => "f16",
            Elem::Bf16 => "bf16",
            Elem::F32 => "f32",
            Elem::F64 => "f64",
            Elem::Int(name) => name,
            Elem::Bool => "bool",
        })
    }
}

/// Rounds to a floating-point type with `bits` of significand whose smallest step is `2^least`.
fn round_to_bits(x: f64, bits: i32, least: i32, largest: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let (_, exponent) = libm::frexp(x);
    let step = (exponent - bits).max(least);
    let rounded = libm::ldexp(libm::rint(libm::ldexp(x, -step)), step);
    if rounded.abs() > largest {
        f64::INFINITY.copysign(x)
    } else {
        rounded
    }
}

/// The value of half-precision bits (IEEE 754 binary16).
pub(crate) fn from_f16(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => libm::ldexp(fraction, -24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        e => libm::ldexp(fraction + 1024.0, e - 25),
    }
}

/// The value of bfloat16 bits: the upper half of a 32-bit float.
pub(crate) fn from_bf16(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// A clear tensor with its element type and the name under which it will be printed.
#[derive(Clone, Debug)]
pub(crate) struct Clear {
    pub(crate) name: String,
    pub(crate) elem: Elem,
    pub(crate) tensor: Arc<Tensor>,
}

impl Clear {
    pub(crate) fn new(name: &str, elem: Elem, tensor: Tensor) -> Self {
        Self {
            name: name.to_owned(),
            elem,
            tensor: Arc::new(tensor),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.tensor.shape()
    }

    pub(crate) fn data(&self) -> &[f64] {
        self.tensor.data()
    }

    /// The elements as integers; out-of-range values saturate.
    pub(crate) fn ints(&self) -> Result<Vec<i64>, String> {
        if self.elem.is_float() {
            return Err(format!(
                "{:?} must hold integers, not {}",
                self.name, self.elem
            ));
        }
        Ok(self.data().iter().map(|x| *x as i64).collect())
    }

    /// The only element.
    pub(crate) fn scalar(&self) -> Result<f64, String> {
        match self.data() {
            [x] => Ok(*x),
            _ => Err(format!(
                "{:?} must have one element, not shape {:?}",
                self.name,
                self.shape()
            )),
        }
    }

    /// The same elements in another shape.
    pub(crate) fn reshaped(&self, shape: &[usize]) -> Result<Self, String> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        Tensor::new(shape.to_vec(), self.data().to_vec())
            .map(|t| Self::new(&self.name, self.elem, t))
            .ok_or_else(|| {
                format!(
                    "{} elements do not fill the shape {shape:?}",
                    self.data().len()
                )
            })
    }

    /// The axes in another order: axis `i` of the result is axis `perm[i]`.
    pub(crate) fn transposed(&self, perm: &[usize]) -> Result<Self, String> {
        let shape: Option<Vec<usize>> =
            perm.iter().map(|p| self.shape().get(*p).copied()).collect();
        let shape = shape.ok_or("the permutation names an axis that is not there")?;
        let steps: Vec<usize> = {
            let own = strides(self.shape());
            perm.iter().map(|p| own[*p]).collect()
        };
        self.gathered(&shape, |index| {
            index.iter().zip(&steps).map(|(i, s)| i * s).sum()
        })
    }

    /// A tensor whose element at each index is this one's element at the given offset.
    pub(crate) fn gathered(
        &self,
        shape: &[usize],
        offset: impl Fn(&[usize]) -> usize,
    ) -> Result<Self, String> {
        let count = computed_count(shape)?;
        let mut data = Vec::with_capacity(count);
        for_each_index(shape, |index| {
            data.push(self.data().get(offset(index)).copied().unwrap_or(f64::NAN));
        });
        Tensor::new(shape.to_vec(), data)
            .map(|t| Self::new(&self.name, self.elem, t))
            .ok_or_else(|| "the shape does not fit the elements".to_owned())
    }

    /// Each element mapped.
    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        let mut tensor = (*self.tensor).clone();
        tensor.data_mut().iter_mut().for_each(|x| *x = f(*x));
        Self::new(&self.name, self.elem, tensor)
    }

    /// `f` of both, with NumPy broadcasting.
    pub(crate) fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Result<Self, String> {
        computed_count(&broadcast(self.shape(), other.shape())?)?;
        zip(&self.tensor, &other.tensor, |x, y| self.elem.round(f(x, y)))
            .map(|t| Self::new(&self.name, self.elem, t))
            .ok_or_else(|| "the shapes do not broadcast".to_owned())
    }
}

/// The number of elements, refused where computing them would need much memory.
pub(crate) fn computed_count(shape: &[usize]) -> Result<usize, String> {
    bounded_count(shape, MAX_COMPUTED)
        .ok_or_else(|| format!("a computed constant of shape {shape:?} is too large"))
}

/// The number of elements, or `None` beyond `most` or [`MAX_RANK`]. Axes of size 0 are counted as 1 for the bound, so that
/// strides of accepted shapes never overflow.
pub(crate) fn bounded_count(shape: &[usize], most: usize) -> Option<usize> {
    if shape.len() > MAX_RANK {
        return None;
    }
    let widest: Vec<usize> = shape.iter().map(|d| (*d).max(1)).collect();
    element_count(&widest).filter(|n| *n <= most)?;
    element_count(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_bits_and_rounding_agree() {
        assert_eq!(from_f16(0x3c00), 1.0);
        assert_eq!(from_f16(0xc000), -2.0);
        assert_eq!(from_f16(0x0001), libm::exp2(-24.0));
        assert_eq!(from_f16(0x7bff), 65504.0);
        assert!(from_f16(0x7c00).is_infinite() && from_f16(0x7e00).is_nan());
        for bits in (0..0x7c00).chain(0x8000..0xfc00) {
            let x = from_f16(bits);
            assert_eq!(Elem::F16.round(x), x, "{bits:#x}");
            // A hundredth of a step away rounds back.
            let step = (from_f16(bits + 1) - x).abs();
            if step.is_finite() {
                assert_eq!(Elem::F16.round(x + 0.01 * step), x, "{bits:#x}");
            }
        }
        assert_eq!(from_bf16(0x3f80), 1.0);
        assert_eq!(Elem::Bf16.round(1.0 + 1.0 / 512.0), 1.0);
        assert!(Elem::F16.round(1e6).is_infinite());
    }

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast(&[2, 1, 3], &[4, 1]), Ok(vec![2, 4, 3]));
        assert!(broadcast(&[2], &[3]).is_err());
        let a = Clear::new(
            "a",
            Elem::F32,
            Tensor::new(vec![2, 1], vec![1.0, 2.0]).unwrap(),
        );
        let b = Clear::new("b", Elem::F32, Tensor::from_vec(vec![10.0, 20.0, 30.0]));
        let c = a.zip(&b, |x, y| x + y).unwrap();
        assert_eq!(c.data(), [11.0, 21.0, 31.0, 12.0, 22.0, 32.0]);
        assert_eq!(
            b.reshaped(&[3, 1])
                .unwrap()
                .transposed(&[1, 0])
                .unwrap()
                .shape(),
            [1, 3]
        );
    }
}
