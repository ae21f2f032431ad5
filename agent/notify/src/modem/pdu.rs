//! SMS as a modem takes and gives them in PDU mode: SMS-SUBMIT, SMS-DELIVER and SMS-STATUS-REPORT (3GPP TS 23.040, sections 9.2.2 and
//! 9.2.3), in hexadecimal digits after the address of a service centre (3GPP TS 27.005, section 3.1). Pure.

use super::gsm7::{self, ESCAPE};

/// Septets of a GSM 7-bit text that fits one SMS, and of a part of a longer one.
const SEPTETS: usize = 160;
const SEPTETS_OF_PART: usize = 153;

/// UTF-16 units of a UCS-2 text that fits one SMS, and of a part of a longer one.
const UNITS: usize = 70;
const UNITS_OF_PART: usize = 67;

/// Most parts of a text; the rest is cut off.
pub(crate) const MAX_PARTS: usize = 4;

/// Septets of a GSM 7-bit text, and UTF-16 units of another, that are sent whole: a part ends one sooner where it would cut a character.
pub(crate) const MAX_SEPTETS: usize = MAX_PARTS * SEPTETS_OF_PART - (MAX_PARTS - 1);
pub(crate) const MAX_UNITS: usize = MAX_PARTS * UNITS_OF_PART - (MAX_PARTS - 1);

/// TP-Validity-Period in its relative form, `(v + 1) * 5` minutes: an hour. The page repeats itself sooner than that, and a page of
/// yesterday is of no use.
const VALIDITY: u8 = 11;

/// Type of address: international number in the ISDN plan, and an unknown one.
const INTERNATIONAL: u8 = 0x91;
const UNKNOWN: u8 = 0x81;

/// An SMS-SUBMIT for `AT+CMGS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// Octets in hexadecimal digits, with an empty address of the service centre before them: that of the SIM.
    pub hex: String,
    /// Number of octets without the service centre's address.
    pub length: usize,
}

/// A message that came, in PDU mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    /// An SMS of somebody.
    Message(Sms),
    /// What became of an SMS that was sent.
    Report(DeliveryReport),
}

/// An SMS that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sms {
    /// Number or name of the sender.
    pub from: String,
    /// Text; empty where it is none, such as a picture.
    pub text: String,
}

/// What became of an SMS that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Reference of the SMS, which the modem gave it.
    pub reference: u8,
    /// Number that the SMS was for, as the service centre writes it.
    pub to: String,
    /// Whether it arrived; none while the service centre still tries.
    pub arrived: Option<bool>,
    /// TP-Status (3GPP TS 23.040, section 9.2.3.15).
    pub status: u8,
}

/// Text of one SMS, encoded.
enum Text<'a> {
    Septets(&'a [u8]),
    Units(&'a [u16]),
}

/// The SMS for a text: one, or the parts of a longer one, at most [`MAX_PARTS`]. `reference` joins the parts.
pub(crate) fn submits(number: &str, text: &str, reference: u8) -> Vec<Submit> {
    let text = gsm7::plain(text);
    match gsm7::encode(&text) {
        Some(septets) => {
            let is_cut = |at: usize| septets[at - 1] == ESCAPE;
            let parts = split(septets.len(), SEPTETS, SEPTETS_OF_PART, is_cut);
            submit_all(number, parts.into_iter().map(|part| Text::Septets(&septets[part])), reference)
        }
        None => {
            let units: Vec<u16> = text.encode_utf16().collect();
            let is_cut = |at: usize| (0xDC00..0xE000).contains(&units[at]);
            let parts = split(units.len(), UNITS, UNITS_OF_PART, is_cut);
            submit_all(number, parts.into_iter().map(|part| Text::Units(&units[part])), reference)
        }
    }
}

/// Splits a text of that length into ranges; a split that would cut a character is moved back by one.
fn split(length: usize, whole: usize, part: usize, is_cut: impl Fn(usize) -> bool) -> Vec<std::ops::Range<usize>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let part = if length <= whole { whole } else { part };
    while parts.is_empty() || (begin < length && parts.len() < MAX_PARTS) {
        let end = (begin + part).min(length);
        let end = if end < length && is_cut(end) { end - 1 } else { end };
        parts.push(begin..end);
        begin = end;
    }
    parts
}

fn submit_all<'a>(number: &str, parts: impl ExactSizeIterator<Item = Text<'a>>, reference: u8) -> Vec<Submit> {
    let total = parts.len();
    let submit = |(index, text): (usize, Text<'_>)| {
        // Information element 0x00: concatenated short messages, 8-bit reference (section 9.2.3.24.1).
        let header = [5, 0, 3, reference, total as u8, index as u8 + 1];
        submit(number, &text, if total > 1 { &header } else { &[] })
    };
    parts.enumerate().map(submit).collect()
}

