//! All relays of a board: commands, mutual exclusion, and which outputs must be set.

use tilth_wire::{OffReason, Refusal, Switch, Switched, Writer};

use crate::relay::{Limits, Relay};
use crate::time::BoardTime;

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
    pub(crate) const OFF: Self = Self {
        on: 0,
        unset: 0,
        unreported: 0,
        relays: [const { Relay::new(BoardTime::from_millis(0), Limits::NONE) }; N],
    };

    /// Starts a relay off; its output is set before anything else.
    pub(crate) fn start(&mut self, now: BoardTime, number: u8, limits: Limits) {
        if let Some(relay) = self.relays.get_mut(usize::from(number)) {
            *relay = Relay::new(now, limits);
            self.unset |= bit(number);
        }
    }

    pub(crate) fn limits(&self, relay: u8) -> Option<&Limits> {
        self.relays.get(usize::from(relay)).map(Relay::limits)
    }

    /// Switches a relay on or off; whether the board's limits hold in place of what was asked. `silence` is the agent's, in milliseconds.
    ///
    /// # Errors
    ///
    /// When the command must not be done, with the reason.
    pub(crate) fn switch(&mut self, now: BoardTime, silence: u32, switch: &Switch) -> Result<bool, Refusal> {
        let number = switch.relay;
        let is_excluded = self.is_excluded(number);
        let relay = self.relays.get_mut(usize::from(number)).ok_or(Refusal::NoSuchNumber)?;
        let mut limited = false;
        if switch.on_for == 0 {
            relay.switch_off(now, OffReason::Command);
        } else {
            let left = switch.expires.wrapping_sub(now.millis());
            if left == 0 || left > MAX_EXPIRY {
                return Err(Refusal::Expired);
            }
            if is_excluded {
                return Err(Refusal::Excluded);
            }
            limited = relay.switch_on(now, silence, switch.command, switch.on_for)?;
        }
        self.note(number);
        Ok(limited)
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
            if self.relays[usize::from(number)].advance(now, silence) {
                self.note(number);
            }
        }
    }

    /// Sets the limits of a relay; whether that changed them.
    pub(crate) fn set_limits(&mut self, now: BoardTime, number: u8, limits: &Limits) -> bool {
        let relay = self.relays.get_mut(usize::from(number));
        let changes = relay.is_some_and(|relay| relay.set_limits(now, limits));
        self.note(number);
        changes
    }

    /// Notes whether a relay changed.
    fn note(&mut self, number: u8) {
        let is_on = self.relays.get(usize::from(number)).is_some_and(Relay::is_on);
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
        if let Some(relay) = self.relays.get(usize::from(number)) {
            let (at, command, off) = (relay.since.millis(), relay.command, relay.off());
            Switched { at, relay: number, command, off }.write(frame);
        }
    }

    /// Relays that are on, as bits.
    pub(crate) fn on(&self) -> u8 {
        self.on
    }

    /// When [`Relays::advance`] has something to do, if the agent was last heard then.
    pub(crate) fn deadline(&self, heard: Option<BoardTime>) -> Option<BoardTime> {
        self.relays.iter().filter_map(|relay| relay.deadline(heard)).reduce(BoardTime::earlier)
    }
}

/// The bit of a relay. A relay beyond the eighth does not exist, and has the bit of one that does not matter then.
const fn bit(number: u8) -> u8 {
    1 << (number & 7)
}

/// Number of the lowest bit that is set. Counted one by one: an AVR has no instruction for it.
#[inline(never)]
fn lowest(bits: u8) -> Option<u8> {
    (0..8).find(|number| bits & bit(*number) != 0)
}
