//! Lines of text from a serial port or over TCP: opens the connection, reads it, and opens it again after it was lost.

mod alternating;
mod assign;
pub(crate) mod attributes;
mod blocks;
mod clean;
mod fields;
mod formats;
mod json;
mod lines;
mod missing;
mod names;
pub(crate) mod number;
mod pairs;
mod parse;
pub(crate) mod reasons;
mod select;
mod sentence;
pub(crate) mod survey;
mod table;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tilth_config::{Input, InputSettings, Stamping};
use tilth_core::id::SensorId;
use tilth_core::local::Local;
use tilth_core::reading::Quality;
use tilth_core::time::{Span, Uptime, WallTime};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::bus::health::UnusableValue;
use super::bus::{BusConfig, BusContext, MissingValues, retries};
use super::endpoint::{ByteStream, Endpoint};
use super::port::Port;
use super::queue::SenseMessage;
use super::sensor_value::SensorValue;
use super::stamp::{StampJudge, StampRejection};
use crate::clock::ClockMode;
use missing::LineCounts;
pub(crate) use names::{LabelMatches, SharedLabelMatches};
use names::{LineInput, has_new_ambiguity};
use parse::Decoder;

/// After a port was open this long, its next loss begins with the first wait.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Silence after which the port is checked: some adapters come back under another number without ending the old one.
const CHECK_AFTER: Duration = Duration::from_secs(5);

/// Bytes read from the port at once; a tenth of a second at 115,200 baud is 1,200.
const CHUNK: usize = 2048;

/// Shortest time between two messages of one kind to the decide task, other than values.
const SEND_AGAIN_AFTER: Span = Span::from_secs(5);

/// Lines, and the time they took, after which the log names inputs that no line had.
const LINES_BEFORE_WARNING: u64 = 10;
const TIME_BEFORE_WARNING: Span = Span::from_mins(1);

/// Upper limit of sensors named in the log at once.
const MAX_WARNED: usize = 8;

/// Shortest time between two warnings about one sensor's field; `status` always has the last.
const WARN_AGAIN_AFTER: Span = Span::from_mins(60);

/// Reads the bus for ever; opens its connection again and again while it is lost.
pub(crate) async fn run(endpoint: Endpoint, labels: SharedLabelMatches, context: BusContext) {
    let mut reader = LineReader::new(endpoint, labels, context);
    let mut waits = retries();
    loop {
        let began = tokio::time::Instant::now();
        let LineReader { endpoint, context, .. } = &reader;
        // While it does not open and does not fail either, it is down.
        let why = match endpoint.open(Port::open, |why| context.down(&why), &context.ports).await {
            Ok(stream) => {
                reader.context.up();
                let error = reader.read(stream).await;
                reader.endpoint.reason(&error)
            }
            Err(why) => why,
        };
        reader.context.down(&why);
        if began.elapsed() >= STABLE_AFTER {
            waits = retries();
        }
        sleep(waits.next().unwrap_or_default()).await;
    }
}

/// A sensor that is read from a named value of a line.
#[derive(Debug)]
struct LineSensor {
    input: LineInput,
    /// Whether the line's own time counts, where it carries one.
    use_stamp: bool,
    stamps: StampJudge,
}

impl LineSensor {
    /// How a sensor is read from a line; none where its input is of another kind.
    fn of((sensor, settings): (SensorId, InputSettings)) -> Option<LineSensor> {
        let Some(Input::Line { name, .. }) = settings.input else { return None };
        let input = LineInput { name, sensor, quantity: settings.quantity, unit: settings.unit };
        Some(LineSensor { input, use_stamp: settings.stamp == Stamping::Source, stamps: StampJudge::default() })
    }

    /// Whether two are read alike, leaving aside the stamps that they had.
    fn is_same(&self, other: &LineSensor) -> bool {
        self.input == other.input && self.use_stamp == other.use_stamp
    }
}

/// What decide and the log were told last, so that they get changes only.
#[derive(Debug, Default)]
struct Reported {
    /// When decide last received that a line matched no sensor.
    unmatched_at: Option<Uptime>,
    /// When it was last looked which inputs no line has, and what decide was told of them.
    missing_at: Option<Uptime>,
    missing: Option<Arc<MissingValues>>,
    /// Since when, and since how many lines, these inputs are configured.
    configured_since: Option<(Uptime, u64)>,
    is_missing_logged: bool,
    /// When decide was told which labels names match, and what it is not told yet.
    labels_at: Option<Uptime>,
    new_labels: Option<LabelMatches>,
    /// When the log last said of a sensor that its field is no number.
    no_number: BTreeMap<SensorId, Uptime>,
}

