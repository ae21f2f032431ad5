//! Numbers of `+CMS ERROR` (3GPP TS 27.005, section 3.2.5, and TS 24.011, annex E) and `+CME ERROR` (TS 27.007, section 9.2) in words.

/// An error that a modem answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModemError {
    /// `ERROR`, which gives no reason.
    Plain,
    /// `+CMS ERROR`, of messages.
    Message(u16),
    /// `+CME ERROR`, of the equipment.
    Equipment(u16),
}

const MESSAGE: [(u16, &str); 33] = [
    (1, "the number does not exist"),
    (8, "the operator bars SMS of this SIM"),
    (10, "outgoing calls of this SIM are barred"),
    (21, "the network rejected the SMS"),
    (27, "the number is out of service"),
    (28, "the network does not know this SIM"),
    (30, "the network does not know this subscriber; is the SIM active?"),
    (38, "the network is out of order"),
    (41, "temporary failure of the network"),
    (42, "the network is congested"),
    (47, "the network has no resources free"),
    (50, "SMS are not part of this SIM's contract"),
    (69, "the network has no SMS"),
    (96, "the network found the SMS incomplete"),
    (111, "protocol error of the network"),
    (300, "failure of the modem"),
    (301, "the SMS service of the modem is reserved"),
    (302, "the modem does not allow it now"),
    (303, "the modem does not support it"),
    (304, "the modem found the SMS invalid"),
    (310, "there is no SIM"),
    (311, "the SIM wants a PIN"),
    (312, "the modem is locked to another SIM"),
    (313, "the SIM failed"),
    (314, "the SIM is busy"),
    (315, "the SIM is of the wrong kind"),
    (316, "the SIM wants its PUK"),
    (320, "failure of the message memory"),
    (322, "the message memory is full"),
    (330, "the SIM has no address of a service centre"),
    (331, "no network"),
    (332, "the network did not answer in time"),
    (500, "unknown error of the modem or the network; no credit?"),
];

const EQUIPMENT: [(u16, &str); 13] = [
    (3, "the modem does not allow it now"),
    (4, "the modem does not support it"),
    (10, "there is no SIM"),
    (11, "the SIM wants a PIN"),
    (12, "the SIM wants its PUK"),
    (13, "the SIM failed"),
    (14, "the SIM is busy"),
    (15, "the SIM is of the wrong kind"),
    (16, "wrong PIN"),
    (30, "no network"),
    (31, "the network did not answer in time"),
    (32, "the network allows emergency calls alone"),
    (100, "unknown error"),
];

impl ModemError {
    /// The error of a line; none where the line is none.
    pub(super) fn of(line: &str) -> Option<ModemError> {
        let number = |text: &str| text.trim().parse().unwrap_or(500);
        match line {
            "ERROR" | "COMMAND NOT SUPPORT" => Some(ModemError::Plain),
            _ => line
                .strip_prefix("+CMS ERROR:")
                .map(|text| ModemError::Message(number(text)))
                .or_else(|| line.strip_prefix("+CME ERROR:").map(|text| ModemError::Equipment(number(text)))),
        }
    }

    /// Whether the SIM is only not ready yet: it is still starting.
    pub(super) fn passes_by_itself(self) -> bool {
        self == ModemError::Equipment(14)
    }

    /// Whether another attempt for the same number is of no use.
    pub(super) fn is_of_the_number(self) -> bool {
        matches!(self, ModemError::Message(1 | 27 | 304))
    }
}

impl std::fmt::Display for ModemError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = |table: &[(u16, &'static str)], number: u16| {
            table.iter().find(|(known, _)| *known == number).map_or("an error without a name", |(_, words)| *words)
        };
        match self {
            ModemError::Plain => f.write_str("the modem answers ERROR, without a reason"),
            ModemError::Message(number) => write!(f, "{} (+CMS ERROR: {number})", words(&MESSAGE, *number)),
            ModemError::Equipment(number) => write!(f, "{} (+CME ERROR: {number})", words(&EQUIPMENT, *number)),
        }
    }
}
