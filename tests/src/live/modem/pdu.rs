//! The few forms of PDU that the modem of tests reads and writes (3GPP TS 23.040, section 9.2.2).

use std::time::Instant;

use super::Sent;

/// Digits of a number in swapped semi-octets, with its length and type.
fn address(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let pairs = digits.chunks(2).map(|pair| format!("{}{}", pair.get(1).unwrap_or(&'F'), pair[0]));
    let kind = if number.starts_with('+') { "91" } else { "81" };
    format!("{:02X}{kind}{}", digits.len(), pairs.collect::<String>())
}

/// An SMS-DELIVER in UCS-2, which needs no packing.
pub(super) fn deliver(from: &str, text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("{unit:04X}")).collect();
    format!("0004{}000862112722140040{:02X}{units}", address(from), units.len() / 2)
}

/// An SMS-STATUS-REPORT: it arrived.
pub(super) fn report(reference: u8, number: &str) -> String {
    format!("0006{reference:02X}{}6211272214004062112722140540 00", address(number)).replace(' ', "")
}

/// Reads an SMS-SUBMIT with a relative validity period; none where it is something else.
pub(super) fn submitted(digits: &str) -> Option<Sent> {
    let octets: Vec<u8> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    let [0, first, _, length, 0x91, rest @ ..] = &octets[..] else { return None };
    // SMS-SUBMIT with a relative validity period.
    if first & 0x1B != 0x11 {
        return None;
    }
    let (number, rest) = rest.split_at_checked(usize::from(*length).div_ceil(2))?;
    let digits = number.iter().flat_map(|octet| [octet & 0xF, octet >> 4]).take((*length).into());
    let to = digits.fold("+".to_owned(), |to, digit| to + &digit.to_string());
    let [_, coding, validity, length, data @ ..] = rest else { return None };
    let header = if first & 0x40 == 0 { 0 } else { usize::from(*data.first()?) + 1 };
    let part = (header == 6).then(|| (data[5], data[4]));
    let text = match coding {
        0x00 => septets(data, usize::from(*length)).skip((header * 8).div_ceil(7)).map(character).collect(),
        0x08 => {
            let units = data.get(header..)?.chunks(2);
            let units: Vec<u16> = units.map(|unit| u16::from(unit[0]) << 8 | u16::from(unit[1])).collect();
            String::from_utf16(&units).ok()?
        }
        _ => return None,
    };
    Some(Sent { to, text, part, valid_min: (u32::from(*validity) + 1) * 5, at: Instant::now() })
}

fn septets(octets: &[u8], count: usize) -> impl Iterator<Item = u8> + '_ {
    let bit = |bit: usize| octets.get(bit / 8).is_some_and(|octet| octet >> (bit % 8) & 1 == 1);
    (0..count).map(move |septet| (0..7).fold(0, |value, place| value | u8::from(bit(septet * 7 + place)) << place))
}

/// Of the default alphabet what is otherwise in ASCII, and what our texts have.
fn character(septet: u8) -> char {
    match septet {
        0x00 => '@',
        0x11 => '_',
        other => char::from(other),
    }
}
