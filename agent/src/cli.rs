//! What can be typed: commands, their options, and the words that explain them.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::tz::{Offset, TimeZone};
use tilth_core::id::{Id, SensorId};
use tilth_core::time::Span;
use tracing::Level;

use crate::clock::ClockMode;
use crate::console::{Console, tell};
use crate::exit::Exit;
use crate::sense::i2c::CalibrationStep;

/// Longest acknowledgement or silence, 30 days: for a longer time change the rule.
pub(crate) const LONGEST: Span = Span::from_mins(30 * 24 * 60);

/// Default data folder.
pub(crate) const DATA: &str = "/var/lib/tilth";

/// Default folder of the configuration.
const CONFIG: &str = "/etc/tilth";

/// Key of the release that is installed.
const TRUSTED_KEY: &str = "/usr/lib/tilth/firmware.pub";

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

/// One command with its options.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Init),
    Run(Run),
    Replay(Replay),
    Check(Check),
    Explain(Explain),
    Schema(Schema),
    Enroll(Enroll),
    Doctor(Doctor),
    Diag(Diag),
    /// Show the state of the running agent
    ///
    /// Clock, configuration, buses, readings, store, notification channels, and sync with the hub.
    Status(AgentOptions),
    /// Show the newest value of each sensor
    Sensors(AgentOptions),
    History(History),
    Alerts(Alerts),
    Ack(Ack),
    Silence(Silence),
    Actuators(Actuators),
    Actuate(Actuate),
    Hold(Hold),
    Calibrate(Calibrate),
    NotifyTest(NotifyTest),
    Note(Note),
    Notes(Notes),
    Export(Export),
    /// Try the hub's configuration once more that was rejected or reverted
    ///
    /// As status names it. The agent tries each by itself only once; another version of the hub's is tried without this.
    Retry(AgentOptions),
    /// Show transitions as they happen, until Ctrl-C
    Tail(AgentOptions),
    Listen(Listen),
    Flash(Flash),
    Update(Update),
    Completions(Completions),
    Manual(Manual),
}

/// Print completions of commands and options for a shell
///
/// The Debian package installs those of bash, zsh and fish.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Writes them to standard output.
    pub(crate) fn print(&self) -> anyhow::Result<Exit> {
        // Written to a reader that is gone, clap panics.
        let (mut script, mut console) = (Vec::new(), Console::new());
        clap_complete::generate(self.shell, &mut Cli::command(), "tilth-agent", &mut script);
        console.line(String::from_utf8_lossy(&script).trim_end())?;
        console.flush()?;
        Ok(Exit::Done)
    }
}

/// Write the manual pages of all commands, for packages
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct Manual {
    /// The folder that gets them
    folder: PathBuf,
}

impl Manual {
    /// Writes a page for the program and one for each command.
    pub(crate) fn write(&self) -> anyhow::Result<Exit> {
        clap_mangen::generate_to(Cli::command(), &self.folder).with_context(|| self.folder.display().to_string())?;
        Ok(Exit::Done)
    }
}

/// Watch the farm: read sensors, apply rules, page people, store readings
///
/// Runs until SIGTERM or Ctrl-C. A change in config.d takes effect without a restart; a configuration with errors is
/// rejected, and the running one stays in force.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The data folder: database, fallback copies of the configuration
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// Socket for status and others [default: agent.sock in the data folder; of the service /run/tilth/agent.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Also write every input of the engine to a file, as JSON lines that replay reads
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// For the demo and tests: system, x60, or input (the greatest stamp seen)
    #[arg(long, value_name = "SOURCE", default_value = "system", hide = true)]
    pub(crate) clock: ClockMode,
    /// What the log holds: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "TILTH_LOG", default_value_t = Level::INFO)]
    pub(crate) log_level: Level,
}

impl Command {
    /// The level of the log.
    pub(crate) fn log_level(&self) -> Level {
        match self {
            Command::Run(run) => run.log_level,
            _ => Level::INFO,
        }
    }
}

