//! Stages rows and checkpoints in the next commit, and hands it to the store.

use std::mem;
use std::sync::Arc;

use serde_json::{Value, json};
use tilth_core::alert::AlertId;
use tilth_core::effect::{AlertDetails, Effect, Transition};
use tilth_core::engine::{AlertState, AlertView, Engine, Input};
use tilth_core::id::Id;
use tilth_core::interlock::{self, HeldBy, HoldView};
use tilth_core::plan::Plan;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_notify::notification::INSTEAD_OF;

use super::{Decide, new_event};
use crate::checkpoint::Checkpoint;
use crate::clock;
use crate::notify::Delivery;
use crate::notify::dispatch::ChannelsByAlert;
use crate::recording::Entry;
use crate::store::{AlertRef, CalibratedPlan, Commit, EarlierState, LossAmount, LostHistory, NewEvent};
use crate::transition::TransitionRecord;

/// Kind of the event about a notification that a channel will not deliver.
pub(super) const UNDELIVERED: &str = "undelivered";

/// Replacement of the database while the agent runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreReplaced {
    /// What the database that opened late holds of earlier runs; `None` if there was one at the start.
    pub(crate) earlier: Option<EarlierState>,
    /// Lost history: rows that the new database lacks.
    pub(crate) lost: Option<LostHistory>,
}

impl Decide {
    /// Hands the gathered rows to the store; windows and events bring the checkpoint taken after them.
    pub(super) fn flush(&mut self) {
        self.flush_unsent();
        let now = self.engine.now().uptime;
        if self.commit.needs_checkpoint() || self.has_bookings() {
            self.stage_checkpoint();
        }
        if self.commit.checkpoint.is_none() && !self.commit.has_readings() {
            return;
        }
        let mut commit = mem::replace(&mut self.commit, Commit::new(now, Arc::clone(&self.calibrated)));
        commit.now = now;
        self.store_writer.record(commit);
        self.await_bookings();
    }

    pub(super) fn stage_checkpoint(&mut self) {
        self.commit.alerts_through = Some(self.engine.wanted_reserve().0);
        self.commit.checkpoint = Some(Arc::new(Checkpoint {
            engine: self.engine.snapshot(),
            last_pages: Arc::clone(&self.last_pages),
            acknowledged_by: Arc::clone(&self.context.acknowledged_by),
            page_runs: Arc::clone(&self.page_runs),
            label_matches: Arc::clone(&self.label_matches),
            board_of_bus: Arc::clone(&self.board_of_bus),
        }));
    }

    pub(super) fn stage_site_state(&mut self) {
        let site = self.engine.site().clone();
        let CalibratedPlan { plan, hash, .. } = self.calibrated.as_ref();
        self.calibrated = Arc::new(CalibratedPlan::new(Arc::clone(plan), hash.clone(), &site));
        let mut body = serde_json::to_value(&site).unwrap_or(Value::Null);
        body["holds"] = self.held();
        body["doses"] = self.doses();
        self.stage_event("site", body);
        self.commit.site = Some(site);
    }

    /// Zones on hold, for the hub.
    fn held(&self) -> Value {
        let now = self.engine.now();
        let wall = |at: Uptime| now.wall.map(|wall| WallTime(wall.0.saturating_add((at - now.uptime).0)));
        let stamp = |at: Uptime| Stamp { uptime: at, wall: wall(at), ..now };
        let by = |by: &HeldBy| Some(by).filter(|by| **by != HeldBy::LostHistory).map(ToString::to_string);
        let hold = |hold: HoldView| json!({ "zone": hold.zone, "by": by(&hold.by), "until": hold.until.map(stamp) });
        self.engine.holds().map(hold).collect()
    }

    /// Time on of actuators with a total within the last hour and day, in ms, for the hub.
    fn doses(&self) -> Value {
        let with_total = self.engine.actuators().filter(|view| view.actuator.has_total());
        with_total.map(|view| json!({ "actuator": view.actuator.id, "hour": view.hour, "day": view.day })).collect()
    }

