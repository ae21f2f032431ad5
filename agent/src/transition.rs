//! Effects of the engine as the lines that people and programs read: the one place where the two vocabularies meet.

use std::borrow::Cow;
use std::fmt::{self, Display};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tilth_core::alert::AlertId;
use tilth_core::effect::{Effect, Page, Report, SensorEvent, Transition};
use tilth_core::escalate::PageId;
use tilth_core::id::{Id, SensorId};
use tilth_core::judge::Fault;
use tilth_core::local::Local;
use tilth_core::plan::{Plan, Severity};
use tilth_core::rules::Figure;
use tilth_core::sensor::Sensor;
use tilth_core::time::{Span, Stamp, WallTime};
use tilth_core::value::Value;

#[cfg(test)]
mod tests;

/// One transition. Its JSON object has these keys in this order. What does not apply is left out, but for the first six
/// keys, which are always there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Line<'a> {
    /// Null while the clock is not trusted.
    #[serde(serialize_with = "as_text")]
    at: Option<WallTime>,
    event: Event,
    rule: Option<&'a Id>,
    sensor: Option<&'a SensorId>,
    #[serde(serialize_with = "as_number")]
    value: Option<Figure>,
    severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertId>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    limit: Option<Figure>,
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
    /// Who acknowledged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    /// Why people are told now.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    page: Option<PageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<&'a [Id]>,
    /// How long the condition of an alert held that is over; for people, programs have the two times.
    #[serde(skip)]
    lasted: Option<Span>,
    /// The clock by which people read its times; UTC where there is none.
    #[serde(skip)]
    local: Option<&'a Local>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Event {
    Pending,
    Firing,
    Escalated,
    Acknowledged,
    Resolved,
    Notify,
    Fault,
    Recovered,
}

impl<'a> Line<'a> {
    /// The transition that an effect is; nothing where it is none.
    pub(crate) fn of(effect: &'a Effect, plan: &'a Plan) -> Option<Line<'a>> {
        let line = match effect {
            Effect::Alert(transition, report) => Line::of_alert(transition, report),
            Effect::Page(page) => Line::of_page(page),
            Effect::Sensor(event) => Line::of_sensor(event, plan.sensor(event.sensor)),
            Effect::Reading(_)
            | Effect::Missing(_)
            | Effect::Window(_)
            | Effect::Schedule(_)
            | Effect::Site
            | Effect::Refused(_)
            | Effect::Unwindowed(..)
            | Effect::Planned(_) => return None,
        };
        Some(Line { local: Some(plan.local()), ..line })
    }

    fn of_alert(transition: &'a Transition, report: &'a Report) -> Line<'a> {
        let line = |event| Line::of_report(event, report);
        match transition {
            Transition::Pending => line(Event::Pending),
            Transition::Firing => line(Event::Firing),
            Transition::Escalated => line(Event::Escalated),
            Transition::Acknowledged { until, by } => {
                Line { until: until.wall, by: Some(by), ..line(Event::Acknowledged) }
            }
            Transition::Resolved(reason) => Line {
                reason: Some(reason.name().into()),
                lasted: between(report.since, report.at),
                ..line(Event::Resolved)
            },
        }
    }

    fn of_page(page: &'a Page) -> Line<'a> {
        Line {
            cause: Some(page.cause.name()),
            page: Some(page.id),
            channels: Some(&page.channels),
            ..Line::of_report(Event::Notify, &page.report)
        }
    }

    fn of_report(event: Event, report: &'a Report) -> Line<'a> {
        Line {
            rule: Some(&report.key.rule),
            sensor: Some(&report.key.sensor),
            value: report.value,
            severity: Some(report.severity),
            zone: Some(&report.key.zone),
            alert: report.alert,
            limit: report.limit,
            since: report.since.wall,
            reading_ts: wall(report.reading_at),
            message: Cow::Borrowed(&report.message),
            advice: report.advice.as_deref(),
            ..Line::blank(report.at, event)
        }
    }

    fn of_sensor(event: &SensorEvent, sensor: &'a Sensor) -> Line<'a> {
        Line {
            sensor: Some(&sensor.id),
            value: event.value.map(Figure::Value),
            zone: Some(&sensor.zone),
            reading_ts: wall(event.reading_at),
            message: Cow::Owned(health(event, sensor)),
            reason: event.fault.map(|fault| fault.to_string().into()),
            ..Line::blank(event.at, if event.fault.is_some() { Event::Fault } else { Event::Recovered })
        }
    }

    fn blank(at: Stamp, event: Event) -> Line<'a> {
        Line {
            at: at.wall,
            event,
            rule: None,
            sensor: None,
            value: None,
            severity: None,
            zone: None,
            alert: None,
            limit: None,
            since: None,
            reading_ts: None,
            message: Cow::Borrowed(""),
            advice: None,
            reason: None,
            until: None,
            by: None,
            cause: None,
            page: None,
            channels: None,
            lasted: None,
            local: None,
        }
    }

    /// The line for people, its columns as wide as the plan's longest names.
    pub(crate) fn aligned(&'a self, widths: &'a Widths) -> impl Display + 'a {
        Aligned { line: self, widths }
    }
}

