//! Orders to the relays of the board and settings, on their way: which may go out, and what the board answers.

use tilth_core::interlock::{ActuatorInput, SwitchOrder};
use tilth_wire::{Refusal, ToBoard};

use super::{Effect, Session, State, Topic};
use crate::sense::board::settings_queue::Setting;
use crate::sense::board::{relays, texts};

impl Session {
    /// Sends an order at once. Before the handshake nothing is switched on; switching off goes out after it.
    pub(super) fn handle_order(&mut self, order: SwitchOrder) {
        let Some(relay) = relays::relay(&order.output) else {
            self.log(Topic::State, format!("no relay {}; expected relay-0 to relay-7", order.output));
            return self.effects.push_back(Effect::Outcome(relays::not_sent(&order)));
        };
        let is_connected = matches!(self.state, State::Connected { .. });
        if !is_connected {
            self.effects.push_back(Effect::Outcome(relays::not_sent(&order)));
            if order.on != order.normally_energised {
                return;
            }
        }
        self.send_order(relay, order);
    }

    pub(super) fn send_order(&mut self, relay: u8, order: SwitchOrder) {
        let command = self.settings.next_id();
        let board = self.identity.as_ref().map(|identity| identity.kind);
        let message = self.relays.order(order, (board, relay), command, self.board_time.unwrap_or(0));
        if matches!(self.state, State::Connected { .. }) {
            self.send(message);
        }
    }

    pub(super) fn outcomes(&mut self, outcomes: impl IntoIterator<Item = ActuatorInput>) {
        self.effects.extend(outcomes.into_iter().map(Effect::Outcome));
    }

    /// Takes which relays are on by a Heartbeat, as bits, over what is known of them.
    pub(super) fn compare_relays(&mut self, on: u8) {
        let (off, orders) = self.relays.heartbeat(on);
        self.outcomes(off);
        for (relay, order) in orders {
            if order.on == order.normally_energised {
                self.log(Topic::Danger, texts::unexpectedly_on(relay, &order.actuator));
            }
            self.send_order(relay, order);
        }
    }

    /// A second passed: sends again what has no answer.
    pub(super) fn repeat_commands(&mut self) {
        let (again, lost) = self.relays.second();
        again.into_iter().for_each(|message| self.send(message));
        self.outcomes(lost);
        if !self.relays.is_switching_on() {
            self.repeat_setting();
            self.send_setting();
        }
    }

    /// Sends the next setting; none before the handshake, or while a setting or an order to switch on is under way. A board remembers
    /// its answers to four commands only. While settings wait, these are about relays, which must not be switched on twice.
    pub(super) fn send_setting(&mut self) {
        if let State::Connected { .. } = self.state
            && !self.relays.is_switching_on()
        {
            self.settings.next().into_iter().for_each(|command| self.send(command));
        }
    }

    fn repeat_setting(&mut self) {
        let (again, overdue) = self.settings.second();
        again.into_iter().for_each(|command| self.send(command));
        self.effects.extend(overdue.map(|setting| Effect::Log(Topic::State, texts::unanswered(&setting))));
    }

    /// A command was done or refused.
    pub(super) fn handle_answer(&mut self, command: u32, refusal: Option<Refusal>) {
        let outcome = self.relays.answered(command, refusal);
        self.outcomes(outcome);
        let Some((setting, is_news)) = self.settings.answered(command, refusal) else {
            return self.send_setting();
        };
        if is_news {
            self.effects.extend(refusal.map(|reason| Effect::Log(Topic::State, texts::refused(&setting, reason))));
            self.effects.push_back(Effect::RefusalsChanged);
        }
        if let (Setting::Channel(set), None) = (setting, refusal)
            && self.channel_types.now(set.channel) != Some(Some((set.kind, set.kind.unit())))
        {
            // A Hello says from which reading on it is of that kind.
            self.send(ToBoard::Identify);
        }
        self.send_setting();
    }
}
