//! When to commit, and what to drop when nothing can be committed. Pure; the instant is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_core::time::{Span, Uptime};

use super::commit::Commit;
use super::error::StoreError;

/// How long readings gather unless somebody says otherwise: the shortest that keeps a small farm within 60 MB a day. With
/// one commit, it is what a power cut may cost (docs/decisions/2026-11-20-store-layout.md).
pub(crate) const BLOCK_INTERVAL: Span = Span::from_secs(30);

/// Readings that wait at most, a few megabytes of memory. Beyond it the oldest are dropped and counted.
pub(crate) const MOST_READINGS: usize = 50_000;

/// Windows that wait at most: eight hours of twenty sensors. Beyond it the oldest are dropped; their sequences say so.
pub(crate) const MOST_WINDOWS: usize = 10_000;

/// Events that wait at most, and as many diagnostics. Beyond it the oldest are dropped; their sequences say so.
pub(crate) const MOST_EVENTS: usize = 2_000;

/// A block is committed before its interval is over when it has this many readings, so that it stays small in memory.
pub(crate) const BLOCK_READINGS: usize = 20_000;

/// How long a commit that failed is left alone.
pub(crate) const RETRY: Span = Span::from_secs(5);

/// Why something is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Cause {
    /// More came than the store's thread wrote, and the disk said nothing.
    #[default]
    Behind,
    Full,
    ReadOnly,
    Unreachable,
    Busy,
    Unusable,
}

/// What was dropped, by its cause. Goes into the next commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Losses(BTreeMap<Cause, Lost>);

/// What was dropped for one cause before it could be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lost {
    /// Readings.
    pub(crate) readings: usize,
    /// Windows.
    pub(crate) windows: usize,
    /// Events.
    pub(crate) events: usize,
    /// Diagnostics.
    pub(crate) diagnostics: usize,
    /// The earliest commit that something was dropped from.
    pub(crate) from: Option<Uptime>,
    /// The latest.
    pub(crate) to: Option<Uptime>,
}

impl Lost {
    /// What was dropped, in words, and how many.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let Lost { readings, windows, events, diagnostics, .. } = *self;
        let counts = [("readings", readings), ("windows", windows), ("events", events), ("diagnostics", diagnostics)];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }

    fn note(&mut self, at: Uptime) {
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = Some(self.to.map_or(at, |to| to.max(at)));
    }

    /// Both together.
    pub(crate) fn join(&mut self, other: &Lost) {
        self.readings += other.readings;
        self.windows += other.windows;
        self.events += other.events;
        self.diagnostics += other.diagnostics;
        other.from.into_iter().chain(other.to).for_each(|at| self.note(at));
    }
}

impl Cause {
    /// In the log, in events and in the reasons of gaps.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Cause::Behind => "the store did not keep up",
            Cause::Full => "the disk was full",
            Cause::ReadOnly => "the disk was read-only",
            Cause::Unreachable => "the disk could not be used",
            Cause::Busy => "the database was in use by another program",
            Cause::Unusable => "the database could not be used",
        }
    }
}

impl From<&StoreError> for Cause {
    fn from(error: &StoreError) -> Cause {
        match error {
            StoreError::Full => Cause::Full,
            StoreError::ReadOnly => Cause::ReadOnly,
            StoreError::Unreachable(_) => Cause::Unreachable,
            StoreError::Busy => Cause::Busy,
            StoreError::Damaged(_)
            | StoreError::Newer { .. }
            | StoreError::Stuck { .. }
            | StoreError::Unexpected(_) => Cause::Unusable,
        }
    }
}

impl Losses {
    /// Whether nothing was dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each cause once.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Cause, &Lost)> {
        self.0.iter().map(|(cause, lost)| (*cause, lost))
    }

    fn of(&mut self, cause: Cause) -> &mut Lost {
        self.0.entry(cause).or_default()
    }

    /// Both together.
    pub(crate) fn join(&mut self, other: &Losses) {
        other.iter().for_each(|(cause, lost)| self.of(cause).join(lost));
    }
}

/// What is still to be committed.
#[derive(Debug)]
pub(crate) struct Buffer {
    interval: Span,
    commits: Vec<Commit>,
    lost: Losses,
    /// Why what exceeds a limit has not been committed.
    cause: Cause,
    sizes: Sizes,
    /// When the block that waits is complete.
    due: Option<Uptime>,
    /// Something waits that is committed at once.
    urgent: bool,
    /// Nothing is tried before.
    not_before: Option<Uptime>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sizes {
    readings: usize,
    windows: usize,
    events: usize,
    diagnostics: usize,
}

impl Buffer {
    /// Nothing yet; readings wait for `interval`.
    pub(crate) fn new(interval: Span) -> Buffer {
        Buffer {
            interval,
            commits: Vec::new(),
            lost: Losses::default(),
            cause: Cause::Behind,
            sizes: Sizes::default(),
            due: None,
            urgent: false,
            not_before: None,
        }
    }

