//! When to commit, and what to drop when nothing can be committed. Pure; the instant is an argument.

use std::sync::Arc;

use tilth_core::time::{Span, Uptime};

use super::commit::Commit;

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

/// What was dropped while nothing could be committed. Goes into the next commit.
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
    /// Whether nothing was dropped.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Lost::default()
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

/// What is still to be committed.
#[derive(Debug)]
pub(crate) struct Buffer {
    interval: Span,
    commits: Vec<Commit>,
    lost: Lost,
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
            lost: Lost::default(),
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
    pub(crate) fn add_lost(&mut self, lost: &Lost) {
        self.lost.join(lost);
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
    pub(crate) fn waiting(&self) -> (&[Commit], &Lost) {
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
    pub(crate) fn take(&mut self) -> (Vec<Commit>, Lost) {
        let taken = std::mem::replace(self, Buffer::new(self.interval));
        (taken.commits, taken.lost)
    }

    fn drop_surplus(&mut self) {
        let Buffer { commits, lost, sizes, .. } = self;
        let mut surplus = Sizes {
            readings: sizes.readings.saturating_sub(MOST_READINGS),
            windows: sizes.windows.saturating_sub(MOST_WINDOWS),
            events: sizes.events.saturating_sub(MOST_EVENTS),
            diagnostics: sizes.diagnostics.saturating_sub(MOST_EVENTS),
        };
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
