//! Models of boards that Tilth has images for: how many channels and relays each has. `docs/boards.md` has their wiring.

/// A model of board. `agent.toml` states it, or the name of the board's port tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoardModel {
    /// Arduino Uno.
    Uno,
    /// Arduino Mega 2560.
    Mega2560,
    /// Raspberry Pi Pico.
    Pico,
}

/// Parts of the names that udev gives to ports: of product ids of the Arduino boards, and of what the Pico's image calls itself.
const PORTS: [(&str, BoardModel); 8] = [
    ("_0001_", BoardModel::Uno),
    ("_0043_", BoardModel::Uno),
    ("_0243_", BoardModel::Uno),
    ("Arduino_Uno", BoardModel::Uno),
    ("_0010_", BoardModel::Mega2560),
    ("_0042_", BoardModel::Mega2560),
    ("_0242_", BoardModel::Mega2560),
    ("Tilth_Pico", BoardModel::Pico),
];

impl BoardModel {
    /// Every model.
    pub const ALL: [BoardModel; 3] = [BoardModel::Uno, BoardModel::Mega2560, BoardModel::Pico];

    /// The word in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BoardModel::Uno => "uno",
            BoardModel::Mega2560 => "mega2560",
            BoardModel::Pico => "pico",
        }
    }

    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            BoardModel::Uno => "an Arduino Uno",
            BoardModel::Mega2560 => "an Arduino Mega 2560",
            BoardModel::Pico => "a Raspberry Pi Pico",
        }
    }

    /// How many channels it has; their numbers begin at 0.
    #[must_use]
    pub const fn channels(self) -> u8 {
        match self {
            BoardModel::Uno => 8,
            BoardModel::Mega2560 => 16,
            BoardModel::Pico => 12,
        }
    }

    /// How many relays it has; their numbers begin at 0. The last one has no limit of time.
    #[must_use]
    pub const fn relays(self) -> u8 {
        match self {
            BoardModel::Uno => 2,
            BoardModel::Mega2560 | BoardModel::Pico => 4,
        }
    }

    /// The model that the name of a port tells, such as `/dev/serial/by-id/usb-Arduino__www.arduino.cc__0043_7513-if00`.
    pub(crate) fn of_port(port: &str) -> Option<BoardModel> {
        let name = port.strip_prefix("/dev/serial/by-id/")?;
        let is_ours = |part: &str| name.contains(part) && ["Arduino", "Tilth"].iter().any(|maker| name.contains(maker));
        PORTS.into_iter().find(|(part, _)| is_ours(part)).map(|(_, model)| model)
    }
}

/// Number of the relay that an output of a board names as `relay-N`, counted from 0 as on the board. Each relay has one spelling, for by it
/// its doses are counted: `relay-01` is none.
#[must_use]
pub fn relay_number(channel: &str) -> Option<u8> {
    let digits = channel.strip_prefix("relay-")?;
    digits.parse().ok().filter(|number: &u8| number.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Guards against: two actuators with a total each on one relay.
    #[test]
    fn a_relay_has_one_spelling() {
        let numbers =
            ["relay-0", "relay-1", "relay-15", "relay-01", "relay-+1", "relay-", "relay-256", "1"].map(relay_number);
        assert_eq!(numbers, [Some(0), Some(1), Some(15), None, None, None, None, None]);
    }

    #[test]
    fn the_name_of_a_port_tells_the_model_of_boards_that_name_themselves() {
        for (port, model) in [
            ("usb-Arduino__www.arduino.cc__0043_75834353830351F0A1B2-if00", Some(BoardModel::Uno)),
            ("usb-Arduino_Uno-if00", Some(BoardModel::Uno)),
            ("usb-Arduino__www.arduino.cc__0042_85736323838351E0C1A1-if00", Some(BoardModel::Mega2560)),
            ("usb-Tilth_Pico-if00", Some(BoardModel::Pico)),
            ("usb-1a86_USB_Serial-if00-port0", None),
            ("usb-Prolific_Adapter_0043_X-if00", None),
        ] {
            assert_eq!(BoardModel::of_port(&format!("/dev/serial/by-id/{port}")), model, "{port}");
        }
        assert_eq!(BoardModel::of_port("/dev/ttyACM0"), None);
    }

    /// The images are what counts.
    #[test]
    fn a_model_has_the_channels_and_relays_of_its_image() {
        for model in BoardModel::ALL {
            let main = format!("../firmware/boards/{}/src/main.rs", model.name());
            let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(main)).expect("the wiring");
            for line in [
                format!("const CHANNELS: usize = {};", model.channels()),
                format!("const RELAYS: usize = {};", model.relays()),
            ] {
                assert!(main.contains(&line), "{}: no {line}", model.name());
            }
        }
    }
}
