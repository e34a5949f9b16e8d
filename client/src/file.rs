//! Secret keys as files.

use crate::{ClientError, SecretKey};
use cipherloom_ir::plan::ClientPlan;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A secret key's file is not much longer than one byte per coefficient of the largest ring.
const MAX_BYTES: u64 = 1 << 20;

impl SecretKey {
    /// Writes `secret.key`, readable by its owner alone.
    ///
    /// The file appears complete or not at all, and an existing file is never replaced: a lost key decrypts nothing any more.
    ///
    /// # Errors
    /// [`ClientError::File`] where the file exists or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ClientError> {
        save_private(path, &self.to_bytes())
    }

    /// Reads `secret.key`.
    ///
    /// # Errors
    /// [`ClientError::File`] where it cannot be read, else as for [`SecretKey::from_bytes`].
    pub fn load(path: &Path, plan: &ClientPlan) -> Result<Self, ClientError> {
        Self::from_bytes(&load_private(path)?, plan)
    }
}

/// Writes a new file that its owner alone may read; it appears complete or not at all.
pub(crate) fn save_private(path: &Path, bytes: &[u8]) -> Result<(), ClientError> {
    let failed = |source| ClientError::File {
        path: path.to_owned(),
        source,
    };
    let temporary = temporary_beside(path)?;
    let written = write_private(&temporary, bytes)
        // Unlike a rename, a hard link fails where the target exists.
        .and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    written.and(removed).map_err(failed)
}

/// The bytes of a secret key's file, wiped when dropped.
pub(crate) fn load_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    read_wiped(path).map_err(|source| ClientError::File {
        path: path.to_owned(),
        source,
    })
}

/// A name of its own in the folder of `path`.
fn temporary_beside(path: &Path) -> Result<PathBuf, ClientError> {
    let mut random = [0; 8];
    crate::random::os_random(&mut random)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.tmp", u64::from_le_bytes(random)));
    Ok(path.with_file_name(name))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads into a buffer that never grows, so that no copy is left behind.
fn read_wiped(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "too long for a secret key",
        ));
    }
    let mut bytes = Zeroizing::new(vec![0; len as usize]);
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::toy_plan;

    #[test]
    fn a_key_file_is_private_whole_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, plan) = (folder.path().join("secret.key"), toy_plan());
        let key = SecretKey::generate(&plan).unwrap();
        key.save(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        let back = SecretKey::load(&path, &plan).unwrap();
        assert_eq!(*back.to_bytes(), *key.to_bytes());
        let other = SecretKey::generate(&plan).unwrap();
        assert!(matches!(other.save(&path), Err(ClientError::File { .. })));
        assert_eq!(fs::read(&path).unwrap(), *key.to_bytes());
        // Nothing else is left in the folder.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, plan) = (folder.path().join("no").join("secret.key"), toy_plan());
        let key = SecretKey::generate(&plan).unwrap();
        for result in [
            key.save(&missing).err(),
            SecretKey::load(&missing, &plan).err(),
        ] {
            assert!(result.unwrap().to_string().contains("secret.key"));
        }
        let long = folder.path().join("long");
        fs::write(&long, vec![0; MAX_BYTES as usize + 1]).unwrap();
        assert!(SecretKey::load(&long, &plan).is_err());
        let short = folder.path().join("short");
        fs::write(&short, b"CIPHLOOM").unwrap();
        assert!(matches!(
            SecretKey::load(&short, &plan),
            Err(ClientError::Container(_))
        ));
    }
}
