//! The one-time code: what a person reads at the hub and types at the device.
//!
//! ```text
//! XXXX-XXXS-SSSS-SSSS-SSSS-SSSC                                 with a certificate that machines trust anyway
//! XXXX-XXXS-SSSS-SSSS-SSSS-SSSH-HHHH-HHHH-HHHH-HHHC             with a CA of the farm's own
//!
//! X  public id, 35 bits         S  secret, 80 random bits
//! H  first 80 bits of the SHA-256 of the CA certificate (DER)       C  check symbol
//! ```
//!
//! Symbols are those of Crockford's base 32 (<https://www.crockford.com/base32.html>): no I, L, O and U; upper and lower case mean the same,
//! I and L are read as 1, O as 0, hyphens and spaces are ignored. The check symbol makes the sum over the code zero in the field of 32
//! elements, the symbol at place p (from the right, from 0) counted x^p times: no single wrong symbol and no swap of two neighbours passes.

use std::fmt;

use serde::{Deserialize, Serialize};

const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const ID: usize = 7;
const SECRET: usize = 16;
const HASH: usize = 16;

/// Length of a code without the hash of a CA, and with one, both with the check symbol.
const SHORT: usize = ID + SECRET + 1;
const LONG: usize = SHORT + HASH;

/// Symbols of a printed group.
const GROUP: usize = 4;

/// A one-time code. The debug form hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    /// Symbols without hyphens, of one of the two lengths, with the right check symbol.
    text: String,
}

/// Public id of a code: 7 symbols.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeId(String);

/// Secret of a code: 16 symbols. The debug form hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeSecret(String);

/// What was typed is no code. The message never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Too short, too long.
    #[error("it has {0} letters and digits; expected {SHORT} or {LONG}")]
    Length(usize),
    /// A letter or sign that is in no code.
    #[error("letter or digit number {place} is {found:?}, which is in no code")]
    Symbol {
        /// Position of the symbol, from 1; hyphens and spaces do not count.
        place: usize,
        /// What was typed.
        found: char,
    },
    /// The check symbol does not fit.
    #[error("one of its letters or digits is wrong, or two are swapped")]
    Check,
}

impl EnrolmentCode {
    /// A code from random bytes, of which the id takes 35 bits, and the SHA-256 of the CA certificate where the device has to be told of one.
    #[must_use]
    pub fn from_random(id: [u8; 5], secret: [u8; 10], ca: Option<&[u8; 32]>) -> EnrolmentCode {
        let mut symbols = encode(&id, ID) + &encode(&secret, SECRET);
        if let Some(hash) = ca {
            symbols += &encode(hash, HASH);
        }
        let check = check_symbol(symbols.bytes());
        symbols.push(char::from(SYMBOLS[usize::from(check)]));
        EnrolmentCode { text: symbols }
    }

    /// Reads a code as a person types it.
    ///
    /// # Errors
    /// [`CodeError`] says what is wrong with it.
    pub fn parse(typed: &str) -> Result<EnrolmentCode, CodeError> {
        let mut text = String::new();
        for found in typed.chars().filter(|typed| !typed.is_whitespace() && *typed != '-') {
            let symbol = canonical(found).ok_or(CodeError::Symbol { place: text.len() + 1, found })?;
            text.push(symbol);
        }
        if text.len() != SHORT && text.len() != LONG {
            return Err(CodeError::Length(text.len()));
        }
        let (symbols, check) = text.as_bytes().split_at(text.len() - 1);
        match value(check[0]) == check_symbol(symbols.iter().copied()) {
            true => Ok(EnrolmentCode { text }),
            false => Err(CodeError::Check),
        }
    }

    /// Public id, which logs and lists may name.
    #[must_use]
    pub fn id(&self) -> CodeId {
        CodeId(self.text[..ID].to_owned())
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> CodeSecret {
        CodeSecret(self.text[ID..ID + SECRET].to_owned())
    }

    /// True if the code names a CA certificate, without which the hub is not trusted.
    #[must_use]
    pub fn has_ca(&self) -> bool {
        self.text.len() == LONG
    }

    /// True if the code names the certificate with this SHA-256.
    #[must_use]
    pub fn names_ca(&self, sha256: &[u8; 32]) -> bool {
        self.has_ca() && self.text[ID + SECRET..LONG - 1] == encode(sha256, HASH)
    }

    /// The whole code in groups, secret included: to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        let groups: Vec<String> =
            self.text.as_bytes().chunks(GROUP).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        groups.join("-")
    }
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-...", &self.text[..ID])
    }
}

impl CodeId {
    /// The symbols.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CodeSecret {
    /// The symbols, for their hash.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeSecret(..)")
    }
}

impl TryFrom<String> for CodeId {
    type Error = String;

    fn try_from(text: String) -> Result<CodeId, String> {
        symbols(text, ID).map(CodeId)
    }
}

impl From<CodeId> for String {
    fn from(CodeId(text): CodeId) -> String {
        text
    }
}

impl TryFrom<String> for CodeSecret {
    type Error = String;

    fn try_from(text: String) -> Result<CodeSecret, String> {
        symbols(text, SECRET).map(CodeSecret)
    }
}

