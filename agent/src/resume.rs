//! How an engine goes on in a new process: the same for the agent and for a replay of its recording.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tilth_core::alert::AlertId;
use tilth_core::effect::Effect;
use tilth_core::engine::{Engine, Input, Reserve, Snapshot, SnapshotError, Start};
use tilth_core::id::SensorId;
use tilth_core::plan::Plan;
use tilth_core::reading::{Quality, Raw};
use tilth_core::time::{Stamp, Uptime, WallTime};

/// State that the engine of a process starts from; part of a recording.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EngineStart {
    pub(crate) boot: u32,
    /// The instant, on the clock that the engine runs on.
    pub(crate) at: Uptime,
    /// The time of day then, if the clock is trusted.
    pub(crate) wall: Option<WallTime>,
    /// What the engine remembered, if anything was kept.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) after: Vec<KeptReading>,
    /// Numbers of alerts up to this one may be in use.
    pub(crate) alerts_after: Option<AlertId>,
    /// Which numbers may be given; all of them in a recording from before they were reserved.
    #[serde(default)]
    pub(crate) reserve: Option<Reserve>,
}

/// A stored reading newer than the snapshot: goes through the engine a second time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptReading {
    /// The boot that its time is of.
    pub(crate) boot: u32,
    pub(crate) sensor: SensorId,
    pub(crate) at: Uptime,
    /// Before calibration.
    pub(crate) value: Number,
    pub(crate) quality: Quality,
}

/// A number to the last bit; null where it is none, and `inf` or `-inf` as a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) f64);

/// An engine that goes on, and what bringing it up to date brought.
pub(crate) struct Resumed {
    pub(crate) engine: Engine,
    /// Of readings that were stored after the checkpoint: decided again, and perhaps sent by the process before.
    pub(crate) effects: Vec<Effect>,
    /// Everything up to then is remembered; from then until now nothing is.
    pub(crate) heard_until: Option<Stamp>,
}

impl EngineStart {
    fn start(&self) -> Start {
        Start { boot: self.boot, at: self.at, wall: self.wall }
    }

    /// An engine that remembers nothing.
    pub(crate) fn fresh(&self, plan: &Arc<Plan>) -> Resumed {
        let mut engine = Engine::new(Arc::clone(plan), self.start());
        engine.number_alerts(self.alerts_after.unwrap_or_default(), self.reserve);
        Resumed { engine, effects: Vec::new(), heard_until: None }
    }

    /// First to where the boot of the snapshot ended: readings that were kept after it go through the engine again. Then, if
    /// this is another boot, into it.
    ///
    /// # Errors
    /// [`SnapshotError`] when another version took the snapshot.
    pub(crate) fn resume(&self, plan: &Arc<Plan>) -> Result<Resumed, SnapshotError> {
        let Some(snapshot) = &self.snapshot else { return Ok(self.fresh(plan)) };
        let mut snapshot = snapshot.clone();
        snapshot.number_alerts(self.alerts_after.unwrap_or_default(), self.reserve);
        let mut engine = Engine::restore(Arc::clone(plan), &snapshot)?;
        let mut effects: Vec<Effect> = std::iter::from_fn(|| engine.poll()).collect();
        for again in self.after.iter().filter(|again| again.boot == snapshot.boot()) {
            let Some(sensor) = plan.sensor_ix(again.sensor.as_str()) else { continue };
            let raw = Raw { sensor, at: again.at, value: again.value.0, quality: again.quality };
            engine.handle(again.at.max(engine.now().uptime), Input::Reading(raw));
            // The readings themselves are kept already.
            let news = std::iter::from_fn(|| engine.poll());
            effects.extend(news.filter(|effect| !matches!(effect, Effect::Reading(_) | Effect::NoValue(_))));
        }
        let heard_until = Some(engine.now());
        if snapshot.boot() == self.boot {
            engine.listen_again(self.at);
        } else {
            engine = Engine::restart(Arc::clone(plan), &engine.snapshot(), self.start())?;
        }
        Ok(Resumed { engine, effects, heard_until })
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_nan() => serializer.serialize_none(),
            number if number.is_infinite() => serializer.collect_str(&number),
            number => serializer.serialize_f64(number),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Option::<Written>::deserialize(deserializer)? {
            None => Ok(Number(f64::NAN)),
            Some(Written::Number(number)) => Ok(Number(number)),
            Some(Written::Text(text)) => match text.as_str() {
                "inf" => Ok(Number(f64::INFINITY)),
                "-inf" => Ok(Number(f64::NEG_INFINITY)),
                other => Err(de::Error::invalid_value(de::Unexpected::Str(other), &"a number, inf, -inf or null")),
            },
        }
    }
}
