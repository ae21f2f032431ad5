//! What follows from the hub's answer, or from none.

use std::collections::BTreeMap;

use tilth_core::time::Span;
use tilth_protocol::{Epoch, Lane, RejectedRow};

use super::SyncEngine;
use super::lane_progress::Confirmation;
use super::limits::{CONFLICT_AGAIN, EPOCH_AGAIN, MAX_BACKOFF, MAX_QUARANTINE_RUN, MAX_RETRY_AFTER, STORE_TIMEOUT};
use super::messages::{Effect, ProblemKind, StoreCommand};
use super::meter::Traffic;
use super::search::{Finding, Search, Suspect};
use super::state::{BatchPurpose, SentBatch, State};
use super::verdict::{self, Accepted, Verdict};
use crate::transport::Exchange;

impl SyncEngine {
    pub(super) fn answered(&mut self, request: u64, exchange: &Exchange) {
        let sent = match &self.state {
            State::Sending { sent, .. } if sent.request == request => sent.clone(),
            _ => {
                self.counts.stray_answers += 1;
                return;
            }
        };
        self.meter.share(&sent.shares, Traffic { up: exchange.sent, down: exchange.received });
        self.rest();
        let verdict = verdict::judge(exchange);
        if !matches!(verdict, Verdict::Accepted(_)) {
            self.counts.failed += 1;
        }
        match verdict {
            Verdict::Accepted(accepted) => self.accepted(&sent, &accepted),
            Verdict::Rejected(why) => {
                let wait = self.setup.intervals.key_rejected;
                self.report_problem(
                    ProblemKind::KeyRejected,
                    &format!("{why}; sync stops for {wait}, the farm goes on"),
                );
                self.stop(why);
            }
            Verdict::Conflict(why) => self.conflict(why),
            Verdict::TooLarge(why) => self.too_large(&sent, &why, false),
            Verdict::Unreadable(why) => self.unreadable(&sent, &why),
            Verdict::BackOff { why, wait } => self.back_off(why, wait),
            Verdict::Slow(why) => self.slow(&sent, why),
            Verdict::Unreachable(why) => {
                let wait = self.offline.next();
                self.state = State::Offline { until: self.now + wait, why };
            }
        }
    }

    /// Never before the `wait` that the hub asks for, and not with all other farms at its end.
    pub(super) fn back_off(&mut self, why: String, wait: Option<Span>) {
        let wait = wait.unwrap_or_default().clamp(Span(0), MAX_RETRY_AFTER);
        let until = self.now + wait + self.hub_backoff.next();
        self.state = State::BackingOff { until, why };
    }

    /// Until a person has acted, or long enough for one to have.
    fn stop(&mut self, why: String) {
        let until = self.now + self.setup.intervals.key_rejected + self.hub_backoff.next();
        self.state = State::Rejected { until, why };
    }

    pub(super) fn slow(&mut self, sent: &SentBatch, why: String) {
        self.limit.slow(sent.rows());
        self.back_off(why, None);
    }

    // --- accepted

    fn accepted(&mut self, sent: &SentBatch, accepted: &Accepted) {
        if let Some(why) = self.never_made(accepted) {
            return self.more_than_made(accepted.epoch, why);
        }
        self.doubted = None;
        self.counts.accepted += 1;
        self.counts.strange_confirmations += accepted.unknown;
        self.last_success = Some(self.now);
        self.offline.reset();
        self.probe = false;
        self.problem_over(ProblemKind::KeyRejected);
        self.problem_over(ProblemKind::NotUnderstood);
        if sent.rows() > 0 {
            self.doubts = 0;
            self.limit.grow();
            self.quarantine_run = 0;
            if self.last_new_stream.is_none_or(|at| self.now - at >= CONFLICT_AGAIN) {
                self.problem_over(ProblemKind::StreamConflict);
            }
        }
        if let Some(version) = accepted.config_version {
            self.pull.hint(self.now, version);
        }
        let flapping = if self.epoch == Some(accepted.epoch) { None } else { self.new_epoch(accepted) };
        // Rows are quarantined before they are confirmed: afterwards the store may delete them.
        let unheeded = self.quarantine_rejected(&accepted.rejected, sent);
        let stuck = self.confirm(sent, accepted);
        if let Some(search) = &mut self.search
            && matches!(sent.purpose, BatchPurpose::Control | BatchPurpose::Suspect)
        {
            search.accepted(sent.parts.first().map(|part| part.last));
        }
        self.search.take_if(|search| search.is_over());
        let bulk = sent.parts.iter().any(|part| part.lane != Lane::Events);
        self.due_times.sent(bulk, sent.asked_live, &self.progress, &self.setup.intervals, self.now);
        if let Some(why) = flapping.or(stuck).or(unheeded) {
            self.back_off(why, None);
        } else {
            self.hub_backoff.reset();
            self.rest();
        }
    }

