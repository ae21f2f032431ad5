//! The sensors of the wiring: what they are made to show and to suffer, and whether the agent has it.

use anyhow::ensure;
use serde_json::{Value, json};
use tilth_tests::live::emulator::Model;
use tilth_tests::random::Random;
use tilth_wire::{ResetCause, Switch, ToBoard};

use super::bench::Bench;
use super::line::Side;

/// A sensor at a channel of the board.
#[derive(Debug, Clone)]
pub(super) struct Sensor {
    /// As the agent calls it.
    pub(super) id: String,
    pub(super) channel: u8,
    quantity: &'static str,
    resolution: &'static str,
    /// What one of the board's numbers is, in the unit that the board states.
    pub(super) board_unit: f64,
    /// What one of the board's numbers is, in the sensor's unit, where the configuration must say so.
    pub(super) step: Option<f64>,
    /// How far a value may be from what the emulator was told: a step of the converter, or of the chip's own numbers.
    pub(super) tolerance: f64,
}

/// Why the agent says that a sensor fails.
const CHECKSUM: &str = "the checksum of the sensor's answer is wrong";
const ABSENT: &str = "the sensor does not answer: not connected, or no power";
const HELD: &str = "the sensor's bus is held down";

/// Why a board restarts by itself.
pub(super) struct Restart {
    /// As the emulator calls it.
    command: &'static str,
    pub(super) cause: ResetCause,
    /// Relays are off within this, in milliseconds.
    off_ms: i64,
    pub(super) counted: &'static str,
}

/// Ends within the watchdog's second, whose oscillator may be a tenth off.
pub(super) const HANG: Restart =
    Restart { command: "hang", cause: ResetCause::Watchdog, off_ms: 1_100, counted: "hangs ended by the watchdog" };

/// The image that ships goes on in its panic handler: the relays are off long before the watchdog resets the board.
pub(super) const PANIC: Restart =
    Restart { command: "panic", cause: ResetCause::Panic, off_ms: 0, counted: "panics that opened the relays first" };

/// Parts of a sensor's span: nearly all of it; and that in which a value moves by less than 16,384 of its steps from one reading to the next,
/// which the Uno holds for 180 s.
pub(super) const WIDE: f64 = 1.0;
pub(super) const NEAR: f64 = 0.18;

/// What a sensor suffers, what ends it, which sensors fail by it, and why.
pub(super) struct Failure {
    begin: Value,
    end: Value,
    sensors: &'static [&'static str],
    why: &'static str,
}

/// All sensors of a board's wiring.
pub(super) fn sensors(model: &Model) -> Vec<Sensor> {
    let volts = model.volts;
    let analog = |number: u8| Sensor {
        id: format!("bench/analog-{number}"),
        channel: model.analog + number,
        quantity: "voltage",
        resolution: "0.001",
        board_unit: 1.0,
        step: Some(volts / 65_535.0),
        tolerance: volts / 1_023.0,
    };
    let other = |name: &str, channel, quantity, resolution, tolerance| Sensor {
        id: format!("bench/{name}"),
        channel,
        quantity,
        resolution,
        board_unit: if resolution == "1" { 1.0 } else { 0.001 },
        step: None,
        tolerance,
    };
    let others = [
        other("air", model.temperature, "temperature", "0.01", 0.011),
        other("damp", model.humidity, "humidity", "0.01", 0.011),
        // The chip's steps are sixteenths.
        other("water", model.ds18b20, "water_temperature", "0.01", 0.037),
        other("pulses", model.pulse, "count", "1", 0.0),
        other("door", model.contact, "contact", "1", 0.0),
    ];
    (0..model.analogs).map(analog).chain(others).collect()
}

impl Sensor {
    /// Table of the sensor in the configuration, without a limit on jumps.
    pub(super) fn config(&self) -> String {
        let Sensor { id, channel, quantity, resolution, step, .. } = self;
        let points =
            step.map(|step| format!("calibration = {{ points = [[0, 0], [65535, {:.4}]] }}\n", 65_535.0 * step));
        let keys = format!("resolution = {resolution}\n{}", points.unwrap_or_default());
        format!(
            "[sensors.'{id}']\nquantity = '{quantity}'\ninput = 'board:bench/{channel}'\nmax_rate = 1000000\n{keys}"
        )
    }
}

