//! The lock of a SIM: what it waits for, and whether its PIN is entered (3GPP TS 27.007, sections 8.3 and 8.65). A PIN that the SIM rejected
//! is not entered again, for a third wrong one locks the SIM to its PUK. A PIN whose answer got lost, as in a power failure, is: once the
//! modem says that no try is gone.

use tilth_core::time::Uptime;

use super::command::ModemCommand;
use super::{Effect, Session, State};
use crate::modem::errors::ModemError;
use crate::secret::Secret;

/// What became of a PIN until the modem says it, and where it never does.
pub(super) const NO_ANSWER: &str = "the modem did not answer";

/// Tries that a SIM has for its PIN. With fewer left no PIN is entered.
const ALL_TRIES: u16 = 3;

/// The SIM's lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Sim {
    /// Not asked yet.
    #[default]
    Unknown,
    Ready,
    /// Cannot be used, and why.
    Locked(String),
}

impl Session {
    /// Takes a PIN. One that was entered before, by this process or an earlier one, comes with the last [`Effect::PinTried`], and is entered
    /// again only where it had no answer and the modem says that all tries are left.
    pub fn set_pin(&mut self, pin: Secret, tried: Option<String>) {
        (self.pin, self.pin_tried) = (Some(pin), tried);
    }

    /// Whether another PIN could help; not while one is being entered.
    pub fn wants_pin(&self) -> bool {
        let is_entering = matches!(self.state, State::Asked { command: ModemCommand::EnterPin, .. });
        matches!(self.sim, Sim::Locked(_)) && !is_entering
    }

    /// `+CPIN`: what the SIM waits for (TS 27.007, section 8.3). Of the PIN the tries that are left are asked first (section 8.65).
    pub(super) fn lock_state(&mut self, now: Uptime, state: &str) {
        let is_asked = matches!(self.state, State::Asked { command: ModemCommand::Pin, .. });
        let locked = |why: &str| Sim::Locked(why.to_owned());
        let is_ready = matches!(state, "READY" | "SIM PIN2" | "SIM PUK2");
        if is_ready && self.pin_tried.is_some() {
            self.note_pin(None);
        }
        self.sim = match (state, &self.pin, &self.pin_tried) {
            // The second PIN is for fixed dialling numbers and the like, and bars no SMS.
            _ if is_ready => Sim::Ready,
            ("SIM PIN", None, _) => locked("the SIM wants a PIN: set pin of the channel"),
            ("SIM PIN", Some(_), Some(why)) if why != NO_ANSWER => locked(&not_accepted(why)),
            ("SIM PIN", Some(pin), _) if !is_pin(pin.expose()) => {
                locked("the secret of the SIM's PIN is not 4 to 8 digits")
            }
            ("SIM PIN", Some(_), _) => {
                self.pin_tries = None;
                self.commands.retain(|command| !command.is_of_the_pin());
                is_asked.then(|| self.commands.push_front(ModemCommand::PinTries));
                // What was wrong before stands until the modem says how many tries are left: a problem that changes is logged.
                match &self.sim {
                    Sim::Locked(why) => locked(why),
                    Sim::Unknown | Sim::Ready => locked("the SIM wants a PIN, which is being entered"),
                }
            }
            ("SIM PUK", ..) => locked("the SIM wants its PUK: too many wrong PINs; unlock it in a phone"),
            (other, ..) => locked(&format!("the SIM is not ready: {}", shown(other))),
        };
        if !is_asked {
            self.round_soon(now);
        }
    }

    /// Notes that the PIN is entered, and returns the command.
    pub(super) fn entering_pin(&mut self) -> String {
        self.note_pin(Some(NO_ANSWER.to_owned()));
        format!("AT+CPIN=\"{}\"", self.pin.as_ref().map_or("", Secret::expose))
    }

    /// What the answer to a command of the PIN changes.
    pub(super) fn pin_answered(&mut self, now: Uptime, command: ModemCommand, error: Option<ModemError>) {
        match (command, error) {
            (ModemCommand::PinTries, Some(_)) => self.commands.push_front(ModemCommand::PinTriesOfSimcom),
            (ModemCommand::PinTriesOfSimcom, Some(_)) => self.commands.push_front(ModemCommand::PinTriesOfHuawei),
            // The SIM takes a moment after its PIN; the next round asks for its state.
            (ModemCommand::EnterPin, None) => {
                (self.has_entered_pin, self.sim) = (true, Sim::Unknown);
                // The OK of an earlier command says nothing of the PIN.
                if now >= self.late_until {
                    self.note_pin(None);
                }
            }
            (ModemCommand::EnterPin, Some(error)) if error.passes_by_itself() => {
                self.sim = Sim::Locked(error.to_string());
                self.note_pin(None);
            }
            (ModemCommand::EnterPin, Some(error)) => {
                self.sim = Sim::Locked(not_accepted(&error.to_string()));
                self.note_pin(Some(error.to_string()));
            }
            _ => match self.pin_tries {
                // Of a PIN that was rejected before the agent was started.
                Some(left) if left < ALL_TRIES => {
                    let why =
                        format!("the SIM rejected a PIN before, {left} tries are left: enter the right one by hand");
                    self.sim = Sim::Locked(why);
                }
                // A late answer may be from before the PIN that had no answer.
                tries if self.pin_tried.is_some() && (tries.is_none() || now < self.late_until) => {
                    self.sim = Sim::Locked(not_accepted(NO_ANSWER));
                }
                _ => self.commands.push_front(ModemCommand::EnterPin),
            },
        }
    }

    /// A command of the PIN has no answer.
    pub(super) fn pin_unanswered(&mut self, now: Uptime, command: ModemCommand) {
        match command {
            ModemCommand::EnterPin => self.sim = Sim::Locked(not_accepted(NO_ANSWER)),
            _ => self.pin_answered(now, command, Some(ModemError::Plain)),
        }
    }

    fn note_pin(&mut self, tried: Option<String>) {
        self.pin_tried.clone_from(&tried);
        self.effects.push_back(Effect::PinTried(tried));
    }
}

/// Why a SIM stays locked whose PIN was entered.
fn not_accepted(why: &str) -> String {
    let until = match why {
        NO_ANSWER => "it is tried again once the modem says that 3 tries are left, or its secret is written anew",
        _ => "it is not tried again until its secret is written anew",
    };
    format!("PIN of the SIM not accepted: {why}; {until}")
}

/// Whether a text is a PIN: anything else would be a command of its own.
fn is_pin(text: &str) -> bool {
    (4..=8).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// The beginning of what a modem said.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
