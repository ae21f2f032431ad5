//! Small files that are replaced whole: written beside their place, synced, and renamed into it. The only writer of such files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tilth_config::{plain_file, sha256};

/// Only the agent's user reads these files: they hold copies of what people wrote, who may have written more than they should.
const OWNER_ONLY: u32 = 0o600;

/// Upper limit of a file in bytes: a bundle, or all files of a configuration, which have at most 16 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Why a file that is there cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The disk no longer has what was written.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The file may be whole; what is in its way may be mended.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// The bytes of a file; `None` where there is no such file.
///
/// # Errors
/// [`Unreadable`] when there is something else, or the system refuses to read it.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Unreadable> {
    plain_file::read(path, MAX_BYTES).map(Some).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        io::ErrorKind::PermissionDenied => Err(Unreadable::Unusable(error.to_string())),
        _ => Err(Unreadable::Damaged(error.to_string())),
    })
}

/// Replaces a file. The one before stays until the disk has all of the new one.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_new(folder, name, bytes)?;
    rename_new(folder, name)
}

/// Writes the next version of a file beside it, and syncs it. The file is a new one: what an earlier try left goes, and where that is a link,
/// what it points to stays as it is. Root writes into folders of the agent's user.
pub(crate) fn write_new(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<File> {
    let path = new_path(folder, name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// Renames the next version of a file into its place.
pub(crate) fn rename_new(folder: &Path, name: &str) -> io::Result<()> {
    fs::rename(new_path(folder, name), folder.join(name))?;
    // The name is on the disk only when its folder is.
    File::open(folder)?.sync_all()
}

/// Path of the next version of a file until it replaces the file.
pub(crate) fn new_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.new"))
}

/// Removes a file, where it is there, for good: after a power failure it is not there again.
pub(crate) fn remove(folder: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| File::open(folder)?.sync_all()),
    }
}

/// A file's content with the hash of its bytes.
#[derive(Serialize, Deserialize)]
struct Checked<'a> {
    /// SHA-256 of the content's bytes.
    hash: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Bytes of a file that shows when it is damaged.
///
/// # Errors
/// When the content has no JSON form.
pub(crate) fn with_checksum(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let content = to_raw_value(content)?;
    Ok(serde_json::to_vec(&Checked { hash: hex::encode(sha256(content.get().as_bytes())), content: &content })?)
}

/// The content of a checked file.
///
/// # Errors
/// [`Unreadable`] when the bytes are not what was written, or another version wrote them.
pub(crate) fn parse_checked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let checked: Checked<'_> = serde_json::from_slice(bytes).map_err(|error| Unreadable::Damaged(error.to_string()))?;
    if checked.hash != hex::encode(sha256(checked.content.get().as_bytes())) {
        return Err(Unreadable::Damaged("its content is not what was written".to_owned()));
    }
    serde_json::from_slice(checked.content.get().as_bytes())
        .map_err(|error| Unreadable::Unusable(format!("another version wrote it: {error}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_in_the_place_of_the_next_version_is_replaced_and_not_followed() {
        let folder = std::env::temp_dir().join(format!("tilth-durable-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("other"), "root's own").unwrap();
        symlink("other", new_path(&folder, "key")).unwrap();
        write(&folder, "key", b"new").unwrap();
        assert_eq!(fs::read_to_string(folder.join("other")).unwrap(), "root's own");
        let key = fs::symlink_metadata(folder.join("key")).unwrap();
        assert!(key.is_file() && key.permissions().mode() & 0o777 == OWNER_ONLY, "{key:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