/// Run the rules over recorded readings and show what would have happened
///
/// The recording is CSV, or what run --record wrote (JSON lines that contain
/// their configuration: --config is ignored), plain or gzip. CSV has one
/// reading a line under the header time,sensor,value, or a column time and a
/// column for each sensor. Exports of other tools are read too: semicolons or
/// tabs, decimal commas, lines above the header, times found by their content,
/// UTF-16. The summary says how a file was read. Times without an offset need
/// --tz; headings that are not the id of a sensor need --map:
///
///   --tz Europe/Berlin --map "Temp (C)=tent-1/temperature"
///
/// An empty, NaN or NA value is a missing value.
///
/// The clock of a replay is the latest time stamp so far, and stops with it:
/// nothing is run beyond the end of the recording. Alerts that still fire
/// then are listed at the end. A pending alert that no firing follows has
/// lapsed: its condition ended too early.
///
/// A sensor that the recording does not contain may well have spoken on the
/// farm. Transitions of a sensor before its first reading are therefore left
/// out of the lines, the summary and the page, and counted there; --json
/// prints them.
///
/// If the recording jumps ahead by more than 31 days, for instance because of
/// a wrong stamp, each alert prints its first 10 repeats (notify, cause
/// repeated) and then only the last, with the number of those left out; with
/// --json that number is the key repeats. All of them are counted.
///
/// Transitions go to standard output, the summary with the bad lines to
/// standard error. A recording without a reading of any configured sensor is
/// a failure (exit code 1).
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The recording; - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "store")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
    /// Replay what the agent stored, or what is in FILE: of export --sqlite, or a tilth.db that no agent has open
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        conflicts_with_all = ["input", "tz", "map", "time_column", "name_column", "date_order"]
    )]
    pub(crate) store: Option<Option<PathBuf>>,
    /// Of the store, since when: a time ago, such as 7d, or a time of day, such as 2026-06-01T20:00
    #[arg(long, value_name = "TIME", requires = "store")]
    pub(crate) since: Option<String>,
    /// Of the store, until when, in the same form [default: now]
    #[arg(long, value_name = "TIME", requires = "store")]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
    /// Print each transition as a JSON object on a line, and the summary as one on standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write an HTML page with the figures and all alerts; of existing files only an older such page is replaced
    #[arg(long, value_name = "OUT.html")]
    pub(crate) report: Option<PathBuf>,
    /// For tests: after each N readings save the engine's state as bytes, drop the engine, and continue with one restored
    /// from those bytes. The output must be the same to the byte.
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) restart_every: Option<NonZeroU64>,
    /// For tests: a last line on standard output with a hash of every effect of the engine, windows and readings too.
    #[arg(long, hide = true)]
    pub(crate) digest: bool,
}

impl Replay {
    /// Path of the recording, or of the store.
    pub(crate) fn input(&self) -> &Path {
        let file = self.store.as_ref().and_then(Option::as_deref);
        self.input.as_deref().or(file).unwrap_or(&self.agent.data)
    }
}

/// How a recording is written, where its content does not show it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReadArgs {
    /// Time zone of times without an offset, such as Europe/Amsterdam, +01:00 or UTC
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub(crate) tz: Option<TimeZone>,
    /// The sensor that a heading or a name of the recording stands for; once for each
    #[arg(long, value_name = "NAME=ZONE/SENSOR", value_parser = map)]
    pub(crate) map: Vec<Map>,
    /// Heading of the time column, if its content does not show it; give it twice for date and time of day
    #[arg(long, value_name = "NAME")]
    pub(crate) time_column: Vec<String>,
    /// Heading of a column that names the device or place of each line, if several sensors share a heading
    #[arg(long, value_name = "NAME")]
    pub(crate) name_column: Vec<String>,
    /// Order of day, month and year in dates such as 05/11/2026, if the file does not show it
    #[arg(long, value_name = "ORDER", ignore_case = true)]
    pub(crate) date_order: Option<DateOrder>,
}

