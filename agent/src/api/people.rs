//! What people do: take an alert on, silence some, write something down.

use std::collections::BTreeSet;
use std::fmt::Display;

use tilth_config::nearest;
use tilth_core::alert::AlertId;
use tilth_core::engine::Engine;
use tilth_core::id::{Id, SensorId};
use tilth_core::plan::AlertKey;
use tilth_core::site::{MAX_SILENCES, Matcher};
use tilth_core::time::Span;

use super::rows::{AlertRow, SilenceRow};
use super::state::{Office, Refusal};
use super::views;
use crate::cli::LONGEST;
use crate::decide::Command;

/// As much of a name is kept.
const MAX_NAME: usize = 80;

/// As much of a note is kept: a page of a notebook.
const MAX_NOTE: usize = 4000;

/// Upper limit of names in a message about one that does not exist.
const MAX_NAMED: usize = 12;

impl Office {
    /// Somebody takes an alert on; gives it as it is then.
    pub(super) async fn acknowledge(&self, alert: u64, span: Span, by: &str) -> Result<AlertRow, Refusal> {
        let (span, by) = (check_span(span)?, name(by)?);
        let open = self.look(|engine, _, _| open_alerts(engine)).await?;
        let none = || Refusal::new(format!("no alert {alert} is open{}", known("alert", &open)));
        if !open.contains(&alert) {
            return Err(none());
        }
        self.change(Command::Acknowledge { alert: AlertId(alert), span, by }).await?;
        // Between the two it may have ended by itself.
        self.look(move |engine, beside, clock| views::alert_of(engine, beside, clock, alert)).await?.ok_or_else(none)
    }

    /// Somebody silences alerts; gives the silence.
    pub(super) async fn silence(&self, of: Matcher, span: Span, by: &str) -> Result<SilenceRow, Refusal> {
        let (span, by) = (check_span(span)?, name(by)?);
        let meant = of.clone();
        self.look(move |engine, _, _| check_rules(&meant, engine)).await??;
        let before = self.look(|engine, _, clock| views::silences(engine, clock)).await?;
        self.change(Command::Silence { of: of.clone(), span, by: by.clone() }).await?;
        let is_it = |row: &SilenceRow| {
            let is_new = before.iter().all(|before| before.silence != row.silence);
            is_new && row.by == by && (&row.zone, &row.rule, &row.sensor) == (&of.zone, &of.rule, &of.sensor)
        };
        // The newest of its kind.
        let silences = self.look(|engine, _, clock| views::silences(engine, clock)).await?;
        let is_full = silences.len() >= MAX_SILENCES;
        silences.into_iter().rfind(is_it).ok_or_else(|| match is_full {
            true => Refusal::new(format!("there are {MAX_SILENCES} silences, as many as there may be; end one first")),
            false => Refusal::new("it has ended already"),
        })
    }

    /// Somebody ends a silence early; gives it as it was.
    pub(super) async fn end_silence(&self, number: u32) -> Result<SilenceRow, Refusal> {
        let silences = self.look(|engine, _, clock| views::silences(engine, clock)).await?;
        let there: Vec<u64> = silences.iter().map(|silence| u64::from(silence.silence)).collect();
        let found = silences.into_iter().find(|silence| silence.silence == number);
        let none = || Refusal::new(format!("there is no silence {number}{}", known("silence", &there)));
        let silence = found.ok_or_else(none)?;
        self.change(Command::EndSilence(number)).await?;
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
        self.change(Command::Note { text: text.to_owned(), by }).await?;
        // It is written down when decide has had its turn.
        self.look(|_, _, _| ()).await
    }
}

