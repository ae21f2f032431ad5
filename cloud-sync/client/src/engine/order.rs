//! What goes next: events, then live values, then windows newest first up to an hour, then the backlog oldest first.
//!
//! Confirmation is a prefix, sending is not. For each lane the engine keeps the confirmed prefix, and above it the ranges
//! that the hub accepted ahead of it ([`super::lane_progress`]). What is missing is the rest, up to the store's head. From that:
//!
//! - *newest*: the highest missing run above the boundary where the last hour begins; its upper end goes first;
//! - *backlog*: the lowest missing run.
//!
//! An example, 1 to 1000 made while the link was down, the last hour beginning at 901, 50 rows a batch:
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
//! Minutes that close meanwhile are above 1000 and so the newest: they go first, each once. The boundary is found while sending:
//! the first rows of a batch that are more than [`NEWEST_FIRST`] older than the newest window are backlog, with all below them.
//! An accepted batch lets us assume that the hub holds its ranges. A confirmation `c` says that it lacks `c + 1`, and overrides that
//! assumption: so a hub that keeps nothing ahead of its prefix costs a second sending and loses nothing. Ranges ahead are kept in memory
//! only and bounded ([`super::ranges::MAX_RANGES`]): a restart sends again what the store does not have as confirmed. The hub ignores
//! what it has, and refuses another row under the same sequence.

use tilth_core::time::{Span, Stamp, Uptime};
use tilth_protocol::{Extent, Lane, WindowRow};

use super::lane_progress::LaneProgress;
use super::limits::{Intervals, JOIN_ROWS, LIVE_MUTED, MAX_FETCH_BYTES, MAX_ROWS, NEWEST_FIRST};
use super::messages::LaneRange;
use super::meter::TrafficKind;

/// The fewest rows that a slow link shrinks a batch to, about 3 kB compressed: below this a request costs more than its rows.
const SLOW_ROWS: usize = 100;

/// Progress of all lanes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) events: LaneProgress,
    pub(super) windows: LaneProgress,
    pub(super) diagnostics: LaneProgress,
}

impl Progress {
    pub(super) fn of(&self, lane: Lane) -> &LaneProgress {
        match lane {
            Lane::Events => &self.events,
            Lane::Windows => &self.windows,
            Lane::Diagnostics => &self.diagnostics,
        }
    }

    pub(super) fn of_mut(&mut self, lane: Lane) -> &mut LaneProgress {
        match lane {
            Lane::Events => &mut self.events,
            Lane::Windows => &mut self.windows,
            Lane::Diagnostics => &mut self.diagnostics,
        }
    }

    /// Whether any lane has something that the hub lacks.
    pub(super) fn any_unconfirmed(&self) -> bool {
        Lane::ALL.into_iter().any(|lane| self.of(lane).unconfirmed() > 0)
    }

    fn bulk_unconfirmed(&self) -> bool {
        self.windows.unconfirmed() > 0 || self.diagnostics.unconfirmed() > 0
    }
}

/// When each kind of thing may go next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueTimes {
    /// Set while events wait.
    events_at: Option<Uptime>,
    bulk_at: Uptime,
    live_at: Uptime,
    heartbeat_at: Uptime,
}

impl DueTimes {
    /// Everything may go at once, a heartbeat included.
    pub(super) fn new(now: Uptime) -> DueTimes {
        DueTimes { events_at: None, bulk_at: now, live_at: now, heartbeat_at: now }
    }

    /// Rows may have come.
    pub(super) fn notice(&mut self, progress: &Progress, intervals: &Intervals, now: Uptime) {
        if progress.events.unconfirmed() == 0 {
            self.events_at = None;
        } else if self.events_at.is_none() {
            self.events_at = Some(now + intervals.batch_delay);
        }
    }

