//! When to commit, and what to drop when nothing can be committed. Pure; the instant is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_core::time::{Span, Uptime};

use super::commit::Commit;
use crate::sense::store_ack::AckRequest;

/// How long readings gather unless somebody says otherwise: the shortest that keeps a small farm within 60 MB a day. With
/// one commit, it is what a power cut may cost (docs/decisions/2026-11-20-store-layout.md).
pub(crate) const BLOCK_INTERVAL: Span = Span::from_secs(30);

/// Readings that wait at most, a few megabytes of memory. Beyond it the oldest are dropped and counted.
pub(crate) const MOST_READINGS: usize = 50_000;

/// Windows that wait at most: eight hours of twenty sensors. Beyond it the oldest are dropped; their sequences say so.
pub(crate) const MOST_WINDOWS: usize = 10_000;

/// Events that wait at most, and as many diagnostics. Beyond it the oldest are dropped; their sequences say so.
pub(crate) const MOST_EVENTS: usize = 2_000;

/// All of these limits.
const MOST: Sizes =
    Sizes { readings: MOST_READINGS, windows: MOST_WINDOWS, events: MOST_EVENTS, diagnostics: MOST_EVENTS };

/// A block is committed before its interval is over when it has this many readings, so that it stays small in memory.
pub(crate) const BLOCK_READINGS: usize = 20_000;

/// Upper limit of one transaction, unless a single commit is larger: half the length of the log at most, so that a backlog after a
/// disk that hung is written in steps of bounded time, and the thread hears what is asked between them.
const TRANSACTION: Sizes = Sizes { readings: BLOCK_READINGS, windows: 5_000, events: 1_000, diagnostics: 1_000 };

/// How long a commit that failed is left alone.
pub(crate) const RETRY: Span = Span::from_secs(5);

/// Why something is dropped, in words: in the log, in events and in the reasons of gaps.
pub(super) type Cause = &'static str;

/// More came than the store's thread wrote, and the disk said nothing.
pub(super) const BEHIND: Cause = "the store did not keep up";

/// What was dropped, by its cause. Goes into the next commit.
pub(crate) type Losses = BTreeMap<Cause, Lost>;

/// What was dropped for one cause before it could be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lost {
    pub(crate) rows: Sizes,
    /// The earliest commit that something was dropped from.
    pub(crate) from: Option<Uptime>,
    pub(crate) to: Option<Uptime>,
}

impl Lost {
    /// What was dropped, in words, and how many.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let Sizes { readings, windows, events, diagnostics } = self.rows;
        let counts = [("readings", readings), ("windows", windows), ("events", events), ("diagnostics", diagnostics)];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }

    pub(crate) fn join(&mut self, other: &Lost) {
        self.rows = self.rows.and(other.rows);
        self.from = self.from.into_iter().chain(other.from).min();
        self.to = self.to.into_iter().chain(other.to).max();
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
    /// The next commit is tried at this instant.
    not_before: Option<Uptime>,
}

/// Numbers of rows, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    pub(crate) readings: usize,
    pub(crate) windows: usize,
    pub(crate) events: usize,
    pub(crate) diagnostics: usize,
}

impl Sizes {
    fn of(commit: &Commit) -> Sizes {
        Sizes {
            readings: commit.readings.len(),
            windows: commit.windows.len(),
            events: commit.events.len(),
            diagnostics: commit.diagnostics.len(),
        }
    }

    fn each(self, other: Sizes, count: fn(usize, usize) -> usize) -> Sizes {
        Sizes {
            readings: count(self.readings, other.readings),
            windows: count(self.windows, other.windows),
            events: count(self.events, other.events),
            diagnostics: count(self.diagnostics, other.diagnostics),
        }
    }

    fn and(self, other: Sizes) -> Sizes {
        self.each(other, |count, other| count + other)
    }

    fn beyond(self, most: Sizes) -> Sizes {
        self.each(most, usize::saturating_sub)
    }

    fn is_one_transaction(self) -> bool {
        self.beyond(TRANSACTION) == Sizes::default()
    }
}

impl Buffer {
    /// An empty buffer; readings wait for `interval`.
    pub(crate) fn new(interval: Span) -> Buffer {
        Buffer {
            interval,
            commits: Vec::new(),
            lost: Losses::default(),
            cause: BEHIND,
            sizes: Sizes::default(),
            due: None,
            urgent: false,
            not_before: None,
        }
    }

    /// Takes what is to be committed. What exceeds a limit is dropped, oldest first.
    pub(crate) fn add(&mut self, commit: Commit) {
        self.urgent |= commit.needs_checkpoint() || commit.checkpoint.is_some();
        if self.due.is_none() && commit.has_readings() {
            self.due = Some(commit.now + self.interval);
        }
        self.sizes = self.sizes.and(Sizes::of(&commit));
        self.gather(commit);
        self.drop_surplus();
    }

    /// Few commits wait, however many come: those under one plan become one, as long as one transaction takes it. So each transaction
    /// of a backlog brings the checkpoint that was taken after it. Readings that came after a checkpoint stay behind it, for it does
    /// not hold them.
    fn gather(&mut self, mut commit: Commit) {
        while let Some(last) = self.commits.pop_if(|last| {
            let is_in_checkpoint = last.checkpoint.is_none() || commit.checkpoint.is_some();
            let is_one = Sizes::of(last).and(Sizes::of(&commit)).is_one_transaction();
            Arc::ptr_eq(&last.calibrated, &commit.calibrated) && is_in_checkpoint && is_one
        }) {
            commit = join(last, commit);
        }
        self.commits.push(commit);
    }

