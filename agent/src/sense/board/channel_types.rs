//! What each channel measured at a given sequence number: the board may still hold readings from before its channel was set. Pure.

use tilth_wire::{ChannelKind, Reading, Unit};

use super::sequence::is_before;

/// What a channel measures; none for a kind that this version does not know.
pub(super) type ChannelType = Option<(ChannelKind, Unit)>;

/// Channels of a board, as its Hello says them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ChannelTypes(Vec<TypeSince>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TypeSince {
    channel_type: ChannelType,
    /// The first reading of this type; none for all that the board may still hold.
    first: Option<u32>,
}

impl ChannelTypes {
    /// Takes what a Hello says: the types, and the number of the next reading.
    pub(super) fn hello(&mut self, channels: &[ChannelType], next: u32) {
        let before = std::mem::take(&mut self.0);
        let since = |(number, channel_type): (usize, &ChannelType)| match before.get(number) {
            Some(since) if since.channel_type == *channel_type => *since,
            Some(_) => TypeSince { channel_type: *channel_type, first: Some(next) },
            None => TypeSince { channel_type: *channel_type, first: None },
        };
        self.0 = channels.iter().enumerate().map(since).collect();
    }

    /// What a channel measures now; none where the board has no such channel.
    pub(super) fn now(&self, channel: u8) -> Option<ChannelType> {
        self.0.get(usize::from(channel)).map(|since| since.channel_type)
    }

    /// What a reading measured; none where that is not known, for its channel was set since.
    pub(super) fn of(&mut self, reading: &Reading) -> Option<ChannelType> {
        let Some(since) = self.0.get_mut(usize::from(reading.channel)) else { return Some(None) };
        if since.first.is_some_and(|first| is_before(reading.seq, first)) {
            return None;
        }
        // Numbers wrap: what was reached once holds.
        since.first = None;
        Some(since.channel_type)
    }
}

#[cfg(test)]
mod tests {
    use tilth_wire::Sample;

    use super::*;

    const ANALOG: ChannelType = Some((ChannelKind::Analog, Unit::Raw));
    const WATER: ChannelType = Some((ChannelKind::Ds18b20, Unit::MilliCelsius));

    /// 32,768 of an analog pin would be 32.8 C.
    #[test]
    fn a_reading_from_before_its_channel_was_set_is_of_no_type() {
        let mut types = ChannelTypes::default();
        types.hello(&[ANALOG, ANALOG], 7);
        let of = |types: &mut ChannelTypes, channel, seq| {
            types.of(&Reading { seq, at: 0, channel, sample: Sample::Value(0) })
        };
        assert_eq!(of(&mut types, 0, 3), Some(ANALOG));
        types.hello(&[WATER, ANALOG], 9);
        assert_eq!([3, 8, 9].map(|seq| of(&mut types, 0, seq)), [None, None, Some(WATER)]);
        assert_eq!(of(&mut types, 1, 8), Some(ANALOG));
        types.hello(&[WATER, ANALOG], 40);
        assert_eq!(of(&mut types, 0, 39), Some(WATER), "expected an equal type to hold");
        assert_eq!([types.now(0), types.now(2)], [Some(WATER), None]);
    }
}
