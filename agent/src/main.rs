//! The daemon and its command line.

mod check;
mod cli;
mod exit;
mod explain;
mod findings;
mod output;
mod replay;
mod transition;

use std::process::ExitCode;

use cli::Command;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(exit) => return exit.into(),
    };
    exit::code(match command {
        Command::Replay(wanted) => replay::run(&wanted),
        Command::Check(wanted) => check::run(&wanted),
        Command::Explain(wanted) => explain::run(&wanted),
    })
}
