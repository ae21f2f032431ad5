//! Versions of files: tell without reading whether a file was changed or replaced.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Time of the last change in seconds and nanoseconds, also of the mode, and inode.
type FileVersion = (i64, i64, u64);

/// Files with their versions; `None` for one that does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileVersions(Vec<(PathBuf, Option<FileVersion>)>);

impl FileVersions {
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> FileVersions {
        let version =
            |file: &PathBuf| fs::metadata(file).ok().map(|found| (found.ctime(), found.ctime_nsec(), found.ino()));
        FileVersions(files.into_iter().map(|file| (file.clone(), version(&file))).collect())
    }
}