    pub(super) fn stage_anchor(&mut self, anchor: clock::Anchor) {
        let error = anchor.error.unwrap_or(Span::ZERO);
        let body = json!({ "offset": anchor.offset_ms, "source": anchor.trust.name(), "error": error });
        self.stage_event("clock", body);
        self.commit.anchor = Some(anchor);
    }

    /// Gives a new database the boot, the site state and all open alerts.
    pub(super) fn store_replaced(&mut self) {
        let StoreReplaced { earlier, lost } = self.replaced.borrow_and_update().clone();
        let earlier = earlier.filter(|_| self.engine.now().boot == 0);
        // A file replaced while running loses no doses: they are in memory.
        let is_first = earlier.is_some();
        // The file holds an earlier run, and totals that cannot be read.
        let doses_unknown = earlier.as_ref().is_some_and(|earlier| earlier.has_boots && earlier.outputs.is_none());
        if let Some(EarlierState { boot, site, outputs, alerts, .. }) = earlier {
            let now = self.now();
            if let Some(recording) = &mut self.recording {
                let (site, outputs) = (site.clone().map(Box::new), outputs.clone());
                recording.line(now, &Entry::Counted { boot, site, outputs });
            }
            self.engine.number_boot(boot);
            site.iter().for_each(|before| self.engine.restore_site(before));
            outputs.iter().for_each(|before| self.restore_outputs(before));
            self.drain();
            self.decide(now, Input::Reserved { after: AlertId(alerts.after), through: AlertId(alerts.through) });
        }
        self.stage_everything();
        if let Some(lost) = &lost {
            self.report_lost_history(lost);
            if is_first {
                self.set_doses_unknown(lost);
            }
        }
        if doses_unknown {
            self.handle(Input::Actuator(interlock::ActuatorInput::DosesUnknown));
        }
    }

    pub(super) fn report_lost_history(&mut self, lost: &LostHistory) {
        let LostHistory { reason, from, until, amount } = lost;
        let body = json!({
            "message": lost.said(self.engine.now().wall, |at| at.to_string()),
            "reason": reason,
            "from": from,
            "until": until,
            "all": *amount == LossAmount::All,
            "certain": amount.is_certain(),
        });
        self.stage_event("history-missing", body);
    }

    /// Stores all that a new database or stream needs, the open alerts first.
    pub(super) fn stage_everything(&mut self) {
        self.stage_open_alerts();
        if let Some(anchor) = self.anchor {
            self.stage_anchor(anchor);
        }
        self.stage_site_state();
        self.stage_checkpoint();
    }

    /// Sends every open alert again: after a change of stream the hub closes each alert that the new stream does not contain.
    pub(super) fn stage_open_alerts(&mut self) {
        let plan = Arc::clone(self.engine.plan());
        let open: Vec<_> =
            self.engine.alerts().filter(|alert| !matches!(alert.state, AlertState::Pending(_))).collect();
        for AlertView { state, details, .. } in open {
            let transition = match state {
                AlertState::Acknowledged(until) => {
                    // Checkpoints of early versions have no names.
                    let by = details
                        .alert
                        .and_then(|alert| self.context.acknowledged_by.get(&alert))
                        .cloned()
                        .unwrap_or_default();
                    Transition::Acknowledged { until, by }
                }
                AlertState::Firing | AlertState::Pending(_) => Transition::Firing,
            };
            let effect = Effect::Alert(transition, Box::new(details));
            let Some(line) = TransitionRecord::of(&effect, &plan) else { continue };
            let Some(mut event) = event(&effect, &line) else { continue };
            if event.body.get("by").is_some_and(|by| by == "") {
                event.body.remove("by");
            }
            event.body.insert("stated_again".to_owned(), Value::Bool(true));
            self.commit.events.push(event);
        }
    }

