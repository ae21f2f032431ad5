//! A server that people are told by: keeps what it is sent, and answers as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything takes here, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port of this machine. Its thread ends with the tests.
pub(crate) struct Receiver {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    status: Arc<Mutex<String>>,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Receiver {
    /// Answers `200 OK`.
    pub(crate) fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (heard, status) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::new(Mutex::new("200 OK".to_owned())));
        let (hears, answers) = (Arc::clone(&heard), Arc::clone(&status));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                let status = answers.lock().expect("the status").clone();
                hears.lock().expect("the requests").push(request);
                // The other side may have gone already.
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Receiver { url, heard, status }
    }

    /// Answers with this status line, and headers after it, from now on.
    pub(crate) fn answer(&self, status: &str) {
        status.clone_into(&mut self.status.lock().expect("the status"));
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("the requests").clone()
    }

    /// The titles of what was sent to it.
    pub(crate) fn titles(&self) -> Vec<String> {
        self.heard().iter().map(|heard| heard.header("title").to_owned()).collect()
    }

    /// Waits until so many requests came.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Heard> {
        let end = Instant::now() + PATIENCE;
        while self.heard().len() < count {
            assert!(Instant::now() < end, "expected {count} requests; came: {:#?}", self.heard());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.heard()
    }
}

fn read(stream: &TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut String::new()).ok()?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Heard { headers, body: String::from_utf8_lossy(&body).into_owned() })
}
