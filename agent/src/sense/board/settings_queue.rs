//! Settings on their way to a board: one command at a time, repeated until it is answered. Pure.

use tilth_wire::{Refusal, SetChannel, SetRelay, ToBoard};

/// Seconds after which a command without an answer is sent again, counted from the first whole one.
const AGAIN_AFTER: u32 = 2;

/// Seconds after which it is said that a board does not answer a setting.
const OVERDUE_AFTER: u32 = 10;

/// What the configuration says of a channel or relay of the board. The command has its id once it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    Channel(SetChannel),
    Relay(SetRelay),
}

/// How far a setting got.
///
/// ```text
///          sent                 Ack, Error
///   Due ---------> Sent --------------------> Answered
///    ^              |  ^ again after a second     |
///    +--- Hello ----+-----------------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Due,
    Sent { command: u32, seconds: u32 },
    Answered,
}

/// A setting of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct QueuedSetting {
    setting: Setting,
    progress: Progress,
    /// Why the board refused it when it last answered.
    refused: Option<Refusal>,
}

/// The settings of one board.
#[derive(Debug)]
pub(super) struct SettingsQueue {
    settings: Vec<QueuedSetting>,
    last_id: u32,
}

impl SettingsQueue {
    /// No settings; ids begin after `last_id`.
    pub(super) fn new(last_id: u32) -> SettingsQueue {
        SettingsQueue { settings: Vec::new(), last_id }
    }

    /// Replaces the settings; those that differ are due.
    pub(super) fn set(&mut self, settings: Vec<Setting>) {
        let before = std::mem::take(&mut self.settings);
        let queued = |setting| {
            let same = before.iter().find(|queued| queued.setting == setting).copied();
            same.unwrap_or(QueuedSetting { setting, progress: Progress::Due, refused: None })
        };
        self.settings = settings.into_iter().map(queued).collect();
    }

    /// Starts over with all settings: the board may have been set otherwise meanwhile. It writes only those that differ.
    pub(super) fn resend_all(&mut self) {
        self.settings.iter_mut().for_each(|queued| queued.progress = Progress::Due);
    }

    /// The command to send now; none while one is under way.
    pub(super) fn next(&mut self) -> Option<ToBoard> {
        let ix = self.settings.iter().position(|queued| queued.progress != Progress::Answered)?;
        if self.settings[ix].progress != Progress::Due {
            return None;
        }
        let command = self.next_id();
        self.settings[ix].progress = Progress::Sent { command, seconds: 0 };
        Some(self.settings[ix].setting.message(command))
    }

    /// A second passed: the command to send again, and the setting that is overdue from now on.
    pub(super) fn second(&mut self) -> (Option<ToBoard>, Option<Setting>) {
        for QueuedSetting { setting, progress, .. } in &mut self.settings {
            if let Progress::Sent { command, seconds } = progress {
                *seconds = seconds.saturating_add(1);
                let again = (*seconds >= AGAIN_AFTER).then(|| setting.message(*command));
                return (again, (*seconds == OVERDUE_AFTER).then_some(*setting));
            }
        }
        (None, None)
    }

    /// An id for another command to the same board; 0 is none.
    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        self.last_id
    }

    /// A command was done or refused: the setting, if it is the one under way, and whether the board answered otherwise before, or not at all.
    pub(super) fn answered(&mut self, command: u32, refusal: Option<Refusal>) -> Option<(Setting, bool)> {
        let is_meant = |queued: &&mut QueuedSetting| matches!(queued.progress, Progress::Sent { command: sent, .. } if sent == command);
        let queued = self.settings.iter_mut().find(is_meant)?;
        queued.progress = Progress::Answered;
        let before = std::mem::replace(&mut queued.refused, refusal);
        Some((queued.setting, before != refusal))
    }

    /// Settings that the board refused, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (Setting, Refusal)> {
        self.settings.iter().filter_map(|queued| Some((queued.setting, queued.refused?)))
    }

    /// How many settings the board has not answered since its last Hello.
    pub(super) fn unanswered(&self) -> usize {
        self.settings.iter().filter(|queued| queued.progress != Progress::Answered).count()
    }
}

impl Setting {
    fn message(self, command: u32) -> ToBoard {
        match self {
            Setting::Channel(set) => ToBoard::SetChannel(SetChannel { command, ..set }),
            Setting::Relay(set) => ToBoard::SetRelay(SetRelay { command, ..set }),
        }
    }
}

