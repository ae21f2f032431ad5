//! What can be typed: commands, their options, and the words that explain them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use tilth_core::id::Id;
use tilth_core::time::Span;

use crate::data_dir::DataDir;
use crate::domain::ingest::quota::Quota;
use crate::domain::retention::Keep;
use crate::exit::{Exit, tell};
use crate::http::server::address::Range;

/// The central platform: keys, configuration and history of many farms.
#[derive(Debug, Parser)]
#[command(
    name = "tilth-hub",
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
    Init(Init),
    #[command(subcommand)]
    Tenant(Tenant),
    #[command(subcommand)]
    Device(Device),
    #[command(subcommand)]
    Config(Config),
    Backup(Backup),
    Restore(Restore),
    Serve(Serve),
    /// Show every address that is served, and who may call it
    Routes(Output),
}

/// Make a new hub: its database, and the key that signs configurations
///
/// Prints where the public half of the key is; devices need that file.
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) data: Data,
    /// A copy of the database was put back by hand: change nothing but begin a new epoch, so that devices send what is missing
    /// since; `restore` does that by itself
    #[arg(long)]
    pub(crate) restored: bool,
}

/// Write everything that the hub is into one file, also while it serves
///
/// The file holds the database of one moment and the hub's signing key; it is readable to its owner alone. One that is there
/// is replaced once the new one is whole.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where to write it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Put a backup in place; the hub must not serve
///
/// What is there is kept aside. A new epoch begins, so that devices send again what they still have and the backup has not.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A file that `backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Tenants: companies that own farms
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Add a tenant; its read key is shown this once
    Add {
        /// The tenant's name: a-z, 0-9 and -
        #[arg(value_parser = id)]
        name: Id,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        output: Output,
    },
    /// Show all tenants
    List {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        output: Output,
    },
    /// Change how long a tenant's data is kept, and who is paged when a device falls silent
    ///
    /// What is due is deleted while the hub serves, and cannot be brought back. A device that was heard once and then not for the
    /// stated time is paged about once, and once when it is back; the time counts only while the hub itself can hear.
    Set {
        /// The tenant's name
        #[arg(value_parser = id)]
        name: Id,
        #[command(flatten)]
        settings: TenantSettings,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        output: Output,
    },
    /// Make another read key; it is shown this once
    Key {
        /// The tenant's name
        #[arg(value_parser = id)]
        name: Id,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        output: Output,
    },
}

/// What may be set of a tenant; what is not named stays as it is.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("setting").required(true).multiple(true), group = ArgGroup::new("channel"))]
pub(crate) struct TenantSettings {
    #[command(flatten)]
    pub(crate) keep: KeepFor,
    #[command(flatten)]
    pub(crate) pages: Pages,
}

/// How long a tenant's data is kept.
#[derive(Debug, Args)]
pub(crate) struct KeepFor {
    /// How long windows are kept, such as 400d or forever; at least a day
    #[arg(long, value_name = "DURATION", group = "setting")]
    pub(crate) keep_windows: Option<Keep>,
    /// How long events and diagnostics are kept; where alerts stand is kept for ever
    #[arg(long, value_name = "DURATION", group = "setting")]
    pub(crate) keep_events: Option<Keep>,
    /// How long the hub remembers what each batch brought, to tell rows that come again from others
    #[arg(long, value_name = "DURATION", group = "setting")]
    pub(crate) keep_batches: Option<Keep>,
}

impl KeepFor {
    /// Whether anything is to be changed.
    pub(crate) fn is_any(&self) -> bool {
        self.keep_windows.is_some() || self.keep_events.is_some() || self.keep_batches.is_some()
    }
}

/// Who is paged about a tenant's silent devices.
#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// Page to a topic of an ntfy server: the server's address, with /TOPIC behind it
    #[arg(long, value_name = "URL", groups = ["setting", "channel"])]
    pub(crate) ntfy: Option<String>,
    /// Page to a program that takes JSON, signed with --secret
    #[arg(long, value_name = "URL", groups = ["setting", "channel"], requires = "secret")]
    pub(crate) webhook: Option<String>,
    /// Page nobody
    #[arg(long, groups = ["setting", "channel"])]
    pub(crate) no_pages: bool,
    /// Name of ntfy's token or of the webhook's secret: the file secrets/NAME in the hub's folder, one line, mode 0600
    #[arg(long, value_name = "NAME", requires = "channel", conflicts_with = "no_pages")]
    pub(crate) secret: Option<String>,
    /// How long a device is not heard until it counts as silent, such as 10m; 15m where nobody says
    #[arg(long, value_name = "DURATION", value_parser = silence_limit, group = "setting")]
    pub(crate) silent_after: Option<Span>,
    /// Set --silent-after for this device alone
    #[arg(long, value_parser = id, requires = "silent_after", conflicts_with = "channel")]
    pub(crate) device: Option<Id>,
}

