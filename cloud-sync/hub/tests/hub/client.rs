//! As much of HTTP as the tests need, over anything that carries bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value as Json;

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: Vec<u8>,
}

impl<'a> Request<'a> {
    pub(crate) fn get(target: &'a str, key: &'a str) -> Request<'a> {
        Request { method: "GET", target, key: Some(key), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn post(target: &'a str, key: &'a str, body: impl Into<Vec<u8>>) -> Request<'a> {
        Request { method: "POST", target, key: Some(key), headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn header(mut self, name: &'a str, value: &'a str) -> Request<'a> {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn send(&self, address: SocketAddr) -> Reply {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        self.send_over(stream)
    }

    pub(crate) fn send_over(&self, mut stream: impl Read + Write) -> Reply {
        let Request { method, target, key, headers, body } = self;
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n");
        head += &format!("content-length: {}\r\n", body.len());
        let key = key.iter().map(|key| ("X-Device-Key", *key));
        for (name, value) in headers.iter().copied().chain(key) {
            head += &format!("{name}: {value}\r\n");
        }
        // A hub that refuses early may not take the whole body.
        let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
        let _ = stream.flush();
        Reply::read(stream)
    }
}

impl Reply {
    pub(crate) fn read(mut stream: impl Read) -> Reply {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        // The head says how long the body is; how the connection ends after it does not matter.
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) => {
                    assert!(!bytes.is_empty(), "no answer: {error}");
                    break;
                }
            }
        }
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Reply { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Json {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// Status, word and sentence of a refusal.
    #[track_caller]
    pub(crate) fn refused(&self) -> (u16, String, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{} {}", self.status, self.text());
        let body = self.json();
        let text = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("{key} in {body}")).to_owned();
        assert_eq!(body.as_object().unwrap().len(), 5, "{body}");
        assert_eq!((&body["status"], &body["detail"]), (&Json::from(self.status), &body["message"]), "{body}");
        assert!(!text("title").is_empty(), "{body}");
        (self.status, text("error"), text("message"))
    }
}
