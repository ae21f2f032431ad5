//! Command line of `tilth-hub`: commands, options and help texts.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Arg, ArgGroup, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use ipnet::IpNet;
use tilth_config::namespaces::{ChannelKind, HubOption, hub_channels};
use tilth_core::id::Id;
use tilth_core::time::Span;
use tracing::Level;

use crate::data_dir::DataDir;
use crate::domain::enrolment::LIFE;
use crate::domain::ingest::quota::Quota;
use crate::domain::retention::Keep;
use crate::exit::{Exit, line, tell};
use crate::http::server::address;

/// Central platform of Tilth: keys, configuration and history of many farms
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

/// One command with its options.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Init),
    #[command(subcommand)]
    Tenant(Tenant),
    #[command(subcommand)]
    Device(Device),
    #[command(subcommand)]
    Config(Config),
    Backup(BackupFile),
    Restore(RestoreFile),
    Serve(Serve),
    /// List the HTTP routes and who may call each
    Routes(Output),
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
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tilth-hub", &mut script);
        line(String::from_utf8_lossy(&script).trim_end())?;
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

/// Create a hub: its database and the key that signs configurations
///
/// Prints the public key and the file that holds it. A device gets the key as it enrols: `tilth-hub device enroll` prints its code.
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Only begin a new epoch, after an older copy of the database was put back by hand: devices then send again what it lacks.
    /// `restore` does so by itself
    #[arg(long)]
    pub(crate) restored: bool,
}

/// Write the database and the signing key to one file
///
/// The hub may serve meanwhile: the file holds the database as it was at one moment. Only its owner can read it. An older
/// backup of that name is replaced once the new one is complete.
#[derive(Debug, Args)]
pub(crate) struct BackupFile {
    /// File to write
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Replace the database and the signing key by those of a backup
///
/// Stop the hub before. The files that are replaced are kept in a folder beside the new ones. A new epoch begins: devices send
/// again the rows that the backup lacks, as far as they still have them.
#[derive(Debug, Args)]
pub(crate) struct RestoreFile {
    /// File that `backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Manage tenants, the companies that own farms
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Add a tenant and print its read key, once
    Add(TenantName),
    /// List all tenants
    List(Common),
    /// Set how long a tenant's data is kept, and who is paged about its silent devices
    ///
    /// Settings that are not named stay. Expired data is deleted while the hub serves, for good. A device that sends nothing for
    /// the stated time is paged about once, and once when it reports again. The time counts only while the hub serves.
    Set(TenantSettings),
    /// Add a read key and print it, once
    Key(TenantName),
}

/// A tenant by its name.
#[derive(Debug, Args)]
pub(crate) struct TenantName {
    /// Name of the tenant: a-z, 0-9 and -
    #[arg(value_parser = id)]
    pub(crate) name: Id,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Settings of a tenant; those that are not named stay.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("setting").required(true).multiple(true), group = ArgGroup::new("channel"))]
pub(crate) struct TenantSettings {
    #[command(flatten)]
    pub(crate) tenant: TenantName,
    #[command(flatten)]
    pub(crate) keep: KeepFor,
    #[command(flatten)]
    pub(crate) pages: Pages,
}

/// How long a tenant's data is kept.
#[derive(Debug, Args)]
pub(crate) struct KeepFor {
    /// Keep windows for this long, such as 400d, or forever; at least 1d
    #[arg(long, value_name = "DURATION", group = "setting")]
    pub(crate) keep_windows: Option<Keep>,
    /// Keep events and diagnostics for this long; the state of each alert is kept forever
    #[arg(long, value_name = "DURATION", group = "setting")]
    pub(crate) keep_events: Option<Keep>,
    /// Keep the fingerprints of rows for this long; by them the hub notices two agents with one key
    #[arg(long, value_name = "DURATION", group = "setting")]
    pub(crate) keep_batches: Option<Keep>,
}

impl KeepFor {
    /// Whether anything is to be changed.
    pub(crate) fn is_any(&self) -> bool {
        self.keep_windows.is_some() || self.keep_events.is_some() || self.keep_batches.is_some()
    }
}

/// Channel that pages about a tenant's silent devices.
#[derive(Debug, Args)]
pub(crate) struct Pages {
    #[command(flatten)]
    pub(crate) channel: PageChannel,
    /// Page nobody
    #[arg(long, groups = ["setting", "channel"])]
    pub(crate) no_pages: bool,
    /// Token or secret of the channel, in the file secrets/NAME of the hub's folder: one line, mode 0600
    #[arg(long, value_name = "NAME", requires = "channel", conflicts_with = "no_pages")]
    pub(crate) secret: Option<String>,
    /// Time without a request after which a device is silent, such as 10m [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = silence_limit, group = "setting")]
    pub(crate) silent_after: Option<Span>,
    /// Set --silent-after for this device only
    #[arg(long, value_parser = id, requires = "silent_after", conflicts_with = "channel")]
    pub(crate) device: Option<Id>,
}

/// Channel that pages go by, from an option for each kind by which the hub can page: kind, option, address.
#[derive(Debug)]
pub(crate) struct PageChannel(pub(crate) Option<(&'static ChannelKind, &'static HubOption, String)>);

