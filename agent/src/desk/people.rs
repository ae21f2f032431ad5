//! What people do: take an alert on, silence some, write something down.

use tilth_core::alert::AlertId;
use tilth_core::site::Matcher;
use tilth_core::time::Span;

use super::answers::{Office, Refusal};
use super::views;
use super::words::{AlertRow, LONGEST, SilenceRow};
use crate::decide::Command;

/// As much of a name is kept.
const MAX_NAME: usize = 80;

/// As much of a note is kept: a page of a notebook.
const MAX_NOTE: usize = 4000;

impl Office {
    /// Somebody takes an alert on; gives it as it is then.
    pub(super) async fn acknowledge(&self, alert: u64, span: Span, by: &str) -> Result<AlertRow, Refusal> {
        let (span, by) = (check_span(span)?, name(by)?);
        let none = || Refusal::new(format!("no alert {alert} is open"));
        self.look(move |engine, beside, clock| views::alert_of(engine, beside, clock, alert))
            .await?
            .ok_or_else(none)?;
        self.tell(Command::Acknowledge { alert: AlertId(alert), span, by }).await?;
        // Between the two it may have ended by itself.
        self.look(move |engine, beside, clock| views::alert_of(engine, beside, clock, alert)).await?.ok_or_else(none)
    }

    /// Somebody silences alerts; gives the silence.
    pub(super) async fn silence(&self, of: Matcher, span: Span, by: &str) -> Result<SilenceRow, Refusal> {
        let (span, by) = (check_span(span)?, name(by)?);
        let meant = of.clone();
        let some = self.look(move |engine, _, _| engine.plan().rules().any(|rule| meant.matches(&rule.key))).await?;
        if !some {
            return Err(Refusal::new(format!("no rule of the configuration is meant by {}", matcher(&of))));
        }
        self.tell(Command::Silence { of: of.clone(), span, by: by.clone() }).await?;
        let is_it = move |row: &SilenceRow| {
            row.by == by && (&row.zone, &row.rule, &row.sensor) == (&of.zone, &of.rule, &of.sensor)
        };
        // The newest of its kind.
        let silences = self.look(|engine, _, clock| views::silences(engine, clock)).await?;
        let silence = silences.into_iter().rfind(is_it);
        silence.ok_or_else(|| Refusal::new("it has ended already"))
    }

    /// Somebody ends a silence early; gives it as it was.
    pub(super) async fn end_silence(&self, number: u32) -> Result<SilenceRow, Refusal> {
        let silences = self.look(|engine, _, clock| views::silences(engine, clock)).await?;
        let found = silences.into_iter().find(|silence| silence.silence == number);
        let silence = found.ok_or_else(|| Refusal::new(format!("there is no silence {number}")))?;
        self.tell(Command::EndSilence(number)).await?;
        Ok(silence)
    }

    /// Somebody writes something down.
    pub(super) async fn note(&self, text: &str, by: &str) -> Result<(), Refusal> {
        let by = name(by)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Refusal::new("an empty note"));
        }
        let length = text.chars().count();
        if length > MAX_NOTE {
            return Err(Refusal::new(format!("a note of {length} characters; expected at most {MAX_NOTE}")));
        }
        self.tell(Command::Note { text: text.to_owned(), by }).await?;
        // It is written down when decide has had its turn.
        self.look(|_, _, _| ()).await
    }
}

/// What a matcher names, in the words of the command.
pub(super) fn matcher(of: &Matcher) -> String {
    let parts = [
        of.zone.as_ref().map(|zone| format!("zone {zone}")),
        of.rule.as_ref().map(|rule| format!("rule {rule}")),
        of.sensor.as_ref().map(|sensor| format!("sensor {sensor}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

fn check_span(span: Span) -> Result<Span, Refusal> {
    if span > Span::ZERO && span <= LONGEST {
        return Ok(span);
    }
    Err(Refusal::new(format!("{span} is no time to wait; expected more than nothing and at most {LONGEST}")))
}

/// A name on one line.
fn name(by: &str) -> Result<String, Refusal> {
    let name: String = by.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    if name.is_empty() { Err(Refusal::new("nobody says who does this; expected --by NAME")) } else { Ok(name) }
}
