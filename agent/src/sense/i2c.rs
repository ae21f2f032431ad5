//! Chips on an I2C bus of the machine: reads each at its interval, and finds the bus again when it was gone.
//!
//! All transfers of a bus are on a thread, one after the other; between them chips measure at the same time.

mod ads1115;
mod atlas;
mod bh1750;
mod bme280;
mod chip;
mod chip_io;
#[cfg(test)]
mod fake;
mod linux;
mod scd4x;
mod sht;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use embedded_hal::i2c::I2c;
use tilth_config::{I2cChip, Input, InputSettings};
use tilth_core::id::SensorId;
use tilth_core::reading::Quality;
use tilth_core::time::{Span, Uptime};
use tilth_core::unit::Conversion;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use super::bus::{BusContext, blocking, next_due, retries};
use super::sensor_value::SensorValue;
use atlas::calibration::{Answer, CalibrationCommand, StartSignal};
pub(crate) use atlas::calibration::{CalibrationRequest, CalibrationStatus, CalibrationStep};
use chip::{Driver, Step, Values};
use chip_io::{ChipIo, Fault};
use linux::LinuxBus;

/// How often a chip is read where no sensor of it says.
const USUAL_INTERVAL: Span = Span::from_secs(10);

/// A step of a chip is over in milliseconds; the kernel gives up a held bus after a second for each transfer.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// A chip whose step takes longer than this is left alone for [`SLOW_REST`] times as long, so that it has a tenth of the bus's time and the
/// others the rest: one that stretches the clock, or that the kernel waits for.
const SLOW: Duration = Duration::from_millis(50);
const SLOW_REST: u32 = 9;

/// Chips in a row that find the bus held before it is closed and opened again.
const MAX_HELD: u32 = 3;

/// How much later than the others a chip that an RTD circuit compensates is read first: that circuit is asked four questions before.
const AFTER_RTD: Span = Span::from_secs(3);

/// Age up to which a water temperature compensates, for water in a tank does not change faster; where its circuit is read less often, twice
/// the interval of that.
const MAX_TEMPERATURE_AGE: Span = Span::from_mins(5);

/// How long values are marked as of a sensor in calibration after a step: rinse, the next solution, and back into the tank.
const CALIBRATING: Span = Span::from_mins(10);

/// Answer to a step that was given up before it began.
const NOT_BEGUN: &str = "the step was given up before it began";

/// State of the circuits of a bus, and the steps that people ask of them. Outlives the open bus and its task: a probe stays in its
/// solution when a cable is moved.
#[derive(Debug)]
pub(crate) struct EzoStates {
    requests: mpsc::Receiver<CalibrationRequest>,
    states: BTreeMap<(I2cChip, u8), CircuitState>,
}

/// State of one circuit.
#[derive(Debug, Clone, Copy, Default)]
struct CircuitState {
    /// Until when its values are of a sensor in calibration.
    calibrating: Option<Uptime>,
    /// Newest temperature that it gave, C.
    temperature: Option<(Uptime, f64)>,
}

impl EzoStates {
    /// The circuits, and the sender of requests to them: one request waits, while another is handled.
    pub(crate) fn new() -> (mpsc::Sender<CalibrationRequest>, EzoStates) {
        let (sender, requests) = mpsc::channel(1);
        (sender, EzoStates { requests, states: BTreeMap::new() })
    }

    fn of(&mut self, chip: &PolledChip) -> &mut CircuitState {
        self.states.entry((chip.kind, chip.address)).or_default()
    }
}

impl CircuitState {
    fn is_calibrating(self, now: Uptime) -> bool {
        self.calibrating.is_some_and(|until| now < until)
    }
}

/// Reads the chips for ever; opens the bus again while it is not found or held. One task at a time has the circuits.
pub(crate) async fn run(port: String, circuits: Arc<Mutex<EzoStates>>, context: BusContext) {
    let path = port.clone();
    serve(move || LinuxBus::open(&path), &port, &mut *circuits.lock().await, context).await;
}