    /// What was dropped elsewhere, before it came here.
    pub(crate) fn add_lost(&mut self, lost: &Losses) {
        lost.iter().for_each(|(cause, lost)| self.lost.entry(cause).or_default().join(lost));
    }

    /// Sets the cause of what is dropped from here on.
    pub(crate) fn set_drop_cause(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// What was dropped and is in no commit yet.
    pub(crate) fn lost(&self) -> &Losses {
        &self.lost
    }

    pub(crate) fn is_due(&self, now: Uptime) -> bool {
        let is_complete = self.due.is_some_and(|due| due <= now) || self.sizes.readings >= BLOCK_READINGS;
        (self.urgent || is_complete) && self.not_before.is_none_or(|instant| instant <= now)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// What waits, oldest first, and what was dropped before it.
    pub(crate) fn waiting(&self) -> (&[Commit], &Losses) {
        (&self.commits, &self.lost)
    }

    /// How many of the commits that wait, from the oldest on, the next transaction takes.
    pub(crate) fn next_transaction(&self) -> usize {
        let mut sizes = Sizes::default();
        let fits = |commit: &&Commit| {
            sizes = sizes.and(Sizes::of(commit));
            sizes.is_one_transaction()
        };
        self.commits.iter().take_while(fits).count().max(1).min(self.commits.len())
    }

    /// The first `count` commits are committed, and what was dropped: confirms their acks. Returns until when, where more waits.
    pub(crate) fn committed(&mut self, count: usize) -> Option<Uptime> {
        self.commits[..count].iter().flat_map(|commit| &commit.acks).for_each(AckRequest::confirm);
        let until = self.commits.drain(..count).map(|commit| commit.now).max();
        if self.commits.is_empty() {
            *self = Buffer::new(self.interval);
            return None;
        }
        self.sizes = self.commits.iter().map(Sizes::of).fold(Sizes::default(), Sizes::and);
        (self.lost, self.cause, self.not_before) = (Losses::default(), BEHIND, None);
        until
    }

    /// A commit failed: all goes on waiting, and is tried again after [`RETRY`].
    pub(crate) fn failed(&mut self, now: Uptime) {
        self.not_before = Some(now + RETRY);
    }

    /// Takes everything out, to hand it on.
    pub(crate) fn take(&mut self) -> (Vec<Commit>, Losses) {
        let taken = std::mem::replace(self, Buffer::new(self.interval));
        (taken.commits, taken.lost)
    }

    fn drop_surplus(&mut self) {
        let mut surplus = self.sizes.beyond(MOST);
        if surplus == Sizes::default() {
            return;
        }
        let lost = self.lost.entry(self.cause).or_default();
        for commit in &mut self.commits {
            let rows = drop_oldest(commit, surplus);
            if rows != Sizes::default() {
                lost.join(&Lost { rows, from: Some(commit.now), to: Some(commit.now) });
            }
            (surplus, self.sizes) = (surplus.beyond(rows), self.sizes.beyond(rows));
        }
        // The commits that lost rows have room for what follows.
        std::mem::take(&mut self.commits).into_iter().for_each(|commit| self.gather(commit));
    }
}

/// Drops the first rows of a commit, so many of each kind at most.
fn drop_oldest(commit: &mut Commit, most: Sizes) -> Sizes {
    fn first<T>(list: &mut Vec<T>, most: usize) -> usize {
        list.drain(..list.len().min(most)).count()
    }
    let readings = first(&mut commit.readings, most.readings);
    if readings > 0 {
        drop_of_acks(&mut commit.acks, readings);
    }
    Sizes {
        readings,
        windows: first(&mut commit.windows, most.windows),
        events: first(&mut commit.events, most.events),
        diagnostics: first(&mut commit.diagnostics, most.diagnostics),
    }
}

/// The first readings of a commit were dropped: what the acks of boards say then, as few of them as that takes.
fn drop_of_acks(acks: &mut Vec<AckRequest>, readings: usize) {
    acks.iter_mut().for_each(|ack| ack.drop_first(readings));
    let is_covered = |at: usize| acks[at + 1..].iter().any(|later| acks[at].is_covered_by(later));
    let mut is_kept: Vec<bool> = (0..acks.len()).map(|at| acks[at].has_values() || !is_covered(at)).collect();
    is_kept.reverse();
    acks.retain(|_| is_kept.pop().unwrap_or(true));
}

/// Two commits under one plan as one.
fn join(mut first: Commit, mut next: Commit) -> Commit {
    first.now = first.now.max(next.now);
    next.acks.iter_mut().for_each(|ack| ack.move_back(first.readings.len()));
    first.readings.append(&mut next.readings);
    first.acks.append(&mut next.acks);
    first.windows.append(&mut next.windows);
    first.events.append(&mut next.events);
    first.diagnostics.append(&mut next.diagnostics);
    first.checkpoint = next.checkpoint.or(first.checkpoint.take());
    first.alerts_through = next.alerts_through.or(first.alerts_through);
    first.site = next.site.or(first.site.take());
    first.anchor = next.anchor.or(first.anchor.take());
    first
}

#[cfg(test)]
mod tests;
