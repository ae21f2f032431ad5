//! Images of boards in the emulator of `firmware/emulator`, and what is wired where: as the tables in their `main.rs` say.

use std::path::PathBuf;
use std::process::Command;

use tilth_wire::ChannelKind;

use crate::workspace;

/// A board and its image.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Name of its image.
    pub image: &'static str,
    /// Options of the emulator.
    pub options: &'static [&'static str],
    /// Channels, by what they measure at first: this one the first analog input.
    pub analog: u8,
    /// Number of analog inputs, whose channels follow each other.
    pub analogs: u8,
    /// Temperature of an SHT3x.
    pub temperature: u8,
    /// Humidity.
    pub humidity: u8,
    /// DS18B20.
    pub ds18b20: u8,
    /// Pulses.
    pub pulse: u8,
    /// A contact to ground.
    pub contact: u8,
    /// A channel at a pin that is off at first.
    pub spare: u8,
    /// Channels that measure at first, but for those four which a test of the queue keeps.
    pub others: &'static [u8],
    /// Voltage of a full analog reading.
    pub volts: f64,
    /// Pin of the pulse sensor.
    pub pulse_pin: &'static str,
    /// Pin of the contact.
    pub contact_pin: &'static str,
    /// Pins of the relays, by their number. The last one is for a siren that is normally energised.
    pub relays: &'static [&'static str],
}

impl Model {
    /// Four channels that a board of this model can keep at 10 s while the agent is away.
    #[must_use]
    pub const fn held(&self) -> [u8; 4] {
        [self.analog, self.temperature, self.humidity, self.ds18b20]
    }

    /// Number of the relay for a siren that is normally energised.
    #[must_use]
    pub const fn siren(&self) -> u8 {
        self.relays.len() as u8 - 1
    }

    /// What each channel of the wiring measures at first, by its number.
    #[must_use]
    pub fn kinds(&self) -> Vec<ChannelKind> {
        let mut kinds = vec![ChannelKind::Off; usize::from(self.spare) + 1];
        let analogs = (self.analog..self.analog + self.analogs).map(|channel| (channel, ChannelKind::Analog));
        let others = [
            (self.temperature, ChannelKind::Sht3xTemperature),
            (self.humidity, ChannelKind::Sht3xHumidity),
            (self.ds18b20, ChannelKind::Ds18b20),
            (self.pulse, ChannelKind::Pulse),
            (self.contact, ChannelKind::Contact),
        ];
        for (channel, kind) in analogs.chain(others) {
            kinds[usize::from(channel)] = kind;
        }
        kinds
    }
}

/// The Arduino Uno.
pub const UNO: Model = Model {
    image: "uno",
    options: &[],
    analog: 0,
    analogs: 2,
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
    relays: &["D7", "D6"],
};

/// The Uno's image with drivers of all sensors.
pub const UNO_ALL: Model = Model { image: "uno-all", ..UNO };

/// The Arduino Mega 2560; pins are named by port and bit.
pub const MEGA_2560: Model = Model {
    image: "mega2560",
    options: &["--chip", "atmega2560", "--one-wire-pin", "G5", "--dht-pin", "E3"],
    analog: 0,
    analogs: 8,
    temperature: 8,
    humidity: 9,
    ds18b20: 11,
    pulse: 12,
    contact: 13,
    spare: 14,
    others: &[1, 2, 3, 4, 5, 6, 7, 12, 13],
    volts: 5.0,
    pulse_pin: "E4",
    contact_pin: "E5",
    relays: &["H4", "H5", "H6", "B4"],
};

/// The Raspberry Pi Pico.
pub const PICO: Model = Model {
    image: "pico",
    options: &["--chip", "rp2040"],
    analog: 0,
    analogs: 3,
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
    relays: &["GP18", "GP19", "GP20", "GP21"],
};

/// The emulator with an image of this name, as `firmware/boards/build` made it, and these options; none where that was not built, or the
/// emulator not installed.
#[must_use]
pub fn emulator(image: &str, options: &[&str]) -> Option<Command> {
    let firmware = workspace().join("firmware");
    let elf: PathBuf = firmware.join(format!("boards/target/images/{image}.elf"));
    let emulator = firmware.join("emulator");
    if !elf.exists() || !emulator.join("node_modules").exists() {
        return None;
    }
    let mut command = Command::new("node");
    command.arg(emulator.join("emulator.mjs")).arg(elf).args(options);
    Some(command)
}

/// What to do where [`emulator`] is none.
pub const NOT_BUILT: &str = "run firmware/boards/build first, and npm ci in firmware/emulator";