/// Report everything that is wrong with a configuration
///
/// With an agent.toml in the folder, the configuration is checked as run would check it. Warnings alone are not a failure.
/// If the hub's configuration is active, that one is checked, and files of config.d are reported as ignored.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The agent's data folder, which holds the hub's configuration if there is one
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// Print each finding as a JSON object on a line, and one for the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write the first configuration: agent.toml and config.d/farm.toml
///
/// Asks five questions at a terminal: name, time zone, port, phone, hub. A flag answers its question; without a terminal what is not stated is
/// as it is likely, or none. Listens to the port, so that the files have the names and units that it says. What exists is never changed.
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Name of this device [default: the machine's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Time zone of the farm, such as Europe/Amsterdam [default: the machine's]
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<String>,
    /// Port of the board or sensor, or none [default: the first adapter in /dev/serial]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// Number that gets SMS, such as +4915112345678, or none
    #[arg(long, value_name = "NUMBER")]
    pub(crate) phone: Option<String>,
    /// Port of the modem that sends SMS [default: another adapter]
    #[arg(long, value_name = "PORT")]
    pub(crate) modem: Option<String>,
    /// Address of the hub, such as `https://hub.example`, or none
    #[arg(long, value_name = "URL")]
    pub(crate) hub: Option<String>,
    /// Name of the farm at the hub
    #[arg(long, value_name = "CLIENT")]
    pub(crate) client: Option<String>,
    /// Zone of the sensors
    #[arg(long, value_name = "ZONE", default_value = "room", value_parser = Id::new)]
    pub(crate) zone: Id,
    /// How long to listen to the port, such as 20s
    #[arg(long = "for", value_name = "TIME", default_value = "20s", value_parser = span)]
    pub(crate) time: Span,
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
}

impl Init {
    /// Whether the files are those that the service reads.
    pub(crate) fn is_of_service(&self) -> bool {
        self.config.folder == Path::new("/etc/tilth") && self.agent.typed().is_empty()
    }
}

/// Enrol this device at a hub, with the code that tilth-hub device enroll prints
///
/// Draws the device's key and keeps it, mode 0600; checks the hub's certificate by the code before the code is sent; and writes into agent.toml
/// where the hub is and whom it is to be trusted by. Comments and other settings stay. If no answer comes, run the same command again.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Address of the hub, such as `https://hub.example:8443`
    #[arg(long, value_name = "URL")]
    pub(crate) hub: String,
    /// The code; with - it is asked for: in the command itself it shows in the list of processes, the shell's history and the log of sudo
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    pub(crate) code: String,
    /// The agent's data folder [default: /var/lib/tilth; of another configuration its folder data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What becomes of the history there, where it is of another client or hub: withhold keeps it on this device, send gives it to the new one
    #[arg(long, value_name = "withhold|send")]
    pub(crate) history: Option<OtherHistory>,
}

impl Enroll {
    pub(crate) fn data(&self) -> PathBuf {
        let of_config =
            || if self.config.folder == Path::new(CONFIG) { DATA.into() } else { self.config.folder.join("data") };
        self.data.clone().unwrap_or_else(of_config)
    }
}

/// What becomes of the history of another client or hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OtherHistory {
    Withhold,
    Send,
}

/// Find what keeps this machine from watching the farm, each with its fix
///
/// Looks at configuration, permissions, keys and secrets, ports, I2C, clock, disk, the connection to the hub (without one, to the servers of
/// channels), and the running agent: a line for each, with ok, warning or fault. A port is opened where no agent runs, which restarts many
/// boards. Without sudo it looks only at what you may read. The exit code is 1 with a fault, and 2 where one is in the configuration.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) config: Config,
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
}

