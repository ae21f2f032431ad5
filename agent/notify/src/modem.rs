//! SMS by a modem on a serial line: what is said to the modem, which SMS go to whom, and what answers mean. All of it is pure; whoever has
//! the line drives it.
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

pub use outgoing::{Outgoing, Told};
pub use pdu::{DeliveryReport, Sms, Submit};
pub use reply::{OpenAlert, Reply, nothing_to_take, taken};
pub use session::{Effect, Input, Refused, Session};

pub(crate) use gsm7::{encode, plain};

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

/// The number of a list that a sender is, written with or without the country's code.
#[must_use]
pub fn known_number<'a>(numbers: &'a [String], from: &str) -> Option<&'a String> {
    let national = from.trim_start_matches('0');
    // As long as a number within any country: shorter ones are of services.
    let is_same = |number: &&String| match from.starts_with('+') {
        true => **number == from,
        false => national.len() >= 7 && number.ends_with(national),
    };
    numbers.iter().find(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_known_with_and_without_the_code_of_the_country() {
        let numbers = ["+4915112345678".to_owned(), "+15125551234".to_owned()];
        for (from, known) in [
            ("+4915112345678", Some(0)),
            ("015112345678", Some(0)),
            ("4915112345678", Some(0)),
            ("5125551234", Some(1)),
            ("+4915112345679", None),
            ("345678", None),
            ("Vodafone", None),
            ("", None),
            ("+", None),
        ] {
            assert_eq!(known_number(&numbers, from), known.map(|index: usize| &numbers[index]), "{from}");
        }
        assert_eq!(masked("+4915112345678"), "+49..5678");
        assert_eq!(masked("Info"), "Info");
    }
}
