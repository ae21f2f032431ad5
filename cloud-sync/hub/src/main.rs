//! The central platform: keys, configuration and history of many farms, in one binary. Knows nothing of the agent's internals.
//!
//! ```text
//! command line -- commands --> db (SQLite) <-- http <-- devices, readers
//!                                   |
//!                                domain (pure decisions)
//! ```

mod cli;
mod clock;
mod commands;
mod data_dir;
mod db;
mod domain;
mod exit;
mod http;
mod paging;
mod parse_error;
mod reach;

use std::process::ExitCode;

use cli::{Command, Output};
use exit::Exit;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(exit) => return exit.into(),
    };
    exit::code(match command {
        Command::Init(wanted) => commands::init::run(&wanted),
        Command::Tenant(wanted) => commands::tenant::run(&wanted),
        Command::Device(wanted) => commands::device::run(&wanted),
        Command::Config(wanted) => commands::config::run(&wanted),
        Command::Backup(wanted) => commands::backup::make(&wanted),
        Command::Restore(wanted) => commands::backup::restore(&wanted),
        Command::Serve(wanted) => commands::serve::run(&wanted),
        Command::Routes(output) => routes(output),
        Command::Completions(wanted) => wanted.print(),
        Command::Manual(wanted) => wanted.write(),
    })
}

/// Lists the routes.
fn routes(output: Output) -> anyhow::Result<Exit> {
    for http::DescribedRoute { method, path, who } in http::described_routes() {
        if output.json {
            exit::json(&serde_json::json!({"method": method, "path": path, "who": who}))?;
        } else {
            exit::line(format_args!("{method:<4}  {path:<20}  {who}"))?;
        }
    }
    Ok(Exit::Done)
}
