//! Start of decide: the engine continues from the checkpoint and the readings stored after it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::json;
use tilth_core::alert::AlertId;
use tilth_core::effect::{Effect, Page, Transition};
use tilth_core::engine::{AlertState, Engine, Input, Reserve};
use tilth_core::escalate::{Cause, PageId};
use tilth_core::id::Id;
use tilth_core::interlock;
use tilth_core::time::Stamp;
use tilth_notify::notification::Notification;
use tokio::sync::{broadcast, mpsc, watch};

use super::fault::LoggedFaults;
use super::live::{LiveLine, LiveOutput};
use super::stage::{self, StoreReplaced};
use super::{Decide, DecideConfig, DecideState};
use crate::act::Outputs;
use crate::checkpoint::{Checkpoint, LastPages, unreadable};
use crate::clock::Clock;
use crate::notify;
use crate::notify::dispatch::{Request, notification_id};
use crate::notify::to_decide::ModemProblems;
use crate::random::{self, RunId};
use crate::recording::Recording;
use crate::resume::{EngineStart, KeptReading, Resumed};
use crate::sense::store_ack::BoardPosition;
use crate::store::thread::StoreWriter;
use crate::store::{AlertNumberRange, CalibratedPlan, Commit, LostHistory};

#[derive(Default)]
pub(crate) struct RestoredState {
    /// Number of this boot; 0 while no database has numbered it.
    pub(crate) boot: u32,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Readings stored after the checkpoint.
    pub(crate) after: Vec<KeptReading>,
    /// How far the readings of each board are stored.
    pub(crate) positions: Vec<BoardPosition>,
    pub(crate) alerts: AlertNumberRange,
    /// The database continues under a new stream: open alerts are stated in it first.
    pub(crate) new_stream: bool,
    /// Lost history: rows that existed before this start.
    pub(crate) lost: Option<LostHistory>,
    /// The database holds an earlier run and nothing readable of what that remembered, so what was dosed is unknown.
    pub(crate) doses_unknown: bool,
    /// Remarks on the condition of the store, for the log and the event `start`.
    pub(crate) remarks: Vec<String>,
}

pub(crate) struct Handles {
    pub(crate) device: Id,
    pub(crate) run: RunId,
    pub(crate) clock: Clock,
    pub(crate) store_writer: StoreWriter,
    /// The outputs, and what becomes of orders to them.
    pub(crate) outputs: (Outputs, mpsc::Receiver<interlock::ActuatorInput>),
    pub(crate) replaced: watch::Receiver<StoreReplaced>,
    pub(crate) notify: mpsc::Sender<notify::NotifyRequest>,
    pub(crate) live: broadcast::Sender<Arc<LiveLine>>,
    pub(crate) recording: Option<Recording>,
}

