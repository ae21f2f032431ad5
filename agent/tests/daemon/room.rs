//! A room with a board on a pseudo-terminal and an agent that watches it.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;

/// Longer than anything takes here, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder of its own for one test, gone when the test has passed.
pub(crate) struct Room {
    folder: PathBuf,
}

/// A board that is plugged in.
pub(crate) struct Board {
    end: File,
    /// Held open here as well: a pty without a reader hangs up its writer.
    _port: OwnedFd,
    /// Goes with the board: its pty may be another test's at once.
    link: PathBuf,
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Two sensors on one line, a rule of each kind that these tests need, and none that speaks by itself.
pub(crate) const FARM: &str = "
[sensors.'room/level']
quantity = 'count'
resolution = 0.1
input = 'line:gateway/level'
stamp = 'source'
[sensors.'room/door']
quantity = 'contact'
input = 'line:gateway/door'
stamp = 'source'
[rules.sensor-silent]
enabled = false
[rules.level-high]
sensor = 'room/level'
above = 30
for = '1m'
cooldown = '0s'
severity = 'warning'
message = 'level {value} in {zone}, limit {limit}'
";

impl Room {
    pub(crate) fn new(name: &str, farm: &str) -> Room {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("daemon-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("config.d")).expect("a folder for the test");
        let room = Room { folder };
        let port = room.path("usb-board");
        let site = format!(
            "[device]\nid = 'pi-7'\n[bus.gateway]\nkind = 'line'\nport = '{}'\nbaud = 115200\n",
            port.display()
        );
        room.write("agent.toml", &site);
        room.write("config.d/farm.toml", farm);
        room
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in the folder");
    }

    /// A secret that only its owner can read.
    pub(crate) fn write_secret(&self, name: &str, secret: &str) {
        let path = self.path("secrets").join(name);
        fs::write(&path, secret).expect("a secret");
        fs::set_permissions(path, Permissions::from_mode(0o600)).expect("its mode");
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file in the folder");
    }

    pub(crate) fn plug_in(&self) -> Board {
        // Not for the agent to inherit: the line would never hang up.
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&end).expect("granted");
        unlockpt(&end).expect("unlocked");
        let path = PathBuf::from(ptsname(&end, Vec::new()).expect("its name").into_string().expect("UTF-8"));
        let port = File::options().read(true).write(true).open(&path).expect("its other end");
        let mut settings = tcgetattr(&port).expect("its settings");
        settings.make_raw();
        tcsetattr(&port, OptionalActions::Now, &settings).expect("raw");
        let link = self.path("usb-board");
        symlink(&path, &link).expect("a link to it");
        Board { end: end.into(), _port: port.into(), link }
    }

    pub(crate) fn pull_out(&self, board: Board) {
        drop(board);
        assert!(!exists(&self.path("usb-board")), "the link is gone with it");
    }

    /// The program, to be run here without any variable of its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tilth-agent"));
        command.args(arguments).current_dir(&self.folder).env_clear().stdin(Stdio::null());
        command
    }

    pub(crate) fn start_command(&self, clock: &str) -> Command {
        self.command(&["run", "--config", ".", "--data", "data", "--socket", "agent.sock", "--clock", clock])
    }

    /// Starts an agent and waits until it can be asked. What it says is in a log of its own.
    pub(crate) fn start(&self, clock: &str) -> Agent {
        self.start_by(&mut self.start_command(clock))
    }

    pub(crate) fn start_by(&self, command: &mut Command) -> Agent {
        let log = (0..).map(|n| self.path(&format!("log-{n}.txt"))).find(|path| !path.exists()).expect("a name");
        let file = File::create(&log).expect("a log");
        let child = command.stderr(file).spawn().expect("the program starts");
        let agent = Agent { child, log };
        wait("the agent can be asked", || self.ask(&["status", "--json"]).code == Some(0), || agent.log());
        agent
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        command.args(["--socket", "agent.sock"]).env("USER", "anna");
        Ran::of(&mut command)
    }

    /// The lines of an answer in JSON.
    pub(crate) fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let ran = self.ask(&arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
    }

    pub(crate) fn status(&self) -> Value {
        self.rows(&["status"]).remove(0)
    }

    /// Waits until the answer is as it should be.
    pub(crate) fn wait_for(&self, what: &str, arguments: &[&str], is_it: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut last = Vec::new();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let mut asked = arguments.to_vec();
            asked.push("--json");
            let ran = self.ask(&asked);
            // On the event-time clock there is nothing to see before the first reading.
            if ran.code == Some(0) {
                last = ran.out.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
                if is_it(&last) {
                    return last;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("never: {what}; the last answer: {last:#?}");
    }

    /// Waits until the disk has a file as it should be.
    pub(crate) fn wait_for_file(&self, name: &str, is_it: impl Fn(&str) -> bool) {
        let text = || fs::read_to_string(self.path(name)).unwrap_or_default();
        wait(name, || is_it(&text()), text);
    }

    /// Waits until one of these files has these bytes somewhere.
    pub(crate) fn wait_for_bytes(&self, names: &[&str], bytes: &[u8]) {
        let has = |name: &&str| {
            let held = fs::read(self.path(name)).unwrap_or_default();
            held.windows(bytes.len()).any(|part| part == bytes)
        };
        wait(&String::from_utf8_lossy(bytes), || names.iter().any(has), || names.join(", "));
    }

    pub(crate) fn wait_for_bus(&self, state: &str) {
        self.wait_for(state, &["status"], |rows| rows[0]["buses"][0]["state"] == state);
    }

    /// Waits until the newest value of a sensor is this.
    pub(crate) fn wait_for_value(&self, sensor: &str, value: f64) {
        self.wait_for("the value", &["sensors"], |rows| {
            rows.iter().any(|row| row["sensor"] == sensor && row["value"] == value)
        });
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Board {
    pub(crate) fn say(&mut self, text: &str) {
        self.end.write_all(text.as_bytes()).expect("the line takes it");
    }

    /// A line of readings at so many seconds after the beginning of these tests' time.
    pub(crate) fn level(&mut self, at_s: i64, level: f64) {
        let ms = (1_767_225_600 + at_s) * 1000;
        self.say(&format!("{{\"time\":{ms},\"level\":{level},\"door\":0}}\n"));
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.link);
    }
}

impl Agent {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log")
    }

    /// Pages and good news, as the channel log tells them.
    pub(crate) fn told(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.starts_with("notify ")).map(str::to_owned).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait(text, || self.log().contains(text), || self.log());
    }

    pub(crate) fn wait_for_told(&self, count: usize) -> Vec<String> {
        wait("people are told", || self.told().len() >= count, || self.log());
        self.told()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn terminate(&mut self) -> ExitStatus {
        terminate(&mut self.child)
    }
}

/// As a system does it, and waits for the end.
pub(crate) fn terminate(child: &mut Child) -> ExitStatus {
    let signal = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(signal.expect("kill").success());
    child.wait().expect("it ends")
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Ran {
        let output = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[track_caller]
fn wait(what: &str, is_it: impl Fn() -> bool, shown: impl Fn() -> String) {
    let end = Instant::now() + PATIENCE;
    while !is_it() {
        assert!(Instant::now() < end, "never: {what}\n{}", shown());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether anything is at a path.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
