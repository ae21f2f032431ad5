//! Keys of `[agent]`.

use super::DefaultValue::Described;
use super::rules::ALERT;
use super::sensors::{PLAUSIBILITY, quantities};
use super::{Key, KeyTable, TIMEZONE, Value, key, table};

pub(crate) static AGENT: KeyTable = table("agent", &[&KEYS]);

static KEYS: [Key; 6] = [
    key(
        "timezone",
        Value::Text(TIMEZONE),
        Described("UTC"),
        "for schedules that name none, and for [times that people read](#times-that-people-read)",
    ),
    key(
        "quantities",
        Value::ByWord(quantities, &QUANTITY),
        Described("[the table](#quantities)"),
        "what holds for all sensors of a quantity",
    ),
    key(
        "sensor_fault",
        Value::Table(&ALERT),
        Described("after `2m`, warning; never before 1.5 times the sensor's `interval`"),
        "the alert for a sensor that cannot be believed: keys of a rule, without a condition",
    ),
    key(
        "bus_down",
        Value::Table(&ALERT),
        Described("after `1m`, critical"),
        "the alert for a line that is down, likewise",
    ),
    key(
        "bus_silent",
        Value::Table(&ALERT),
        Described("at once, critical; see [rules.md](rules.md)"),
        "the alert for a line that is up and carries nothing, likewise",
    ),
    key(
        "hub_refuses",
        Value::Table(&ALERT),
        Described("after `1m`, warning"),
        "the alert for a hub that refuses this device, likewise",
    ),
];

pub(crate) static QUANTITY: KeyTable = table("agent.quantities.NAME", &[&PLAUSIBILITY]);
