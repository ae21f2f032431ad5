//! What the agent says to one board and takes from it, over any number of connections. Pure: bytes and instants in, effects out.
//!
//! The rules are those of `docs/wire-protocol.md`, "What an agent does".

mod orders;
mod readings;

use std::collections::{BTreeMap, VecDeque};

use tilth_core::interlock::{ActuatorInput, SwitchOrder};
use tilth_core::time::Uptime;
use tilth_wire::{
    BoardId, DecodeError, Decoder, FrameError, FromBoard, Heartbeat, Hello, MAX_FRAME, ResetCause, Sample, ToBoard,
};

use super::channel_types::{ChannelType, ChannelTypes};
use super::clock::BoardClock;
use super::connection::Identity;
use super::pulses::{Counters, Pulses};
use super::relays::Relays;
use super::sequence::{Sequence, is_before};
use super::settings_queue::{Setting, SettingsQueue};
use super::texts;
use crate::sense::bus::health::Reason;
use crate::sense::store_ack::{BoardPosition, StoreProgress};

/// Seconds without a frame after which a board is silent: it says something every second.
const SILENT_AFTER: u32 = 5;

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum Input<'a> {
    /// A connection to the board is open.
    Opened,
    /// Bytes came over it.
    Bytes(&'a [u8]),
    /// A second of the machine's time passed, also where the agent runs on another clock.
    Second,
    /// How far the store has the readings, and how many values it dropped.
    Stored(StoreProgress),
    /// The interlock orders a relay on or off.
    Order(SwitchOrder),
    /// What the configuration says of channels and relays from now on.
    Settings(Vec<Setting>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    Send(ToBoard),
    /// The handshake is done, on a new connection or after a silence.
    Connected,
    Reading(ChannelReading),
    /// Every value up to this reading was handed over, and the store is to answer with [`Input::Stored`]. The number is
    /// `(boot count << 32) | sequence number`; the position is to be stored with the values.
    RequestAck(u64, BoardPosition),
    /// What became of an order.
    Outcome(ActuatorInput),
    Log(Topic, String),
    /// The board refuses a setting, or no longer does.
    RefusalsChanged,
    /// The board cannot be read over this connection, and why.
    Down(String),
    /// Another board is connected.
    OtherBoard,
}

/// What a line of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// Something moves that must not: each line is logged.
    Danger,
    /// Readings that are lost; with a limit of its own, for a board without limits loses some each second.
    Loss,
    State,
}

/// What a channel measured, on the agent's clock; of it come the values of the sensors that read the channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChannelReading {
    pub(super) channel: u8,
    /// What the channel measured then.
    pub(super) channel_type: ChannelType,
    pub(super) at: Uptime,
    pub(super) sample: Sample,
    /// Pulses since the reading before of a channel that counts them, where that is known.
    pub(super) pulses: Option<Pulses>,
}

/// State of the connection to the board.
///
/// ```text
///              Hello of this board                 5 s without a frame
///   Handshake ----------------------> Connected ------------------------> Handshake
///    ^  |                                |                                   ^
///    |  `-- Hello of another version: stays, and says so                     |
///    `--- Opened, or a Heartbeat from before the newest: a restart ----------'
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Identify is sent every second.
    Handshake { seconds: u32 },
    /// Seconds since the last frame. `is_verified`: a reading in order, or a repeat with the same checksum, has shown that the
    /// board did not restart; until then it is sent no Received.
    Connected { silent: u32, is_verified: bool },
}

/// Counts since the first message of the board.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) frames: u64,
    /// Frames that are not used, and readings that came again.
    pub(super) ignored: BTreeMap<Reason, u64>,
    pub(super) readings: u64,
    /// Readings that the board dropped before they were confirmed.
    pub(super) lost: u64,
    /// Values that the store dropped before they were written.
    pub(super) dropped: u64,
    pub(super) restarts: u64,
}

