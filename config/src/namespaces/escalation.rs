//! Keys of `[escalation.NAME]`.

use super::DefaultValue::Described;
use super::{ID, Key, KeyTable, Value, key, table};

pub(crate) static POLICY: KeyTable = table("escalation.NAME", &[&LEVELS]);

static LEVELS: [Key; 4] = [
    key("preventive", Value::Table(&LEVEL), OF_DEFAULT, "for whoever comes by"),
    key("warning", Value::Table(&LEVEL), OF_DEFAULT, "to be looked at today"),
    key("critical", Value::Table(&LEVEL), OF_DEFAULT, "to be looked at now"),
    key("urgent", Value::Table(&LEVEL), OF_DEFAULT, "the crop is at stake; repeats at its own wait"),
];

const OF_DEFAULT: super::DefaultValue = Described("that of the policy `default`");

static LEVEL: KeyTable = table("escalation.NAME.SEVERITY", &[&KEYS]);

static KEYS: [Key; 2] = [
    key(
        "wait",
        Value::PositiveDuration,
        Described("needed"),
        "how long without an acknowledgement before the next level",
    ),
    key("channels", Value::List(&Value::Text(ID)), Described("needed"), "the channels that are told"),
];
