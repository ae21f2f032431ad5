//! Keys of `[rules.NAME]`, and those that an alert of the agent itself has, too.

use tilth_core::plan::Severity;

use super::DefaultValue::{Described, Flag, Required, Text};
use super::sensors::{RATE, UNIT, quantities};
use super::{ANY_TEXT, Form, ID, Key, KeyTable, Value, form, key, table};

const SELECTOR: Form = form("sensor or glob", "^[a-z0-9*-]+/[a-z0-9*-]+$");

pub(crate) static RULE: KeyTable =
    table("rules.NAME", &[&WATCHES, &CONDITIONS, &LIMITS, &DURING, &ALERT_KEYS, &ACTIONS]);

static WATCHES: [Key; 3] = [
    key(
        "sensor",
        Value::Text(SELECTOR),
        Described("all of its `quantity`"),
        "the sensor that the rule watches, or a glob",
    ),
    key("quantity", Value::Word(quantities), Described("any"), "watches all sensors of this quantity"),
    key("across", Value::Flag, Flag(false), "in a rule of a zone: watches sensors of other zones, too"),
];

/// The keys that state a condition. A rule has one of them, or `above` and `below` together.
pub(crate) static CONDITIONS: [Key; 8] = [
    key("above", Value::Number(UNIT), NO_CONDITION, "the value is above this"),
    key("below", Value::Number(UNIT), NO_CONDITION, "the value is below this"),
    key("outside", Value::Range(UNIT), NO_CONDITION, "the value is outside this range, as `[5.5, 6.8]`"),
    key("rate_above", Value::Number(RATE), NO_CONDITION, "the value rises faster than this"),
    key("rate_below", Value::Number(RATE), NO_CONDITION, "the value falls faster than this, as `-0.5`"),
    key("missing_for", Value::PositiveDuration, NO_CONDITION, "no reading came for this long"),
    key("stuck_for", Value::PositiveDuration, NO_CONDITION, "the value did not change for this long"),
    key("differs_from", Value::Text(SELECTOR), NO_CONDITION, "the value differs from that of this sensor, by `by`"),
];

const NO_CONDITION: super::DefaultValue = Described("another condition");

static LIMITS: [Key; 3] = [
    key(
        "clear",
        Value::Either(&[Value::Number(UNIT), Value::Range(UNIT)]),
        Described("at the limit"),
        "value at which the alert resolves; with `outside` a range",
    ),
    key("by", Value::Positive(UNIT), Described("`by_percent`"), "with `differs_from`: the limit"),
    key("by_percent", Value::Positive("% of the other value"), Described("`by`"), "with `differs_from`: the limit"),
];

static DURING: [Key; 1] =
    [key("during", Value::Text(ID), Described("always"), "[schedule](#hours-of-the-day) in which the rule watches")];

/// The table of an alert of the agent itself, such as `agent.bus_down`.
pub(super) static ALERT: KeyTable = table("agent.ALERT", &[&ALERT_KEYS]);

static ALERT_KEYS: [Key; 8] = [
    key("escalation", Value::Text(ID), Text("default"), "[escalation policy](#whom-to-tell)"),
    key("enabled", Value::Flag, Flag(true), "`false`: the rule is ignored"),
    key("for", Value::Duration, Text("0s"), "time for which the condition must hold before the alert fires"),
    key(
        "keep_firing_for",
        Value::Duration,
        Text("0s"),
        "time for which the alert stays firing after the condition ends",
    ),
    key("cooldown", Value::Duration, Text("15m"), "time after the end of an alert in which it does not fire again"),
    key(
        "severity",
        Value::Word(|| Severity::ALL.map(Severity::name).to_vec()),
        Text("warning"),
        "severity at which the alert begins",
    ),
    key(
        "message",
        Value::Text(ANY_TEXT),
        Described("`{sensor} {value} {unit}, limit {limit}`; for a silence `{sensor} silent for {value}`"),
        "text of the alert, with `{value}`, `{limit}`, `{unit}`, `{sensor}`, `{zone}`, `{name}`, `{rule}`, `{severity}`; with \
         `differs_from` also `{other}` and `{other_sensor}`",
    ),
    key("advice", Value::Text(ANY_TEXT), Described("nothing"), "what a person should do"),
];

static ACTIONS: [Key; 1] = [key(
    "actions",
    Value::List(&Value::Table(&ACTION)),
    Described("none"),
    "what [actuators](#actuators) do when the alert fires, as `[{ actuator = \"acid-pump\", on = \"2s\" }]`",
)];

pub(crate) static ACTION: KeyTable = table("rules.NAME.actions", &[&ACTION_KEYS]);

static ACTION_KEYS: [Key; 3] = [
    key("actuator", Value::Text(ID), Required, "the actuator"),
    key("on", Value::PositiveDuration, Described("`off`"), "switches it on for so long"),
    key("off", Value::Flag, Flag(false), "`true`: switches it off"),
];
