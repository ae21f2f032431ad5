//! Inputs: the sources of a sensor's raw values, as `input = "KIND:.."` names them.

use std::fmt;

use serde::Serialize;
use tilth_core::id::{Id, SensorId};
use tilth_core::label::Label;
use tilth_core::unit::Unit;

use crate::diagnostic::{Diagnostics, Problem};
use crate::i2c::{self, I2cChip, I2cField};
use crate::reader;
use crate::tree::Node;

/// Longest name of a field, topic or channel in bytes.
const MAX_NAME: usize = 200;

/// Most channels of a board; their numbers begin at 0.
pub(crate) const MAX_CHANNELS: u8 = 16;

/// A source of raw values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `board:BUS/CHANNEL`: a channel of a board with our firmware.
    Board {
        /// The serial line.
        bus: Id,
        /// Number of the channel on the board, from 0.
        channel: u8,
    },
    /// `modbus:BUS/SLAVE/REGISTER`.
    Modbus {
        /// The serial line.
        bus: Id,
        /// 1 to 247.
        slave: u8,
        /// The register's address on the wire.
        register: u16,
    },
    /// `i2c:BUS/CHIP@ADDRESS/FIELD` or `i2c:BUS/CHIP@ADDRESS/FIELD?rtd=ADDRESS`.
    I2c {
        /// The I2C bus.
        bus: Id,
        /// The kind of chip, such as `bme280`.
        chip: I2cChip,
        /// Seven-bit address of the chip.
        address: u8,
        /// Which of its values.
        field: I2cField,
        /// Address of the EZO RTD circuit on the same bus whose temperature compensates the value.
        rtd: Option<u8>,
    },
    /// `w1:ID`: a 1-Wire device, such as `28-0316a2794aff`.
    W1 {
        /// Family and serial number.
        device: String,
    },
    /// `gpio:LINE`.
    Gpio {
        /// The line's number.
        line: u32,
    },
    /// `mqtt:BUS/TOPIC` or `mqtt:BUS/TOPIC#json.path`.
    Mqtt {
        /// The broker.
        bus: Id,
        /// The topic, without wildcards.
        topic: String,
        /// Keys into the message; empty where the message is the number.
        path: Vec<String>,
    },
    /// `sdi12:BUS/ADDRESS/INDEX`.
    Sdi12 {
        /// The line.
        bus: Id,
        /// The sensor's one-character address.
        address: char,
        /// Which of the values it answers, from 0.
        index: u8,
    },
    /// `line:BUS/NAME` or `line:BUS/NAME?node=1`: a named value in lines of text.
    Line {
        /// The serial line.
        bus: Id,
        /// The value's name.
        name: LineName,
    },
    /// `http:BOARD/FIELD`: what a WiFi board posts.
    Http {
        /// The board's name.
        board: Id,
        /// The value's name.
        field: String,
    },
    /// `host:cpu_temp`: the machine that the agent runs on.
    Host(HostMetric),
    /// `derived:vpd(..)`: computed from other sensors.
    Derived {
        /// Name of the function.
        function: String,
        /// The sensors it is computed from.
        of: Vec<SensorId>,
    },
    /// `sim:..`: made up, for trying things out.
    Sim(String),
}

/// The name of a value in lines of text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineName {
    /// The value's label, the name of its column or its path in JSON, or enough of its words.
    pub label: String,
    /// Labels of other fields of the same line or object, and what must stand there.
    pub selectors: Vec<(String, String)>,
}

impl LineName {
    /// Equal for two names of one value, such as `Air Temp` and `air_temp`.
    fn comparable(&self) -> (String, Vec<(String, String)>) {
        let key = |text: &String| Label::of(text).map_or(text.clone(), |label| label.key().to_owned());
        let selectors = self.selectors.iter().map(|(name, text)| (key(name), text.to_lowercase()));
        (key(&self.label), selectors.collect())
    }
}

