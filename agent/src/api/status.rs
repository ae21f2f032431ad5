//! State of the agent, collected from its tasks. A task that does not answer is left out.

use std::collections::BTreeMap;
use std::fs;

use tilth_core::time::{Span, Uptime, WallTime};
use tilth_notify::queue::Next;
use tilth_protocol::Lane as Of;
use tilth_sync::engine::Status;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::rows::{
    BusState, ChannelState, ClockState, Failed, FaultRow, Ignored, Lane, NotifyState, RejectedStamps, StatusRow,
    StoreState, SyncState,
};
use super::state::{ApiState, PATIENCE};
use super::views::{self, wall};
use crate::clock::{self, Anchor};
use crate::configuration::BundleStatus;
use crate::notify;
use crate::sense::Bus;
use crate::sense::bus::health::{self, MessageStats, State};
use crate::sense::stamp::StampRejection;
use crate::store::{self, StoreReader, forecast};
use crate::sync::status::SyncSnapshot;

/// Upper limit of kinds of losses shown; the newest are kept.
const MAX_GIVEN_UP: u32 = 8;

impl ApiState {
    pub(super) async fn status(&self) -> StatusRow {
        let queried = self.query(|engine, context, clock| StatusRow {
            boot: engine.now().boot,
            readings: Some(context.readings),
            alerts: Some(views::counts(engine)),
            silences: views::silences(engine, clock),
            holds: views::holds(engine, clock),
            schedules: views::schedules(engine),
            notify: NotifyState { channels: Vec::new(), dropped: context.lost_notifications },
            ..StatusRow::default()
        });
        let row = queried.await.unwrap_or_else(|_| StatusRow { boot: self.boot, ..StatusRow::default() });
        let configuration = self.config.shown();
        StatusRow {
            device: self.device.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running_s: (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            clock: self.clock_state(),
            config: configuration.config,
            buses: self.bus_states(),
            store: self.store_state().await,
            notify: NotifyState { channels: self.channels().await, ..row.notify },
            sync: sync_state(self.sync.borrow().clone(), configuration.bundle, clock::machine_uptime()),
            ..row
        }
    }

    /// Records the bytes that the process has written so far, for `written_bytes_a_day`.
    pub(super) fn meter(&self) {
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok());
        if let Some(written) = written {
            self.health.posted().meter.note(self.clock.uptime(), written);
        }
    }

    fn clock_state(&self) -> ClockState {
        let (uptime, now) = self.clock.now();
        let anchor = self.anchor();
        ClockState {
            source: self.clock.mode().to_string(),
            trust: anchor.map(|anchor| anchor.trust.name().to_owned()),
            error_s: anchor.and_then(|anchor| anchor.error).map(Span::as_secs_f64),
            now: wall(now),
            uptime_s: (uptime - Uptime(0)).as_secs_f64(),
        }
    }

    /// Anchor that turns uptimes of this boot into times of day, while the clock is trusted.
    fn anchor(&self) -> Option<Anchor> {
        self.clock.anchor().filter(|_| self.clock.now().1.is_some())
    }

    fn bus_states(&self) -> Vec<BusState> {
        let buses = self.health.posted().buses.clone();
        let (now, anchor) = (self.clock.uptime(), self.anchor());
        buses.into_iter().map(|bus| bus_state(bus, now, anchor)).collect()
    }

    async fn store_state(&self) -> StoreState {
        let (path, policy) = (self.database.clone(), self.policy);
        let stored = self.store.read(move |reader, _| Ok(stored(reader, &path, policy.most_bytes))).await;
        let unread = stored.as_ref().err().map(ToString::to_string);
        let lanes = if stored.is_ok() { lane_states(&self.store.lanes()) } else { BTreeMap::new() };
        let posted = self.health.posted();
        StoreState {
            path: self.database.display().to_string(),
            trouble: posted.problem().or(unread),
            written_bytes_a_day: posted.meter.a_day().map(f64::round),
            missing: posted.lost_history.clone(),
            dropped: posted.dropped.clone(),
            most_bytes: policy.most_bytes,
            lanes,
            ..stored.unwrap_or_default()
        }
    }

    pub(super) async fn channels(&self) -> Vec<ChannelState> {
        let Some(notify) = self.notify.upgrade() else { return Vec::new() };
        let (answer, answered) = oneshot::channel();
        if notify.try_send(notify::NotifyRequest::Status(answer)).is_err() {
            return Vec::new();
        }
        drop(notify);
        let (now, anchor) = (self.clock.uptime(), self.anchor());
        let state = |status: notify::ChannelStatus| channel_state(status, now, anchor);
        let statuses = timeout(PATIENCE, answered).await;
        statuses.into_iter().flatten().flatten().map(state).collect()
    }
}

/// State of sync and of bundles; none where no hub is configured.
fn sync_state(sync: SyncSnapshot, bundle: BundleStatus, now: Uptime) -> Option<SyncState> {
    let SyncSnapshot { hub, start_error, problems, engine } = sync;
    let row = SyncState {
        hub: hub?,
        now,
        trouble: start_error,
        alerts: problems.into_iter().map(|(kind, reason)| (name(kind), reason)).collect(),
        bundle,
        ..SyncState::default()
    };
    let Some(Status { state, why, next_try, last_success, unconfirmed, confirmed, counts, traffic, config }) = engine
    else {
        return Some(row);
    };
    let (state, waiting) = (Some(name(state)), unconfirmed);
    Some(SyncState { state, why, next_try, last_success, waiting, confirmed, counts, traffic, config, ..row })
}

