//! The engine as a library, over a plan made from a document: what the command line does not show.

use std::sync::Arc;

use tilth_config::{Document, Layer, Purpose};
use tilth_core::effect::Effect;
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::plan::Plan;
use tilth_core::reading::{Quality, Raw, SensorIx};
use tilth_core::time::{Uptime, WallTime};

/// The plan of one document in `config.d`, over the shipped base.
///
/// # Panics
/// When the document has an error.
#[must_use]
#[track_caller]
pub fn plan(config: &str) -> Arc<Plan> {
    let mut documents = tilth_config::base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", config));
    let loaded = tilth_config::load_documents(documents, Purpose::Replay);
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    Arc::new(loaded.plan.unwrap_or_else(|| panic!("{}", said.join("\n"))))
}

/// An engine on a device that booted with a trusted clock at an instant, in milliseconds since 1970.
#[must_use]
pub fn booted(plan: &Arc<Plan>, at_ms: i64) -> Engine {
    Engine::new(Arc::clone(plan), Start { boot: 1, at: Uptime(0), wall: Some(WallTime(at_ms)) })
}

/// A reading of one sensor: when, in milliseconds since 1970, and what; not a number where it is missing.
pub type Read = (i64, SensorIx, f64);

/// Everything the engine says to readings in the order of their time; its clock stops with the last one.
#[must_use]
pub fn effects(plan: &Arc<Plan>, readings: &[Read]) -> Vec<Effect> {
    let Some((start_ms, ..)) = readings.first() else { return Vec::new() };
    let mut engine = booted(plan, *start_ms);
    let mut effects = Vec::new();
    for (at_ms, sensor, value) in readings {
        let at = Uptime(at_ms - start_ms);
        engine.handle(at, Input::Reading(Raw { sensor: *sensor, at, value: *value, quality: Quality::Good }));
        effects.extend(std::iter::from_fn(|| engine.poll()));
    }
    effects
}
