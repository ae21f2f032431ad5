//! A hub in a folder of its own, and the program that serves it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::client::{Reply, Request};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tilth-hub");

/// A folder that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hub-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A hub that is not served.
pub(crate) struct Made {
    pub(crate) folder: Folder,
}

impl Made {
    /// After `init`.
    pub(crate) fn new() -> Made {
        let made = Made { folder: Folder::new() };
        let done = made.run(&["init"]);
        assert!(done.status.success(), "{}", stderr(&done));
        made
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--data").arg(self.data());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The one JSON object that a command prints.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Json {
        let done = self.run(&[arguments, &["--json"]].concat());
        assert!(done.status.success(), "{arguments:?}: {}", stderr(&done));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Adds a tenant and returns its read key.
    pub(crate) fn tenant(&self, name: &str) -> String {
        self.json(&["tenant", "add", name])["read_key"].as_str().unwrap().to_owned()
    }

    /// Adds a device and returns its key.
    pub(crate) fn device(&self, client: &str, name: &str) -> String {
        self.json(&["device", "add", name, "--client", client])["device_key"].as_str().unwrap().to_owned()
    }

    pub(crate) fn serve(self) -> Served {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(self, more: &[&str]) -> Served {
        self.serve_in(&[], more)
    }

    /// Serves with these variables in its environment.
    pub(crate) fn serve_in(self, environment: &[(&str, &str)], more: &[&str]) -> Served {
        let log = fs::File::create(self.folder.path().join("hub.log")).unwrap();
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--log", "debug"]);
        command.envs(environment.iter().copied());
        let mut child = command.args(more).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{line:?} {}", self.log()));
        Served { made: self, child, address }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("hub.log")).unwrap_or_default()
    }
}

/// A hub that is served.
pub(crate) struct Served {
    pub(crate) made: Made,
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn get(&self, target: &str, key: &str) -> Reply {
        Request::get(target, key).send(self.address)
    }

    pub(crate) fn batch(&self, key: &str, batch: &Json) -> Reply {
        let body = batch.to_string();
        Request::post("/api/v1/sync/batch", key, body).header("content-type", "application/json").send(self.address)
    }

    /// Sends a signal and returns how the program ended, and how long that took.
    pub(crate) fn stop(&mut self, signal: &str) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
        while begun.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end: {}", self.made.log());
    }

    /// Ends it without notice, where it has not ended yet, and serves the same folder again.
    pub(crate) fn kill_and_serve(mut self) -> Served {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.made.folder, Folder::new());
        Made { folder }.serve()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn stderr(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

pub(crate) fn stdout(done: &Output) -> String {
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// 2025-11-21T00:00:00Z.
pub(crate) const MIDNIGHT: i64 = 1_763_683_200_000;

/// A batch of a device with a clock event, an alert, some minutes of pH from 6.80 up in steps of 0.01, and a live value.
pub(crate) fn batch(client: &str, device: &str, sensor: &str, minutes: i64) -> Json {
    let zone = sensor.split('/').next().unwrap();
    let at = |uptime: i64| json!({"boot": 1, "uptime": uptime, "wall": null});
    let windows: Vec<Json> = (0..minutes)
        .map(|minute| {
            let value = 680 + minute;
            json!({
                "seq": minute + 1, "sensor": sensor, "quantity": "ph", "resolution": 0.01, "grain": "minute",
                "start": at(minute * 60_000), "revision": 0, "bad": 1, "count": 2,
                "sums": {
                    "sum": 2 * value, "sum_sq": ((value - 1) * (value - 1) + (value + 1) * (value + 1)).to_string(),
                    "min": value - 1, "max": value + 1, "last": value + 1, "last_at": minute * 60_000 + 30_000,
                },
            })
        })
        .collect();
    let alert = json!({
        "alert": 1, "zone": zone, "rule": "ph-high", "sensor": sensor, "event": "firing", "severity": "warning",
        "value": 6.81, "limit": 6.8, "since": at(30_000), "reading_ts": null, "message": "pH 6.81", "advice": null,
    });
    json!({
        "version": 1, "client": client, "device": device, "stream": format!("{:032x}", 1), "epoch": null,
        "lanes": {
            "events": {"first": 1, "last": 2, "rows": [
                {"seq": 1, "at": at(1_000), "kind": "clock", "body": {"offset": MIDNIGHT, "source": "ntp", "error": 5}},
                {"seq": 2, "at": at(60_000), "kind": "alert", "body": alert},
            ]},
            "windows": {"first": 1, "last": minutes, "rows": windows},
        },
        "live": [{"sensor": sensor, "quantity": "ph", "at": at(61_500), "value": 6.91, "quality": "good"}],
    })
}
