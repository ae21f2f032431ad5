//! A board on a serial line: a pseudo-terminal behind a link, as udev would make one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr};

/// A board that is plugged in; dropped, it is pulled out.
#[derive(Debug)]
pub struct Board {
    end: File,
    /// Held open here as well: a pty without a reader hangs up its writer.
    port: File,
    link: PathBuf,
}

/// A serial line of text: the end of the board, the end of the Pi, and the path at which that is opened.
///
/// # Errors
/// When the machine gives no pseudo-terminal.
pub fn serial_line() -> io::Result<(File, File, PathBuf)> {
    // Not for the agent to inherit: the line would never hang up. And no terminal that controls this process, which may lead its
    // session: the system would stop an agent that sets the line up, as a job in the background.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let end = openpt(flags)?;
    grantpt(&end)?;
    unlockpt(&end)?;
    let path = ptsname(&end, Vec::new())?.into_string().map_err(io::Error::other)?;
    let port = ioctl_tiocgptpeer(&end, flags)?;
    // A line of a board echoes nothing.
    let mut settings = tcgetattr(&port)?;
    settings.make_raw();
    tcsetattr(&port, OptionalActions::Now, &settings)?;
    Ok((end.into(), port.into(), path.into()))
}

/// Lets another program open a port that one before wanted for itself. The last close of a port does that; one that is held open here is
/// never closed, and then only root may open it.
pub fn release(port: impl AsFd) {
    let _ = ioctl_tiocnxcl(port);
}

impl Board {
    /// Plugs a board in, so that its line is found at a link.
    ///
    /// # Panics
    /// When the machine gives no pseudo-terminal, or the link is there already.
    #[must_use]
    pub fn plug_in(link: &Path) -> Board {
        let (end, port, path) = serial_line().expect("a pseudo-terminal");
        symlink(path, link).expect("a link to it");
        Board { end, port, link: link.to_owned() }
    }

    /// Lets another program open the line, as after the agent closed it.
    pub fn release(&self) {
        release(&self.port);
    }

    /// Says bytes; waits while the line is full.
    ///
    /// # Errors
    /// What the system says.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.end.write_all(bytes.as_ref())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.link);
    }
}
