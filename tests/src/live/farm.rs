//! The real `tilth-agent` in a folder of its own, with a board on the line `gateway`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Running;
use super::board::Board;
use super::hub::{CLIENT, DEVICE, Hub};
use super::serial_server;
use crate::agent::{Folder, Run, program};

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A farm: its folder, its options, and the agent itself.
#[derive(Debug)]
pub struct Farm {
    /// Holds `etc` (its configuration), `data`, `log` and the link `usb-board`.
    pub folder: Folder,
    /// The board on the line `gateway`; none while it is pulled out.
    pub board: Option<Board>,
    /// The clock that it runs on, as `--clock` takes it.
    pub clock: &'static str,
    /// Further options of `run`.
    pub options: Vec<String>,
    /// Command that starts it, such as one that takes its network away; none for itself.
    pub inside: Vec<&'static str>,
    /// Variables of its environment beside the test's own.
    pub environment: Vec<(&'static str, String)>,
    agent: Option<Running>,
}

impl Farm {
    /// A farm that knows no hub, on the event-time clock. `config` is its one document in `config.d`.
    #[must_use]
    pub fn alone(name: &str, config: &str) -> Farm {
        let folder = Folder::new(name);
        folder.write("etc/config.d/farm.toml", config);
        let farm = Farm::found(folder);
        farm.write_site("");
        farm
    }

    /// A farm in a folder that holds its configuration in `etc`, and perhaps data of before. Its line is the link
    /// `usb-board` there.
    #[must_use]
    pub fn found(folder: Folder) -> Farm {
        let board = Board::plug_in(&folder.path().join("usb-board"));
        Farm {
            folder,
            board: Some(board),
            clock: "input",
            options: Vec::new(),
            inside: Vec::new(),
            environment: Vec::new(),
            agent: None,
        }
    }

    /// A farm that trusts a hub's key and talks to a hub over plain HTTP at its port.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn of_hub(name: &str, config: &str, hub: &Hub) -> Farm {
        let farm = Farm::alone(name, config);
        farm.trust(&hub.folder.join("hub.pub"));
        farm.give_key(&hub.device_key);
        farm.write_site(&farm.hub_table(&format!("http://127.0.0.1:{}", hub.port)));
        farm
    }

    /// The table `[hub]` for an address.
    #[must_use]
    pub fn hub_table(&self, url: &str) -> String {
        format!("[hub]\nurl = '{url}'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'\n")
    }

    /// Writes `agent.toml`: the device, the line `gateway`, and further tables. With `TILTH_LINE=tcp` the agent reads the line through
    /// a serial server.
    pub fn write_site(&self, tables: &str) {
        let line = self.folder.path().join("usb-board");
        let port = match std::env::var("TILTH_LINE").as_deref() {
            Ok("tcp") => format!("tcp://127.0.0.1:{}", serial_server::serve(&line)),
            _ => line.display().to_string(),
        };
        let site = format!(
            "[device]\nid = '{DEVICE}'\nclient = '{CLIENT}'\n[bus.gateway]\nkind = 'line'\nport = '{port}'\n{tables}"
        );
        self.folder.write("etc/agent.toml", site);
    }