/// The agent's side of the conversation with one board.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: BoardId,
    state: State,
    decoder: Decoder<{ MAX_FRAME - 1 }>,
    clock: BoardClock,
    sequence: Sequence,
    counters: Counters,
    /// Boots of the board that were seen in this run of the agent.
    boots: u32,
    /// Newest reading of this boot that is stored.
    stored: Option<u32>,
    /// Readings were accepted after the last [`Effect::RequestAck`].
    is_ack_due: bool,
    /// Newest board time that came in this run of the agent, and of this boot of the board.
    board_time: Option<u32>,
    /// Whether a Heartbeat with it was sent since the last second.
    is_heartbeat_sent: bool,
    /// Whether Identify, after which all readings come again, was sent since a reading was last accepted.
    is_resend_requested: bool,
    /// Settings on their way, and what the board answered.
    pub(super) settings: SettingsQueue,
    channel_types: ChannelTypes,
    pub(super) relays: Relays,
    /// What the board said of itself in its last Hello.
    pub(super) identity: Option<Identity>,
    /// The newest one since the board's boot.
    pub(super) heartbeat: Option<Heartbeat>,
    pub(super) counts: Counts,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A session with the board of this id, whose readings were accepted up to `before`. Commands have ids from `first_command` on, which no earlier run
    /// of the agent used lately.
    pub(super) fn new(id: BoardId, before: Option<BoardPosition>, first_command: u32) -> Session {
        let (sequence, counters) = match before {
            Some(BoardPosition { next, recent, counted, .. }) => {
                (Sequence::resumed(next, recent), Counters::resumed(counted))
            }
            None => (Sequence::default(), Counters::default()),
        };
        Session {
            id,
            state: State::Handshake { seconds: 0 },
            decoder: Decoder::new(),
            clock: BoardClock::default(),
            sequence,
            counters,
            boots: 0,
            stored: None,
            is_ack_due: false,
            board_time: None,
            is_heartbeat_sent: false,
            is_resend_requested: false,
            settings: SettingsQueue::new(first_command),
            channel_types: ChannelTypes::default(),
            relays: Relays::default(),
            identity: None,
            heartbeat: None,
            counts: Counts::default(),
            effects: VecDeque::new(),
        }
    }

    /// Takes what happened at an instant of the agent's clock.
    pub(super) fn handle(&mut self, now: Uptime, input: Input<'_>) {
        match input {
            Input::Opened => {
                self.decoder = Decoder::new();
                self.start_handshake();
            }
            Input::Bytes(bytes) => self.handle_bytes(now, bytes),
            Input::Second => self.handle_second(),
            Input::Order(order) => self.handle_order(order),
            Input::Settings(settings) => {
                self.settings.set(settings);
                self.send_setting();
            }
            Input::Stored(news) => self.handle_stored(news),
        }
    }

    /// The next thing to do, until none.
    pub(super) fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn log(&mut self, topic: Topic, line: String) {
        self.effects.push_back(Effect::Log(topic, line));
    }

    fn send(&mut self, message: ToBoard) {
        self.effects.push_back(Effect::Send(message));
    }

    fn start_handshake(&mut self) {
        self.state = State::Handshake { seconds: 0 };
        self.send(ToBoard::Identify);
    }

    fn handle_second(&mut self) {
        match self.state {
            State::Handshake { seconds } => {
                self.send(ToBoard::Identify);
                self.state = State::Handshake { seconds: seconds.saturating_add(1) };
                if seconds + 1 == SILENT_AFTER {
                    self.effects.push_back(Effect::Down("the board does not answer".to_owned()));
                }
            }
            State::Connected { silent, .. } if silent >= SILENT_AFTER => {
                self.effects.push_back(Effect::Down(format!("the board has said nothing for {SILENT_AFTER} s")));
                self.start_handshake();
            }
            State::Connected { silent, is_verified } => {
                self.state = State::Connected { silent: silent + 1, is_verified };
                if !std::mem::take(&mut self.is_heartbeat_sent) {
                    self.send_heartbeat();
                    self.is_heartbeat_sent = false;
                }
                self.repeat_commands();
            }
        }
    }

    fn handle_bytes(&mut self, now: Uptime, bytes: &[u8]) {
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new());
        for byte in bytes {
            match decoder.push(*byte) {
                None => {}
                Some(Ok(body)) => self.handle_frame(now, body),
                Some(Err(FrameError::TooLong)) => self.counts.ignore(texts::TOO_LONG),
                Some(Err(FrameError::Malformed)) => self.counts.ignore(texts::MALFORMED),
                Some(Err(FrameError::Checksum)) => self.counts.ignore(texts::CHECKSUM),
            }
        }
        self.decoder = decoder;
        self.request_ack();
    }

    fn handle_frame(&mut self, now: Uptime, body: &[u8]) {
        self.counts.frames += 1;
        let message = match FromBoard::decode(body) {
            Ok(message) => message,
            Err(DecodeError::Version(version)) => {
                self.counts.ignore(texts::NOT_UNDERSTOOD);
                self.effects.push_back(Effect::Down(texts::version(version)));
                self.state = State::Handshake { seconds: SILENT_AFTER };
                return;
            }
            Err(DecodeError::Message) => return self.counts.ignore(texts::NOT_UNDERSTOOD),
        };
        if let State::Connected { silent, .. } = &mut self.state {
            *silent = 0;
        }
        match message {
            FromBoard::Hello(hello) => self.handle_hello(now, &hello),
            // Until it is known whether the board restarted, its numbers say nothing.
            _ if !matches!(self.state, State::Connected { .. }) => {}
            FromBoard::Heartbeat(heartbeat) => self.handle_heartbeat(now, heartbeat),
            FromBoard::Reading(reading) => self.handle_reading(reading),
            FromBoard::Batch(batch) => batch.readings().for_each(|reading| self.handle_reading(reading)),
            FromBoard::Ack(ack) => {
                let remark = self.relays.done(ack.command, ack.limited);
                self.effects.extend(remark.map(|remark| Effect::Log(Topic::State, remark)));
                self.handle_answer(ack.command, None);
            }
            FromBoard::Error(error) => self.handle_answer(error.command, Some(error.reason)),
            FromBoard::Switched(switched) => {
                let outcome = self.relays.switched(&switched);
                self.outcomes(outcome);
            }
        }
    }

    fn handle_hello(&mut self, now: Uptime, hello: &Hello<'_>) {
        match hello.id {
            Some(id) if id == self.id => {}
            Some(_) => return self.effects.push_back(Effect::OtherBoard),
            None => return self.send(ToBoard::SetId(self.id)),
        }
        if self.clock.is_outdated(now) {
            (self.clock, self.board_time) = (BoardClock::default(), None);
        }
        if self.has_restarted(hello) {
            let off = self.relays.restarted();
            self.outcomes(off);
            self.restarted(hello.reset);
        }
        if hello.next == 0 && self.sequence.next.is_none() {
            (self.sequence, self.counters) = (Sequence::of_new_boot(), Counters::of_new_boot());
        }
        let is_news = !matches!(self.state, State::Connected { .. });
        if is_news {
            self.state = State::Connected { silent: 0, is_verified: false };
        }
        let identity = Identity::of(self.id, hello);
        self.channel_types.hello(&identity.channels, hello.next);
        let is_changed = self.identity.as_ref() != Some(&identity);
        self.identity = Some(identity);
        self.note_board_time(now, hello.at);
        if is_news || is_changed {
            self.effects.push_back(Effect::Connected);
        }
        if is_news {
            for (relay, order) in self.relays.to_reenergise() {
                self.send_order(relay, order);
            }
            self.settings.resend_all();
            self.send_setting();
        }
    }

    /// Whether the board booted since its last message: its time or its numbers went back, or another cause reset it. A board that has
    /// booted unseen, and been up for longer since than before, is noticed by the first reading that it sends again.
    fn has_restarted(&self, hello: &Hello<'_>) -> bool {
        let is_reset = self.identity.as_ref().is_some_and(|identity| identity.reset != hello.reset);
        self.board_time.is_some() && is_reset || self.went_back(hello.at, hello.next)
    }

    /// Whether a board time and the number of its next reading are from before what came.
    fn went_back(&self, at: u32, next: u32) -> bool {
        self.board_time.is_some_and(|newest| is_before(at, newest))
            || self.sequence.next.is_some_and(|expected| is_before(next, expected))
    }

    fn restarted(&mut self, reset: ResetCause) {
        // What came before is of the earlier boot.
        self.request_ack();
        self.boots += 1;
        self.counts.restarts += 1;
        self.clock = BoardClock::default();
        (self.sequence, self.counters) = (Sequence::of_new_boot(), Counters::of_new_boot());
        self.channel_types = ChannelTypes::default();
        (self.stored, self.board_time, self.heartbeat) = (None, None, None);
        // What the board was told before is gone with it.
        self.state = State::Handshake { seconds: 0 };
        self.log(Topic::State, format!("the board restarted: {}", texts::reset(reset)));
    }

    fn handle_heartbeat(&mut self, now: Uptime, heartbeat: Heartbeat) {
        if self.went_back(heartbeat.at, heartbeat.next) {
            // The board restarted, and its Hello was lost.
            return self.start_handshake();
        }
        self.note_board_time(now, heartbeat.at);
        let is_new = self.sequence.next.is_none();
        let lost = self.sequence.heartbeat(heartbeat.oldest);
        if lost > 0 {
            self.counts.lost += u64::from(lost);
            self.log(Topic::Loss, texts::lost(lost));
            // The board lost as many readings as there are numbers below its oldest: none of this boot was ever confirmed, so what was
            // counted before is of an earlier one.
            if heartbeat.lost == heartbeat.oldest && !self.counters.counted.is_empty() {
                self.counters = Counters::of_new_boot();
            }
        }
        // Readings that came before their numbers were known, or were lost on the way.
        if self.sequence.is_stuck(heartbeat.next) || (is_new && heartbeat.oldest != heartbeat.next) {
            self.send(ToBoard::Identify);
        }
        self.heartbeat = Some(heartbeat);
        self.compare_relays(heartbeat.on);
        // A Received was lost.
        if heartbeat.oldest != heartbeat.next && self.stored.is_some_and(|stored| !is_before(stored, heartbeat.oldest))
        {
            self.confirm();
        }
    }

    /// Takes the board time of a Hello or Heartbeat, and sends it back at once: the board's clock may run faster than the
    /// machine's in a demo.
    fn note_board_time(&mut self, now: Uptime, at: u32) {
        self.clock.note(at, now);
        self.board_time = Some(at);
        self.send_heartbeat();
    }

    fn send_heartbeat(&mut self) {
        if let Some(heard) = self.board_time {
            self.send(ToBoard::Heartbeat { heard });
            self.is_heartbeat_sent = true;
        }
    }
}

impl Counts {
    fn ignore(&mut self, reason: Reason) {
        *self.ignored.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