#[cfg(test)]
mod tests {
    use tilth_wire::ChannelKind;

    use super::*;

    fn channel(channel: u8) -> Setting {
        Setting::Channel(SetChannel {
            command: 0,
            channel,
            kind: ChannelKind::Analog,
            interval: 1_000,
            oversampling: 6,
        })
    }

    fn relay(relay: u8) -> Setting {
        let set = SetRelay { command: 0, relay, max_on: 3_000, min_off: 0, link_timeout: 600_000, excludes: 0 };
        Setting::Relay(set)
    }

    /// A command in short: its id, and the channel or relay.
    fn short(message: Option<ToBoard>) -> String {
        match message {
            Some(ToBoard::SetChannel(set)) => format!("{}: channel {}", set.command, set.channel),
            Some(ToBoard::SetRelay(set)) => format!("{}: relay {}", set.command, set.relay),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn one_setting_at_a_time_is_sent_and_again_after_a_second_until_it_is_answered() {
        let mut queue = SettingsQueue::new(u32::MAX);
        assert_eq!(queue.next(), None);
        queue.set(vec![relay(1), channel(3)]);
        assert_eq!([short(queue.next()), short(queue.next())], ["1: relay 1", "None"]);
        assert_eq!(short(queue.second().0), "None", "expected a whole second to pass");
        assert_eq!([(); 2].map(|()| short(queue.second().0)), ["1: relay 1", "1: relay 1"]);
        assert_eq!(queue.answered(9, None), None);
        assert_eq!(queue.answered(1, None), Some((relay(1), false)));
        assert_eq!((short(queue.next()), queue.unanswered()), ("2: channel 3".to_owned(), 1));
        assert_eq!(queue.answered(1, None), None, "expected a late answer to end nothing");
        assert!(queue.answered(2, None).is_some());
        assert_eq!((queue.next(), queue.second(), queue.unanswered()), (None, (None, None), 0));
    }

    #[test]
    fn what_the_configuration_changes_is_sent_alone_and_all_of_it_after_a_hello() {
        let mut queue = SettingsQueue::new(0);
        queue.set(vec![channel(0), channel(3)]);
        for command in 1..=2 {
            queue.next();
            queue.answered(command, None);
        }
        queue.set(vec![channel(0), channel(3)]);
        assert_eq!(queue.next(), None, "expected equal settings to be sent once");
        queue.set(vec![channel(0), channel(3), channel(4)]);
        assert_eq!(short(queue.next()), "3: channel 4");
        queue.set(vec![channel(3)]);
        assert_eq!((queue.next(), queue.answered(3, None)), (None, None), "expected no setting that is gone");
        queue.resend_all();
        assert_eq!(short(queue.next()), "4: channel 3");
        queue.resend_all();
        assert_eq!(short(queue.next()), "5: channel 3", "expected another id on the next line");
    }

    #[test]
    fn a_refusal_is_news_once_and_stands_until_another_answer_comes() {
        let mut queue = SettingsQueue::new(0);
        queue.set(vec![channel(0), channel(9)]);
        let answer = |queue: &mut SettingsQueue, refusal| {
            let Some(ToBoard::SetChannel(SetChannel { command, .. })) = queue.next() else { panic!("no command") };
            queue.answered(command, refusal).map(|(_, is_news)| is_news)
        };
        assert_eq!(answer(&mut queue, None), Some(false));
        assert_eq!(answer(&mut queue, Some(Refusal::NoSuchNumber)), Some(true));
        queue.resend_all();
        assert_eq!(queue.refused().collect::<Vec<_>>(), [(channel(9), Refusal::NoSuchNumber)]);
        assert_eq!(answer(&mut queue, None), Some(false));
        assert_eq!(answer(&mut queue, Some(Refusal::NoSuchNumber)), Some(false));
        queue.resend_all();
        answer(&mut queue, None);
        assert_eq!(answer(&mut queue, None), Some(true));
        assert_eq!(queue.refused().count(), 0);
    }

    #[test]
    fn a_setting_without_an_answer_is_said_once() {
        let mut queue = SettingsQueue::new(0);
        queue.set(vec![channel(0)]);
        queue.next();
        let overdue: Vec<Setting> = (0..30).filter_map(|_| queue.second().1).collect();
        assert_eq!(overdue, [channel(0)]);
    }
}
