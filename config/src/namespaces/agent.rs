//! Keys of `[agent]`.

use super::DefaultValue::Described;
use super::rules::ALERT;
use super::sensors::{PLAUSIBILITY, quantities};
use super::{Key, KeyTable, TIMEZONE, Value, key, table};

pub(crate) static AGENT: KeyTable = table("agent", &[&KEYS]);

static KEYS: [Key; 8] = [
    key(
        "timezone",
        Value::Text(TIMEZONE),
        Described("UTC"),
        "time zone of schedules that name none, and of [times that people read](#times-that-people-read)",
    ),
    key(
        "quantities",
        Value::ByWord(quantities, &QUANTITY),
        Described("[the table](#quantities)"),
        "plausible values for all sensors of a quantity",
    ),
    key(
        "sensor_fault",
        Value::Table(&ALERT),
        Described("after `2m`, warning; never before 1.5 times the sensor's `interval`"),
        "alert for a sensor at fault: the keys of a rule without a condition",
    ),
    key(
        "bus_down",
        Value::Table(&ALERT),
        Described("after `1m`, critical"),
        "alert for a bus that is down: the same keys",
    ),
    key(
        "bus_silent",
        Value::Table(&ALERT),
        Described("at once, critical ([when](rules.md#from-a-reading-to-a-value))"),
        "alert for a bus that is up and carries nothing: the same keys",
    ),
    key(
        "channel_down",
        Value::Table(&ALERT),
        Described("after `5m`, critical; by the other channels"),
        "alert for a channel of kind `modem` that cannot send: the same keys",
    ),
    key(
        "hub_refuses",
        Value::Table(&ALERT),
        Described("after `1m`, warning"),
        "alert for a hub that rejects this device: the same keys",
    ),
    key(
        "dosing_stopped",
        Value::Table(&ALERT),
        Described("at once, critical"),
        "alert for a dose that the disk did not record, and for doses of before that are unknown: the same keys",
    ),
];

pub(crate) static QUANTITY: KeyTable = table("agent.quantities.NAME", &[&PLAUSIBILITY]);
