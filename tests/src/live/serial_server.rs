//! A serial server: what is said on a line, on a TCP port of the loopback. For agents whose system cannot set a serial port up, as qemu's user
//! mode, which knows no termios2.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{QueueSelector, tcflush};

/// Bytes that are carried at once.
const CHUNK: usize = 4096;

/// Serves the line at a path to one client after the other, as long as the process lives; its port.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn serve(line: &Path) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let line = PathBuf::from(line);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A line that is pulled out closes the connection; the client comes again.
            let _ = carry(&line, client);
        }
    });
    port
}

/// Carries what is said on the line from now on, until either end closes.
fn carry(line: &Path, mut client: TcpStream) -> io::Result<()> {
    let mut line = File::open(line)?;
    tcflush(&line, QueueSelector::IFlush)?;
    let mut bytes = [0; CHUNK];
    loop {
        let mut ends = [PollFd::new(&line, PollFlags::IN), PollFd::new(&client, PollFlags::IN)];
        poll(&mut ends, None)?;
        let [said, closed] = ends.map(|end| !end.revents().is_empty());
        if said {
            let read = line.read(&mut bytes)?;
            client.write_all(&bytes[..read])?;
        }
        if closed && client.read(&mut bytes)? == 0 {
            return Ok(());
        }
    }
}
