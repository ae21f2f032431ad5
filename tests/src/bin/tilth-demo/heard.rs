//! Reports of agent, board and modem, shown to the viewer, and kept for what happens next.

use std::mem;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value as Json;

use crate::farm::{ANNA, DOSER, RULE};
use crate::night::{Chapter, minutes};
use crate::show::Show;
use crate::story::Transition;

impl Show {
    pub(crate) fn handle_transition(&mut self, line: &str) -> anyhow::Result<()> {
        let transition: Transition = serde_json::from_str(line).with_context(|| format!("tilth-agent tail: {line}"))?;
        let now = self.clock.now();
        if let Some(sentence) = transition.sentence(&self.place) {
            self.say_at(transition.at.unwrap_or_else(|| self.clock.wall(now)), "agent", &sentence)?;
        }
        if transition.rule.as_deref() != Some(RULE) {
            return Ok(());
        }
        self.night.alert = transition.alert.or(self.night.alert);
        match transition.event.as_str() {
            "acknowledged" => {
                self.night.acknowledged = Some(now);
                self.tell_silence()?;
            }
            "resolved" => self.night.is_resolved = true,
            "notify" if transition.severity.as_deref() == Some("warning") => self.tell_unreachable()?,
            _ => {}
        }
        Ok(())
    }

    /// What the agent says of the phone while the internet is cut.
    fn tell_unreachable(&self) -> anyhow::Result<()> {
        let status: Json = serde_json::from_str(&self.agent.ask(&["status", "--json"])?)?;
        let channels = status["notify"]["channels"].as_array().context("status has no channels")?;
        let phone = channels.iter().find(|channel| channel["channel"] == "phone").context("status has no phone")?;
        self.say("phone", &format!("Out of reach: {} message waits for the internet.", phone["waiting"]))
    }

    pub(crate) fn handle_doser(&mut self, on: bool, at: Duration) -> anyhow::Result<()> {
        let began = mem::replace(&mut self.night.doser.since, on.then_some(at));
        let ran = began.map_or(Duration::ZERO, |began| at - began).as_secs();
        let is_empty = self.chapter > Chapter::AcidEmpty && self.chapter <= Chapter::AcidReplaced;
        match (on, is_empty) {
            (true, false) => {
                self.night.doser.doses += 1;
                let what = "Gives acid, since the pH is above 6.2. The dose was booked first, for at most 5 min.";
                self.say("doser", what)
            }
            (false, false) if self.night.doser.doses > 0 => {
                self.say("doser", &format!("Stops after {ran} s. A booked dose counts in full: {}.", self.booked()?))
            }
            (true, true) if !mem::replace(&mut self.night.doser.is_told, true) => {
                self.say("doser", "Runs, but no acid comes: the pH goes on climbing.")
            }
            _ => Ok(()),
        }
    }

    /// What the interlock has booked for the doser.
    fn booked(&self) -> anyhow::Result<String> {
        let rows = self.agent.ask(&["actuators", "--json"])?;
        let mut rows = rows.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        let row = rows.find(|row| row["actuator"] == DOSER).context("the agent has no doser")?;
        let minutes = |name: &str| row[name].as_f64().unwrap_or_default() / 60.0;
        Ok(format!("{:.0} of {:.0} min of this hour", minutes("hour_s"), minutes("dose_per_hour_s")))
    }

    pub(crate) fn handle_siren(&mut self, on: bool, at: Duration) -> anyhow::Result<()> {
        if !on {
            self.witness.siren += self.night.siren.since.take().map_or(Duration::ZERO, |since| at - since);
            return self.tell_silence();
        }
        self.night.siren.since = Some(at);
        let is_after = self.night.acknowledged.is_some_and(|acknowledged| self.clock.now() > acknowledged + minutes(1));
        self.witness.after_acknowledgement += usize::from(is_after);
        self.witness.after_kill += usize::from(self.chapter == Chapter::AnnaAnswers);
        if mem::replace(&mut self.night.siren.is_told, true) {
            return Ok(());
        }
        let again = if self.chapter > Chapter::AgentBack { " again" } else { "" };
        self.say("siren", &format!("SOUNDS{again}, on a relay of the board."))
    }

    fn tell_silence(&mut self) -> anyhow::Result<()> {
        if self.night.acknowledged.is_none()
            || self.night.siren.since.is_some()
            || !mem::take(&mut self.night.siren.is_told)
        {
            return Ok(());
        }
        self.say("siren", "Silent.")
    }

    /// Tells the SMS that the modem has sent since the last look.
    pub(crate) fn read_texts(&mut self) -> anyhow::Result<()> {
        let texts = self.modem.script().texts_to(ANNA);
        for text in texts.into_iter().skip(self.earlier_texts + self.night.texts.len()) {
            self.say("sms", &format!("To Anna: {text}"))?;
            self.witness.sms += 1;
            self.witness.repeated += usize::from(self.night.texts.iter().any(|(_, before)| *before == text));
            self.night.texts.push((self.clock.now(), text));
        }
        Ok(())
    }

    /// Whether an SMS that begins so was sent, and so long ago.
    pub(crate) fn was_sent(&self, begins: &str, ago: Duration) -> bool {
        let found = self.night.texts.iter().find(|(_, text)| text.trim_start_matches("Repeat: ").starts_with(begins));
        found.is_some_and(|(at, _)| self.clock.now() >= *at + ago)
    }
}
