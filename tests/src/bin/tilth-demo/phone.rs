//! A grower's phone with the ntfy app, together with its server on the internet: what is pushed to it is heard while the internet is there.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Heard;

/// How often the server looks for a push, and whether the internet is cut.
const LOOK: Duration = Duration::from_millis(10);

/// A push is here within this.
const PATIENCE: Duration = Duration::from_secs(1);

/// The phone and its server.
pub(crate) struct Phone {
    pub(crate) address: SocketAddr,
    tell: Sender<Heard>,
    server: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Phone {
    /// A phone that can be reached at a free port.
    pub(crate) fn start(tell: Sender<Heard>) -> io::Result<Phone> {
        let mut phone = Phone { address: SocketAddr::from(([127, 0, 0, 1], 0)), tell, server: None };
        phone.connect()?;
        Ok(phone)
    }

    /// The server can be reached, from the second time on at the same port.
    pub(crate) fn connect(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        self.address = listener.local_addr()?;
        let is_cut = Arc::new(AtomicBool::new(false));
        let (cut, tell) = (Arc::clone(&is_cut), self.tell.clone());
        let thread = thread::spawn(move || {
            while !cut.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let pushed = take(&stream).map(Heard::Pushed);
                        pushed.map(|pushed| tell.send(pushed));
                    }
                    Err(_) => thread::sleep(LOOK),
                }
            }
        });
        self.server = Some((is_cut, thread));
        Ok(())
    }

    /// The internet is cut: nothing answers at the port any more.
    pub(crate) fn cut(&mut self) {
        if let Some((is_cut, thread)) = self.server.take() {
            is_cut.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
    }
}

/// Takes a push and answers it; its title.
fn take(mut stream: &TcpStream) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let (mut title, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("title") => title = Some(value.to_owned()),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").ok()?;
    title
}
