//! The engine's idea of time: which boot it is, what time of day where that is known, and where minutes begin.
//!
//! Time that the device was off counts for waits (a dose that is an hour old, a hold) once the time of day is known. As the clock may have
//! been wrong before, it counts from the latest time of day that was ever believed. So after a clock that was a year ahead by mistake, no
//! time off is counted, until the clock has been behind that time of day for a week ([`FORGOTTEN_AFTER`]): then it is forgotten.

use serde::{Deserialize, Serialize};

use super::Start;
use crate::time::{Span, Stamp, Uptime, WallTime};
use crate::windows::Grain;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    boot: u32,
    /// Time of day at uptime zero, in milliseconds since 1970, where the clock is trusted.
    offset: Option<i64>,
    /// Phase of the windows' grid, ms; kept from the first reading until the boot ends, even when the clock is corrected later.
    phase: Option<i64>,
    /// The latest time of day at uptime zero that was ever believed; over a reboot as if the device had not been off. A clock that is set
    /// back and forth adds no time.
    #[serde(default)]
    latest: Option<i64>,
    /// Since when the clock has been behind that by more than [`TOLERANCE`].
    #[serde(default)]
    behind: Option<Uptime>,
    /// When the clock was last behind.
    #[serde(rename = "doubted", default)]
    last_behind: Option<Uptime>,
    #[serde(default)]
    off: Option<TimeOff>,
}

/// Time that the device was off before this boot: it counts once the time of day is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct TimeOff {
    /// For waits that were set in this boot or before it.
    boot: u32,
    /// The time of day at uptime zero if the device had been on.
    #[serde(rename = "without")]
    if_on: i64,
    /// How much was counted when the time of day became known. A correction may show that it was less.
    counted: Option<Span>,
}

/// A time of day that was once believed is forgotten when the clock has been behind it for so long: waits of before are over.
const FORGOTTEN_AFTER: Span = Span::from_mins(7 * 24 * 60);

/// A clock is corrected by moments all the time: a dose may count as older by so much.
const TOLERANCE: Span = Span::from_secs(60);

impl Clock {
    pub(crate) fn new(start: Start) -> Clock {
        let offset = start.wall.map(|wall| wall.0 - start.at.0);
        Clock { boot: start.boot, offset, phase: None, latest: offset, behind: None, last_behind: None, off: None }
    }

    /// The clock of a new boot. What happened in a boot whose clock was behind has no time of day that can be trusted, for it may have
    /// been behind from its start on; time off counts for what was before it alone.
    pub(crate) fn restart(&self, last: Uptime, start: Start) -> Clock {
        let is_forgotten = self.behind.is_some_and(|since| last - since > FORGOTTEN_AFTER);
        // Earlier versions did not keep the latest.
        let latest = self.latest.filter(|_| !is_forgotten).or(self.offset);
        let if_on = latest.map(|latest| latest.saturating_add((last - start.at).0));
        let is_recent = |since: &Uptime| !is_forgotten && last - *since <= FORGOTTEN_AFTER;
        let last_behind =
            self.last_behind.map(|since| if self.is_behind(self.offset) { last } else { since }).filter(is_recent);
        let is_trusted = self.offset.is_some() && last_behind.is_none();
        let boot = if is_trusted { Some(self.boot) } else { self.off.map(|off| off.boot) };
        let off = boot.zip(if_on).map(|(boot, if_on)| TimeOff { boot, if_on, counted: None });
        let new = Clock::new(start);
        let behind = self.behind.filter(|_| !is_forgotten).map(|since| since - (last - start.at));
        let last_behind = last_behind.map(|since| since - (last - start.at));
        let is_behind = Clock { latest: if_on, ..new.clone() }.is_behind(new.offset);
        let (behind, last_behind) =
            if is_behind { (behind.or(Some(start.at)), Some(start.at)) } else { (behind, last_behind) };
        Clock { latest: new.latest.max(if_on), behind, last_behind, off, ..new }
    }

    /// Whether a time of day at uptime zero is more than a correction behind the latest.
    pub(super) fn is_behind(&self, offset: Option<i64>) -> bool {
        offset.zip(self.latest).is_some_and(|(offset, latest)| offset.saturating_add(TOLERANCE.0) < latest)
    }

    /// The clock is trusted from here on: the time of day at `now`.
    pub(crate) fn set(&mut self, now: Uptime, wall: WallTime) {
        let offset = wall.0 - now.0;
        self.offset = Some(offset);
        let is_behind = self.is_behind(Some(offset));
        self.last_behind = if is_behind { Some(now) } else { self.last_behind };
        self.behind = is_behind.then(|| self.behind.unwrap_or(now));
        self.latest = self.latest.max(Some(offset));
    }

    /// By how much the waits that were set up to a boot move: back once, when the clock is trusted, by the time that the device was
    /// off; and forth again where a correction shows that this was less.
    pub(crate) fn move_waits(&mut self) -> Option<(u32, Span)> {
        let (offset, off) = (self.offset?, self.off.as_mut()?);
        let spent = Span(offset.saturating_sub(off.if_on).max(0));
        let counted = off.counted.map_or(spent, |counted| counted.min(spent));
        let before = off.counted.replace(counted).unwrap_or(Span::ZERO);
        (counted != before).then_some((off.boot, Span(before.0 - counted.0)))
    }

    pub(crate) fn boot(&self) -> u32 {
        self.boot
    }

    /// The boot has its number now.
    pub(super) fn set_boot(&mut self, boot: u32) {
        self.boot = boot;
    }

    pub(super) fn wall(&self, at: Uptime) -> Option<WallTime> {
        self.offset.map(|offset| WallTime(offset.saturating_add(at.0)))
    }

    pub(crate) fn stamp(&self, uptime: Uptime) -> Stamp {
        Stamp { boot: self.boot, uptime, wall: self.wall(uptime) }
    }

    /// A stamp of this boot that was made before its time of day was known.
    pub(super) fn with_wall(&self, stamp: Stamp) -> Stamp {
        if stamp.boot == self.boot && stamp.wall.is_none() { self.stamp(stamp.uptime) } else { stamp }
    }

    /// Phase of the windows' grid, ms, settled with the first call of a boot.
    pub(super) fn phase(&mut self) -> i64 {
        *self.phase.get_or_insert(self.offset.unwrap_or(0).rem_euclid(Grain::Quarter.span().0))
    }

    /// Phase of the windows' grid, ms; 0 before it is settled.
    pub(super) fn known_phase(&self) -> i64 {
        self.phase.unwrap_or(0)
    }
}
