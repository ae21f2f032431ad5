//! Commands to a modem (3GPP TS 27.005 and TS 27.007), and which are asked again and again.

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Attention,
    EchoOff,
    NumericErrors,
    Pin,
    PinTries,
    EnterPin,
    PduMode,
    /// Where messages that come are kept: on the SIM, which every modem can.
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
pub(super) const ROUND: [Command; 11] = [
    Command::Attention,
    Command::EchoOff,
    Command::NumericErrors,
    Command::Pin,
    Command::PduMode,
    Command::Storage,
    Command::Notices,
    Command::Network,
    Command::DataNetwork,
    Command::Signal,
    Command::List,
];

impl Command {
    /// What is written; the PIN follows [`Command::EnterPin`].
    pub(super) fn text(self) -> String {
        let text = match self {
            Command::Attention => "AT",
            Command::EchoOff => "ATE0",
            Command::NumericErrors => "AT+CMEE=1",
            Command::Pin => "AT+CPIN?",
            Command::PinTries => "AT+CPINR=\"SIM PIN\"",
            Command::EnterPin => "AT+CPIN=",
            Command::PduMode => "AT+CMGF=0",
            Command::Storage => "AT+CPMS=\"SM\",\"SM\",\"SM\"",
            Command::Notices => "AT+CNMI=2,1,0,1,0",
            Command::NoticesOfMessages => "AT+CNMI=2,1",
            Command::Network => "AT+CREG?",
            Command::DataNetwork => "AT+CEREG?",
            Command::Signal => "AT+CSQ",
            Command::List => "AT+CMGL=4",
            Command::Delete(slot) => return format!("AT+CMGD={slot}"),
        };
        text.to_owned()
    }
}
