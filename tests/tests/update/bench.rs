//! A system in a folder: a root with its own dpkg database, an agent installed in it that reads a line, and a script in the place of systemctl.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tilth_config::bundle::SigningKey;
use tilth_config::release::seal_sums;
use tilth_tests::agent::{Folder, Run, program};
use tilth_tests::live::Running;
use tilth_tests::live::farm::PATIENCE;

pub(crate) const OLD: &str = "1.0-1";
pub(crate) const NEW: &str = "2.0-1";

/// Key that signs what the machine trusts.
pub(crate) static KEY: std::sync::LazyLock<SigningKey> = std::sync::LazyLock::new(|| SigningKey::from_seed(&[7; 32]));

/// States of an update in their order.
const STATES: [&str; 4] = ["staged", "installing", "proving", "returning"];

/// Processes of a bench carry the path of its folder under this name, also those that a killed one started.
const MARKER: &str = "TILTH_BENCH";

/// What systemd does for the two services: `Wants=`, also that of the boot, and `ConditionPathExists=` are those of `systemd/`. A boot ends a mask
/// of `--runtime`.
const SYSTEMCTL: &str = r#"#!/bin/sh
umask 022
state() { if [ -e "$root/$1" ]; then echo "$2"; else echo "$3"; fi; }
runs() { [ -e "$root/$1.pid" ] && grep -qs '^State:.[^Z]' "/proc/$(cat "$root/$1.pid")/status"; }
update() {
    if [ ! -e "$root/var/lib/tilth-update/tilth-agent" ] || runs update; then return; fi
    "$root/var/lib/tilth-update/tilth-agent" update --go-on --root "$root" >>"$root/update.log" 2>&1 </dev/null &
    echo $! >"$root/update.pid"
}
start() {
    if runs agent; then return; fi
    if [ -e "$root/masked" ]; then echo "Unit is masked" >&2; exit 1; fi
    echo started >>"$root/starts"
    "$root/usr/bin/tilth-agent" run --config "$root/etc/tilth" --data "$root/var/lib/tilth" --socket "$root/agent.sock" >>"$root/agent.log" 2>&1 </dev/null &
    echo $! >"$root/agent.pid"
}
stop() {
    if ! runs agent; then return; fi
    kill "$(cat "$root/agent.pid")"
    while runs agent; do sleep 0.02; done
}
for unit; do :; done
case "$1 $unit" in
    "start tilth-update.service") update ;;
    "start tilth-agent.service") update; start ;;
    "restart tilth-agent.service") update; stop; start ;;
    "stop tilth-agent.service") stop ;;
    "boot tilth-agent.service")
        rm -f "$root/masked"
        cat /proc/sys/kernel/random/uuid >"$root/proc/sys/kernel/random/boot_id"
        update
        [ -e "$root/disabled" ] || start ;;
    "mask tilth-agent.service") touch "$root/masked" ;;
    "unmask tilth-agent.service") rm -f "$root/masked" ;;
    "enable tilth-agent.service") rm -f "$root/disabled" ;;
    "disable tilth-agent.service") touch "$root/disabled" ;;
    "show tilth-agent.service")
        echo "UnitFileState=$(state disabled disabled enabled)"
        if runs agent; then echo ActiveState=active; else echo ActiveState=inactive; fi ;;
    *) echo "systemctl $*: not known here" >&2; exit 1 ;;
esac
"#;

/// Sets the layout of the database to 99, as SQLite writes it, leaves a log beside it, and answers nobody.
const CHANGES_LAYOUT: &str = r#"case "$1 $2" in
    "update --describe") echo '{"layout":99}' ;;
    run*)
        for data; do case "$data" in */var/lib/tilth) break ;; esac; done
        printf '\0\0\0\143' | dd of="$data/tilth.db" bs=1 seek=60 conv=notrunc status=none
        echo no log >"$data/tilth.db-wal"
        echo changed >>"$data/../changed"
        exec sleep 1000 ;;
    *) exec "$program" "$@" ;;
esac"#;

