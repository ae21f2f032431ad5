//! Which sensors a rule watches: one, or all whose names fit a glob.

use std::fmt;

use tilth_core::id::SensorId;

use crate::diagnostic::Problem;
use crate::reader;
use crate::tree::Node;

/// A sensor's name, or a pattern for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    One(SensorId),
    Glob(Glob),
}

/// `*` stands for any letters within a half: `*/ph`, `tower-1/*`, `*/temp*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    pub(crate) zone: String,
    pub(crate) name: String,
}

impl Selector {
    /// Every sensor.
    pub(crate) fn all() -> Selector {
        Selector::Glob(Glob { zone: "*".to_owned(), name: "*".to_owned() })
    }
}

pub(crate) fn read(node: &Node) -> Result<Selector, Problem> {
    let expected = "a sensor such as \"tower-1/ph\" or a glob such as \"*/ph\"";
    let text = node.as_text().ok_or_else(|| reader::expected(expected, node))?;
    if !text.contains(['*', '?', '[', '{']) {
        return reader::sensor_id(node).map(Selector::One);
    }
    let halves = text.split_once('/').filter(|(_, name)| !name.contains('/'));
    let Some((zone, name)) = halves else {
        return Err(Problem::new(format!("{text:?} is no glob")).help("expected zone/name, with one /"));
    };
    if zone.is_empty() || name.is_empty() {
        return Err(Problem::new(format!("{text:?} is no glob")).help("expected zone/name; * stands for any name"));
    }
    match text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '*' | '/')) {
        None => Ok(Selector::Glob(Glob { zone: zone.to_owned(), name: name.to_owned() })),
        Some(stray) => {
            let problem = Problem::new(format!("a glob cannot contain {stray:?}"));
            Err(problem.help("expected a-z, 0-9, - and *, which stands for any letters within a half"))
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.zone, self.name)
    }
}

impl Glob {
    pub(crate) fn matches(&self, sensor: &SensorId) -> bool {
        let (zone, name) = sensor.as_str().split_once('/').unwrap_or((sensor.as_str(), ""));
        fits(&self.zone, zone) && fits(&self.name, name)
    }
}

/// Whether a text fits a pattern with stars. Goes back to the last star only, so that it never takes long.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut last_star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            last_star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, taken)) = last_star {
            last_star = Some((star, taken + 1));
            p = star + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_their_half() {
        for (zone, name, sensor, expected) in [
            ("*", "ph", "tower-1/ph", true),
            ("*", "ph", "tower-1/ph-b", false),
            ("tower-1", "*", "tower-1/ph", true),
            ("tower-1", "*", "tower-10/ph", false),
            ("tower-*", "*", "tower-10/ph", true),
            ("*", "temp*", "a/temp", true),
            ("*", "temp*", "a/water-temp", false),
            ("*", "*temp*", "a/water-temp-2", true),
            ("*", "a*b*c", "z/aXbXbc", true),
            ("*", "a*b*c", "z/abcb", false),
            ("**", "**", "z/q", true),
        ] {
            let glob = Glob { zone: zone.into(), name: name.into() };
            let (sensor_zone, sensor_name) = sensor.split_once('/').unwrap();
            let found = fits(&glob.zone, sensor_zone) && fits(&glob.name, sensor_name);
            assert_eq!(found, expected, "{zone}/{name} on {sensor}");
        }
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)));
    }
}