/// Write an archive for remote support: state, configuration and log, without secrets
///
/// What doctor, check, explain, status and their like print, with the log of the service and facts of the machine. Run it with sudo, or
/// what you may not read is missing, and secrets that you may not read are not blanked out: the last line says how many. It names sensors,
/// addresses, and of phone numbers the last digits: look before you send it.
#[derive(Debug, Args)]
pub(crate) struct Diag {
    #[command(flatten)]
    pub(crate) config: Config,
    #[command(flatten)]
    pub(crate) address: AgentAddress,
    /// File to write; it must not exist [default: tilth-diag-TIME.tar.gz in this folder]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Show where the values of a configuration come from
///
/// Prints every value at and under the path, with the document that set it and the values that it overrides. If the hub's
/// configuration is active, its values are shown, and not those of config.d.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The agent's data folder, which holds the hub's configuration if there is one
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// Such as rules.ph-high, sensors."tower-1/ph".range or zones.tower-1; without it, the paths that exist
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Print each value as a JSON object on a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the JSON Schema of a configuration, for editors
///
/// The schema has every key with its type, unit, range and default. An editor that
/// knows it completes keys and marks what is wrong while a file is written: VS
/// Code with the extension Even Better TOML, others with taplo. A file under
/// config.d then begins with
///
///   #:schema ../config.schema.json
///
/// The schema knows no names of other entries; check does, and says more.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Schema {
    /// File that the schema describes: config.d for those under it, or agent.toml
    #[arg(value_name = "FILE", default_value = "config.d", value_parser = ["config.d", "agent.toml"])]
    pub(crate) file: String,
    /// Only the part under a namespace of config.d, such as rules
    #[arg(long, value_name = "NAME", conflicts_with = "file", value_parser = tilth_config::schema::namespaces())]
    pub(crate) namespace: Option<String>,
}

/// Show what a sensor measured: a chart, or a table
///
/// Up to 25 hours by the minute, longer times by the quarter of an hour; the minute that runs is not in it yet. Where the chart has nothing,
/// no good value came.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Name of the sensor, as sensors shows it
    #[arg(value_name = "SENSOR", value_parser = SensorId::new)]
    pub(crate) sensor: SensorId,
    #[command(flatten)]
    pub(crate) period: Period,
    /// Print a table: lowest, mean and highest of each minute or quarter of an hour
    #[arg(long, conflicts_with = "json")]
    pub(crate) table: bool,
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
}

/// A part of the past.
#[derive(Debug, Args)]
pub(crate) struct Period {
    /// Since when: a time ago, such as 24h or 7d, or a time of day, such as 2026-06-01T20:00
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub(crate) since: String,
    /// Until when, in the same form [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// Show open alerts, or those of the past
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
    /// Also show pending alerts, whose condition has not held for long enough yet
    #[arg(long, conflicts_with = "since")]
    pub(crate) all: bool,
    /// Show the alerts since then, and those that were open then: a time ago, such as 7d, or a time of day, such as 2026-06-01T20:00
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
}

/// Show actuators: what each does, and its time on within an hour and a day; or what they did
#[derive(Debug, Args)]
pub(crate) struct Actuators {
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
    /// Show what this actuator did: each dose and refusal, when, for how long, by whom, and what became of it
    #[arg(value_name = "ACTUATOR", value_parser = Id::new)]
    pub(crate) actuator: Option<Id>,
    /// Show what actuators did since then: a time ago, such as 7d, or a time of day, such as 2026-06-01T20:00 [default with ACTUATOR: 24h]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
}

/// Acknowledge an alert: nobody is paged about it for a while
///
/// If the alert is not resolved by then, people are paged again.
#[derive(Debug, Args)]
pub(crate) struct Ack {
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// Number of the alert, as alerts shows it
    #[arg(value_name = "ALERT", value_parser = alert_number)]
    pub(crate) alert: u64,
    /// How long, such as 2h
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = span)]
    pub(crate) span: Span,
}

/// Silence alerts for a while, end a silence, or list silences
///
/// Silenced alerts still fire and are shown; if they still fire when the silence ends, people are paged. A silence covers the
/// alerts that match each of --zone, --rule and --sensor that is given; --everything covers all alerts of the farm.
#[derive(Debug, Args)]
pub(crate) struct Silence {
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// Only alerts of this zone
    #[arg(long, value_name = "ZONE", value_parser = Id::new, requires = "span")]
    pub(crate) zone: Option<Id>,
    /// Only alerts of this rule
    #[arg(long, value_name = "RULE", value_parser = Id::new, requires = "span")]
    pub(crate) rule: Option<Id>,
    /// Only alerts of this sensor
    #[arg(long, value_name = "SENSOR", value_parser = SensorId::new, requires = "span")]
    pub(crate) sensor: Option<SensorId>,
    /// All alerts of the farm
    #[arg(long, requires = "span", conflicts_with_all = ["zone", "rule", "sensor"])]
    pub(crate) everything: bool,
    /// How long, such as 2h
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub(crate) span: Option<Span>,
    /// End the silence with this number
    #[arg(long, value_name = "SILENCE", value_parser = silence_number, conflicts_with_all = ["zone", "rule", "sensor", "everything", "span"])]
    pub(crate) end: Option<u32>,
}

