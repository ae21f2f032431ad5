//! How files look from outside: whether one was changed or replaced can be told without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Files, and of each how it looks. None for one that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileStamps(Vec<(PathBuf, Option<Stamp>)>);

/// When a file was changed last, and which it is.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    ctime: (i64, i64),
    inode: u64,
}

impl FileStamps {
    /// How these look now.
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> FileStamps {
        FileStamps(files.into_iter().map(|file| (file.clone(), stamp(file))).collect())
    }
}

/// The time of the change, and not that of the text: it moves with the mode as well.
fn stamp(file: PathBuf) -> Option<Stamp> {
    let found = fs::metadata(file).ok()?;
    Some(Stamp { ctime: (found.ctime(), found.ctime_nsec()), inode: found.ino() })
}
