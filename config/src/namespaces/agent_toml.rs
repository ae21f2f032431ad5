//! Keys of `agent.toml`.

use super::DefaultValue::{Described, Required, Text, Whole};
use crate::board::BoardChannelKind;
use crate::board_model::BoardModel;

use super::{ANY_TEXT, Form, ID, Key, KeyTable, Value, WEB_ADDRESS, form, key, table};

const BROKER: Form = form("address", r"^mqtts?://\S+$");
const SECRET_NAME: Form = form("name of a secret", "^[A-Za-z0-9_.-]{1,64}$");

pub(crate) static AGENT_TOML: KeyTable = table("agent.toml", &[&TABLES]);

static TABLES: [Key; 4] = [
    key("device", Value::Table(&DEVICE), Described("required by `run`"), "this device"),
    key("hub", Value::Table(&HUB), Described("a farm without a hub"), "the hub"),
    key("bus", Value::Named(ID, &BUS), Described("none"), "buses that sensors share"),
    key("secrets", Value::Named(SECRET_NAME, &SECRET), Described("none"), "servers that secrets may be sent to"),
];

static DEVICE: KeyTable = table("device", &[&DEVICE_KEYS]);

static DEVICE_KEYS: [Key; 3] = [
    key("id", Value::Text(ID), Required, "name of this device"),
    key("client", Value::Text(ID), Described("required with a hub"), "tenant that owns the device"),
    key(
        "clock",
        Value::Word(|| vec!["ntp", "rtc"]),
        Text("ntp"),
        "when the machine's clock is trusted: `\"ntp\"`, once it is synchronised over the network; `\"rtc\"`, from boot on, for it \
         has a clock with a battery that was set once",
    ),
];

static HUB: KeyTable = table("hub", &[&HUB_KEYS]);

static HUB_KEYS: [Key; 4] = [
    key("url", Value::Text(WEB_ADDRESS), Required, "address of the hub"),
    key(
        "ca",
        Value::Text(ANY_TEXT),
        Described("those that the machine trusts"),
        "file with the certificate that signs the hub's",
    ),
    key("signing_key", Value::Text(ANY_TEXT), Required, "file with the public key of the hub"),
    key("key_file", Value::Text(ANY_TEXT), Required, "file with the key of this device"),
];

/// A bus whose kind is wrong.
pub(crate) static BUS: KeyTable = KeyTable {
    path: "bus.NAME",
    groups: &[&KIND, &PORT, &BAUD_115200, &FRAME, &URL, &COLUMNS, &BOARD_ID, &BOARD_MODEL, &BOARD_CHANNELS],
    kinds: &[
        ("line", &LINE),
        ("board", &BOARD),
        ("modbus", &MODBUS),
        ("i2c", &I2C),
        ("mqtt", &MQTT),
        ("w1", &W1),
        ("gpio", &GPIO),
        ("sdi12", &SDI12),
    ],
};

static LINE: KeyTable = table("bus.NAME, kind line", &[&KIND, &LINE_PORT, &BAUD_115200, &COLUMNS]);
static BOARD: KeyTable =
    table("bus.NAME, kind board", &[&KIND, &LINE_PORT, &BAUD_115200, &BOARD_ID, &BOARD_MODEL, &BOARD_CHANNELS]);
static MODBUS: KeyTable = table("bus.NAME, kind modbus", &[&KIND, &PORT, &BAUD_9600, &FRAME]);
static I2C: KeyTable = table("bus.NAME, kind i2c", &[&KIND, &I2C_PORT]);
static MQTT: KeyTable = table("bus.NAME, kind mqtt", &[&KIND, &URL]);
static W1: KeyTable = table("bus.NAME, kind w1", &[&KIND, &W1_PORT]);
static GPIO: KeyTable = table("bus.NAME, kind gpio", &[&KIND, &GPIO_PORT]);
static SDI12: KeyTable = table("bus.NAME, kind sdi12", &[&KIND, &PORT, &BAUD_1200]);

static KIND: [Key; 1] = [key(
    "kind",
    Value::Word(|| BUS.kinds.iter().map(|(kind, _)| *kind).collect()),
    Required,
    "protocol; this version reads `\"line\"`, `\"board\"` and `\"i2c\"`",
)];

const fn port(default: super::DefaultValue) -> Key {
    key("port", Value::Text(ANY_TEXT), default, "device file, used by this bus alone")
}

