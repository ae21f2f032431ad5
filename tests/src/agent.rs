//! The real `tilth-agent`, run over folders and recordings made for a test.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde::Deserialize;

use crate::workspace;

/// The folder that this test or evidence was built into, such as `target/debug`.
#[must_use]
pub fn profile_folder() -> PathBuf {
    let this = std::env::current_exe().expect("a process knows its program");
    let folder = this.parent().expect("a program is in a folder");
    let folder =
        if folder.ends_with("deps") { folder.parent().expect("deps is in a profile's folder") } else { folder };
    folder.to_owned()
}

/// 2026-01-01T00:00:00Z in milliseconds since 1970: where recordings made for a test begin.
pub const NEW_YEAR_MS: i64 = 1_767_225_600_000;

/// The program: the one that `TILTH_AGENT` names, such as one that is installed; else built with this test's profile, once
/// in a run of tests.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("TILTH_AGENT") {
        Some(program) => absolute(program.as_ref()),
        None => build_once("tilth-agent"),
    })
}

/// The hub: the one that `TILTH_HUB` names; else built with this test's profile, once in a run of tests.
pub fn hub() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("TILTH_HUB") {
        Some(program) => absolute(program.as_ref()),
        None => build_once("tilth-hub"),
    })
}

/// A program is also started from other folders than this process's.
fn absolute(program: &Path) -> PathBuf {
    std::path::absolute(program).expect("a path")
}

/// Builds the program into a folder such as `target/debug`.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn build(profile_folder: &Path) -> PathBuf {
    build_package("tilth-agent", profile_folder)
}

/// Builds a program with this test's profile, unless another process of the same run of nextest has: each of its tests is one.
fn build_once(package: &str) -> PathBuf {
    let folder = profile_folder();
    let Ok(run) = std::env::var("NEXTEST_RUN_ID") else { return build_package(package, &folder) };
    let built = folder.join(format!("{package}.built-for"));
    let lock = File::options().create(true).append(true).open(&built).expect("the target folder can be written");
    lock.lock().expect("a file can be locked");
    if fs::read_to_string(&built).is_ok_and(|last| last == run) {
        return folder.join(package);
    }
    let program = build_package(package, &folder);
    fs::write(&built, run).expect("the target folder can be written");
    program
}

fn build_package(package: &str, profile_folder: &Path) -> PathBuf {
    let profile = profile_folder.file_name().and_then(|name| name.to_str()).expect("cargo names it");
    let target = profile_folder.parent().expect("a profile's folder is in the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut call = Command::new(cargo);
    // What cargo told this test about its own package makes build scripts run again that look at it.
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in
        names.filter(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.to_string_lossy().starts_with(of)))
    {
        call.env_remove(name);
    }
    let built = call
        .args(["build", "--quiet", "--locked", "--package", package, "--profile"])
        .arg(if profile == "debug" { "dev" } else { profile })
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace())
        .output()
        .expect("cargo is there");
    assert!(built.status.success(), "{package} cannot be built:\n{}", String::from_utf8_lossy(&built.stderr));
    profile_folder.join(package)
}

/// A folder for one test, removed at its end.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder beside the builds.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Folder {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = profile_folder().join("farms").join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("the target folder can be written");
        Folder(folder)
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, with the folders it is in.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the target folder can be written");
        fs::write(&path, content).expect("the target folder can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A farm: a folder with a configuration, and recordings of it.
#[derive(Debug)]
pub struct Farm {
    /// The folder of the configuration; recordings may be put beside `config.d`.
    pub folder: Folder,
}

/// How the program ended and what it said.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A line of `replay --json`. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Option<String>,
    /// What happened.
    pub event: String,
    /// Which rule; none for a sensor's own health.
    pub rule: Option<String>,
    /// Which sensor.
    pub sensor: Option<String>,
    /// What was compared.
    pub value: Option<f64>,
    /// How bad it is.
    pub severity: Option<String>,
    /// Why an alert is over, or what is wrong with a sensor.
    pub reason: Option<String>,
}

/// The last word of `replay --json`, on standard error; what of it is looked at here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Summary {
    /// Values read.
    pub readings: u64,
    /// Values that the recording says are missing.
    pub missing: u64,
    /// Readings older than their sensor's newest.
    pub late: u64,
    /// Lines of which nothing could be used.
    pub bad_lines: u64,
    /// Cells of other lines that could not be used.
    pub bad_cells: u64,
    /// Lines that end before the last column.
    pub short_lines: u64,
    /// How often each reason was met.
    pub bad: Vec<Counted>,
    /// The first bad lines.
    pub bad_shown: Vec<String>,
    /// How many alerts fired.
    pub alerts: u64,
    /// Why the recording was not read to its end, or means nothing.
    pub failure: Option<String>,
}

/// A reason for something to be bad, and how often it was met.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Counted {
    /// The reason.
    pub reason: String,
    /// How often.
    pub count: u64,
}

