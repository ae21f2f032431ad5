//! The sensor names of a recording, each with a place by which rows name it.

use std::collections::HashMap;
use std::sync::Arc;

use super::report::Reason;

/// Sensor names that are remembered: far above any farm, and the bound on a file that makes them up.
pub(super) const MAX_NAMES: usize = 100_000;
/// The longest sensor name; an id has at most 81 bytes, a foreign column heading may have more.
pub(super) const MAX_NAME_BYTES: usize = 200;

/// The sensor names met, each with its place in the list.
#[derive(Default)]
pub(super) struct Names {
    pub(super) list: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
    /// The name that followed each name last time: recordings mostly repeat one order, so this guess
    /// saves the look-up.
    followers: Vec<usize>,
    last: usize,
}

impl Names {
    pub(super) fn intern(&mut self, name: &[u8]) -> Result<usize, Reason> {
        let guess = self.followers.get(self.last).copied().unwrap_or_default();
        let place = match self.list.get(guess) {
            Some(guessed) if guessed.as_bytes() == name => guess,
            _ => self.look_up(name)?,
        };
        if place != guess {
            self.followers[self.last] = place;
        }
        self.last = place;
        Ok(place)
    }

    /// Interns a heading, which must be a new name.
    pub(super) fn add(&mut self, name: &[u8]) -> Result<usize, Reason> {
        let known = self.list.len();
        let place = self.look_up(name)?;
        if place < known { Err(Reason::NameRepeated) } else { Ok(place) }
    }

    fn look_up(&mut self, name: &[u8]) -> Result<usize, Reason> {
        if name.len() > MAX_NAME_BYTES {
            return Err(Reason::NameTooLong);
        }
        let name = str::from_utf8(name).map_err(|_| Reason::NameNotText)?;
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        if name.is_empty() {
            return Err(Reason::NameEmpty);
        }
        if name.contains(char::is_control) {
            return Err(Reason::NameNotText);
        }
        if self.list.len() == MAX_NAMES {
            return Err(Reason::TooManyNames);
        }
        let name: Arc<str> = name.into();
        let place = self.list.len();
        self.places.insert(name.clone(), place);
        self.list.push(name);
        self.followers.push(0);
        Ok(place)
    }
}
