//! A board without hardware: the firmware's node on this machine, with simulated channels and relays.
//!
//! ```text
//! tilth-board LINK            a pseudo-terminal, found at the path LINK
//! tilth-board tcp:ADDRESS     a TCP port, such as tcp:127.0.0.1:0
//!     --time-scale N          board time runs N times as fast as the machine's clock, 1 to 60
//!     --settings FILE         keeps id and settings there, as an EEPROM would
//! ```
//!
//! The program says what happens in lines of JSON on standard output (`ready`, `relay`), and takes commands from standard input, one a line:
//!
//! ```text
//! value CHANNEL NUMBER        the channel shows this, in its unit on the wire (thousandths, or raw counts)
//! fault CHANNEL FAULT         absent, checksum, power-on, range, timeout, bus
//! cut, join                   the line loses everything, and works again
//! reset CAUSE                 the board restarts: power-on, external, brown-out, watchdog, panic
//! hang SECONDS                the board does nothing for so long
//! ```
//!
//! The program ends with its standard input.

mod command;

use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tilth_tests::live::host_board::{HostBoard, Line};
use tilth_wire::ResetCause;

use command::Command;

/// How long the board waits at most before it looks for commands.
const PATIENCE: Duration = Duration::from_millis(10);

/// Largest time scale: a link timeout of 10 minutes then lasts 10 s, ten heartbeats of an agent.
const MAX_TIME_SCALE: u32 = 60;

struct Arguments {
    line: String,
    time_scale: u32,
    settings: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: tilth-board LINK|tcp:ADDRESS [--time-scale N] [--settings FILE]");
        return ExitCode::from(2);
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tilth-board: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    let mut arguments = Arguments { line: words.next()?, time_scale: 1, settings: None };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--time-scale" => arguments.time_scale = words.next()?.parse().ok()?,
            "--settings" => arguments.settings = Some(words.next()?.into()),
            _ => return None,
        }
    }
    (1..=MAX_TIME_SCALE).contains(&arguments.time_scale).then_some(arguments)
}

fn run(arguments: Arguments) -> io::Result<()> {
    let line = if let Some(address) = arguments.line.strip_prefix("tcp:") {
        let address = address.parse().map_err(|error| io::Error::other(format!("{address}: {error}")))?;
        let (line, address) = Line::tcp(address)?;
        println!("{}", json!({ "event": "ready", "line": format!("tcp://{address}") }));
        line
    } else {
        let line = Line::pty(Path::new(&arguments.line))?;
        println!("{}", json!({ "event": "ready", "line": arguments.line }));
        line
    };
    let mut board = HostBoard::start(line, arguments.time_scale, arguments.settings, ResetCause::PowerOn);
    let commands = commands();
    loop {
        match commands.try_recv() {
            Ok(Ok(command)) => board = act(board, command),
            Ok(Err(line)) => eprintln!("tilth-board: not a command: {line}"),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        board.run(PATIENCE)?;
        while let Some((relay, on, at)) = board.next_switched() {
            println!("{}", json!({ "event": "relay", "relay": relay, "on": on, "at": at }));
        }
    }
}

/// Commands from standard input, until its end; what is none as it was written.
fn commands() -> Receiver<Result<Command, String>> {
    let (sender, commands) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line.parse().map_err(|()| line)).is_err() {
                return;
            }
        }
    });
    commands
}

fn act(mut board: HostBoard, command: Command) -> HostBoard {
    match command {
        Command::Show { channel, sample } => board.set(channel, sample),
        Command::Cut(is_cut) => board.set_cut(is_cut),
        Command::Reset(cause) => return board.restart(cause),
        Command::Hang(time) => thread::sleep(time),
    }
    board
}
