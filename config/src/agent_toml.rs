//! `agent.toml`: what a technician knows on site.

mod channels;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tilth_core::id::Id;
use tilth_core::label::Label;

use crate::board::BoardChannel;
use crate::board_model::BoardModel;
use crate::diagnostic::{Diagnostics, Level, Problem};
use crate::hosts::{self, Hosts, host_of, is_loopback};
use crate::input::BusKind;
use crate::namespaces::{AGENT_TOML, BUS, CONFIG};
use crate::path;
use crate::reader::{self, Fields, among};
use crate::redact::{self, SecretName};
use crate::source::{Place, SourceId, Sources};
use crate::tree::{Entry, Node, Table};

/// Upper limit of columns: this many fit into the longest line that is read.
const MAX_COLUMNS: usize = 1000;

/// Purpose of reading a configuration; decides what must be present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To watch a farm: every sensor needs its input, every input its bus.
    Run,
    /// To say what would be wrong: as to run, where there is an `agent.toml`.
    Check,
    /// To go over recorded readings, or to explain: the machine and its lines do not matter.
    Replay,
}

/// Content of `agent.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentToml {
    /// Which device this is.
    pub device: Option<Device>,
    /// Address and keys of the hub; none on a farm without one.
    pub hub: Option<Hub>,
    /// Buses that inputs share.
    pub buses: BTreeMap<Id, Bus>,
    /// The only servers that a secret may be sent to, over any other setting; a secret that is not in here goes to the server of its channel.
    pub secrets: BTreeMap<SecretName, Hosts>,
}

/// Which device this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's name.
    pub id: Id,
    /// The tenant it belongs to.
    pub client: Option<Id>,
    /// When its clock is trusted.
    pub clock: ClockTrust,
}

/// When a machine's clock is trusted, beside the hub's signed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockTrust {
    /// Synchronisation over the network, and that alone.
    #[default]
    Ntp,
    /// A real-time clock with a battery that was set once: trusted from boot on, until NTP knows better.
    Rtc,
}

/// Address of the hub and the files with its keys. Files are relative to the folder of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    /// Address of the hub, without a slash at the end.
    pub url: String,
    /// The certificate that signs the hub's; without it those that the machine trusts.
    pub ca: Option<String>,
    /// The public key that signs bundles.
    pub signing_key: String,
    /// The device's own key.
    pub key_file: String,
}

/// A bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bus {
    /// Protocol.
    pub kind: BusKind,
    /// Port or address.
    pub address: BusAddress,
    /// Names of the columns of lines that have no header; of a line of text alone.
    pub columns: Option<Vec<String>>,
    /// Id of the board that belongs to the bus, on any port; of a board alone.
    pub board: Option<[u8; 8]>,
    /// Model of the board, where it is stated or the name of its port tells it; of a board alone.
    pub model: Option<BoardModel>,
    /// What is wired to channels of the board, by number; it keeps the settings of others. Of a board alone.
    pub channels: BTreeMap<u8, BoardChannel>,
}

/// Port or address of a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusAddress {
    /// A serial port.
    Serial(Serial),
    /// A TCP connection that carries the bytes of a serial line.
    Tcp {
        /// Host and port, such as `10.0.0.5:4001`.
        address: String,
    },
    /// A device file or folder of the machine.
    Port(String),
    /// A broker's address.
    Broker {
        /// `mqtt://` or `mqtts://`, host and port.
        url: String,
    },
}

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial {
    /// Device file.
    pub port: String,
    /// Bits per second.
    pub baud: u32,
    /// The check bit.
    pub parity: Parity,
    /// One or two.
    pub stop_bits: u8,
}

/// The check bit of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// There is none.
    None,
    /// Makes the number of ones even.
    Even,
    /// Makes it odd.
    Odd,
}

impl Purpose {
    /// A folder with an `agent.toml` is there to be run, and is checked as that.
    pub(crate) fn on(self, has_agent_toml: bool) -> Purpose {
        match self {
            Purpose::Check if has_agent_toml => Purpose::Run,
            purpose => purpose,
        }
    }

    /// How bad it is that something of the machine is missing.
    pub(crate) fn about_hardware(self) -> Option<Level> {
        match self {
            Purpose::Run => Some(Level::Error),
            Purpose::Check => Some(Level::Warning),
            Purpose::Replay => None,
        }
    }

    /// Says that something of the machine is missing, as bad as it is for this purpose.
    pub(crate) fn say(self, log: &Diagnostics, place: Place, path: &str, problem: Problem) {
        match self.about_hardware() {
            Some(Level::Error) => log.error(place, path, problem),
            Some(Level::Warning) => log.warning(place, path, problem),
            None => {}
        }
    }
}

