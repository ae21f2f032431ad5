//! Keys of `[sensors."ZONE/NAME"]`.

use tilth_core::quantity::Quantity;

use super::DefaultValue::{Described, Flag, Text, Whole};
use super::{ANY_TEXT, Form, ID, Key, KeyTable, SENSOR_ID, Value, form, key, table};

const INPUT: Form = form("input", "^(board|modbus|i2c|w1|gpio|mqtt|sdi12|line|http|host|derived|sim):.+$");

pub(crate) static SENSOR: KeyTable = table("sensors.\"ZONE/NAME\"", &[&FIRST, &PLAUSIBILITY, &LAST]);

static FIRST: [Key; 5] = [
    key("enabled", Value::Flag, Flag(true), "whether it is there at all"),
    key("zone", Value::Text(ID), Described("the part of its name before the `/`"), "the zone it is in"),
    key("quantity", Value::Word(quantities), Described("needed"), "what is measured, from [the table](#quantities)"),
    key("interval", Value::PositiveDuration, Described("not known"), "how often it speaks or is read"),
    key(
        "stale_after",
        Value::PositiveDuration,
        Described("3 times `interval`, at least 30 s"),
        "when silence makes its value old",
    ),
];

/// What a sensor and a quantity have in common.
pub(super) static PLAUSIBILITY: [Key; 4] = [
    key("resolution", Value::Positive(UNIT), QUANTITYS, "the step to which values are rounded"),
    key("range", Value::Range(UNIT), QUANTITYS, "what can be believed, as `[3, 10]`; outside is the sensor's fault"),
    key("max_rate", Value::Positive(RATE), QUANTITYS, "the fastest change that can be believed"),
    key("stuck_for", Value::PositiveDuration, Described("never"), "how long without any change is the sensor's fault"),
];

const QUANTITYS: super::DefaultValue = Described("its quantity's");

/// The unit of values and limits.
pub(super) const UNIT: &str = "unit of the quantity";

/// The unit of rates.
pub(super) const RATE: &str = "unit of the quantity per minute";

static LAST: [Key; 5] = [
    key(
        "calibration",
        Value::Table(&CALIBRATION),
        Described("none"),
        "from what is read to what is true, as `{ gain = 1.02, offset = -0.1 }`",
    ),
    key("input", Value::Text(INPUT), Described("`run` refuses; `replay` needs none"), "where its values come from"),
    key(
        "stamp",
        Value::Word(|| vec!["arrival", "source"]),
        Text("arrival"),
        "whose time counts, see [below](#when-a-reading-was-taken)",
    ),
    key(
        "unit",
        Value::Text(ANY_TEXT),
        Described("its quantity's"),
        "the unit of numbers that say none, such as `\"F\"` or `\"uS/cm\"`",
    ),
    key("pair", Value::Text(SENSOR_ID), Described("none"), "a second probe; write a rule with `differs_from` instead"),
];

static CALIBRATION: KeyTable = table("sensors.\"ZONE/NAME\".calibration", &[&CALIBRATION_KEYS]);

static CALIBRATION_KEYS: [Key; 3] = [
    key("gain", Value::Number(""), Whole(1), "factor"),
    key("offset", Value::Number(UNIT), Whole(0), "added after the factor"),
    key(
        "points",
        Value::List(&Value::List(&Value::Number(UNIT))),
        Described("`gain` and `offset`"),
        "in their place: `[[4.1, 4.0], [7.2, 7.0]]`, each read and true",
    ),
];

pub(super) fn quantities() -> Vec<&'static str> {
    Quantity::ALL.map(Quantity::name).to_vec()
}