static PORT: [Key; 1] = [port(Required)];
static LINE_PORT: [Key; 1] = [key(
    "port",
    Value::Text(ANY_TEXT),
    Required,
    "device file, used by this bus alone; of `line` and `board` also `tcp://HOST:PORT`",
)];
static I2C_PORT: [Key; 1] = [port(Text("/dev/i2c-1"))];
static W1_PORT: [Key; 1] = [port(Text("/sys/bus/w1/devices"))];
static GPIO_PORT: [Key; 1] = [port(Text("/dev/gpiochip0"))];

/// The fastest and slowest serial lines that adapters make.
const fn baud(default: u32) -> Key {
    key("baud", Value::Whole { unit: "Bd", least: 300, most: 4_000_000 }, Whole(default), "speed")
}

static BAUD_115200: [Key; 1] = [baud(115_200)];
static BAUD_9600: [Key; 1] = [baud(9600)];
static BAUD_1200: [Key; 1] = [baud(1200)];

static FRAME: [Key; 2] = [
    key("parity", Value::Word(|| vec!["none", "even", "odd"]), Text("none"), "parity"),
    key("stop_bits", Value::Whole { unit: "bits", least: 1, most: 2 }, Whole(1), "stop bits"),
];

static URL: [Key; 1] = [key("url", Value::Text(BROKER), Required, "address of the broker")];

static BOARD_ID: [Key; 1] = [key(
    "board",
    Value::Text(form("id of a board", "^[0-9a-fA-F]{16}$")),
    Described("the board at `port`"),
    "[id of the board](boards.md#which-board-is-which), which is then found at the port of any bus of this kind",
)];

static BOARD_MODEL: [Key; 1] = [key(
    "model",
    Value::Word(|| BoardModel::ALL.map(BoardModel::name).to_vec()),
    Described("what the name of the port tells"),
    "model of the board, so that `check` knows its channels and relays",
)];

static BOARD_CHANNELS: [Key; 1] = [key(
    "channels",
    Value::Named(form("number of a channel", "^([0-9]|1[0-5])$"), &BOARD_CHANNEL),
    Described("what the board keeps"),
    "[what is wired to each channel](boards.md#settings-of-channels), and how often it is measured",
)];

pub(crate) static BOARD_CHANNEL: KeyTable = table("bus.NAME.channels.NUMBER", &[&BOARD_CHANNEL_KEYS]);

static BOARD_CHANNEL_KEYS: [Key; 6] = [
    key(
        "kind",
        Value::Word(|| BoardChannelKind::ALL.map(BoardChannelKind::name).to_vec()),
        Required,
        "[what is wired to it](boards.md#settings-of-channels)",
    ),
    key(
        "interval",
        Value::PositiveDuration,
        Text("10s"),
        "time between readings, `\"100ms\"` to `\"1d\"`; of a DHT22 at least `\"2s\"`",
    ),
    key(
        "oversampling",
        Value::Whole { unit: "conversions", least: 1, most: 64 },
        Whole(64),
        "of kind `analog`: conversions of which a value is the mean, a power of two",
    ),
    key(
        "pulses_per_litre",
        Value::Positive("pulses/L"),
        Described("none"),
        "of kind `pulses`: a flow meter's, for a sensor of quantity `flow`",
    ),
    key(
        "mm_per_pulse",
        Value::Positive("mm"),
        Described("none"),
        "of kind `pulses`: a rain gauge's, for a sensor of quantity `rain`, which has what fell since the reading before",
    ),
    key(
        "m_per_pulse",
        Value::Positive("m"),
        Described("none"),
        "of kind `pulses`: an anemometer's, for a sensor of quantity `wind`",
    ),
];

static COLUMNS: [Key; 1] = [key(
    "columns",
    Value::List(&Value::Text(form("text", ""))),
    Described("the header that the board prints"),
    "names of the columns of rows without a header; an empty name skips its column",
)];

pub(crate) static SECRET: KeyTable = table("secrets.NAME", &[&SECRET_KEYS]);

static SECRET_KEYS: [Key; 1] = [key(
    "hosts",
    Value::List(&Value::Text(form("host", r"^[A-Za-z0-9.:\[\]-]+$"))),
    Required,
    "the only hosts that the secret may be sent to, [whatever else is configured](security.md#binding-a-secret)",
)];
