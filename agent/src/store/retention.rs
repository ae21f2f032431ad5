//! Retention: decides which rows to delete next when age or size limits are exceeded. Pure.
//!
//! ```text
//! older than the tier keeps, and confirmed ------------------------------> deleted
//! events over their share ----------> repeats of alerts that are over ---> one counted digest row
//! over the cap, or the disk nearly full:
//!   raw, its windows confirmed -> raw -> windows confirmed -> minutes whose quarter is kept: replaced by it
//!     -> over the cap: diagnostics, lost -> the oldest quarters: lost -> over the cap: the oldest events that are of no open alert: lost
//! ```

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Confirmed rows older than this many days go: 7, 30 or 90 by tier.
    pub(crate) keep_days: u32,
    /// Whether a hub confirms rows. Without one age alone decides on diagnostics, which only a hub reads.
    pub(crate) has_hub: bool,
    /// The most that the tables may hold.
    pub(crate) most_bytes: u64,
    /// With less than this free on the disk, the file does not grow.
    pub(crate) least_free_bytes: u64,
    /// What events may hold before repeats are collapsed; they are the last that is given up.
    pub(crate) events_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RowKind {
    /// Blocks of raw readings.
    Raw,
    Minutes,
    /// Blocks of quarters of an hour.
    Quarters,
    Events,
    Diagnostics,
}

impl RowKind {
    /// In events, `status` and messages.
    pub(super) const fn words(self) -> &'static str {
        match self {
            RowKind::Raw => "readings",
            RowKind::Minutes => "minutes",
            RowKind::Quarters => "quarters",
            RowKind::Events => "events",
            RowKind::Diagnostics => "diagnostics",
        }
    }

    pub(super) const ALL: [RowKind; 5] =
        [RowKind::Raw, RowKind::Minutes, RowKind::Quarters, RowKind::Events, RowKind::Diagnostics];
}

/// State of the file, and what can be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// In pages that hold something.
    pub(super) used_bytes: u64,
    /// In pages of the file that hold nothing.
    pub(super) spare_bytes: u64,
    /// On the disk, where that is known.
    pub(super) free_bytes: Option<u64>,
    /// The first kind whose oldest row is confirmed and older than it is kept.
    pub(super) outdated: Option<RowKind>,
    /// Events are over their share, and some are repeats.
    pub(super) can_collapse: bool,
    /// Steps of [`FOR_ROOM`] that would make room, in that order.
    pub(super) possible: Vec<Step>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// No step: room and age are within their limits, or there is no row left to delete.
    Rest,
    /// Deletes confirmed rows that are older than they are kept.
    Outdated(RowKind),
    /// Repeats of alerts become digests.
    Collapse,
    /// Deletes the oldest rows that the hub has; of raw readings those whose windows it has.
    Confirmed(RowKind),
    /// Minutes are replaced by their quarter.
    ReplaceMinutes,
    /// Deletes the oldest rows, also those that the hub does not have.
    Lose(RowKind),
}

/// How room is made, the least loss first.
pub(super) const FOR_ROOM: [Step; 8] = [
    Step::Confirmed(RowKind::Raw),
    Step::Lose(RowKind::Raw),
    Step::Confirmed(RowKind::Minutes),
    Step::Confirmed(RowKind::Quarters),
    Step::ReplaceMinutes,
    Step::Lose(RowKind::Diagnostics),
    Step::Lose(RowKind::Quarters),
    Step::Lose(RowKind::Events),
];

impl Step {
    /// The kind of rows that it deletes; repeats of alerts are counted, not deleted.
    pub(super) const fn rows(self) -> Option<RowKind> {
        match self {
            Step::Rest | Step::Collapse => None,
            Step::Outdated(rows) | Step::Confirmed(rows) | Step::Lose(rows) => Some(rows),
            Step::ReplaceMinutes => Some(RowKind::Minutes),
        }
    }
}

/// Why room is short; nothing where it is not.
pub(super) fn shortage(policy: &Policy, usage: &Usage) -> Option<&'static str> {
    let no_growth = usage.free_bytes.is_some_and(|free| free < policy.least_free_bytes);
    match (usage.used_bytes > policy.most_bytes, no_growth && usage.spare_bytes < SPARE_BYTES) {
        (true, _) => Some("the database reached its size limit"),
        (false, true) => Some("the disk is nearly full"),
        (false, false) => None,
    }
}

/// With the disk nearly full, this much of the file is kept empty for what comes.
pub(super) const SPARE_BYTES: u64 = 1 << 20;

pub(super) fn next_step(policy: &Policy, usage: &Usage) -> Step {
    if let Some(rows) = usage.outdated {
        return Step::Outdated(rows);
    }
    if usage.can_collapse {
        return Step::Collapse;
    }
    let is_over = usage.used_bytes > policy.most_bytes;
    // Diagnostics and events go at the cap alone, not for empty pages: what else there is has made room, and what comes waits in
    // memory at first.
    let at_cap_alone = |step: &Step| matches!(step, Step::Lose(RowKind::Diagnostics | RowKind::Events));
    let first = usage.possible.iter().find(|step| is_over || !at_cap_alone(step));
    first.copied().filter(|_| shortage(policy, usage).is_some()).unwrap_or(Step::Rest)
}

#[cfg(test)]
mod tests;