    /// Makes a hub's public key the one that bundles must be signed with.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn trust(&self, signing_key: &Path) {
        fs::copy(signing_key, self.folder.path().join("etc/hub.pub")).expect("a hub's key");
    }

    /// Writes the device's key, as only its owner may read it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn give_key(&self, key: &str) {
        let path = self.folder.path().join("etc/device.key");
        let _ = fs::remove_file(&path);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
        writeln!(file, "{key}").expect("it takes the key");
    }

    /// Data folder of the agent.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Control socket of the agent; beside its data, which a test may make unusable.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    /// Starts the agent and waits until it listens to its line: what is said before may be thrown away. What it says is
    /// added to its log.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start(&mut self) {
        self.launch();
        self.until("the line is up", |farm| farm.status().is_some_and(|status| status["buses"][0]["state"] == "up"));
        // A program that opens a line comes upon it in the middle of something.
        self.say("\n");
    }

    /// Starts the agent and waits for nothing.
    ///
    /// # Panics
    /// When it does not start.
    pub fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a log");
        let mut words = self.inside.iter().map(OsStr::new).chain([program().as_os_str()]);
        let mut call = Command::new(words.next().expect("at least the agent itself"));
        call.args(words)
            .args(["run", "--clock", self.clock, "--config"])
            .arg(self.folder.path().join("etc"))
            .arg("--data")
            .arg(self.data())
            .arg("--socket")
            .arg(self.socket())
            .args(&self.options)
            .envs(self.environment.iter().cloned())
            // A port may be named from here.
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.agent = Some(Running::start(&mut call).expect("it starts"));
    }

    /// Ends the agent as a power cut would.
    pub fn kill(&mut self) {
        self.agent = None;
        self.board.iter().for_each(Board::release);
    }

    /// Asks the agent to stop, and waits until it has.
    ///
    /// # Panics
    /// When it does not run, or ends in another way than it should.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut agent = self.agent.take().expect("it runs");
        let signal = Command::new("kill").args(["-TERM", &agent.0.id().to_string()]).status();
        assert!(signal.expect("kill").success());
        let ended = agent.0.wait().expect("a child of ours");
        assert!(ended.success(), "{ended}\n{}", self.log());
    }

    /// The number of the agent's process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.agent.as_ref().expect("it runs").0.id()
    }

    /// The board says something.
    ///
    /// # Panics
    /// When it is pulled out or its line is broken.
    #[track_caller]
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.board.as_mut().expect("it is plugged in").say(bytes).expect("the line takes it");
    }

    /// Pulls the board out.
    pub fn pull_out(&mut self) {
        self.board = None;
    }

    /// Plugs a board in where the last one was.
    pub fn plug_in(&mut self) {
        self.board = Some(Board::plug_in(&self.folder.path().join("usb-board")));
    }

    /// Runs another command of the agent over its socket to its end.
    ///
    /// # Panics
    /// When the program cannot be run.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Run {
        let output = Command::new(program()).args(arguments).arg("--socket").arg(self.socket()).output();
        Run::of(output.expect("the program can be run"))
    }

    /// `status --json`, if the agent can be asked.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.ask(&["status", "--json"]).out).ok()
    }

    /// `status` as people read it.
    #[must_use]
    pub fn shown(&self) -> String {
        self.ask(&["status"]).out
    }

    /// Memory that is the process's own and shared with no file, in bytes.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).expect("a process");
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = anonymous.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("RssAnon") * 1024
    }

    /// What the agent said since its folder was made.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until each of these sensors has a reading of that time or a later one. Other sensors, such as those of the bus and
    /// the hub, may be read at the same instant.
    ///
    /// # Panics
    /// As [`Farm::until`].
    #[track_caller]
    pub fn until_decided(&mut self, sensors: &[&str], at_ms: i64) {
        self.until("the readings are decided", |farm| {
            let said = farm.ask(&["sensors", "--json"]).out;
            let rows: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let is_decided = |sensor: &&str| {
                let row = rows.iter().find(|row| row["sensor"] == **sensor);
                let at = row.and_then(|row| row["at"].as_str()?.parse::<jiff::Timestamp>().ok());
                at.is_some_and(|at| at.as_millisecond() >= at_ms)
            };
            sensors.iter().all(is_decided)
        });
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When that takes too long, or the agent ends meanwhile.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&Farm) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let shown = || format!("{:#}\n{}", self.status().unwrap_or_default(), self.log());
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", shown());
            if let Some(agent) = &mut self.agent {
                let ended = agent.0.try_wait().expect("a child of ours");
                assert!(ended.is_none(), "the agent ended: {ended:?}\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