/// Reads the chips of a bus that `open` opens, for ever.
async fn serve<B: I2c + Send + 'static>(
    open: impl Fn() -> io::Result<B> + Clone + Send + 'static,
    port: &str,
    circuits: &mut EzoStates,
    context: BusContext,
) {
    context.clock.started().await;
    let mut waits = retries();
    loop {
        let hangs = || context.down(&format!("{port}: it hangs while it is opened"));
        let why = match blocking(open.clone(), HANGS_AFTER, hangs).await {
            Ok(bus) => {
                let context = context.clone();
                let mut poller =
                    ChipPoller { chips: Vec::new(), held: 0, is_up: false, circuits: &mut *circuits, context };
                let why = poller.read(bus).await;
                if poller.is_up {
                    waits = retries();
                }
                why
            }
            Err(error) => reason(&error),
        };
        context.down(&format!("{port}: {why}"));
        sleep(waits.next().unwrap_or_default()).await;
    }
}

/// An error of opening in the words of a technician.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such bus; is I2C turned on (raspi-config, Interface Options)?".to_owned()
        }
        io::ErrorKind::PermissionDenied => "permission denied; is the agent's user in the group i2c?".to_owned(),
        _ => error.to_string(),
    }
}

/// A chip that is read, and the sensors that it feeds.
#[derive(Debug)]
struct PolledChip {
    kind: I2cChip,
    address: u8,
    driver: Driver,
    sensors: Vec<ChipSensor>,
    /// The shortest of its sensors' intervals.
    interval: Span,
    /// Address of the RTD circuit that compensates it.
    rtd: Option<u8>,
    /// When it is read next, or its reading that is under way was due.
    due: Uptime,
    /// While it measures: when its next step is due on the machine's time, which no scaled clock makes faster.
    ready: Option<Instant>,
    /// Step of a calibration that comes before its next reading; no command for a query.
    requested: Option<(Option<CalibrationCommand>, StartSignal, Answer)>,
    /// Answer to the request whose step was begun: it gets the result.
    answer: Option<Answer>,
}

/// A sensor that a field of a chip feeds.
#[derive(Debug, Clone, PartialEq)]
struct ChipSensor {
    sensor: SensorId,
    field: &'static str,
    conversion: Conversion,
}

/// What a step of a chip led to, with the bytes that were read for it, and how long the chip is left alone after it.
struct StepOutcome {
    done: Result<Step, Fault>,
    bytes: u64,
    rest: Duration,
}

struct ChipPoller<'a> {
    chips: Vec<PolledChip>,
    /// Chips in a row that found the bus held.
    held: u32,
    /// Whether a chip was reached, or missed on a working bus, since the bus was opened.
    is_up: bool,
    circuits: &'a mut EzoStates,
    context: BusContext,
}

