//! Keys of `[escalation.NAME]`.

use super::DefaultValue::Described;
use super::{ID, Key, KeyTable, Value, key, table};

pub(crate) static POLICY: KeyTable = table("escalation.NAME", &[&LEVELS]);

static LEVELS: [Key; 4] = [
    key("preventive", Value::Table(&LEVEL), OF_DEFAULT, "look at it at the next visit"),
    key("warning", Value::Table(&LEVEL), OF_DEFAULT, "look at it today"),
    key("critical", Value::Table(&LEVEL), OF_DEFAULT, "look at it now"),
    key("urgent", Value::Table(&LEVEL), OF_DEFAULT, "the crop is at stake; repeats after its own wait"),
];

const OF_DEFAULT: super::DefaultValue = Described("that of the policy `default`");

static LEVEL: KeyTable = table("escalation.NAME.SEVERITY", &[&KEYS]);

static KEYS: [Key; 2] = [
    key(
        "wait",
        Value::PositiveDuration,
        Described("required"),
        "time without an acknowledgement before the next level",
    ),
    key("channels", Value::List(&Value::Text(ID)), Described("required"), "channels that are notified"),
];
