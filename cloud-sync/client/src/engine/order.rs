//! What goes next: events, then live values, then windows newest first up to an hour, then the backlog oldest first.
//!
//! Confirmation is a prefix, sending is not. For each lane the engine keeps the confirmed prefix, and above it the ranges
//! that the hub took ahead of it ([`super::book`]). What is missing is the rest, up to the store's head. From that:
//!
//! - *newest*: the highest missing run above the line where the last hour begins; its upper end goes first;
//! - *backlog*: the lowest missing run.
//!
//! An example, 1 to 1000 made while the line was down, the last hour beginning at 901, 50 rows a batch:
//!
//! ```text
//! sent        the hub holds             it confirms   missing
//! 951..=1000  951..=1000                0             1..=950
//! 901..=950   901..=1000                0             1..=900     the newest hour is there
//! 1..=50      1..=50, 901..=1000        50            51..=900    from here oldest first
//! ..
//! 851..=900   1..=1000                  1000          nothing     the hub jumps over what it had
//! ```
//!
//! Minutes that close meanwhile are above 1000 and so the newest: they go first, each once. The line is found as rows pass:
//! a run of rows at the lower end of a batch that began more than [`NEWEST_FIRST`] before the newest window seen is old, and
//! so is all below it. An answer to a batch is the hub's word that it holds the batch's ranges; its confirmation `c` is its
//! word that it does not account for `c + 1`, which beats what was believed: so a hub that keeps nothing ahead of its prefix
//! costs a second sending and loses nothing. Ranges ahead are kept in memory only and bounded
//! ([`super::ranges::MAX_RANGES`]): a restart sends at most those again, which the hub ignores.

use tilth_core::time::{Span, Stamp, Uptime};
use tilth_protocol::{Extent, Lane, WindowRow};

use super::book::Book;
use super::messages::Wanted;
use super::meter::Purpose;
use super::pace::{JOIN_ROWS, LIVE_MUTED, MAX_FETCH_BYTES, MAX_ROWS, NEWEST_FIRST, Pace};

/// The fewest rows that a slow line shrinks a batch to, about 3 kB compressed: below this a request costs more than its rows.
const SLOW_ROWS: usize = 100;

/// The books of the lanes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Books {
    pub(super) events: Book,
    pub(super) windows: Book,
    pub(super) diagnostics: Book,
}

impl Books {
    pub(super) fn of(&self, lane: Lane) -> &Book {
        match lane {
            Lane::Events => &self.events,
            Lane::Windows => &self.windows,
            Lane::Diagnostics => &self.diagnostics,
        }
    }

    pub(super) fn of_mut(&mut self, lane: Lane) -> &mut Book {
        match lane {
            Lane::Events => &mut self.events,
            Lane::Windows => &mut self.windows,
            Lane::Diagnostics => &mut self.diagnostics,
        }
    }

    /// Whether any lane has something that the hub lacks.
    pub(super) fn any_missing(&self) -> bool {
        Lane::ALL.into_iter().any(|lane| self.of(lane).missing() > 0)
    }

    fn bulk_missing(&self) -> bool {
        self.windows.missing() > 0 || self.diagnostics.missing() > 0
    }
}

/// When each kind of thing may go next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agenda {
    /// Set while events wait.
    events_at: Option<Uptime>,
    bulk_at: Uptime,
    live_at: Uptime,
    heartbeat_at: Uptime,
}

impl Agenda {
    /// Everything may go at once, a sign of life too.
    pub(super) fn new(now: Uptime) -> Agenda {
        Agenda { events_at: None, bulk_at: now, live_at: now, heartbeat_at: now }
    }

    /// Rows may have come.
    pub(super) fn notice(&mut self, books: &Books, pace: &Pace, now: Uptime) {
        if books.events.missing() == 0 {
            self.events_at = None;
        } else if self.events_at.is_none() {
            self.events_at = Some(now + pace.gather);
        }
    }

    /// A batch was taken; `bulk` if it brought windows or diagnostics, `live` if it was to bring live values.
    pub(super) fn sent(&mut self, bulk: bool, live: bool, books: &Books, pace: &Pace, now: Uptime) {
        self.heartbeat_at = now + pace.heartbeat;
        if bulk {
            self.bulk_at = now + if books.bulk_missing() { pace.backlog } else { pace.windows };
        }
        if live && let Some(period) = pace.live {
            self.live_at = self.live_at.max(now + period);
        }
        self.events_at = None;
        self.notice(books, pace, now);
    }

    /// Another stream: everything waits, and gathers anew.
    pub(super) fn restart(&mut self, now: Uptime) {
        self.events_at = None;
        self.bulk_at = now;
    }