fn bus_state(bus: Bus, now: Uptime, anchor: Option<Anchor>) -> BusState {
    let found = bus.health.get();
    let (state, since, last_input, rejected_stamps) =
        (found.state, found.since, found.last_input, found.rejected_stamps);
    let MessageStats { received, matched, ignored, last_ignored, unmatched_labels, missing_names, faults } =
        found.messages;
    let of_lines = ignored.keys().map(|reason| (reason.key.to_owned(), reason.text));
    let reasons = of_lines.chain(rejected_stamps.keys().map(|why| (name(why), why.text())));
    BusState {
        bus: bus.id.to_string(),
        reasons: reasons.map(|(name, text)| (name, text.to_owned())).collect(),
        kind: bus.kind.to_string(),
        port: bus.port,
        state: state.name().to_owned(),
        reason: state.reason().map(str::to_owned),
        since: since.and_then(|since| placed(since, anchor)),
        for_s: since.map(|since| (now - since).as_secs_f64()),
        opened: found.opened,
        bytes: found.bytes,
        messages: received,
        used: matched,
        last_message: last_input.and_then(|at| placed(at, anchor)),
        last_message_s: last_input.map(|at| (now - at).as_secs_f64()),
        ignored: ignored.into_iter().map(|(reason, count)| (reason.key.to_owned(), count)).collect(),
        last_ignored: last_ignored.map(|health::Ignored { reason, excerpt, value }| Ignored {
            reason: reason.key.to_owned(),
            message: excerpt,
            about: value,
        }),
        not_received: Some(missing_names).filter(|_| state == State::Up).into_iter().flatten().collect(),
        unclaimed: unmatched_labels.into_iter().collect(),
        rejected_stamps: rejected_stamps.into_iter().map(|of| self::rejected_stamps(of, now, anchor)).collect(),
        faults: faults.into_iter().map(|(sensor, why)| FaultRow { sensor, why: why.to_string() }).collect(),
        several_nodes: found.mixed.into_iter().map(|(sensor, why)| FaultRow { sensor, why }).collect(),
        failures: found.failures,
        failed: found.failed,
        board: found.board,
    }
}

fn rejected_stamps(
    (why, of): (StampRejection, health::RejectedStamps),
    now: Uptime,
    anchor: Option<Anchor>,
) -> RejectedStamps {
    let health::RejectedStamps { messages, first, last, stamp, sensor } = of;
    RejectedStamps {
        reason: name(why),
        messages,
        since: placed(first, anchor),
        for_s: (now - first).as_secs_f64(),
        last: placed(last, anchor),
        last_s: (now - last).as_secs_f64(),
        stamp: wall(stamp),
        sensor: sensor.to_string(),
    }
}

/// An instant of this boot as a time of day.
fn placed(at: Uptime, anchor: Option<Anchor>) -> Option<String> {
    wall(anchor.map(|anchor| WallTime(at.0.saturating_add(anchor.offset_ms))))
}

fn channel_state(status: notify::ChannelStatus, now: Uptime, anchor: Option<Anchor>) -> ChannelState {
    let failed = |failure: notify::LastFailure| {
        let since = failure.over.unwrap_or(failure.since);
        Failed {
            at: placed(failure.at, anchor),
            notification: failure.notification,
            reason: failure.reason,
            recovered: failure.over.is_some(),
            since: placed(since, anchor),
            for_s: Some((now - since).as_secs_f64()),
        }
    };
    ChannelState {
        channel: status.channel,
        server: status.server,
        waiting: status.waiting as u64,
        sending: status.next == Some(Next::UnderWay),
        next_try_s: match status.next {
            Some(Next::At(at)) => Some((at.max(now) - now).as_secs_f64()),
            Some(Next::UnderWay) | None => None,
        },
        unavailable: status.unavailable,
        last_failure: status.failure.map(failed),
    }
}

/// Name in JSON of an enum variant without data.
pub(crate) fn name(variant: impl serde::Serialize) -> String {
    serde_json::to_value(variant).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
}

fn lane_states(lanes: &store::LaneStates) -> BTreeMap<String, Lane> {
    let lane = |of: Of| {
        let state = lanes.of(of);
        let lane = Lane { committed: state.committed, confirmed: state.confirmed, waiting: state.waiting() };
        (of.name().to_owned(), lane)
    };
    Of::ALL.into_iter().map(lane).collect()
}

/// State of the database, read on the reader's thread.
fn stored(reader: &StoreReader, path: &std::path::Path, most_bytes: u64) -> StoreState {
    let size = |suffix: &str| {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        fs::metadata(path).map(|file| file.len()).ok()
    };
    let rates = reader.rates().ok().flatten();
    let used = reader.used_bytes().ok();
    let forecast = rates.zip(used).map(|(rates, used)| forecast(most_bytes, used, &rates));
    let kept = rates.map(|rates| rates.raw + rates.minutes + rates.quarters + rates.events);
    StoreState {
        bytes: size("").map(|bytes| bytes + size("-wal").unwrap_or(0)),
        kept_bytes_a_day: kept.filter(|kept| *kept > 0.0).map(f64::round),
        raw_days: forecast.and_then(|forecast| forecast.raw_goes).map(f64::floor),
        offline_days: forecast.and_then(|forecast| forecast.loss).map(f64::floor),
        given_up: reader.recorded_losses(MAX_GIVEN_UP).unwrap_or_default(),
        ..StoreState::default()
    }
}

#[cfg(test)]
mod tests;