impl ChipPoller<'_> {
    /// Reads until the bus fails; answers why it did.
    async fn read<B: I2c + Send + 'static>(&mut self, mut bus: B) -> String {
        self.apply_config();
        if self.chips.is_empty() {
            self.set_up();
        }
        loop {
            let (due, ready) = self.next();
            tokio::select! {
                () = self.context.clock.sleep_until(due) => {}
                () = until(ready) => {}
                Ok(()) = self.context.config.changed() => {
                    self.apply_config();
                    continue;
                }
                Some(request) = self.circuits.requests.recv() => {
                    self.calibrate(request);
                    continue;
                }
            }
            let now = self.context.clock.uptime();
            match self.step_due(bus, now).await {
                Ok(same) => bus = same,
                Err(why) => return why,
            }
        }
    }

    fn set_up(&mut self) {
        if !self.is_up {
            self.is_up = true;
            self.context.up();
        }
    }

    /// Requests a step of a calibration from the circuit of a sensor. It comes before the circuit's next reading, which is due now.
    fn calibrate(&mut self, CalibrationRequest { sensor, step, value, begun, answer }: CalibrationRequest) {
        if begun.is_closed() {
            return drop(answer.send(Err(NOT_BEGUN.to_owned())));
        }
        let now = self.context.clock.uptime();
        let chip = self.chips.iter_mut().find(|chip| chip.sensors.iter().any(|own| own.sensor == sensor));
        let found = chip.ok_or_else(|| format!("nothing is read for {sensor}")).and_then(|chip| match chip.kind {
            _ if chip.driver.ezo().is_none() => {
                Err(format!("it is read from {}, which is no EZO circuit", chip.name()))
            }
            _ if chip.requested.is_some() || chip.answer.is_some() => {
                Err(format!("{} takes another step just now", chip.name()))
            }
            kind => Ok((CalibrationCommand::of(kind, step, value)?, chip)),
        });
        match found {
            Ok((command, chip)) => {
                chip.due = chip.due.min(now);
                chip.requested = Some((command, begun, answer));
            }
            Err(why) => drop(answer.send(Err(why))),
        }
    }

    /// The next time that a chip is to be read, and the next at which one has measured.
    fn next(&self) -> (Option<Uptime>, Option<Instant>) {
        let due = self.chips.iter().filter(|chip| chip.ready.is_none()).map(|chip| chip.due);
        (due.min(), self.chips.iter().filter_map(|chip| chip.ready).min())
    }

    /// Takes the next step with each chip that is due.
    async fn step_due<B: I2c + Send + 'static>(&mut self, mut bus: B, now: Uptime) -> Result<B, String> {
        for ix in 0..self.chips.len() {
            if !self.chips[ix].is_due(now) {
                continue;
            }
            let temperature = self.temperature_for(ix, now);
            self.chips[ix].driver.ezo().into_iter().for_each(|ezo| ezo.temperature = temperature);
            self.begin_calibration(ix, now);
            let outcome;
            (bus, outcome) = self.step(bus, ix).await?;
            self.take(ix, outcome, self.context.clock.uptime());
            if self.held >= MAX_HELD {
                return Err(Fault::Bus.to_string());
            }
        }
        Ok(bus)
    }

    /// Hands a step of a calibration to the driver at the begin of a reading: from now on the values are of a sensor in calibration.
    fn begin_calibration(&mut self, ix: usize, now: Uptime) {
        let chip = &mut self.chips[ix];
        let Some((command, begun, answer)) = chip.requested.take_if(|_| chip.ready.is_none()) else { return };
        let Some(ezo) = chip.driver.ezo().filter(|_| begun.send(()).is_ok()) else {
            return drop(answer.send(Err(NOT_BEGUN.to_owned())));
        };
        ezo.calibrate(command);
        chip.answer = Some(answer);
        if command.is_some() {
            self.circuits.of(chip).calibrating = Some(now + CALIBRATING);
        }
    }

    /// Takes the next step with a chip, on a thread. One whose transfer does not end holds up the bus, which says which chip it is.
    async fn step<B: I2c + Send + 'static>(&mut self, mut bus: B, ix: usize) -> Result<(B, StepOutcome), String> {
        let mut chips = std::mem::take(&mut self.chips);
        let (name, has_hung) = (chips[ix].name(), AtomicBool::new(false));
        let hangs = || {
            has_hung.store(true, Ordering::Relaxed);
            self.context.down(&format!("{name}: the kernel does not end a transfer"));
        };
        let step = move || {
            let outcome = chips[ix].step(&mut bus);
            Ok((bus, chips, outcome))
        };
        let (bus, chips, outcome) = blocking(step, HANGS_AFTER, hangs).await.map_err(|error| error.to_string())?;
        // The next chip that is reached says that the bus is up again.
        self.is_up &= !has_hung.into_inner();
        self.chips = chips;
        Ok((bus, outcome))
    }

    /// Temperature of the water for an EZO circuit, where it names one that is not too old.
    fn temperature_for(&mut self, ix: usize, now: Uptime) -> Option<f64> {
        let rtd = self.chips[ix].rtd?;
        let rtd = self.chips.iter().find(|chip| chip.kind == I2cChip::EzoRtd && chip.address == rtd)?;
        let longest = longest_age(rtd.interval);
        let temperature = self.circuits.of(rtd).temperature;
        temperature.filter(|(at, _)| now - *at <= longest).map(|(_, temperature)| temperature)
    }

    fn take(&mut self, ix: usize, StepOutcome { done, bytes, rest }: StepOutcome, now: Uptime) {
        self.context.health.lock().bytes += bytes;
        if done == Err(Fault::Bus) {
            self.held += 1;
        } else {
            self.held = 0;
            self.set_up();
        }
        let chip = &mut self.chips[ix];
        chip.ready = None;
        chip.answer_calibration(&done);
        match done {
            Ok(Step::Again(after)) => {
                chip.ready = Some(Instant::now() + after.max(rest));
                return;
            }
            Ok(Step::Done(values)) => {
                let circuit = self.circuits.of(chip);
                if circuit.is_calibrating(now) {
                    // A thermometer in a solution does not say how warm the tank is: what it said of that before goes on.
                    let longest = longest_age(chip.interval);
                    circuit.temperature =
                        circuit.temperature.map(|(at, value)| (if now - at <= longest { now } else { at }, value));
                } else {
                    let temperature = values.iter().find(|(field, _)| *field == "temperature");
                    circuit.temperature = temperature.map(|(_, value)| (now, *value));
                }
                send_values(&self.context, chip, *circuit, &values, now);
            }
            Err(fault) => {
                let why: Arc<str> = format!("{}: {fault}", chip.name()).into();
                self.context.health.lock().messages.received += 1;
                chip.sensors.iter().for_each(|sensor| send_fault(&self.context, sensor, &why, now));
            }
        }
        let rested = now + Span(rest.as_millis() as i64);
        let next = if chip.requested.is_some() { now } else { next_due(chip.due, chip.interval, now) };
        chip.due = next.max(rested);
    }

    /// Takes the chips that sensors read. One that is read as before goes on with what it does.
    fn apply_config(&mut self) {
        let now = self.context.clock.uptime();
        let mut before = std::mem::take(&mut self.chips);
        let config = self.context.config.borrow_and_update().clone();
        for (sensor, settings) in &config.sensors {
            self.add(sensor, settings, now);
        }
        for chip in &mut self.chips {
            let is_same = |old: &PolledChip| {
                (old.kind, old.address) == (chip.kind, chip.address) && old.fields() == chip.fields()
            };
            if let Some(ix) = before.iter().position(is_same) {
                let old = before.swap_remove(ix);
                (chip.driver, chip.due, chip.ready) = (old.driver, old.due, old.ready);
                (chip.requested, chip.answer) = (old.requested, old.answer);
            } else {
                chip.driver = Driver::new(chip.kind, &chip.fields());
            }
        }
        let mut health = self.context.health.lock();
        health.messages.faults.retain(|sensor, _| config.sensors.iter().any(|(read, _)| read == sensor));
    }

    fn add(&mut self, sensor: &SensorId, settings: &InputSettings, now: Uptime) {
        let Some(Input::I2c { chip: kind, address, field, rtd, .. }) = settings.input else { return };
        let Some(conversion) = field.conversion(settings.quantity) else { return };
        let interval = settings.interval.unwrap_or(USUAL_INTERVAL);
        let own = ChipSensor { sensor: sensor.clone(), field: field.name, conversion };
        let same = self.chips.iter_mut().find(|other| (other.kind, other.address) == (kind, address));
        if let Some(chip) = same {
            chip.sensors.push(own);
            chip.interval = chip.interval.min(interval);
            chip.rtd = chip.rtd.or(rtd);
            return;
        }
        let due = if rtd.is_some() { now + AFTER_RTD } else { now };
        let (driver, sensors) = (Driver::new(kind, &[]), vec![own]);
        self.chips.push(PolledChip {
            kind,
            address,
            driver,
            sensors,
            interval,
            rtd,
            due,
            ready: None,
            requested: None,
            answer: None,
        });
    }
}