    /// The hub cannot do with the live values: keep them at home for a while.
    pub(super) fn mute_live(&mut self, now: Uptime) {
        self.live_at = now + LIVE_MUTED;
    }

    /// When the next batch is due.
    pub(super) fn due(&self, books: &Books, pace: &Pace) -> Uptime {
        let events = self.events_at.filter(|_| books.events.missing() > 0);
        let bulk = Some(self.bulk_at).filter(|_| books.bulk_missing());
        let live = pace.live.filter(|&period| period < pace.windows).map(|_| self.live_at);
        [events, bulk, live].into_iter().flatten().fold(self.heartbeat_at, Uptime::min)
    }

    /// What the next batch brings, and whether live values go with it.
    pub(super) fn plan(&self, books: &Books, pace: &Pace, limit: usize, now: Uptime) -> (Vec<Wanted>, bool) {
        let mut left = limit;
        let mut wanted = Vec::new();
        let mut want = |lane: Lane, run: Option<(u64, u64)>, newest: bool| {
            let Some((first, last)) = run.filter(|_| left > 0) else { return };
            let run_rows = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
            // The newest part of the run; the store gives from the first sequence on.
            let first = if newest && run_rows > left { last - (left as u64 - 1) } else { first };
            wanted.push(Wanted { lane, first, last, max_rows: left, max_bytes: MAX_FETCH_BYTES });
            left -= run_rows.min(left);
        };
        want(Lane::Events, books.events.oldest(), false);
        let events_wait = books.events.missing() > 0;
        let few = books.windows.missing() + books.diagnostics.missing() <= JOIN_ROWS;
        if self.bulk_at <= now && (few || !events_wait) {
            match books.windows.newest() {
                Some(run) => want(Lane::Windows, Some(run), true),
                None => want(Lane::Windows, books.windows.oldest(), false),
            }
            want(Lane::Diagnostics, books.diagnostics.oldest(), false);
        }
        let parts = wanted.len().max(1);
        wanted.iter_mut().for_each(|part| part.max_bytes /= parts);
        (wanted, pace.live.is_some() && self.live_at <= now)
    }
}

/// What bytes of this part of the windows are for.
pub(super) fn windows_are(books: &Books, wanted: &[Wanted]) -> Purpose {
    let newest = books.windows.newest();
    let is_newest = |part: &Wanted| newest.is_some_and(|(first, last)| part.last == last && part.first >= first);
    match wanted.iter().find(|part| part.lane == Lane::Windows) {
        Some(part) if !is_newest(part) => Purpose::Backfill,
        _ => Purpose::Windows,
    }
}

/// The newest window that passed, against which others are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Newest(Option<Stamp>);

impl Newest {
    /// Looks at windows that are about to go: through which sequence is everything old?
    pub(super) fn look(&mut self, extent: &Extent<WindowRow>) -> Option<u64> {
        for row in &extent.rows {
            if self.0.is_none_or(|newest| (newest.boot, newest.uptime) < (row.start.boot, row.start.uptime)) {
                self.0 = Some(row.start);
            }
        }
        let Some(newest) = self.0.filter(|_| !extent.rows.is_empty()) else { return Some(extent.last) };
        match extent.rows.iter().find(|row| !is_old(row.start, newest)) {
            None => Some(extent.last),
            Some(row) if row.seq > extent.first => Some(row.seq - 1),
            Some(_) => None,
        }
    }
}

/// Within a boot by uptime, across boots by the time of day; where neither can tell, an earlier boot is old.
fn is_old(start: Stamp, newest: Stamp) -> bool {
    let age: Option<Span> = if start.boot == newest.boot {
        Some(newest.uptime - start.uptime)
    } else {
        newest.wall.zip(start.wall).map(|(newest, start)| newest - start)
    };
    age.is_none_or(|age| age > NEWEST_FIRST)
}

/// How many rows the next batch may have: halved by a slow line or a hub that takes less, doubled by
/// each batch that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit(usize);

impl Limit {
    pub(super) fn new() -> Limit {
        Limit(MAX_ROWS)
    }

    pub(super) fn rows(self) -> usize {
        self.0
    }

    /// The hub takes less than `rows`.
    pub(super) fn halve(&mut self, rows: usize) {
        self.0 = (rows.min(self.0) / 2).max(1);
    }

    /// The line did not carry `rows` in time.
    pub(super) fn slow(&mut self, rows: usize) {
        if rows > SLOW_ROWS {
            self.0 = (rows.min(self.0) / 2).max(SLOW_ROWS);
        }
    }

    /// A batch with rows was taken.
    pub(super) fn grow(&mut self) {
        self.0 = (self.0 * 2).min(MAX_ROWS);
    }
}
