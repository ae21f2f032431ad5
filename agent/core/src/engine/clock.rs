//! The engine's idea of time: which boot it is, what time of day where that is known, and where minutes begin.

use serde::{Deserialize, Serialize};

use super::Start;
use crate::time::{Span, Stamp, Uptime, WallTime};
use crate::windows::Grain;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    boot: u32,
    /// Time of day at uptime zero, in milliseconds since 1970, where the clock is trusted.
    offset: Option<i64>,
    /// Phase of the windows' grid, ms; kept from the first reading until the boot ends, whatever the clock learns later.
    phase: Option<i64>,
    carried: Option<Carried>,
}

/// What is known of the time before this boot, while this boot's clock is not trusted: time spent off counts once it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Carried {
    /// Deadlines set in this boot or before it are meant.
    boot: u32,
    /// The last trusted time of day.
    wall: WallTime,
    /// How much of the time since then has been counted already, being time that some boot was up.
    counted: Span,
    /// Up to when it was counted.
    counted_to: Uptime,
}

impl Clock {
    pub(crate) fn new(start: Start) -> Clock {
        let offset = start.wall.map(|wall| wall.0 - start.at.0);
        Clock { boot: start.boot, offset, phase: None, carried: None }
    }

    /// The clock of a new boot.
    pub(crate) fn restart(&self, last: Uptime, start: Start) -> Clock {
        let carried = match (self.wall(last), self.carried) {
            (Some(wall), _) => Some(Carried { boot: self.boot, wall, counted: Span::ZERO, counted_to: start.at }),
            (None, Some(carried)) => {
                let counted = Span(carried.counted.0 + (last - carried.counted_to).0);
                Some(Carried { counted, counted_to: start.at, ..carried })
            }
            (None, None) => None,
        };
        Clock { carried, ..Clock::new(start) }
    }

    /// The clock is trusted from here on: the time of day at `now`.
    pub(crate) fn set(&mut self, now: Uptime, wall: WallTime) {
        self.offset = Some(wall.0 - now.0);
    }

    /// Once, when the clock is trusted: how long the device was off before, for waits that were set up to a boot.
    pub(crate) fn time_off(&mut self, now: Uptime) -> Option<(u32, Span)> {
        let elapsed = self.wall(now)? - self.carried?.wall;
        let carried = self.carried.take()?;
        let off = elapsed.0 - carried.counted.0 - (now - carried.counted_to).0;
        Some((carried.boot, Span(off.max(0))))
    }

    pub(crate) fn boot(&self) -> u32 {
        self.boot
    }

    /// The boot is counted now.
    pub(super) fn count(&mut self, boot: u32) {
        self.boot = boot;
    }

    pub(super) fn wall(&self, at: Uptime) -> Option<WallTime> {
        self.offset.map(|offset| WallTime(offset.saturating_add(at.0)))
    }

    pub(crate) fn stamp(&self, uptime: Uptime) -> Stamp {
        Stamp { boot: self.boot, uptime, wall: self.wall(uptime) }
    }

    /// A stamp of this boot that was made before its time of day was known.
    pub(super) fn completed(&self, stamp: Stamp) -> Stamp {
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
