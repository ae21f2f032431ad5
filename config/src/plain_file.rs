//! Reading ordinary files alone: the one place from which files named by people are opened.
//!
//! Opening a named pipe waits for its writer, which may never come, and a device may never end. Both are refused with what is there and
//! what was expected; the caller adds the path.

use std::fs::{self, File, FileType};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens an ordinary file to read. Never waits for another process.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where something else is there, and what the system says.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at first: opening a device may do something.
    check(fs::metadata(path)?.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    // And again: it may be another one by now.
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// The mode of an open file that others than its owner may use, such as `0o640`; `None` where it is private.
///
/// # Errors
/// The system's error.
pub fn open_to_others(file: &File) -> io::Result<Option<u32>> {
    Ok(exposed(file.metadata()?.permissions().mode()))
}

/// Permissions of a mode by which others than the owner may use the file; `None` where it is private.
#[must_use]
pub fn exposed(mode: u32) -> Option<u32> {
    (mode & 0o077 != 0).then_some(mode & 0o777)
}

/// Reads an ordinary file of at most `most` bytes.
///
/// # Errors
/// Those of [`open`], and [`ErrorKind::FileTooLarge`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_open(open(path)?, most)
}

/// Reads what [`open`] gave, at most `most` bytes.
///
/// # Errors
/// [`ErrorKind::FileTooLarge`], and what the system says.
pub fn read_open(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("too large; expected at most {most} bytes")));
    }
    Ok(bytes)
}

/// Reads an ordinary text file of at most `most` bytes.
///
/// # Errors
/// Those of [`read`], and [`ErrorKind::InvalidData`] where it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(ErrorKind::InvalidData, "not text; expected UTF-8");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

fn check(found: FileType) -> io::Result<()> {
    let what = match found {
        found if found.is_file() => return Ok(()),
        found if found.is_dir() => "a folder",
        found if found.is_fifo() => "a named pipe",
        found if found.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("{what} is there; expected a file")))
}
