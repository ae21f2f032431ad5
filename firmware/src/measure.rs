//! Measurements: takes those that the node asks for, without waiting for a sensor.
//!
//! One measurement runs at a time, but for the conversion of a DS18B20, which takes 750 ms beside the others. Channels that ask
//! for another quantity of a sensor that is being measured share its measurement: a DHT22 must not be read twice in a row.
//!
//! Functions that must not be inlined keep their locals off the loop's stack; an AVR reaches only 64 bytes of a frame at once.
//!
//! ```text
//!           request                begin                       poll: Some(sample)
//!  free ------------> queued --+-----------> Analog -----------------------+
//!                              +-----------> Settling (contact) -----------+--> free
//!                              +-----------> Chip --> Measured ------------+
//!                              +-----------> converting --> Scratchpad ----+
//!                              +-- a count, or a fault --------------------+
//! ```

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::I2c;
use tilth_sensors::analog::Mean;
use tilth_sensors::contact::Settling;
use tilth_sensors::one_wire::OneWire;
use tilth_sensors::{Fault, bme280, dht22, ds18b20, sht3x};
use tilth_wire::{ChannelKind, Sample};

/// What a board's channels are connected to.
pub trait Inputs {
    /// Pin with an open drain.
    type Line: InputPin + OutputPin;
    /// Delays of some microseconds.
    type Delay: DelayNs;

    /// The I2C bus.
    fn i2c(&mut self) -> &mut impl I2c;
    /// Begins a conversion of the channel's analog input.
    fn convert(&mut self, channel: u8);
    /// The conversion, 0 to 1,023, once it is there.
    fn conversion(&mut self) -> Option<u16>;
    /// The channel's pin, released; `None` if the channel is at none.
    fn line(&mut self, channel: u8) -> Option<Self::Line>;
    /// Delays for the lines.
    fn delay(&mut self) -> Self::Delay;
    /// Whether the contact at the channel's pin is open; `None` if the channel is at none.
    fn is_open(&mut self, channel: u8) -> Option<bool>;
    /// Falling edges at the channel's pin; `None` if the channel is at none, or no counter is free.
    fn pulses(&mut self, channel: u8) -> Option<u32>;
    /// Whether two channels are at the same pin or bus.
    fn share_a_line(&self, one: u8, other: u8) -> bool;
}

/// Measurements of `CHANNELS` channels.
#[derive(Debug)]
pub struct Measurer<const CHANNELS: usize> {
    /// What each channel waits for.
    queued: [Option<Request>; CHANNELS],
    active: Option<Active>,
    converting: Option<Conversion>,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    kind: ChannelKind,
    oversampling: u8,
}

#[derive(Debug)]
struct Active {
    channel: u8,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// An analog input is being converted, again and again.
    Analog(Mean),
    /// A contact is coming to rest.
    Settling(Settling),
    /// A chip measures until then.
    Chip(Chip, u16),
    /// A chip has measured: its values, for every channel that asks for one of them.
    Measured(Chip, Result<[i32; 3], Fault>),
    /// A DS18B20's scratchpad is being read.
    Scratchpad(ds18b20::Reader),
}

/// A DS18B20 converts until then.
#[derive(Debug, Clone, Copy)]
struct Conversion {
    channel: u8,
    until: u16,
}

/// A sensor with several quantities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chip {
    Sht3x,
    Bme280,
    Dht22,
}

impl<const CHANNELS: usize> Measurer<CHANNELS> {
    /// No measurement.
    pub const fn new() -> Self {
        Self { queued: [None; CHANNELS], active: None, converting: None }
    }

    /// Asks for a measurement. A channel that is being measured already is measured once; one that now measures something else
    /// begins anew.
    pub fn request(&mut self, channel: u8, kind: ChannelKind, oversampling: u8) {
        let Some(queued) = self.queued.get_mut(usize::from(channel)) else { return };
        let wanted = (kind != ChannelKind::Off).then_some(Request { kind, oversampling });
        let before = core::mem::replace(queued, wanted);
        if before.is_some_and(|before| before.kind != kind) {
            self.active.take_if(|active| active.channel == channel);
            self.converting.take_if(|conversion| conversion.channel == channel);
        }
    }