/// Switch an actuator on for a time, or off
///
/// The limits of its configuration hold: a command that passes one is refused, and says which. Off always acts at once.
#[derive(Debug, Args)]
pub(crate) struct Actuate {
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// Name of the actuator, as actuators shows it
    #[arg(value_name = "ACTUATOR", value_parser = Id::new)]
    pub(crate) actuator: Id,
    /// on or off
    #[arg(value_name = "on|off")]
    pub(crate) switch: OnOff,
    /// How long it is on, such as 2s [default: as long as it may]
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub(crate) span: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnOff {
    On,
    Off,
}

/// Stop and lock the actuators of a zone at once, end that, or list zones on hold
///
/// For work with hands in the tank. A hold survives a restart; without --for it lasts until somebody ends it.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// The zone; without it zones on hold are listed
    #[arg(value_name = "ZONE", value_parser = Id::new)]
    pub(crate) zone: Option<Id>,
    /// How long, such as 30m [default: until somebody ends it]
    #[arg(long = "for", value_name = "TIME", value_parser = span, requires = "zone")]
    pub(crate) span: Option<Span>,
    /// End the hold of the zone; or, where history is missing, let the zone dose again
    #[arg(long, requires = "zone", conflicts_with = "span")]
    pub(crate) end: bool,
}

/// Calibrate the probe of an EZO circuit, one step at a time
///
/// Rinse the probe, hold it into the solution, wait until its value rests (a minute or two), then type the step. In this order:
///
///   pH      mid 7.00, then low 4.00, then high 10.00; mid forgets the others
///   EC      dry, then single 1413; or dry, then low 12880 and high 80000
///   oxygen  air, then zero
///   RTD     single 21.5
///
/// The circuit keeps its points without power. For ten minutes after a step
/// its values are marked as calibrating, on which no rule acts; before the
/// first step silence its alerts and hold its zone. The answer says how many
/// points the circuit keeps.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Calibrate {
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// The sensor, as sensors shows it
    #[arg(value_name = "SENSOR", value_parser = SensorId::new)]
    pub(crate) sensor: SensorId,
    /// The step
    #[arg(value_name = "STEP")]
    pub(crate) step: CalibrationStep,
    /// What the solution is worth: pH, uS/cm or C; none with dry, air, zero, clear and query
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    pub(crate) value: Option<f64>,
}

/// Try a channel: a test message, or a short sound of a siren
///
/// No alert is raised. The exit code is 1 where the channel cannot deliver, with the reason.
#[derive(Debug, Args)]
pub(crate) struct NotifyTest {
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// Name of the channel, as status shows it
    #[arg(value_name = "CHANNEL", value_parser = Id::new)]
    pub(crate) channel: Id,
}

/// Write a note into the event log, which is also sent to the hub
#[derive(Debug, Args)]
pub(crate) struct Note {
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// Text of the note
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
}

/// Show the notes of the event log
#[derive(Debug, Args)]
pub(crate) struct Notes {
    /// Since when: a time ago, such as 24h or 7d, or a time of day, such as 2026-06-01T20:00
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) since: String,
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
}

