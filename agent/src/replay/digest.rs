//! A hash of everything the engine said, so that two runs of one build can be compared in what no line shows.

use std::hash::{DefaultHasher, Hasher};

use serde::Serialize;
use tilth_core::effect::Effect;

/// Counts of all effects, and one number that is another if any of them is.
#[derive(Default, Serialize)]
pub(crate) struct Digest {
    #[serde(rename = "digest", serialize_with = "as_hex")]
    hash: DefaultHasher,
    readings: u64,
    missing: u64,
    windows: u64,
    transitions: u64,
    notifications: u64,
    health: u64,
    other: u64,
}

impl Digest {
    pub(crate) fn add(&mut self, effect: &Effect) {
        *match effect {
            Effect::Reading(_) => &mut self.readings,
            Effect::NoValue(_) => &mut self.missing,
            Effect::Window(_) => &mut self.windows,
            Effect::Alert(..) => &mut self.transitions,
            Effect::Page(_) => &mut self.notifications,
            Effect::Sensor(_) => &mut self.health,
            _ => &mut self.other,
        } += 1;
        self.hash.write(format!("{effect:?}\n").as_bytes());
    }
}

fn as_hex<S: serde::Serializer>(hash: &DefaultHasher, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:016x}", hash.finish()))
}
