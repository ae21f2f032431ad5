//! A hash of everything the engine said, so that two runs can be compared in what no line shows.

use std::fmt::{self, Write};

use serde::Serialize;
use tilth_core::effect::Effect;

/// Counts of all effects, and one number that is another if any of them is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Digest {
    #[serde(rename = "digest", serialize_with = "as_hex")]
    hash: Fnv,
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
            Effect::Schedule(_)
            | Effect::Site
            | Effect::Rejected(_)
            | Effect::Unwindowed(..)
            | Effect::Output(_)
            | Effect::Planned(_) => &mut self.other,
        } += 1;
        // What derives write is the same in every build, and writing into a number cannot fail.
        let _ = writeln!(self.hash, "{effect:?}");
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

fn as_hex<S: serde::Serializer>(hash: &Fnv, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:016x}", hash.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            let mut hash = Fnv::default();
            hash.write_str(text).unwrap();
            assert_eq!(hash.0, expected, "{text:?}");
        }
    }
}
