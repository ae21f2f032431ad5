//! What is known of the machine, as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_sync::transport::TransportErrorKind;

#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The user that the agent runs as.
    pub(super) account: Account,
    pub(super) configuration: Configuration,
    pub(super) files: Vec<FileFact>,
    pub(super) ports: Vec<PortFact>,
    pub(super) i2c: I2cFacts,
    pub(super) clock: ClockFacts,
    pub(super) disk: DiskFacts,
    /// None on a farm without a hub.
    pub(super) hub: Option<HubFacts>,
    /// Of a farm without a hub.
    pub(super) servers: Vec<ServerFact>,
    pub(super) agent: AgentFacts,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// All its groups, the first one included.
    pub(super) groups: BTreeSet<u32>,
    /// Groups that the service wants and the machine has not.
    pub(super) no_such_groups: Vec<String>,
    /// Names of all groups of the machine.
    pub(super) group_names: BTreeMap<u32, String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Configuration {
    pub(super) folder: PathBuf,
    /// The command that lists all findings.
    pub(super) check: String,
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Owner and mode of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Permission bits.
    pub(super) mode: u32,
}

/// Each folder from the root to a file, and the file, which is the last.
pub(super) type PathNodes = Vec<(PathBuf, Node)>;

#[derive(Debug, Clone)]
pub(super) enum Found {
    Absent,
    /// The user who runs doctor may not look there.
    Unseen,
    There(PathNodes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `agent.toml`, `config.d` and its files.
    Configuration,
    Secret,
    DeviceKey,
    SigningKey,
    Authority,
    /// `history.owner` of a device with a hub, where it is there.
    Owner,
}

#[derive(Debug, Clone)]
pub(super) struct FileFact {
    pub(super) kind: FileKind,
    pub(super) path: PathBuf,
    pub(super) found: Found,
    /// Why its content is of no use, and what was expected.
    pub(super) wrong: Option<(String, String)>,
    /// The running agent has the secret: a credential of the service.
    pub(super) has_agent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortKind {
    Serial,
    I2c,
    /// Looked for, and not opened.
    Other,
}

#[derive(Debug, Clone)]
pub(super) struct PortFact {
    pub(super) kind: PortKind,
    pub(super) path: String,
    /// The key that names it.
    pub(super) key: String,
    pub(super) found: Found,
    /// Why what is there is no port, and what was expected.
    pub(super) wrong: Option<(String, String)>,
    /// Other programs that have it open: process and name.
    pub(super) holders: Vec<(i32, String)>,
    /// The running agent has it open.
    pub(super) has_agent: bool,
    /// Why the running agent has it not.
    pub(super) down: Option<String>,
    /// Whether it could be opened, where that was tried.
    pub(super) opened: Option<Result<(), String>>,
    /// Ports that are there, by their lasting names.
    pub(super) others: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct I2cFacts {
    /// Such as `/dev/i2c-1`.
    pub(super) devices: Vec<String>,
    /// The `config.txt` of a Pi, and whether it turns I2C on.
    pub(super) config_txt: Option<(String, bool)>,
}

#[derive(Debug, Clone)]
pub(super) struct ClockFacts {
    pub(super) now: WallTime,
    pub(super) is_synchronised: bool,
    pub(super) has_battery: bool,
    /// `device.clock = "rtc"`.
    pub(super) trusts_battery: bool,
    /// The running agent's source of the time of day.
    pub(super) agent: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct DiskFacts {
    pub(super) data: PathBuf,
    /// The folder, or the nearest one above it that is there.
    pub(super) nodes: PathNodes,
    pub(super) is_there: bool,
    pub(super) mount: String,
    pub(super) is_read_only: bool,
    pub(super) free_bytes: u64,
    /// Whether no file can be added.
    pub(super) has_no_inodes: bool,
    /// Less than this must not be free, for the store stops growing.
    pub(super) least_free_bytes: u64,
    /// What the store may yet take.
    pub(super) wanted_bytes: u64,
    /// Errors of the file system that the kernel counted.
    pub(super) errors: u64,
    /// Why the running agent cannot write.
    pub(super) problem: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct HubFacts {
    pub(super) url: String,
    /// Host and port.
    pub(super) address: String,
    pub(super) has_key: bool,
    pub(super) answer: Answer,
}

/// How far a request came, and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The name has no address.
    NotResolved(String),
    NotConnected(String),
    Status(u16),
    /// Without a bundle for this device yet.
    NoBundle,
    Failed(TransportErrorKind, String),
    /// Address or certificates cannot be used.
    Unusable(String),
}

/// Server of a channel.
#[derive(Debug, Clone)]
pub(super) struct ServerFact {
    pub(super) channel: Id,
    /// Host and port.
    pub(super) address: String,
    pub(super) reached: Result<(), String>,
}

#[derive(Debug, Clone)]
pub(super) struct AgentFacts {
    pub(super) socket: String,
    /// Options that name the agent, as typed.
    pub(super) options: String,
    pub(super) state: AgentState,
    /// The systemd service is installed.
    pub(super) has_service: bool,
    /// Version of this program.
    pub(super) version: String,
}

#[derive(Debug, Clone)]
pub(super) enum AgentState {
    Runs {
        process: Option<i32>,
        version: String,
    },
    Stopped,
    /// The user who runs doctor may not ask it.
    Denied,
    NoAnswer(String),
}
