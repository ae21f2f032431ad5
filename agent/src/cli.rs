//! What can be typed: commands, their options, and the words that explain them.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use jiff::tz::{Offset, TimeZone};
use tilth_core::id::{Id, SensorId};
use tilth_core::time::Span;

use crate::clock::Source;
use crate::exit::Exit;
use crate::output::tell;

/// The longest time for which somebody can acknowledge or silence: beyond it a rule is better changed.
pub(crate) const LONGEST: Span = Span::from_mins(30 * 24 * 60);

/// Where an agent keeps what it must not forget, unless told otherwise.
const DATA: &str = "/var/lib/tilth";

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
    Run(Run),
    Replay(Replay),
    Check(Check),
    Explain(Explain),
    Status(Status),
    Sensors(Sensors),
    Alerts(Alerts),
    Ack(Ack),
    Silence(Silence),
    Note(Note),
    Tail(Tail),
}

/// Watch the farm: read sensors, decide, tell people, keep what was seen
///
/// Runs until it is told to stop (SIGTERM, Ctrl-C). What changes in config.d takes effect by itself; a configuration with
/// errors is refused and the running one stays.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Where it keeps what it must not forget
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// Where it is asked how it is [default: /run/tilth/agent.sock; without that folder, agent.sock in the data folder]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Also write everything that the engine is told to a file, as JSON lines; replay reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// For the demo and tests: system, x60, or input (the greatest stamp seen)
    #[arg(long, value_name = "SOURCE", default_value = "system", hide = true)]
    pub(crate) clock: Source,
}

/// Run the rules over recorded readings and show what would have happened
///
/// The recording is CSV, or what run --record wrote (JSON lines, with the
/// configuration in them: --config is then not looked at), plain or gzip.
/// CSV has a reading a line under the header time,sensor,value or a column for
/// each sensor beside the column time. Exports of other tools are read too:
/// semicolons or tabs, decimal commas, lines above the header, times found by
/// their content, UTF-16. How a file was read is said in the summary. Times
/// without an offset want --tz; headings that are no sensor's id want --map:
///
///   --tz Europe/Berlin --map "Temp (C)=tent-1/temperature"
///
/// An empty, NaN or NA value is a missing one.
///
/// The clock of a replay is the greatest time stamp so far, and it stops with
/// the last one: nothing is run beyond the end of the recording. What still
/// fires there is listed at the end. A pending alert that is not followed by
/// its firing lapsed: the condition was over before its time was up.
///
/// A sensor that the recording does not have is not silent on the farm, so
/// what is decided for a sensor before its first reading is left out of the
/// lines, the summary and the page, and counted there; --json has it all.
///
/// Where the recording jumps ahead by more than 31 days, as one wrong stamp
/// makes it do, each alert prints its first 10 repeats (notify, cause
/// repeated) and then only the last, with how many before it were left out;
/// with --json too, as the key repeats. They are all counted.
///
/// Transitions go to standard output, the summary with the bad lines to
/// standard error. A recording without a reading of any configured sensor is
/// a failure.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The recording; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Whose time of day a time without an offset is, such as Europe/Amsterdam, +01:00 or UTC
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub(crate) tz: Option<TimeZone>,
    /// Which sensor a heading or a name of the recording is; may be given again
    #[arg(long, value_name = "NAME=ZONE/SENSOR", value_parser = map)]
    pub(crate) map: Vec<Map>,
    /// The heading of the time, where its content does not tell; given twice, of the date and of the time of day
    #[arg(long, value_name = "NAME")]
    pub(crate) time_column: Vec<String>,
    /// The heading of a column whose text begins the names of what its line measured, where several sensors share a heading
    #[arg(long, value_name = "NAME")]
    pub(crate) name_column: Vec<String>,
    /// In which order dates such as 05/11/2026 have day, month and year, where nothing in the file tells: dmy, mdy or ymd
    #[arg(long, value_name = "ORDER", value_parser = date_order)]
    pub(crate) date_order: Option<DateOrder>,
    /// One JSON object a line for each transition, and on standard error one for the summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write a page with the figures and all alerts; no file but an older page is replaced
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
/// Where there is an agent.toml, it is judged as run would judge it. Warnings alone are no failure. Where the hub's
/// configuration rules, that is what is checked, and what is wrong in files of config.d is said as ignored.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Where the agent keeps the hub's configuration, if it has one
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// One JSON object a line for each finding, and one for the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show where the values of a configuration come from
///
/// Every value at and under the path, with the document that set it and what it overrides there. Where the hub's configuration
/// rules, its values are shown, and not those of config.d.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Where the agent keeps the hub's configuration, if it has one
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// Such as rules.ph-high, sensors."tower-1/ph".range or zones.tower-1; what there is at all where it is left out
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// One JSON object a line for each value
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say how the running agent is
///
/// Its clock, configuration, buses, readings, store, and the ways in which it tells people.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show the newest value of each sensor
#[derive(Debug, Args)]
pub(crate) struct Sensors {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// One JSON object a line for each sensor
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show the alerts that are open
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Those too that are pending: their condition has not held for long enough
    #[arg(long)]
    pub(crate) all: bool,
    /// One JSON object a line for each alert
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take an alert on: nobody is paged about it for a while
///
/// If it is not over by then, people are paged again.
#[derive(Debug, Args)]
pub(crate) struct Ack {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// The alert's number, as alerts shows it
    #[arg(value_name = "ALERT", value_parser = alert_number)]
    pub(crate) alert: u64,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = span)]
    pub(crate) span: Span,
    /// Who takes it on [default: $USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// One JSON object: the alert
    #[arg(long)]
    pub(crate) json: bool,
}