fn submit(number: &str, text: &Text<'_>, header: &[u8]) -> Submit {
    // TP-MTI SMS-SUBMIT, TP-VPF relative, TP-SRR: a delivery report is wanted.
    let first = 0x01 | 0x10 | 0x20 | if header.is_empty() { 0 } else { 0x40 };
    let mut octets = vec![first, 0];
    octets.extend(address(number));
    let (coding, length, data) = match text {
        Text::Septets(septets) => {
            let begin = (header.len() * 8).div_ceil(7);
            let filling = begin * 7 - header.len() * 8;
            (0x00, begin + septets.len(), gsm7::pack(septets, filling))
        }
        Text::Units(units) => {
            let data: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            (0x08, header.len() + data.len(), data)
        }
    };
    octets.extend([0, coding, VALIDITY, length as u8]);
    octets.extend(header);
    octets.extend(data);
    Submit { hex: format!("00{}", hex::encode_upper(&octets)), length: octets.len() }
}

/// TP-Destination-Address: number of digits, type, digits in swapped semi-octets (section 9.1.2.5).
fn address(number: &str) -> Vec<u8> {
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    let kind = if number.starts_with('+') { INTERNATIONAL } else { UNKNOWN };
    let mut octets = vec![digits.len() as u8, kind];
    octets.extend(digits.chunks(2).map(|pair| pair[0] | pair.get(1).unwrap_or(&0xF) << 4));
    octets
}

/// Reads a message that a modem gave; none where it is no such message, or is cut off.
pub(crate) fn read(digits: &str) -> Option<Incoming> {
    let octets = hex::decode(digits.trim()).ok()?;
    let mut octets = Octets(&octets);
    let centre = octets.next()?;
    octets.take(usize::from(centre))?;
    let first = octets.next()?;
    match first & 0x03 {
        0x00 => deliver(&mut octets, first & 0x40 != 0).map(Incoming::Message),
        0x02 => report(&mut octets).map(Incoming::Report),
        _ => None,
    }
}

fn deliver(octets: &mut Octets<'_>, has_header: bool) -> Option<Sms> {
    let from = octets.address()?;
    octets.next()?;
    let coding = octets.next()?;
    // TP-Service-Centre-Time-Stamp: alerts have numbers of their own, so the time of an answer is not needed.
    octets.take(7)?;
    let length = usize::from(octets.next()?);
    let data = octets.0;
    let header = if has_header { usize::from(*data.first()?) + 1 } else { 0 };
    let text = match alphabet(coding) {
        Alphabet::Gsm7 => {
            let begin = (header * 8).div_ceil(7);
            gsm7::decode(gsm7::unpack(data, 0, length).get(begin..).unwrap_or_default())
        }
        Alphabet::Ucs2 => {
            let units = data.get(header..length.min(data.len())).unwrap_or_default().as_chunks::<2>().0;
            String::from_utf16_lossy(&units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<u16>>())
        }
        Alphabet::Other => String::new(),
    };
    Some(Sms { from, text })
}

fn report(octets: &mut Octets<'_>) -> Option<DeliveryReport> {
    let reference = octets.next()?;
    let to = octets.address()?;
    octets.take(14)?;
    let status = octets.next()?;
    let arrived = match status {
        0x00..0x20 => Some(true),
        0x20..0x40 => None,
        _ => Some(false),
    };
    Some(DeliveryReport { reference, to, arrived, status })
}

enum Alphabet {
    Gsm7,
    Ucs2,
    Other,
}

/// Alphabet of a TP-Data-Coding-Scheme (3GPP TS 23.038, section 4), where a reserved coding stands for GSM 7-bit. A compressed text is not read.
fn alphabet(coding: u8) -> Alphabet {
    match coding {
        0x00..0x80 if coding & 0x20 != 0 => Alphabet::Other,
        0x00..0x80 => match coding & 0x0C {
            0x04 => Alphabet::Other,
            0x08 => Alphabet::Ucs2,
            _ => Alphabet::Gsm7,
        },
        0x80..0xE0 => Alphabet::Gsm7,
        0xE0..0xF0 => Alphabet::Ucs2,
        0xF0.. if coding & 0x04 == 0 => Alphabet::Gsm7,
        _ => Alphabet::Other,
    }
}

