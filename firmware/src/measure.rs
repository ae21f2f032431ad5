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
use tilth_wire::{ChannelKind, OVERSAMPLING_OF_CONTACT, Sample};

use crate::channels::{Kinds, Measured};

/// What a board's channels are connected to.
pub trait Inputs {
    /// Pin with an open drain.
    type Line: InputPin + OutputPin;
    /// Delays of some microseconds.
    type Delay: DelayNs;

    /// Kinds that the board measures. The drivers of others are no part of its image.
    const KINDS: Kinds;

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
    /// Falling edges at the channel's pin, of a contact that bounces or not; `None` if the channel is at none, or no counter is free.
    fn pulses(&mut self, channel: u8, is_contact: bool) -> Option<u32>;
    /// Whether two channels are at the same pin or bus.
    fn share_a_line(&self, one: u8, other: u8) -> bool;
}

/// Measurements of `CHANNELS` channels.
#[derive(Debug)]
pub struct Measurer<const CHANNELS: usize> {
    /// What each channel waits for; `Off` for nothing.
    queued: [Measured; CHANNELS],
    /// The channel whose measurement is under way.
    channel: u8,
    step: Step,
    converting: Option<Conversion>,
}

// Numbered from 0, so that the first one is of zeros.
#[derive(Debug)]
#[repr(u8)]
enum Step {
    /// No measurement is under way.
    Idle,
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
    /// No measurement. A constant of zeros, which is made where it stays.
    pub const NONE: Self =
        { Self { queued: [Measured::NOTHING; CHANNELS], channel: 0, step: Step::Idle, converting: None } };

    /// Asks for a measurement. A channel that is being measured already is measured once; one that now measures something else
    /// starts from the beginning.
    pub fn request(&mut self, channel: u8, kind: ChannelKind, oversampling: u8) {
        let Some(queued) = self.queued.get_mut(usize::from(channel)) else { return };
        let before = core::mem::replace(queued, Measured::new(kind, oversampling)).kind();
        if before != ChannelKind::Off && before != kind {
            if self.channel == channel {
                self.step = Step::Idle;
            }
            self.converting.take_if(|conversion| conversion.channel == channel);
        }
    }

    /// Takes the next short step, at `now` in milliseconds; a channel's sample, once there is one.
    #[inline(never)]
    pub fn poll(&mut self, now: u32, inputs: &mut impl Inputs) -> Option<(u8, Sample)> {
        // Waits are short: the low 16 bits of the clock tell them.
        let now = now as u16;
        let is_idle = matches!(self.step, Step::Idle);
        let outcome = if is_idle { self.begin_next(now, inputs) } else { self.proceed(now, inputs) }?;
        self.queued[usize::from(self.channel)] = Measured::NOTHING;
        Some((self.channel, outcome.map_or_else(|fault| Sample::Fault(named(fault)), Sample::Value)))
    }