    /// The hub has more under this stream than the database has made: the database has lost its newest rows, or is an older copy. One
    /// such answer proves nothing, for a proxy may give that for another device: it is asked for once more. Nor do two under a stream that
    /// began in this process, whose numbers nobody else has.
    fn more_than_made(&mut self, epoch: Epoch, why: String) {
        self.counts.strange_confirmations += 1;
        self.doubts += 1;
        if self.last_new_stream.is_some() {
            self.back_off(format!("{why}: that is the answer for another device, perhaps by a proxy"), None);
        } else if self.doubted.replace(epoch) == Some(epoch) {
            self.doubted = None;
            self.conflict(why);
        } else if self.doubts > 1 {
            self.back_off(format!("{why}, and said otherwise before: two hubs at one address?"), None);
        }
    }

    /// What was known means nothing any more. The reason to slow down, if the epoch changes from answer to answer.
    fn new_epoch(&mut self, accepted: &Accepted) -> Option<String> {
        let before = self.epoch.replace(accepted.epoch).and(self.last_epoch.replace(self.now));
        let is_flapping = before.is_some_and(|at| self.now - at < EPOCH_AGAIN);
        self.search = None;
        let mut confirmed = BTreeMap::new();
        for lane in Lane::ALL {
            let stated = accepted.confirmed.get(&lane).copied().unwrap_or(0);
            let progress = self.progress.of_mut(lane);
            progress.rewind(stated.min(progress.confirmed()));
            confirmed.insert(lane, progress.confirmed());
        }
        self.effects.push_back(Effect::Store(StoreCommand::Rewind {
            stream: self.stream,
            epoch: accepted.epoch,
            confirmed,
        }));
        is_flapping.then(|| "the hub's epoch changes from answer to answer: two hubs at one address?".to_owned())
    }

    /// Notes which rows are confirmed by the answer. Returns the reason to slow down where the hub accepted a batch and yet does not
    /// account for it.
    fn confirm(&mut self, sent: &SentBatch, accepted: &Accepted) -> Option<String> {
        let mut raised = BTreeMap::new();
        let mut stuck = None;
        for lane in Lane::ALL {
            let stated = accepted.confirmed.get(&lane).copied();
            let progress = self.progress.of_mut(lane);
            let is_late = stated.is_some_and(|seq| seq < progress.confirmed());
            let is_quarantined = |seq| self.quarantined.contains(&(lane, seq));
            let part = sent.parts.iter().find(|part| part.lane == lane);
            if let Some(part) = part.filter(|_| !is_late) {
                progress.mark_at_hub(part.first, part.last);
            }
            match stated.map(|seq| progress.confirm(seq, is_quarantined)) {
                None | Some(Confirmation::Same) => {}
                Some(Confirmation::Raised(seq)) => drop(raised.insert(lane, seq)),
                Some(Confirmation::OutOfOrder) => self.counts.strange_confirmations += 1,
            }
            let next = progress.confirmed() + 1;
            if let (Some(part), Some(stated)) = (part, stated)
                && (is_late || part.first <= next && next <= part.last && !is_quarantined(next))
            {
                stuck = Some(format!("the hub took {lane} {} to {} and confirms {stated}", part.first, part.last));
            }
        }
        self.quarantined.retain(|&(lane, seq)| seq > self.progress.of(lane).confirmed());
        if !raised.is_empty() {
            self.effects.push_back(Effect::Store(StoreCommand::Confirm { stream: self.stream, confirmed: raised }));
        }
        stuck
    }

    /// What the hub states of this stream that the database has not made, in words.
    fn never_made(&self, accepted: &Accepted) -> Option<String> {
        Lane::ALL.into_iter().find_map(|lane| {
            let (stated, head) = (*accepted.confirmed.get(&lane)?, self.progress.of(lane).head());
            (stated > head).then(|| format!("the hub has {lane} {stated} of this device, which has made {head}"))
        })
    }

    /// Quarantines rows that the hub cannot store. Returns the reason to slow down where one of them was quarantined before.
    fn quarantine_rejected(&mut self, rows: &[RejectedRow], sent: &SentBatch) -> Option<String> {
        let mut unheeded = None;
        let mut first = None;
        for row @ RejectedRow { lane, seq, reason } in rows {
            let was_sent =
                |part: &super::encoded_batch::Part| part.lane == *lane && part.first <= *seq && *seq <= part.last;
            if !sent.parts.iter().any(was_sent) {
                self.counts.strange_confirmations += 1;
            } else if self.quarantined.insert((*lane, *seq)) {
                first.get_or_insert_with(|| format!("{lane} {seq}: {reason}"));
                self.quarantine(row.clone());
            } else {
                unheeded = Some(format!("{lane} {seq} was to be quarantined and was sent again"));
            }
        }
        if let Some(first) = first {
            self.report_quarantined(&first);
        }
        unheeded
    }

