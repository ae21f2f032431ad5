//! What the channels of a board measure, by the number of the reading: it may still hold readings from before a channel was set. Pure.

use tilth_wire::{ChannelKind, Reading, Unit};

use super::sequence::is_before;

/// What a channel measures; none for a kind that this version does not know.
pub(super) type Kind = Option<(ChannelKind, Unit)>;

/// Channels of a board, as its Hello says them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kinds(Vec<Since>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Since {
    kind: Kind,
    /// The first reading of this kind; none for all that the board may still hold.
    first: Option<u32>,
}

impl Kinds {
    /// Takes what a Hello says: the kinds, and the number of the next reading.
    pub(super) fn hello(&mut self, channels: &[Kind], next: u32) {
        let before = std::mem::take(&mut self.0);
        let since = |(number, kind): (usize, &Kind)| match before.get(number) {
            Some(since) if since.kind == *kind => *since,
            Some(_) => Since { kind: *kind, first: Some(next) },
            None => Since { kind: *kind, first: None },
        };
        self.0 = channels.iter().enumerate().map(since).collect();
    }

    /// What a channel measures now; none where the board has no such channel.
    pub(super) fn now(&self, channel: u8) -> Option<Kind> {
        self.0.get(usize::from(channel)).map(|since| since.kind)
    }

    /// What a reading measured; none where that is not known, for its channel was set since.
    pub(super) fn of(&mut self, reading: &Reading) -> Option<Kind> {
        let Some(since) = self.0.get_mut(usize::from(reading.channel)) else { return Some(None) };
        if since.first.is_some_and(|first| is_before(reading.seq, first)) {
            return None;
        }
        // Numbers wrap: what was reached once holds.
        since.first = None;
        Some(since.kind)
    }
}

#[cfg(test)]
mod tests {
    use tilth_wire::Sample;

    use super::*;

    const ANALOG: Kind = Some((ChannelKind::Analog, Unit::Raw));
    const WATER: Kind = Some((ChannelKind::Ds18b20, Unit::MilliCelsius));

    /// 32,768 of an analog pin would be 32.8 C.
    #[test]
    fn a_reading_from_before_its_channel_was_set_is_of_no_kind() {
        let mut kinds = Kinds::default();
        kinds.hello(&[ANALOG, ANALOG], 7);
        let of = |kinds: &mut Kinds, channel, seq| kinds.of(&Reading { seq, at: 0, channel, sample: Sample::Value(0) });
        assert_eq!(of(&mut kinds, 0, 3), Some(ANALOG));
        kinds.hello(&[WATER, ANALOG], 9);
        assert_eq!([3, 8, 9].map(|seq| of(&mut kinds, 0, seq)), [None, None, Some(WATER)]);
        assert_eq!(of(&mut kinds, 1, 8), Some(ANALOG));
        kinds.hello(&[WATER, ANALOG], 40);
        assert_eq!(of(&mut kinds, 0, 39), Some(WATER), "expected an equal kind to hold");
        assert_eq!([kinds.now(0), kinds.now(2)], [Some(WATER), None]);
    }
}
