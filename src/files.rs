//! Files: read whole, written beside their target and renamed.

use crate::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

/// The bytes of a file. A file that is missing or unreadable is the caller's input being wrong; one that is larger
/// than the memory that is left is refused beforehand.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fault = |source| Error::Read {
        path: path.into(),
        source,
    };
    let size = fs::metadata(path).map_err(fault)?.len();
    if let Some(available) =
        cipherloom_runtime::memory::available().filter(|available| size > *available)
    {
        let what = format!("reading {}", path.display());
        return Err(Error::Memory {
            what,
            needed: size,
            available,
        });
    }
    fs::read(path).map_err(fault)
}

/// One file to be written.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Where.
    pub path: &'a Path,
    /// What.
    pub bytes: &'a [u8],
    /// Whether none but the owner may read it (mode 0600).
    pub private: bool,
}

impl<'a> Output<'a> {
    /// A file that everyone may read whom the user's own mask lets.
    pub fn public(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self {
            path,
            bytes,
            private: false,
        }
    }

    /// A file that only its owner may read.
    pub fn private(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self {
            path,
            bytes,
            private: true,
        }
    }
}

/// Writes files, each to a temporary file beside its target that is then renamed: a target holds its old content or
/// all of the new one. The first target is renamed only when every file has been written.
pub fn write(outputs: &[Output<'_>]) -> Result<(), Error> {
    let mut ready = Vec::new();
    for output in outputs {
        let fault = |source| Error::Write {
            path: output.path.into(),
            source,
        };
        let parent = output
            .path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut file = builder(output.private).tempfile_in(parent).map_err(fault)?;
        file.write_all(output.bytes)
            .and_then(|()| file.as_file().sync_all())
            .map_err(fault)?;
        ready.push((file, output.path));
    }
    for (file, path) in ready {
        file.persist(path).map_err(|e| Error::Write {
            path: path.into(),
            source: e.error,
        })?;
    }
    Ok(())
}

fn builder(private: bool) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cipherloom-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(if private {
            0o600
        } else {
            0o666
        }));
    }
    #[cfg(not(unix))]
    let _ = private;
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_write_that_fails() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("good"), dir.path().join("missing/bad"));
        fs::write(&good, "old").unwrap();
        let outputs = [Output::public(&good, b"new"), Output::public(&bad, b"new")];
        assert!(matches!(write(&outputs), Err(Error::Write { .. })));
        assert_eq!(fs::read(&good).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write(&outputs[..1]).unwrap();
        assert_eq!(fs::read(&good).unwrap(), b"new");
        assert!(matches!(read(&bad), Err(Error::Read { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "old").unwrap();
        write(&[Output::private(&path, b"key")]).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
