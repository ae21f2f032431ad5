//! What is said to a modem and what its answers mean: AT commands of 3GPP TS 27.005 and TS 27.007. Pure.
//!
//! ```text
//! handle(now, input)    the line opened or closed, bytes came, an SMS is to be sent
//! poll() -> Effect      what to write, what came
//! deadline() -> Uptime  when to call `handle` again
//! ```
//!
//! [`ROUND`] is asked after the line was opened, and again every minute: a modem that restarted by itself has forgotten its settings, and
//! messages whose notice was lost are found in the storage. Notices (unsolicited result codes) may come between anything.

mod command;
mod notices;
mod pin;

use std::collections::{BTreeSet, VecDeque};
use std::mem;

use tilth_core::time::{Span, Uptime};

use super::errors::ModemError;
use super::lines::{Lines, Said};
use super::pdu::{DeliveryReport, Sms, Submit};
use super::registration::Registration;
use crate::secret::Secret;
use command::{ModemCommand, ROUND};
use notices::numbers;
use pin::Sim;

/// Time that the modem has for an answer, and the network for an SMS; 3GPP names none.
const ANSWER: Span = Span::from_secs(10);
const NETWORK_ANSWER: Span = Span::from_secs(120);

/// How often a modem is asked whether it is there, and how long each time: it may be starting, or finding the speed of the line.
const QUESTIONS: u32 = 6;
const QUESTION: Span = Span::from_secs(2);

/// Commands in a row without an answer, after which the line is closed and opened again.
const SILENT: u32 = 3;

/// Time between two rounds of commands, and between two while the modem cannot send.
const ROUND_EVERY: Span = Span::from_secs(60);
const ROUND_IN_TROUBLE: Span = Span::from_secs(10);

/// Most messages of the storage that are handled at once; the rest comes with the next round.
const MAX_SLOTS: usize = 64;

/// Character that ends a message, and the one that gives it up (TS 27.005, section 3.5.1).
const END: char = '\u{1a}';
const ESCAPE: char = '\u{1b}';

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Time passed.
    Tick,
    /// The line is open.
    Opened,
    /// The line is gone, and why.
    Closed(String),
    /// The modem said something.
    Bytes(&'a [u8]),
    /// An SMS to send, once the one before was answered with [`Effect::Submitted`].
    Submit(Submit),
    /// A message of the storage was dealt with: delete it.
    Done(u16),
    /// A message of the storage could not be dealt with: it comes again with the next round.
    Kept(u16),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write this to the line.
    Write(String),
    /// What became of the SMS; with the reference that its delivery report will name.
    Submitted(Result<u8, SendFailure>),
    /// An SMS came; answer with [`Input::Done`] where it is in the storage.
    Received(Sms, Option<u16>),
    /// What became of an SMS that was sent.
    Reported(DeliveryReport),
    /// The PIN is entered next, or was not accepted, and why: keep that before doing what follows. None once the SIM is unlocked.
    PinTried(Option<String>),
    /// The modem does not answer: close the line, and open it again.
    Reopen,
}

/// Why an SMS was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// Reason in words.
    pub reason: String,
    /// Another attempt for this number is of no use.
    pub is_of_the_number: bool,
    /// The network may have it all the same.
    pub may_have_arrived: bool,
}

/// State of the talk with a modem.
///
/// ```text
///            opened            command due               submit
///   Closed ----------> Idle ----------------> Asked       Idle ---------> Prompting
///     ^                 ^ ^                     |                         |       |
///     |                 | +--- OK, error, late -+       error, late: failed       | prompt
///     |                 |                                 |                       v
///     |                 +---------------------------------+-- OK, error, late -- Submitting
///     |
///     +---- closed, or no answer to several commands in a row: from each
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The line is not open.
    #[default]
    Closed,
    /// Nothing is asked.
    Idle,
    /// A command waits for its final answer; `tries` counts how often it was asked.
    Asked { command: ModemCommand, until: Uptime, tries: u32 },
    /// `AT+CMGS` waits for its prompt.
    Prompting { until: Uptime },
    /// A message waits for its reference, and then for the final answer.
    Submitting { reference: Option<u8>, until: Uptime },
}

/// The talk with one modem; by default the line is not open, and there is no PIN.
#[derive(Debug, Default)]
pub struct Session {
    pin: Option<Secret>,
    /// Why the SIM did not accept this PIN, which is not entered again: a third wrong one locks the SIM.
    pin_tried: Option<String>,
    /// Tries that are left for the PIN, where the modem says so.
    pin_tries: Option<u16>,
    state: State,
    lines: Lines,
    commands: VecDeque<ModemCommand>,
    next_round: Uptime,
    /// The first round since the line was opened is over.
    is_set_up: bool,
    /// The SIM took its PIN in this round, whose other answers say nothing yet.
    has_entered_pin: bool,
    silent: u32,
    /// Until then an answer may be that to an earlier command, which was given up.
    late_until: Uptime,
    line_problem: Option<String>,
    sim: Sim,
    registration: Registration,
    submit: Option<Submit>,
    /// The next line is a PDU, of this slot of the storage where it is in one.
    pdu_follows: Option<Option<u16>>,
    /// Messages of the storage that are being dealt with, or deleted.
    slots: BTreeSet<u16>,
    effects: VecDeque<Effect>,
}

