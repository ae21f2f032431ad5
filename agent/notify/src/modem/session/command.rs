//! Commands to a modem (3GPP TS 27.005 and TS 27.007), and which are asked again and again.

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModemCommand {
    Attention,
    EchoOff,
    NumericErrors,
    Pin,
    /// Tries that are left for the PIN, as TS 27.007 has it (section 8.65), and as modems of Simcom and Huawei do.
    PinTries,
    PinTriesOfSimcom,
    PinTriesOfHuawei,
    EnterPin,
    PduMode,
    /// Storage of received messages: on the SIM, which every modem can.
    Storage,
    /// Notice of messages and of delivery reports; of messages alone where a modem cannot do the second.
    Notices,
    NoticesOfMessages,
    Network,
    /// The network of data: a modem on LTE may be registered there alone.
    DataNetwork,
    Signal,
    List,
    Delete(u16),
}

/// Commands of a round, in their order.
pub(super) const ROUND: [ModemCommand; 11] = [
    ModemCommand::Attention,
    ModemCommand::EchoOff,
    ModemCommand::NumericErrors,
    ModemCommand::Pin,
    ModemCommand::PduMode,
    ModemCommand::Storage,
    ModemCommand::Notices,
    ModemCommand::Network,
    ModemCommand::DataNetwork,
    ModemCommand::Signal,
    ModemCommand::List,
];

impl ModemCommand {
    /// Whether it is part of entering the PIN.
    pub(super) fn is_of_the_pin(self) -> bool {
        use ModemCommand::{EnterPin, PinTries, PinTriesOfHuawei, PinTriesOfSimcom};
        matches!(self, PinTries | PinTriesOfSimcom | PinTriesOfHuawei | EnterPin)
    }

    /// What is written; the PIN follows [`ModemCommand::EnterPin`].
    pub(super) fn text(self) -> String {
        let text = match self {
            ModemCommand::Attention => "AT",
            ModemCommand::EchoOff => "ATE0",
            ModemCommand::NumericErrors => "AT+CMEE=1",
            ModemCommand::Pin => "AT+CPIN?",
            ModemCommand::PinTries => "AT+CPINR=\"SIM PIN\"",
            ModemCommand::PinTriesOfSimcom => "AT+SPIC",
            ModemCommand::PinTriesOfHuawei => "AT^CPIN?",
            ModemCommand::EnterPin => "AT+CPIN=",
            ModemCommand::PduMode => "AT+CMGF=0",
            ModemCommand::Storage => "AT+CPMS=\"SM\",\"SM\",\"SM\"",
            ModemCommand::Notices => "AT+CNMI=2,1,0,1,0",
            ModemCommand::NoticesOfMessages => "AT+CNMI=2,1",
            ModemCommand::Network => "AT+CREG?",
            ModemCommand::DataNetwork => "AT+CEREG?",
            ModemCommand::Signal => "AT+CSQ",
            ModemCommand::List => "AT+CMGL=4",
            ModemCommand::Delete(slot) => return format!("AT+CMGD={slot}"),
        };
        text.to_owned()
    }
}
