//! What people read: title and body of what a channel sends. Pure.

use std::fmt::Write as _;

use tilth_core::escalate::Cause;
use tilth_core::id::Id;
use tilth_core::plan::{AlertKey, Severity};
use tilth_core::rules::DisplayValue;
use tilth_core::time::Span;

use crate::message::{Item, Message};
use crate::notification::{Instead, Kind, Notification};

/// Notifications that a digest lists; the others are counted.
const MAX_LISTED: usize = 20;

/// A message as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// One line.
    pub title: String,
    /// A few lines.
    pub body: String,
    /// Highest severity in it; none where all is over.
    pub severity: Option<Severity>,
}

impl Text {
    /// The words of a message.
    pub fn of(message: &Message) -> Text {
        let (title, mut body) = match message.items.as_slice() {
            [item] => (title(item), body(item)),
            items => digest(items),
        };
        match message.undelivered {
            0 => {}
            1 => body.push_str("\n1 earlier notice could not be delivered."),
            undelivered => drop(write!(body, "\n{undelivered} earlier notices could not be delivered.")),
        }
        let severity = message.items.iter().filter_map(|item| item.notification.rank()).max();
        Text { title: one_line(&title), body, severity }
    }
}

fn title(item: &Item) -> String {
    let Notification { kind, details, .. } = &*item.notification;
    let repeat = if item.repeat { "Repeat: " } else { "" };
    match kind {
        Kind::Page(_) => format!("{repeat}{}: {}", capitalised(details.severity.name()), details.message),
        Kind::Resolved(_) => format!("{repeat}Resolved: {}", details.message),
        Kind::Test => format!("Test: {}", details.message),
    }
}

fn body(item: &Item) -> String {
    let Notification { kind, details, why, instead, .. } = &*item.notification;
    let mut lines = Vec::new();
    // The news first: a locked phone shows a line or two.
    if let Some(Instead { of, reason, .. }) = instead {
        let channel = of.last().map_or("", Id::as_str);
        lines.push(format!("Channel {channel} could not deliver this: {}", one_line(reason)));
    }
    match kind {
        Kind::Page(Cause::Fired) => {}
        Kind::Page(Cause::Escalated | Cause::Repeated) => lines.push("Nobody has acknowledged it yet.".to_owned()),
        Kind::Page(Cause::AcknowledgementExpired) => lines.push("The acknowledgement has run out.".to_owned()),
        Kind::Page(Cause::SilenceEnded) => lines.push("It was silenced until now.".to_owned()),
        Kind::Page(Cause::BusBack) => lines.push("Its bus was down or silent and is back.".to_owned()),
        Kind::Page(Cause::RuleBack) => {
            lines.push("Its rule was not in the configuration for a while and is back.".to_owned());
        }
        Kind::Resolved(_) => {}
        Kind::Test => return "No alert is open because of this.".to_owned(),
    }
    lines.extend(why.clone());
    if let (Kind::Page(_), Some(advice)) = (kind, &details.advice) {
        lines.push(advice.to_string());
    }
    lines.extend(figures(&item.notification));
    lines.push(since(&item.notification));
    match item.earlier {
        0 => {}
        1 => lines.push("1 earlier page about it was not delivered.".to_owned()),
        earlier => lines.push(format!("{earlier} earlier pages about it were not delivered.")),
    }
    let alert = details.alert.map_or(String::new(), |alert| format!("Alert {alert}: "));
    let AlertKey { zone, rule, sensor } = &details.key;
    let zone = if sensor.zone() == *zone { String::new() } else { format!(" in {zone}") };
    lines.push(format!("{alert}{rule}, {sensor}{zone}"));
    lines.join("\n")
}

/// Value and limit.
fn figures(notification: &Notification) -> Option<String> {
    let Notification { kind, details, unit, is_measured, .. } = notification;
    match (&details.value, &details.limit) {
        _ if !is_measured => None,
        (Some(DisplayValue::Time(_)), _) if matches!(kind, Kind::Resolved(_)) => None,
        (Some(value), Some(limit)) => Some(format!("Now {}, limit {}", figure(value, unit), figure(limit, unit))),
        (Some(value), None) => Some(format!("Now {}", figure(value, unit))),
        (None, Some(limit)) => Some(format!("Limit {}", figure(limit, unit))),
        (None, None) => None,
    }
}

fn digest(items: &[Item]) -> (String, String) {
    let counts = Severity::ALL.into_iter().rev().map(|severity| {
        let count = items.iter().filter(|item| item.notification.rank() == Some(severity)).count();
        (severity.name(), count)
    });
    let resolved = items.iter().filter(|item| item.notification.rank().is_none()).count();
    let counts: Vec<String> = counts
        .chain([("resolved", resolved)])
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let mut lines: Vec<String> = items.iter().take(MAX_LISTED).map(|item| one_line(&title(item))).collect();
    if items.len() > MAX_LISTED {
        lines.push(format!("and {} more", items.len() - MAX_LISTED));
    }
    (format!("{} notices: {}", items.len(), counts.join(", ")), lines.join("\n"))
}

/// A figure with its unit; lengths of time and percentages say their own.
pub(crate) fn figure(figure: &DisplayValue, unit: &str) -> String {
    match figure {
        DisplayValue::Value(_) | DisplayValue::Number(_) if !unit.is_empty() => format!("{figure} {unit}"),
        _ => figure.to_string(),
    }
}

/// The length is only known within one boot.
fn since(Notification { kind, details, local, .. }: &Notification) -> String {
    let (since, at) = (&details.since, &details.at);
    let length =
        (since.boot == at.boot).then(|| at.uptime - since.uptime).filter(|length| *length >= Span::from_secs(1));
    let length = length.map(Span::in_words);
    let is_over = matches!(kind, Kind::Resolved(_));
    match (since.wall.map(|wall| local.minute(wall)), length) {
        (Some(wall), Some(length)) if is_over => format!("It lasted {length}, since {wall}"),
        (Some(wall), Some(length)) => format!("For {length}, since {wall}"),
        (Some(wall), None) => format!("Since {wall}"),
        (None, Some(length)) if is_over => format!("It lasted {length}; the clock is not set"),
        (None, Some(length)) => format!("For {length}; the clock is not set"),
        (None, None) if since.boot == at.boot => "Since just now; the clock is not set".to_owned(),
        (None, None) => "Since before the last start; the clock is not set".to_owned(),
    }
}

pub(crate) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Without control characters, which a rule's message may hold.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
pub(crate) mod tests;