    /// Takes what is to be committed. What exceeds a limit is dropped, oldest first.
    pub(crate) fn add(&mut self, commit: Commit) {
        let is_urgent = !commit.windows.is_empty()
            || !commit.events.is_empty()
            || !commit.diagnostics.is_empty()
            || commit.snapshot.is_some()
            || commit.site.is_some()
            || commit.anchor.is_some();
        self.urgent |= is_urgent;
        if self.due.is_none() && !commit.readings.is_empty() {
            self.due = Some(commit.now + self.interval);
        }
        self.sizes.readings += commit.readings.len();
        self.sizes.windows += commit.windows.len();
        self.sizes.events += commit.events.len();
        self.sizes.diagnostics += commit.diagnostics.len();
        self.gather(commit);
        self.drop_surplus();
    }

    /// Few commits wait, however many come: those under one plan become one. Only readings that came after a snapshot stay
    /// behind it, for it does not hold them.
    fn gather(&mut self, mut commit: Commit) {
        while let Some(last) = self.commits.pop_if(|last| {
            let is_in_snapshot = last.snapshot.is_none() || commit.snapshot.is_some();
            Arc::ptr_eq(&last.watched, &commit.watched) && is_in_snapshot
        }) {
            commit = join(last, commit);
        }
        self.commits.push(commit);
    }

    /// What was dropped elsewhere, before it came here.
    pub(crate) fn add_lost(&mut self, lost: &Losses) {
        self.lost.join(lost);
    }

    /// What is dropped from here on is dropped for this cause.
    pub(crate) fn blame(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// What was dropped and is in no commit yet.
    pub(crate) fn lost(&self) -> &Losses {
        &self.lost
    }

    /// Whether to commit now.
    pub(crate) fn is_due(&self, now: Uptime) -> bool {
        let is_complete = self.due.is_some_and(|due| due <= now) || self.sizes.readings >= BLOCK_READINGS;
        (self.urgent || is_complete) && self.not_before.is_none_or(|instant| instant <= now)
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// What waits, oldest first, and what was dropped before it.
    pub(crate) fn waiting(&self) -> (&[Commit], &Losses) {
        (&self.commits, &self.lost)
    }

    /// Everything is committed.
    pub(crate) fn committed(&mut self) {
        *self = Buffer::new(self.interval);
    }

    /// Nothing could be committed; it goes on waiting.
    pub(crate) fn failed(&mut self, now: Uptime) {
        self.not_before = Some(now + RETRY);
    }

    /// Takes everything out, to hand it on.
    pub(crate) fn take(&mut self) -> (Vec<Commit>, Losses) {
        let taken = std::mem::replace(self, Buffer::new(self.interval));
        (taken.commits, taken.lost)
    }

    fn drop_surplus(&mut self) {
        let Buffer { commits, lost, sizes, cause, .. } = self;
        let mut surplus = Sizes {
            readings: sizes.readings.saturating_sub(MOST_READINGS),
            windows: sizes.windows.saturating_sub(MOST_WINDOWS),
            events: sizes.events.saturating_sub(MOST_EVENTS),
            diagnostics: sizes.diagnostics.saturating_sub(MOST_EVENTS),
        };
        if surplus == Sizes::default() {
            return;
        }
        let lost = lost.of(*cause);
        for commit in commits.iter_mut() {
            if surplus == Sizes::default() {
                break;
            }
            let mut note = |dropped: usize, size: &mut usize, count: &mut usize| {
                *size -= dropped;
                *count += dropped;
                if dropped > 0 {
                    lost.from = Some(lost.from.map_or(commit.now, |from| from.min(commit.now)));
                    lost.to = Some(lost.to.map_or(commit.now, |to| to.max(commit.now)));
                }
            };
            note(drain(&mut commit.readings, &mut surplus.readings), &mut sizes.readings, &mut lost.readings);
            note(drain(&mut commit.windows, &mut surplus.windows), &mut sizes.windows, &mut lost.windows);
            note(drain(&mut commit.events, &mut surplus.events), &mut sizes.events, &mut lost.events);
            note(
                drain(&mut commit.diagnostics, &mut surplus.diagnostics),
                &mut sizes.diagnostics,
                &mut lost.diagnostics,
            );
        }
    }
}

/// Drops the first of a list, up to a surplus that shrinks by them.
fn drain<T>(list: &mut Vec<T>, surplus: &mut usize) -> usize {
    let dropped = list.len().min(*surplus);
    list.drain(..dropped);
    *surplus -= dropped;
    dropped
}

/// Two commits under one plan as one.
fn join(mut first: Commit, mut next: Commit) -> Commit {
    first.now = first.now.max(next.now);
    first.readings.append(&mut next.readings);
    first.windows.append(&mut next.windows);
    first.events.append(&mut next.events);
    first.diagnostics.append(&mut next.diagnostics);
    first.snapshot = next.snapshot.or(first.snapshot.take());
    first.alerts_until = next.alerts_until.or(first.alerts_until);
    first.site = next.site.or(first.site.take());
    first.anchor = next.anchor.or(first.anchor.take());
    first
}

#[cfg(test)]
mod tests;