    // --- not accepted

    fn conflict(&mut self, why: String) {
        let again = self.last_new_stream.is_some_and(|at| self.now - at < CONFLICT_AGAIN);
        let next = if again {
            format!("sync stops for {}", self.setup.intervals.key_rejected)
        } else {
            "a new stream begins".to_owned()
        };
        self.report_problem(ProblemKind::StreamConflict, &format!("{why}; {next}"));
        if again {
            self.stop(why);
        } else {
            self.effects.push_back(Effect::NewStream { reason: why.clone() });
            self.state = State::Conflict { until: self.now + STORE_TIMEOUT, why };
        }
    }

    /// Less at once; a row that is too large alone is quarantined.
    pub(super) fn too_large(&mut self, sent: &SentBatch, why: &str, is_ours: bool) {
        let single = sent.parts.iter().find_map(|part| Some((part.lane, part.first_row?)));
        match (sent.rows(), single) {
            (2.., _) => {
                self.limit.halve(sent.rows());
                self.rest();
            }
            (_, _) if sent.live > 0 => self.mute_live(),
            // Rejected as one of several suspects, or by ourselves before it left: the row is at fault.
            (_, Some((lane, seq))) if sent.purpose == BatchPurpose::Suspect || is_ours => {
                self.search = None;
                self.quarantine_row(lane, seq, &format!("alone larger than a batch may be: {why}"));
            }
            // First see whether the hub takes anything at all.
            (_, Some((lane, seq))) => {
                self.search = Some(Search::new(vec![Suspect::Rows(lane, seq, seq)]));
                self.rest();
            }
            (_, None) => self.back_off(why.to_owned(), None),
        }
    }

    fn unreadable(&mut self, sent: &SentBatch, why: &str) {
        match sent.purpose {
            BatchPurpose::Ordinary if !sent.parts.is_empty() || sent.live > 0 => {
                let rows = sent.parts.iter().map(|part| Suspect::Rows(part.lane, part.first, part.last));
                let live = (sent.live > 0).then_some(Suspect::Live);
                self.search = Some(Search::new(rows.chain(live).collect()));
                self.rest();
            }
            BatchPurpose::Ordinary | BatchPurpose::Probe | BatchPurpose::Control => self.not_understood(why),
            BatchPurpose::Suspect => self.blame(sent, why),
        }
    }

    fn blame(&mut self, sent: &SentBatch, why: &str) {
        let Some(search) = &mut self.search else { return self.rest() };
        let part = sent.parts.first();
        match search.blame(part.map(|part| part.last)) {
            Finding::GoOn => self.rest(),
            Finding::Live => self.mute_live(),
            // A gap has no row to quarantine: the hub cannot read how the gap is stated.
            Finding::Row(..) if part.is_none_or(|part| part.rows == 0) => self.not_understood(why),
            Finding::Row(lane, seq) => self.quarantine_row(lane, seq, why),
        }
        self.search.take_if(|search| search.is_over());
    }

    /// The hub reads nothing of ours: an older or newer one, or something that is no hub.
    fn not_understood(&mut self, why: &str) {
        self.search = None;
        self.report_problem(ProblemKind::NotUnderstood, &format!("the hub cannot read this agent: {why}"));
        self.back_off(why.to_owned(), None);
    }

    fn mute_live(&mut self) {
        self.due_times.mute_live(self.now);
        self.rest();
    }

    /// Quarantines the one row at fault and goes on, but not with row after row.
    pub(super) fn quarantine_row(&mut self, lane: Lane, seq: u64, why: &str) {
        let is_new = self.quarantined.insert((lane, seq));
        self.quarantine_run += 1;
        if is_new {
            self.report_quarantined(&format!("{lane} {seq}: {why}"));
            self.quarantine(RejectedRow { lane, seq, reason: why.to_owned() });
        }
        if !is_new || self.quarantine_run >= MAX_QUARANTINE_RUN {
            self.quarantine_run = 0;
            let why = format!("{lane} {seq} was quarantined, the last of several without one taken: {why}");
            self.back_off(why, Some(MAX_BACKOFF));
        } else {
            self.rest();
        }
    }

    fn quarantine(&mut self, row: RejectedRow) {
        self.counts.quarantined += 1;
        match self.effects.back_mut() {
            Some(Effect::Store(StoreCommand::Quarantine { stream, rows })) if *stream == self.stream => rows.push(row),
            _ => {
                let rows = vec![row];
                self.effects.push_back(Effect::Store(StoreCommand::Quarantine { stream: self.stream, rows }));
            }
        }
    }

    fn report_quarantined(&mut self, what: &str) {
        self.problems.remove(&ProblemKind::RowsQuarantined);
        self.report_problem(
            ProblemKind::RowsQuarantined,
            &format!("quarantined: the hub cannot store this row: {what}"),
        );
    }
}
