//! NumPy's `.npy` format, versions 1 to 3.
//!
//! The header is read by hand and completely checked before anything is allocated: a header may come from anyone,
//! and general readers of Python literals recurse as deep as the text says.

use super::DataError;
use cipherloom_ir::{DType, Tensor};
use std::io::{Read, Write};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy pads headers to multiples of 64 bytes; those of plain arrays take one or two of them.
const MAX_HEADER: usize = 4096;
/// NumPy's own limit on axes.
const MAX_AXES: usize = 32;

/// The types of elements that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// An unsigned integer of so many bytes.
    Unsigned(usize),
    /// A signed integer of so many bytes.
    Signed(usize),
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Element::F16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
            Element::Unsigned(bytes) | Element::Signed(bytes) => bytes,
        }
    }

    /// Whether elements are whole numbers.
    pub fn is_integer(self) -> bool {
        matches!(self, Element::Unsigned(_) | Element::Signed(_))
    }

    /// The value of little-endian bytes. Integers beyond 2^53 are rounded, as NumPy's own conversion does.
    fn value(self, bytes: [u8; 8]) -> f64 {
        let word = u64::from_le_bytes(bytes);
        match self {
            Element::F16 => half::f16::from_bits(word as u16).to_f64(),
            Element::F32 => f64::from(f32::from_bits(word as u32)),
            Element::F64 => f64::from_bits(word),
            Element::Unsigned(_) => word as f64,
            Element::Signed(size) => {
                let unused = 64 - 8 * size as u32;
                (((word << unused) as i64) >> unused) as f64
            }
        }
    }
}

/// An array's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of its elements.
    pub element: Element,
    /// Whether elements are stored with the highest byte first.
    pub big_endian: bool,
    /// Whether the first axis changes fastest.
    pub fortran: bool,
    /// The shape.
    pub shape: Vec<usize>,
    /// The number of elements.
    pub count: usize,
}

impl Header {
    /// Bytes of all elements; the product was checked when the header was read.
    pub fn data_bytes(&self) -> u64 {
        self.count as u64 * self.element.size() as u64
    }
}

/// Reads magic number, version and header, and leaves `from` at the first element.
pub fn read_header(array: &str, from: &mut impl Read) -> Result<Header, DataError> {
    let fault = |reason: &str| DataError::Header {
        array: array.into(),
        reason: reason.into(),
    };
    let short = |_| fault("the file ends within the header");
    let mut magic = [0; 8];
    from.read_exact(&mut magic).map_err(short)?;
    if magic[..6] != MAGIC[..] {
        return Err(fault("this is no .npy array"));
    }
    let length = match magic[6] {
        1 => {
            let mut length = [0; 2];
            from.read_exact(&mut length).map_err(short)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            from.read_exact(&mut length).map_err(short)?;
            u32::from_le_bytes(length) as usize
        }
        _ => return Err(fault("unknown version of the .npy format")),
    };
    if length > MAX_HEADER {
        return Err(fault("the header is too long for a plain array"));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).map_err(short)?;
    let text = std::str::from_utf8(&text).map_err(|_| fault("the header is no text"))?;
    parse_header(array, text)
}

