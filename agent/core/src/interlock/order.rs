//! What goes into the interlock and what comes out of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::view::HeldBy;
use crate::actuator::{Actuator, Output, Wanted};
use crate::id::{Id, SensorId};
use crate::plan::AlertKey;
use crate::time::{Span, Stamp, Uptime};

/// Something that happened to actuators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActuatorInput {
    /// Time went on.
    Tick,
    /// A rule or a person wants an actuator on or off.
    Command(Command),
    /// The store holds the booking of this order, and everything that was booked before it.
    Booked(u64),
    /// The store could not keep the booking of this order.
    NotBooked(u64),
    /// The output confirms its state. An output that refuses to switch on confirms that it is off.
    Switched {
        /// The order that it followed last.
        order: u64,
        /// On or off.
        on: bool,
        /// Why it is off by itself, where the output says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<OutputReason>,
    },
    /// Whether the output followed this order is unknown.
    Lost(u64),
    /// A person stops and locks the actuators of a zone.
    Hold {
        /// The zone, also one without an actuator yet.
        zone: Id,
        /// Length of the hold; none: until a person ends it.
        span: Option<Span>,
        /// Name of the person.
        by: String,
    },
    /// A person ends the hold of a zone.
    EndHold {
        /// The zone.
        zone: Id,
        /// Name of the person.
        by: String,
    },
    /// History was lost: what was dosed before is not known.
    DosesUnknown,
    /// A person lets the actuators of a zone dose again although their doses of before are unknown.
    ReleaseDoses {
        /// The zone.
        zone: Id,
        /// Name of the person.
        by: String,
    },
    /// The agent stops: everything is switched off. What is normally energised falls once the link is closed.
    Stop,
}

/// A command for one actuator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Id of the command. One that comes again before it expires does nothing.
    pub id: Id,
    /// The actuator.
    pub actuator: Id,
    /// On for some time, or off.
    pub wanted: Wanted,
    /// From then on it no longer switches anything on.
    pub expires: Uptime,
    /// Person, rule or channel that gave the command.
    pub by: Origin,
}

/// Who or what gave a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A person, by the name they gave.
    Person(String),
    /// A rule, as an action of its alert.
    Rule(AlertKey),
    /// A channel that tells people by the actuator.
    Channel(Id),
    /// The target of the actuator.
    Target,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Keep what the interlock remembers now in the store, and answer with [`ActuatorInput::Booked`] or [`ActuatorInput::NotBooked`].
    Book {
        /// Number of the order.
        order: u64,
        /// The actuator.
        actuator: Id,
        /// Time on that is booked.
        span: Span,
    },
    /// Switch an output.
    Switch(SwitchOrder),
    /// What became of an actuator: keep and show it.
    Report(Box<Actuation>),
    /// A hold began or ended: keep and show it.
    Hold(HoldChange),
}

/// An order for an output, which follows its orders in the order of their numbers and drops one that comes after a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchOrder {
    /// Number of the order, higher with each; unique within a process.
    pub order: u64,
    /// The actuator.
    pub actuator: Id,
    /// Output that drives the actuator.
    pub output: Output,
    /// Whether the output is energised while the actuator is off.
    pub normally_energised: bool,
    /// Whether the actuator should be on.
    pub on: bool,
    /// The output ends being on after so long by itself, counted from when it switched; none: it stays on.
    pub at_most: Option<Span>,
}

/// What became of an actuator.
#[derive(Debug, Clone, PartialEq)]
pub struct Actuation {
    /// When.
    pub at: Stamp,
    /// The actuator.
    pub actuator: Id,
    /// Zone of the actuator; none where nothing is known of the actuator.
    pub zone: Option<Id>,
    /// Number of the order; 0 where none was given.
    pub order: u64,
    /// What happened.
    pub event: Event,
    /// The command that led to it, and who gave it.
    pub command: Option<(Id, Origin)>,
}

/// What happened to an actuator.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The order to switch on was given.
    On {
        /// Longest time on that was ordered; none: until it is switched off.
        at_most: Option<Span>,
        /// Time on within the last hour, with this one.
        hour: Span,
        /// Time on within the last 24 hours, with this one.
        day: Span,
    },
    /// The order to switch off was given, or the output is off by itself.
    Off(OffReason),
    /// Whether the output switched on is unknown; the time ordered counts in full.
    Lost,
    /// The command was not carried out.
    Refused(Refusal),
}

/// Why an actuator was switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffReason {
    /// A command.
    Command,
    /// The target is reached, or the hours of the target are over.
    Target,
    /// The time that was asked for is over.
    TimeOver,
    /// The zone of the actuator is on hold.
    Hold,
    /// History was lost, so what was dosed before is not known.
    DosesUnknown,
    /// A sensor that it needs is not believed, or has no recent value.
    NotFresh(SensorId),
    /// The bus of the output is down.
    BusDown,
    /// The output did not confirm.
    Lost,
    /// The output ended it, or refused it by limits of its own; with the reason, where the output says one.
    Output(Option<OutputReason>),
    /// The configuration no longer has it, or disabled it.
    Removed,
    /// A new configuration makes the actuator exclude another one that is on as well.
    Excluded,
    /// The agent was restarted.
    Restarted,
    /// The agent stops.
    Stopped,
}

