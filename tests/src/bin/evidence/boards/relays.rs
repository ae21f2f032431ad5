//! The relays of the board, as its pins show them: each is off when its time ends, under any commands.

use anyhow::ensure;
use tilth_tests::live::flow::Flow;
use tilth_wire::{OffReason, Refusal, Switch, ToBoard, UNLIMITED};

use super::bench::{Bench, EXPIRES, Limits, SLACK_MS};
use super::line::State;

/// Limits of the relays while they are tried, in milliseconds.
pub(super) const LIMITS: Limits = Limits { max_on: 4_000, link_timeout: 10_000 };

/// Shortest time off that the board keeps, in milliseconds.
const MIN_OFF_MS: i64 = 1_000;

/// Commands of a storm that are sent at once, and the pause behind them, in milliseconds of board time.
const GUST: u32 = 40;
const LULL_MS: i64 = 400;

impl Bench {
    /// A relay goes off when the agent's time is over, and repeated orders do not extend it.
    pub(super) fn agent_cannot_extend(&mut self) -> anyhow::Result<()> {
        let on_at = self.switch_on("pump", 0, 3)?;
        let refused = (0..3).filter(|_| self.ask_on("pump", 3).code == Some(1)).count();
        ensure!(refused > 0, "a pump that runs takes another order");
        self.off_by(0, on_at, on_at + 3_000, "the time that was asked for").map(drop)
    }

    /// The board's own limit holds for any time that the agent orders, and repeated commands do not extend it. Answers how many were refused.
    pub(super) fn commands_cannot_extend(&mut self) -> anyhow::Result<usize> {
        let on_at = self.switch_on("pump", 0, 60)?;
        let mut refused = 0;
        while self.is_on_since(0, on_at) && self.now_ms()? < on_at + i64::from(LIMITS.max_on) + SLACK_MS {
            refused += usize::from(self.switch(0, 4_000)? == Err(Refusal::AlreadyOn));
        }
        self.off_by(0, on_at, on_at + i64::from(LIMITS.max_on), "the board's maximum on-time")?;
        self.all_off()?;
        Ok(refused)
    }

    /// Commands that are too late, or from before a restart of the board, switch nothing. How many there were.
    pub(super) fn expired(&mut self) -> anyhow::Result<usize> {
        let from = self.rest()?;
        let ahead = [-500, -60_000, 61_000, 600_000];
        for ahead in ahead {
            let expires = self.said_at().wrapping_add_signed(ahead);
            let answer =
                self.command(|command| ToBoard::Switch(Switch { command, relay: 0, on_for: 1_000, expires }))?;
            if answer != Err(Refusal::Expired) {
                self.find(format!("a command that expires in {ahead} ms was answered with {answer:?}"));
            }
        }
        if self.board.flow().since(0, from).next().is_some() {
            self.find("an expired command switched relay 0 on");
        }
        Ok(ahead.len())
    }

    /// Relays that exclude each other: the agent refuses the second one, and so does the board. How often it was tried.
    pub(super) fn exclusion(&mut self) -> anyhow::Result<usize> {
        let on_at = self.switch_on("pump", 0, 3)?;
        let ran = self.ask_on("fan", 1);
        ensure!(ran.code == Some(1) && ran.err.contains("pump"), "expected the agent to refuse the fan: {ran:?}");
        self.off_by(0, on_at, on_at + 3_000, "the time that was asked for")?;
        for (one, other) in [(0, 1), (1, 0)] {
            let from = self.rest()?;
            // At once: the agent switches off what it did not order, as soon as the board says that it is on.
            let commands = [(self.next_command(), one, 1_500), (self.next_command(), other, 1_000)];
            let expires = self.said_at().wrapping_add_signed(EXPIRES as i32);
            for (command, relay, on_for) in commands {
                self.line.say(&ToBoard::Switch(Switch { command, relay, on_for, expires }))?;
            }
            let [first, second] = commands.map(|(command, ..)| command);
            self.until("the board answers both commands", |bench| {
                bench.line.heard(|heard| heard.answers.contains_key(&first) && heard.answers.contains_key(&second))
            })?;
            let [first, second] = self.line.heard(|heard| [heard.answers[&first], heard.answers[&second]]);
            ensure!(first == Ok(false), "relay {one} does not go on: {first:?}");
            if second != Err(Refusal::Excluded) {
                self.find(format!("relay {other} was answered with {second:?} while relay {one} was on"));
            }
            let on_at = self.board.flow().since(one, from).next().map_or(from, |(begin, _)| begin);
            self.off_by(one, on_at, on_at + 1_500, "the time that was asked for")?;
        }
        Ok(3)
    }

