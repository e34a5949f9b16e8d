//! NumPy's files: one array (`.npy`) or a zip archive of them (`.npz`), told apart by their first bytes.

use super::DataError;
use super::npy::{self, Header};
use cipherloom_ir::{DType, Tensor};
use std::io::{Cursor, Read, Write};
use zip::ZipArchive;
use zip::write::FileOptions;

/// A NumPy file whose headers have been read; elements are read on demand.
pub struct Arrays<'a> {
    source: Source<'a>,
    entries: Vec<Entry>,
}

enum Source<'a> {
    Single(&'a [u8]),
    Archive(Box<ZipArchive<Cursor<&'a [u8]>>>),
}

struct Entry {
    name: String,
    index: usize,
    header: Result<Header, DataError>,
}

impl<'a> Arrays<'a> {
    /// Opens the bytes of a `.npy` or `.npz` file; `stem` names the array of a `.npy` file.
    ///
    /// Entries of an archive that are no arrays are passed over; a fault in an array's header is kept until that
    /// array is asked for.
    pub fn open(bytes: &'a [u8], stem: &str) -> Result<Self, DataError> {
        if bytes.starts_with(b"\x93NUMPY") {
            let header = npy::read_header(stem, &mut &*bytes);
            let entry = Entry {
                name: stem.into(),
                index: 0,
                header,
            };
            return Ok(Self {
                source: Source::Single(bytes),
                entries: vec![entry],
            });
        }
        if !bytes.starts_with(b"PK") {
            return Err(DataError::NotNumpy);
        }
        let archive_fault = |e: zip::result::ZipError| DataError::Archive(e.to_string());
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(archive_fault)?;
        let mut entries = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).map_err(archive_fault)?;
            if let Some(name) = file.name().strip_suffix(".npy").map(str::to_owned) {
                let header = npy::read_header(&name, &mut file);
                entries.push(Entry {
                    name,
                    index,
                    header,
                });
            }
        }
        Ok(Self {
            source: Source::Archive(Box::new(archive)),
            entries,
        })
    }

    /// The names of the arrays, in the file's order.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|e| e.name.clone()).collect()
    }

    /// The header of an array; `None` where there is no array of this name.
    pub fn header(&mut self, name: &str) -> Option<Result<Header, DataError>> {
        let entry = self.entries.iter_mut().find(|e| e.name == name)?;
        match &entry.header {
            Ok(header) => Some(Ok(header.clone())),
            Err(_) => {
                let gone = DataError::Archive(format!("array {name:?} is unreadable"));
                Some(Err(std::mem::replace(&mut entry.header, Err(gone))
                    .err()
                    .unwrap_or(DataError::NotNumpy)))
            }
        }
    }

    /// The elements of an array.
    pub fn read(&mut self, name: &str) -> Result<Tensor, DataError> {
        let header = self
            .header(name)
            .ok_or_else(|| DataError::Archive(format!("no array {name:?}")))??;
        let needed = header.count as u64 * 8 + header.data_bytes();
        if let Some(available) =
            cipherloom_runtime::memory::available().filter(|available| needed > *available)
        {
            return Err(DataError::TooLarge {
                array: name.into(),
                needed,
                available,
            });
        }
        let index = self
            .entries
            .iter()
            .find(|e| e.name == name)
            .map_or(0, |e| e.index);
        let read = |from: &mut dyn Read| {
            let mut from = from;
            let header = npy::read_header(name, &mut from)?;
            npy::read_data(name, &header, &mut from)
        };
        match &mut self.source {
            Source::Single(bytes) => read(&mut &**bytes),
            Source::Archive(archive) => {
                let mut file = archive
                    .by_index(index)
                    .map_err(|e| DataError::Archive(e.to_string()))?;
                read(&mut file)
            }
        }
    }
}

/// The bytes of a `.npz` file; each array is float32 if its flag is set, else float64. The archive carries no time stamps.
pub fn write(arrays: &[(&str, &Tensor, DType)], deflate: bool) -> std::io::Result<Vec<u8>> {
    let method = if deflate {
        zip::CompressionMethod::Deflated
    } else {
        zip::CompressionMethod::Stored
    };
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor, dtype) in arrays {
        let large = tensor.len() as u64 * 8 >= u64::from(u32::MAX);
        let options = FileOptions::default()
            .compression_method(method)
            .last_modified_time(zip::DateTime::default())
            .large_file(large);
        archive.start_file(format!("{name}.npy"), options)?;
        let mut buffered = std::io::BufWriter::new(&mut archive);
        npy::write(tensor, *dtype, &mut buffered)?;
        buffered.flush()?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(deflate: bool) -> Vec<u8> {
        let a = Tensor::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.5]).unwrap();
        let b = Tensor::new(vec![3], vec![-1.0, 0.1, 1e-3]).unwrap();
        write(&[("a", &a, DType::F32), ("b", &b, DType::F64)], deflate).unwrap()
    }

    #[test]
    fn stored_and_deflated_archives_read_back() {
        for deflate in [false, true] {
            let bytes = example(deflate);
            let mut arrays = Arrays::open(&bytes, "x").unwrap();
            assert_eq!(arrays.names(), ["a", "b"]);
            assert_eq!(arrays.read("a").unwrap().data(), [1.0, 2.0, 3.0, 4.5]);
            assert_eq!(arrays.read("b").unwrap().data(), [-1.0, 0.1, 1e-3]);
            assert!(arrays.header("c").is_none());
        }
        assert!(matches!(
            Arrays::open(b"text", "x"),
            Err(DataError::NotNumpy)
        ));
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 0_usize..600, to in any::<u8>(), cut in 0_usize..600, deflate in any::<bool>()) {
            let mut bytes = example(deflate);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            bytes.truncate(bytes.len().saturating_sub(cut % 97));
            if let Ok(mut arrays) = Arrays::open(&bytes, "x") {
                for name in arrays.names() {
                    let _ = arrays.read(&name);
                }
            }
        }
    }
}