/// Why an output is off by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputReason {
    /// The time that was ordered is over.
    Done,
    /// A longest time on of its own, shorter than what was ordered.
    MaxOn,
    /// A shortest pause of its own; it begins with its start, too.
    MinOff,
    /// An exclusion of its own.
    Excluded,
    /// The output heard nothing of the agent for too long.
    LinkLost,
    /// The output restarted.
    Restarted,
    /// The output's limits were changed, at which it goes off.
    Settings,
    /// The order came too late.
    Expired,
    /// The output cannot do what was ordered, such as on a relay that it does not have.
    NotPossible,
    /// The order did not reach it.
    NotReached,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such actuator.
    NoSuchActuator,
    /// The command came before.
    Repeated,
    /// The command expired.
    Expired,
    /// More commands than can be remembered.
    TooMany,
    /// The actuator is disabled.
    Disabled,
    /// The zone of the actuator is on hold.
    Hold,
    /// History was lost, so what was dosed before is not known.
    DosesUnknown,
    /// The bus of the output is down.
    BusDown,
    /// Another actuator that it excludes is on, or may be.
    Excluded(Id),
    /// A sensor that it needs is not believed, or has no recent value.
    NotFresh(SensorId),
    /// The actuator is on already.
    On,
    /// The actuator is being switched off, or another name drives the same output.
    Busy,
    /// The time asked is none.
    NoTime,
    /// The time asked is longer than `max_on`.
    MaxOn(Span),
    /// The actuator was off for less than `min_off`.
    MinOff {
        /// Time to wait.
        wait: Span,
    },
    /// `dose_per_hour` leaves less than the time asked.
    DosePerHour {
        /// Time to wait until the dose asked for fits; none if it never does.
        wait: Option<Span>,
    },
    /// `dose_per_day` leaves less than the time asked.
    DosePerDay {
        /// Time to wait until the dose asked for fits; none if it never does.
        wait: Option<Span>,
    },
    /// The store could not keep the booking, or not before the command expired.
    NotBooked,
    /// The command was ended before the actuator was on.
    Stopped(OffReason),
}

/// A hold began or ended.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldChange {
    /// When.
    pub at: Stamp,
    /// The zone.
    pub zone: Id,
    /// Name of the person; none where the time of the hold is over.
    pub by: Option<String>,
    /// Whether the hold began, or ended.
    pub began: bool,
    /// People and switches that still hold the zone, where this hold ended.
    pub still_held_by: Vec<HeldBy>,
    /// Only actuators with a total are held, because what they dosed before is unknown.
    pub only_doses: bool,
}

impl Command {
    /// Whether the command is remembered until it expires. Those of a channel are not: each is given once, and a storm of other
    /// commands must not keep a siren silent.
    pub(super) fn is_remembered(&self) -> bool {
        !matches!(self.by, Origin::Channel(_))
    }
}

impl SwitchOrder {
    pub(super) fn new(actuator: &Actuator, order: u64, on: bool, at_most: Option<Span>) -> SwitchOrder {
        SwitchOrder {
            order,
            actuator: actuator.id.clone(),
            output: actuator.output.clone(),
            normally_energised: actuator.normally_energised,
            on,
            at_most,
        }
    }
}

impl Actuation {
    pub(super) fn effect(now: Stamp, of: &Actuator, order: u64, event: Event, command: Option<&Command>) -> Effect {
        Effect::Report(Box::new(Actuation {
            at: now,
            actuator: of.id.clone(),
            zone: Some(of.zone.clone()),
            order,
            event,
            command: command.map(|command| (command.id.clone(), command.by.clone())),
        }))
    }
}

impl Refusal {
    /// The word in events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Refusal::NoSuchActuator => "no-such-actuator",
            Refusal::Repeated => "repeated",
            Refusal::Expired => "expired",
            Refusal::TooMany => "too-many",
            Refusal::Disabled => "disabled",
            Refusal::Hold => "hold",
            Refusal::DosesUnknown => "doses-unknown",
            Refusal::BusDown => "bus-down",
            Refusal::Excluded(_) => "excluded",
            Refusal::NotFresh(_) => "not-fresh",
            Refusal::On => "on",
            Refusal::Busy => "busy",
            Refusal::NoTime => "no-time",
            Refusal::MaxOn(_) => "max-on",
            Refusal::MinOff { .. } => "min-off",
            Refusal::DosePerHour { .. } => "dose-per-hour",
            Refusal::DosePerDay { .. } => "dose-per-day",
            Refusal::NotBooked => "not-booked",
            Refusal::Stopped(_) => "stopped",
        }
    }
}

