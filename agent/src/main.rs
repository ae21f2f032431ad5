//! The daemon and its command line.

mod chance;
mod check;
mod checkpoint;
mod cli;
mod clock;
mod configuration;
mod daemon;
mod decide;
mod desk;
mod durable;
mod exit;
mod explain;
mod findings;
mod health;
mod notify;
mod output;
mod recording;
mod replay;
mod resume;
mod sense;

mod store;
mod sync;
mod transition;

use std::process::ExitCode;

use cli::Command;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(exit) => return exit.into(),
    };
    let code = exit::code(match command {
        Command::Replay(wanted) => replay::run(&wanted),
        Command::Run(wanted) => daemon::run(&wanted),
        Command::Check(wanted) => check::run(&wanted),
        Command::Explain(wanted) => explain::run(&wanted),
        Command::Status(wanted) => desk::commands::status(&wanted),
        Command::Sensors(wanted) => desk::commands::sensors(&wanted),
        Command::Alerts(wanted) => desk::commands::alerts(&wanted),
        Command::Ack(wanted) => desk::commands::ack(&wanted),
        Command::Silence(wanted) => desk::commands::silence(&wanted),
        Command::Note(wanted) => desk::commands::note(&wanted),
        Command::Tail(wanted) => desk::commands::tail(&wanted),
    });
    output::journal::flush();
    code
}
