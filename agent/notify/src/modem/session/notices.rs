//! What a modem tells in lines that are no final answer: parts of an answer, and notices that may come at any time (unsolicited result codes).

use tilth_core::time::Uptime;

use super::super::pdu::{self, Incoming};
use super::command::ModemCommand;
use super::{Effect, MAX_SLOTS, Session};

impl Session {
    /// A line that is no final answer: part of one, or a notice that may come at any time.
    pub(super) fn notice(&mut self, now: Uptime, line: &str) {
        let Some((name, values)) = line.split_once(':') else {
            // A modem that restarted by itself.
            if matches!(line, "RDY" | "SMS Ready" | "SMS DONE" | "PB DONE") {
                self.begin_round(now);
            }
            return;
        };
        match name {
            "+CPIN" => self.lock_state(now, values.trim()),
            // The tries of what the SIM waits for come first: `+SPIC: 3,10,0,10`, `^CPIN: SIM PIN,3,10,3,10,3`.
            "+CPINR" | "+SPIC" | "^CPIN" => self.pin_tries = numbers(values).next(),
            "+CREG" => self.registration.network = registration_state(values),
            "+CEREG" => self.registration.data = registration_state(values),
            "+CSQ" => self.registration.signal = numbers(values).next().filter(|signal| *signal <= 31),
            "+CMGL" => self.listed(values),
            "+CMT" | "+CDS" => self.pdu_follows = Some(None),
            // A message is in the storage.
            "+CMTI" | "+CDSI" => {
                self.commands.extend((!self.commands.contains(&ModemCommand::List)).then_some(ModemCommand::List));
            }
            _ => {}
        }
    }

    /// `+CMGL`: a message of the storage follows. What is to be sent is left alone.
    fn listed(&mut self, values: &str) {
        let mut values = values.splitn(3, ',').map(|value| value.trim().parse::<u16>().ok());
        let (slot, status) = (values.next().flatten(), values.next().flatten());
        let is_received = matches!(status, Some(0 | 1));
        if let Some(slot) =
            slot.filter(|slot| is_received && !self.slots.contains(slot) && self.slots.len() < MAX_SLOTS)
        {
            self.slots.insert(slot);
            self.pdu_follows = Some(Some(slot));
        }
    }

    pub(super) fn message(&mut self, digits: &str, slot: Option<u16>) {
        let delete = slot.map(ModemCommand::Delete);
        match pdu::read(digits) {
            Some(Incoming::Message(sms)) => self.effects.push_back(Effect::Received(sms, slot)),
            Some(Incoming::Report(report)) => {
                self.effects.push_back(Effect::Reported(report));
                self.commands.extend(delete);
            }
            // Left there, it would fill the storage.
            None => self.commands.extend(delete),
        }
    }
}

/// State of registration: of an answer the second value, of a notice the first, which a location in quotes may follow.
fn registration_state(values: &str) -> Option<u16> {
    let mut values = values.split(',').map(|value| value.trim().parse().ok());
    let first = values.next().flatten();
    values.next().flatten().or(first)
}

/// The numbers among values that commas part.
pub(super) fn numbers(values: &str) -> impl Iterator<Item = u16> + '_ {
    values.split(',').filter_map(|value| value.trim().parse().ok())
}
