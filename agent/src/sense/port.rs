//! A serial port that is open, and whether it is still the one under its path.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
use tilth_config::{Parity, Serial};
use tokio::io::AsyncReadExt;
use tokio_serial::{ErrorKind, SerialPortBuilderExt, SerialStream, StopBits};

use super::released::{PortClaim, Ports};

#[derive(Debug)]
pub(crate) struct Port {
    pub(super) stream: SerialStream,
    path: PathBuf,
    /// Which device the path led to.
    device: u64,
    open: PortClaim,
}

impl Port {
    /// Opens the port by its path, which may be a link such as those under `/dev/serial/by-id`.
    ///
    /// # Errors
    /// The system's error, and a port that is left to another program.
    pub(crate) fn open(serial: &Serial, ports: &Ports) -> io::Result<Port> {
        let path = PathBuf::from(&serial.port);
        // Before opening: a port that does not exist is then reported as not found, and not as one that cannot be set up.
        let device = device_at(&path)?;
        let open = ports.open(device)?;
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
            ErrorKind::InvalidInput | ErrorKind::Unknown => match is_terminal(&path) {
                Ok(true) => io::Error::other(error.description),
                Ok(false) => io::Error::other("it is no serial port"),
                // Such as a device that the service may not open.
                Err(error) => error,
            },
        })?;
        Ok(Port { stream, path, device, open })
    }

    /// Opens the port so that closing it leaves the board alone: an Uno restarts when its port is opened after that.
    ///
    /// # Errors
    /// As [`Port::open`].
    pub(crate) fn open_without_reset(serial: &Serial, ports: &Ports) -> io::Result<Port> {
        let _open = ports.open(device_at(Path::new(&serial.port))?)?;
        // Held until the port is open: closed before, it would hang up once more.
        let held = clear_hupcl(Path::new(&serial.port));
        let port = Port::open(serial, ports);
        drop(held);
        port
    }

    /// Reads what came; waits for it. Cancelling is safe.
    ///
    /// # Errors
    /// When the port is gone, or is to be left to another program.
    pub(super) async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        tokio::select! {
            biased;
            left = self.open.released() => Err(left),
            read = self.stream.read(bytes) => read,
        }
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

/// An error of a port in the words of a technician.
pub(super) fn reason(port: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{port}: there is no such port; is the adapter plugged in?"),
        io::ErrorKind::PermissionDenied => {
            format!("{port}: permission denied; is the agent's user in the group dialout?")
        }
        io::ErrorKind::ResourceBusy => format!("{port}: another program holds it"),
        _ => format!("{port}: {error}"),
    }
}

/// Clears `HUPCL` of a port, so that closing it does not pull its control lines down; of what is no port nothing is changed.
fn clear_hupcl(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let port = rustix::fs::open(path, flags, Mode::empty())?;
    let mut settings = tcgetattr(&port)?;
    settings.control_modes.remove(ControlModes::HUPCL);
    tcsetattr(&port, OptionalActions::Now, &settings)?;
    Ok(port)
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
fn is_terminal(path: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.is_terminal())
}
