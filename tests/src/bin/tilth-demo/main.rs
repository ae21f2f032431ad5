//! The night the internet was cut, with the real programs: hub and agent in a fresh folder, a board's firmware, and a simulated room.
//!
//! | file | holds |
//! | --- | --- |
//! | `agent` | the agent's process, its transitions, and commands to it |
//! | `board` | the room's board: firmware on a pseudo-terminal, wired to the room |
//! | `farm` | the folders and the configuration |
//! | `heard` | what agent, board and modem do, told and kept for what follows |
//! | `hub` | the hub's process, and its answers to a reader |
//! | `night` | how far the night is, and what has happened in it |
//! | `phone` | a phone that ntfy pushes to |
//! | `processes` | starting and ending programs, so that none is left |
//! | `proof` | whether it happened |
//! | `show` | the order of events, and what makes each of them happen |
//! | `story` | the sentences |
//! | `time` | the demo's clock and place |

mod agent;
mod board;
mod farm;
mod heard;
mod hub;
mod night;
mod phone;
mod processes;
mod proof;
mod show;
mod story;
mod time;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::show::Ended;
use crate::story::say;

const HELP: &str = "\
Shows the night the internet was cut, with the real agent, hub and firmware of a board, in a simulated hydroponic room.

tilth-demo [--bounded] [--sabotage] [--dir DIR]

  --bounded   end within a minute with `demo: ok, ..` or `demo: short, WHAT`, as the hub's API tells it
  --sabotage  take the siren out of the escalation: --bounded must then end with `demo: short, the siren did not sound`
  --dir DIR   where to put everything; expected to be empty or not there [default: a new folder for temporary things]

Without --bounded it goes on until Ctrl-C. Exit codes: 0 done, 1 failed or short, 2 bad usage.";

/// Once somebody wants the demo to end, it ends within this: three seconds, less what a busy machine takes.
const STOPS_WITHIN: Duration = Duration::from_millis(2700);

/// A bounded run ends within this, even if a process hangs: a minute, likewise.
const BOUND: Duration = Duration::from_secs(58);

/// What the demo hears.
enum Heard {
    /// A line of `tilth-agent tail --json`.
    Agent(String),
    /// The board switched a relay, by its own time.
    Switched { relay: board::Relay, on: bool, at: Duration },
    /// Title of a message on the phone.
    Pushed(String),
    /// The board's line is of no more use; nothing follows.
    Broken(io::Error),
    /// Somebody wants it to end.
    Stop,
}

/// What was typed.
#[derive(Default)]
struct Wanted {
    bounded: bool,
    sabotage: bool,
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let mut wanted = Wanted::default();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some(processes::GUARD) => {
                processes::guard();
                return ExitCode::SUCCESS;
            }
            Some("--bounded") => wanted.bounded = true,
            Some("--sabotage") => wanted.sabotage = true,
            Some("--dir") => match words.next() {
                Some(dir) => wanted.dir = Some(dir.into()),
                None => return refuse("--dir needs a folder"),
            },
            Some("--help" | "-h") => {
                let _ = say(HELP);
                return ExitCode::SUCCESS;
            }
            _ => return refuse(&format!("there is no option {}", word.display())),
        }
    }
    let bounded = wanted.bounded;
    if bounded {
        end_after(BOUND, "demo: short, something hangs", 1);
    }
    let (line, code) = match run(wanted) {
        Ok(Ended::Proved(what)) => (format!("demo: ok, {what}"), ExitCode::SUCCESS),
        // The run was to show something, and has not.
        Ok(Ended::Stopped) if bounded => (STOPPED_SHORT.to_owned(), ExitCode::FAILURE),
        Ok(Ended::Stopped) => (STOPPED.to_owned(), ExitCode::SUCCESS),
        Err(error) => (format!("demo: short, {error:#}"), ExitCode::FAILURE),
    };
    let _ = say(&line);
    code
}

const STOPPED: &str = "demo: stopped, nothing runs any more";
const STOPPED_SHORT: &str = "demo: short, it was stopped";

/// Ends the demo if it has not ended by then. The guard ends what it started.
fn end_after(span: Duration, line: &'static str, code: i32) {
    thread::spawn(move || {
        thread::sleep(span);
        let _ = say(line);
        std::process::exit(code);
    });
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("tilth-demo: {problem}; tilth-demo --help says what there is");
    ExitCode::from(2)
}

fn run(wanted: Wanted) -> anyhow::Result<Ended> {
    let (tell, heard) = mpsc::channel();
    hear_signals(tell.clone(), wanted.bounded)?;
    show::run(wanted, tell, &heard)
}

/// Ctrl-C, `kill` and a terminal that is closed all end the demo in order.
fn hear_signals(tell: Sender<Heard>, bounded: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("signals")?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        let (line, code) = if bounded { (STOPPED_SHORT, 1) } else { (STOPPED, 0) };
        end_after(STOPS_WITHIN, line, code);
        let _ = tell.send(Heard::Stop);
    });
    Ok(())
}
