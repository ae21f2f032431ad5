//! The bytes of a recording: an ordinary file, one of this process' own open files or standard input, plain or gzip; and how far
//! they have been read.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use memchr::memrchr;
use tilth_config::plain_file;

/// What errors call a recording.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Opens a recording: an ordinary file, or one of this process' own open files, such as the shell makes of `<(..)`.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let is_open_here = ["/dev/stdin", "/dev/fd", "/proc/self/fd"].iter().any(|open| path.starts_with(open));
    let found = if is_open_here { File::open(path) } else { plain_file::open(path) };
    found.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => io::Error::new(error.kind(), format!("{error}, or - for standard input")),
        _ => error,
    })
}

/// Bytes read, of how many where that is known. A packed file counts as it lies on the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    pub(super) fn of(file: &File) -> Progress {
        let total = file.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
        Progress { read: Arc::default(), total: total.filter(|total| *total > 0) }
    }
}

/// In whole percent or tens of megabytes, so that it does not change with every look.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MB: u64 = 1_000_000;
        let read = self.read.load(Ordering::Relaxed);
        match self.total {
            Some(total) => write!(f, "{} % of {} MB", read.min(total) * 100 / total, total.div_ceil(MB)),
            None => write!(f, "{} MB", read / MB / 10 * 10),
        }
    }
}

pub(super) struct Counted<R> {
    pub(super) source: R,
    pub(super) progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(out)?;
        self.progress.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Unpacks a source that begins with the magic bytes of gzip, of one member or several.
pub(crate) fn unpack(mut source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    source.by_ref().take(2).read_to_end(&mut magic)?;
    let packed = magic == [0x1f, 0x8b];
    let whole = io::Cursor::new(magic).chain(source);
    Ok(if packed { Box::new(Unpacked { gzip: MultiGzDecoder::new(whole), broken: None }) } else { Box::new(whole) })
}

/// A gzip stream that, where it is corrupt, still gives the whole lines before that.
struct Unpacked<R> {
    gzip: MultiGzDecoder<R>,
    broken: Option<io::Error>,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        // A read that fails does not say how much it has written before: a line end tells.
        out.fill(0);
        self.gzip.read(out).or_else(|error| {
            let Some(end) = memrchr(b'\n', out) else { return Err(error) };
            self.broken = Some(error);
            Ok(end + 1)
        })
    }
}