    /// Goes on with the measurement that is under way.
    #[inline(never)]
    fn proceed(&mut self, now: u16, inputs: &mut impl Inputs) -> Option<Outcome> {
        let channel = self.channel;
        let outcome = match &mut self.step {
            Step::Idle => return None,
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
                    let chip = *chip;
                    self.step = Step::Measured(chip, fetch(chip, channel, inputs));
                }
                return None;
            }
            Step::Measured(chip, values) => {
                if let Some((asking, index)) = asks_for(&self.queued, *chip, channel, inputs) {
                    self.channel = asking;
                    return Some(match values {
                        Ok(values) => values.get(index).copied().ok_or(Fault::Range),
                        Err(fault) => Err(*fault),
                    });
                }
                self.step = Step::Idle;
                return None;
            }
        };
        self.step = Step::Idle;
        Some(outcome)
    }

    /// Begins a measurement, if one is due.
    #[inline(never)]
    fn begin_next(&mut self, now: u16, inputs: &mut impl Inputs) -> Option<Outcome> {
        if let Some(Conversion { channel, .. }) = self.converting.take_if(|conversion| reached(now, conversion.until)) {
            self.channel = channel;
            return match one_wire(inputs, channel).and_then(|mut line| ds18b20::Reader::begin(&mut line)) {
                Ok(reader) => {
                    self.step = Step::Scratchpad(reader);
                    None
                }
                Err(fault) => Some(Err(fault)),
            };
        }
        // One DS18B20 converts at a time, while other sensors are measured.
        let can_begin = |queued: &Measured| match queued.kind() {
            ChannelKind::Off => false,
            ChannelKind::Ds18b20 => self.converting.is_none(),
            _ => true,
        };
        self.channel = self.queued.iter().position(can_begin)? as u8;
        self.begin(now, inputs)
    }

    /// Begins the measurement of the channel.
    #[inline(never)]
    fn begin(&mut self, now: u16, inputs: &mut impl Inputs) -> Option<Outcome> {
        let channel = self.channel;
        let request = self.queued[usize::from(channel)];
        match request.kind() {
            ChannelKind::Analog => {
                inputs.convert(channel);
                self.step = Step::Analog(Mean::new(request.oversampling()));
            }
            ChannelKind::Contact => match inputs.is_open(channel) {
                Some(open) => self.step = Step::Settling(Settling::new(now, open)),
                None => return Some(Err(Fault::Absent)),
            },
            ChannelKind::Pulse => {
                // The agent takes the difference of two counts, with either sign of the bits.
                let is_contact = request.oversampling() == OVERSAMPLING_OF_CONTACT;
                let count = inputs.pulses(channel, is_contact).map(|count| count as i32);
                return Some(count.ok_or(Fault::Absent));
            }
            ChannelKind::Ds18b20 => match one_wire(inputs, channel).and_then(|mut line| ds18b20::start(&mut line)) {
                Ok(()) => {
                    let until = now.wrapping_add(ds18b20::CONVERSION_MS + TICK);
                    self.converting = Some(Conversion { channel, until });
                }
                Err(fault) => return Some(Err(fault)),
            },
            kind => {
                let (chip, _) = quantity(kind)?;
                self.step = match start(chip, channel, inputs) {
                    Ok(wait) => Step::Chip(chip, now.wrapping_add(wait + TICK)),
                    // The other quantities of this chip have the same fault.
                    Err(fault) => Step::Measured(chip, Err(fault)),
                };
            }
        }
        None
    }
}

/// The next channel that asks for a quantity of the chip that was measured for channel `at`, and which one.
#[inline(never)]
fn asks_for(queued: &[Measured], chip: Chip, at: u8, inputs: &impl Inputs) -> Option<(u8, usize)> {
    (0..).zip(queued).find_map(|(channel, request)| {
        let (wanted, index) = quantity(request.kind())?;
        (wanted == chip && inputs.share_a_line(channel, at)).then_some((channel, index))
    })
}

impl<const CHANNELS: usize> Default for Measurer<CHANNELS> {
    fn default() -> Self {
        Self::NONE
    }
}

type Outcome = Result<i32, Fault>;

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
fn start<I: Inputs>(chip: Chip, channel: u8, inputs: &mut I) -> Result<u16, Fault> {
    match chip {
        Chip::Sht3x => sht3x::start(inputs.i2c(), sht3x::ADDRESS).map(|()| sht3x::MEASUREMENT_MS),
        Chip::Bme280 if has_bme280::<I>() => {
            bme280::start(inputs.i2c(), bme280::ADDRESS).map(|()| bme280::MEASUREMENT_MS)
        }
        Chip::Dht22 if has_dht22::<I>() => {
            dht22::start(&mut inputs.line(channel).ok_or(Fault::Absent)?);
            Ok(dht22::WAKE_MS)
        }
        Chip::Bme280 | Chip::Dht22 => Err(Fault::Absent),
    }
}

#[inline(never)]
fn fetch<I: Inputs>(chip: Chip, channel: u8, inputs: &mut I) -> Result<[i32; 3], Fault> {
    match chip {
        Chip::Sht3x => {
            let measured = sht3x::read(inputs.i2c(), sht3x::ADDRESS)?;
            Ok([measured.temperature, measured.humidity, 0])
        }
        Chip::Bme280 if has_bme280::<I>() => {
            let measured = bme280::read(inputs.i2c(), bme280::ADDRESS)?;
            Ok([measured.temperature, measured.humidity, measured.pressure])
        }
        Chip::Dht22 if has_dht22::<I>() => {
            let measured = dht22::read(&mut inputs.line(channel).ok_or(Fault::Absent)?)?;
            Ok([measured.temperature, measured.humidity, 0])
        }
        Chip::Bme280 | Chip::Dht22 => Err(Fault::Absent),
    }
}

const fn has_bme280<I: Inputs>() -> bool {
    I::KINDS.has(ChannelKind::Bme280Temperature)
}

const fn has_dht22<I: Inputs>() -> bool {
    I::KINDS.has(ChannelKind::Dht22Temperature)
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
