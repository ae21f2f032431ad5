//! The boards under test, with what is wired where: as the tables in their `main.rs` say.

/// A board and its image.
pub(crate) struct Model {
    /// Name of its image.
    pub(crate) image: &'static str,
    /// Options of the emulator.
    pub(crate) options: &'static [&'static str],
    /// Channels, by what they measure at first.
    pub(crate) analog: u8,
    pub(crate) temperature: u8,
    pub(crate) humidity: u8,
    pub(crate) ds18b20: u8,
    pub(crate) pulse: u8,
    pub(crate) contact: u8,
    /// A channel at a pin that is off at first.
    pub(crate) spare: u8,
    /// Channels that measure at first, but for those four which a test of the queue keeps.
    pub(crate) others: &'static [u8],
    /// Voltage of a full analog reading.
    pub(crate) volts: f64,
    /// Pins of the pulse sensor and the contact.
    pub(crate) pulse_pin: &'static str,
    pub(crate) contact_pin: &'static str,
    /// Pins of relays 0 and 1.
    pub(crate) relays: [&'static str; 2],
}

pub(crate) const UNO: Model = Model {
    image: "uno",
    options: &[],
    analog: 0,
    temperature: 2,
    humidity: 3,
    ds18b20: 4,
    pulse: 5,
    contact: 6,
    spare: 7,
    others: &[1, 5, 6],
    volts: 5.0,
    pulse_pin: "D2",
    contact_pin: "D3",
    relays: ["D7", "D6"],
};

/// The same with drivers of all sensors.
pub(crate) const UNO_ALL: Model = Model { image: "uno-all", ..UNO };

pub(crate) const PICO: Model = Model {
    image: "pico",
    options: &["--chip", "rp2040"],
    analog: 0,
    temperature: 3,
    humidity: 4,
    ds18b20: 8,
    pulse: 9,
    contact: 10,
    spare: 11,
    others: &[1, 2, 9, 10],
    volts: 3.3,
    pulse_pin: "GP7",
    contact_pin: "GP8",
    relays: ["GP18", "GP19"],
};
