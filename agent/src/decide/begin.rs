//! How the task that decides begins: where it left off, as far as the store remembers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::json;
use tilth_config::Channel;
use tilth_core::alert::AlertId;
use tilth_core::effect::{Effect, Page};
use tilth_core::engine::{Engine, Input, SnapshotError, Standing, Start};
use tilth_core::escalate::{Cause, PageId};
use tilth_core::id::Id;
use tilth_core::plan::Plan;
use tilth_core::reading::Raw;
use tilth_core::time::Stamp;
use tokio::sync::{broadcast, mpsc};

use super::keep::Kept;
use super::live::{Live, Show};
use super::{Decide, Figures, Recording};
use crate::clock::Clock;
use crate::notify;
use crate::notify::notice::Notice;
use crate::store::read::Recorded;
use crate::store::thread::Recorder;
use crate::store::{Commit, Watched};

/// What the store gave when it was opened.
pub(crate) struct Begun {
    /// The number of this boot.
    pub(crate) boot: u32,
    /// The snapshot's bytes, if there are any.
    pub(crate) snapshot: Option<Vec<u8>>,
    /// The readings that were kept after it.
    pub(crate) after: Vec<Recorded>,
    /// The database goes on under a new stream: what is open is stated in it first.
    pub(crate) new_stream: bool,
    /// What is to be said about the store's condition.
    pub(crate) remarks: Vec<String>,
}

/// What the task works with.
pub(crate) struct Tools {
    pub(crate) device: Id,
    pub(crate) clock: Clock,
    pub(crate) recorder: Recorder,
    pub(crate) notify: mpsc::Sender<notify::Command>,
    pub(crate) live: broadcast::Sender<Arc<Live>>,
    pub(crate) recording: Option<Recording>,
}

/// Makes the engine of this boot, with everything that was kept before it ended.
pub(crate) fn begin(
    begun: Begun,
    plan: Arc<Plan>,
    hash: String,
    channels: BTreeMap<Id, Channel>,
    tools: Tools,
) -> Decide {
    let (now, wall) = tools.clock.now();
    let start = Start { boot: begun.boot, at: now, wall };
    let Resumed { engine, told, effects, heard_until, remark } = resume(&begun, &plan, start);
    let live = Show::new(tools.live, &plan);
    let watched = Arc::new(Watched::new(plan, hash, engine.site()));
    let mut decide = Decide {
        anchor: None,
        commit: Commit::new(now, Arc::clone(&watched)),
        engine,
        told,
        watched,
        device: tools.device,
        clock: tools.clock,
        recorder: tools.recorder,
        notify: tools.notify,
        untold: VecDeque::new(),
        live,
        buses: BTreeMap::new(),
        recording: tools.recording,
        figures: Figures::default(),
    };
    decide.tell_people(notify::Command::Channels(channels));
    if begun.new_stream {
        decide.state_alerts();
    }
    effects.into_iter().for_each(|effect| decide.act(effect));
    decide.drain();
    decide.follow_clock();
    let remarks: Vec<String> = begun.remarks.into_iter().chain(remark).collect();
    decide.say_start(begun.boot, heard_until, &remarks);
    decide.tell_again();
    decide.flush();
    decide
}

/// An engine that goes on, and what bringing it up to date brought.
struct Resumed {
    engine: Engine,
    told: BTreeMap<AlertId, u32>,
    effects: Vec<Effect>,
    /// Everything up to then is remembered; from then until now nothing is.
    heard_until: Option<Stamp>,
    remark: Option<String>,
}

fn resume(begun: &Begun, plan: &Arc<Plan>, start: Start) -> Resumed {
    let anew = |remark| Resumed {
        engine: Engine::new(Arc::clone(plan), start),
        told: BTreeMap::new(),
        effects: Vec::new(),
        heard_until: None,
        remark,
    };
    let Some(bytes) = &begun.snapshot else { return anew(None) };
    let kept: Kept = match serde_json::from_slice(bytes) {
        Ok(kept) => kept,
        Err(error) => return anew(Some(format!("what was remembered cannot be read, so all begins anew: {error}"))),
    };
    let mut effects = Vec::new();
    match go_on(&kept, &begun.after, plan, start, &mut effects) {
        Ok((engine, heard_until)) => {
            Resumed { engine, told: kept.told, effects, heard_until: Some(heard_until), remark: None }
        }
        Err(error) => anew(Some(format!("what was remembered cannot be used, so all begins anew: {error}"))),
    }
}

/// First to where the boot of the snapshot ended: readings that were kept after it go through the engine again. Then, if this
/// is another boot, into it.
fn go_on(
    kept: &Kept,
    after: &[Recorded],
    plan: &Arc<Plan>,
    start: Start,
    effects: &mut Vec<Effect>,
) -> Result<(Engine, Stamp), SnapshotError> {
    let mut engine = Engine::restore(Arc::clone(plan), &kept.engine)?;
    effects.extend(std::iter::from_fn(|| engine.poll()));
    for reading in after.iter().filter(|reading| reading.boot == kept.engine.boot()) {
        let Some(sensor) = plan.sensor_ix(reading.series.sensor.as_str()) else { continue };
        let raw = Raw { sensor, at: reading.at, value: reading.raw, quality: reading.quality };
        engine.handle(reading.at.max(engine.now().uptime), Input::Reading(raw));
        // The readings themselves are kept already.
        let news = std::iter::from_fn(|| engine.poll());
        effects.extend(news.filter(|effect| !matches!(effect, Effect::Reading(_) | Effect::Missing(_))));
    }
    let heard_until = engine.now();
    if kept.engine.boot() != start.boot {
        engine = Engine::restart(Arc::clone(plan), &engine.snapshot(), start)?;
    }
    Ok((engine, heard_until))
}

impl Decide {
    fn say_start(&mut self, boot: u32, heard_until: Option<Stamp>, remarks: &[String]) {
        let body = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "boot": boot,
            "clock": self.clock.source().to_string(),
            "heard_until": heard_until,
            "remarks": remarks,
        });
        self.event("start", body);
    }

    /// Pages that were decided on before the process ended and are not known to have been told: told again, as repeats.
    fn tell_again(&mut self) {
        let plan = Arc::clone(self.engine.plan());
        let open: Vec<_> = self.engine.alerts().filter(|alert| alert.report.pages > 0).collect();
        for alert in open {
            let Some(number) = alert.report.alert else { continue };
            let rule = plan.rules().find(|rule| rule.key == alert.report.key);
            let channels =
                rule.map_or(Vec::new(), |rule| rule.escalation.level(alert.report.severity).channels.clone());
            let told = self.told.get(&number).copied().unwrap_or(0);
            if alert.standing == Standing::Firing && told < alert.report.pages {
                let id = PageId { alert: number, page: alert.report.pages };
                let page = Page { id, cause: Cause::Fired, channels: channels.clone(), report: alert.report };
                let notice = Notice::page(&self.device, &page, &plan, true);
                self.tell_people(notify::Command::Page(Box::new(notice), channels));
            } else {
                self.tell_people(notify::Command::Paged(number, channels));
            }
        }
    }
}
