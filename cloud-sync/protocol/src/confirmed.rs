//! The header by which a device states what was confirmed to it: `events=12, windows=340`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::batch::Lane;

/// Name of the header. By it a hub notices that its database was set back.
pub const CONFIRMED_HEADER: &str = "x-tilth-confirmed";

/// Highest confirmed sequence by lane, in the epoch and stream of the batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confirmed(pub BTreeMap<Lane, u64>);

/// The text is not such a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected lanes with their sequences, such as events=12, windows=340")]
pub struct ConfirmedError;

impl fmt::Display for Confirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (lane, seq)) in self.0.iter().enumerate() {
            write!(f, "{}{lane}={seq}", if number > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Confirmed {
    type Err = ConfirmedError;

    /// Unknown lanes are ignored: a later version may have more.
    fn from_str(text: &str) -> Result<Confirmed, ConfirmedError> {
        let mut confirmed = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, seq) = part.split_once('=').ok_or(ConfirmedError)?;
            let seq = seq.parse().map_err(|_| ConfirmedError)?;
            confirmed.extend(Lane::ALL.into_iter().find(|lane| lane.name() == name).map(|lane| (lane, seq)));
        }
        Ok(Confirmed(confirmed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let confirmed = Confirmed(BTreeMap::from([(Lane::Events, 12), (Lane::Windows, u64::MAX)]));
        let text = "events=12, windows=18446744073709551615";
        assert_eq!((confirmed.to_string().as_str(), text.parse()), (text, Ok(confirmed)));
        assert_eq!("raw=3".parse(), Ok(Confirmed::default()));
        assert_eq!("".parse(), Ok(Confirmed::default()));
        for wrong in
            ["events", "events=", "events=-1", "events=1;windows=2", "events=1=2", "events=99999999999999999999"]
        {
            assert_eq!(wrong.parse::<Confirmed>(), Err(ConfirmedError), "{wrong}");
        }
    }
}
