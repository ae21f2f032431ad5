//! Keys of `[actuators.NAME]` and of its target.

use super::DefaultValue::{Described, Flag, Text};
use super::sensors::UNIT;
use super::{Form, ID, Key, KeyTable, SENSOR_ID, Value, form, key, table};

const OUTPUT: Form = form("output", "^(board|modbus|gpio|mqtt|webhook):.+$");

pub(crate) static ACTUATOR: KeyTable = table("actuators.NAME", &[&WIRING, &LIMITS, &FOLLOWS]);

static TARGET: KeyTable = table("actuators.NAME.target", &[&TARGET_KEYS]);

static WIRING: [Key; 4] = [
    key("enabled", Value::Flag, Flag(true), "`false`: the actuator is kept off"),
    key(
        "zone",
        Value::Text(ID),
        Described("required; under `zones` that zone"),
        "zone of the actuator; a hold of the zone stops it",
    ),
    key("output", Value::Text(OUTPUT), Described("required"), "what drives it: `board:BUS/CHANNEL`"),
    key(
        "normally_energised",
        Value::Flag,
        Flag(false),
        "`true`: the relay is energised while the actuator is off, so that loss of agent, board or power switches it on. Only \
         for the actuator of a channel of kind `siren`",
    ),
];

static LIMITS: [Key; 6] = [
    key(
        "max_on",
        Value::PositiveDuration,
        Described("required, unless `normally_energised`"),
        "longest time on without a pause",
    ),
    key("min_off", Value::Duration, Text("0s"), "shortest pause after it was on"),
    key("dose_per_hour", Value::PositiveDuration, Described("no limit"), "longest time on within any hour, in total"),
    key(
        "dose_per_day",
        Value::PositiveDuration,
        Described("no limit"),
        "longest time on within any 24 hours, in total",
    ),
    key(
        "excludes",
        Value::List(&Value::Text(ID)),
        Described("none"),
        "actuators that are never on together with it; one of the two says so",
    ),
    key(
        "needs_fresh",
        Value::List(&Value::Text(SENSOR_ID)),
        Described("none"),
        "sensors without whose recent value of good quality it is off",
    ),
];

static FOLLOWS: [Key; 1] = [key(
    "target",
    Value::Table(&TARGET),
    Described("none"),
    "a sensor that it follows, as a heater with a thermostat does",
)];

static TARGET_KEYS: [Key; 6] = [
    key(
        "sensor",
        Value::Text(SENSOR_ID),
        Described("required"),
        "the sensor; without a recent value of good quality the actuator is off",
    ),
    key("on_below", Value::Number(UNIT), Described("none"), "below this it is switched on; with `off_above`"),
    key("off_above", Value::Number(UNIT), Described("none"), "above this it is switched off"),
    key("on_above", Value::Number(UNIT), Described("none"), "above this it is switched on; with `off_below`"),
    key("off_below", Value::Number(UNIT), Described("none"), "below this it is switched off"),
    key(
        "during",
        Value::Text(ID),
        Described("always"),
        "[schedule](#hours-of-the-day) in which it follows the sensor; else it is off",
    ),
];