    /// Takes the next short step, at `now` in milliseconds; a channel's sample, once there is one.
    #[inline(never)]
    pub fn poll(&mut self, now: u32, inputs: &mut impl Inputs) -> Option<(u8, Sample)> {
        // Waits are short: the low 16 bits of the clock tell them.
        let now = now as u16;
        let outcome = if self.active.is_some() { self.proceed(now, inputs) } else { self.begin_next(now, inputs) };
        let (channel, outcome) = outcome?;
        self.queued[usize::from(channel)] = None;
        Some((channel, outcome.map_or_else(|fault| Sample::Fault(named(fault)), Sample::Value)))
    }

    /// Goes on with the measurement that is under way.
    #[inline(never)]
    fn proceed(&mut self, now: u16, inputs: &mut impl Inputs) -> Option<Outcome> {
        let Active { channel, step } = self.active.as_mut()?;
        let channel = *channel;
        let outcome = match step {
            Step::Analog(mean) => {
                let Some(value) = mean.add(inputs.conversion()?) else {
                    inputs.convert(channel);
                    return None;
                };
                Ok(i32::from(value))
            }
            Step::Settling(contact) => Ok(i32::from(contact.sample(now, inputs.is_open(channel)?)?)),
            Step::Scratchpad(reader) => reader.poll(&mut one_wire(inputs, channel).ok()?)?,
            Step::Chip(chip, until) => {
                if reached(now, *until) {
                    *step = Step::Measured(*chip, fetch(*chip, channel, inputs));
                }
                return None;
            }
            Step::Measured(chip, values) => {
                let (chip, values) = (*chip, *values);
                let asking = self.asks_for(chip, channel, inputs);
                if asking.is_none() {
                    self.active = None;
                }
                return asking.map(|(channel, index)| (channel, values.map(|values| values[index])));
            }
        };
        self.active = None;
        Some((channel, outcome))
    }

    /// Begins a measurement, if one is due.
    #[inline(never)]
    fn begin_next(&mut self, now: u16, inputs: &mut impl Inputs) -> Option<Outcome> {
        if let Some(Conversion { channel, .. }) = self.converting.take_if(|conversion| reached(now, conversion.until)) {
            let begun = one_wire(inputs, channel).and_then(|mut line| ds18b20::Reader::begin(&mut line));
            return self.then(channel, begun.map(Step::Scratchpad));
        }
        let is_free = |channel: &usize| {
            let converts = self.converting.is_some_and(|conversion| usize::from(conversion.channel) == *channel);
            let waits = matches!(self.queued[*channel], Some(Request { kind: ChannelKind::Ds18b20, .. }))
                && self.converting.is_some();
            self.queued[*channel].is_some() && !converts && !waits
        };
        let channel = (0..CHANNELS).find(is_free)?;
        let request = self.queued[channel]?;
        self.begin(channel as u8, request, now, inputs)
    }

    #[inline(never)]
    fn begin(&mut self, channel: u8, request: Request, now: u16, inputs: &mut impl Inputs) -> Option<Outcome> {
        match request.kind {
            ChannelKind::Analog => {
                inputs.convert(channel);
                self.then(channel, Ok(Step::Analog(Mean::new(request.oversampling))))
            }
            ChannelKind::Contact => {
                let begun = inputs.is_open(channel).map(|open| Step::Settling(Settling::new(now, open)));
                self.then(channel, begun.ok_or(Fault::Absent))
            }
            ChannelKind::Pulse => {
                // The agent takes the difference of two counts, whatever the sign of the bits.
                let count = inputs.pulses(channel).map(|count| count as i32);
                Some((channel, count.ok_or(Fault::Absent)))
            }
            ChannelKind::Ds18b20 => match one_wire(inputs, channel).and_then(|mut line| ds18b20::start(&mut line)) {
                Ok(()) => {
                    let until = now.wrapping_add(ds18b20::CONVERSION_MS + TICK);
                    self.converting = Some(Conversion { channel, until });
                    None
                }
                Err(fault) => Some((channel, Err(fault))),
            },
            kind => {
                let (chip, _) = quantity(kind)?;
                let step = match start(chip, channel, inputs) {
                    Ok(wait) => Step::Chip(chip, now.wrapping_add(wait + TICK)),
                    // The other quantities of this chip have the same fault.
                    Err(fault) => Step::Measured(chip, Err(fault)),
                };
                self.then(channel, Ok(step))
            }
        }
    }