impl PolledChip {
    fn is_due(&self, now: Uptime) -> bool {
        self.ready.map_or(self.due <= now, |ready| ready <= Instant::now())
    }

    fn step<B: I2c>(&mut self, bus: &mut B) -> StepOutcome {
        let (mut io, began) = (ChipIo::new(bus, self.address), Instant::now());
        let done = self.driver.step(&mut io);
        let took = began.elapsed();
        let rest = if took > SLOW { took * SLOW_REST } else { Duration::ZERO };
        StepOutcome { done, bytes: io.bytes, rest }
    }

    fn answer_calibration(&mut self, done: &Result<Step, Fault>) {
        let Some(said) = self.driver.ezo().and_then(|ezo| ezo.calibrated(done)) else { return };
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(said);
        }
    }

    /// Why the newest value is not to be relied on: the RTD circuit that compensates it gives no temperature.
    fn why_suspect(&self) -> Option<Arc<str>> {
        let is_compensated = matches!(&self.driver, Driver::Ezo(ezo) if ezo.is_compensated);
        let rtd = self.rtd.filter(|_| !is_compensated)?;
        Some(format!("{} is not compensated: the ezo_rtd at {rtd:#04x} gives no temperature", self.name()).into())
    }

    /// The chip as people name it.
    fn name(&self) -> String {
        format!("{} at {:#04x}", self.kind, self.address)
    }

    fn fields(&self) -> Vec<&'static str> {
        self.sensors.iter().map(|sensor| sensor.field).collect()
    }
}

