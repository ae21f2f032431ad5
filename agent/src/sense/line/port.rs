//! A serial port that is open, and whether it is still the one under its path.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tilth_config::{Parity, Serial};
use tokio_serial::{ErrorKind, SerialPortBuilderExt, SerialStream, StopBits};

#[derive(Debug)]
pub(super) struct Port {
    pub(super) stream: SerialStream,
    path: PathBuf,
    /// Which device the path led to.
    device: u64,
}

impl Port {
    /// Opens the port by its path, which may be a link such as those under `/dev/serial/by-id`.
    pub(super) fn open(serial: &Serial) -> io::Result<Port> {
        let path = PathBuf::from(&serial.port);
        // Before opening: a missing port is then said to be missing, and not that it cannot be set up.
        let device = device_at(&path)?;
        let parity = match serial.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        };
        let stop_bits = if serial.stop_bits == 2 { StopBits::Two } else { StopBits::One };
        let builder = tokio_serial::new(&serial.port, serial.baud).parity(parity).stop_bits(stop_bits);
        let stream = builder.open_native_async().map_err(|error| match error.kind() {
            ErrorKind::Io(kind) => io::Error::new(kind, error.description),
            // The library says this of a device that something else has locked.
            ErrorKind::NoDevice => io::Error::new(io::ErrorKind::ResourceBusy, error.description),
            ErrorKind::InvalidInput | ErrorKind::Unknown if !is_terminal(&path) => {
                io::Error::other("it is no serial port")
            }
            ErrorKind::InvalidInput | ErrorKind::Unknown => io::Error::other(error.description),
        })?;
        Ok(Port { stream, path, device })
    }

    /// Whether the path still leads to what was opened.
    pub(super) fn check(&self) -> io::Result<()> {
        if fs::metadata(&self.path)?.rdev() == self.device {
            Ok(())
        } else {
            Err(io::Error::other("it is another device now"))
        }
    }
}

/// The device behind a path, without opening it: that would reset many a board.
pub(crate) fn device_at(path: &Path) -> io::Result<u64> {
    let found = fs::metadata(path)?;
    if found.file_type().is_char_device() {
        return Ok(found.rdev());
    }
    let what = if found.is_dir() { "folder" } else { "file" };
    Err(io::Error::other(format!("it is a {what} and no serial port")))
}

/// Asked only of what could not be set up as a port. Cannot wait: without a modem's consent a port would.
fn is_terminal(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).is_ok_and(|port| port.is_terminal())
}