/// Reads the three entries of the header's dictionary.
fn parse_header(array: &str, text: &str) -> Result<Header, DataError> {
    let fault = |reason: &str| DataError::Header {
        array: array.into(),
        reason: reason.into(),
    };
    let entry = |key: &str| {
        let start = [format!("'{key}'"), format!("\"{key}\"")]
            .into_iter()
            .find_map(|quoted| text.find(&quoted).map(|at| at + quoted.len()));
        let rest = start.and_then(|at| text.get(at..)).map(str::trim_start);
        rest.and_then(|rest| rest.strip_prefix(':'))
            .map(str::trim_start)
            .ok_or_else(|| fault(&format!("the header has no entry {key:?}")))
    };
    let fortran = match entry("fortran_order")? {
        rest if rest.starts_with("True") => true,
        rest if rest.starts_with("False") => false,
        _ => {
            return Err(fault(
                "the header's \"fortran_order\" is neither True nor False",
            ));
        }
    };
    let (element, big_endian) = parse_type(array, entry("descr")?)?;
    let inside = entry("shape")?
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .map(|(inside, _)| inside);
    let inside = inside.ok_or_else(|| fault("the header's \"shape\" is no tuple"))?;
    let axes = inside
        .split(',')
        .map(|axis| axis.trim().trim_end_matches('L'))
        .filter(|axis| !axis.is_empty());
    let shape: Vec<usize> = axes
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| fault("the header's \"shape\" is malformed"))?;
    if shape.len() > MAX_AXES {
        return Err(fault("the array has too many axes"));
    }
    // Every product that later code forms is at most that of the count, 8 bytes and the axes other than zero.
    let bounded = shape
        .iter()
        .map(|axis| (*axis).max(1))
        .try_fold(8_usize, usize::checked_mul);
    if bounded.is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(fault("the array is larger than any memory"));
    }
    let count = shape.iter().product();
    Ok(Header {
        element,
        big_endian,
        fortran,
        shape,
        count,
    })
}

/// Reads a type such as `'<f4'`.
fn parse_type(array: &str, text: &str) -> Result<(Element, bool), DataError> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let code = quote
        .and_then(|quote| text.get(1..)?.split_once(quote))
        .map(|(code, _)| code);
    let unsupported = || DataError::Type {
        array: array.into(),
        found: code.map_or_else(|| text.chars().take(40).collect(), str::to_owned),
    };
    let code = code.ok_or_else(unsupported)?;
    let (order, kind) = match code.chars().next() {
        Some('<' | '|' | '=') => (false, code.get(1..)),
        Some('>') => (true, code.get(1..)),
        _ => (false, Some(code)),
    };
    let element = match kind {
        Some("f2") => Element::F16,
        Some("f4") => Element::F32,
        Some("f8") => Element::F64,
        Some("u1") => Element::Unsigned(1),
        Some("u2") => Element::Unsigned(2),
        Some("u4") => Element::Unsigned(4),
        Some("u8") => Element::Unsigned(8),
        Some("i1") => Element::Signed(1),
        Some("i2") => Element::Signed(2),
        Some("i4") => Element::Signed(4),
        Some("i8") => Element::Signed(8),
        _ => return Err(unsupported()),
    };
    Ok((element, order))
}

/// Reads the elements that follow a header, in row-major order. Memory grows with the bytes that are really there.
pub fn read_data(array: &str, header: &Header, from: &mut impl Read) -> Result<Tensor, DataError> {
    let expected = header.data_bytes();
    let length = || DataError::Length {
        array: array.into(),
        expected,
    };
    let mut bytes = Vec::new();
    from.take(expected.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| DataError::Header {
            array: array.into(),
            reason: e.to_string(),
        })?;
    if bytes.len() as u64 != expected {
        return Err(length());
    }
    let values = bytes.chunks_exact(header.element.size()).map(|chunk| {
        let mut word = [0; 8];
        for (i, byte) in chunk.iter().enumerate() {
            let at = if header.big_endian {
                chunk.len() - 1 - i
            } else {
                i
            };
            if let Some(slot) = word.get_mut(at) {
                *slot = *byte;
            }
        }
        header.element.value(word)
    });
    let values: Vec<f64> = values.collect();
    let values = if header.fortran {
        from_fortran(&header.shape, &values)
    } else {
        values
    };
    Tensor::new(header.shape.clone(), values).ok_or_else(length)
}

