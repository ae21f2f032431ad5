//! The real programs, and how none of them outlives the demo, however it ends.
//!
//! All run in one process group, whose leader is a guard: this program again, reading from a pipe whose other end only the
//! demo holds. When the demo dies, even of kill -9, the pipe ends, and the guard kills its group and so itself.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};
use tilth_tests::agent::profile_folder;

/// The word that makes this program the guard.
pub(crate) const GUARD: &str = "--guard";

/// How long programs have to stop by themselves: with what follows, less than three seconds.
const PATIENCE: Duration = Duration::from_millis(2200);

/// The guard: waits until the demo is gone, and ends all that it started.
pub(crate) fn guard() {
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let _ = kill_process_group(getpid(), Signal::KILL);
}

/// The group of the programs.
pub(crate) struct Group {
    guard: Child,
    pipe: Option<ChildStdin>,
    /// Folder of each program's output.
    logs: PathBuf,
}

impl Group {
    pub(crate) fn new(logs: &Path) -> anyhow::Result<Group> {
        fs::create_dir_all(logs).with_context(|| logs.display().to_string())?;
        let mut guard = Command::new(std::env::current_exe()?)
            .arg(GUARD)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the guard")?;
        let pipe = guard.stdin.take();
        Ok(Group { guard, pipe, logs: logs.to_owned() })
    }

    /// Starts a program; its standard error is added to `NAME.log`, its standard output goes where it is sent.
    pub(crate) fn start(&self, name: &str, command: &mut Command, output: Stdio) -> anyhow::Result<Child> {
        let path = self.logs.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path).with_context(|| path.display().to_string())?;
        let group = i32::try_from(self.guard.id())?;
        command.process_group(group).stdin(Stdio::null()).stdout(output).stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))
    }
}

impl Drop for Group {
    /// Kills what is still there.
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.guard.wait();
    }
}

/// Asks programs to stop, all at once, and kills those that do not.
pub(crate) fn stop(children: &mut [&mut Child]) {
    for child in &*children {
        ask_to_stop(child);
    }
    let deadline = Instant::now() + PATIENCE;
    for child in children {
        wait_until(child, deadline);
    }
}

fn ask_to_stop(child: &Child) {
    // Not waited for yet, so the number is still its own.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn wait_until(child: &mut Child, deadline: Instant) {
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command to its end and gives its standard output; fails with what it said.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A program of ours: the one that the variable names, else the one beside this.
pub(crate) fn program(variable: &str, name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| profile_folder().join(name), PathBuf::from);
    if !path.is_file() {
        bail!("{} is not there: tests/demo builds it", path.display());
    }
    Ok(path)
}
