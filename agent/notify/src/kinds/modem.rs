//! Channel of kind `modem`: the text of a message as SMS. It fits one SMS where that is possible. Pure.

use std::fmt::Write as _;

use crate::message::{Item, Message};
use crate::modem::{ONE_SMS, encode, plain};
use crate::notification::{Kind, Notification};
use crate::text::{self, capitalised, one_line};

/// Notifications that a digest lists; the others are counted.
const MAX_LISTED: usize = 8;

/// A message of the rule that is shorter than this after it was cut says nothing.
const SHORTEST: usize = 12;

/// The text of a message.
pub fn text(message: &Message) -> String {
    let lost = match message.undelivered {
        0 => String::new(),
        undelivered => format!(" {undelivered} earlier not delivered."),
    };
    match message.items.as_slice() {
        [item] => one(item, &lost),
        items => digest(items, &lost),
    }
}

/// `Urgent 31: tower-1/ph 7.91, limit 6.8, since 21:40. Acid doser? Reply ACK 31`.
fn one(item: &Item, lost: &str) -> String {
    let notification = &*item.notification;
    let repeat = if item.repeat { "Repeat: " } else { "" };
    let message = one_line(&notification.details.message);
    let (head, tail) = match notification.kind {
        Kind::Page(_) => (format!("{repeat}{}.", page(notification)), reply(notification)),
        Kind::Resolved(_) => (format!("{repeat}Resolved{}:", number(notification)), String::new()),
        Kind::Test => ("Test:".to_owned(), String::new()),
    };
    let rest = format!("{lost}{tail}");
    let whole = format!("{head} {message}{}{rest}", if message.ends_with(['.', '!', '?']) { "" } else { "." });
    let Some(room) = septets(&head).zip(septets(&rest)).map(|(head, rest)| ONE_SMS.saturating_sub(head + rest + 2))
    else {
        return whole;
    };
    match septets(&message) {
        // In an alphabet of its own it takes several SMS anyway.
        None => whole,
        Some(length) if length <= room => whole,
        Some(_) if room < SHORTEST && matches!(notification.kind, Kind::Page(_)) => format!("{head}{rest}"),
        Some(_) => format!("{head} {}.{rest}", cut(&plain(&message), room)),
    }
}

/// Severity, number, sensor, value, limit and since when.
fn page(notification: &Notification) -> String {
    let details = &notification.details;
    let mut text = format!("{}{}: ", capitalised(details.severity.name()), number(notification));
    text.push_str(details.key.sensor.as_str());
    if details.key.sensor.zone() != details.key.zone {
        let _ = write!(text, " in {}", details.key.zone);
    }
    if notification.is_measured {
        for (before, figure) in [(" ", &details.value), (", limit ", &details.limit)] {
            if let Some(figure) = figure {
                let _ = write!(text, "{before}{}", text::figure(figure, &notification.unit));
            }
        }
    }
    match (details.since.wall, details.since.boot == details.at.boot) {
        (Some(since), _) => {
            let _ = write!(text, ", since {}", notification.local.near(since, details.at.wall));
        }
        (None, true) => {
            let _ = write!(text, ", for {}", (details.at.uptime - details.since.uptime).in_words());
        }
        (None, false) => {}
    }
    text
}

fn digest(items: &[Item], lost: &str) -> String {
    let mut text = format!("{} notices:", items.len());
    for item in items.iter().take(MAX_LISTED) {
        let line = match item.notification.kind {
            Kind::Page(_) => page(&item.notification),
            Kind::Resolved(_) | Kind::Test => {
                format!("Resolved{}: {}", number(&item.notification), item.notification.details.key.sensor)
            }
        };
        let _ = write!(text, "\n{line}");
    }
    if items.len() > MAX_LISTED {
        let _ = write!(text, "\nand {} more.", items.len() - MAX_LISTED);
    }
    text.push_str(lost);
    text.push_str("\nReply ACK and a number");
    text
}

fn number(notification: &Notification) -> String {
    notification.alert().map_or(String::new(), |alert| format!(" {alert}"))
}

fn reply(notification: &Notification) -> String {
    notification.alert().map_or(String::new(), |alert| format!(" Reply ACK {alert}"))
}

/// Septets that a text takes; none where it needs another alphabet.
fn septets(text: &str) -> Option<usize> {
    encode(&plain(text)).map(|septets| septets.len())
}

/// The beginning of a text that takes so many septets, to the end of a word.
fn cut(text: &str, room: usize) -> String {
    let mut cut = String::new();
    for word in text.split_inclusive(' ') {
        if septets(&cut).unwrap_or(0) + septets(word.trim_end()).unwrap_or(0) > room {
            break;
        }
        cut.push_str(word);
    }
    cut.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use tilth_core::escalate::Cause;
    use tilth_core::plan::Severity;

    use super::*;
    use crate::notification::samples::{page as sample, resolved};
    use crate::text::tests::messages;

    fn said(change: impl FnOnce(&mut Notification)) -> String {
        let mut notification = sample(31, 1, Severity::Urgent, Cause::Fired);
        change(&mut notification);
        text(&messages(vec![notification], 10)[0])
    }

    #[test]
    fn an_sms_says_what_where_since_and_how_to_answer() {
        let head = "Urgent 31: tower-1/ec 2.93 mS/cm, limit 2.8 mS/cm, since 06:30 UTC.";
        assert_eq!(said(|_| {}), format!("{head} EC 2.93 in tower-1, limit 2.8. Reply ACK 31"));
        let long =
            said(|page| page.details.message = "The tank is too salty and somebody must dilute it now ".repeat(3));
        assert!(long.starts_with(head) && long.ends_with(". Reply ACK 31") && long.len() <= ONE_SMS, "{long}");
        assert!(said(|page| page.repeat = true).starts_with("Repeat: Urgent 31: "));
        let local = said(|page| page.details.message = "zbiornik jest zbyt słony".to_owned());
        assert_eq!(local, format!("{head} zbiornik jest zbyt słony. Reply ACK 31"));
        let over = text(&messages(vec![resolved(31)], 10)[0]);
        assert_eq!(over, "Resolved 31: EC 2.93 in tower-1, limit 2.8.");
    }

    #[test]
    fn a_digest_lists_the_alerts_with_their_numbers() {
        let pages = (1..=12).map(|alert| sample(alert, 1, Severity::Warning, Cause::Fired)).collect();
        let digest = messages(pages, 4).into_iter().map(|message| text(&message)).find(|text| text.contains("notices"));
        let digest = digest.expect("a digest");
        assert!(digest.starts_with("11 notices:\nWarning 2: tower-1/ec 2.93 mS/cm, limit 2.8 mS/cm"), "{digest}");
        assert!(digest.ends_with("more.\nReply ACK and a number"), "{digest}");
    }
}