impl Args for PageChannel {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(hub_channels().map(|(kind, option)| {
            let arg = Arg::new(kind.name).long(kind.name).value_name("URL").help(option.help);
            let arg = arg.groups(["setting", "channel"]);
            if option.needs_secret { arg.requires("secret") } else { arg }
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PageChannel {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let address = |kind: &ChannelKind| matches.get_one::<String>(kind.name).cloned();
        Ok(PageChannel(hub_channels().find_map(|(kind, option)| Some((kind, option, address(kind)?)))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Limit of a silence: at least a second, at most 30 days.
fn silence_limit(text: &str) -> Result<Span, String> {
    let limit = tilth_config::parse_duration(text).ok_or("expected a time such as 10m or 1h30m")?;
    match limit {
        Span(1_000..=2_592_000_000) => Ok(limit),
        _ => Err("expected 1s to 30d".to_owned()),
    }
}

/// Manage devices, each a machine that runs tilth-agent
#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Add a device and print its key, once
    Add(DeviceName),
    /// Add a key and print it, once; its first use revokes the older keys of the device
    Key(DeviceName),
    /// Print a one-time code, for which `tilth-agent enroll` gets a key for the device
    ///
    /// Adds the device if it is new. The agent draws the key itself; the first use of the key revokes the older keys of the device. A newer
    /// code revokes an open one.
    Enroll(Enroll),
    /// Revoke all keys and open enrolment codes of a device, at once
    Revoke {
        #[command(flatten)]
        device: DeviceName,
        /// Revoke only the enrolment codes; its keys stay valid
        #[arg(long)]
        codes: bool,
    },
    /// List devices: last request, configuration that runs, was rejected or is pending, quarantined rows, keys, enrolment codes
    List {
        /// Only devices of this tenant
        #[arg(long, value_parser = id)]
        client: Option<Id>,
        #[command(flatten)]
        common: Common,
    },
}

/// Options of `device enroll`.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// Tenant of the device
    #[arg(long, value_parser = id)]
    pub(crate) client: Id,
    /// Name of the device [default: the first of pi-1, pi-2 .. that is free]
    #[arg(long, value_parser = id)]
    pub(crate) device: Option<Id>,
    /// Time for which the code can be exchanged, such as 1h or 3d; at most 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = code_life)]
    pub(crate) expires: Span,
    /// CA certificate of the hub, in PEM, if it is not one that machines trust anyway; a certificate that signs itself is its own. The code
    /// then holds its hash, and the agent trusts no other
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Life of an enrolment code.
fn code_life(text: &str) -> Result<Span, String> {
    let life = tilth_config::parse_duration(text).filter(|life| (LIFE.0..=LIFE.1).contains(life));
    life.ok_or_else(|| "expected a time from 1m to 7d, such as 1h".to_owned())
}

/// A device as argument.
#[derive(Debug, Args)]
pub(crate) struct DeviceName {
    /// Name of the device: a-z, 0-9 and -
    #[arg(value_name = "DEVICE", value_parser = id)]
    pub(crate) device: Id,
    /// Tenant of the device
    #[arg(long, value_parser = id)]
    pub(crate) client: Id,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Manage configurations of devices
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check, sign and store the next configuration of a device
    ///
    /// The files are checked as the device checks them; with an error nothing is stored. They replace the whole configuration:
    /// put all files of a farm at once. Prints what the new configuration has and what it no longer has. If a zone, a sensor or
    /// a channel is gone, nothing is stored without --force. Unchanged content makes no new version.
    Put {
        /// Folder with config.d (and agent.toml, to check against), folder of TOML files, or one TOML or JSON file
        #[arg(value_name = "DIR|FILE")]
        from: PathBuf,
        /// Store also if zones, sensors or channels are gone
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        device: DeviceOption,
    },
    /// Print the newest configuration of a device
    Show {
        #[command(flatten)]
        device: DeviceOption,
    },
}

/// A device as option.
#[derive(Debug, Args)]
pub(crate) struct DeviceOption {
    /// Tenant of the device
    #[arg(long, value_parser = id)]
    pub(crate) client: Id,
    /// Name of the device
    #[arg(long, value_parser = id)]
    pub(crate) device: Id,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Serve devices and readers until SIGTERM or SIGINT
///
/// Prints `listening on ADDRESS` once it accepts connections.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Address and port, such as 0.0.0.0:8443; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub(crate) listen: SocketAddr,
    /// TLS certificate and its chain, in PEM; without it only loopback addresses are served
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Proxy in front of the hub, such as 127.0.0.1 or 10.0.0.0/8: the client's address is then taken from X-Forwarded-For or
    /// Forwarded. Can be repeated
    #[arg(long = "trusted-proxy", value_name = "ADDRESS", value_parser = address::range)]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Maximum number of sensors per device
    #[arg(long, value_name = "COUNT", default_value_t = Quota::USUAL.sensors)]
    pub(crate) device_sensors: u64,
    /// Maximum number of stored windows and events per device
    #[arg(long, value_name = "COUNT", default_value_t = Quota::USUAL.rows)]
    pub(crate) device_rows: u64,
    /// Level of the log on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value_t = Level::INFO)]
    pub(crate) log: Level,
}

/// Options of the commands that use the hub's folder.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The hub's folder.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Folder of the hub
    #[arg(long = "data", value_name = "DIR", default_value = "/var/lib/tilth-hub")]
    folder: PathBuf,
}

impl Data {
    pub(crate) fn dir(&self) -> DataDir {
        DataDir::new(&self.folder)
    }
}

/// Form of the output.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 0.0.0.0:8443 or 127.0.0.1:8080".to_owned())
}

fn id(text: &str) -> Result<Id, String> {
    Id::new(text).map_err(|error| format!("the name {error}"))
}

/// Parses the command line. On an error, or after help was printed, returns the exit code.
pub(crate) fn parse() -> Result<Command, Exit> {
    let message = match Cli::try_parse() {
        Ok(cli) => return Ok(cli.command),
        Err(message) => message,
    };
    match message.print() {
        _ if message.use_stderr() => Err(Exit::Usage),
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            tell(format_args!("tilth-hub: standard output: {error}"));
            Err(Exit::Failed)
        }
        _ => Err(Exit::Done),
    }
}
