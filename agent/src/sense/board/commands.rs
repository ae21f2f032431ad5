//! Settings on their way to a board: one command at a time, repeated until it is answered. Pure.

use std::collections::VecDeque;

use tilth_wire::{ChannelKind, SetChannel, ToBoard};

/// What a channel of a board is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) channel: u8,
    pub(super) kind: ChannelKind,
    /// Milliseconds of board time between readings.
    pub(super) interval: u32,
    /// Conversions of which a value is the mean, as a power of two.
    pub(super) oversampling: u8,
}

/// The settings of one board, and those that it has not answered yet.
#[derive(Debug)]
pub(super) struct Commands {
    settings: Vec<Setting>,
    /// Settings that are not answered, the one under way first, with its id once it was sent.
    waiting: VecDeque<Setting>,
    under_way: Option<u32>,
    last_id: u32,
}

impl Commands {
    /// No settings; ids begin after `last_id`.
    pub(super) fn new(last_id: u32) -> Commands {
        Commands { settings: Vec::new(), waiting: VecDeque::new(), under_way: None, last_id }
    }

    /// Replaces the settings; sends them if they differ.
    #[cfg_attr(not(test), expect(dead_code, reason = "the configuration states no settings of channels yet"))]
    pub(super) fn set(&mut self, settings: Vec<Setting>) {
        if settings != self.settings {
            self.settings = settings;
            self.begin();
        }
    }

    /// Begins anew with all settings: the board may have been set otherwise meanwhile. It keeps those that do not differ.
    pub(super) fn begin(&mut self) {
        self.waiting = self.settings.iter().copied().collect();
        self.under_way = None;
    }

    /// The command to send now, again if it is not answered.
    pub(super) fn next(&mut self) -> Option<ToBoard> {
        let Setting { channel, kind, interval, oversampling } = *self.waiting.front()?;
        let command = match self.under_way {
            Some(command) => command,
            None => self.next_id(),
        };
        self.under_way = Some(command);
        Some(ToBoard::SetChannel(SetChannel { command, channel, kind, interval, oversampling }))
    }

    /// An id for another command to the same board; 0 is none.
    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        self.last_id
    }

    /// A command was answered: the one under way, if it is its id.
    pub(super) fn answered(&mut self, command: u32) -> Option<Setting> {
        if self.under_way != Some(command) {
            return None;
        }
        self.under_way = None;
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(channel: u8) -> Setting {
        Setting { channel, kind: ChannelKind::Analog, interval: 1_000, oversampling: 6 }
    }

    /// Id and channel of the next command.
    fn next(commands: &mut Commands) -> Option<(u32, u8)> {
        match commands.next()? {
            ToBoard::SetChannel(set) => Some((set.command, set.channel)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_setting_at_a_time_is_sent_until_it_is_answered() {
        let mut commands = Commands::new(u32::MAX);
        assert_eq!(next(&mut commands), None);
        commands.set(vec![setting(0), setting(3)]);
        assert_eq!([next(&mut commands), next(&mut commands)], [Some((1, 0)), Some((1, 0))]);
        assert_eq!(commands.answered(9), None);
        assert_eq!(commands.answered(1), Some(setting(0)));
        assert_eq!(next(&mut commands), Some((2, 3)));
        assert_eq!(commands.answered(1), None, "expected a late answer to end nothing");
        assert_eq!(commands.answered(2), Some(setting(3)));
        assert_eq!(next(&mut commands), None);
        commands.set(vec![setting(0), setting(3)]);
        assert_eq!(next(&mut commands), None, "expected equal settings to be sent once");
        commands.begin();
        assert_eq!(next(&mut commands), Some((3, 0)));
    }
}