/// Failures of sensors, the kinds that must be there first.
pub(super) fn failures() -> Vec<Failure> {
    let failure = |begin, end, sensors, why| Failure { begin, end, sensors, why };
    let (sht3x, ds18b20): (&[&str], &[&str]) = (&["bench/air", "bench/damp"], &["bench/water"]);
    vec![
        failure(
            json!({ "sht3x": { "badChecksum": true } }),
            json!({ "sht3x": { "badChecksum": false } }),
            sht3x,
            CHECKSUM,
        ),
        failure(json!({ "ds18b20": { "present": false } }), json!({ "ds18b20": { "present": true } }), ds18b20, ABSENT),
        failure(json!({ "sht3x": { "present": false } }), json!({ "sht3x": { "present": true } }), sht3x, ABSENT),
        failure(
            json!({ "ds18b20": { "badChecksum": true } }),
            json!({ "ds18b20": { "badChecksum": false } }),
            ds18b20,
            CHECKSUM,
        ),
        failure(json!({ "i2c_held": true }), json!({ "i2c_held": false }), sht3x, HELD),
        failure(json!({ "ds18b20": { "shorted": true } }), json!({ "ds18b20": { "shorted": false } }), ds18b20, HELD),
    ]
}

impl Bench {
    /// First values of sensors before any was set: no voltage, an open contact, and what the emulator begins with.
    pub(super) fn note_first_values(&mut self) {
        (0..self.model.analogs).for_each(|number| self.note_shown(&format!("bench/analog-{number}"), 0.0));
        for (name, value) in [("air", 21.5), ("damp", 55.0), ("water", 18.5), ("door", 1.0), ("pulses", 0.0)] {
            self.note_shown(&format!("bench/{name}"), value);
        }
    }

    /// Makes every sensor show another value within a part of its span, around the middle; those of the pulse counter add up.
    pub(super) fn show_other_values(&mut self, part: f64) -> anyhow::Result<()> {
        let Bench { random, model, .. } = self;
        let mut around = |middle: f64, span: f64| middle + 0.5 * span * part * random.around_zero();
        let analog: Vec<f64> = (0..model.analogs).map(|_| model.volts * around(0.5, 0.8)).collect();
        let (air, damp, water) = (around(20.0, 80.0), around(50.0, 90.0), around(25.0, 50.0));
        let pulses = 1 + random.below(40) as u32;
        let door = u8::from(self.newest_shown("bench/door") != Some(1.0));
        let inputs: serde_json::Map<String, Value> =
            analog.iter().enumerate().map(|(input, volts)| (input.to_string(), json!(volts))).collect();
        self.board.control(&json!({ "analog": inputs, "sht3x": { "temperature": air, "humidity": damp } }))?;
        self.board.control(&json!({ "ds18b20": { "temperature": water }, "pin": { self.model.contact_pin: door } }))?;
        self.board.control(&json!({ "pulses": { "pin": self.model.pulse_pin, "count": pulses, "hz": 100 } }))?;
        let total = self.newest_shown("bench/pulses").unwrap_or(0.0) + f64::from(pulses);
        for (number, volts) in analog.iter().enumerate() {
            self.note_shown(&format!("bench/analog-{number}"), *volts);
        }
        for (name, value) in [("air", air), ("damp", damp), ("water", water), ("door", door.into()), ("pulses", total)]
        {
            self.note_shown(&format!("bench/{name}"), value);
        }
        Ok(())
    }

    fn note_shown(&mut self, sensor: &str, value: f64) {
        self.shown.entry(sensor.to_owned()).or_default().push(value);
    }

    /// What a sensor shows now.
    pub(super) fn newest_shown(&self, sensor: &str) -> Option<f64> {
        self.shown.get(sensor)?.last().copied()
    }

    /// The board restarted, so its pulses count from 0.
    pub(super) fn reset_pulses(&mut self) {
        self.note_shown("bench/pulses", 0.0);
    }

    /// Waits until the agent has what the sensors show; how many there are.
    pub(super) fn until_shown(&mut self) -> anyhow::Result<usize> {
        let mut differ = String::new();
        let shown = self.until("the agent has every sensor's value", |bench| {
            differ = bench.differ().join(", ");
            differ.is_empty()
        });
        shown.map_err(|error| error.context(differ))?;
        Ok(self.sensors.len())
    }