struct LineReader {
    endpoint: Endpoint,
    /// Names of the columns of lines that have no header.
    columns: Option<Vec<String>>,
    /// The sensors, in the order of the decoder's inputs.
    inputs: Vec<LineSensor>,
    reported: Reported,
    decoder: Decoder,
    /// The labels that decide was told of, kept when the task of the bus is begun again.
    memory: SharedLabelMatches,
    context: BusContext,
}

impl LineReader {
    fn new(endpoint: Endpoint, memory: SharedLabelMatches, context: BusContext) -> LineReader {
        let (columns, inputs, reported, decoder) = (None, Vec::new(), Reported::default(), Decoder::default());
        let mut reader = LineReader { endpoint, columns, inputs, reported, decoder, memory, context };
        reader.update_sensors();
        reader.decoder.assigner.names.restore(&reader.memory.borrow());
        reader
    }

    fn update_sensors(&mut self) {
        let BusConfig { sensors, columns, .. } = self.context.config.borrow_and_update().clone();
        let mut inputs: Vec<LineSensor> = sensors.into_iter().filter_map(LineSensor::of).collect();
        // What concerns others, such as the interval of a sensor, is no reason to forget labels.
        if columns == self.columns
            && inputs.len() == self.inputs.len()
            && inputs.iter().zip(&self.inputs).all(|(sensor, before)| sensor.is_same(before))
        {
            return;
        }
        // A sensor that is read as before keeps the state of its stamps.
        for sensor in &mut inputs {
            if let Some(before) = self.inputs.iter().position(|before| before.is_same(sensor)) {
                *sensor = self.inputs.swap_remove(before);
            }
        }
        self.columns.clone_from(&columns);
        self.decoder.set_inputs(inputs.iter().map(|sensor| sensor.input.clone()).collect(), columns);
        self.inputs = inputs;
        self.reported = Reported { unmatched_at: self.reported.unmatched_at, ..Reported::default() };
    }

    async fn read(&mut self, mut stream: ByteStream) -> io::Error {
        let mut bytes = [0; CHUNK];
        self.decoder.reopen();
        // There may be another board behind the port, or one that was restarted.
        self.inputs.iter_mut().for_each(|sensor| sensor.stamps = StampJudge::default());
        loop {
            self.context.ready().await;
            match timeout(CHECK_AFTER, stream.read(&mut bytes)).await {
                Ok(Ok(count)) => self.on_bytes(&bytes[..count]),
                Ok(Err(error)) => return error,
                Err(_) => {
                    if let Err(error) = stream.check() {
                        return error;
                    }
                }
            }
        }
    }

    fn on_bytes(&mut self, bytes: &[u8]) {
        if self.context.config.has_changed().unwrap_or(false) {
            self.update_sensors();
        }
        let now = self.context.clock.now();
        // On the event-time clock stamps are the time, and nothing can be held against them.
        let is_judged = self.context.clock.mode() != ClockMode::EventTime;
        let (lines, before) = (self.decoder.messages().received, LineCounts::of(self.decoder.messages()));
        let mut has_values = false;
        let mut rejected = Vec::new();
        let mut not_numbers: Vec<UnusableValue> = Vec::new();
        let LineReader { inputs, decoder, context, .. } = self;
        decoder.push(bytes, |decoded| {
            has_values |= !(decoded.values.is_empty() && decoded.faults.is_empty());
            let mut of_line = None;
            let mut sensor_value = |input_ix: usize, number, quality, fault| {
                let LineSensor { input: LineInput { sensor, .. }, use_stamp, stamps } = &mut inputs[input_ix];
                let stamp = decoded.time.or(decoded.counter);
                let mut judge = |stamp: Option<WallTime>| {
                    stamp.map_or(Some(StampRejection::NoTime), |stamp| stamps.judge(stamp, now).err())
                };
                let why = if *use_stamp && is_judged { judge(stamp) } else { None };
                if let Some(why) = why {
                    of_line.get_or_insert_with(|| (why, stamp, sensor.clone()));
                }
                let stamp = decoded.time.filter(|_| *use_stamp);
                SensorValue { stamp, rejected: why, ..SensorValue::new(sensor.clone(), number, quality, fault, now.0) }
            };
            for (input_ix, value) in decoded.values {
                context.value(sensor_value(*input_ix, *value, Quality::Good, None));
            }
            for (input_ix, why) in decoded.faults {
                context.value(sensor_value(*input_ix, f64::NAN, Quality::Fault, Some(Arc::clone(why))));
            }
            not_numbers.extend(decoded.not_numbers.iter().map(|(_, value)| value.clone()));
            rejected.extend(of_line);
        });
        let counts = LineCounts::of(self.decoder.messages());
        if !has_values && counts.whole > before.whole {
            self.send_unmatched(now.0, counts.ignored > before.ignored);
        }
        let has_line = self.decoder.messages().received > lines;
        if has_line {
            self.send_missing(now.0);
            self.send_labels(now.0);
        }
        not_numbers.iter().for_each(|value| self.log_no_number(value, now.0));
        rejected.iter().for_each(|(why, stamp, sensor)| self.reject_stamp(*why, *stamp, sensor, now.0));
        let mut health = self.context.health.lock();
        health.bytes += bytes.len() as u64;
        health.last_input = if has_line { Some(now.0) } else { health.last_input };
        health.messages = self.decoder.messages().clone();
        health.mixed.clone_from(&self.decoder.assigner.mixed);
        if counts.whole == 0 {
            // Noise says nothing of the names that lines have.
            health.messages.missing_names.clear();
        }
    }

