//! Keys of `[notifications.NAME]`, by kind of channel.

use super::DefaultValue::{Described, Whole};
use super::{Form, Key, KeyTable, Value, WEB_ADDRESS, form, key, table};

const TOPIC: Form = form("topic", "^[A-Za-z0-9_-]{1,64}$");
const SECRET: Form = form("secret:NAME", "^secret:.+$");

/// A channel whose kind is not known yet: of another layer, or wrong.
pub(crate) static CHANNEL: KeyTable = KeyTable {
    path: "notifications.NAME",
    groups: &[&KIND],
    kinds: &[("log", &LOG), ("ntfy", &NTFY), ("webhook", &WEBHOOK)],
};

static KIND: [Key; 1] =
    [key("kind", Value::Word(|| vec!["log", "ntfy", "webhook"]), Described("required"), "kind of channel")];

static LOG: KeyTable = table("notifications.NAME, kind log", &[&KIND]);
static NTFY: KeyTable = table("notifications.NAME, kind ntfy", &[&KIND, &NTFY_KEYS, &CAP]);
static WEBHOOK: KeyTable = table("notifications.NAME, kind webhook", &[&KIND, &WEBHOOK_KEYS, &CAP]);

static NTFY_KEYS: [Key; 3] = [
    key("url", Value::Text(WEB_ADDRESS), Described("required"), "address of the server"),
    key("topic", Value::Text(TOPIC), Described("required"), "topic; whoever knows it can read it"),
    key("token", Value::Text(SECRET), Described("none"), "secret with the access token of the server"),
];

static WEBHOOK_KEYS: [Key; 2] = [
    key("url", Value::Text(WEB_ADDRESS), Described("required"), "address of the program that takes the events"),
    key("secret", Value::Text(SECRET), Described("required"), "secret that signs what is sent"),
];

static CAP: [Key; 1] = [key(
    "max_per_hour",
    Value::Whole { unit: "notifications", least: 1, most: 3600 },
    // A phone that rings more often than every other minute is not looked at.
    Whole(30),
    "[the cap](#notifications), beyond which they become digests",
)];