    /// Sensors of which the agent has another value than they show.
    fn differ(&self) -> Vec<String> {
        let said = self.farm.ask(&["sensors", "--json"]).out;
        let rows: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let differs = |sensor: &Sensor| {
            let row = rows.iter().find(|row| row["sensor"] == sensor.id.as_str())?;
            let shown = self.newest_shown(&sensor.id)?;
            let value = row["value"].as_f64().filter(|_| row["quality"] == "good");
            let is_right = value.is_some_and(|value| (value - shown).abs() <= sensor.tolerance);
            (!is_right).then(|| format!("{}: expected {shown}, got {row}", sensor.id))
        };
        self.sensors.iter().filter_map(differs).collect()
    }

    /// Makes sensors fail, which only they must say, and heals them.
    pub(super) fn suffer(&mut self, failure: &Failure) -> anyhow::Result<()> {
        self.failed.extend(failure.sensors.iter().map(|sensor| (*sensor).to_owned()));
        self.board.control(&failure.begin)?;
        let expected: Vec<Value> =
            failure.sensors.iter().map(|sensor| json!({ "sensor": sensor, "why": failure.why })).collect();
        self.until(&format!("faults: {expected:?}"), |bench| bench.bus()["faults"] == json!(expected))?;
        self.board.control(&failure.end)?;
        self.until("the fault is over", |bench| bench.bus()["faults"] == json!([]))?;
        self.until_shown().map(drop)
    }

    /// The board fails while relay 0 is on: its watchdog resets it, and the agent reads it again. When the reset came, and how long after it
    /// the agent was heard, in milliseconds of board time.
    pub(super) fn suffer_restart(&mut self, restart: &Restart) -> anyhow::Result<(i64, u32)> {
        let on_at = self.switch_on("pump", 0, 60)?;
        let (starts, resets) = (self.line.heard(|heard| heard.starts.len()), self.board.resets().len());
        let at = self.board.control_at(json!({ restart.command: true }))?;
        self.off_by(0, on_at, at + restart.off_ms, &format!("{:?}", restart.cause))?;
        self.until("the watchdog resets the board", |bench| bench.board.resets().len() > resets)?;
        let reset = self.board.resets()[resets];
        self.until("the agent hears the board that started", |bench| {
            bench.line.heard(|heard| {
                heard.starts.len() > starts && heard.newest().is_some_and(|start| !start.echoed.is_empty())
            })
        })?;
        let (cause, heard_at) = self.start(|start| (start.cause, start.echoed.first().copied().unwrap_or(u32::MAX)))?;
        ensure!(cause == Some(restart.cause), "expected a start by {:?}, got {cause:?}", restart.cause);
        self.reset_pulses();
        self.until_shown()?;
        Ok((reset - at, heard_at))
    }

    /// Noise that ends with a zero just before a frame: the frame is used. Once in each direction.
    pub(super) fn next_frame_is_used(&mut self) -> anyhow::Result<()> {
        let noise: Vec<u8> = (0..20 + self.random.below(60)).map(|_| self.random.bits() as u8).chain([0]).collect();
        let before = self.next_heartbeat()?;
        self.line.hiss(Side::Agent, &noise)?;
        let at = self.next_heartbeat()?;
        ensure!(at > before, "the board's time goes back from {before} to {at}");
        self.until("the frame behind noise is used by the agent", |bench| {
            bench.start(|start| start.echoed.contains(&at)).unwrap_or_default()
        })?;
        let command = self.next_command();
        self.line.hiss(Side::Board, &noise)?;
        let off = Switch { command, relay: 1, on_for: 0, expires: 0 };
        self.line.say(&ToBoard::Switch(off))?;
        self.until("the frame behind noise is used by the board", |bench| {
            bench.line.heard(|heard| heard.answers.contains_key(&command))
        })
    }

    /// Noise in both directions for so long, in milliseconds of board time; what it cost is asked for again.
    pub(super) fn noise(&mut self, ms: i64) -> anyhow::Result<()> {
        let random = Random::new(self.random.bits());
        self.line.set_noise(40, random);
        self.pass(ms)?;
        self.line.end_noise()?;
        self.show_other_values(WIDE)?;
        self.until_shown().map(drop)
    }
}