/// The buses that `agent.toml` names, also those that are wrong: of them that is said, and not that they are missing.
pub(crate) fn named_buses(table: &Table) -> BTreeSet<String> {
    table.get("bus").and_then(|bus| bus.node.as_table()).into_iter().flat_map(|buses| buses.keys().cloned()).collect()
}

/// Reads `agent.toml`.
pub(crate) fn read(
    source: SourceId,
    table: Table,
    sources: &Sources,
    purpose: Purpose,
    log: &Diagnostics,
) -> AgentToml {
    let root = Entry {
        key: source.whole(),
        node: Node { content: crate::tree::Content::Table(table), ..Node::null(source.whole()) },
    };
    let mut agent_toml = AgentToml::default();
    let Some(fields) = Fields::of(&root, String::new(), &AGENT_TOML, log) else { return agent_toml };
    match fields.table("device") {
        Some(device) => agent_toml.device = read_device(device),
        None if fields.has("device") => {}
        None => purpose.say(log, source.whole(), "device", Problem::new("the table device is missing")),
    }
    agent_toml.hub = fields.table("hub").and_then(read_hub);
    if let (Some(_), Some(Device { client: None, .. })) = (&agent_toml.hub, &agent_toml.device) {
        fields.error("device", Problem::new("client is missing").help("a hub knows a device by client and id"));
    }
    for (name, entry) in fields.entries("bus") {
        if let Some((id, bus)) = read_bus(name, entry, log) {
            agent_toml.buses.insert(id, bus);
        }
    }
    for (name, entry) in fields.entries("secrets") {
        if let Some((name, hosts)) = hosts::read(name, entry, log) {
            agent_toml.secrets.insert(name, hosts);
        }
    }
    fields.finish_but(|key, _| {
        if key == "clock" {
            return Some(
                Problem::new("clock belongs under [device]").help("expected [device] clock = \"ntp\" or \"rtc\""),
            );
        }
        let problem = || Problem::new(format!("{key} belongs in a file under config.d"));
        CONFIG.get(key).map(|_| problem().help("agent.toml has device, hub, bus and secrets"))
    });
    check_lone(&root, &agent_toml.buses, log);
    check_ports(&root, &agent_toml.buses, sources, log);
    check_boards(&root, &agent_toml.buses, log);
    agent_toml
}

fn read_device(fields: Fields<'_>) -> Option<Device> {
    let id = fields.required("id", reader::id);
    let client = fields.optional("client", reader::id);
    let clock = fields.word_or_default("clock", among([("ntp", ClockTrust::Ntp), ("rtc", ClockTrust::Rtc)]));
    fields.finish();
    Some(Device { id: id?, client, clock })
}

fn read_hub(fields: Fields<'_>) -> Option<Hub> {
    let url = fields.required("url", hub_url);
    let ca = fields.optional("ca", file_name);
    let signing_key = fields.required("signing_key", file_name);
    let key_file = fields.required("key_file", file_name);
    fields.finish();
    Some(Hub { url: url?, ca, signing_key: signing_key?, key_file: key_file? })
}

/// The name of a file, and not what should be in it: names are shown.
fn file_name(node: &Node) -> Result<String, Problem> {
    let text = reader::text(node)?;
    if redact::text(&text) == text {
        return Ok(text);
    }
    Err(Problem::new("this is the key itself").help("expected the name of the file that holds it"))
}

/// HTTPS, or plain HTTP to the machine itself. A device key must not cross a network in the clear.
fn hub_url(node: &Node) -> Result<String, Problem> {
    let text = reader::text(node)?;
    let help = hosts::expected(&text, "expected https://HOST or https://HOST:PORT");
    let wrong = || Problem::new(format!("{node} is no address of a hub")).help(help);
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let rest = rest.trim_end_matches('/');
    let host = host_of(rest).ok_or_else(wrong)?;
    match scheme {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => {
            let problem = Problem::new(format!("{node} is not encrypted"));
            return Err(problem.help("expected https; plain http only to this machine itself"));
        }
        _ => return Err(wrong()),
    }
    Ok(format!("{scheme}://{rest}"))
}

