//! Keys of `[actuators.NAME]`.

use super::DefaultValue::{Described, Flag, Text};
use super::{Form, ID, Key, KeyTable, SENSOR_ID, Value, form, key, table};

const OUTPUT: Form = form("output", "^(board|modbus|gpio|mqtt|webhook):.+$");

pub(crate) static ACTUATOR: KeyTable = table("actuators.NAME", &[&WIRING, &LIMITS]);

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
        "`true`: the relay is energised while the actuator is off, so that loss of agent, board or power switches it on: a siren",
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