/// The row-major order of values whose first axis changes fastest.
fn from_fortran(shape: &[usize], values: &[f64]) -> Vec<f64> {
    let mut index = vec![0; shape.len()];
    let mut sorted = Vec::with_capacity(values.len());
    while sorted.len() < values.len() {
        let (at, _) = index
            .iter()
            .zip(shape)
            .fold((0, 1), |(at, stride), (i, axis)| {
                (at + i * stride, stride * axis)
            });
        sorted.extend(values.get(at));
        for (i, axis) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *axis {
                break;
            }
            *i = 0;
        }
    }
    sorted
}

/// Writes an array, row-major, little endian, in an element type; whole-number types take the nearest whole number that
/// they have.
pub fn write(tensor: &Tensor, dtype: DType, to: &mut impl Write) -> std::io::Result<()> {
    let kind = match dtype {
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::U8 => "|u1",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::Bool => "|b1",
    };
    write_header(kind, tensor.shape(), to)?;
    for value in tensor.data() {
        let whole = value.round_ties_even();
        match dtype {
            DType::F32 => to.write_all(&(*value as f32).to_le_bytes()),
            DType::F64 => to.write_all(&value.to_le_bytes()),
            DType::U8 => to.write_all(&[whole as u8]),
            DType::I8 => to.write_all(&(whole as i8).to_le_bytes()),
            DType::I16 => to.write_all(&(whole as i16).to_le_bytes()),
            DType::I32 => to.write_all(&(whole as i32).to_le_bytes()),
            DType::I64 => to.write_all(&(whole as i64).to_le_bytes()),
            DType::Bool => to.write_all(&[u8::from(whole != 0.0)]),
        }?;
    }
    Ok(())
}

/// Writes a vector of bytes (uint8): labels.
pub fn write_bytes(values: &[u8], to: &mut impl Write) -> std::io::Result<()> {
    write_header("|u1", &[values.len()], to)?;
    to.write_all(values)
}

