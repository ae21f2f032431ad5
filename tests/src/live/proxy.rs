//! What stands between an agent and its hub: a line that can be told at any time to fail in one way or another.
//!
//! The proxy carries one request a connection, and counts them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at what is to be done.
const LOOK: Duration = Duration::from_millis(5);

/// The address of bundles.
pub const BUNDLE: &str = "/api/config/bundle";

/// The address of batches.
pub const BATCH: &str = "/api/v1/sync/batch";

/// Behaviour of the proxy for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Carries it to the hub, and the answer back.
    Passes,
    /// The port is closed.
    Refuses,
    /// Gives these bytes instead of asking the hub; [`answer`] makes an answer of HTTP.
    Says(Vec<u8>),
    /// Closes after half of the hub's answer.
    Halves,
    /// Closes instead of giving the hub's answer.
    Swallows,
    /// Carries it to the hub, and gives the answer once the proxy is to do something else.
    HoldsBack,
    /// Gives the hub's answer byte by byte.
    Trickles,
    /// Says nothing, and closes once it is to do something else.
    Hangs,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it was there whole.
    pub at: Instant,
    /// Path of the request without its parameters.
    pub path: String,
}

/// A proxy on the loopback; dropped, it ends.
#[derive(Debug)]
pub struct Proxy {
    /// Port at which the proxy listens.
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    hub: u16,
    line: Line,
    /// Takes the place of every bundle while the line passes.
    bundle: Option<Vec<u8>>,
    requests: Vec<Request>,
    ends: bool,
}

/// An answer of HTTP with a status, further header lines and a body.
#[must_use]
pub fn answer(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

impl Proxy {
    /// A line to the hub at a port of the loopback, that passes.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn to(hub: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Shared { hub, line: Line::Passes, bundle: None, requests: Vec::new(), ends: false };
        let shared = Arc::new(Mutex::new(shared));
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || listen(listener, port, &of_thread));
        Proxy { port, shared }
    }

    /// Sets the behaviour from now on.
    pub fn set(&self, line: Line) {
        lock(&self.shared).line = line;
    }

    /// Gives these bytes in the place of every bundle, or the hub's own again. The answer has the `ETag` of the hub's.
    pub fn replace_bundle(&self, bytes: Option<Vec<u8>>) {
        lock(&self.shared).bundle = bytes;
    }

    /// When requests for an address came, since an instant.
    #[must_use]
    pub fn requests(&self, path: &str, since: Instant) -> Vec<Instant> {
        let shared = lock(&self.shared);
        shared.requests.iter().filter(|one| one.path == path && one.at >= since).map(|one| one.at).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.shared).ends = true;
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(first: TcpListener, port: u16, shared: &Arc<Mutex<Shared>>) {
    let mut listener = Some(first);
    loop {
        let (refuses, ends) = {
            let shared = lock(shared);
            (shared.line == Line::Refuses, shared.ends)
        };
        if ends {
            return;
        }
        if refuses {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(("127.0.0.1", port)).ok();
        }
        let accepted = listener.as_ref().map(|listener| {
            listener.set_nonblocking(true)?;
            listener.accept()
        });
        match accepted {
            Some(Ok((agent, _))) => {
                let shared = Arc::clone(shared);
                // A connection that breaks is one of the things that happen.
                thread::spawn(move || drop(serve(agent, &shared)));
            }
            _ => thread::sleep(LOOK),
        }
    }
}

fn serve(mut agent: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    agent.set_nonblocking(false)?;
    let (head, body) = read_request(&mut agent)?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let (line, hub, bundle) = {
        let mut shared = lock(shared);
        shared.requests.push(Request { at: Instant::now(), path: path.clone() });
        (shared.line.clone(), shared.hub, shared.bundle.clone())
    };
    let from_hub = || ask(hub, &head, &body);
    match &line {
        Line::Passes => {
            let answer = from_hub()?;
            match bundle.filter(|_| path == BUNDLE) {
                Some(bundle) => agent.write_all(&with_body(&answer, &bundle))?,
                None => agent.write_all(&answer)?,
            }
        }
        Line::Refuses => {}
        Line::Says(bytes) => agent.write_all(bytes)?,
        Line::Halves => {
            let answer = from_hub()?;
            let end = end_of_head(&answer).filter(|end| *end < answer.len());
            let half = end.map_or(answer.len() / 2, |end| end + (answer.len() - end) / 2);
            agent.write_all(&answer[..half])?;
        }
        Line::Swallows => drop(from_hub()?),
        Line::HoldsBack => {
            let answer = from_hub()?;
            wait_while(shared, &line);
            agent.write_all(&answer)?;
        }
        Line::Trickles => {
            for byte in from_hub()? {
                if lock(shared).line == line {
                    thread::sleep(LOOK * 4);
                }
                agent.write_all(&[byte])?;
            }
        }
        Line::Hangs => wait_while(shared, &line),
    }
    agent.shutdown(Shutdown::Write)
}

/// Waits until the proxy is to do something else, or ends.
fn wait_while(shared: &Mutex<Shared>, line: &Line) {
    while lock(shared).line == *line && !lock(shared).ends {
        thread::sleep(LOOK);
    }
}

/// The whole answer of the hub.
fn ask(hub: u16, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", hub))?;
    let kept = head.trim_end().split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head = kept.collect::<Vec<_>>().join("\r\n") + "\r\nconnection: close\r\n\r\n";
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn read_request(agent: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = end_of_head(&bytes) {
            break end;
        }
        more(agent, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        more(agent, &mut bytes)?;
    }
    Ok((head, bytes.split_off(end)))
}

fn more(from: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut some = [0; 4096];
    match from.read(&mut some)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            bytes.extend_from_slice(&some[..read]);
            Ok(())
        }
    }
}

fn with_body(of_hub: &[u8], body: &[u8]) -> Vec<u8> {
    let head = String::from_utf8_lossy(&of_hub[..end_of_head(of_hub).unwrap_or(0)]).into_owned();
    let etag = header(&head, "etag").map(|etag| format!("etag: {etag}"));
    answer(200, &etag.iter().map(String::as_str).collect::<Vec<_>>(), body)
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
