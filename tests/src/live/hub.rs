//! The real `tilth-hub` with one tenant and one device, `acme` and `pi-1`, and what it says to a reader.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Running;
use crate::agent::hub;

/// The tenant.
pub const CLIENT: &str = "acme";

/// The device.
pub const DEVICE: &str = "pi-1";

/// A hub in a folder of its own. What it says goes to `log` there.
#[derive(Debug)]
pub struct Hub {
    /// Folder with its data, its signing key `hub.pub` and its log.
    pub folder: PathBuf,
    /// Of the tenant.
    pub read_key: String,
    /// Of the device.
    pub device_key: String,
    /// On the loopback; 0 until it has served for the first time.
    pub port: u16,
    serving: Option<Running>,
}

impl Hub {
    /// A new hub that does not serve yet.
    ///
    /// # Panics
    /// When the program refuses.
    #[must_use]
    pub fn new(folder: &Path) -> Hub {
        let mut hub = Hub {
            folder: folder.to_owned(),
            read_key: String::new(),
            device_key: String::new(),
            port: 0,
            serving: None,
        };
        hub.call(&["init"]);
        let text = |value: &Value| value.as_str().expect("a key").to_owned();
        hub.read_key = text(&hub.json(&["tenant", "add", CLIENT])["read_key"]);
        hub.device_key = text(&hub.json(&["device", "add", DEVICE, "--client", CLIENT])["device_key"]);
        hub
    }

    /// A hub that lies in a folder already, with the keys that were handed out then. It does not serve yet.
    #[must_use]
    pub fn found(folder: &Path, read_key: &str, device_key: &str) -> Hub {
        let (folder, read_key, device_key) = (folder.to_owned(), read_key.to_owned(), device_key.to_owned());
        Hub { folder, read_key, device_key, port: 0, serving: None }
    }

    /// Runs a command of the hub to its end and gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn call(&self, arguments: &[&str]) -> String {
        let output = Command::new(hub()).args(arguments).arg("--data").arg(&self.folder).output().expect("it starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it says text")
    }

    /// As [`Hub::call`], of a command that prints one object.
    ///
    /// # Panics
    /// When it fails or prints something else.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.call(&[arguments, &["--json"]].concat())).expect("an object")
    }

    /// Puts a document in force for the device.
    ///
    /// # Panics
    /// When the hub refuses it.
    #[track_caller]
    pub fn configure(&self, config: &Path) {
        let config = config.to_str().expect("UTF-8");
        self.call(&["config", "put", config, "--client", CLIENT, "--device", DEVICE]);
    }

    /// Serves plain HTTP: on a free port the first time, and on the same one ever after.
    ///
    /// # Panics
    /// When it does not.
    pub fn serve(&mut self) {
        self.serve_with(&[]);
    }

    /// As [`Hub::serve`], with further options such as those of TLS.
    ///
    /// # Panics
    /// When it does not serve.
    pub fn serve_with(&mut self, options: &[&str]) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let mut call = Command::new(hub());
        call.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--data"])
            .arg(&self.folder)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut serving = Running::start(&mut call).expect("it starts");
        let mut line = String::new();
        BufReader::new(serving.0.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it listens");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        self.serving = Some(serving);
        self.port = port.unwrap_or_else(|| panic!("the hub does not serve: {line}"));
    }

    /// Ends it as a power cut would.
    pub fn stop(&mut self) {
        self.serving = None;
    }

    /// Whether it serves.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.serving.is_some()
    }

    /// What a reader of the tenant gets.
    ///
    /// # Panics
    /// When the answer is not 200.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.ask(path).unwrap_or_else(|answer| panic!("GET {path}: {answer}"))
    }

    /// As [`Hub::get`], for what the hub may not know yet. On another answer than 200, that answer.
    ///
    /// # Errors
    /// The whole answer, head and body.
    ///
    /// # Panics
    /// When no server listens.
    pub fn ask(&self, path: &str) -> Result<Value, String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let key = &self.read_key;
        // HTTP/1.0: the answer then comes in one piece and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: hub\r\nX-Device-Key: {key}\r\n\r\n").expect("it takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers text");
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.split_whitespace().nth(1) == Some("200") => {
                serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))
            }
            _ => Err(answer),
        }
    }

    /// All pages of a list, such as `windows` of `/api/data?..`; empty where the hub does not know it yet or is down.
    ///
    /// # Panics
    /// When an answer holds no such list.
    #[must_use]
    pub fn list(&self, path: &str, name: &str) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        let mark = if path.contains('?') { '&' } else { '?' };
        while self.is_up() {
            let Ok(mut page) = self.ask(&format!("{path}{mark}limit=5000{after}")) else { break };
            all.append(page[name].as_array_mut().expect("a list"));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        all
    }

    /// Alerts of every state.
    #[must_use]
    pub fn alerts(&self) -> Vec<Value> {
        self.list("/api/alerts?state=all", "alerts")
    }

    /// What the device said of its newest bundle.
    #[must_use]
    pub fn said_of_bundle(&self) -> Value {
        self.get("/api/health")["devices"][0]["config"]["said"]["body"].clone()
    }
}