/// Age up to which a temperature compensates, by the interval of its circuit.
fn longest_age(interval: Span) -> Span {
    MAX_TEMPERATURE_AGE.max(Span(interval.0 * 2))
}

async fn until(ready: Option<Instant>) {
    match ready {
        Some(ready) => sleep_until(ready).await,
        None => std::future::pending().await,
    }
}

/// A value for each sensor of the chip; a fault for one whose field the chip does not put out.
fn send_values(context: &BusContext, chip: &PolledChip, circuit: CircuitState, values: &Values, now: Uptime) {
    let why_suspect = chip.why_suspect();
    let quality = match &why_suspect {
        _ if circuit.is_calibrating(now) => Quality::Calibrating,
        Some(_) => Quality::Suspect,
        None => Quality::Good,
    };
    for sensor in &chip.sensors {
        let Some((_, value)) = values.iter().find(|(field, _)| *field == sensor.field) else {
            let why = format!("{} does not put out {}: turn it on with its command O", chip.name(), sensor.field);
            send_fault(context, sensor, &why.into(), now);
            continue;
        };
        context.health.lock().messages.set_fault(&sensor.sensor, why_suspect.as_ref());
        let value = sensor.conversion.apply(*value);
        context.value(SensorValue::new(sensor.sensor.clone(), value, quality, why_suspect.clone(), now));
    }
    let mut health = context.health.lock();
    health.messages.received += 1;
    health.messages.matched += 1;
    health.last_input = Some(now);
}

fn send_fault(context: &BusContext, sensor: &ChipSensor, why: &Arc<str>, now: Uptime) {
    context.health.lock().messages.set_fault(&sensor.sensor, Some(why));
    context.value(SensorValue::new(sensor.sensor.clone(), f64::NAN, Quality::Fault, Some(Arc::clone(why)), now));
}

#[cfg(test)]
mod tests;