    pub(super) fn stage_event(&mut self, kind: &str, body: Value) {
        self.commit.events.push(new_event(self.engine.now(), kind, body));
    }

    pub(super) fn stage_diagnostic(&mut self, kind: &str, body: Value) {
        self.commit.diagnostics.push(new_event(self.engine.now(), kind, body));
    }

    /// Notes that these channels were asked to page an alert.
    pub(super) fn note_requested(&mut self, alert: AlertId, channels: &[Id]) {
        let pages = Arc::make_mut(&mut self.last_pages).entry(alert).or_default();
        for channel in channels {
            pages.entry(channel.clone()).or_insert(0);
        }
    }

    pub(super) fn note_delivery(&mut self, delivery: &Delivery) {
        let Delivery { channel, outcome } = delivery;
        if let (true, Some((alert, page))) = (outcome.status.is_final(), self.page_of(&outcome.notification))
            && let Some(pages) = Arc::make_mut(&mut self.last_pages).get_mut(&alert)
        {
            let last = pages.entry(channel.clone()).or_insert(0);
            *last = (*last).max(page);
        }
        let body = json!({
            "notification": outcome.notification,
            "channel": channel,
            "status": outcome.status.name(),
            "attempts": outcome.attempts,
            "reason": outcome.reason,
        });
        if outcome.status.is_given_up() {
            let mut body = body.clone();
            body["alert"] = json!(self.page_of(&outcome.notification).map(|(AlertId(alert), _)| alert));
            body["instead"] = json!(outcome.instead);
            self.stage_event(UNDELIVERED, body);
        }
        self.stage_diagnostic("delivery", body);
    }

    /// Alert and page number in the id of a notification; `None` where it is no page. The id of a stand-in begins with that of the page.
    fn page_of(&self, notification: &str) -> Option<(AlertId, u32)> {
        let (notification, _) = notification.split_once(INSTEAD_OF).unwrap_or((notification, ""));
        let (alert, rest) = notification.strip_prefix(self.device.as_str())?.strip_prefix('-')?.split_once('-')?;
        let page = rest.split_once('-').map_or(rest, |(page, _run)| page);
        Some((AlertId(alert.parse().ok()?), page.parse().ok()?))
    }
}

/// Channels that page each open alert by a plan.
pub(super) fn channels_by_alert(engine: &Engine, plan: &Plan) -> ChannelsByAlert {
    let level = |view: AlertView| Some((view.details.alert?, channels(plan, &view.details)));
    engine.alerts().filter_map(level).collect()
}

/// Channels of an alert's level; empty where the plan lacks its rule.
pub(super) fn channels(plan: &Plan, details: &AlertDetails) -> Vec<Id> {
    plan.rule(&details.key).map_or(Vec::new(), |rule| rule.escalation.level(details.severity).channels.clone())
}

/// Row of the lane events for a transition.
pub(super) fn event(effect: &Effect, line: &TransitionRecord<'_>) -> Option<NewEvent> {
    let about = |details: &AlertDetails, ends| {
        Some(AlertRef { key: details.key.to_string(), number: details.alert.map(|alert| alert.0), ends })
    };
    let (kind, at, alert) = match effect {
        Effect::Alert(Transition::Resolved(reason), details) => ("alert", details.at, about(details, Some(*reason))),
        Effect::Alert(_, details) => ("alert", details.at, about(details, None)),
        Effect::Page(page) => ("page", page.details.at, about(&page.details, None)),
        Effect::Sensor(event) => ("sensor", event.at, None),
        Effect::Output(interlock::Effect::Report(actuation)) => ("actuation", actuation.at, None),
        Effect::Output(interlock::Effect::Hold(change)) => ("hold", change.at, None),
        _ => return None,
    };
    Some(NewEvent { alert, ..new_event(at, kind, serde_json::to_value(line).ok()?) })
}
