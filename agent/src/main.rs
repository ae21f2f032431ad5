//! The daemon and its command line.

mod act;
mod api;
mod check;
mod checkpoint;
mod cli;
mod clock;
mod commands;
mod configuration;
mod console;
mod daemon;
mod decide;
mod durable;
mod exit;
mod explain;
mod findings;
mod health;
mod notify;
mod random;
mod recording;
mod replay;
mod resume;
mod schema;
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
    console::log::start(command.log_level());
    let code = exit::code(match command {
        Command::Replay(wanted) => replay::run(&wanted),
        Command::Run(wanted) => daemon::run(&wanted),
        Command::Check(wanted) => check::run(&wanted),
        Command::Explain(wanted) => explain::run(&wanted),
        Command::Schema(wanted) => schema::run(&wanted),
        Command::Init(wanted) => commands::init(&wanted),
        Command::Enroll(wanted) => commands::enroll(&wanted),
        Command::Doctor(wanted) => commands::doctor(&wanted),
        Command::Diag(wanted) => commands::diag(&wanted),
        Command::Status(wanted) => commands::status(&wanted),
        Command::Sensors(wanted) => commands::sensors(&wanted),
        Command::History(wanted) => commands::history(&wanted),
        Command::Alerts(wanted) => commands::alerts(&wanted),
        Command::Ack(wanted) => commands::ack(&wanted),
        Command::Silence(wanted) => commands::silence(&wanted),
        Command::Actuators(wanted) => commands::actuators(&wanted),
        Command::Actuate(wanted) => commands::actuate(&wanted),
        Command::Hold(wanted) => commands::hold(&wanted),
        Command::Calibrate(wanted) => commands::calibrate(&wanted),
        Command::NotifyTest(wanted) => commands::notify_test(&wanted),
        Command::Note(wanted) => commands::note(&wanted),
        Command::Notes(wanted) => commands::notes(&wanted),
        Command::Export(wanted) => commands::export(&wanted),
        Command::Retry(wanted) => commands::retry(&wanted),
        Command::Tail(wanted) => commands::tail(&wanted),
        Command::Listen(wanted) => commands::listen(&wanted),
        Command::Flash(wanted) => commands::flash(&wanted),
        Command::Update(wanted) => commands::update(&wanted),
        Command::Completions(wanted) => wanted.print(),
        Command::Manual(wanted) => wanted.write(),
    });
    console::journal::flush();
    code
}
