//! Rows of the wiring tables that stand at the top of each board's `main.rs`.

use tilth_wire::ChannelKind;

use crate::channels::{ChannelSettings, Kinds};
use crate::relay::Limits;

/// What a channel is connected to, on a chip whose pins are `P`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection<P> {
    /// An analog input, by its number.
    Analog(u8),
    /// The I2C bus.
    I2c,
    /// A digital pin.
    Pin(P),
}

/// A channel's line of the wiring table.
#[derive(Debug, Clone, Copy)]
pub struct Channel<P> {
    /// What the channel is connected to.
    pub at: Connection<P>,
    /// Kind that the channel measures until the agent says otherwise.
    pub measures: ChannelKind,
    /// Milliseconds between readings until the agent says otherwise.
    pub every: u16,
}

/// A relay's line of the wiring table.
#[derive(Debug, Clone, Copy)]
pub struct Relay<P> {
    /// Pin that switches the relay on when it is high. A resistor to ground keeps the relay off while the board starts.
    pub pin: P,
    /// Hard limits, which no command and no setting passes.
    pub limits: Limits,
}

impl<P> Channel<P> {
    /// Kinds that the channel can measure, of those that the board has drivers for; and its settings until the agent says otherwise.
    pub fn first_settings(self, drivers: Kinds) -> (Kinds, ChannelSettings) {
        let kinds = match self.at {
            Connection::Analog(_) => ANALOG,
            Connection::I2c => I2C,
            Connection::Pin(_) => DIGITAL,
        };
        // Sixteen conversions: their mean is quieter than one by a factor of four, and takes 16 ms.
        (kinds.and(drivers), ChannelSettings { kind: self.measures, interval: u32::from(self.every), oversampling: 4 })
    }
}

const ANALOG: Kinds = Kinds::OFF.or(ChannelKind::Analog);

const I2C: Kinds = Kinds::OFF
    .or(ChannelKind::Sht3xTemperature)
    .or(ChannelKind::Sht3xHumidity)
    .or(ChannelKind::Bme280Temperature)
    .or(ChannelKind::Bme280Humidity)
    .or(ChannelKind::Bme280Pressure);

const DIGITAL: Kinds = Kinds::OFF
    .or(ChannelKind::Ds18b20)
    .or(ChannelKind::Dht22Temperature)
    .or(ChannelKind::Dht22Humidity)
    .or(ChannelKind::Pulse)
    .or(ChannelKind::Contact);