/// Silence alerts for a while, end a silence, or show the silences there are
///
/// Silenced alerts still fire; people are paged when the silence ends and they are not over. Alerts are meant that fit every
/// one of --zone, --rule and --sensor that is given; --everything means all alerts of the farm.
#[derive(Debug, Args)]
pub(crate) struct Silence {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Only alerts of this zone
    #[arg(long, value_name = "ZONE", value_parser = id, requires = "span")]
    pub(crate) zone: Option<Id>,
    /// Only alerts of this rule
    #[arg(long, value_name = "RULE", value_parser = id, requires = "span")]
    pub(crate) rule: Option<Id>,
    /// Only alerts of this sensor
    #[arg(long, value_name = "SENSOR", value_parser = sensor_id, requires = "span")]
    pub(crate) sensor: Option<SensorId>,
    /// All alerts of the farm
    #[arg(long, requires = "span", conflicts_with_all = ["zone", "rule", "sensor"])]
    pub(crate) everything: bool,
    /// For how long, such as 2h
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub(crate) span: Option<Span>,
    /// Who silences them [default: $USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// End the silence of this number
    #[arg(long, value_name = "SILENCE", value_parser = silence_number, conflicts_with_all = ["zone", "rule", "sensor", "everything", "span"])]
    pub(crate) end: Option<u32>,
    /// One JSON object a line for each silence
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write something down: it is kept with what happened, and reaches the hub
#[derive(Debug, Args)]
pub(crate) struct Note {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// What to write down
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
    /// Who writes it [default: $USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Print nothing
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show transitions as they happen, until Ctrl-C
#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// One JSON object a line, as replay prints them
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which agent is asked.
#[derive(Debug, Args)]
pub(crate) struct Agent {
    /// Its socket [default: /run/tilth/agent.sock; without that folder, agent.sock in the data folder]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Its data folder
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
}

impl Agent {
    /// The options that name it, to be typed again in a shell; nothing for the usual one.
    pub(crate) fn typed(&self) -> String {
        let socket = self.socket.as_deref().map(|path| ("--socket", path));
        let data = Some(("--data", self.data.as_path())).filter(|(_, path)| *path != Path::new(DATA));
        socket.into_iter().chain(data).map(|(option, path)| format!(" {option} {}", in_shell(path))).collect()
    }

    /// What to try when no agent listens where it was looked for.
    pub(crate) fn elsewhere(&self) -> &'static str {
        match (&self.socket, self.data == Path::new(DATA)) {
            (None, true) => "; if it runs with --data DIR, give the same --data DIR here",
            (None, false) if !self.data.is_dir() => "; there is no folder of that name: is --data right?",
            _ => "",
        }
    }
}

/// A path as a shell takes it.
fn in_shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn span(text: &str) -> Result<Span, String> {
    let span = tilth_config::parse_duration(text.trim()).filter(|span| *span > Span::ZERO && *span <= LONGEST);
    span.ok_or_else(|| format!("expected a time such as 1h or 90m, at most {LONGEST}"))
}

/// In which order a date has its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateOrder {
    /// 31/12/2026
    Dmy,
    /// 12/31/2026
    Mdy,
    /// 26/12/31, and 2026-12-31 whatever the order is.
    Ymd,
}

fn date_order(text: &str) -> Result<DateOrder, String> {
    match text.to_lowercase().as_str() {
        "dmy" => Ok(DateOrder::Dmy),
        "mdy" => Ok(DateOrder::Mdy),
        "ymd" => Ok(DateOrder::Ymd),
        _ => Err("expected dmy, mdy or ymd".to_owned()),
    }
}