/// Write what was stored as CSV, or as an SQLite file
///
/// Of the running agent, which goes on meanwhile, or of the database in the data folder of one that is stopped. CSV goes to standard output
/// or --out; readings in CSV can be replayed. --sqlite writes readings, windows, alerts, events, notes, actuations and doses as views that
/// any program shows. Times are in UTC. Without --since everything is exported; the last half minute of readings is not stored yet.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// What to write as CSV
    #[arg(value_name = "WHAT", default_value = "readings", conflicts_with = "sqlite")]
    pub(crate) what: Exported,
    /// Since when: a time ago, such as 24h or 7d, or a time of day, such as 2026-06-01T20:00
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Until when, in the same form [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only readings, minutes and quarters of this sensor; once for each
    #[arg(long, value_name = "SENSOR", value_parser = SensorId::new)]
    pub(crate) sensor: Vec<SensorId>,
    /// File that gets the CSV, instead of standard output
    #[arg(long, value_name = "FILE", conflicts_with = "sqlite")]
    pub(crate) out: Option<PathBuf>,
    /// SQLite file to write, with all of it
    #[arg(long, value_name = "FILE")]
    pub(crate) sqlite: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
}

/// What an export in CSV is of; /usr/share/doc/tilth-agent/export.md has the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exported {
    /// Every reading
    Readings,
    /// Windows of a minute: count, lowest, mean, highest
    #[value(alias = "windows")]
    Minutes,
    /// Windows of a quarter of an hour
    Quarters,
    /// Alerts that fired
    Alerts,
    /// Everything that happened
    Events,
    Notes,
    /// Commands to actuators, and what became of them
    Actuations,
    /// Times that an actuator was on
    Doses,
}

/// Show what a line or a board says, as a configuration that reads it
///
/// Listens to a port and prints the values that it carries with their units, and what agent.toml and config.d need to read them: ready to
/// paste, as check accepts it. A running agent leaves the port alone meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Path of the serial port, such as /dev/ttyUSB0, or tcp://HOST:PORT; without it the adapters that are plugged in are listed
    #[arg(value_name = "PORT", default_value = "", hide_default_value = true)]
    pub(crate) port: String,
    /// Speed in bits a second, or auto to try the usual ones
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = baud)]
    pub(crate) baud: Baud,
    /// How long to listen, such as 20s
    #[arg(long = "for", value_name = "TIME", default_value = "20s", value_parser = span)]
    pub(crate) time: Span,
    /// Name of the bus
    #[arg(long, value_name = "NAME", default_value = "gateway", value_parser = Id::new)]
    pub(crate) bus: Id,
    /// Zone of its sensors
    #[arg(long, value_name = "ZONE", default_value = "room", value_parser = Id::new)]
    pub(crate) zone: Id,
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
}

/// Speed of a serial port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Baud {
    Auto,
    Of(u32),
}

fn baud(text: &str) -> Result<Baud, String> {
    let baud = text.parse().ok().filter(|baud| (300..=2_000_000).contains(baud)).map(Baud::Of);
    let baud = baud.or_else(|| (text == "auto").then_some(Baud::Auto));
    baud.ok_or_else(|| "expected bits a second from 300 to 2000000, such as 9600, or auto".to_owned())
}

/// Write Tilth's firmware to a board
///
/// The image must be signed by the key that this machine trusts: nothing is written before that is checked. A running agent
/// leaves the port alone meanwhile. The board's id and settings stay. Needs avrdude. If it is cut off, run it again.
#[derive(Debug, Args)]
pub(crate) struct Flash {
    /// Model of the board
    #[arg(value_name = "BOARD")]
    pub(crate) board: BoardModel,
    /// Path of the serial port, such as /dev/ttyACM0, or the name of the board's bus in agent.toml
    #[arg(value_name = "PORT", required_if_eq_any = [("board", "uno"), ("board", "mega2560")])]
    pub(crate) port: Option<String>,
    /// The image, with its manifest beside it [default: BOARD.hex or pico.uf2 in /usr/share/tilth/firmware]
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,
    /// File with the public key that images must be signed by
    #[arg(long, value_name = "FILE", default_value = TRUSTED_KEY)]
    pub(crate) trusted_key: PathBuf,
    /// Folder where the drive RPI-RP2 of a Pico in its boot ROM is mounted [default: looked for]
    #[arg(long, value_name = "DIR")]
    pub(crate) drive: Option<PathBuf>,
    /// Speed of the bootloader, if it is not the stock one, such as 57600
    #[arg(long, value_name = "BAUD", value_parser = clap::value_parser!(u32).range(300..=2_000_000))]
    pub(crate) baud: Option<u32>,
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
}