/// Octets that are not read yet.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn next(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number with `+` where it is international, or a name.
    fn address(&mut self) -> Option<String> {
        let length = usize::from(self.next()?);
        let kind = self.next()?;
        let octets = self.take(length.div_ceil(2))?;
        // Type of number 101: alphanumeric, in GSM 7-bit.
        if kind & 0x70 == 0x50 {
            return Some(gsm7::decode(&gsm7::unpack(octets, 0, length * 4 / 7)));
        }
        let digits = octets.iter().flat_map(|octet| [octet & 0xF, octet >> 4]).take(length);
        let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 10));
        let sign = if kind & 0x70 == 0x10 { "+" } else { "" };
        Some(digits.fold(sign.to_owned(), |number, digit| number + &digit.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_text_is_one_sms_with_a_report_and_an_hour_to_arrive() {
        let submits = submits("+4915112345678", "hellohello", 7);
        // SMSC of the SIM | first octet, reference | 13 digits, international | PID, DCS, an hour | 10 septets
        let expected = "00".to_owned() + "3100" + "0D91945111325476F8" + "00000B" + "0A" + "E8329BFD4697D9EC37";
        assert_eq!(submits, [Submit { length: expected.len() / 2 - 1, hex: expected }]);
    }

    #[test]
    fn a_long_text_is_split_between_characters_and_a_foreign_one_is_ucs_2() {
        let text = "a".repeat(152) + "€" + &"b".repeat(20);
        let parts = submits("+1", &text, 9);
        assert_eq!(parts.len(), 2);
        // The first part ends before the escape, so it has 152 septets after the 7 of its header.
        assert!(parts[0].hex.starts_with("0071000191F100000B9F050003090201"), "{}", parts[0].hex);
        assert!(parts[1].hex.contains("050003090202"), "{}", parts[1].hex);
        let units = submits("+1", "żółw 🐢", 1);
        assert_eq!(units.len(), 1);
        assert!(units[0].hex.ends_with("00080B0E017C00F301420077 0020D83DDC22".replace(' ', "").as_str()), "{units:?}");
        assert_eq!(submits("+1", &"ż".repeat(70), 1).len(), 1);
        assert_eq!(submits("+1", &"ż".repeat(71), 1).len(), 2);
        assert_eq!(submits("+1", &"a".repeat(160), 1).len(), 1);
        assert_eq!(submits("+1", &"a".repeat(161), 1).len(), 2);
        assert_eq!(submits("+1", &"a".repeat(2000), 1).len(), MAX_PARTS);
    }

    #[test]
    fn messages_and_reports_of_modems_are_read() {
        for (digits, from, text) in [
            ("07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37", "27838890001", "hellohello"),
            ("00040D91945111325476F800006211272222030006C1E112348B01", "+4915112345678", "ACK 31"),
            ("00040B915121551532F40008621127222203000600410043004B", "+15125551234", "ACK"),
            // A part of a longer one, whose header fills seven septets.
            ("00440B915121551532F40000621127222203000A05000301020182C325", "+15125551234", "ACK"),
            // From a name, and a picture.
            ("000407D0D432BB0C0000621127222203000141", "Tele", "A"),
            ("00040B915121551532F40004621127222203000141", "+15125551234", ""),
            // Reserved codings.
            ("00040D91945111325476F8000C6211272222030006C1E112348B01", "+4915112345678", "ACK 31"),
            ("00040D91945111325476F800846211272222030006C1E112348B01", "+4915112345678", "ACK 31"),
        ] {
            let sms = Sms { from: from.to_owned(), text: text.to_owned() };
            assert_eq!(read(digits), Some(Incoming::Message(sms)), "{digits}");
        }
        let report = "00062B0D91945111325476F8621172214040806211722140508000";
        let to = "+4915112345678".to_owned();
        let arrived = DeliveryReport { reference: 0x2B, to, arrived: Some(true), status: 0 };
        assert_eq!(read(report), Some(Incoming::Report(arrived)));
        for (digits, why) in [("", "nothing"), ("00", "cut off"), ("zz", "no digits"), ("0001000000", "of this end")] {
            assert_eq!(read(digits), None, "{why}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_and_any_text_are_taken(octets: Vec<u8>, text: String, digits in "[0-9A-F]{0,400}") {
            read(&hex::encode(&octets));
            read(&digits);
            let submits = submits("+491", &text, 3);
            prop_assert!(!submits.is_empty() && submits.len() <= MAX_PARTS);
            for submit in submits {
                prop_assert!(submit.length <= 170 && submit.hex.len() == 2 * submit.length + 2);
            }
        }
    }
}