impl OffReason {
    /// The word in events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            OffReason::Command => "command",
            OffReason::Target => "target",
            OffReason::TimeOver => "time-over",
            OffReason::Hold => "hold",
            OffReason::DosesUnknown => "doses-unknown",
            OffReason::NotFresh(_) => "not-fresh",
            OffReason::BusDown => "bus-down",
            OffReason::Lost => "lost",
            OffReason::Output(None | Some(OutputReason::Done)) => "output",
            OffReason::Output(Some(OutputReason::MaxOn)) => "output-max-on",
            OffReason::Output(Some(OutputReason::MinOff)) => "output-min-off",
            OffReason::Output(Some(OutputReason::Excluded)) => "output-excluded",
            OffReason::Output(Some(OutputReason::LinkLost)) => "output-link-lost",
            OffReason::Output(Some(OutputReason::Restarted)) => "output-restarted",
            OffReason::Output(Some(OutputReason::Settings)) => "output-settings",
            OffReason::Output(Some(OutputReason::Expired)) => "output-expired",
            OffReason::Output(Some(OutputReason::NotPossible)) => "output-not-possible",
            OffReason::Output(Some(OutputReason::NotReached)) => "output-not-reached",
            OffReason::Removed => "removed",
            OffReason::Excluded => "excluded",
            OffReason::Restarted => "restarted",
            OffReason::Stopped => "stopped",
        }
    }
}

/// Why, as a person reads it: `time on within an hour is used up; fits in 12 min`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used_up = |f: &mut fmt::Formatter<'_>, period: &str, wait: &Option<Span>| match wait {
            Some(wait) => write!(f, "time on within {period} is used up; fits in {}", wait.in_words()),
            None => write!(f, "longer than its time on within {period}"),
        };
        match self {
            Refusal::NoSuchActuator => f.write_str("there is no such actuator"),
            Refusal::Repeated => f.write_str("this command came before"),
            Refusal::Expired => f.write_str("the command expired"),
            Refusal::TooMany => write!(f, "more than {} commands wait for their expiry", super::MAX_COMMANDS),
            Refusal::Disabled => f.write_str("disabled by the configuration"),
            Refusal::Hold => f.write_str("its zone is on hold"),
            Refusal::DosesUnknown => f.write_str(
                "history is missing, so what was dosed within the last day is unknown; tilth-agent hold says until when, and how to go on",
            ),
            Refusal::BusDown => f.write_str("its bus is down"),
            Refusal::Excluded(other) => write!(f, "{other} is on, or may be"),
            Refusal::NotFresh(sensor) => write!(f, "{sensor} has no recent value that can be believed"),
            Refusal::On => f.write_str("it is on already"),
            Refusal::Busy => f.write_str("its output is still being switched"),
            Refusal::NoTime => f.write_str("expected a time above 0"),
            Refusal::MaxOn(max_on) => write!(f, "longer than its max_on of {max_on}"),
            Refusal::MinOff { wait } => write!(f, "it must stay off for another {}", wait.in_words()),
            Refusal::DosePerHour { wait } => used_up(f, "an hour", wait),
            Refusal::DosePerDay { wait } => used_up(f, "a day", wait),
            Refusal::NotBooked => f.write_str("the dose could not be kept on the disk"),
            Refusal::Stopped(reason) => write!(f, "switched off before it was on: {reason}"),
        }
    }
}

/// Why, as a person reads it.
impl fmt::Display for OffReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OffReason::Command => "by command",
            OffReason::Target => "its target is reached, or its hours are over",
            OffReason::TimeOver => "its time is over",
            OffReason::Hold => "its zone is on hold",
            OffReason::DosesUnknown => "history is missing, so what was dosed before is unknown",
            OffReason::NotFresh(sensor) => {
                return write!(f, "{sensor} has no recent value that can be believed");
            }
            OffReason::BusDown => "its bus is down",
            OffReason::Lost => "its output did not confirm",
            OffReason::Output(None) => "its output is off and did not say why",
            OffReason::Output(Some(reason)) => return reason.fmt(f),
            OffReason::Removed => "the configuration removed or disabled it",
            OffReason::Excluded => "another one that it excludes is on",
            OffReason::Restarted => "the agent restarted",
            OffReason::Stopped => "the agent stops",
        })
    }
}

/// Why, as a person reads it. Every output is a relay of a board.
impl fmt::Display for OutputReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutputReason::Done => "its time is over",
            OutputReason::MaxOn => "the maximum on-time that its board is built with is over",
            OutputReason::MinOff => "its board keeps it off for its minimum off-time, after a start as well",
            OutputReason::Excluded => "its board excludes it while another relay is on",
            OutputReason::LinkLost => "its board heard nothing of the agent for too long",
            OutputReason::Restarted => "its board restarted",
            OutputReason::Settings => "its board was given other limits",
            OutputReason::Expired => "the order reached its board too late",
            OutputReason::NotPossible => "its board cannot do that",
            OutputReason::NotReached => "its board could not be reached",
        })
    }
}

/// As a person reads it: a name, or `rule ph-high of tower-1/ph`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Person(name) => f.write_str(name),
            Origin::Rule(key) => write!(f, "rule {} of {}", key.rule, key.sensor),
            Origin::Channel(channel) => write!(f, "channel {channel}"),
            Origin::Target => f.write_str("its target"),
        }
    }
}
