//! Clear values: tensors of `f64` in row-major order, and ranges.

use std::collections::BTreeMap;
use std::fmt;

/// A clear tensor: row-major `f64` values with a shape. A scalar has the empty shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// Named tensors: a model's inputs or outputs.
pub type Tensors = BTreeMap<String, Tensor>;

impl Tensor {
    /// A tensor, or `None` where the shape does not fit the number of values.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Option<Self> {
        (element_count(&shape)? == data.len()).then_some(Self { shape, data })
    }

    /// A tensor of one value everywhere, or `None` where the number of elements overflows.
    pub fn filled(shape: Vec<usize>, value: f64) -> Option<Self> {
        let count = element_count(&shape)?;
        Some(Self {
            shape,
            data: vec![value; count],
        })
    }

    /// A vector.
    pub fn from_vec(data: Vec<f64>) -> Self {
        Self {
            shape: vec![data.len()],
            data,
        }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, row by row.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The values, to change them.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// The values alone.
    pub fn into_data(self) -> Vec<f64> {
        self.data
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same values in another shape, or `None` where the counts differ.
    pub fn reshaped(self, shape: Vec<usize>) -> Option<Self> {
        Self::new(shape, self.data)
    }
}

/// The number of elements of a shape, or `None` where it overflows.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |count, dim| count.checked_mul(*dim))
}

/// Row-major strides of a shape.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The element type that the model declares for an input or output; values are computed in `f64`, and whoever reads
/// or writes them for people does so in this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// Unsigned 8-bit whole numbers.
    U8,
    /// Signed 8-bit whole numbers.
    I8,
    /// Signed 16-bit whole numbers.
    I16,
    /// Signed 32-bit whole numbers.
    I32,
    /// Signed 64-bit whole numbers.
    I64,
    /// Truth values, 0 and 1.
    Bool,
}

impl DType {
    /// All types, in the order of their numbers in a plan file.
    pub const ALL: [Self; 8] = [
        Self::F32,
        Self::F64,
        Self::U8,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::Bool,
    ];

    /// The name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Bool => "bool",
        }
    }

    /// Whether values are floating-point numbers.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The number in a plan file.
    pub(crate) fn number(self) -> u32 {
        self as u32
    }

    /// The type of a number of a plan file.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// A closed interval that holds a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The lower end.
    pub lo: f64,
    /// The upper end.
    pub hi: f64,
}

impl Range {
    /// The range from `lo` to `hi`, or `None` unless both are finite and `lo <= hi`.
    pub fn new(lo: f64, hi: f64) -> Option<Self> {
        (lo.is_finite() && hi.is_finite() && lo <= hi).then_some(Self { lo, hi })
    }

    /// The smallest range that holds all values; `None` for no value or one that is not finite.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut range: Option<Self> = None;
        for value in values {
            if !value.is_finite() {
                return None;
            }
            range = Some(match range {
                None => Self {
                    lo: value,
                    hi: value,
                },
                Some(r) => Self {
                    lo: r.lo.min(value),
                    hi: r.hi.max(value),
                },
            });
        }
        range
    }

    /// The smallest range that holds both.
    pub fn union(self, other: Self) -> Self {
        Self {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
        }
    }

    /// The largest absolute value.
    pub fn max_abs(self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    /// Whether a value lies inside.
    pub fn contains(self, value: f64) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// The range widened by a margin: the same centre, `margin` times the half width.
    pub fn widened(self, margin: f64) -> Self {
        let (centre, half) = (0.5 * (self.lo + self.hi), 0.5 * (self.hi - self.lo));
        Self {
            lo: centre - margin * half,
            hi: centre + margin * half,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.lo, self.hi)
    }
}
