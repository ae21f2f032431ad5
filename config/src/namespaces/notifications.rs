//! Kinds of channel, a row each, with the keys of `[notifications.NAME]`. Readers, hints, schema, reference and the options of
//! `tilth-hub tenant set` take the kinds from here.

use super::DefaultValue::{Described, Whole};
use super::{ANY_TEXT, Form, ID, Key, KeyTable, Privacy, Value, WEB_ADDRESS, form, key, table};

// Each text of a channel states who may see it.
const ADDRESS: Form = WEB_ADDRESS.with(Privacy::Server);
const NAME: Form = ID.with(Privacy::Public);
const PORT: Form = ANY_TEXT.with(Privacy::Public);
const PHONE: Form = form("phone number", r"^\+[0-9 ./()-]{7,25}$").with(Privacy::Private("+10000000"));
const TOPIC: Form = form("topic", "^[A-Za-z0-9_-]{1,64}$").with(Privacy::Private("topic"));
const SECRET: Form = form("secret:NAME", "^secret:.+$").with(Privacy::Public);

/// A channel whose kind is not known yet: of another layer, or wrong.
pub(crate) static CHANNEL: KeyTable = KeyTable { path: "notifications.NAME", groups: &[&KIND], kinds: &TABLES };

/// A kind of channel.
#[derive(Debug)]
pub struct ChannelKind {
    /// The word under `kind`.
    pub name: &'static str,
    /// By which `channels.rs` finds its reader.
    pub(crate) tag: ChannelTag,
    keys: &'static KeyTable,
    /// Option of `tilth-hub tenant set`; none where only an agent has what the kind needs.
    pub hub: Option<HubOption>,
}

/// Kinds of channel by themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChannelTag {
    Log,
    Modem,
    Ntfy,
    Siren,
    Webhook,
}

/// The option `--KIND ADDRESS` of `tilth-hub tenant set`.
#[derive(Debug)]
pub struct HubOption {
    /// Help of one line.
    pub help: &'static str,
    /// Key of what stands after the last slash of the address; without it the whole address is the `url`.
    pub tail: Option<&'static str>,
    /// Key of the secret.
    pub secret: &'static str,
    /// Whether there is no such channel without a secret.
    pub needs_secret: bool,
}

/// Each kind of channel.
pub static CHANNEL_KINDS: [ChannelKind; 5] = [
    ChannelKind { name: "log", tag: ChannelTag::Log, keys: &LOG, hub: None },
    ChannelKind { name: "modem", tag: ChannelTag::Modem, keys: &MODEM, hub: None },
    ChannelKind {
        name: "ntfy",
        tag: ChannelTag::Ntfy,
        keys: &NTFY,
        hub: Some(HubOption {
            help: "Page through an ntfy topic: https://SERVER/TOPIC",
            tail: Some("topic"),
            secret: "token",
            needs_secret: false,
        }),
    },
    ChannelKind { name: "siren", tag: ChannelTag::Siren, keys: &SIREN, hub: None },
    ChannelKind {
        name: "webhook",
        tag: ChannelTag::Webhook,
        keys: &WEBHOOK,
        hub: Some(HubOption {
            help: "Page through a webhook that takes JSON, signed with --secret",
            tail: None,
            secret: "secret",
            needs_secret: true,
        }),
    },
];

static TABLES: [(&str, &KeyTable); CHANNEL_KINDS.len()] = {
    let mut tables = [("", &LOG); CHANNEL_KINDS.len()];
    let mut at = 0;
    while at < tables.len() {
        tables[at] = (CHANNEL_KINDS[at].name, CHANNEL_KINDS[at].keys);
        at += 1;
    }
    tables
};

/// Kinds by which the hub can page, each with its option.
pub fn hub_channels() -> impl Iterator<Item = (&'static ChannelKind, &'static HubOption)> {
    CHANNEL_KINDS.iter().filter_map(|kind| Some((kind, kind.hub.as_ref()?)))
}

static KIND: [Key; 1] = [key(
    "kind",
    Value::Word(|| CHANNEL_KINDS.iter().map(|kind| kind.name).collect()),
    Described("required"),
    "kind of channel",
)];

static LOG: KeyTable = table("notifications.NAME, kind log", &[&KIND]);
static MODEM: KeyTable = table("notifications.NAME, kind modem", &[&KIND, &MODEM_KEYS, &CAP]);
static NTFY: KeyTable = table("notifications.NAME, kind ntfy", &[&KIND, &NTFY_KEYS, &CAP]);
static SIREN: KeyTable = table("notifications.NAME, kind siren", &[&KIND, &SIREN_KEYS]);
static WEBHOOK: KeyTable = table("notifications.NAME, kind webhook", &[&KIND, &WEBHOOK_KEYS, &CAP]);

static MODEM_KEYS: [Key; 6] = [
    key("port", Value::Text(PORT), Described("required"), "device file of the modem, or `tcp://HOST:PORT`"),
    key("baud", Value::Whole { unit: "Bd", least: 300, most: 4_000_000 }, Whole(115_200), "speed"),
    key(
        "numbers",
        Value::List(&Value::Text(PHONE)),
        Described("required"),
        "who is told, and who may answer [`ACK 31`](channels.md#answers); with the code of the country",
    ),
    key(
        "critical_numbers",
        Value::List(&Value::Text(PHONE)),
        Described("none"),
        "who is [told as well](channels.md#one-person-after-the-other), of alerts that are critical or urgent",
    ),
    key("urgent_numbers", Value::List(&Value::Text(PHONE)), Described("none"), "the same of urgent ones alone"),
    key("pin", Value::Text(SECRET), Described("none"), "secret with the PIN of the SIM"),
];

static NTFY_KEYS: [Key; 3] = [
    key("url", Value::Text(ADDRESS), Described("required"), "address of the server"),
    key("topic", Value::Text(TOPIC), Described("required"), "topic; anyone who knows it can read it"),
    key("token", Value::Text(SECRET), Described("none"), "secret with the access token of the server"),
];

const fn sounds(severity: &'static str, default: &'static str) -> Key {
    key(severity, Value::Table(&PATTERN), Described(default), "how an alert of this severity sounds")
}

static SIREN_KEYS: [Key; 5] = [
    key("actuator", Value::Text(NAME), Described("required"), "[actuator](channels.md#siren) that is heard"),
    sounds("preventive", "1s on, 60s off"),
    sounds("warning", "2s on, 30s off"),
    sounds("critical", "10s on, 10s off"),
    sounds("urgent", "60s on, 2s off"),
];

static PATTERN: KeyTable = table("notifications.NAME.SEVERITY", &[&PATTERN_KEYS]);

static PATTERN_KEYS: [Key; 2] = [
    key("on", Value::PositiveDuration, Described("that of the severity"), "time on; at most `max_on` of the actuator"),
    key("off", Value::Duration, Described("that of the severity"), "time off; at least `min_off` of the actuator"),
];

static WEBHOOK_KEYS: [Key; 2] = [
    key("url", Value::Text(ADDRESS), Described("required"), "address of the program that takes the events"),
    key("secret", Value::Text(SECRET), Described("required"), "secret that signs what is sent"),
];

static CAP: [Key; 1] = [key(
    "max_per_hour",
    Value::Whole { unit: "notifications", least: 1, most: 3600 },
    // A phone that rings more often than every other minute is not looked at.
    Whole(30),
    "[the cap](#notifications), beyond which they become digests",
)];
