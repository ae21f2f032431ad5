//! Real programs for black-box tests and evidence: a hub on a free port, an agent and who watches it, and the board on its serial line.

pub mod board;
pub mod certificates;
pub mod disk;
pub mod emulator;
pub mod farm;
pub mod flow;
pub mod host_board;
pub mod hub;
pub mod modem;
pub mod proxy;
pub mod room;
pub mod serial_server;
pub mod tail;

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// A process that does not outlive the owner of this value: dropped, it is killed as by a power cut.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Starts a program that outlives neither this process nor who holds it: a test that panics, is killed or runs out of time
    /// leaves no agent behind that would open another test's serial line.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(command: &mut Command) -> io::Result<Running> {
        command.process_group(guard()?.group).spawn().map(Running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell that leads the process group of all programs which this process starts.
struct Guard {
    group: i32,
    /// The other end is closed with this process, however it ends; the guard reads from it, and then kills its group.
    _pipe: ChildStdin,
}

/// The one guard of this process.
fn guard() -> io::Result<&'static Guard> {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    if let Some(guard) = GUARD.get() {
        return Ok(guard);
    }
    let mut shell = Command::new("sh")
        .args(["-c", "read -r _; kill -KILL 0"])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let group = i32::try_from(shell.id()).map_err(io::Error::other)?;
    let pipe = shell.stdin.take().ok_or_else(|| io::Error::other("no pipe to the guard"))?;
    // If two threads begin at once, the guard of the second goes with its pipe.
    Ok(GUARD.get_or_init(|| Guard { group, _pipe: pipe }))
}

/// Whether a process runs. One that has ended and was not waited for does not.
#[must_use]
pub fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, state)| !state.trim_start().starts_with('Z'))
}