/// Install another version of the agent from a file or a USB stick, with a way back
///
/// The package must be in a list of sums that the trusted key signed, newer than what is installed, and start here: nothing is touched before
/// that is checked. If the agent then does not run, a bus that gave values is silent, the store takes nothing or the hub is no longer reached
/// within 10 minutes, the old version returns with its data. A power cut at any time leaves a running agent, old or new. It goes on without
/// this command; the exit code is 0 once the new version has proven itself, and 1 where the old one stays.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The package, with SHA256SUMS.signed beside it, or the folder of both
    #[arg(value_name = "FILE|FOLDER", required_unless_present_any = ["status", "describe", "go_on"])]
    pub(crate) path: Option<PathBuf>,
    /// Show where the update is, or how the last one ended
    #[arg(long, conflicts_with = "path")]
    pub(crate) status: bool,
    /// Also install a version that is older than the installed one
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
    /// File with the public key that the list of sums must be signed by
    #[arg(long, value_name = "FILE", default_value = TRUSTED_KEY)]
    pub(crate) trusted_key: PathBuf,
    /// Print each state as a JSON object on a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
    /// Print what this version says of itself, before it is installed
    #[arg(long, hide = true)]
    pub(crate) describe: bool,
    /// Of the unit: carry out the update that is staged
    #[arg(long, hide = true)]
    pub(crate) go_on: bool,
    /// For tests: root of the system
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub(crate) root: PathBuf,
    /// For tests: how long the new version must work
    #[arg(long, value_name = "TIME", value_parser = span, hide = true)]
    pub(crate) prove_for: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BoardModel {
    /// Arduino Uno
    Uno,
    /// Arduino Mega 2560
    Mega2560,
    /// Raspberry Pi Pico: copies the image to the drive of its boot ROM, or shows the steps
    Pico,
}

/// Options of the commands that change something at the running agent.
#[derive(Debug, Args)]
pub(crate) struct ChangeOptions {
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
    /// Your name [default: $USER]
    #[arg(
        long,
        value_name = "NAME",
        env = "USER",
        default_value = "unknown",
        hide_env = true,
        hide_default_value = true
    )]
    pub(crate) by: String,
}

/// Options of the commands that ask the running agent.
#[derive(Debug, Args)]
pub(crate) struct AgentOptions {
    #[command(flatten)]
    pub(crate) address: AgentAddress,
    /// Print JSON, one object on a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Address of a running agent: its control socket or its data folder.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentAddress {
    /// Control socket of the agent [default: agent.sock in the data folder; of the service /run/tilth/agent.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Data folder of the agent
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
}

impl AgentAddress {
    /// The options that name this agent, as typed in a shell; empty for the defaults.
    pub(crate) fn typed(&self) -> String {
        let socket = self.socket.as_deref().map(|path| ("--socket", path));
        let data = Some(("--data", self.data.as_path())).filter(|(_, path)| *path != Path::new(DATA));
        socket.into_iter().chain(data).map(|(option, path)| format!(" {option} {}", in_shell(path))).collect()
    }

    /// Advice for the error that no agent listens on the socket.
    pub(crate) fn elsewhere(&self) -> &'static str {
        match (&self.socket, self.data == Path::new(DATA)) {
            (None, true) => "; if it runs with --data DIR, give the same --data DIR here",
            (None, false) if !self.data.is_dir() => "; there is no folder of that name: is --data right?",
            _ => "",
        }
    }
}

/// A path, quoted for a shell if necessary.
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

/// Order of day, month and year in a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DateOrder {
    /// 31/12/2026
    Dmy,
    /// 12/31/2026
    Mdy,
    /// 26/12/31; 2026-12-31 is read as such with any order
    Ymd,
}

/// Parses a zone name or a fixed offset from UTC.
fn zone(text: &str) -> Result<TimeZone, String> {
    let found = offset(text).map(TimeZone::fixed).or_else(|| TimeZone::get(text).ok());
    found.ok_or_else(|| "expected a zone such as Europe/Amsterdam, +01:00 or UTC".to_owned())
}

