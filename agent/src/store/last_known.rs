//! What was last known of the database, in a small file beside it: a start that finds less says what was lost.
//!
//! `history.last` in the data folder is written at the start, with events, now and then, and at the end; each time beside its place,
//! synced and renamed into it. It may be behind the database, and never ahead of it. A database that is behind it has lost
//! something, or is an older copy; one that is not there was deleted. A file that is not there or cannot be read proves
//! nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tilth_core::time::{Span, Uptime, WallTime};
use tilth_protocol::Lane;

use super::StoreReader;
use super::error::StoreError;
use super::log::Log;
use super::row;
use crate::durable;

const NAME: &str = "history.last";

/// Between two notes of what is known beside the database, where no event asks for one.
const NOTE_AGAIN: Span = Span::from_mins(10);

/// Notes at once with an event; the next after so long. Alerts come seldom, and a storm of them must not wear the card out.
const NOTE_EVENTS: Span = Span::from_secs(20);

/// Notes that are written at once within that time all the same.
const NOTES_AT_ONCE: u32 = 10;

/// A month or more of events: what was lost before them is no news any more, and the start does not wait for a scan of all.
const LOOKED_AT: u32 = 2000;

/// State of the database when it was last noted: content of `history.last`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastKnown {
    /// Names the database, from its making on.
    pub(super) database: String,
    pub(super) boot: u32,
    /// The highest sequence that was committed, by lane.
    pub(super) lanes: BTreeMap<Lane, u64>,
    /// Numbers of alerts up to this one may be in use.
    #[serde(rename = "alerts_until")]
    pub(super) alerts_through: u64,
    /// When this was noted, where the clock was trusted.
    pub(super) at: Option<WallTime>,
    /// The database was open: what was committed last is in its log.
    pub(super) is_open: bool,
}

/// History that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostHistory {
    /// Why, in words.
    pub(crate) reason: String,
    /// The newest that is still there; none where all of it is gone.
    pub(crate) from: Option<WallTime>,
    /// Recorded at least until this time.
    pub(crate) until: Option<WallTime>,
    pub(crate) amount: LossAmount,
}

/// How much of the history was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossAmount {
    All,
    Part,
    /// What a lost log held may be in the database already.
    PerhapsPart,
    /// A kill while the log was written explains what was found: nothing that was committed is gone.
    PerhapsNone,
}

impl LossAmount {
    /// Whether history was there that is gone now.
    pub(crate) fn is_certain(self) -> bool {
        matches!(self, LossAmount::All | LossAmount::Part)
    }
}

impl LastKnown {
    /// Reads `history.last`; `None` where it is not there or cannot be read.
    pub(crate) fn read(data: &Path) -> Option<LastKnown> {
        let bytes = durable::read(&data.join(NAME)).ok().flatten()?;
        durable::parse_checked(&bytes).ok()
    }

    pub(super) fn write(&self, data: &Path) -> io::Result<()> {
        durable::write(data, NAME, &durable::with_checksum(self)?)
    }

    /// What the database that is found, with its log, lacks of what was known.
    pub(super) fn lost_in(&self, found: &LastKnown, log: Log) -> Option<LostHistory> {
        if found.database != self.database {
            return Some(LostHistory::all("another database is in the place of tilth.db".to_owned(), self.at));
        }
        let behind = self.lanes.iter().find_map(|(lane, known)| {
            let found = found.lanes.get(lane).copied().unwrap_or(0);
            (found < *known).then(|| format!("{lane} end with {found}, and {known} were known"))
        });
        let is_behind = behind.is_some() || found.boot < self.boot;
        let lost_log = match log {
            Log::Absent if self.is_open => Some("its log tilth.db-wal was not there".to_owned()),
            Log::Empty if self.is_open => Some("its log tilth.db-wal was empty".to_owned()),
            // No kill did that.
            Log::Unfinished if is_behind => None,
            _ => log.damage(),
        };
        let older = is_behind.then(|| {
            let behind = behind.unwrap_or_else(|| format!("boot {} was known", self.boot));
            format!("tilth.db or its log was cut, or is an older copy ({behind})")
        });
        let amount = if is_behind { LossAmount::Part } else { log.loss() };
        lost_log.or(older).map(|reason| LostHistory { reason, from: None, until: self.at, amount })
    }
}

impl LostHistory {
    /// All of the history, which was recorded at least `until` then.
    pub(super) fn all(reason: String, until: Option<WallTime>) -> LostHistory {
        LostHistory { reason, from: None, until, amount: LossAmount::All }
    }

    /// `now` is when it was noticed, where the clock is trusted; `shown` says a time: in UTC for programs, by the farm's clock for
    /// people.
    pub(crate) fn said(&self, now: Option<WallTime>, shown: impl Fn(WallTime) -> String) -> String {
        let LostHistory { reason, from, until, amount } = self;
        let is = if amount.is_certain() { "is" } else { "may be" };
        let at_least =
            until.map(|until| format!("; it was recorded at least until {}", shown(until))).unwrap_or_default();
        match (*amount == LossAmount::All, *from, *until, now) {
            (true, _, _, Some(now)) => format!("history before {} is missing: {reason}{at_least}", shown(now)),
            (true, _, _, None) => format!("history before this start is missing: {reason}{at_least}"),
            (false, Some(from), Some(until), _) if from < until => {
                format!("history from {} to {} {is} missing: {reason}", shown(from), shown(until))
            }
            (false, Some(from), _, _) => format!("history after {} {is} missing: {reason}", shown(from)),
            (false, None, Some(until), _) => format!("some history before {} {is} missing: {reason}", shown(until)),
            (false, None, None, _) => format!("some history before this start {is} missing: {reason}"),
        }
    }
}

impl StoreReader {
    /// What earlier starts said was lost, the newest first, from the newest [`LOOKED_AT`] events.
    pub(crate) fn said_lost(&self, most: usize) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT json_extract(body, '$.message') FROM event
             WHERE seq > (SELECT max(seq) FROM event) - ? AND kind = 'history-missing' ORDER BY seq DESC";
        let said: Vec<Option<String>> = row::all(&self.0, sql, [LOOKED_AT], |row| row.get(0))?;
        Ok(said.into_iter().flatten().take(most).collect())
    }
}

/// When what is known is noted beside the database.
#[derive(Debug, Default)]
pub(super) struct NoteSchedule {
    /// The highest event, and when that was noted.
    events: u64,
    noted: Option<Uptime>,
    /// Notes that events asked for within [`NOTE_EVENTS`] of another.
    at_once: u32,
}

impl NoteSchedule {
    /// Whether to note it now, with this many events.
    pub(super) fn is_due(&mut self, now: Uptime, events: u64) -> bool {
        let since = self.noted.map(|noted| now - noted);
        let is_soon = since.is_some_and(|since| since < NOTE_EVENTS);
        let is_due = match since {
            None => true,
            Some(since) if events == self.events => since >= NOTE_AGAIN,
            Some(_) => !is_soon || self.at_once < NOTES_AT_ONCE,
        };
        if is_due {
            self.at_once = if is_soon { self.at_once + 1 } else { 0 };
            (self.events, self.noted) = (events, Some(now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests;