/// Form in documents: `temp?node=1&row=2`.
impl fmt::Display for LineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)?;
        for (ix, (name, text)) in self.selectors.iter().enumerate() {
            write!(f, "{}{name}={text}", if ix == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// A figure of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostMetric {
    /// Temperature of the processor, C.
    CpuTemp,
    /// Processes waiting for the processor, averaged over a minute.
    Load,
    /// Share of the disk in use, %.
    DiskUsed,
    /// Share of the memory in use, %.
    MemoryUsed,
}

/// The kinds of line that several inputs share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BusKind {
    /// Lines of text on a serial line.
    Line,
    /// A board with our firmware on a serial line.
    Board,
    /// Modbus RTU on a serial line.
    Modbus,
    /// An I2C bus of the machine.
    I2c,
    /// An MQTT broker.
    Mqtt,
    /// The 1-Wire bus of the machine.
    W1,
    /// The machine's own pins.
    Gpio,
    /// SDI-12 through a serial adapter.
    Sdi12,
}

impl BusKind {
    /// Every kind.
    pub const ALL: [BusKind; 8] = [
        BusKind::Line,
        BusKind::Board,
        BusKind::Modbus,
        BusKind::I2c,
        BusKind::Mqtt,
        BusKind::W1,
        BusKind::Gpio,
        BusKind::Sdi12,
    ];

    /// The word in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BusKind::Line => "line",
            BusKind::Board => "board",
            BusKind::Modbus => "modbus",
            BusKind::I2c => "i2c",
            BusKind::Mqtt => "mqtt",
            BusKind::W1 => "w1",
            BusKind::Gpio => "gpio",
            BusKind::Sdi12 => "sdi12",
        }
    }

    /// Whether this version reads buses of the kind.
    #[must_use]
    pub const fn is_read(self) -> bool {
        match self {
            BusKind::Line | BusKind::Board | BusKind::I2c => true,
            BusKind::Modbus | BusKind::Mqtt | BusKind::W1 | BusKind::Gpio | BusKind::Sdi12 => false,
        }
    }

    /// Whether a machine has one bus of the kind at most, which its inputs do not name.
    pub(crate) const fn is_lone(self) -> bool {
        match self {
            BusKind::W1 | BusKind::Gpio => true,
            BusKind::Line | BusKind::Board | BusKind::Modbus | BusKind::I2c | BusKind::Mqtt | BusKind::Sdi12 => false,
        }
    }
}

impl fmt::Display for BusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Input {
    /// The bus it is read from, where it names one.
    #[must_use]
    pub fn bus(&self) -> Option<&Id> {
        match self {
            Input::Board { bus, .. }
            | Input::Modbus { bus, .. }
            | Input::I2c { bus, .. }
            | Input::Mqtt { bus, .. }
            | Input::Sdi12 { bus, .. }
            | Input::Line { bus, .. } => Some(bus),
            Input::W1 { .. }
            | Input::Gpio { .. }
            | Input::Http { .. }
            | Input::Host(_)
            | Input::Derived { .. }
            | Input::Sim(_) => None,
        }
    }

    /// The kind of bus it needs. Inputs of 1-Wire and pins name no bus, since a machine has one of that kind.
    #[must_use]
    pub const fn bus_kind(&self) -> Option<BusKind> {
        match self {
            Input::Board { .. } => Some(BusKind::Board),
            Input::Modbus { .. } => Some(BusKind::Modbus),
            Input::I2c { .. } => Some(BusKind::I2c),
            Input::W1 { .. } => Some(BusKind::W1),
            Input::Gpio { .. } => Some(BusKind::Gpio),
            Input::Mqtt { .. } => Some(BusKind::Mqtt),
            Input::Sdi12 { .. } => Some(BusKind::Sdi12),
            Input::Line { .. } => Some(BusKind::Line),
            Input::Http { .. } | Input::Host(_) | Input::Derived { .. } | Input::Sim(_) => None,
        }
    }

    /// The word before the colon.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match (self.bus_kind(), self) {
            (Some(kind), _) => kind.name(),
            (None, Input::Host(_)) => "host",
            (None, Input::Derived { .. }) => "derived",
            (None, Input::Sim(_)) => "sim",
            (None, _) => "http",
        }
    }

    /// The same for two inputs that give the same values.
    pub(crate) fn comparable(&self) -> String {
        match self {
            Input::Line { bus, name } => format!("line:{bus}/{:?}", name.comparable()),
            other => format!("{other:?}"),
        }
    }

    /// Whether this version reads it.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        match self.bus_kind() {
            Some(kind) => kind.is_read(),
            None => matches!(self, Input::Host(_)),
        }
    }

    /// The input that a text such as `line:gateway/ph` names; none where it has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Input> {
        let (kind, rest) = text.split_once(':')?;
        parse(kind, rest)
    }
}

