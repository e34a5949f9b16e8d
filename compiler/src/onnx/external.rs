//! Tensor data in files beside the model (`data_location: EXTERNAL`).
//!
//! The entries are `location` (a path relative to the model's folder), `offset` and `length` in bytes
//! (by default all of the file), and `checksum` (SHA-1, not checked). A model is data from elsewhere, so
//! its paths must not read the machine: absolute paths, `..` and symbolic links that leave the folder are
//! refused, and so is anything but a regular file.

use onnx_protobuf::tensor_proto::DataLocation;
use onnx_protobuf::{GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

/// Reads the bytes of one tensor, which must be `expected` many.
pub(crate) fn read(
    entries: &[StringStringEntryProto],
    dir: Option<&Path>,
    expected: usize,
) -> Result<Vec<u8>, String> {
    let entry = |key: &str| {
        entries
            .iter()
            .find(|e| e.key == key)
            .map(|e| e.value.as_str())
    };
    let number = |key: &str| {
        entry(key)
            .map(|text| {
                text.parse::<u64>()
                    .map_err(|_| format!("the external data's {key} {text:?} is no number"))
            })
            .transpose()
    };
    let location = entry("location").ok_or("the external data have no location")?;
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?;
    let dir = dir.ok_or_else(|| {
        format!(
            "the data lie in the file {location:?}; import the model from its file, not from bytes"
        )
    })?;
    let relative = Path::new(location);
    let plain = relative
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || location.contains('\0') || location.contains('\\') || !plain {
        return Err(format!(
            "the external data's path {location:?} leaves the model's folder"
        ));
    }
    let missing =
        |e: std::io::Error| format!("the external data's file {location:?} cannot be read: {e}");
    let folder = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let folder = folder.canonicalize().map_err(missing)?;
    let path = folder.join(relative).canonicalize().map_err(missing)?;
    if !path.starts_with(&folder) {
        return Err(format!(
            "the external data's path {location:?} leaves the model's folder"
        ));
    }
    let metadata = std::fs::metadata(&path).map_err(missing)?;
    if !metadata.is_file() {
        return Err(format!(
            "the external data's path {location:?} is no regular file"
        ));
    }
    let needed = expected as u64;
    let available = metadata.len().saturating_sub(offset);
    let stored = length.unwrap_or(available);
    if stored != needed || stored > available {
        return Err(format!(
            "the tensor needs {needed} bytes, but its external data in {location:?} have {stored} of {available} from offset {offset}"
        ));
    }
    let mut file = File::open(&path).map_err(missing)?;
    file.seek(SeekFrom::Start(offset)).map_err(missing)?;
    let mut bytes = Vec::with_capacity(expected);
    file.take(needed).read_to_end(&mut bytes).map_err(missing)?;
    if bytes.len() != expected {
        return Err(format!(
            "the external data's file {location:?} ended while it was read"
        ));
    }
    Ok(bytes)
}

/// The locations that a model names, each once.
pub(super) fn locations(model: &ModelProto) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    model.graph.iter().for_each(|g| of_graph(g, &mut found));
    let functions = model.functions.iter();
    of_nodes(functions.flat_map(|f| &f.node), &mut found);
    found
}

fn of_graph(graph: &GraphProto, found: &mut BTreeSet<String>) {
    graph.initializer.iter().for_each(|t| of_tensor(t, found));
    of_nodes(graph.node.iter(), found);
}

/// Graphs are nested as deep as the scan of the file's bytes lets them.
fn of_nodes<'a>(nodes: impl Iterator<Item = &'a NodeProto>, found: &mut BTreeSet<String>) {
    for attribute in nodes.flat_map(|n| &n.attribute) {
        let tensors = attribute.t.iter().chain(&attribute.tensors);
        tensors.for_each(|t| of_tensor(t, found));
        let graphs = attribute.g.iter().chain(&attribute.graphs);
        graphs.for_each(|g| of_graph(g, found));
    }
}

fn of_tensor(tensor: &TensorProto, found: &mut BTreeSet<String>) {
    if tensor.data_location.enum_value() == Ok(DataLocation::EXTERNAL) {
        let entries = tensor.external_data.iter();
        found.extend(
            entries
                .filter(|e| e.key == "location")
                .map(|e| e.value.clone()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
        pairs
            .iter()
            .map(|(k, v)| StringStringEntryProto {
                key: (*k).into(),
                value: (*v).into(),
                ..Default::default()
            })
            .collect()
    }

    #[test]
    fn only_files_inside_the_folder_are_read() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("model");
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("sub/w.bin"), [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        std::fs::write(root.path().join("secret"), [0; 8]).unwrap();
        let read = |pairs: &[(&str, &str)], n| read(&entries(pairs), Some(&dir), n);
        assert_eq!(
            read(
                &[("location", "sub/w.bin"), ("offset", "2"), ("length", "4")],
                4
            ),
            Ok(vec![3, 4, 5, 6])
        );
        assert_eq!(read(&[("location", "./sub/w.bin")], 8).unwrap().len(), 8);
        let absolute = root.path().join("secret");
        let absolute = absolute.to_str().unwrap();
        for bad in [
            "../secret",
            "sub/../../secret",
            absolute,
            "",
            "sub",
            "none.bin",
            "..\\secret",
        ] {
            assert!(read(&[("location", bad)], 8).is_err(), "{bad}");
        }
        for (offset, length) in [
            ("6", "4"),
            ("9", "4"),
            ("18446744073709551615", "4"),
            ("x", "4"),
            ("0", "5"),
        ] {
            let pairs = [
                ("location", "sub/w.bin"),
                ("offset", offset),
                ("length", length),
            ];
            assert!(read(&pairs, 4).is_err(), "{offset} {length}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.path().join("secret"), dir.join("link")).unwrap();
            assert!(
                read(&[("location", "link")], 8)
                    .unwrap_err()
                    .contains("leaves")
            );
        }
        assert!(super::read(&entries(&[("location", "sub/w.bin")]), None, 8).is_err());
    }

    /// Weights of graphs and of graphs within nodes, each location once.
    #[test]
    fn all_locations_are_found() {
        let tensor = |location: &str| TensorProto {
            data_location: DataLocation::EXTERNAL.into(),
            external_data: entries(&[("location", location), ("offset", "0")]),
            ..Default::default()
        };
        let inner = GraphProto {
            initializer: vec![tensor("inner.bin"), TensorProto::default()],
            ..Default::default()
        };
        let attribute = onnx_protobuf::AttributeProto {
            t: Some(tensor("value.bin")).into(),
            g: Some(inner).into(),
            ..Default::default()
        };
        let node = NodeProto {
            attribute: vec![attribute],
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![node],
            initializer: vec![tensor("w.bin"), tensor("w.bin")],
            ..Default::default()
        };
        let model = ModelProto {
            graph: Some(graph).into(),
            ..Default::default()
        };
        let found: Vec<String> = locations(&model).into_iter().collect();
        assert_eq!(found, ["inner.bin", "value.bin", "w.bin"]);
    }
}