/// Writes magic number, version 1.0 and header.
fn write_header(kind: &str, shape: &[usize], to: &mut impl Write) -> std::io::Result<()> {
    let axes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let shape = match axes.as_slice() {
        [only] => format!("({only},)"),
        axes => format!("({})", axes.join(", ")),
    };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version, length, header and a line feed fill a multiple of 64 bytes.
    let padding = (64 - (10 + header.len() + 1) % 64) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    to.write_all(MAGIC)?;
    to.write_all(&[1, 0])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(header.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Tensor, DataError> {
        let mut from = bytes;
        let header = read_header("x", &mut from)?;
        read_data("x", &header, &mut from)
    }

    #[test]
    fn each_type_and_order_is_read() {
        let header = |kind: &str, fortran: &str| {
            format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': (2, 3), }}\n")
        };
        let bytes: Vec<u8> = (1..=6).collect();
        let t = read(&file(&header("|u1", "False"), &bytes)).unwrap();
        assert_eq!(
            (t.shape(), t.data()),
            (&[2, 3][..], &[1., 2., 3., 4., 5., 6.][..])
        );
        let t = read(&file(&header("|u1", "True"), &bytes)).unwrap();
        assert_eq!(t.data(), [1., 3., 5., 2., 4., 6.]);
        let signed: Vec<u8> = (-3_i16..3).flat_map(i16::to_be_bytes).collect();
        assert_eq!(
            read(&file(&header(">i2", "False"), &signed))
                .unwrap()
                .data(),
            [-3., -2., -1., 0., 1., 2.]
        );
        let float: Vec<u8> = (0..6)
            .flat_map(|i| (i as f32 / 4.0).to_le_bytes())
            .collect();
        assert_eq!(
            read(&file(&header("<f4", "False"), &float)).unwrap().data()[5],
            1.25
        );
        let wide: Vec<u8> = (0..6)
            .flat_map(|i| (f64::from(i) / -8.0).to_be_bytes())
            .collect();
        assert_eq!(
            read(&file(&header(">f8", "False"), &wide)).unwrap().data()[3],
            -0.375
        );
        let long: Vec<u8> = (0..6).flat_map(|i| (i - 4_i64).to_le_bytes()).collect();
        assert_eq!(
            read(&file(&header("<i8", "False"), &long)).unwrap().data()[0],
            -4.0
        );
    }

    #[test]
    fn faults_are_told_apart() {
        let half = "{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }";
        let found = read(&file(half, &[0x00, 0xc0, 0x01, 0x00])).unwrap();
        assert_eq!(found.data(), [-2.0, 2.0_f64.powi(-24)]);
        let ok = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        let kind = |bytes: &[u8]| read(bytes).unwrap_err();
        assert!(matches!(kind(b"PK"), DataError::Header { .. }));
        assert!(matches!(
            kind(&file(ok, &[0; 7])),
            DataError::Length { expected: 8, .. }
        ));
        assert!(matches!(kind(&file(ok, &[0; 9])), DataError::Length { .. }));
        assert!(matches!(
            kind(&file(&ok.replace("<f4", "<c8"), &[0; 16])),
            DataError::Type { .. }
        ));
        assert!(matches!(
            kind(&file(&ok.replace("<f4", "|O"), &[0; 16])),
            DataError::Type { .. }
        ));
        let huge = ok.replace("(2,)", "(4294967296, 4294967296, 4294967296)");
        assert!(matches!(kind(&file(&huge, &[])), DataError::Header { .. }));
        let zero = ok.replace("(2,)", "(0, 9223372036854775807, 3)");
        assert!(matches!(kind(&file(&zero, &[])), DataError::Header { .. }));
        let large = ok.replace("(2,)", "(1099511627776,)");
        assert!(matches!(
            kind(&file(&large, &[0; 8])),
            DataError::Length { .. }
        ));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(shape in proptest::collection::vec(0_usize..5, 0..4), seed in any::<u32>()) {
            let count = shape.iter().product::<usize>();
            let values = (0..count).map(|i| f64::from(seed) / (i as f64 + 0.5) - 7.0).collect();
            let tensor = Tensor::new(shape, values).unwrap();
            let mut bytes = vec![];
            write(&tensor, DType::F64, &mut bytes).unwrap();
            prop_assert_eq!((bytes.len() - 8 * count) % 64, 0);
            prop_assert_eq!(read(&bytes).unwrap(), tensor);
        }

        #[test]
        fn whole_numbers_read_back(values in proptest::collection::vec(-128_i8..=127, 0..20)) {
            let data: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            let tensor = Tensor::from_vec(data.clone());
            for (dtype, kind, size) in [
                (DType::I8, "|i1", 1), (DType::I16, "<i2", 2), (DType::I32, "<i4", 4), (DType::I64, "<i8", 8),
            ] {
                let mut bytes = vec![];
                write(&tensor, dtype, &mut bytes).unwrap();
                prop_assert_eq!((bytes.len() - size * data.len()) % 64, 0);
                prop_assert!(String::from_utf8_lossy(&bytes[..64]).contains(kind));
                prop_assert_eq!(read(&bytes).unwrap().into_data(), data.clone());
            }
            // Bytes saturate, and a truth value is 0 or 1.
            let mut bytes = vec![];
            write(&tensor, DType::U8, &mut bytes).unwrap();
            let positive: Vec<f64> = data.iter().map(|v| v.max(0.0)).collect();
            prop_assert_eq!(read(&bytes).unwrap().into_data(), positive);
            let mut bytes = vec![];
            write(&tensor, DType::Bool, &mut bytes).unwrap();
            let truths: Vec<u8> = values.iter().map(|v| u8::from(*v != 0)).collect();
            prop_assert!(bytes.ends_with(&truths));
            prop_assert_eq!((bytes.len() - truths.len()) % 64, 0);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[ -~]{0,120}") {
            let _ = read(&bytes);
            let _ = read(&file(&text, &bytes));
            let _ = read(&file(&format!("{{'descr': '<f4', 'fortran_order': True, 'shape': ({text}), }}"), &bytes));
        }
    }
}
