//! Channel of kind `modem`: the text of a message as SMS. It fits one SMS where that is possible. Pure.

use std::fmt::Write as _;

use crate::message::{Item, Message};
use crate::modem::{MAX_SEPTETS, MAX_UNITS, ONE_SMS, encode, plain};
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
    // A text in an alphabet of its own takes several SMS anyway; past the last of them stands how to answer.
    let (limit, length): (usize, fn(&str) -> usize) =
        if septets(&whole).is_some() { (ONE_SMS, |text| septets(text).unwrap_or(0)) } else { (MAX_UNITS, units) };
    if length(&whole) <= limit {
        return whole;
    }
    let room = limit.saturating_sub(length(&head) + length(&rest) + 2);
    if room < SHORTEST && matches!(notification.kind, Kind::Page(_)) {
        return format!("{head}{rest}");
    }
    format!("{head} {}.{rest}", cut(&plain(&message), room, length))
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

/// The alerts of a digest, as many as leave room for the rest.
fn digest(items: &[Item], lost: &str) -> String {
    let (mut text, mut listed) = (format!("{} notices:", items.len()), 0);
    let rest = |listed: usize| {
        let more = if items.len() > listed { format!("\nand {} more.", items.len() - listed) } else { String::new() };
        format!("{more}{lost}\nReply ACK and a number")
    };
    for item in items.iter().take(MAX_LISTED) {
        let line = match item.notification.kind {
            Kind::Page(_) => page(&item.notification),
            Kind::Resolved(_) | Kind::Test => {
                format!("Resolved{}: {}", number(&item.notification), item.notification.details.key.sensor)
            }
        };
        if !is_sent_whole(&format!("{text}\n{line}{}", rest(0))) {
            break;
        }
        let _ = write!(text, "\n{line}");
        listed += 1;
    }
    text + &rest(listed)
}

/// Whether no part of a text is cut off.
fn is_sent_whole(text: &str) -> bool {
    septets(text).map_or_else(|| units(text) <= MAX_UNITS, |septets| septets <= MAX_SEPTETS)
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

/// UTF-16 units that a text takes.
fn units(text: &str) -> usize {
    plain(text).encode_utf16().count()
}

/// The beginning of a text that takes so much room, to the end of a word where one ends in its second half.
fn cut(text: &str, room: usize, length: fn(&str) -> usize) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| length(&text[..*end]) <= room).last().unwrap_or(0);
    let (cut, rest) = text.split_at(end);
    let of_words = cut.rfind(' ').filter(|at| *at > end / 2 && !rest.starts_with(' '));
    cut[..of_words.unwrap_or(end)].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use tilth_core::escalate::Cause;
    use tilth_core::id::Id;
    use tilth_core::plan::Severity;

    use super::*;
    use crate::modem::{Submit, submits};
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
        for word in ["zbiornik jest zbyt słony ", "水箱太咸了", "🐢🐢🐢"] {
            let long = said(|page| page.details.message = word.repeat(60));
            assert!(long.starts_with(head) && long.ends_with(". Reply ACK 31"), "{long}");
            let sent = submits("+4915112345678", &long, 1);
            assert_eq!((sent.len(), last_units(&sent)), (4, "ACK 31".to_owned()), "{long}");
        }
        let over = text(&messages(vec![resolved(31)], 10)[0]);
        assert_eq!(over, "Resolved 31: EC 2.93 in tower-1, limit 2.8.");
    }

    /// The last six characters of the last part.
    fn last_units(sent: &[Submit]) -> String {
        let digits = &sent.last().unwrap().hex;
        let octets = hex::decode(&digits[digits.len() - 24..]).unwrap();
        let (pairs, _) = octets.as_chunks::<2>();
        String::from_utf16(&pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect::<Vec<_>>()).unwrap()
    }

    /// Guards against: a digest whose last line, how to answer, is cut off.
    #[test]
    fn a_digest_lists_as_many_as_are_sent_whole() {
        let of_unit = |unit: &str| {
            let page = |alert| {
                let mut page = sample(alert, 1, Severity::Warning, Cause::Fired);
                page.details.key.zone = Id::new("a-zone-with-a-name-of-forty-characters-0").unwrap();
                page.unit = unit.to_owned();
                page
            };
            let mut digests = messages((1..=12).map(page).collect(), 4).into_iter().map(|message| text(&message));
            digests.find(|text| text.contains("notices")).expect("a digest")
        };
        for unit in ["mS/cm", "мСм/см"] {
            let digest = of_unit(unit);
            assert!(is_sent_whole(&digest) && digest.ends_with(" more.\nReply ACK and a number"), "{digest}");
            let listed = digest.matches("\nWarning ").count();
            assert!(listed > 0 && digest.contains(&format!("\nand {} more.", 11 - listed)), "{digest}");
        }
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
