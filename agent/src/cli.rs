//! What can be typed: commands, their options, and the words that explain them.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::exit::Exit;
use crate::output::tell;

/// Watches and steers the growing rooms of a farm.
#[derive(Debug, Parser)]
#[command(
    name = "tilth-agent",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 bad configuration or usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Replay(Replay),
    Check(Check),
    Explain(Explain),
}

/// Run the rules over recorded readings and show what would have happened
///
/// The recording is CSV, plain or gzip: a reading a line under the header
/// time,sensor,value or a column for each sensor beside the column time.
/// Times are RFC 3339 with an offset, or epoch milliseconds; an empty or NaN
/// value is a missing one.
///
/// The clock of a replay is the greatest time stamp so far, and it stops with
/// the last one: nothing is run beyond the end of the recording. What still
/// fires there is listed at the end.
///
/// Transitions go to standard output, the summary with the bad lines to
/// standard error.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The recording; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// One JSON object a line for each transition
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write a page with the figures and all alerts
    #[arg(long, value_name = "OUT.html")]
    pub(crate) report: Option<PathBuf>,
    /// For tests: after each N readings keep the engine's memory as bytes, drop the engine, and go on with one made from
    /// those bytes. What is printed must be the same to the byte.
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) restart_every: Option<NonZeroU64>,
    /// For tests: a last line on standard output with a hash of every effect of the engine, windows and readings too.
    #[arg(long, hide = true)]
    pub(crate) digest: bool,
}

/// Say everything that is wrong with a configuration
///
/// Warnings alone are no failure.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: Config,
    /// One JSON object a line for each finding, and one for the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show where the values of a configuration come from
///
/// Every value at and under the path, with the document that set it and what it overrides there.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Such as rules.ph-high, sensors."tower-1/ph".range or zones.tower-1; what there is at all where it is left out
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// One JSON object a line for each value
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The folder with agent.toml and config.d
    #[arg(long = "config", value_name = "DIR", default_value = "/etc/tilth")]
    pub(crate) folder: PathBuf,
}

/// The command that was typed; else how to end, after saying why.
pub(crate) fn parse() -> Result<Command, Exit> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli.command),
        Err(message) => Err(say(&message)),
    }
}

/// Says what clap has to say, be it help or an error.
fn say(message: &clap::Error) -> Exit {
    let said = message.print();
    match said {
        _ if message.use_stderr() => Exit::Refused,
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            tell(format_args!("tilth-agent: standard output: {error}"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}