/// The kinds, each with the form that a message about a wrong input shows.
const FORMS: [(&str, &str); 12] = [
    ("board", "board:BUS/CHANNEL, the channel by its number on the board, 0 to 15, such as board:gateway/2"),
    ("modbus", "modbus:BUS/SLAVE/REGISTER, such as modbus:rs485/1/0x0010"),
    ("i2c", "i2c:BUS/CHIP@ADDRESS/FIELD, such as i2c:main/bme280@0x76/temperature"),
    ("w1", "w1:ID, such as w1:28-0316a2794aff"),
    ("gpio", "gpio:LINE, such as gpio:17"),
    ("mqtt", "mqtt:BUS/TOPIC or mqtt:BUS/TOPIC#json.path, a topic without + and #"),
    ("sdi12", "sdi12:BUS/ADDRESS/INDEX, such as sdi12:soil/0/1"),
    ("line", "line:BUS/NAME, or line:BUS/NAME?LABEL=TEXT where another field of the line tells which value is meant"),
    ("http", "http:BOARD/FIELD"),
    ("host", "host:cpu_temp, host:load, host:disk_used or host:memory_used"),
    (
        "derived",
        "derived:vpd(temperature sensor, humidity sensor) or another of vpd, dew_point, absolute_humidity, dli",
    ),
    ("sim", "sim:NAME"),
];

/// Functions that compute a value from other sensors.
const FUNCTIONS: [&str; 4] = ["vpd", "dew_point", "absolute_humidity", "dli"];

pub(crate) fn read(node: &Node, log: &Diagnostics) -> Result<Input, Problem> {
    let text = node.as_text().ok_or_else(|| reader::expected("an input such as \"line:gateway/ph\"", node))?;
    let kinds = FORMS.map(|(kind, _)| kind);
    let Some((kind, rest)) = text.split_once(':') else {
        return Err(reader::expected("an input such as \"line:gateway/ph\"", node));
    };
    let Some((_, form)) = FORMS.into_iter().find(|(known, _)| *known == kind) else {
        let meant = log.did_you_mean(kind, kinds);
        let help = meant.unwrap_or_else(|| format!("expected one of {}", kinds.join(", ")));
        return Err(Problem::new(format!("there is no kind of input {kind:?}")).help(help));
    };
    if let ("line", Some((_, name))) = (kind, rest.split_once('/')) {
        check_line_name(name)?;
    }
    if let ("i2c", Some((_, device))) = (kind, rest.split_once('/')) {
        i2c::check(device, integer)?;
    }
    parse(kind, rest).ok_or_else(|| Problem::new(format!("{node} is no input")).help(format!("expected {form}")))
}

fn parse(kind: &str, rest: &str) -> Option<Input> {
    match kind {
        "w1" => w1(rest),
        "gpio" => Some(Input::Gpio { line: rest.parse().ok()? }),
        "host" => host(rest).map(Input::Host),
        "derived" => derived(rest),
        "sim" => name(rest).map(Input::Sim),
        _ => {
            let (first, rest) = rest.split_once('/')?;
            on_bus(kind, Id::new(first).ok()?, rest)
        }
    }
}

