//! A farm on paper: sensors, the real engine, and commits made of what it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tilth_core::alert::AlertId;
use tilth_core::calibrate::Calibration;
use tilth_core::effect::{Effect, Transition};
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::id::SensorId;
use tilth_core::plan::Plan;
use tilth_core::quantity::Quantity;
use tilth_core::reading::{Quality, Raw, SensorIx};
use tilth_core::sensor::Sensor;
use tilth_core::site::SiteState;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_core::value::Resolution;

use crate::checkpoint::Checkpoint;
use crate::store::{AlertRef, CalibratedPlan, Commit, NewEvent, Opened, Options, Store};

/// 2026-06-01T00:00:00Z, the wall time at uptime zero.
pub(crate) const WALL: WallTime = WallTime(1_780_272_000_000);

/// A folder of its own that goes away with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tilth-store-{}-{number}", std::process::id()));
        // The folder may be left from a test that was killed, in a process of the same number.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("tilth.db")
    }

    /// The database as a power cut would leave it: the file and its log.
    pub(crate) fn copy(&self) -> Folder {
        let copy = Folder::new();
        for name in ["tilth.db", "tilth.db-wal"] {
            let from = self.0.join(name);
            if from.exists() {
                std::fs::copy(from, copy.0.join(name)).unwrap();
            }
        }
        copy
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn options() -> Options {
    Options { machine: Some("machine-1".to_owned()), ..Options::new("now") }
}

pub(crate) fn open(folder: &Folder) -> (Store, Opened) {
    Store::open(&folder.database(), &options()).unwrap()
}

/// Opened, in its first boot.
pub(crate) fn booted(folder: &Folder) -> Store {
    let mut store = open(folder).0;
    store.begin_boot("boot-a", 0).unwrap();
    store
}

/// Sensors `z/s0`, `z/s1` ...; every third is calibrated.
pub(crate) fn plan(sensors: u32) -> Arc<Plan> {
    let sensor = |number: u32| {
        let id = SensorId::new(&format!("z/s{number}")).unwrap();
        let calibration = Calibration::Linear { gain: 2.0, offset: f64::from(number) };
        Sensor {
            zone: id.zone(),
            id,
            quantity: Quantity::Temperature,
            resolution: Resolution::new(0.01).unwrap(),
            calibration: if number % 3 == 2 { calibration } else { Calibration::Identity },
            range: None,
            max_rate: None,
            stuck_for: None,
            stale_after: None,
            bus: None,
            heard_within: None,
            state_of_bus: None,
        }
    };
    Arc::new(Plan::new((0..sensors).map(sensor).collect(), Vec::new()).unwrap())
}

pub(crate) fn calibrated(sensors: u32) -> Arc<CalibratedPlan> {
    Arc::new(CalibratedPlan::new(plan(sensors), format!("hash of {sensors}"), &SiteState::default()))
}

pub(crate) fn note(uptime: Uptime, text: &str) -> NewEvent {
    let at = Stamp { boot: 1, uptime, wall: Some(WallTime(WALL.0 + uptime.0)) };
    let serde_json::Value::Object(body) = json!({ "text": text }) else { unreachable!("an object is written here") };
    NewEvent { at, kind: "note".to_owned(), body, alert: None }
}

pub(crate) fn alert(uptime: Uptime, key: &str, number: u64, ends: bool) -> NewEvent {
    let ends = ends.then_some(tilth_core::effect::Reason::Cleared);
    NewEvent {
        kind: "alert".to_owned(),
        alert: Some(AlertRef { key: key.to_owned(), number: Some(number), ends }),
        ..note(uptime, key)
    }
}

/// What an engine remembers, and a text that tells one checkpoint from another.
pub(crate) fn remembered(engine: &Engine, text: &str) -> Arc<Checkpoint> {
    Arc::new(Checkpoint {
        engine: engine.snapshot(),
        last_pages: Arc::default(),
        acknowledged_by: Arc::new([(AlertId(1), text.to_owned())].into()),
        page_runs: Arc::default(),
        label_matches: Arc::default(),
        board_of_bus: Arc::default(),
    })
}

/// Of an engine that has seen nothing.
pub(crate) fn checkpoint(text: &str) -> Arc<Checkpoint> {
    remembered(&Farm::new(1).engine, text)
}

/// The engine and the commit that gathers what it says.
pub(crate) struct Farm {
    pub(crate) engine: Engine,
    pub(crate) calibrated: Arc<CalibratedPlan>,
    pub(crate) now: Uptime,
    pub(crate) commit: Commit,
}

impl Farm {
    pub(crate) fn new(sensors: u32) -> Farm {
        let calibrated = calibrated(sensors);
        let engine = Engine::new(Arc::clone(&calibrated.plan), Start { boot: 1, at: Uptime(0), wall: Some(WALL) });
        let commit = Commit::new(Uptime(0), Arc::clone(&calibrated));
        Farm { engine, calibrated, now: Uptime(0), commit }
    }

    /// A value that came in now, `behind` after it was read.
    pub(crate) fn read(&mut self, sensor: u32, value: f64, behind: Span) {
        let raw = Raw { sensor: SensorIx(sensor), at: self.now - behind, value, quality: Quality::Good };
        self.tell(Input::Reading(raw));
    }

    pub(crate) fn wait(&mut self, span: Span) {
        self.now = self.now + span;
        self.tell(Input::Tick);
    }

    pub(crate) fn tell(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.commit.now = self.now;
        while let Some(effect) = self.engine.poll() {
            match effect {
                Effect::Reading(reading) => self.commit.readings.push(reading),
                Effect::Window(closed) => self.commit.windows.push(closed),
                Effect::Alert(transition, details) => {
                    let ends = matches!(transition, Transition::Resolved(_));
                    let number = details.alert.map_or(0, |alert| alert.0);
                    self.commit.events.push(alert(self.now, details.key.rule.as_str(), number, ends));
                }
                _ => {}
            }
        }
    }

    /// What is to be stored since the last time, with a checkpoint where it must have one.
    pub(crate) fn take(&mut self) -> Commit {
        let mut commit = std::mem::replace(&mut self.commit, Commit::new(self.now, Arc::clone(&self.calibrated)));
        if !commit.windows.is_empty() || !commit.events.is_empty() {
            commit.checkpoint = Some(remembered(&self.engine, ""));
        }
        commit
    }
}

/// Numbers that look random and come again with their seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// Boots of a database, each with the time of day at its uptime zero.
pub(crate) fn boots(store: &Store) -> BTreeMap<u32, Option<WallTime>> {
    crate::store::boot::boots(&store.reader.0).unwrap()
}
