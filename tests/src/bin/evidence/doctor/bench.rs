//! A healthy farm with a hub over TLS, to be broken before its agent starts or after.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tilth_tests::agent::{Folder, Run, program};
use tilth_tests::live::Running;
use tilth_tests::live::board::serial_line;
use tilth_tests::live::certificates::{authority, certificate, serve};
use tilth_tests::live::disk::Disk;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;

const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = "
[sensors.'room/temp']
quantity = 'temperature'
input = 'line:gateway/temp'
interval = '10s'
[notifications.phone]
kind = 'ntfy'
url = 'http://127.0.0.1:9'
topic = 'farm'
token = 'secret:ntfy'
[escalation.default]
warning = { wait = '10m', channels = ['log', 'phone'] }
";

pub(super) struct Bench {
    /// The other end of the line. Only the agent holds the line itself open.
    _sketch: File,
    /// A program that has the line open.
    pub(super) holder: Option<Running>,
    pub(super) farm: Farm,
    pub(super) hub: Hub,
    pub(super) disk: Option<Disk>,
    /// Command that doctor runs under, as another user.
    pub(super) inside: Vec<&'static str>,
    /// Variables of doctor's environment.
    pub(super) environment: Vec<(&'static str, String)>,
    _hub_folder: Folder,
}

impl Bench {
    pub(super) fn new(name: &str) -> anyhow::Result<Bench> {
        let hub_folder = Folder::new("doctor-hub");
        let authority = authority("farm");
        certificate(&hub_folder, &authority, "localhost", (2020, 2090));
        let mut hub = Hub::new(&hub_folder.path().join("hub"));
        serve(&mut hub, &hub_folder);
        let mut farm = Farm::of_hub(&format!("doctor-{}", name.replace(' ', "-")), CONFIG, &hub);
        farm.clock = "system";
        farm.pull_out();
        let (sketch, _, port) = serial_line()?;
        symlink(port, farm.folder.path().join("usb-board"))?;
        let bench = Bench {
            _sketch: sketch,
            holder: None,
            farm,
            hub,
            disk: None,
            inside: Vec::new(),
            environment: Vec::new(),
            _hub_folder: hub_folder,
        };
        bench.write("etc/ca.pem", &authority.pem());
        bench.write("etc/secrets/ntfy", "tk_1\n");
        bench.set_mode("etc/secrets/ntfy", 0o600)?;
        bench.site("");
        Ok(bench)
    }

    /// Writes `agent.toml` with further tables.
    pub(super) fn site(&self, tables: &str) {
        let hub = self.farm.hub_table(&format!("https://localhost:{}", self.hub.port));
        self.farm.write_site(&format!("{hub}ca = 'ca.pem'\n{tables}"));
    }

    pub(super) fn pull_out(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.farm.folder.path().join("usb-board"))?)
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        self.farm.folder.write(file, text);
    }

    pub(super) fn set_mode(&self, file: &str, mode: u32) -> anyhow::Result<()> {
        let path = self.farm.folder.path().join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(|| path.display().to_string())
    }

    /// Starts the agent and waits until it can be asked and its line is no longer being opened.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        self.farm.launch();
        let began = Instant::now();
        loop {
            let status = self.farm.status();
            let is_settled = |status: &Value| {
                let buses = status["buses"].as_array();
                buses.is_some_and(|buses| buses.iter().all(|bus| bus["state"] != "opening"))
            };
            if status.as_ref().is_some_and(is_settled) {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "the agent does not answer: {}", self.farm.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Exit code and findings of `doctor --json`.
    pub(super) fn doctor(&self) -> anyhow::Result<(Option<i32>, Vec<Value>)> {
        let mut words = self.inside.iter().map(OsStr::new).chain([program().as_os_str()]);
        let mut call = Command::new(words.next().context("at least doctor itself")?);
        call.args(words).args(["doctor", "--json", "--config"]).arg(self.farm.folder.path().join("etc"));
        call.arg("--data").arg(self.farm.data()).arg("--socket").arg(self.farm.socket());
        let run = Run::of(call.envs(self.environment.iter().cloned()).output()?);
        ensure!(!run.out.is_empty(), "doctor says nothing: {}", run.err);
        let findings: Result<Vec<Value>, _> = run.out.lines().map(serde_json::from_str).collect();
        Ok((run.code, findings?))
    }
}
