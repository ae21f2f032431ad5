//! Effects of the engine as the lines that people and programs read: the one place where the two vocabularies meet.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::num::NonZeroU64;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tilth_core::alert::AlertId;
use tilth_core::effect::{AlertDetails, Effect, SensorEvent, Transition};
use tilth_core::escalate::PageId;
use tilth_core::id::{Id, SensorId};
use tilth_core::interlock::{self, Actuation, Event, HoldChange, OffReason, Origin};
use tilth_core::judge::Fault;
use tilth_core::local::Local;
use tilth_core::plan::{Plan, Severity};
use tilth_core::rules::DisplayValue;
use tilth_core::sensor::Sensor;
use tilth_core::time::{Span, Stamp, WallTime};
use tilth_core::value::Value;

use crate::console::counted;

#[cfg(test)]
mod tests;

/// One transition. Its JSON object has these keys in this order. What does not apply is left out, but for the first six
/// keys, which are always there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct TransitionRecord<'a> {
    /// Null while the clock is not trusted.
    #[serde(serialize_with = "as_text")]
    at: Option<WallTime>,
    event: &'static str,
    rule: Option<&'a Id>,
    sensor: Option<&'a SensorId>,
    #[serde(serialize_with = "as_number")]
    value: Option<DisplayValue>,
    severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertId>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    limit: Option<DisplayValue>,
    /// Since when the condition has held.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    since: Option<WallTime>,
    /// The reading's own time in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    reading_ts: Option<WallTime>,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
    /// Why an alert is over, or what is wrong with a sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    /// Until when an alert is acknowledged.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    until: Option<WallTime>,
    /// Name of the person who acknowledged the alert, or what asked for the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actuator: Option<&'a Id>,
    /// What became of it: on, off, lost, refused; of a hold on or off.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    /// Of one that is switched on: longest time on that was ordered, and time on within an hour and a day with it, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    for_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hour_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day_s: Option<f64>,
    /// Why people are notified now.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    page: Option<PageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<&'a [Id]>,
    /// How many repeats before it are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeats: Option<NonZeroU64>,
    /// How long the condition of a resolved alert held; shown to people, programs have the two times.
    #[serde(skip)]
    lasted: Option<Span>,
    /// The clock by which people read its times; UTC where there is none.
    #[serde(skip)]
    local: Option<&'a Local>,
}