fn wall(stamp: Option<Stamp>) -> Option<WallTime> {
    stamp.and_then(|stamp| stamp.wall)
}

/// From one stamp to a later one, as far as they can be compared.
fn between(from: Stamp, to: Stamp) -> Option<Span> {
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
        (Some(Fault::Stale), _) => format!("{id}: no reading for {}", span(sensor.stale_after)),
    }
}

/// How wide the columns of names are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Widths {
    rule: usize,
    sensor: usize,
}

impl Widths {
    /// For everything that a plan can speak of.
    pub(crate) fn of(plan: &Plan) -> Widths {
        let rules = plan.rules().map(|rule| rule.key.rule.as_str().len());
        let sensors = plan.sensors().iter().map(|sensor| sensor.id.as_str().len());
        Widths { rule: rules.max().unwrap_or(0), sensor: sensors.max().unwrap_or(0) }
    }
}

struct Aligned<'a> {
    line: &'a Line<'a>,
    widths: &'a Widths,
}

impl Display for Aligned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { at, event, rule, sensor, severity, .. } = self.line;
        let at = at.map_or("-".to_owned(), |at| self.line.local.unwrap_or(&Local::UTC).second(at));
        let severity = severity.map_or("-", Severity::name);
        let rule = rule.map_or("-", Id::as_str);
        let sensor = sensor.map_or("-", SensorId::as_str);
        let Widths { rule: rule_width, sensor: sensor_width } = self.widths;
        // A line stays a line, whatever a rule's author wrote.
        let message = self.line.message.replace(char::is_control, " ");
        write!(
            f,
            "{at:<24}  {:<12}  {severity:<10}  {rule:<rule_width$}  {sensor:<sensor_width$}  {message}",
            event.name()
        )?;
        self.fmt_circumstances(f)
    }
}

impl Aligned<'_> {
    /// What belongs to this kind of transition alone.
    fn fmt_circumstances(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { event, reason, until, by, cause, page, channels, lasted, .. } = self.line;
        if let (Event::Resolved, Some(reason)) = (event, reason) {
            let after = lasted.map_or(String::new(), |lasted| format!(" after {}", lasted.in_words()));
            write!(f, " ({reason}{after})")?;
        }
        if let (Some(until), Some(by)) = (until, by) {
            let until = self.line.local.unwrap_or(&Local::UTC).second(*until);
            write!(f, " (until {until}, by {by})")?;
        }
        if let (Some(page), Some(cause), Some(channels)) = (page, cause, channels) {
            let channels: Vec<&str> = channels.iter().map(Id::as_str).collect();
            let channels = if channels.is_empty() { "nobody".to_owned() } else { channels.join(", ") };
            write!(f, " (page {page} to {channels}: {cause})")?;
        }
        Ok(())
    }
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Event::Pending => "pending",
            Event::Firing => "firing",
            Event::Escalated => "escalated",
            Event::Acknowledged => "acknowledged",
            Event::Resolved => "resolved",
            Event::Notify => "notify",
            Event::Fault => "fault",
            Event::Recovered => "recovered",
        }
    }
}

fn as_text<S: Serializer, T: Display>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// A figure as the digits that people are shown.
fn as_number<S: Serializer>(figure: &Option<Figure>, serializer: S) -> Result<S::Ok, S::Error> {
    match figure.and_then(|figure| figure.digits()) {
        Some(digits) => RawValue::from_string(digits).map_err(serde::ser::Error::custom)?.serialize(serializer),
        None => serializer.serialize_none(),
    }
}