/// Ends the process once so many files were renamed in the folder of the update.
const CUTTING: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rename(const char *from, const char *to) {
    static int renamed;
    int done = renameat(AT_FDCWD, from, AT_FDCWD, to);
    if (strstr(to, "/var/lib/tilth-update/") && ++renamed == atoi(getenv("CUT_AFTER")))
        raise(SIGKILL);
    return done;
}
"#;

/// Does everything but run.
const DIES: &str = r#"case "$1" in run) exit 1 ;; *) exec "$program" "$@" ;; esac"#;

/// Does everything but take the configuration.
const REFUSES: &str =
    r#"case "$1" in check) echo "error: unknown key 'bus'"; exit 2 ;; *) exec "$program" "$@" ;; esac"#;

/// A package that is made.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Empty: of this machine.
    pub(crate) architecture: &'static str,
    /// Script in the place of the program; `$program` is the program then.
    pub(crate) script: Option<&'static str>,
}

pub(crate) struct Bench {
    folder: Folder,
    pub(crate) architecture: String,
    /// When the update before began.
    began: Option<String>,
}

impl Package {
    pub(crate) fn works(version: &'static str) -> Package {
        Package { name: "tilth-agent", version, architecture: "", script: None }
    }

    pub(crate) fn dies() -> Package {
        Package { script: Some(DIES), ..Package::works(NEW) }
    }

    pub(crate) fn refuses() -> Package {
        Package { script: Some(REFUSES), ..Package::works(NEW) }
    }

    pub(crate) fn changes_layout() -> Package {
        Package { script: Some(CHANGES_LAYOUT), ..Package::works(NEW) }
    }

    /// Name of its file on a machine.
    pub(crate) fn file(&self, machine: &str) -> String {
        let architecture = if self.architecture.is_empty() { machine } else { self.architecture };
        format!("{}_{}_{architecture}.deb", self.name, self.version)
    }
}

impl Bench {
    /// A system on which the old version watches.
    pub(crate) fn new(name: &str) -> Bench {
        let folder = Folder::new(name);
        let architecture = said(Command::new("dpkg").arg("--print-architecture")).trim().to_owned();
        let bench = Bench { folder, architecture, began: None };
        for file in ["status", "available", "info/format", "updates/.keep", "triggers/.keep"] {
            bench.folder.write(&format!("root/var/lib/dpkg/{file}"), if file == "info/format" { "1\n" } else { "" });
        }
        let root = bench.root().display().to_string();
        let script = bench.folder.write("bin/systemctl", SYSTEMCTL.replacen('\n', &format!("\nroot='{root}'\n"), 1));
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
        // Without what a debugger needs, which is most of it.
        said(Command::new("strip").arg("-o").arg(bench.folder.path().join("program")).arg(program()));
        bench.folder.write("root/proc/sys/kernel/random/boot_id", "first\n");
        bench.folder.write("release.pub", format!("{}\n", KEY.trusted()));
        let site =
            format!("[device]\nid = 'pi-7'\n[bus.gateway]\nkind = 'line'\nport = 'tcp://127.0.0.1:{}'\n", line());
        bench.folder.write("root/etc/tilth/agent.toml", site);
        let farm = "[sensors.'room/ph']\nquantity = 'ph'\ninput = 'line:gateway/ph'\ninterval = '2s'\n";
        bench.folder.write("root/etc/tilth/config.d/farm.toml", farm);
        fs::create_dir_all(bench.root().join("var/lib/tilth")).unwrap();
        let package = bench.folder.path().join("old.deb");
        bench.build(&Package::works(OLD), &package);
        let installed = bench.dpkg().arg("--install").arg(package).status().unwrap();
        assert!(installed.success(), "{}", bench.log());
        bench.works();
        bench
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A program of this system.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path =
            format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env(MARKER, self.folder.path()).env("LC_ALL", "C");
        command
    }