fn read_bus(name: &str, entry: &Entry, log: &Diagnostics) -> Option<(Id, Bus)> {
    let mut fields = Fields::of(entry, path::join("bus", name), &BUS, log)?;
    let id = reader::entry_id(name, &fields, log);
    let names = fields.words("kind");
    let find = |text: &str| BusKind::ALL.into_iter().find(|kind| kind.name() == text);
    // Which other keys a bus has depends on its kind.
    let Some(kind) = fields.required("kind", |node| reader::word(node, &names, find, log)) else {
        fields.finish();
        return None;
    };
    fields.of_kind(kind.name());
    let address = match kind {
        BusKind::Line => serial_address(&fields, warn_of_baud),
        BusKind::Board => serial_address(&fields, warn_of_board_baud),
        BusKind::Sdi12 => serial(&fields, warn_of_baud).map(BusAddress::Serial),
        BusKind::Modbus => modbus(&fields).map(BusAddress::Serial),
        BusKind::I2c | BusKind::W1 | BusKind::Gpio => Some(BusAddress::Port(fields.or_default("port", reader::text))),
        BusKind::Mqtt => fields.required("url", broker_url).map(|url| BusAddress::Broker { url }),
    };
    let columns = if kind == BusKind::Line { fields.optional("columns", columns) } else { None };
    let board = if kind == BusKind::Board { fields.optional("board", board_id) } else { None };
    let model = if kind == BusKind::Board { board_model(&fields, address.as_ref()) } else { None };
    let channels = if kind == BusKind::Board { channels::read(&fields, model, log) } else { BTreeMap::new() };
    fields.finish();
    Some((id?, Bus { kind, address: address?, columns, board, model, channels }))
}

/// Names of columns, each once; an empty name skips its column.
fn columns(node: &Node) -> Result<Vec<String>, Problem> {
    let what = "names of columns such as [\"time\", \"temp\", \"humidity\"]";
    let names = reader::list(node, what, |item| {
        item.as_text().map(str::to_owned).ok_or_else(|| reader::expected("a name in quotes", item))
    })?;
    let labels: Vec<Option<Label>> = names.iter().map(|name| Label::of(name)).collect();
    for (ix, label) in labels.iter().enumerate() {
        let is_there = |label: &Label| labels[..ix].iter().flatten().any(|other| other.is_same(label));
        if label.as_ref().is_some_and(is_there) {
            return Err(Problem::new(format!("two columns are named {:?}", names[ix])).help("expected each name once"));
        }
    }
    match names.len() {
        0 => Err(reader::expected(what, node)),
        1..=MAX_COLUMNS if labels.iter().any(Option::is_some) => Ok(names),
        1..=MAX_COLUMNS => Err(Problem::new("no column has a name").help(format!("expected {what}"))),
        _ => {
            Err(Problem::new(format!("more than {MAX_COLUMNS} columns")).help("expected one for each value of a line"))
        }
    }
}

/// Beginning of a port that is reached over TCP.
pub(crate) const TCP: &str = "tcp://";

/// Speeds that boards and adapters are set to.
const USUAL_BAUD: [u32; 22] = [
    300, 600, 1200, 2400, 4800, 9600, 14_400, 19_200, 28_800, 38_400, 57_600, 74_880, 76_800, 115_200, 128_000,
    230_400, 250_000, 256_000, 460_800, 500_000, 921_600, 1_000_000,
];

/// Warns of an unusual speed, which is probably mistyped. Above 1,000,000 Bd any speed is accepted.
fn warn_of_baud(fields: &Fields<'_>, baud: u32) {
    let is_usual = USUAL_BAUD.contains(&baud) || baud > 1_000_000;
    let nearest = USUAL_BAUD.into_iter().min_by_key(|usual| usual.abs_diff(baud)).filter(|_| !is_usual);
    if let Some(nearest) = nearest {
        let problem = Problem::new(format!("{baud} is no usual speed of a serial line"));
        fields.warning("baud", problem.help(format!("did you mean {nearest}?")));
    }
}

/// Speed of boards with Tilth's firmware.
const BOARD_BAUD: u32 = 115_200;

/// Warns of a speed at which no board answers.
fn warn_of_board_baud(fields: &Fields<'_>, baud: u32) {
    if baud != BOARD_BAUD {
        let problem =
            Problem::new(format!("boards with Tilth's firmware speak at {BOARD_BAUD} baud, so none would be heard"));
        fields.warning("baud", problem.help("take the key out, unless the image was built with this speed"));
    }
}

/// The model of a board: as it is stated, else as the name of the port tells it.
fn board_model(fields: &Fields<'_>, address: Option<&BusAddress>) -> Option<BoardModel> {
    let find = |name: &str| BoardModel::ALL.into_iter().find(|model| model.name() == name);
    let of_port = || match address? {
        BusAddress::Serial(serial) => BoardModel::of_port(&serial.port),
        _ => None,
    };
    fields.word("model", find).or_else(of_port)
}

fn serial(fields: &Fields<'_>, warn_of_baud: fn(&Fields<'_>, u32)) -> Option<Serial> {
    let port = fields.required("port", reader::text);
    let baud = fields.whole("baud");
    warn_of_baud(fields, baud);
    Some(Serial { port: port?, baud, parity: Parity::None, stop_bits: 1 })
}

/// The line of a modem.
pub(crate) fn modem_address(fields: &Fields<'_>) -> Option<BusAddress> {
    serial_address(fields, warn_of_baud)
}

