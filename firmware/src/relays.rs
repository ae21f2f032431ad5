//! All relays of a board: commands, mutual exclusion, and which outputs must be set.

use tilth_wire::{OffReason, Refusal, Switch, Switched, Writer};

use crate::answers::Outcome;
use crate::bits::{bit, lowest};
use crate::relay::{Limits, Relay};
use crate::time::{BoardTime, is_at_least};

/// How far ahead a command's expiry may be, in milliseconds. One further ahead was made before the board restarted, when its clock
/// showed more.
const MAX_EXPIRY: u32 = 60_000;

/// Relays of a board.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Relays<const N: usize> {
    /// Relays that are on, as bits.
    on: u8,
    /// Relays whose output is not yet set as their state says, as bits.
    unset: u8,
    /// Relays whose change is not yet reported, as bits.
    unreported: u8,
    relays: [Relay; N],
}

impl<const N: usize> Relays<N> {
    /// Relays that are off, and have no limits yet.
    pub(crate) const OFF: Self = Self { on: 0, unset: 0, unreported: 0, relays: [const { Relay::OFF }; N] };

    /// Starts a relay, which is off; its output is set before anything else.
    pub(crate) fn start(&mut self, now: BoardTime, number: u8, limits: &Limits) {
        self.unset |= bit(number);
        if let Some(relay) = self.relay_mut(number) {
            relay.start(now, limits);
        }
    }

    #[inline(never)]
    fn relay(&self, number: u8) -> Option<&Relay> {
        self.relays.get(usize::from(number))
    }

    #[inline(never)]
    fn relay_mut(&mut self, number: u8) -> Option<&mut Relay> {
        self.relays.get_mut(usize::from(number))
    }

    pub(crate) fn limits(&self, relay: u8) -> Option<&Limits> {
        self.relay(relay).map(Relay::limits)
    }

    /// Switches a relay on or off. `silence` is the agent's, in milliseconds.
    pub(crate) fn switch(&mut self, now: BoardTime, silence: u32, switch: &Switch) -> Outcome {
        let number = switch.relay;
        let is_excluded = self.is_excluded(number);
        let Some(relay) = self.relay_mut(number) else {
            return Outcome::Refused(Refusal::NoSuchNumber);
        };
        let mut outcome = Outcome::Done;
        if switch.on_for == 0 {
            relay.switch_off(now, OffReason::Command);
        } else if relay.was_switched_by(switch.command) {
            // So late that its answer is forgotten.
        } else {
            // 0, which has expired, becomes the largest number.
            let left = switch.expires.wrapping_sub(now.millis()).wrapping_sub(1);
            if is_at_least(left, MAX_EXPIRY) {
                return Outcome::Refused(Refusal::Expired);
            }
            if is_excluded {
                return Outcome::Refused(Refusal::Excluded);
            }
            outcome = relay.switch_on(now, silence, switch.command, switch.on_for);
        }
        self.note(number);
        outcome
    }

    /// Whether a relay is on that this one excludes, or that excludes this one.
    #[inline(never)]
    fn is_excluded(&self, number: u8) -> bool {
        let excludes = self.limits(number).map_or(0, |limits| limits.excludes);
        let excludes_this = |relay: &Relay| relay.limits().excludes & bit(number) != 0;
        (0..).zip(&self.relays).any(|(other, relay)| {
            other != number && relay.is_on() && (excludes & bit(other) != 0 || excludes_this(relay))
        })
    }

    /// Ends what is over by now.
    pub(crate) fn advance(&mut self, now: BoardTime, silence: u32) {
        for number in 0..N as u8 {
            if self.relay_mut(number).is_some_and(|relay| relay.advance(now, silence)) {
                self.note(number);
            }
        }
    }

    /// Sets the limits of a relay; whether that changed them.
    pub(crate) fn set_limits(&mut self, now: BoardTime, number: u8, limits: &Limits) -> bool {
        let relay = self.relay_mut(number);
        let changes = relay.is_some_and(|relay| relay.set_limits(now, limits));
        self.note(number);
        changes
    }

    /// Notes whether a relay changed.
    fn note(&mut self, number: u8) {
        let is_on = self.relay(number).is_some_and(Relay::is_on);
        let bit = bit(number);
        if is_on != (self.on & bit != 0) {
            self.on ^= bit;
            self.unset |= bit;
            self.unreported |= bit;
        }
    }

    /// The next output to set, and whether it is on. Outputs go off before others go on.
    pub(crate) fn next_output(&mut self) -> Option<(u8, bool)> {
        let number = lowest(self.unset & !self.on).or_else(|| lowest(self.unset))?;
        self.unset &= !bit(number);
        Some((number, self.on & bit(number) != 0))
    }

    /// The next relay whose change is to be reported.
    pub(crate) fn next_report(&mut self) -> Option<u8> {
        let number = lowest(self.unreported)?;
        self.unreported &= !bit(number);
        Some(number)
    }

    /// Writes what became of a relay.
    #[inline(never)]
    pub(crate) fn write_report(&self, number: u8, frame: &mut Writer<'_>) {
        if let Some(relay) = self.relay(number) {
            let (at, command, off) = (relay.since.millis(), relay.command, relay.off());
            Switched { at, relay: number, command, off }.write(frame);
        }
    }

    /// Relays that are on, as bits.
    pub(crate) fn on(&self) -> u8 {
        self.on
    }

    /// When [`Relays::advance`] has something to do, if the agent has been silent for so long now.
    pub(crate) fn deadline(&self, now: BoardTime, silence: u32) -> Option<BoardTime> {
        self.relays.iter().filter_map(|relay| relay.deadline(now, silence)).reduce(BoardTime::earlier)
    }
}