impl<'a> TransitionRecord<'a> {
    /// The transition that an effect is; none where it is no transition.
    pub(crate) fn of(effect: &'a Effect, plan: &'a Plan) -> Option<TransitionRecord<'a>> {
        let line = match effect {
            Effect::Alert(transition, details) => TransitionRecord::of_alert(transition, details),
            Effect::Page(page) => TransitionRecord {
                cause: Some(page.cause.name()),
                page: Some(page.id),
                channels: Some(&page.channels),
                ..TransitionRecord::of_details("notify", &page.details)
            },
            Effect::Sensor(event) => TransitionRecord::of_sensor(event, plan.sensor(event.sensor)),
            Effect::Output(effect) => TransitionRecord::of_output(effect)?,
            _ => return None,
        };
        Some(TransitionRecord { local: Some(plan.local()), ..line })
    }

    fn of_alert(transition: &'a Transition, details: &'a AlertDetails) -> TransitionRecord<'a> {
        let line = |event| TransitionRecord::of_details(event, details);
        match transition {
            Transition::Pending => line("pending"),
            Transition::Firing => line("firing"),
            Transition::Escalated => line("escalated"),
            Transition::Acknowledged { until, by } => {
                TransitionRecord { until: until.wall, by: Some(Cow::Borrowed(by)), ..line("acknowledged") }
            }
            Transition::Resolved(reason) => TransitionRecord {
                reason: Some(reason.name().into()),
                lasted: between(details.since, details.at),
                ..line("resolved")
            },
        }
    }

    fn of_details(event: &'static str, details: &'a AlertDetails) -> TransitionRecord<'a> {
        TransitionRecord {
            at: details.at.wall,
            event,
            rule: Some(&details.key.rule),
            sensor: Some(&details.key.sensor),
            value: details.value,
            severity: Some(details.severity),
            zone: Some(&details.key.zone),
            alert: details.alert,
            limit: details.limit,
            since: details.since.wall,
            reading_ts: details.reading_at.and_then(|stamp| stamp.wall),
            message: Cow::Borrowed(&details.message),
            advice: details.advice.as_deref(),
            ..TransitionRecord::default()
        }
    }

    fn of_sensor(event: &SensorEvent, sensor: &'a Sensor) -> TransitionRecord<'a> {
        TransitionRecord {
            at: event.at.wall,
            event: if event.fault.is_some() { "fault" } else { "recovered" },
            sensor: Some(&sensor.id),
            value: event.value.map(DisplayValue::Value),
            zone: Some(&sensor.zone),
            reading_ts: event.reading_at.and_then(|stamp| stamp.wall),
            message: Cow::Owned(health(event, sensor)),
            reason: event.fault.map(|fault| fault.to_string().into()),
            ..TransitionRecord::default()
        }
    }

    fn of_output(effect: &'a interlock::Effect) -> Option<TransitionRecord<'a>> {
        match effect {
            // Orders and bookings lead to reports.
            interlock::Effect::Book { .. } | interlock::Effect::Switch(_) => None,
            interlock::Effect::Report(actuation) => Some(TransitionRecord::of_actuation(actuation)),
            interlock::Effect::Hold(change) => Some(TransitionRecord {
                at: change.at.wall,
                event: "hold",
                zone: Some(&change.zone),
                by: change.by.as_deref().map(Cow::Borrowed),
                action: Some(if change.began { "on" } else { "off" }),
                message: Cow::Owned(hold(change)),
                ..TransitionRecord::default()
            }),
        }
    }

    fn of_actuation(actuation: &'a Actuation) -> TransitionRecord<'a> {
        let by = actuation.command.as_ref().map(|(_, by)| by);
        let (action, reason) = match &actuation.event {
            Event::On { .. } => ("on", None),
            Event::Off(reason) => ("off", Some(reason.name())),
            Event::Lost => ("lost", None),
            Event::Refused(refusal) => ("refused", Some(refusal.name())),
        };
        let key = match by {
            Some(Origin::Rule(key)) => Some(key),
            _ => None,
        };
        let [for_s, hour_s, day_s] = match actuation.event {
            Event::On { at_most, hour, day } => [at_most, Some(hour), Some(day)].map(|it| it.map(Span::as_secs_f64)),
            _ => [None; 3],
        };
        TransitionRecord {
            at: actuation.at.wall,
            event: "actuate",
            rule: key.map(|key| &key.rule),
            sensor: key.map(|key| &key.sensor),
            zone: actuation.zone.as_ref(),
            message: Cow::Owned(actuate(actuation)),
            reason: reason.map(Cow::Borrowed),
            by: by.map(|by| Cow::Owned(by.to_string())),
            actuator: Some(&actuation.actuator),
            action: Some(action),
            for_s,
            hour_s,
            day_s,
            ..TransitionRecord::default()
        }
    }

    /// The line for people, its columns as wide as the plan's longest names.
    pub(crate) fn aligned(&self, widths: &Widths) -> impl Display {
        let second = |at: &WallTime| self.local.unwrap_or(&Local::UTC).second(*at);
        fmt::from_fn(move |f| {
            let Widths { rule: rule_width, sensor: sensor_width } = widths;
            let at = self.at.as_ref().map_or("-".to_owned(), second);
            let severity = self.severity.map_or("-", Severity::name);
            let rule = self.rule.map_or("-", Id::as_str);
            let sensor = self.sensor.map_or("-", SensorId::as_str);
            // A line stays a line, although a rule's author may have written control characters.
            let message = self.message.replace(char::is_control, " ");
            let event = self.event;
            write!(
                f,
                "{at:<24}  {event:<12}  {severity:<10}  {rule:<rule_width$}  {sensor:<sensor_width$}  {message}"
            )?;
            if let ("resolved", Some(reason)) = (event, &self.reason) {
                let after = self.lasted.map_or(String::new(), |lasted| format!(" after {}", lasted.in_words()));
                write!(f, " ({reason}{after})")?;
            }
            if let (Some(until), Some(by)) = (&self.until, &self.by) {
                write!(f, " (until {}, by {by})", second(until))?;
            }
            if let (Some(page), Some(cause), Some(channels)) = (self.page, self.cause, self.channels) {
                let channels: Vec<&str> = channels.iter().map(Id::as_str).collect();
                let channels = if channels.is_empty() { "nobody".to_owned() } else { channels.join(", ") };
                write!(f, " (page {page} to {channels}: {cause})")?;
            }
            if let Some(repeats) = self.repeats {
                write!(f, " ({} before it left out)", counted(repeats.get(), "repeat"))?;
            }
            Ok(())
        })
    }
}

/// What became of an actuator, in words: `acid-pump on for 2 s, by ann`.
fn actuate(actuation: &Actuation) -> String {
    let name = &actuation.actuator;
    let by = actuation.command.as_ref().map_or(String::new(), |(_, by)| format!(", by {by}"));
    match &actuation.event {
        Event::On { at_most: Some(span), .. } => format!("{name} on for {}{by}", span.in_words()),
        Event::On { at_most: None, .. } => format!("{name} on{by}"),
        Event::Off(OffReason::Command) => format!("{name} off{by}"),
        Event::Off(reason) => format!("{name} off: {reason}"),
        Event::Lost => format!("{name} did not confirm; its time counts in full{by}"),
        Event::Refused(refusal) => format!("{name} stays off: {refusal}{by}"),
    }
}

/// A hold that began or ended, in words.
fn hold(change: &HoldChange) -> String {
    let still: Vec<String> = change.still_held_by.iter().map(ToString::to_string).collect();
    let still = if still.is_empty() { String::new() } else { format!("; still on hold by {}", still.join(" and ")) };
    match (change.began, &change.by) {
        (true, _) if change.only_doses => {
            format!("zone {}: dosing is stopped, since history is missing and what was dosed is unknown", change.zone)
        }
        (false, Some(by)) if change.only_doses => format!("zone {}: dosing allowed again, by {by}{still}", change.zone),
        (false, None) if change.only_doses => {
            format!("zone {}: dosing allowed again: no dose of before counts any more{still}", change.zone)
        }
        (true, by) => format!("zone {} on hold, by {}", change.zone, by.as_deref().unwrap_or("-")),
        (false, Some(by)) => format!("hold of zone {} ended, by {by}{still}", change.zone),
        (false, None) => format!("hold of zone {} ended: its time is over{still}", change.zone),
    }
}

/// From one stamp to a later one, as far as they can be compared.
pub(crate) fn between(from: Stamp, to: Stamp) -> Option<Span> {
    if from.boot == to.boot {
        return Some(to.uptime - from.uptime);
    }
    Some(to.wall? - from.wall?)
}

/// What is said of a sensor's health.
fn health(event: &SensorEvent, sensor: &Sensor) -> String {
    let id = &sensor.id;
    let span = |span: Option<Span>| span.map_or("too long".to_owned(), |span| span.to_string());
    let value = event.value.map_or("its value".to_owned(), |value: Value| match sensor.quantity.unit() {
        "" => value.to_string(),
        unit => format!("{value} {unit}"),
    });
    match (event.fault, sensor.range) {
        (None, _) => format!("{id} is believed again"),
        (Some(Fault::Range), Some((low, high))) => format!("{id}: {value} is outside {low} to {high}"),
        (Some(Fault::Range), None) => format!("{id}: {value} is no measurement"),
        (Some(Fault::Reported), _) => format!("{id}: its input says that it failed"),
        (Some(Fault::Stuck), _) => format!("{id}: {value} has not moved for {}", span(sensor.stuck_for)),
        (Some(Fault::Suspect), _) => format!("{id}: its values stay suspect"),
        (Some(Fault::Stale), _) => format!("{id}: no reading for {}", span(sensor.stale_after)),
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Widths {
    rule: usize,
    sensor: usize,
}

impl Widths {
    pub(crate) fn of(plan: &Plan) -> Widths {
        let rules = plan.rules().map(|rule| rule.key.rule.as_str().len());
        let sensors = plan.sensors().iter().map(|sensor| sensor.id.as_str().len());
        Widths { rule: rules.max().unwrap_or(0), sensor: sensors.max().unwrap_or(0) }
    }
}

fn as_text<S: Serializer, T: Display>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// A figure as the digits that people are shown.
fn as_number<S: Serializer>(figure: &Option<DisplayValue>, serializer: S) -> Result<S::Ok, S::Error> {
    match figure.and_then(|figure| figure.digits()) {
        Some(digits) => RawValue::from_string(digits).map_err(serde::ser::Error::custom)?.serialize(serializer),
        None => serializer.serialize_none(),
    }
}