/// A serial port, or the address of one that is reached over TCP.
fn serial_address(fields: &Fields<'_>, warn_of_baud: fn(&Fields<'_>, u32)) -> Option<BusAddress> {
    let serial = serial(fields, warn_of_baud)?;
    match serial.port.strip_prefix(TCP) {
        None => Some(BusAddress::Serial(serial)),
        Some(address) if is_host_and_port(address) => Some(BusAddress::Tcp { address: address.to_owned() }),
        Some(_) => {
            let problem = Problem::new(format!("{:?} is no address", serial.port));
            fields.error("port", problem.help("expected a host and a port, such as tcp://10.0.0.5:4001"));
            None
        }
    }
}

/// Whether the port is there; a broker's address may do without one.
fn is_host_and_port(address: &str) -> bool {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some_and(|port| port > 0) && host_of(address).is_some()
}

/// Id of a board, as `tilth-agent status` shows it.
fn board_id(node: &Node) -> Result<[u8; 8], Problem> {
    let digits = node.as_text().filter(|text| text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.map(u64::to_be_bytes).ok_or_else(|| {
        reader::expected("the id of a board, 16 hexadecimal digits as tilth-agent status shows it", node)
    })
}

fn modbus(fields: &Fields<'_>) -> Option<Serial> {
    let serial = serial(fields, warn_of_baud);
    let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let parity = fields.word_or_default("parity", among(parities));
    let stop_bits = fields.whole("stop_bits") as u8;
    Some(Serial { parity, stop_bits, ..serial? })
}

fn broker_url(node: &Node) -> Result<String, Problem> {
    let text = reader::text(node)?;
    let rest = text.strip_prefix("mqtts://").or_else(|| text.strip_prefix("mqtt://"));
    match rest.and_then(host_of) {
        Some(_) => Ok(text),
        None => Err(Problem::new(format!("{node} is no broker"))
            .help(hosts::expected(&text, "expected mqtt://HOST or mqtts://HOST, :PORT after it where needed"))),
    }
}

/// An input of 1-Wire or a pin names no bus, so there can be only one of that kind.
fn check_lone(root: &Entry, buses: &BTreeMap<Id, Bus>, log: &Diagnostics) {
    for kind in BusKind::ALL.into_iter().filter(|kind| kind.is_lone()) {
        let mut of_kind = buses.iter().filter(|(_, bus)| bus.kind == kind).map(|(id, _)| id);
        if let (Some(first), Some(second)) = (of_kind.next(), of_kind.next()) {
            let place = root.node.get(["bus", second.as_str(), "kind"]).map_or(root.key, |node| node.place);
            let problem = Problem::new(format!("{first} is a bus of kind {kind} already"));
            let path = path::join(&path::join("bus", second.as_str()), "kind");
            log.error(place, &path, problem.help("expected one: inputs of this kind name no bus"));
        }
    }
}

/// Two readers of one port would each get some of its bytes.
fn check_ports(root: &Entry, buses: &BTreeMap<Id, Bus>, sources: &Sources, log: &Diagnostics) {
    let port = |(id, bus): (&'_ Id, &'_ Bus)| {
        let port = match &bus.address {
            BusAddress::Serial(serial) => &serial.port,
            // There can be only one of these, which is said already.
            BusAddress::Port(_) if bus.kind.is_lone() => return None,
            BusAddress::Port(port) => port,
            BusAddress::Tcp { address } => address,
            BusAddress::Broker { .. } => return None,
        };
        let place = root.node.get(["bus", id.as_str(), "port"]).or_else(|| root.node.get(["bus", id.as_str(), "kind"]));
        Some((place.map_or(root.key, |node| node.place), id.clone(), PathBuf::from(port)))
    };
    let mut ports: Vec<(Place, Id, PathBuf)> = buses.iter().filter_map(port).collect();
    ports.sort();
    for (at, (place, id, port)) in ports.iter().enumerate() {
        let Some((first, other, _)) = ports[..at].iter().find(|(.., before)| before == port) else { continue };
        let message = format!("{} is the port of bus {other} already ({})", port.display(), sources.name(*first));
        let path = path::join(&path::join("bus", id.as_str()), "port");
        log.error(*place, &path, Problem::new(message).help("expected a port of its own for each bus"));
    }
}

/// A board belongs to one bus.
fn check_boards(root: &Entry, buses: &BTreeMap<Id, Bus>, log: &Diagnostics) {
    let mut owners = BTreeMap::new();
    for (id, bus) in buses {
        let Some(board) = bus.board else { continue };
        let Some(other) = owners.insert(board, id) else { continue };
        let place = root.node.get(["bus", id.as_str(), "board"]).map_or(root.key, |node| node.place);
        let path = path::join(&path::join("bus", id.as_str()), "board");
        let problem = Problem::new(format!("this board belongs to bus {other} already"));
        log.error(place, &path, problem.help("expected a board of its own for each bus"));
    }
}

#[cfg(test)]
mod tests;
