//! Words that boards print around values, and that name no value themselves.

use tilth_core::quantity::Quantity;

/// Some words, in lower case.
pub(super) struct Words(&'static str);

impl Words {
    pub(super) fn has(&self, word: &str) -> bool {
        self.0.split_ascii_whitespace().any(|known| known.eq_ignore_ascii_case(word))
    }
}

/// Words that a sketch prints as a value and that are none: `pump: on temp: 21`.
pub(super) const STATES: Words = Words(
    "on off ok okay yes no open opened closed error err fail failed fault high low auto manual idle running ready \
     active inactive enabled disabled wet dry day night online offline connected up down good bad normal alarm",
);

/// Words with which logs begin a line; they are no heading of what follows.
pub(super) const LOG_LEVELS: Words = Words("info warn warning error err debug trace verbose notice fatal critical log");

/// Words that count lines: what they count does not belong to a label.
pub(super) const COUNTS: Words = Words(
    "packet pkt reading sample seq sequence message msg count counter loop cycle iteration record frame line \
     measurement no uptime attempt try retry step round",
);

/// Words after a number that say how good it is, or nothing.
pub(super) const RATINGS: Words = Words(
    "bright dark dim moist humid neutral acidic alkaline stable fresh hot cold warm cool raw counts units value \
     moderate poor excellent comfortable rising falling",
);

/// Words between two numbers, of which neither is the value: `3 of 5`.
pub(super) const BETWEEN: Words = Words("of to or and out");

/// Words of headings that name no place: what is below them is called as if they were not there.
pub(super) const GENERAL: Words = Words(
    "sensor sensors reading readings data value values result results measurement measurements report summary status \
     state all new current latest live environment environmental monitor system wifi mqtt network setup settings \
     config debug boot start end done basic",
);

/// Words that are a heading without any character that says so, alone or with a number after them.
pub(super) const PLACES: Words = Words(
    "air water soil root leaf ambient inside outside indoor outdoor indoors outdoors top bottom north south east west \
     sensor",
);

/// Words in the place of a value that say why there is none.
pub(super) const ERRORS: Words = Words("err error errno fail failed failure fault timeout exception");

/// Words that say of a label that it holds no measurement of what its other words name: `Temp error`, `pH target`.
pub(super) const NOT_A_MEASUREMENT: Words = Words(
    "error errors err errno fail fails failed failure failures fault faults retry retries timeout timeouts status state \
     flag set setpoint sp target goal limit threshold alarm offset cal calibration raw adc max min maximum minimum \
     age id pin version interval",
);

/// Words in front of a row that say that its numbers were computed of others, or are no measurements.
pub(super) const DERIVED: Words =
    Words("avg average mean median std sd sum total peak low high uptime time date config debug");

/// Words that make a label no measurement, but only after the others: `pH pump` is none, `Pump temp` is one.
pub(super) const NOT_A_MEASUREMENT_AFTER: Words =
    Words("pump valve relay fan heater dose dosing doser point slope probe");

/// Words that name another measurement than that of the label's other words, unless the quantity is theirs: `pH voltage`.
pub(super) const MEASURED: [(Words, &[Quantity]); 4] = [
    (Words("voltage volt volts mv v"), &[Quantity::Voltage, Quantity::Orp]),
    (Words("temp temperature"), &[Quantity::Temperature, Quantity::WaterTemperature, Quantity::DewPoint]),
    (Words("hum humidity rh"), &[Quantity::Humidity, Quantity::AbsoluteHumidity, Quantity::Percent]),
    (Words("count counts counter"), &[Quantity::Count]),
];

/// Things that are counted: what stands after one of them, as in `Node: 3`, is which one it is.
pub(super) const THINGS: Words = Words(
    "tank reservoir node probe station zone room bed bench rack shelf tower house greenhouse tent tray plant pot \
     channel device board",
);

/// Words of which the label of a field consists that says which node its line is of.
pub(super) const NODES: Words = Words(
    "node nodeid id addr address mac eui deveui device deviceid name station probe sensor sensorid serial sn src",
);

/// Words that say of a contact that it is open, on or there, and that it is closed, off or not there.
pub(super) const OPEN: Words = Words("open opened on true yes wet leak detected active high");
pub(super) const CLOSED: Words = Words("closed close off false no dry ok clear inactive low");

/// What is said of such a thing to tell it from others.
pub(super) const IDENTITIES: Words = Words("address addr id rom serial mac name");