impl Session {
    /// Runs what is due, then the input.
    pub fn handle(&mut self, now: Uptime, input: Input<'_>) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.late(now);
        }
        match input {
            Input::Tick => {}
            Input::Opened => self.opened(now),
            Input::Closed(why) => self.closed(&why),
            Input::Bytes(bytes) => {
                for byte in bytes {
                    match self.lines.push(*byte) {
                        Some(Said::Prompt) => self.prompt(now),
                        Some(Said::Line(line)) => self.line(now, &line),
                        None => {}
                    }
                }
            }
            Input::Submit(_) if self.state == State::Closed => {
                self.fail(self.line_problem.clone().unwrap_or_else(|| "the line is not open".to_owned()), false);
            }
            Input::Submit(submit) => self.submit = Some(submit),
            Input::Done(slot) => self.commands.push_front(ModemCommand::Delete(slot)),
            Input::Kept(slot) => drop(self.slots.remove(&slot)),
        }
        self.go_on(now);
    }

    /// The next thing to do; call until there is none after each [`Session::handle`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Session::handle`] with [`Input::Tick`] if nothing else happens.
    pub fn deadline(&self) -> Option<Uptime> {
        match self.state {
            State::Closed => None,
            State::Idle => Some(self.next_round),
            State::Asked { until, .. } | State::Prompting { until } | State::Submitting { until, .. } => Some(until),
        }
    }

    /// Why no SMS can be sent now; none where one can, or where it is not known yet.
    pub fn problem(&self) -> Option<String> {
        let of_sim = match &self.sim {
            Sim::Locked(why) => Some(why.clone()),
            Sim::Unknown | Sim::Ready => None,
        };
        let of_network = || self.is_set_up.then(|| self.registration.problem()).flatten();
        self.line_problem.clone().or(of_sim).or_else(of_network)
    }

    /// Whether it is known whether an SMS can be sent.
    pub fn is_settled(&self) -> bool {
        self.is_set_up || self.line_problem.is_some()
    }

    /// Network and signal in words.
    pub fn network(&self) -> String {
        self.registration.to_string()
    }

    fn opened(&mut self, now: Uptime) {
        self.lines = Lines::default();
        (self.state, self.is_set_up, self.has_entered_pin, self.silent) = (State::Idle, false, false, 0);
        (self.sim, self.registration) = (Sim::Unknown, Registration::default());
        // The program that had the line before may have left the modem at its prompt.
        self.write(format!("{ESCAPE}\r"));
        self.begin_round(now);
    }

    fn closed(&mut self, why: &str) {
        self.line_problem = Some(why.to_owned());
        let was_submitting = matches!(self.state, State::Submitting { .. });
        self.state = State::Closed;
        (self.pdu_follows, self.is_set_up) = (None, false);
        self.commands.clear();
        self.slots.clear();
        if self.submit.is_some() || was_submitting {
            self.fail(why.to_owned(), was_submitting);
        }
    }

    fn begin_round(&mut self, now: Uptime) {
        self.next_round = now + ROUND_EVERY;
        self.commands.retain(|command| matches!(command, ModemCommand::Delete(_)));
        self.commands.extend(ROUND);
    }

    /// Begins the next thing while nothing is asked.
    fn go_on(&mut self, now: Uptime) {
        if self.state != State::Idle {
            return;
        }
        if self.is_set_up && self.submit.is_some() {
            match self.problem() {
                Some(why) => self.fail(why, false),
                None => return self.begin_submit(now),
            }
        }
        if self.commands.is_empty() {
            if now < self.next_round {
                return;
            }
            self.begin_round(now);
        }
        if let Some(command) = self.commands.pop_front() {
            self.ask(now, command, 1);
        }
    }

    fn ask(&mut self, now: Uptime, command: ModemCommand, tries: u32) {
        let patience = if command == ModemCommand::Attention { QUESTION } else { ANSWER };
        self.state = State::Asked { command, until: now + patience, tries };
        let text = match command {
            ModemCommand::EnterPin => self.entering_pin(),
            _ => command.text(),
        };
        self.write(format!("{text}\r"));
    }

    fn begin_submit(&mut self, now: Uptime) {
        let Some(submit) = &self.submit else { return };
        let command = format!("AT+CMGS={}\r", submit.length);
        self.state = State::Prompting { until: now + ANSWER };
        self.write(command);
    }

    fn prompt(&mut self, now: Uptime) {
        match (self.state, self.submit.take()) {
            (State::Prompting { .. }, Some(submit)) => {
                self.state = State::Submitting { reference: None, until: now + NETWORK_ANSWER };
                self.write(format!("{}{END}", submit.hex));
            }
            (_, submit) => {
                self.submit = submit;
                self.write(ESCAPE.to_string());
            }
        }
    }

    fn line(&mut self, now: Uptime, line: &str) {
        self.silent = 0;
        if let Some(slot) = self.pdu_follows.take() {
            if line.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return self.message(line, slot);
            }
            slot.map(|slot| self.slots.remove(&slot));
        }
        if let Some(reference) = line.strip_prefix("+CMGS:")
            && let State::Submitting { reference: found, until } = &mut self.state
        {
            (*found, *until) = (Some(numbers(reference).next().unwrap_or(0) as u8), now + ANSWER);
            return;
        }
        let error = ModemError::of(line);
        if line == "OK" || error.is_some() {
            return self.answered(now, error);
        }
        self.notice(now, line);
    }

    /// The final answer to what was asked.
    fn answered(&mut self, now: Uptime, error: Option<ModemError>) {
        match (self.state, error) {
            (State::Asked { command, .. }, error) => {
                self.state = State::Idle;
                self.asked(now, command, error);
            }
            (state @ (State::Prompting { .. } | State::Submitting { .. }), Some(error)) => {
                self.state = State::Idle;
                self.submit = None;
                // Whatever the error is: not every modem says `+CMS ERROR` of an SMS, as TS 27.005, section 3.5.1 has it.
                let may_be_late = now < self.late_until;
                let failure = SendFailure {
                    reason: error.to_string(),
                    is_of_the_number: error.is_of_the_number(),
                    may_have_arrived: may_be_late && matches!(state, State::Submitting { .. }),
                };
                self.effects.push_back(Effect::Submitted(Err(failure)));
                // What the modem is in may have changed: a SIM that was pulled out, a network that is gone.
                self.next_round = now;
            }
            (State::Submitting { reference: Some(reference), .. }, None) => self.submitted(reference),
            // The OK of a command that was late.
            (State::Submitting { .. } | State::Prompting { .. } | State::Idle | State::Closed, _) => {}
        }
    }

    fn submitted(&mut self, reference: u8) {
        self.state = State::Idle;
        self.effects.push_back(Effect::Submitted(Ok(reference)));
    }

    /// What an answer to a command changes.
    fn asked(&mut self, now: Uptime, command: ModemCommand, error: Option<ModemError>) {
        match (command, error) {
            (ModemCommand::Attention, None) => self.line_problem = None,
            (ModemCommand::Pin, Some(error)) => {
                self.sim = Sim::Locked(error.to_string());
                self.round_soon(now);
            }
            (command, error) if command.is_of_the_pin() => self.pin_answered(now, command, error),
            (ModemCommand::Notices, Some(_)) => self.commands.push_front(ModemCommand::NoticesOfMessages),
            (ModemCommand::Network, Some(_)) => self.registration.network = None,
            (ModemCommand::DataNetwork, Some(_)) => self.registration.data = None,
            (ModemCommand::List, _) => {
                let is_early = mem::take(&mut self.has_entered_pin);
                self.is_set_up |= !is_early;
                if is_early || self.problem().is_some() {
                    self.round_soon(now);
                }
            }
            (ModemCommand::Delete(slot), _) => drop(self.slots.remove(&slot)),
            _ => {}
        }
    }

    fn round_soon(&mut self, now: Uptime) {
        self.next_round = self.next_round.min(now + ROUND_IN_TROUBLE);
    }

    /// No answer came in time.
    fn late(&mut self, now: Uptime) {
        match self.state {
            State::Closed | State::Idle => {}
            State::Asked { command: ModemCommand::Attention, tries, .. } if tries < QUESTIONS => {
                self.ask(now, ModemCommand::Attention, tries + 1);
            }
            State::Asked { command, .. } => {
                self.state = State::Idle;
                self.silent += 1;
                self.late_until = now + NETWORK_ANSWER;
                if command.is_of_the_pin() {
                    self.pin_unanswered(now, command);
                }
                if matches!(command, ModemCommand::List | ModemCommand::Delete(_)) {
                    self.asked(now, command, None);
                }
                if command == ModemCommand::Attention || self.silent >= SILENT {
                    self.closed("the modem does not answer; does it have power, and is its speed right?");
                    self.effects.push_back(Effect::Reopen);
                }
            }
            State::Prompting { .. } => {
                self.state = State::Idle;
                self.write(ESCAPE.to_string());
                self.fail("the modem asked for no message".to_owned(), false);
                self.next_round = now;
            }
            State::Submitting { reference: Some(reference), .. } => self.submitted(reference),
            State::Submitting { reference: None, .. } => {
                self.state = State::Idle;
                self.fail("the network did not answer in time".to_owned(), true);
                self.next_round = now;
            }
        }
    }

    fn fail(&mut self, reason: String, may_have_arrived: bool) {
        self.submit = None;
        let failure = SendFailure { reason, is_of_the_number: false, may_have_arrived };
        self.effects.push_back(Effect::Submitted(Err(failure)));
    }

    fn write(&mut self, text: String) {
        self.effects.push_back(Effect::Write(text));
    }
}

#[cfg(test)]
mod tests;