impl Farm {
    /// A farm whose one document in `config.d` says this.
    #[must_use]
    pub fn new(name: &str, config: &str) -> Farm {
        let folder = Folder::new(name);
        folder.write("config.d/farm.toml", config);
        Farm { folder }
    }

    /// Replays a recording from standard input.
    ///
    /// # Panics
    /// When the program cannot be run.
    #[must_use]
    pub fn replay(&self, recording: impl AsRef<[u8]> + Sync, options: &[&str]) -> Run {
        run(self.command(Path::new("-"), options), recording.as_ref())
    }

    /// Replays a recording from a file.
    ///
    /// # Panics
    /// When the program cannot be run.
    #[must_use]
    pub fn replay_file(&self, recording: &Path, options: &[&str]) -> Run {
        run(self.command(recording, options), &[])
    }

    /// Replays a recording with each of the sets of options, all at once; returns what they all said, as JSON with a digest.
    ///
    /// # Panics
    /// When one fails, or says something else than the first.
    #[must_use]
    #[track_caller]
    pub fn replay_each_way(&self, recording: &str, ways: &[&[&str]]) -> String {
        let run = |options: &&[&str]| self.replay(recording, &[&["--json", "--digest"], *options].concat());
        let mut runs = thread::scope(|scope| {
            let running: Vec<_> = ways.iter().map(|options| scope.spawn(move || run(options))).collect();
            running.into_iter().map(|run| run.join().expect("a run ends")).collect::<Vec<Run>>()
        });
        for (run, options) in runs.iter().zip(ways) {
            assert_eq!(run.code, Some(0), "{options:?}: {}", run.err);
            assert!(run.out == runs[0].out, "{options:?}: {}", first_difference(&runs[0].out, &run.out));
        }
        runs.swap_remove(0).out
    }

    /// The call that replays a recording.
    pub fn command(&self, recording: &Path, options: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("replay").arg("--config").arg(self.folder.path()).arg("--input").arg(recording).args(options);
        command
    }

    /// The transitions of a recording, which must be replayed without an error.
    ///
    /// # Panics
    /// When the replay fails.
    #[must_use]
    #[track_caller]
    pub fn transitions(&self, recording: impl AsRef<[u8]> + Sync) -> Vec<Transition> {
        let run = self.replay(recording, &["--json"]);
        assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
        run.transitions()
    }
}

/// Runs a call to its end: feeds its standard input, and hears all it says.
///
/// # Panics
/// When the program cannot be run.
#[must_use]
pub fn run(mut call: Command, input: &[u8]) -> Run {
    call.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = call.spawn().expect("the program can be run");
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = thread::scope(|scope| {
        // A program that refuses its configuration does not read its input.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("it is a child of ours")
    });
    Run::of(output)
}

impl Run {
    /// What a process left.
    ///
    /// # Panics
    /// When that is no text.
    #[must_use]
    pub fn of(output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).expect("the program says text");
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The summary of a replay with `--json`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn summary(&self) -> Summary {
        let object = self.err.lines().rfind(|line| line.starts_with('{'));
        let read = object.and_then(|object| serde_json::from_str(object).ok());
        read.unwrap_or_else(|| panic!("no summary:\n{}", self.err))
    }

    /// Standard output as transitions.
    ///
    /// # Panics
    /// When a line is none.
    #[must_use]
    pub fn transitions(&self) -> Vec<Transition> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(read).collect()
    }
}

impl Transition {
    /// Whether it is of that rule and event.
    #[must_use]
    pub fn is(&self, rule: &str, event: &str) -> bool {
        self.rule.as_deref() == Some(rule) && self.event == event
    }

    /// `2026-03-29T01:00:00Z firing`, with the reason where one resolved for another than that it cleared.
    #[must_use]
    pub fn brief(&self) -> String {
        let reason = self.reason.as_deref().filter(|reason| *reason != "cleared");
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{} {}{reason}", self.at.as_deref().unwrap_or("-"), self.event)
    }
}

/// The most memory that a running process has held, from `/proc`; none once it has ended.
#[must_use]
pub fn peak_memory_kb(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.split_whitespace().next()?.parse().ok()
}

/// The first line in which two texts differ.
fn first_difference(one: &str, other: &str) -> String {
    let lines = one.lines().map(Some).chain([None]).zip(other.lines().map(Some).chain([None]));
    let different = lines.enumerate().find(|(_, (one, other))| one != other);
    different.map_or("none".to_owned(), |(ix, (one, other))| {
        format!("line {}:\n{}\n{}", ix + 1, one.unwrap_or("(end)"), other.unwrap_or("(end)"))
    })
}

/// When a rule's alerts fired and were over, for all its sensors.
#[must_use]
pub fn raised_and_over(transitions: &[Transition], rule: &str) -> Vec<String> {
    let raised = |transition: &&Transition| transition.is(rule, "firing") || transition.is(rule, "resolved");
    transitions.iter().filter(raised).map(Transition::brief).collect()
}