/// A zone by its name, or a fixed distance from UTC.
fn zone(text: &str) -> Result<TimeZone, String> {
    let fixed = || {
        let (sign, distance) = match text.split_at_checked(1)? {
            ("+", distance) => (1, distance),
            ("-", distance) => (-1, distance),
            _ => return None,
        };
        let digits = distance.replace(':', "");
        let is_offset = matches!((digits.len(), distance.len()), (1, 1) | (2, 2) | (4, 4 | 5));
        if !is_offset || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (hours, minutes) = digits.split_at_checked(2).unwrap_or((&digits, ""));
        let minutes = if minutes.is_empty() { 0 } else { minutes.parse::<i32>().ok()? };
        let seconds = (hours.parse::<i32>().ok()? * 60 + minutes) * 60;
        Some(TimeZone::fixed(Offset::from_seconds(sign * seconds).ok()?))
    };
    let found = fixed().or_else(|| TimeZone::get(text).ok());
    found.ok_or_else(|| "expected a zone such as Europe/Amsterdam, +01:00 or UTC".to_owned())
}

/// A name of a recording, and the sensor that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) name: String,
    pub(crate) sensor: String,
}

/// The last `=` parts them: names of other tools may have some, ids have none.
fn map(text: &str) -> Result<Map, String> {
    let (name, sensor) = text.rsplit_once('=').ok_or("expected NAME=zone/sensor")?;
    let sensor = SensorId::new(sensor.trim()).map_err(|error| error.to_string())?;
    if name.trim().is_empty() {
        return Err("expected a heading or a name before the =".to_owned());
    }
    Ok(Map { name: name.trim().to_owned(), sensor: sensor.to_string() })
}

fn alert_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected the alert's number, as `tilth-agent alerts` shows it".to_owned())
}

fn silence_number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected the silence's number, as `tilth-agent silence` shows it".to_owned())
}

fn id(text: &str) -> Result<Id, String> {
    Id::new(text).map_err(|error| error.to_string())
}

fn sensor_id(text: &str) -> Result<SensorId, String> {
    SensorId::new(text).map_err(|error| error.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_named_again_as_it_was_typed() {
        for (socket, data, expected) in [
            (None, DATA, ""),
            (None, "/home/you/farm/data", " --data /home/you/farm/data"),
            (Some("a.sock"), DATA, " --socket a.sock"),
            (Some("/tmp/my farm/a.sock"), "it's", r" --socket '/tmp/my farm/a.sock' --data 'it'\''s'"),
        ] {
            let agent = Agent { socket: socket.map(PathBuf::from), data: PathBuf::from(data) };
            assert_eq!(agent.typed(), expected);
        }
    }

    #[test]
    fn an_agent_that_was_not_found_may_run_elsewhere() {
        for (socket, data, expected) in [
            (None, DATA, "; if it runs with --data DIR, give the same --data DIR here"),
            (None, "/no/such/folder", "; there is no folder of that name: is --data right?"),
            (None, ".", ""),
            (Some("a.sock"), DATA, ""),
        ] {
            let agent = Agent { socket: socket.map(PathBuf::from), data: PathBuf::from(data) };
            assert_eq!(agent.elsewhere(), expected, "{socket:?} {data}");
        }
    }

    #[test]
    fn a_number_that_is_none_is_told_where_it_stands() {
        for arguments in
            [["tilth-agent", "ack", "tank/ph"], ["tilth-agent", "ack", "ph-high"], ["tilth-agent", "ack", "-1"]]
        {
            let Err(error) = Cli::try_parse_from(arguments) else { panic!("{arguments:?}") };
            let is_number = error.to_string().contains("expected the alert's number, as `tilth-agent alerts` shows it");
            assert!(is_number || arguments[2] == "-1", "{error}");
        }
        let Err(error) = Cli::try_parse_from(["tilth-agent", "silence", "--end", "tank"]) else { panic!("no number") };
        assert!(
            error.to_string().contains("expected the silence's number, as `tilth-agent silence` shows it"),
            "{error}"
        );
    }

    #[test]
    fn a_zone_is_a_name_or_an_offset() {
        for (text, hours) in [("UTC", 0), ("+01:00", 1), ("-0800", -8), ("+2", 2), ("+00", 0)] {
            assert_eq!(zone(text), Ok(TimeZone::fixed(Offset::constant(hours))), "{text}");
        }
        for text in ["", "+", "+-1", "+1:0", "+99999999", "+01:00:00", "+26:00", "Nowhere/Land", "1", "+é"] {
            assert!(zone(text).is_err(), "{text:?}");
        }
    }
}