impl From<CodeSecret> for String {
    fn from(CodeSecret(text): CodeSecret) -> String {
        text
    }
}

/// A text of `count` symbols in their one spelling, as programs send them.
fn symbols(text: String, count: usize) -> Result<String, String> {
    match text.len() == count && text.bytes().all(|byte| SYMBOLS.contains(&byte)) {
        true => Ok(text),
        false => Err(format!("expected {count} symbols of Crockford's base 32, in upper case")),
    }
}

fn canonical(typed: char) -> Option<char> {
    match typed.to_ascii_uppercase() {
        'I' | 'L' => Some('1'),
        'O' => Some('0'),
        symbol => u8::try_from(symbol).is_ok_and(|byte| SYMBOLS.contains(&byte)).then_some(symbol),
    }
}

/// The number of a symbol, 0 to 31.
fn value(symbol: u8) -> u8 {
    SYMBOLS.iter().zip(0..).find_map(|(known, number)| (*known == symbol).then_some(number)).unwrap_or(0)
}

/// The first bits of `bytes` as so many symbols.
fn encode(bytes: &[u8], count: usize) -> String {
    let bit = |at: usize| (bytes[at / 8] >> (7 - at % 8)) & 1;
    let symbol = |number: usize| (0..5).fold(0, |value, of| value << 1 | usize::from(bit(number * 5 + of)));
    (0..count).map(|number| char::from(SYMBOLS[symbol(number)])).collect()
}

/// The value of the check symbol: the one that makes the sum zero.
fn check_symbol(symbols: impl Iterator<Item = u8>) -> u8 {
    symbols.fold(0, |sum, symbol| times_x(sum ^ value(symbol)))
}

/// Multiplies by x in the field of 32 elements, modulo x^5 + x^2 + 1.
fn times_x(element: u8) -> u8 {
    let shifted = element << 1;
    if shifted & 0b10_0000 == 0 { shifted } else { shifted ^ 0b10_0101 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(with_ca: bool) -> EnrolmentCode {
        EnrolmentCode::from_random(
            [0xa5, 1, 2, 3, 4],
            [7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            with_ca.then_some(&[0x5a; 32]),
        )
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for with_ca in [false, true] {
            let code = code(with_ca);
            let shown = code.reveal();
            let bare = shown.replace('-', "");
            assert_eq!(bare.len(), if with_ca { 40 } else { 24 }, "{shown}");
            for typed in [
                &shown,
                &shown.to_lowercase(),
                &shown.replace('-', " "),
                &bare,
                &bare.replace('1', "l").replace('0', "o"),
            ] {
                assert_eq!(EnrolmentCode::parse(typed).as_ref(), Ok(&code), "{typed}");
            }
            assert_eq!((code.id().as_str(), code.secret().reveal()), (&bare[..7], &bare[7..23]));
            assert_eq!(
                (code.has_ca(), code.names_ca(&[0x5a; 32]), code.names_ca(&[0x5b; 32])),
                (with_ca, with_ca, false)
            );
            assert!(!format!("{code:?} {:?}", code.secret()).contains(code.secret().reveal()));
        }
    }

    #[test]
    fn what_is_no_code_is_told_apart() {
        let shown = code(false).reveal();
        for (typed, expected) in [
            ("", CodeError::Length(0)),
            (&shown[1..], CodeError::Length(23)),
            (&format!("{shown}7"), CodeError::Length(25)),
            ("ABC-U", CodeError::Symbol { place: 4, found: 'U' }),
            ("12_4", CodeError::Symbol { place: 3, found: '_' }),
            ("12\u{e9}", CodeError::Symbol { place: 3, found: '\u{e9}' }),
        ] {
            assert_eq!(EnrolmentCode::parse(typed), Err(expected), "{typed}");
        }
    }

    #[test]
    fn bits_are_written_from_the_first() {
        assert_eq!(encode(&[0b0000_1000, 0b1000_0110, 0b0100_0010, 0b1001_1000, 0b1110_1000], 8), "12345678");
        assert_eq!(encode(&[0xff; 10], 16), "Z".repeat(16));
    }

    proptest! {
        #[test]
        fn one_wrong_symbol_or_two_swapped_are_noticed(
            id: [u8; 5], secret: [u8; 10], hash in proptest::option::of(any::<[u8; 32]>()), at in 0_usize..40, other in 0_usize..32
        ) {
            let text = EnrolmentCode::from_random(id, secret, hash.as_ref()).text;
            prop_assert!(EnrolmentCode::parse(&text).is_ok());
            let (mut wrong, at) = (text.clone().into_bytes(), at % text.len());
            wrong[at] = SYMBOLS[other];
            let mut swapped = text.clone().into_bytes();
            swapped.swap(at, (at + 1).min(text.len() - 1));
            for typed in [wrong, swapped].map(|typed| String::from_utf8(typed).unwrap()) {
                let expected = if typed == text { Ok(()) } else { Err(CodeError::Check) };
                prop_assert_eq!(EnrolmentCode::parse(&typed).map(drop), expected);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = EnrolmentCode::parse(&text);
        }
    }
}