fn on_bus(kind: &str, bus: Id, rest: &str) -> Option<Input> {
    match kind {
        "board" => {
            let channel = rest.parse().ok().filter(|channel| *channel < MAX_CHANNELS)?;
            Some(Input::Board { bus, channel })
        }
        "line" => Some(Input::Line { bus, name: line_name(rest)? }),
        "http" => Some(Input::Http { board: bus, field: name(rest)? }),
        "modbus" => {
            let (slave, register) = rest.split_once('/')?;
            let slave = slave.parse().ok().filter(|slave| (1..=247).contains(slave))?;
            Some(Input::Modbus { bus, slave, register: u16::try_from(integer(register)?).ok()? })
        }
        "i2c" => {
            let (device, field) = rest.split_once('/')?;
            let (chip, address) = device.split_once('@')?;
            let chip = I2cChip::from_name(chip)?;
            let address = i2c_address(address).filter(|address| chip.takes_address(u32::from(*address)))?;
            let (field, rtd) = i2c::field_of(chip, field, i2c_address)?;
            Some(Input::I2c { bus, chip, address, field, rtd })
        }
        "sdi12" => {
            let (address, index) = rest.split_once('/')?;
            let mut letters = address.chars();
            let address = letters.next().filter(char::is_ascii_alphanumeric)?;
            let index = index.parse().ok().filter(|index| *index < 100)?;
            letters.next().is_none().then_some(Input::Sdi12 { bus, address, index })
        }
        "mqtt" => {
            let (topic, path) = rest.split_once('#').map_or((rest, None), |(topic, path)| (topic, Some(path)));
            let topic = name(topic).filter(|topic| !topic.contains('+'))?;
            let path = path.map_or(Some(Vec::new()), |path| path.split('.').map(name).collect())?;
            Some(Input::Mqtt { bus, topic, path })
        }
        _ => None,
    }
}

fn line_name(text: &str) -> Option<LineName> {
    let (label, selectors) = text.split_once('?').map_or((text, None), |(label, rest)| (label, Some(rest)));
    let selector = |text: &str| {
        let (label, text) = text.split_once('=')?;
        Label::of(label)?;
        Some((label.to_owned(), name(text.trim())?))
    };
    let selectors = selectors.map_or(Some(Vec::new()), |all| all.split('&').map(selector).collect())?;
    Label::of(label)?;
    Some(LineName { label: name(label)?, selectors })
}

/// Why no line can carry a value of this name.
fn check_line_name(text: &str) -> Result<(), Problem> {
    let label = text.split_once('?').map_or(text, |(label, _)| label);
    let inside = label.trim().strip_prefix(['(', '[']).and_then(|rest| rest.strip_suffix([')', ']']));
    if inside.is_some_and(|unit| Unit::of(unit).is_some()) {
        let problem = Problem::new(format!("{:?} is a unit and no name", label.trim()));
        return Err(problem.help("a unit in brackets is no part of a name: name the words before it"));
    }
    let end = label.find(['=', ',', ';', '|', '"', '\t']).or_else(|| label.trim_end().strip_suffix(':').map(str::len));
    let Some(end) = end.filter(|_| !label.contains(|c: char| c.is_control() && c != '\t')) else { return Ok(()) };
    let sign = &label[end..end + 1];
    let read = label[..end].trim();
    let problem = Problem::new(format!("no line can carry a value named {label:?}: a name ends at {sign:?}"));
    Err(match Label::of(read) {
        Some(_) => problem.help(format!("in a line it would be read as {read:?}; expected that name alone")),
        None => problem.help("expected a name as the board prints it, such as \"Air Temp\""),
    })
}

fn name(text: &str) -> Option<String> {
    let fine = !text.trim().is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control);
    fine.then(|| text.to_owned())
}

fn integer(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The addresses below and above are kept for the bus itself.
fn i2c_address(text: &str) -> Option<u8> {
    u8::try_from(integer(text)?).ok().filter(|address| (0x08..=0x77).contains(address))
}

fn w1(text: &str) -> Option<Input> {
    let (family, serial) = text.split_once('-')?;
    let hex = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(family, 2) && hex(serial, 12)).then(|| Input::W1 { device: text.to_ascii_lowercase() })
}

fn host(text: &str) -> Option<HostMetric> {
    match text {
        "cpu_temp" => Some(HostMetric::CpuTemp),
        "load" => Some(HostMetric::Load),
        "disk_used" => Some(HostMetric::DiskUsed),
        "memory_used" => Some(HostMetric::MemoryUsed),
        _ => None,
    }
}

fn derived(text: &str) -> Option<Input> {
    let (function, of) = text.strip_suffix(')')?.split_once('(')?;
    let of: Option<Vec<SensorId>> = of.split(',').map(|sensor| SensorId::new(sensor.trim()).ok()).collect();
    FUNCTIONS.contains(&function).then_some(Input::Derived { function: function.to_owned(), of: of? })
}

#[cfg(test)]
mod tests;
