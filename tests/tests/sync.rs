//! Agent and hub, the real programs: what a serial line says arrives at the hub, once, through an outage; what the hub
//! configures arrives at the agent, if the right key signed it.
//!
//! The agent runs on the input clock: its time is that of the readings. Sync's waits run on the machine's.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tilth_tests::agent::{Folder, hub, program};

/// 2026-03-01T00:00:00Z.
const BEGIN_MS: i64 = 1_772_323_200_000;

const MINUTE_MS: i64 = 60_000;

/// Between two readings.
const STEP_MS: i64 = 10_000;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn farm(limit: u32) -> String {
    format!(
        "
        [sensors.'room/temp']
        quantity = 'temperature'
        input = 'line:gateway/temp'
        stamp = 'source'
        interval = '10s'

        [rules.hot]
        sensor = 'room/temp'
        above = {limit}
        severity = 'warning'
        "
    )
}

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A hub in a folder of its own.
struct Hub {
    folder: PathBuf,
    read_key: String,
    device_key: String,
    port: u16,
    serving: Option<Running>,
}

impl Hub {
    fn new(folder: &Path) -> Hub {
        let mut hub = Hub {
            folder: folder.to_owned(),
            read_key: String::new(),
            device_key: String::new(),
            port: 0,
            serving: None,
        };
        hub.call(&["init"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        hub.read_key = text(&hub.json(&["tenant", "add", "acme"])["read_key"]);
        hub.device_key = text(&hub.json(&["device", "add", "pi-1", "--client", "acme"])["device_key"]);
        hub
    }

    fn call(&self, arguments: &[&str]) -> String {
        let output = Command::new(hub()).args(arguments).arg("--data").arg(&self.folder).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.call(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn configure(&self, config: &Path) {
        self.call(&["config", "put", config.to_str().unwrap(), "--client", "acme", "--device", "pi-1"]);
    }

    /// On a free port the first time, and on the same one ever after.
    fn serve(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut child = Command::new(hub())
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--data"])
            .arg(&self.folder)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.port = line.trim().rsplit(':').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        self.serving = Some(Running(child));
    }

    fn stop(&mut self) {
        self.serving = None;
    }

    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let key = &self.read_key;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: hub\r\nX-Device-Key: {key}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// The windows of the first hours: how many readings came in each, by its start.
    fn windows(&self) -> BTreeMap<String, u64> {
        let path = format!(
            "/api/data?sensor=room/temp&from={}&to={}&limit=5000",
            BEGIN_MS - MINUTE_MS,
            BEGIN_MS + 600 * MINUTE_MS
        );
        let answer = match self.serving {
            Some(_) => self.get_or_none(&path),
            None => None,
        };
        let Some(answer) = answer else { return BTreeMap::new() };
        let mut found = BTreeMap::new();
        for window in answer["windows"].as_array().unwrap() {
            let start = window["start"].as_str().unwrap().to_owned();
            // A leap is doubted and counted apart.
            let count = window["count"].as_u64().unwrap() + window["bad"].as_u64().unwrap();
            assert_eq!(found.insert(start, count), None, "twice: {window}");
        }
        found
    }

    /// As `get`, for a sensor that the hub may not know yet.
    fn get_or_none(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let key = &self.read_key;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: hub\r\nX-Device-Key: {key}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).unwrap())
    }

    fn alerts(&self) -> Vec<Value> {
        self.get("/api/alerts?state=all")["alerts"].as_array().unwrap().clone()
    }

    /// What the device said of its newest bundle.
    fn said(&self) -> Value {
        self.get("/api/health")["devices"][0]["config"]["said"]["body"].clone()
    }
}

/// The agent's folder, the board on its serial line, and the agent itself.
struct Farm {
    folder: Folder,
    end: File,
    _port: OwnedFd,
    now_ms: i64,
    agent: Option<Running>,
}

impl Farm {
    fn new(name: &str, hub: &Hub, signing_key: &Path) -> Farm {
        let folder = Folder::new(name);
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&end).unwrap();
        unlockpt(&end).unwrap();
        let path = PathBuf::from(ptsname(&end, Vec::new()).unwrap().into_string().unwrap());
        // Held open here as well: a pty without any reader hangs up its writer.
        let port = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut settings = rustix::termios::tcgetattr(&port).unwrap();
        settings.make_raw();
        rustix::termios::tcsetattr(&port, rustix::termios::OptionalActions::Now, &settings).unwrap();
        let link = folder.path().join("usb-board");
        symlink(&path, &link).unwrap();

        let (port_number, link) = (hub.port, link.display());
        folder.write(
            "etc/agent.toml",
            format!(
                "
                [device]
                id = 'pi-1'
                client = 'acme'
                [hub]
                url = 'http://127.0.0.1:{port_number}'
                signing_key = 'hub.pub'
                key_file = 'device.key'
                [bus.gateway]
                kind = 'line'
                port = '{link}'
                "
            ),
        );
        folder.write("etc/config.d/farm.toml", farm(30));
        fs::copy(signing_key, folder.path().join("etc/hub.pub")).unwrap();
        let key = folder.path().join("etc/device.key");
        let mut key = File::options().write(true).create_new(true).mode(0o600).open(key).unwrap();
        writeln!(key, "{}", hub.device_key).unwrap();
        let mut end = File::from(end);
        // Whoever opens a line comes upon it in the middle of something.
        end.write_all(b"\n").unwrap();
        Farm { folder, end, _port: port, now_ms: BEGIN_MS, agent: None }
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = Command::new(program())
            .args(["run", "--clock", "input", "--config"])
            .arg(self.folder.path().join("etc"))
            .arg("--data")
            .arg(self.folder.path().join("data"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.agent = Some(Running(child));
        // What is said on the line before it is opened may be thrown away.
        let data = self.folder.path().join("data");
        self.until("the line", || {
            let status = Command::new(program()).args(["status", "--json", "--data"]).arg(&data).output().unwrap();
            let status: Option<Value> = serde_json::from_slice(&status.stdout).ok();
            status.is_some_and(|status| status["buses"][0]["state"] == "up")
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Readings of so many minutes.
    fn minutes(&mut self, minutes: i64, value: f64) {
        let mut lines = String::new();
        for _ in 0..minutes * MINUTE_MS / STEP_MS {
            writeln!(lines, "time={} temp={value}", self.now_ms).unwrap();
            self.now_ms += STEP_MS;
        }
        self.end.write_all(lines.as_bytes()).unwrap();
    }

    fn closed_minutes(&self) -> usize {
        usize::try_from((self.now_ms - STEP_MS - BEGIN_MS) / MINUTE_MS).unwrap()
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.log());
            let ended = self.agent.as_mut().and_then(|agent| agent.0.try_wait().unwrap());
            assert!(ended.is_none(), "the agent ended: {ended:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn firing(alerts: &[Value], limit: f64) -> usize {
    alerts.iter().filter(|alert| alert["state"] == "firing" && alert["limit"].as_f64() == Some(limit)).count()
}

#[test]
fn readings_and_alerts_reach_the_hub_once_through_an_outage_and_its_configuration_reaches_the_agent() {
    let folder = Folder::new("sync-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut farm_ = Farm::new("sync-farm", &hub, &folder.path().join("hub/hub.pub"));
    farm_.start();
    farm_.minutes(10, 21.0);
    farm_.minutes(10, 31.5);
    let closed = farm_.closed_minutes();
    farm_.until("windows", || hub.windows().len() >= closed);
    farm_.until("the alert", || firing(&hub.alerts(), 30.0) == 1);

    farm_.until("the newest value", || {
        let latest = hub.get("/api/data/latest");
        let mut readings = latest["readings"].as_array().unwrap().iter();
        readings.any(|reading| reading["sensor"] == "room/temp" && reading["value"].as_f64() == Some(31.5))
    });

    // The hub is away, and comes back.
    hub.stop();
    farm_.minutes(40, 22.0);
    std::thread::sleep(Duration::from_secs(3));
    hub.serve();
    farm_.minutes(1, 22.0);
    let closed = farm_.closed_minutes();
    farm_.until("what was made meanwhile", || hub.windows().len() >= closed);
    let windows = hub.windows();
    assert_eq!(windows.len(), closed);
    assert!(windows.values().all(|count| *count == 6), "{windows:?}");
    farm_.until("the alert is over", || firing(&hub.alerts(), 30.0) == 0);
    assert_eq!(hub.alerts().len(), 1, "{:?}", hub.alerts());

    // The hub's configuration takes the place of the one on site.
    let config = folder.write("put/farm.toml", farm(50));
    hub.configure(&config);
    farm_.until("the bundle", || hub.said()["outcome"] == "applied");
    assert_eq!(hub.said()["version"], 1);
    farm_.minutes(2, 45.0);
    farm_.minutes(2, 55.0);
    farm_.until("the alert of the new limit", || firing(&hub.alerts(), 50.0) == 1);
    assert_eq!(hub.alerts().len(), 2, "45 is no alert any more: {:?}", hub.alerts());
    assert!(farm_.log().contains("ignored: config.d/farm.toml"), "{}", farm_.log());

    // Killed at any moment, it goes on by the last good bundle.
    farm_.agent = None;
    hub.stop();
    fs::remove_file(farm_.folder.path().join("log")).unwrap();
    farm_.start();
    farm_.until("the boot", || true);
    farm_.minutes(2, 45.0);
    hub.serve();
    farm_.until("45 is below the hub's limit", || firing(&hub.alerts(), 50.0) == 0);
    let log = farm_.log();
    assert!(log.contains("the hub's bundle 1 is in force"), "{log}");
    assert!(log.contains("ignored: config.d/farm.toml"), "{log}");
    assert!(!log.contains(&hub.device_key), "the key is in the log");
    assert!(farm_.log().lines().count() < 60, "it says too much:\n{log}");
}

#[test]
fn a_bundle_of_another_hubs_key_is_refused_and_said() {
    let folder = Folder::new("sync-other-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    Hub::new(&folder.path().join("other"));
    hub.serve();
    hub.configure(&folder.write("put/farm.toml", farm(50)));
    let mut farm_ = Farm::new("sync-other-farm", &hub, &folder.path().join("other/hub.pub"));
    farm_.start();
    farm_.minutes(3, 35.0);
    farm_.until("the refusal", || hub.said()["outcome"] == "refused");
    let reason = hub.said()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("is signed by the key"), "{reason}");
    farm_.until("the alert of the limit on site", || firing(&hub.alerts(), 30.0) == 1);
    assert!(!farm_.folder.path().join("data/bundle.good").exists());
    assert_eq!(farm_.log().matches("is refused").count(), 1, "{}", farm_.log());
}

/// A data folder that is put back from a copy has said other things under the same sequences: it goes on under a new stream,
/// in which what is open is stated again, and no window is there twice.
#[test]
fn a_restored_copy_begins_a_new_stream_and_states_what_is_open() {
    let folder = Folder::new("sync-copy-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut farm_ = Farm::new("sync-copy", &hub, &folder.path().join("hub/hub.pub"));
    farm_.start();
    farm_.minutes(10, 35.0);
    let closed = farm_.closed_minutes();
    farm_.until("windows", || hub.windows().len() >= closed);
    farm_.until("the alert", || firing(&hub.alerts(), 30.0) == 1);
    let (data, copy) = (farm_.folder.path().join("data"), farm_.folder.path().join("copy"));
    farm_.agent = None;
    copy_files(&data, &copy);
    farm_.start();
    farm_.minutes(5, 36.0);
    let closed = farm_.closed_minutes();
    farm_.until("more windows", || hub.windows().len() >= closed);
    let stream = |hub: &Hub| hub.get("/api/health")["devices"][0]["stream"].clone();
    let before = stream(&hub);

    farm_.agent = None;
    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    farm_.start();
    farm_.minutes(10, 37.0);
    farm_.until("another stream", || stream(&hub) != before);
    let last = farm_.closed_minutes();
    // What the copy did not have is at the hub from before; `windows` looks for what is there twice.
    // The minute in which the agent was killed never closed, and its readings are not in the copy.
    farm_.until("windows of the new stream", || hub.windows().len() >= last - 1);
    assert!(!hub.windows().contains_key("2026-03-01T00:14:00Z"));
    farm_.until("the alert, open in the new stream", || firing(&hub.alerts(), 30.0) == 1);
    farm_.until("the open alert, stated again", || {
        let events = hub.get("/api/events?kind=alert&limit=1000");
        let again = events["events"].as_array().unwrap().iter().filter(|event| event["body"]["stated_again"] == true);
        again.count() == 1
    });
    assert_eq!(firing(&hub.alerts(), 30.0), 1);
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A hub that takes every connection and never answers: nobody waits for it.
#[test]
fn a_hub_that_never_answers_delays_no_alert() {
    let folder = Folder::new("sync-mute-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    hub.port = mute.local_addr().unwrap().port();
    let mut farm_ = Farm::new("sync-mute", &hub, &folder.path().join("hub/hub.pub"));
    farm_.start();
    let (_held, _) = mute.accept().unwrap();
    farm_.minutes(5, 21.0);
    farm_.minutes(3, 31.5);
    let began = Instant::now();
    let log = farm_.folder.path().join("log");
    farm_.until("the page", || fs::read_to_string(&log).unwrap().contains("hot"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