/// Starts the engine from the restored state and sends what that brings.
pub(crate) fn begin(restored: RestoredState, configured: DecideConfig, mut handles: Handles) -> Decide {
    let DecideConfig { plan, hash, channels, merged } = configured;
    let (at, wall) = handles.clock.now();
    let mut remarks = restored.remarks;
    let (snapshot, mut last_pages, mut acknowledged_by, mut page_runs, label_matches, board_of_bus) =
        match restored.checkpoint {
            Some(Checkpoint { engine, last_pages, acknowledged_by, page_runs, label_matches, board_of_bus }) => {
                (Some(engine), last_pages, acknowledged_by, page_runs, label_matches, board_of_bus)
            }
            None => Default::default(),
        };
    let AlertNumberRange { after: alerts_after, through } = restored.alerts;
    let reserve = Reserve { through: AlertId(through), fallback: AlertId(random::alert_number(through)) };
    let (boot, after) = (restored.boot, restored.after);
    let (alerts_after, reserve) = (Some(AlertId(alerts_after)), Some(reserve));
    let mut start = EngineStart { boot, at, wall, snapshot, after, alerts_after, reserve };
    let mut doses_unknown = restored.doses_unknown;
    let Resumed { mut engine, effects, heard_until } = start.resume(&plan).unwrap_or_else(|error| {
        remarks.push(unreadable(&error));
        doses_unknown = true;
        start.snapshot = None;
        start.fresh(&plan)
    });
    let new_effects: Vec<Effect> = std::iter::from_fn(|| engine.poll()).collect();
    let kept = alerts_to_keep(&engine, effects.iter().chain(&new_effects));
    Arc::make_mut(&mut last_pages).retain(|alert, _| kept.contains(alert));
    Arc::make_mut(&mut acknowledged_by).retain(|alert, _| kept.contains(alert));
    Arc::make_mut(&mut page_runs).retain(|alert, _| kept.contains(alert));
    if let Some(recording) = &mut handles.recording {
        recording.begin(start, merged);
    }
    let live = LiveOutput::new(handles.live, &plan);
    let calibrated = Arc::new(CalibratedPlan::new(plan, hash, engine.site()));
    let mut decide = Decide {
        anchor: None,
        commit: Commit::new(at, Arc::clone(&calibrated)),
        plan: Arc::clone(engine.plan()),
        engine,
        last_pages,
        context: DecideState { acknowledged_by, ..DecideState::default() },
        page_runs,
        run: handles.run,
        reserved: AlertId(through),
        calibrated,
        device: handles.device,
        clock: handles.clock,
        store_writer: handles.store_writer,
        outputs: handles.outputs.0,
        order_outcomes: handles.outputs.1,
        pending_outputs: super::outputs::PendingOutputs::default(),
        sirens: super::sirens::Sirens::default(),
        booking_failed: false,
        replaced: handles.replaced,
        notify: handles.notify,
        unsent: VecDeque::new(),
        live,
        label_matches,
        board_of_bus,
        modem_problems: ModemProblems::new(),
        hub_accepts: None,
        logged_faults: LoggedFaults::default(),
        recording: handles.recording,
        reported_drops: super::drops::Reported::default(),
    };
    let sirens = super::sirens::configured(&channels);
    let channels_by_alert = stage::channels_by_alert(&decide.engine, &decide.plan);
    decide.send_to_channels(Request::Channels(channels, channels_by_alert));
    decide.restore_paged();
    if restored.new_stream {
        decide.stage_open_alerts();
    }
    for effect in effects {
        match &effect {
            // May have been sent before the process ended: `resend_pages` sends it as a repeat.
            Effect::Page(page) => decide.send_to_channels(Request::Paged(page.id.alert, page.channels.clone())),
            other => decide.notify_people(other),
        }
        decide.store_effect(effect);
    }
    let page_id = |effect: &Effect| if let Effect::Page(page) = effect { Some(page.id) } else { None };
    let new_pages: BTreeSet<PageId> = new_effects.iter().filter_map(page_id).collect();
    new_effects.into_iter().for_each(|effect| decide.perform(effect));
    // Before the first deadline runs: later pages are no repeats.
    decide.resend_pages(&new_pages);
    decide.follow_clock();
    decide.set_sirens(sirens);
    decide.report_start(boot, heard_until, &remarks);
    if let Some(lost) = &restored.lost {
        decide.report_lost_history(lost);
        decide.set_doses_unknown(lost);
    }
    if doses_unknown {
        decide.handle(Input::Actuator(interlock::ActuatorInput::DosesUnknown));
    }
    decide.feed_doses();
    decide.flush();
    decide
}

/// Open alerts, and those that this start resolves.
fn alerts_to_keep<'a>(engine: &Engine, effects: impl Iterator<Item = &'a Effect>) -> BTreeSet<AlertId> {
    let ended = effects.filter_map(|effect| match effect {
        Effect::Alert(Transition::Resolved(_), details) => details.alert,
        _ => None,
    });
    engine.alerts().filter_map(|alert| alert.details.alert).chain(ended).collect()
}

impl Decide {
    fn report_start(&mut self, boot: u32, heard_until: Option<Stamp>, remarks: &[String]) {
        let body = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "boot": boot,
            "clock": self.clock.mode().to_string(),
            "heard_until": heard_until,
            "remarks": remarks,
        });
        self.stage_event("start", body);
    }

    /// Tells notify which channels paged each alert before, so that they hear of an alert that this start resolves.
    fn restore_paged(&mut self) {
        let paged = |(alert, pages): (&AlertId, &LastPages)| Request::Paged(*alert, pages.keys().cloned().collect());
        let paged: Vec<_> = self.last_pages.iter().map(paged).collect();
        paged.into_iter().for_each(|request| self.send_to_channels(request));
    }

    /// Sends the pages of the previous process whose delivery is not known once more, marked as repeats; not the `new` ones of this start.
    fn resend_pages(&mut self, new: &BTreeSet<PageId>) {
        let plan = Arc::clone(self.engine.plan());
        let open: Vec<_> = self.engine.alerts().filter(|alert| alert.details.pages > 0).collect();
        for alert in open {
            let Some(number) = alert.details.alert else { continue };
            let id = PageId { alert: number, page: alert.details.pages };
            if new.contains(&id) {
                continue;
            }
            let channels = stage::channels(&plan, &alert.details);
            let last_pages = self.last_pages.get(&number);
            let is_open = |channel: &Id| {
                let last = last_pages.and_then(|pages| pages.get(channel)).copied().unwrap_or(0);
                alert.state == AlertState::Firing && last < alert.details.pages
            };
            let open: Vec<Id> = channels.into_iter().filter(is_open).collect();
            if !open.is_empty() {
                self.note_requested(number, &open);
                let page = Page { id, cause: Cause::Fired, channels: open.clone(), details: alert.details };
                let named = notification_id(&self.device, id, self.page_runs.get(&number));
                let notification = Notification::page(named, &page, &plan, true);
                self.send_to_channels(Request::Page(Box::new(notification), open));
            }
        }
    }
}
