//! A siren that is normally energised, on the relay that each image has for it: held without an end while all is well, and dropped with
//! everything else.

use anyhow::ensure;
use serde_json::json;
use tilth_tests::live::emulator::Model;
use tilth_wire::{SetRelay, ToBoard, UNLIMITED};

use super::bench::Bench;
use super::line::State;

/// What a relay without the agent's own limits keeps, in milliseconds: the image's link timeout, and the maximum on-time of the relays for pumps.
const LINK_TIMEOUT_MS: u32 = 10_000;
const PUMP_MS: i64 = 600_000;

/// What makes the siren sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fall {
    LineCut,
    Reset,
    Panic,
}

pub(super) const FALLS: &[Fall] = &[Fall::LineCut, Fall::Reset, Fall::Panic];

/// A pump on relay 0, and a siren on the last relay, which no alert pages.
pub(super) fn actuators(model: &Model) -> String {
    format!(
        "
[actuators.pump]
zone = 'bench'
output = 'board:bench/relay-0'
max_on = '11m'
[actuators.horn]
zone = 'bench'
output = 'board:bench/relay-{}'
normally_energised = true
[notifications.siren]
kind = 'siren'
actuator = 'horn'
[notifications.log]
kind = 'log'
[escalation.default]
preventive = {{ channels = ['log'] }}
warning = {{ channels = ['log'] }}
critical = {{ channels = ['log'] }}
urgent = {{ channels = ['log'] }}
[rules.sensor-silent]
enabled = false
",
        model.siren()
    )
}

impl Bench {
    /// The agent holds the siren, whose relay has no maximum on-time, for so long, in milliseconds of board time; a pump is ended meanwhile where
    /// that is longer than its relay's limit. How long the siren was held until now.
    pub(super) fn hold_siren(&mut self, ms: i64) -> anyhow::Result<i64> {
        let held_at = self.is_held_since(0)?;
        let siren = self.model.siren();
        // The agent sends its own whenever it greets the board.
        self.until("the board has the agent's limits", |bench| bench.bus()["board"]["unanswered"] == 0)?;
        for (relay, min_off, is_limited) in [(siren, 0, false), (0, 1_000, true)] {
            let (max_on, link_timeout, excludes) = (UNLIMITED, LINK_TIMEOUT_MS, 0);
            let set = |command| SetRelay { command, relay, max_on, min_off, link_timeout, excludes };
            let answer = self.command(|command| ToBoard::SetRelay(set(command)))?;
            ensure!(answer == Ok(is_limited), "relay {relay} without a maximum on-time: {answer:?}");
        }
        let on_at = self.switch_on("pump", 0, (ms / 1_000) as u32)?;
        self.pass(ms)?;
        self.off_by(0, on_at, on_at + ms.min(PUMP_MS), "the image's maximum on-time, or what was asked for")?;
        self.is_held_still(held_at);
        Ok(self.now_ms()? - held_at)
    }

    /// The agent is killed and starts again within the link timeout: the siren stays quiet. How long the agent was away, in milliseconds.
    pub(super) fn restart_agent_under_siren(&mut self) -> anyhow::Result<i64> {
        let held_at = self.is_held_since(0)?;
        let killed_at = self.now_ms()?;
        self.kill();
        let echoed = self.start(|start| start.echoed.len())?;
        self.start_agent()?;
        self.until("the agent hears the board again", |bench| {
            bench.start(|start| start.echoed.len() > echoed).unwrap_or_default()
        })?;
        let away = self.now_ms()? - killed_at;
        // What the agent has to say at its start is said by then.
        self.pass(i64::from(LINK_TIMEOUT_MS))?;
        self.is_held_still(held_at);
        Ok(away)
    }

    /// The siren sounds, and is quiet again once board and agent have each other back. How long after what happened it sounded, and how long
    /// after the line was back or the board was reset it was quiet, in milliseconds of board time.
    pub(super) fn siren_falls(&mut self, fall: Fall) -> anyhow::Result<(i64, i64)> {
        let held_at = self.is_held_since(0)?;
        let (at, within) = match fall {
            Fall::LineCut => {
                self.line.set(State::Cut);
                (self.now_ms()?, i64::from(LINK_TIMEOUT_MS))
            }
            Fall::Reset => (self.board.control_at(json!({ "reset": "external" }))?, 0),
            Fall::Panic => (self.board.control_at(json!({ "panic": true }))?, 0),
        };
        let fell_at = self.off_by(self.model.siren(), held_at, at + within, &format!("{fall:?}"))?.unwrap_or(i64::MAX);
        let over = if fall == Fall::LineCut { self.now_ms()? } else { fell_at };
        self.line.set(State::Joined);
        let held_at = self.is_held_since(fell_at)?;
        Ok((fell_at - at, held_at - over))
    }

    /// Waits until the siren is held by a relay that was switched on at an instant or later; when that was.
    fn is_held_since(&mut self, from: i64) -> anyhow::Result<i64> {
        let siren = self.model.siren();
        let mut held_at = None;
        self.until("the siren is held", |bench| {
            held_at = bench.board.flow().since(siren, from).find(|(_, end)| end.is_none()).map(|(begin, _)| begin);
            held_at.is_some()
        })?;
        Ok(held_at.unwrap_or(from))
    }

    /// Notes where the siren is not held since an instant any more.
    fn is_held_still(&mut self, held_at: i64) {
        let times: Vec<_> = self.board.flow().since(self.model.siren(), held_at).collect();
        if times != [(held_at, None)] {
            self.find(format!("expected the siren held since {held_at}: {times:?}"));
        }
    }
}