/// What a matcher names, in the words of the command.
pub(crate) fn matcher(of: &Matcher) -> String {
    let parts = [
        of.zone.as_ref().map(|zone| format!("zone {zone}")),
        of.rule.as_ref().map(|rule| format!("rule {rule}")),
        of.sensor.as_ref().map(|sensor| format!("sensor {sensor}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

/// Numbers of the alerts that are open, in ascending order.
fn open_alerts(engine: &Engine) -> Vec<u64> {
    let numbers: BTreeSet<AlertId> = engine.alerts().filter_map(|view| view.report.alert).collect();
    numbers.into_iter().map(|AlertId(number)| number).collect()
}

/// The numbers that exist, for a message about one that does not.
fn known(of: &str, numbers: &[u64]) -> String {
    match numbers {
        [] => String::new(),
        [one] => format!("; {of} {one} is"),
        numbers => format!("; {of}s {} are", listed(numbers)),
    }
}

/// The first [`MAX_NAMED`] of these, and how many more there are.
fn listed(names: impl IntoIterator<Item = impl Display>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(MAX_NAMED).map(|name| name.to_string()).collect();
    let more = match names.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn check_rules(of: &Matcher, engine: &Engine) -> Result<(), Refusal> {
    let keys: Vec<&AlertKey> = engine.plan().rules().map(|rule| &rule.key).collect();
    check_matcher(of, &keys)
}

/// Whether any rule is meant, of the rules that have these keys.
///
/// # Errors
/// Which name does not exist, the one that was probably meant, and those that exist.
fn check_matcher(of: &Matcher, keys: &[&AlertKey]) -> Result<(), Refusal> {
    if keys.iter().any(|key| of.matches(key)) {
        return Ok(());
    }
    let names = |of: fn(&AlertKey) -> &str| keys.iter().map(|key| of(key)).collect::<BTreeSet<&str>>();
    let (zones, rules, sensors) =
        (names(|key| key.zone.as_str()), names(|key| key.rule.as_str()), names(|key| key.sensor.as_str()));
    for (lack, wanted, all, known) in [
        ("no rule watches zone", of.zone.as_ref().map(Id::as_str), "zones with rules", zones),
        ("there is no rule", of.rule.as_ref().map(Id::as_str), "rules", rules),
        ("no rule watches sensor", of.sensor.as_ref().map(SensorId::as_str), "sensors with rules", sensors),
    ] {
        if let Some(wanted) = wanted.filter(|wanted| !known.contains(wanted)) {
            let near = nearest(wanted, known.iter().copied());
            let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
            return Err(Refusal::new(format!("{lack} {wanted}; {near}{all}: {}", listed(&known))));
        }
    }
    Err(Refusal::new(format!("no rule matches {}: each of them exists, and not together", matcher(of))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_rule_has_is_said_with_the_one_that_was_meant() {
        let key = |zone: &str, rule: &str, sensor: &str| AlertKey {
            zone: Id::new(zone).unwrap(),
            rule: Id::new(rule).unwrap(),
            sensor: SensorId::new(sensor).unwrap(),
        };
        let keys =
            [key("tank", "ph-high", "tank/ph"), key("tank", "ph-low", "tank/ph"), key("room-1", "hot", "room-1/t")];
        let keys: Vec<&AlertKey> = keys.iter().collect();
        for (zone, rule, sensor, said) in [
            (Some("tanc"), None, None, "no rule watches zone tanc; did you mean tank? zones with rules: room-1, tank"),
            (Some("greenhouse"), None, None, "no rule watches zone greenhouse; zones with rules: room-1, tank"),
            (
                Some("tank"),
                Some("ph-hihg"),
                None,
                "there is no rule ph-hihg; did you mean ph-high? rules: hot, ph-high, ph-low",
            ),
            (
                None,
                None,
                Some("tank/hp"),
                "no rule watches sensor tank/hp; did you mean tank/ph? sensors with rules: room-1/t, tank/ph",
            ),
            (
                Some("room-1"),
                Some("ph-low"),
                None,
                "no rule matches zone room-1, rule ph-low: each of them exists, and not together",
            ),
            (Some("tank"), None, None, ""),
            (None, Some("hot"), Some("room-1/t"), ""),
        ] {
            let of = Matcher {
                zone: zone.map(|zone| Id::new(zone).unwrap()),
                rule: rule.map(|rule| Id::new(rule).unwrap()),
                sensor: sensor.map(|sensor| SensorId::new(sensor).unwrap()),
            };
            let refused = check_matcher(&of, &keys).err().map_or(String::new(), |Refusal(said)| said);
            assert_eq!(refused, said);
        }
        assert_eq!(listed(1..=30), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 18 more");
    }
}
