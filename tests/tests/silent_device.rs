//! The hub pages about a device that fell silent: the real hub, and a server as ntfy's or a webhook in a process of its own. The
//! device is a client that sends batches with the device's key.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tilth_tests::agent::Folder;
use tilth_tests::live::Running;
use tilth_tests::live::hub::{CLIENT, DEVICE, Hub};

/// A device beside [`DEVICE`]: once it is paged about, the hub has looked at both.
const OTHER: &str = "pi-2";

const TOPIC: &str = "farm-8c1d";
const SECRET: &str = "geheim-5f0c1b7a9d";

/// What is waited for comes within seconds; this much means that it never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A hub with two devices, and a receiver of its pages.
struct Site {
    hub: Hub,
    other_key: String,
    folder: PathBuf,
    _receiver: Running,
    _files: Folder,
}

impl Site {
    /// Pages go to a receiver of a kind, about devices that are silent for two seconds.
    fn new(kind: &str) -> Site {
        let files = Folder::new(&format!("silent-{kind}"));
        for (name, text) in [("topic", TOPIC), ("token", SECRET), ("secret", SECRET)] {
            files.write(&format!("receiver/{name}"), text);
        }
        let folder = files.path().join("receiver");
        let (receiver, port) = receiver(kind, &folder);
        let hub = Hub::new(&files.path().join("hub"));
        let added = hub.json(&["device", "add", OTHER, "--client", CLIENT]);
        let path = files.path().join("hub/secrets");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("pager"), SECRET).unwrap();
        fs::set_permissions(path.join("pager"), fs::Permissions::from_mode(0o600)).unwrap();
        let to = format!("http://127.0.0.1:{port}/{}", if kind == "ntfy" { TOPIC } else { "hook" });
        let said = hub.call(&[
            "tenant",
            "set",
            CLIENT,
            &format!("--{kind}"),
            &to,
            "--secret",
            "pager",
            "--silent-after",
            "2s",
        ]);
        assert_eq!(said, format!("acme: pages about devices silent for 2s go to http://127.0.0.1:{port}\n"));
        let other_key = added["device_key"].as_str().unwrap().to_owned();
        Site { hub, other_key, folder, _receiver: receiver, _files: files }
    }

    /// A device sends a batch that brings nothing.
    fn speak(&self, device: &str) {
        let (key, stream) = if device == DEVICE { (&self.hub.device_key, 1) } else { (&self.other_key, 2) };
        let batch = json!({
            "version": 1, "client": CLIENT, "device": device, "stream": format!("{stream:032x}"), "epoch": null, "lanes": {},
        });
        let body = batch.to_string();
        let mut connection = TcpStream::connect(("127.0.0.1", self.hub.port)).unwrap();
        write!(
            connection,
            "POST /api/v1/sync/batch HTTP/1.0\r\nHost: hub\r\nX-Device-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.hub.folder.join("log")).unwrap_or_default()
    }

    fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What came about a device, in order: `silent` or `back`.
    fn told(&self, device: &str) -> Vec<&'static str> {
        let is_silent = format!("device {device} of acme silent for ");
        let is_back = format!("device {device} of acme reporting again after ");
        let what = |request: Value| {
            let text = request.to_string();
            let silent = text.contains(&is_silent).then_some("silent");
            silent.or(text.contains(&is_back).then_some("back"))
        };
        self.requests().into_iter().filter_map(what).collect()
    }

    /// Waits, and does something meanwhile again and again.
    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&Site) -> bool, meanwhile: impl Fn(&Site)) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < PATIENCE, "{what}: {:?}\n{}", self.requests(), self.log());
            meanwhile(self);
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn receiver(kind: &str, folder: &Path) -> (Running, u16) {
    let said = folder.join("said");
    let mut call = Command::new(env!("CARGO_BIN_EXE_receiver"));
    call.arg(kind).arg(folder).stdin(Stdio::null()).stdout(fs::File::create(&said).unwrap());
    let receiver = Running::start(&mut call).unwrap();
    while !fs::read_to_string(&said).unwrap().ends_with('\n') {
        thread::yield_now();
    }
    let port = fs::read_to_string(&said).unwrap().trim().rsplit(':').next().unwrap().parse().unwrap();
    (receiver, port)
}

#[test]
fn a_silent_device_pages_once_and_once_when_it_is_back_over_restarts() {
    let mut site = Site::new("ntfy");
    site.hub.serve();
    site.speak(DEVICE);
    site.until("the page", |site| site.told(DEVICE) == ["silent"], |_| {});
    let page = &site.requests()[0];
    assert_eq!((&page["status"], &page["message"]["priority"]), (&json!(200), &json!(5)), "{page}");
    site.until("the page is noted", |site| site.log().contains("notification delivered"), |_| {});
    site.hub.stop();
    site.hub.serve();
    site.speak(OTHER);
    site.until("a page of the other one", |site| site.told(OTHER) == ["silent"], |_| {});
    assert_eq!(site.told(DEVICE), ["silent"], "a restart sends no page again");
    site.speak(DEVICE);
    site.until("the device is back", |site| site.told(DEVICE).len() == 2, |_| {});
    site.until("the next silence", |site| site.told(DEVICE).len() == 3, |_| {});
    assert_eq!(site.told(DEVICE), ["silent", "back", "silent"]);
    assert_eq!(site.told(OTHER), ["silent"]);
}

#[test]
fn a_hub_that_was_away_pages_nobody_for_that() {
    let mut site = Site::new("ntfy");
    site.hub.serve();
    site.speak(DEVICE);
    site.hub.stop();
    // Longer than the limit.
    thread::sleep(Duration::from_secs(3));
    site.hub.serve();
    site.speak(OTHER);
    let other_is_paged = |site: &Site| site.told(OTHER) == ["silent"];
    site.until("a page of the other one", other_is_paged, |site| site.speak(DEVICE));
    assert_eq!(site.told(DEVICE), [""; 0]);
}

#[test]
fn a_webhook_is_paged_and_each_device_has_a_limit_of_its_own() {
    let mut site = Site::new("webhook");
    let said = site.hub.call(&["tenant", "set", CLIENT, "--device", OTHER, "--silent-after", "1h"]);
    assert_eq!(said, "acme: device pi-2 is silent after 1h\n");
    site.hub.serve();
    site.speak(OTHER);
    site.speak(DEVICE);
    site.until("the page", |site| site.told(DEVICE) == ["silent"], |_| {});
    assert_eq!(site.told(OTHER), [""; 0]);
    let page = &site.requests()[0];
    assert_eq!((&page["status"], &page["came_before"]), (&json!(200), &json!(false)), "{page}");
    site.hub.call(&["tenant", "set", CLIENT, "--no-pages"]);
    assert_eq!(site.hub.json(&["tenant", "list"])["pages"]["to"], Value::Null);
}
