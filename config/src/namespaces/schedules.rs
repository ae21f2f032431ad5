//! Keys of `[schedules.NAME]`.

use super::DefaultValue::{Described, Text};
use super::{Form, Key, KeyTable, TIMEZONE, Value, form, key, table};

const TIME: Form = form("time of day", r"^\s*([01][0-9]|2[0-4]):[0-5][0-9](:[0-6][0-9])?\s*$");

pub(crate) static SCHEDULE: KeyTable = table("schedules.NAME", &[&KEYS]);

static KEYS: [Key; 5] = [
    key("from", Value::Text(TIME), Described("required"), "local time at which it opens"),
    key(
        "to",
        Value::Text(TIME),
        Described("required"),
        "local time at which it closes; at or before `from`: on the next day",
    ),
    key(
        "timezone",
        Value::Text(TIMEZONE),
        Described("`agent.timezone`; else UTC, with a warning"),
        "IANA name, such as `\"Europe/Amsterdam\"`",
    ),
    key("days", Value::List(&Value::Word(days)), Described("every day"), "the days on which it opens"),
    key("untrusted", Value::Word(|| vec!["open", "closed"]), Text("open"), "its state while the clock is not trusted"),
];

fn days() -> Vec<&'static str> {
    vec!["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
}