/// Parses an offset from UTC: `+01:00`, `+0100`, `-8`.
pub(crate) fn offset(text: &str) -> Option<Offset> {
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
    Offset::from_seconds(sign * seconds).ok()
}

/// A name in a recording, and the sensor that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) name: String,
    pub(crate) sensor: String,
}

/// Parses NAME=zone/sensor at the last `=`: names of other tools may contain one, ids may not.
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

/// The configuration that a command reads.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The folder with agent.toml and config.d
    #[arg(long = "config", value_name = "DIR", default_value = CONFIG)]
    pub(crate) folder: PathBuf,
}

/// The command that was typed; else the exit code, after the reason was printed.
pub(crate) fn parse() -> Result<Command, Exit> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli.command),
        Err(message) => Err(print(&message)),
    }
}

/// Prints clap's message: help, version or an error.
fn print(message: &clap::Error) -> Exit {
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

    /// Pages of `docs` and the README, by name.
    fn pages() -> Vec<(String, String)> {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let docs = std::fs::read_dir(root.join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
        let pages = docs.chain([root.join("README.md")]).filter(|path| path.extension().is_some_and(|end| end == "md"));
        let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).expect("the page"));
        pages.map(read).collect()
    }

    /// Words of a command line up to a comment or another command; none of a line that leaves something out.
    fn words(line: &str) -> Option<Vec<String>> {
        let end = [" #", " |", " >", " &&"].into_iter().filter_map(|sign| line.find(sign)).min();
        let command = line[..end.unwrap_or(line.len())].trim_start_matches("sudo ").trim_start_matches("target/debug/");
        let is_whole = command.starts_with("tilth-agent ") && !command.contains("..");
        let part = |(at, text): (usize, &str)| match at % 2 {
            0 => text.split_whitespace().map(str::to_owned).collect(),
            _ => vec![text.to_owned()],
        };
        is_whole.then(|| command.split('"').enumerate().flat_map(part).collect())
    }

    /// Commands that people type as the pages show them.
    #[test]
    fn the_commands_of_the_pages_are_taken() {
        let mut count = 0;
        for (name, page) in pages() {
            let page = page.replace("\\\n", " ");
            for words in page.lines().filter_map(|line| line.strip_prefix("$ ")).filter_map(words) {
                let taken = Cli::try_parse_from(&words);
                let is_taken = taken.as_ref().map_or_else(|error| !error.use_stderr(), |_| true);
                assert!(is_taken, "{name}: {words:?}: {}", taken.expect_err("it is refused"));
                count += 1;
            }
        }
        assert!(count >= 50, "expected at least 50 commands, found {count}");
    }

    /// Commands that pages name within a sentence.
    #[test]
    fn the_commands_that_pages_name_are_there() {
        let command = <Cli as clap::CommandFactory>::command();
        let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        for (name, page) in pages() {
            for code in page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
                let Some(words) = code.trim_start_matches("sudo ").strip_prefix("tilth-agent ") else { continue };
                let first = words.split_whitespace().next().unwrap_or_default();
                assert!(first.starts_with('-') || known.contains(&first), "{name}: {code}: expected one of {known:?}");
            }
        }
    }

    #[test]
    fn an_agent_is_named_again_as_it_was_typed() {
        for (socket, data, expected) in [
            (None, DATA, ""),
            (None, "/home/you/farm/data", " --data /home/you/farm/data"),
            (Some("a.sock"), DATA, " --socket a.sock"),
            (Some("/tmp/my farm/a.sock"), "it's", r" --socket '/tmp/my farm/a.sock' --data 'it'\''s'"),
        ] {
            let socket = socket.map(PathBuf::from);
            let agent = AgentAddress { socket, data: PathBuf::from(data) };
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
            let socket = socket.map(PathBuf::from);
            let agent = AgentAddress { socket, data: PathBuf::from(data) };
            assert_eq!(agent.elsewhere(), expected, "{agent:?}");
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