/// A silence that people are told of: at least a second, at most 30 days.
fn silence_limit(text: &str) -> Result<Span, String> {
    let limit = tilth_config::parse_duration(text).ok_or("expected a time such as 10m or 1h30m")?;
    match limit {
        Span(1_000..=2_592_000_000) => Ok(limit),
        _ => Err("expected 1s to 30d".to_owned()),
    }
}

/// Devices: one Pi with the agent each
#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Add a device; its key is shown this once
    Add(OneDevice),
    /// Make another key for a device, shown this once; its first use ends the older ones
    Key(OneDevice),
    /// Revoke all keys of a device, at once
    Revoke(OneDevice),
    /// Show devices: when each was last heard, which configuration it runs, refused or has yet to fetch, and its keys
    List {
        /// Only of this tenant
        #[arg(long, value_parser = id)]
        client: Option<Id>,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        output: Output,
    },
}

/// A device by its place on the command line.
#[derive(Debug, Args)]
pub(crate) struct OneDevice {
    /// The device's name: a-z, 0-9 and -
    #[arg(value_name = "DEVICE", value_parser = id)]
    pub(crate) device: Id,
    /// The tenant it belongs to
    #[arg(long, value_parser = id)]
    pub(crate) client: Id,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Configurations of devices
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check a configuration as the device will, sign it and keep it as the device's newest version
    ///
    /// It takes the place of the whole configuration before: put all files of a farm at once. Says what the new one has, and
    /// what of the one before is gone; where that is a zone, a sensor or a channel, nothing is kept without --force. The same
    /// content again is no new version. With an error nothing is kept.
    Put {
        /// A folder with config.d (and, to check against it, agent.toml), a folder of TOML files, or one TOML or JSON file
        #[arg(value_name = "DIR|FILE")]
        from: PathBuf,
        /// Also where zones, sensors or channels of the one before are gone
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Show a device's newest configuration
    Show {
        #[command(flatten)]
        of: Of,
    },
}

/// A device by options.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The tenant
    #[arg(long, value_parser = id)]
    pub(crate) client: Id,
    /// The device
    #[arg(long, value_parser = id)]
    pub(crate) device: Id,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Serve devices and readers until SIGTERM or SIGINT
///
/// Prints `listening on ADDRESS` once it does.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Where to listen, such as 0.0.0.0:8443; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// The certificate and those above it, in PEM; without it only this machine itself is served
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A proxy in front of the hub, such as 127.0.0.1 or 10.0.0.0/8, whose X-Forwarded-For (or Forwarded) says where a request
    /// comes from; may be given several times
    #[arg(long = "trusted-proxy", value_name = "ADDRESS")]
    pub(crate) trusted_proxies: Vec<Range>,
    /// The most sensors that a device may have
    #[arg(long, value_name = "COUNT", default_value_t = Quota::USUAL.sensors)]
    pub(crate) device_sensors: u64,
    /// The most windows and events that are kept of a device, ever
    #[arg(long, value_name = "COUNT", default_value_t = Quota::USUAL.rows)]
    pub(crate) device_rows: u64,
    /// How much to say on standard error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log: LogLevel,
}

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What went wrong.
    Error,
    /// What somebody should look at.
    Warn,
    /// What changed.
    Info,
    /// Each request.
    Debug,
}

/// The hub's folder.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The hub's folder
    #[arg(long = "data", value_name = "DIR", default_value = "/var/lib/tilth-hub")]
    folder: PathBuf,
}

impl Data {
    pub(crate) fn dir(&self) -> DataDir {
        DataDir::new(&self.folder)
    }
}

/// How to answer.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 0.0.0.0:8443 or 127.0.0.1:8080".to_owned())
}

fn id(text: &str) -> Result<Id, String> {
    Id::new(text).map_err(|error| format!("the name {error}"))
}

/// The command that was typed; else how to end, after saying why.
pub(crate) fn parse() -> Result<Command, Exit> {
    let message = match Cli::try_parse() {
        Ok(cli) => return Ok(cli.command),
        Err(message) => message,
    };
    match message.print() {
        _ if message.use_stderr() => Err(Exit::Refused),
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            tell(format_args!("tilth-hub: standard output: {error}"));
            Err(Exit::Failed)
        }
        _ => Err(Exit::Done),
    }
}