    fn then(&mut self, channel: u8, step: Result<Step, Fault>) -> Option<Outcome> {
        match step {
            Ok(step) => {
                self.active = Some(Active { channel, step });
                None
            }
            Err(fault) => Some((channel, Err(fault))),
        }
    }

    /// The next channel that asks for a quantity of the chip that was measured for channel `at`, and which one.
    #[inline(never)]
    fn asks_for(&self, chip: Chip, at: u8, inputs: &impl Inputs) -> Option<(u8, usize)> {
        (0..CHANNELS as u8).find_map(|channel| {
            let (wanted, index) = quantity(self.queued[usize::from(channel)]?.kind)?;
            (wanted == chip && inputs.share_a_line(channel, at)).then_some((channel, index))
        })
    }
}

impl<const CHANNELS: usize> Default for Measurer<CHANNELS> {
    fn default() -> Self {
        Self::new()
    }
}

type Outcome = (u8, Result<i32, Fault>);

/// A tick that has begun already counts less than a millisecond: waits are longer by one.
const TICK: u16 = 1;

fn reached(now: u16, until: u16) -> bool {
    now.wrapping_sub(until) < 0x8000
}

#[inline(never)]
fn one_wire<I: Inputs>(inputs: &mut I, channel: u8) -> Result<OneWire<I::Line, I::Delay>, Fault> {
    Ok(OneWire::new(inputs.line(channel).ok_or(Fault::Absent)?, inputs.delay()))
}

/// The chip that measures a kind, and the kind's place among its values.
fn quantity(kind: ChannelKind) -> Option<(Chip, usize)> {
    match kind {
        ChannelKind::Sht3xTemperature => Some((Chip::Sht3x, 0)),
        ChannelKind::Sht3xHumidity => Some((Chip::Sht3x, 1)),
        ChannelKind::Bme280Temperature => Some((Chip::Bme280, 0)),
        ChannelKind::Bme280Humidity => Some((Chip::Bme280, 1)),
        ChannelKind::Bme280Pressure => Some((Chip::Bme280, 2)),
        ChannelKind::Dht22Temperature => Some((Chip::Dht22, 0)),
        ChannelKind::Dht22Humidity => Some((Chip::Dht22, 1)),
        ChannelKind::Off | ChannelKind::Analog | ChannelKind::Ds18b20 | ChannelKind::Pulse | ChannelKind::Contact => {
            None
        }
    }
}

/// Begins a chip's measurement; how long it takes, in milliseconds.
#[inline(never)]
fn start(chip: Chip, channel: u8, inputs: &mut impl Inputs) -> Result<u16, Fault> {
    match chip {
        Chip::Sht3x => sht3x::start(inputs.i2c(), sht3x::ADDRESS).map(|()| sht3x::MEASUREMENT_MS),
        Chip::Bme280 => bme280::start(inputs.i2c(), bme280::ADDRESS).map(|()| bme280::MEASUREMENT_MS),
        Chip::Dht22 => {
            dht22::start(&mut inputs.line(channel).ok_or(Fault::Absent)?);
            Ok(dht22::WAKE_MS)
        }
    }
}

#[inline(never)]
fn fetch(chip: Chip, channel: u8, inputs: &mut impl Inputs) -> Result<[i32; 3], Fault> {
    match chip {
        Chip::Sht3x => {
            let measured = sht3x::read(inputs.i2c(), sht3x::ADDRESS)?;
            Ok([measured.temperature, measured.humidity, 0])
        }
        Chip::Bme280 => {
            let measured = bme280::read(inputs.i2c(), bme280::ADDRESS)?;
            Ok([measured.temperature, measured.humidity, measured.pressure])
        }
        Chip::Dht22 => {
            let measured = dht22::read(&mut inputs.line(channel).ok_or(Fault::Absent)?)?;
            Ok([measured.temperature, measured.humidity, 0])
        }
    }
}

/// The wire's name of a driver's fault.
fn named(fault: Fault) -> tilth_wire::Fault {
    match fault {
        Fault::Absent => tilth_wire::Fault::Absent,
        Fault::Checksum => tilth_wire::Fault::Checksum,
        Fault::PowerOn => tilth_wire::Fault::PowerOn,
        Fault::Range => tilth_wire::Fault::Range,
        Fault::Timeout => tilth_wire::Fault::Timeout,
        Fault::Bus => tilth_wire::Fault::Bus,
    }
}

#[cfg(test)]
mod tests;
