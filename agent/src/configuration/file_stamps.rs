//! Stamps of files: tell without reading whether a file was changed or replaced.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Time of the last change in seconds and nanoseconds, also of the mode, and inode.
type Stamp = (i64, i64, u64);

/// Files with their stamps; `None` for one that is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileStamps(Vec<(PathBuf, Option<Stamp>)>);

impl FileStamps {
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> FileStamps {
        let stamp =
            |file: &PathBuf| fs::metadata(file).ok().map(|found| (found.ctime(), found.ctime_nsec(), found.ino()));
        FileStamps(files.into_iter().map(|file| (file.clone(), stamp(&file))).collect())
    }
}