    /// A batch was accepted; `bulk` if it brought windows or diagnostics, `live` if it was to bring live values.
    pub(super) fn sent(&mut self, bulk: bool, live: bool, progress: &Progress, intervals: &Intervals, now: Uptime) {
        self.heartbeat_at = now + intervals.heartbeat;
        if bulk {
            self.bulk_at = now + if progress.bulk_unconfirmed() { intervals.backlog } else { intervals.windows };
        }
        if live && let Some(period) = intervals.live {
            self.live_at = self.live_at.max(now + period);
        }
        self.events_at = None;
        self.notice(progress, intervals, now);
    }

    /// Another stream: everything waits, and gathers again.
    pub(super) fn restart(&mut self, now: Uptime) {
        self.events_at = None;
        self.bulk_at = now;
    }

    /// The hub cannot read the live values: send none for a while.
    pub(super) fn mute_live(&mut self, now: Uptime) {
        self.live_at = now + LIVE_MUTED;
    }

    /// When the next batch is due.
    pub(super) fn due(&self, progress: &Progress, intervals: &Intervals) -> Uptime {
        let events = self.events_at.filter(|_| progress.events.unconfirmed() > 0);
        let bulk = Some(self.bulk_at).filter(|_| progress.bulk_unconfirmed());
        let live = intervals.live.filter(|&period| period < intervals.windows).map(|_| self.live_at);
        [events, bulk, live].into_iter().flatten().fold(self.heartbeat_at, Uptime::min)
    }

    /// What the next batch brings, and whether live values go with it.
    pub(super) fn plan(
        &self,
        progress: &Progress,
        intervals: &Intervals,
        limit: usize,
        now: Uptime,
    ) -> (Vec<LaneRange>, bool) {
        let mut left = limit;
        let mut wanted = Vec::new();
        let mut want = |lane: Lane, run: Option<(u64, u64)>, newest: bool| {
            let Some((first, last)) = run.filter(|_| left > 0) else { return };
            let run_rows = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
            // The newest part of the run; the store gives from the first sequence on.
            let first = if newest && run_rows > left { last - (left as u64 - 1) } else { first };
            wanted.push(LaneRange { lane, first, last, max_rows: left, max_bytes: MAX_FETCH_BYTES });
            left -= run_rows.min(left);
        };
        want(Lane::Events, progress.events.oldest(), false);
        let events_wait = progress.events.unconfirmed() > 0;
        let few = progress.windows.unconfirmed() + progress.diagnostics.unconfirmed() <= JOIN_ROWS;
        if self.bulk_at <= now && (few || !events_wait) {
            match progress.windows.newest() {
                Some(run) => want(Lane::Windows, Some(run), true),
                None => want(Lane::Windows, progress.windows.oldest(), false),
            }
            want(Lane::Diagnostics, progress.diagnostics.oldest(), false);
        }
        let parts = wanted.len().max(1);
        wanted.iter_mut().for_each(|part| part.max_bytes /= parts);
        (wanted, intervals.live.is_some() && self.live_at <= now)
    }
}

/// What the bytes of these windows are for.
pub(super) fn windows_traffic(progress: &Progress, wanted: &[LaneRange]) -> TrafficKind {
    let newest = progress.windows.newest();
    let is_newest = |part: &LaneRange| newest.is_some_and(|(first, last)| part.last == last && part.first >= first);
    match wanted.iter().find(|part| part.lane == Lane::Windows) {
        Some(part) if !is_newest(part) => TrafficKind::Backlog,
        _ => TrafficKind::Windows,
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

/// How many rows the next batch may have: halved by a slow link or a hub that takes less, doubled by
/// each accepted batch.
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

    /// The link did not carry `rows` in time.
    pub(super) fn slow(&mut self, rows: usize) {
        if rows > SLOW_ROWS {
            self.0 = (rows.min(self.0) / 2).max(SLOW_ROWS);
        }
    }

    /// A batch with rows was accepted.
    pub(super) fn grow(&mut self) {
        self.0 = (self.0 * 2).min(MAX_ROWS);
    }
}
