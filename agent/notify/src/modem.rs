//! SMS by a modem on a serial line: commands to the modem, recipients of each SMS, and the meaning of answers. All of it is pure; the task
//! that owns the line drives it.
//!
//! ```text
//! Message, Answer --> Outgoing -- Submit --> Session -- AT commands --> modem
//!    page's result <--'  ^--- Submitted, Reported --'                     |
//!    acknowledgement <-------------- reply <------- Received -------------+
//! ```

mod errors;
mod gsm7;
mod lines;
mod outgoing;
mod pdu;
mod registration;
mod reply;
mod session;

pub use outgoing::{Outgoing, SmsOutcome};
pub use pdu::{DeliveryReport, Sms, Submit};
pub use reply::{OpenAlert, Reply, acknowledged, not_open};
pub use session::{Effect, Input, SendFailure, Session};

pub(crate) use gsm7::{encode, plain};
#[cfg(test)]
pub(crate) use pdu::submits;
pub(crate) use pdu::{MAX_SEPTETS, MAX_UNITS};

/// Septets of the longest text that is one SMS.
pub(crate) const ONE_SMS: usize = 160;

/// A number with its middle hidden, as it stands in logs, events and acknowledgements: enough for those who know its owner.
#[must_use]
pub fn masked(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    match digits.len() {
        0..=6 => number.to_owned(),
        length => format!("{}..{}", String::from_iter(&digits[..3]), String::from_iter(&digits[length - 4..])),
    }
}

/// The number of a list that a sender is, written with or without the country's code. The list has numbers as `+49..`.
#[must_use]
pub fn known_number<'a>(numbers: &'a [String], from: &str) -> Option<&'a String> {
    let digits = from.trim_start_matches('0');
    // As long as a number within any country: shorter ones are of services.
    let is_same = |number: &&String| match number.strip_prefix('+') {
        _ if from.starts_with('+') => **number == from,
        Some(number) => {
            digits.len() >= 7 && (number == digits || within_country(number) == digits || has_trunk(number, from))
        }
        None => false,
    };
    numbers.iter().find(is_same)
}

/// Whether digits are a number as its country writes it, where that puts something else than a zero before it: `06` in Hungary, `8` in Russia
/// and Kazakhstan, Lithuania and Turkmenistan, `80` in Belarus (national prefixes of ITU-T's list of dialling procedures).
fn has_trunk(number: &str, digits: &str) -> bool {
    const TRUNKS: [(&str, &str); 5] = [("36", "06"), ("370", "8"), ("375", "80"), ("7", "8"), ("993", "8")];
    let of_country = TRUNKS.iter().filter(|(country, _)| number.starts_with(country));
    of_country.filter_map(|(_, trunk)| digits.strip_prefix(trunk)).any(|rest| rest == within_country(number))
}

/// A number without its country's code, and without the zero that a few countries keep before it. Codes are those that ITU-T assigned
/// to recommendation E.164 (list of 15 December 2016): 1 and 7 have one digit, these have two, all others three.
fn within_country(number: &str) -> &str {
    const TWO_DIGITS: [&str; 44] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    let digits = match number.get(..2) {
        Some(code) if code.starts_with(['1', '7']) => 1,
        Some(code) if TWO_DIGITS.contains(&code) => 2,
        _ => 3,
    };
    number.get(digits..).unwrap_or_default().trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_known_with_and_without_the_code_of_the_country() {
        let numbers = ["+4915112345678", "+15125551234", "+390612345678", "+353871234567"].map(str::to_owned);
        for (from, known) in [
            ("+4915112345678", Some(0)),
            ("015112345678", Some(0)),
            ("4915112345678", Some(0)),
            ("004915112345678", Some(0)),
            ("5125551234", Some(1)),
            ("0612345678", Some(2)),
            ("0871234567", Some(3)),
            // A landline of Hanover, whose digits end the mobile one, and one with a piece of the country's code.
            ("05112345678", None),
            ("915112345678", None),
            ("+4915112345679", None),
            ("345678", None),
            ("Vodafone", None),
            ("", None),
            ("+", None),
        ] {
            assert_eq!(known_number(&numbers, from), known.map(|index: usize| &numbers[index]), "{from}");
        }
        let trunks = ["+36301234567", "+79161234567", "+37061234567", "+375291234567"].map(str::to_owned);
        for (from, known) in [
            ("06301234567", Some(0)),
            ("301234567", Some(0)),
            ("89161234567", Some(1)),
            ("9161234567", Some(1)),
            ("861234567", Some(2)),
            ("80291234567", Some(3)),
            ("86301234567", None),
            ("69161234567", None),
        ] {
            assert_eq!(known_number(&trunks, from), known.map(|index: usize| &trunks[index]), "{from}");
        }
        assert_eq!(masked("+4915112345678"), "+49..5678");
        assert_eq!(masked("Info"), "Info");
    }
}
