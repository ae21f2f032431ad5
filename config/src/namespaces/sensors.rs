//! Keys of `[sensors."ZONE/NAME"]`.

use tilth_core::quantity::Quantity;

use super::DefaultValue::{Described, Flag, Text, Whole};
use super::{ANY_TEXT, Form, ID, Key, KeyTable, SENSOR_ID, Value, form, key, table};

const INPUT: Form = form("input", "^(board|modbus|i2c|w1|gpio|mqtt|sdi12|line|http|host|derived|sim):.+$");

pub(crate) static SENSOR: KeyTable = table("sensors.\"ZONE/NAME\"", &[&FIRST, &PLAUSIBILITY, &LAST]);

static FIRST: [Key; 5] = [
    key("enabled", Value::Flag, Flag(true), "`false`: the sensor is ignored"),
    key("zone", Value::Text(ID), Described("the part of its name before the `/`"), "zone of the sensor"),
    key("quantity", Value::Word(quantities), Described("required"), "what is measured, from [the table](#quantities)"),
    key("interval", Value::PositiveDuration, Described("unknown"), "time between two readings"),
    key(
        "stale_after",
        Value::PositiveDuration,
        Described("3 times `interval`, at least 30 s"),
        "age at which the value is stale",
    ),
];

/// Keys that a sensor and a quantity have in common.
pub(super) static PLAUSIBILITY: [Key; 4] = [
    key("resolution", Value::Positive(UNIT), QUANTITYS, "step to which values are rounded"),
    key(
        "range",
        Value::Range(UNIT),
        QUANTITYS,
        "plausible values, as `[3, 10]`; a value outside is a fault of the sensor",
    ),
    key("max_rate", Value::Positive(RATE), QUANTITYS, "fastest plausible change"),
    key(
        "stuck_for",
        Value::PositiveDuration,
        Described("never"),
        "time without any change after which the sensor is at fault",
    ),
];

const QUANTITYS: super::DefaultValue = Described("that of the quantity");

/// The unit of values and limits.
pub(super) const UNIT: &str = "unit of the quantity";

/// The unit of rates.
pub(super) const RATE: &str = "unit of the quantity per minute";

static LAST: [Key; 6] = [
    key(
        "calibration",
        Value::Table(&CALIBRATION),
        Described("none"),
        "correction of what is measured, as `{ gain = 1.02, offset = -0.1 }`",
    ),
    key("input", Value::Text(INPUT), Described("required by `run`, not by `replay`"), "source of the values"),
    key(
        "stamp",
        Value::Word(|| vec!["arrival", "source"]),
        Text("arrival"),
        "time of a reading: of its arrival, or of its source; see [below](#when-a-reading-was-taken)",
    ),
    key(
        "unit",
        Value::Text(ANY_TEXT),
        Described("that of the quantity"),
        "unit of numbers that come without one, such as `\"F\"` or `\"uS/cm\"`",
    ),
    key(
        "pair",
        Value::Text(SENSOR_ID),
        Described("none"),
        "not used by this version; write a rule with `differs_from`",
    ),
    key(
        "hold_while",
        Value::Word(|| vec!["open", "closed"]),
        Described("never"),
        "of quantity `contact`: while the contact is so, and until it was read for the first time, the actuators of its zone are [on hold](actuators.md#a-switch-that-holds-a-zone)",
    ),
];

static CALIBRATION: KeyTable = table("sensors.\"ZONE/NAME\".calibration", &[&CALIBRATION_KEYS]);

static CALIBRATION_KEYS: [Key; 3] = [
    key("gain", Value::Number(""), Whole(1), "factor"),
    key("offset", Value::Number(UNIT), Whole(0), "added after the factor"),
    key(
        "points",
        Value::List(&Value::List(&Value::Number(UNIT))),
        Described("`gain` and `offset`"),
        "two or more pairs of measured and true value, the measured ones rising, as `[[4.1, 4.0], [7.2, 7.0]]`",
    ),
];

pub(super) fn quantities() -> Vec<&'static str> {
    Quantity::ALL.map(Quantity::name).to_vec()
}
