//! The series of a recording: a name, what it measures, and the index by which rows refer to it.

use std::collections::HashMap;
use std::sync::Arc;

use super::columns::Measurement;
use super::report::Reason;

/// Sensor names that are remembered: far above any farm, and the bound on a file that makes them up.
pub(super) const MAX_NAMES: usize = 100_000;
/// The longest sensor name; an id has at most 81 bytes, a foreign column heading may have more.
pub(super) const MAX_NAME_BYTES: usize = 200;

/// The names met, in the order of their first reading.
#[derive(Default)]
pub(super) struct SeriesNames {
    /// What each is called in what is told of it: a sensor's id, else its name in the recording.
    pub(super) list: Vec<Arc<str>>,
    pub(super) measurements: Vec<Measurement>,
    by_name: HashMap<Arc<str>, usize>,
    recorded: Vec<Arc<str>>,
    /// Sensors that the recording calls otherwise.
    renamed: HashMap<Arc<str>, usize>,
    /// The name that followed each name last time: recordings mostly repeat one order, so this guess
    /// saves the look-up.
    followers: Vec<usize>,
    last: usize,
}

impl SeriesNames {
    /// The index of a name; `series` says what a new one is called from now on and what it measures.
    pub(super) fn intern(
        &mut self,
        name: &[u8],
        series: impl FnOnce(&str) -> Result<(Arc<str>, Measurement), Reason>,
    ) -> Result<usize, Reason> {
        let guess = self.followers.get(self.last).copied().unwrap_or_default();
        if self.recorded.get(guess).is_some_and(|guessed| guessed.as_bytes() == name) {
            self.last = guess;
            return Ok(guess);
        }
        let index = match self.known(name)? {
            Ok(index) => index,
            Err(name) => series(name).and_then(|(sensor, measurement)| self.add(name, sensor, measurement))?,
        };
        if let Some(follower) = self.followers.get_mut(self.last) {
            *follower = index;
        }
        self.last = index;
        Ok(index)
    }

    /// The index of a name, or the name as text where it is new.
    fn known<'a>(&self, name: &'a [u8]) -> Result<Result<usize, &'a str>, Reason> {
        if name.len() > MAX_NAME_BYTES {
            return Err(Reason::NameTooLong);
        }
        let name = str::from_utf8(name).map_err(|_| Reason::NameNotText)?;
        if let Some(index) = self.by_name.get(name) {
            return Ok(Ok(*index));
        }
        if name.is_empty() {
            return Err(Reason::NameEmpty);
        }
        if name.contains(|letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER) {
            return Err(Reason::NameNotText);
        }
        if self.list.len() == MAX_NAMES { Err(Reason::TooManyNames) } else { Ok(Err(name)) }
    }

    /// A heading of its own, which must be new, and the sensor that it is.
    pub(super) fn add_heading(
        &mut self,
        heading: &str,
        sensor: Arc<str>,
        measurement: Measurement,
    ) -> Result<usize, Reason> {
        match self.known(heading.as_bytes())? {
            Ok(_) => Err(Reason::NameRepeated),
            Err(heading) => self.add(heading, sensor, measurement),
        }
    }

    fn add(&mut self, name: &str, sensor: Arc<str>, measurement: Measurement) -> Result<usize, Reason> {
        let index = self.list.len();
        let is_renamed = *sensor != *name;
        if self.renamed.contains_key(&sensor) || is_renamed && self.by_name.contains_key(&sensor) {
            return Err(Reason::NameRepeated);
        }
        let name = if is_renamed { name.into() } else { Arc::clone(&sensor) };
        if is_renamed {
            self.renamed.insert(Arc::clone(&sensor), index);
        }
        self.by_name.insert(Arc::clone(&name), index);
        self.recorded.push(name);
        self.list.push(sensor);
        self.measurements.push(measurement);
        self.followers.push(0);
        Ok(index)
    }
}