    /// Counts a line whose own time was not accepted. The log says once of each reason that a clock is wrong.
    fn reject_stamp(&self, why: StampRejection, stamp: Option<WallTime>, sensor: &SensorId, now: Uptime) {
        let is_first = self.context.health.lock().reject_stamp(why, stamp, sensor.clone(), now);
        if is_first && why.is_wrong_clock() {
            let stamp = stamp.map_or(String::new(), |at| format!(" {}", Local::UTC.second(at)));
            warn!(
                "bus {}: a line {}:{stamp}, for {sensor}; such readings are stamped with their arrival, and \
                 tilth-agent status counts them",
                self.context.id,
                why.text()
            );
        }
    }

    /// Sends to decide, now and then, that lines come and match no sensor; they still prove that the bus is alive.
    fn send_unmatched(&mut self, now: Uptime, is_ignored: bool) {
        if is_due(self.reported.unmatched_at, SEND_AGAIN_AFTER, now) {
            self.reported.unmatched_at = Some(now);
            let why = missing::why_unmatched(self.decoder.messages(), &self.context.id, is_ignored);
            self.context.queue.push(SenseMessage::Unmatched { bus: self.context.id.clone(), why });
        }
    }

    /// Tells decide which inputs no line has, when that changes.
    fn send_missing(&mut self, now: Uptime) {
        if !is_due(self.reported.missing_at, SEND_AGAIN_AFTER, now) {
            return;
        }
        self.reported.missing_at = Some(now);
        let missing = self.decoder.missing(&self.context.id);
        self.log_missing(&missing, now);
        if self.reported.missing.as_deref() != Some(&missing) {
            let missing = Arc::new(missing);
            self.reported.missing = Some(Arc::clone(&missing));
            self.context.missing(missing);
        }
    }

    /// Tells decide which labels names have matched, for the checkpoint: at once where a name matches a second one, else seldom.
    fn send_labels(&mut self, now: Uptime) {
        self.reported.new_labels = self.decoder.assigner.names.new_matches().or(self.reported.new_labels.take());
        let Some(matches) = &self.reported.new_labels else { return };
        let before = Arc::clone(&self.memory.borrow());
        if !has_new_ambiguity(&before, matches) && !is_due(self.reported.labels_at, SEND_AGAIN_AFTER, now) {
            return;
        }
        let is_first = self.reported.labels_at.replace(now).is_none();
        let matches = self.reported.new_labels.take().map(Arc::new).unwrap_or_default();
        if is_first || before != matches {
            self.memory.send_replace(Arc::clone(&matches));
            self.context.queue.push(SenseMessage::Labels { bus: self.context.id.clone(), matches });
        }
    }

    /// The log names missing values once: a misspelt name is found before its silence is paged.
    fn log_missing(&mut self, missing: &MissingValues, now: Uptime) {
        let lines = self.decoder.messages().received;
        let (since, before) = *self.reported.configured_since.get_or_insert((now, lines));
        if self.reported.is_missing_logged || lines - before < LINES_BEFORE_WARNING || now - since < TIME_BEFORE_WARNING
        {
            return;
        }
        self.reported.is_missing_logged = true;
        missing.iter().take(MAX_WARNED).for_each(|(sensor, why)| warn!(%sensor, "{why}"));
        if missing.len() > MAX_WARNED {
            let more = missing.len() - MAX_WARNED;
            warn!(bus = %self.context.id, "no line has the values of {more} more sensors");
        }
    }

    fn log_no_number(&mut self, UnusableValue { field, text, sensor }: &UnusableValue, now: Uptime) {
        if is_due(self.reported.no_number.get(sensor).copied(), WARN_AGAIN_AFTER, now) {
            self.reported.no_number.insert(sensor.clone(), now);
            let bus = &self.context.id;
            warn!(%bus, "{field} is no number: {text:?} (wanted by {sensor})");
        }
    }
}

/// Whether this long has passed since the last time, if there was one.
fn is_due(last: Option<Uptime>, after: Span, now: Uptime) -> bool {
    last.is_none_or(|last| now - last >= after)
}

#[cfg(test)]
mod tests;
