//! Names, checked once when they are made and trusted afterwards.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most characters an id may have.
pub const MAX_LEN: usize = 40;

/// Zone of the sensors that stand for buses.
pub const BUS_ZONE: &str = "bus";

/// Zone of the sensor that stands for the hub.
pub const HUB_ZONE: &str = "hub";

/// Zone of the sensors that stand for channels.
pub const CHANNEL_ZONE: &str = "notify";

/// The zone of sensors that stand for the agent itself.
pub const AGENT_ZONE: &str = "agent";

/// A name of a zone, rule, device, policy, schedule, channel or bus: `[a-z0-9-]{1,40}`.
///
/// Cheap to clone; sorts by its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

/// A sensor's name, `zone/name`, each half an [`Id`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorId(Arc<str>);

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An empty id, or an empty half of a sensor's.
    #[error("is empty; expected 1 to 40 of a-z, 0-9 and -")]
    Empty,
    /// Longer than [`MAX_LEN`].
    #[error("has {0} characters; expected at most 40")]
    TooLong(usize),
    /// A character outside the alphabet.
    #[error("contains {0:?}; expected only a-z, 0-9 and -")]
    Character(char),
    /// A sensor id without exactly one `/`.
    #[error("expected zone/name, with one /")]
    NotASensor,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if let Some(stray) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(IdError::Character(stray));
    }
    if text.len() > MAX_LEN {
        return Err(IdError::TooLong(text.len()));
    }
    Ok(())
}

impl Id {
    /// Checks and keeps a name.
    ///
    /// # Errors
    /// [`IdError`] when the text is empty, too long, or has a character outside `[a-z0-9-]`.
    pub fn new(text: &str) -> Result<Id, IdError> {
        check(text)?;
        Ok(Id(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SensorId {
    /// Checks and keeps a sensor's name.
    ///
    /// # Errors
    /// [`IdError`] when the text is not two ids with one `/` between them.
    pub fn new(text: &str) -> Result<SensorId, IdError> {
        let (zone, name) = text.split_once('/').ok_or(IdError::NotASensor)?;
        if name.contains('/') {
            return Err(IdError::NotASensor);
        }
        check(zone)?;
        check(name)?;
        Ok(SensorId(text.into()))
    }

    /// The sensor that stands for a bus, `bus/NAME`: 1 while the bus is up, 0 while it is down.
    #[must_use]
    pub fn of_bus(bus: &Id) -> SensorId {
        SensorId(format!("{BUS_ZONE}/{bus}").into())
    }

    /// The sensor that stands for a channel, `notify/NAME`: 1 while the channel can send, 0 while it cannot.
    #[must_use]
    pub fn of_channel(channel: &Id) -> SensorId {
        SensorId(format!("{CHANNEL_ZONE}/{channel}").into())
    }

    /// The sensor that stands for the hub, `hub/accepts`: 1 while the hub takes what this device sends, 0 while it refuses.
    #[must_use]
    pub fn hub_accepts() -> SensorId {
        SensorId(format!("{HUB_ZONE}/accepts").into())
    }

    /// The sensor that stands for doses, `agent/doses`: 1 while doses are recorded and those of before are known, else 0.
    #[must_use]
    pub fn doses() -> SensorId {
        SensorId(format!("{AGENT_ZONE}/doses").into())
    }

    /// The whole name, `zone/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `/`: the zone a sensor belongs to unless its configuration names another.
    #[must_use]
    pub fn zone(&self) -> Id {
        let (zone, _) = self.0.split_once('/').expect("checked when it was made");
        Id(zone.into())
    }

    /// The part after the `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').expect("checked when it was made").1
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SensorId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for SensorId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = String::deserialize(deserializer)?;
        Id::new(&text).map_err(|error| D::Error::custom(format!("id {text:?} {error}")))
    }
}

impl<'de> Deserialize<'de> for SensorId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SensorId, D::Error> {
        let text = String::deserialize(deserializer)?;
        SensorId::new(&text).map_err(|error| D::Error::custom(format!("sensor {text:?} {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_when_made() {
        for (text, expected) in [
            ("tower-1", Ok(())),
            ("", Err(IdError::Empty)),
            ("Tower", Err(IdError::Character('T'))),
            ("a b", Err(IdError::Character(' '))),
            ("é", Err(IdError::Character('é'))),
        ] {
            assert_eq!(Id::new(text).map(drop), expected, "{text:?}");
        }
        assert_eq!(Id::new(&"a".repeat(41)), Err(IdError::TooLong(41)));
        assert!(Id::new(&"a".repeat(40)).is_ok());
    }

    #[test]
    fn a_sensor_has_a_zone_and_a_name() {
        let sensor = SensorId::new("tower-1/ph").unwrap();
        assert_eq!((sensor.zone().as_str(), sensor.name()), ("tower-1", "ph"));
        let name = Id::new("gateway").unwrap();
        for made in [SensorId::of_bus(&name), SensorId::of_channel(&name), SensorId::hub_accepts(), SensorId::doses()] {
            assert_eq!(SensorId::new(made.as_str()), Ok(made));
        }
        for (text, expected) in [
            ("ph", IdError::NotASensor),
            ("a/b/c", IdError::NotASensor),
            ("/ph", IdError::Empty),
            ("a/", IdError::Empty),
        ] {
            assert_eq!(SensorId::new(text), Err(expected), "{text:?}");
        }
    }
}