    /// Commands of all kinds as fast as the line carries them. How many.
    pub(super) fn storm(&mut self, gusts: u32) -> anyhow::Result<u32> {
        let from = self.rest()?;
        let restarts = self.line.heard(|heard| heard.starts.len());
        for _ in 0..gusts {
            for _ in 0..GUST {
                let command = self.next_command();
                let relay = self.random.below(4) as u8;
                let on_for = [0, 300, 1_500, 5_000, 600_000, UNLIMITED][self.random.below(6) as usize];
                let ahead = [EXPIRES as i32, EXPIRES as i32, -1, 90_000][self.random.below(4) as usize];
                let expires = self.said_at().wrapping_add_signed(ahead);
                self.line.say(&ToBoard::Switch(Switch { command, relay, on_for, expires }))?;
            }
            self.pass(LULL_MS)?;
        }
        self.all_off()?;
        self.judge_storm(from)?;
        ensure!(self.line.heard(|heard| heard.starts.len()) == restarts, "the board restarted in a storm of commands");
        ensure!(
            self.board.flow().since(0, from).chain(self.board.flow().since(1, from)).count() > 0,
            "no relay went on"
        );
        Ok(gusts * GUST)
    }

    fn judge_storm(&mut self, from: i64) -> anyhow::Result<()> {
        let (flow, now) = (self.board.flow(), self.now_ms()?);
        for relay in 0..2 {
            let times: Vec<(i64, i64)> =
                flow.since(relay, from).map(|(begin, end)| (begin, end.unwrap_or(now))).collect();
            let longest = times.iter().map(|(begin, end)| end - begin).max().unwrap_or(0);
            if longest > i64::from(LIMITS.max_on) + SLACK_MS {
                self.find(format!("relay {relay} was on for {longest} ms in a storm of commands"));
            }
            let shortest = times.array_windows().map(|[(_, end), (begin, _)]| begin - end).min();
            if shortest.is_some_and(|rest| rest < MIN_OFF_MS - 2) {
                self.find(format!("relay {relay} rested for {shortest:?} ms in a storm of commands"));
            }
        }
        Ok(())
    }

    /// A pump runs when the line is lost: its relay goes off, and the agent reads the board again once the line is back. How long the
    /// relay stayed on, in milliseconds of board time, and how long the agent was without the board then, in the machine's time.
    pub(super) fn lose_link(&mut self, how: State, limits: Limits) -> anyhow::Result<(i64, std::time::Duration)> {
        self.limit(limits)?;
        let on_at = self.switch_on("pump", 0, 60)?;
        self.line.set(how);
        let cut_at = self.now_ms()?;
        let off_at = self.off_by(0, on_at, cut_at + i64::from(limits.link_timeout), "the link is lost")?;
        self.until("the board says that the link was lost", |bench| {
            bench.line.heard(|heard| heard.off.last() == Some(&(0, OffReason::LinkLost)))
        })?;
        let echoed = self.start(|start| start.echoed.len())?;
        self.line.set(State::Joined);
        let joined = std::time::Instant::now();
        self.until("the agent hears the board again", |bench| {
            bench.start(|start| start.echoed.len() > echoed).unwrap_or_default()
        })?;
        let back = joined.elapsed();
        self.until_shown()?;
        Ok((off_at.unwrap_or(i64::MAX) - cut_at, back))
    }

    /// The agent is killed while its pump runs for so many seconds: the relay goes off. When that was, by the board's clock, and how long the relay
    /// stayed on, in milliseconds.
    pub(super) fn kill_agent(&mut self, for_s: u32, limits: Limits) -> anyhow::Result<(i64, i64)> {
        self.limit(limits)?;
        let on_at = self.switch_on("pump", 0, for_s)?;
        // The switching is committed at once; what is committed and not yet confirmed to the board would be taken twice.
        self.pass(700)?;
        self.kill();
        let killed_at = self.now_ms()?;
        let (asked, link) = (on_at + i64::from(for_s) * 1_000, killed_at + i64::from(limits.link_timeout));
        let off_at = self.off_by(0, on_at, asked.min(link), "the agent was killed")?;
        Ok((killed_at, off_at.unwrap_or(i64::MAX) - killed_at))
    }

    /// Over the whole run, relays that exclude each other were never on together.
    pub(super) fn never_together(&mut self) -> anyhow::Result<()> {
        let now = self.now_ms()?;
        let together = self.board.flow().together_ms(0, 1, now);
        if together > 0 {
            self.find(format!("relays 0 and 1, which exclude each other, were on together for {together} ms"));
        }
        Ok(())
    }

    /// Waits until both relays may go on; when that was.
    fn rest(&mut self) -> anyhow::Result<i64> {
        self.all_off()?;
        self.pass(MIN_OFF_MS + 100)?;
        self.now_ms()
    }

    /// Switches both relays off.
    fn all_off(&mut self) -> anyhow::Result<()> {
        for relay in 0..2 {
            ensure!(self.switch(relay, 0)?.is_ok(), "relay {relay} refuses to go off");
        }
        Ok(())
    }

    fn is_on_since(&self, relay: u8, on_at: i64) -> bool {
        let flow: Flow = self.board.flow();
        flow.since(relay, on_at).next().is_some_and(|(_, end)| end.is_none())
    }
}