    fn update_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("sh");
        // As sudo hands it on where root's is strict.
        command.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(self.root().join("usr/bin/tilth-agent"));
        command.arg("update").args(arguments).args(["--prove-for", "3s", "--root"]).arg(self.root());
        command
            .arg("--data")
            .arg(self.root().join("var/lib/tilth"))
            .arg("--socket")
            .arg(self.root().join("agent.sock"));
        command.arg("--trusted-key").arg(self.folder.path().join("release.pub"));
        command
    }

    /// Runs `tilth-agent update` to its end.
    pub(crate) fn update(&mut self, arguments: &[&str]) -> Run {
        let ran = self.update_command(arguments).output().unwrap();
        let [out, err] = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        self.began = self.job().map(|job| text(&job["began"]));
        Run { code: ran.status.code(), out, err }
    }

    /// What `tilth-agent update --status` says.
    pub(crate) fn status(&self) -> String {
        String::from_utf8_lossy(&self.update_command(&["--status"]).output().unwrap().stdout).trim().to_owned()
    }

    /// Begins an update.
    pub(crate) fn begin(&mut self, arguments: &[&str]) {
        self.began = self.job().map(|job| text(&job["began"]));
        let log = File::options().append(true).create(true).open(self.folder.path().join("command.log")).unwrap();
        let mut command = self.update_command(arguments);
        let started = Running::start(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log));
        // The power cut ends it.
        std::mem::forget(started.unwrap());
    }

    /// Runs `tilth-agent update` until it has renamed so many files in its folder, and cuts the power there.
    pub(crate) fn cut_after(&self, renamed: u32, arguments: &[&str]) {
        let (source, library) = (self.folder.write("cut.c", CUTTING), self.folder.path().join("cut.so"));
        said(Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]));
        let mut command = self.update_command(arguments);
        let ran = command.env("LD_PRELOAD", library).env("CUT_AFTER", renamed.to_string()).output().unwrap();
        assert_eq!(ran.status.code(), None, "not cut off after {renamed}: {ran:?}");
        self.cut_power();
    }

    /// Waits until the update that began last has reached a state, or is past it.
    #[track_caller]
    pub(crate) fn until_state(&self, state: &str) {
        let at = |state: &str| STATES.iter().position(|it| *it == state).unwrap_or(STATES.len());
        self.until(state, |bench| {
            bench.job().is_some_and(|job| Some(text(&job["began"])) != bench.began && at(&word(&job)) >= at(state))
        });
    }

    /// Waits until the trial goes on after so many cuts.
    #[track_caller]
    pub(crate) fn until_cuts(&self, cuts: u64) {
        self.until("the trial", |bench| bench.job().is_some_and(|job| job["state"]["proving"]["cuts"] == cuts));
    }

    /// Waits until the update is over; the version that stays.
    #[track_caller]
    pub(crate) fn ended(&self) -> String {
        // Whoever ends it lets go of the folder last, and until then refuses another update.
        self.until("the update is over", |bench| bench.left() == ["state.json"] && bench.is_free());
        if self.service().ends_with(" active") {
            self.works();
        }
        let job = self.job().expect("the state of the update");
        text(&job[if word(&job) == "updated" { "to" } else { "from" }])
    }

    /// Puts a process in the place of the agent that answers nobody.
    pub(crate) fn hang_agent(&self) -> Running {
        self.systemctl("stop");
        let process = Running::start(self.command("sleep").arg("1000")).unwrap();
        self.folder.write("root/agent.pid", format!("{}\n", process.0.id()));
        process
    }

    /// Unpacks another package, and does not configure it: what a power cut in an upgrade leaves.
    pub(crate) fn unpack_other(&self) {
        let control = "Package: other\nVersion: 1.0\nArchitecture: all\nMaintainer: Test <test@farm.example>\nDescription: test\n";
        self.folder.write("other/DEBIAN/control", control);
        let (files, package) = (self.folder.path().join("other"), self.folder.path().join("other.deb"));
        said(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Znone"]).arg(files).arg(&package));
        said(self.dpkg().arg("--unpack").arg(package));
        assert_eq!(self.state_of("other"), "install ok unpacked 1.0");
    }

    /// Has the installation of the new version be cut off for the third time, in its last script.
    pub(crate) fn cut_in_script(&self) {
        let status = self.root().join("var/lib/dpkg/status");
        let text = fs::read_to_string(&status).unwrap();
        let cut_off = format!("Status: install ok half-configured\nConfig-Version: {OLD}");
        assert!(text.contains("Package: tilth-agent\nStatus: install ok installed"), "{text}");
        fs::write(status, text.replacen("Status: install ok installed", &cut_off, 1)).unwrap();
        let mut job = self.job().expect("the state of the update");
        job["state"] = json!({ "installing": { "cuts": 2 } });
        let content = job.to_string();
        let hash = hex::encode(digest(&SHA256, content.as_bytes()));
        self.folder
            .write("root/var/lib/tilth-update/state.json", format!("{{\"hash\":\"{hash}\",\"content\":{content}}}"));
    }

    /// Ends every process of this system at once.
    pub(crate) fn cut_power(&self) {
        let marker = format!("{MARKER}={}\0", self.folder.path().display());
        let is_ours = |process: &PathBuf| {
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&marker)
        };
        loop {
            let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(is_ours);
            let numbers: Vec<i32> = processes.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
            if numbers.is_empty() {
                break;
            }
            for number in numbers.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(number, rustix::process::Signal::KILL);
            }
        }
        for pid in ["agent.pid", "update.pid"] {
            let _ = fs::remove_file(self.root().join(pid));
        }
    }

    /// Does what a boot does.
    pub(crate) fn boot(&self) {
        self.systemctl("boot");
    }

    /// Whether the agent starts at boot, and whether it runs.
    pub(crate) fn service(&self) -> String {
        let said = said(self.command(self.folder.path().join("bin/systemctl")).args(["show", "tilth-agent.service"]));
        said.lines().filter_map(|line| line.split('=').nth(1)).collect::<Vec<_>>().join(" ")
    }

    /// How often the agent was started.
    pub(crate) fn starts(&self) -> usize {
        fs::read_to_string(self.root().join("starts")).unwrap().lines().count()
    }

    pub(crate) fn systemctl(&self, verb: &str) {
        let systemctl = self.folder.path().join("bin/systemctl");
        assert!(self.command(systemctl).args([verb, "tilth-agent.service"]).status().unwrap().success());
    }

    fn dpkg(&self) -> Command {
        let mut dpkg = self.command("dpkg");
        dpkg.arg("--root").arg(self.root()).args(["--log=/dev/null", "--force-not-root", "--force-script-chrootless"]);
        dpkg
    }

    /// Makes a stick with these packages and their signed sums; its folder.
    pub(crate) fn stick(&self, name: &str, packages: &[Package], key: &SigningKey) -> String {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let mut sums = String::new();
        for package in packages {
            let file = package.file(&self.architecture);
            self.build(package, &folder.join(&file));
            let sum = digest(&SHA256, &fs::read(folder.join(&file)).unwrap());
            sums.push_str(&format!("{}  {file}\n", hex::encode(sum)));
        }
        fs::write(folder.join("SHA256SUMS.signed"), seal_sums(sums.as_bytes(), key)).unwrap();
        folder.display().to_string()
    }

    /// Changes a byte of the package on a stick.
    pub(crate) fn damage(&self, stick: &str) {
        let package = Path::new(stick).join(Package::works(NEW).file(&self.architecture));
        let mut bytes = fs::read(&package).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(package, bytes).unwrap();
    }

    fn build(&self, package: &Package, to: &Path) {
        let folder = to.with_extension("files");
        let write = |path: &str, bytes: &[u8], mode: u32| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let Package { name, version, architecture, script } = package;
        let architecture = if architecture.is_empty() { &self.architecture } else { *architecture };
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Test <test@farm.example>\nDescription: test\n"
        );
        write("DEBIAN/control", control.as_bytes(), 0o644);
        // More than the scripts of a package do: they restart a service that is enabled or runs.
        let restarts = "#!/bin/sh\n[ \"$1\" = configure ] || exit 0\nfor verb in enable restart; do systemctl $verb tilth-agent.service || true; done\n";
        write("DEBIAN/postinst", restarts.as_bytes(), 0o755);
        // Behind the end of a program nobody reads.
        let program = [fs::read(self.folder.path().join("program")).unwrap(), version.as_bytes().to_vec()].concat();
        match script {
            None => write("usr/bin/tilth-agent", &program, 0o755),
            Some(script) => {
                let script = format!("#!/bin/sh\nprogram=\"$(dirname \"$0\")/../lib/tilth/agent\"\n{script}\n");
                write("usr/bin/tilth-agent", script.as_bytes(), 0o755);
                write("usr/lib/tilth/agent", &program, 0o755);
            }
        }
        let built =
            said(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Znone"]).arg(&folder).arg(to));
        assert!(!built.is_empty());
        fs::remove_dir_all(folder).unwrap();
    }

    /// What a command of the running agent prints.
    fn ask(&self, arguments: &[&str]) -> String {
        let mut command = self.command(self.root().join("usr/bin/tilth-agent"));
        let ran = command.args(arguments).arg("--socket").arg(self.root().join("agent.sock")).output().unwrap();
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// Waits until the agent answers, has read its line and stores it.
    #[track_caller]
    pub(crate) fn works(&self) {
        self.until("the agent works", |bench| {
            let status: Value = serde_json::from_str(&bench.ask(&["status", "--json"])).unwrap_or_default();
            status["buses"][0]["used"].as_u64() > Some(0) && status["boot"].as_u64() > Some(0)
        });
    }

    /// Has the agent note a text, which is on the disk then.
    pub(crate) fn mark(&self, text: &str) {
        assert!(self.ask(&["note", text, "--by", "test"]).contains("noted"), "{}", self.log());
    }

    pub(crate) fn notes(&self) -> String {
        self.ask(&["notes", "--json"])
    }

    /// Texts of the marks, the oldest first.
    pub(crate) fn marks(&self) -> Vec<String> {
        self.works();
        let rows = self.notes();
        let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.filter(|row| row["by"] == "test").map(|row| text(&row["text"])).collect()
    }

    /// State of the package, and its version.
    pub(crate) fn installed(&self) -> String {
        self.state_of("tilth-agent")
    }

    pub(crate) fn state_of(&self, package: &str) -> String {
        let mut query = Command::new("dpkg-query");
        query.arg("--admindir").arg(self.root().join("var/lib/dpkg"));
        said(query.args(["--show", "--showformat=${Status} ${Version}", package]))
    }

    pub(crate) fn process(&self) -> String {
        fs::read_to_string(self.root().join("agent.pid")).unwrap().trim().to_owned()
    }

    /// Version of the program that runs.
    pub(crate) fn running(&self) -> String {
        let program = fs::read(format!("/proc/{}/exe", self.process())).unwrap();
        String::from_utf8_lossy(&program[program.len() - OLD.len()..]).into_owned()
    }

    /// Whether a version that changes the layout has run.
    pub(crate) fn changed_layout(&self) -> bool {
        self.root().join("var/lib/changed").exists()
    }

    /// Does something while another call of the command stages an update.
    pub(crate) fn while_locked(&mut self, then: impl FnOnce(&mut Bench)) {
        let folder = self.root().join("var/lib/tilth-update");
        fs::create_dir_all(&folder).unwrap();
        let lock = File::open(folder).unwrap();
        lock.lock().unwrap();
        then(self);
    }

    /// Files in the folder of the update.
    pub(crate) fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root().join("var/lib/tilth-update")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Whether no update holds the folder.
    fn is_free(&self) -> bool {
        File::open(self.root().join("var/lib/tilth-update")).is_ok_and(|folder| folder.try_lock().is_ok())
    }

    fn job(&self) -> Option<Value> {
        let text = fs::read(self.root().join("var/lib/tilth-update/state.json")).ok()?;
        Some(serde_json::from_slice::<Value>(&text).ok()?["content"].clone())
    }

    /// What everybody said, last things last.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        ["root/agent.log", "command.log", "root/update.log"].map(read).concat()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&Bench) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; {:?}\n{}", self.job(), self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.cut_power();
    }
}

/// Word of the state of an update.
fn word(job: &Value) -> String {
    let state = &job["state"];
    state.as_object().and_then(|of| of.keys().next().cloned()).unwrap_or_else(|| text(state))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn said(command: &mut Command) -> String {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// A line that says the same value ten times a second to whoever connects; its port.
fn line() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                while stream.write_all(b"ph=6.10\r\n").is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
    });
    port
}
