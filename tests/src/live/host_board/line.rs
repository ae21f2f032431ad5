//! The serial line of a host board: a pseudo-terminal at a link, as udev would make one, or a TCP port for one agent at a time.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};

use crate::live::board::{release, serial_line};

/// Bytes on their way out at most: one longest frame and its beginning again. More waits in the node.
const OUT: usize = 128;

/// A serial line.
#[derive(Debug)]
pub struct Line {
    end: End,
    received: VecDeque<u8>,
    out: Vec<u8>,
    /// A cut line loses what is said in either direction.
    is_cut: bool,
}

#[derive(Debug)]
enum End {
    /// The port is held open here as well: a pty without a reader hangs up its writer.
    Pty {
        board: File,
        port: File,
        link: PathBuf,
    },
    Tcp {
        listener: TcpListener,
        agent: Option<TcpStream>,
    },
}

impl Line {
    /// A pseudo-terminal that is found at a link, which goes with the line.
    ///
    /// # Errors
    /// When the machine gives none, or the link is there already.
    pub fn pty(link: &Path) -> io::Result<Self> {
        let (board, port, path) = serial_line()?;
        fcntl_setfl(&board, OFlags::RDWR | OFlags::NONBLOCK)?;
        symlink(path, link)?;
        Ok(Self::new(End::Pty { board, port, link: link.to_owned() }))
    }

    /// A TCP port on which one agent at a time is served, the newest. With the port 0 the machine chooses one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn tcp(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((Self::new(End::Tcp { listener, agent: None }), address))
    }

    fn new(end: End) -> Self {
        Self { end, received: VecDeque::new(), out: Vec::new(), is_cut: false }
    }

    /// Cuts the line, or joins it again.
    pub fn set_cut(&mut self, is_cut: bool) {
        self.is_cut = is_cut;
    }

    pub(super) fn receive(&mut self) -> Option<u8> {
        if self.received.is_empty() {
            self.fill();
        }
        self.received.pop_front()
    }

    pub(super) fn can_send(&self) -> bool {
        self.out.len() < OUT
    }

    pub(super) fn send(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Sends what is on its way out. Bytes that are not read are lost, as on a real line.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        if self.is_cut || out.is_empty() {
            return Ok(());
        }
        let sent = match &mut self.end {
            End::Pty { board, .. } => board.write(&out),
            End::Tcp { agent: Some(agent), .. } => agent.write(&out),
            End::Tcp { agent: None, .. } => Ok(0),
        };
        match sent {
            Err(error) if matches!(self.end, End::Pty { .. }) && error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until there is something to read, or for that long.
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<()> {
        if !self.received.is_empty() {
            return Ok(());
        }
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(self.readable(), PollFlags::IN)], Some(&time)) {
            Ok(0) => {
                if let End::Pty { port, .. } = &self.end {
                    release(port);
                }
                Ok(())
            }
            Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn readable(&self) -> BorrowedFd<'_> {
        match &self.end {
            End::Pty { board, .. } => board.as_fd(),
            End::Tcp { agent: Some(agent), .. } => agent.as_fd(),
            End::Tcp { listener, .. } => listener.as_fd(),
        }
    }

    fn fill(&mut self) {
        let mut bytes = [0; 256];
        let read = match &mut self.end {
            End::Pty { board, .. } => board.read(&mut bytes).unwrap_or(0),
            End::Tcp { listener, agent } => {
                if let Ok((newer, _)) = listener.accept()
                    && newer.set_nonblocking(true).is_ok()
                {
                    *agent = Some(newer);
                }
                match agent.as_mut().map(|stream| stream.read(&mut bytes)) {
                    Some(Ok(0)) => {
                        *agent = None;
                        0
                    }
                    Some(Ok(read)) => read,
                    Some(Err(_)) | None => 0,
                }
            }
        };
        if !self.is_cut {
            self.received.extend(&bytes[..read]);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let End::Pty { link, .. } = &self.end {
            let _ = fs::remove_file(link);
        }
    }
}
