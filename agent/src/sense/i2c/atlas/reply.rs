//! Answers of EZO circuits as text: status byte, numbers and the fields of queries. Pure.
//!
//! Source: the I2C part of Atlas Scientific's datasheets of the EZO pH, EC, RTD and D.O. circuits, "Response codes".

use crate::sense::i2c::chip_io::Fault;

/// First byte of an answer.
const SUCCESS: u8 = 1;
const SYNTAX_ERROR: u8 = 2;
const PROCESSING: u8 = 254;
const NO_DATA: u8 = 255;

/// What circuits report in place of a temperature or value where no probe is connected.
const NO_PROBE: f64 = -1023.0;

/// A pH probe whose slope is further from 100 % is worn out or was calibrated in a wrong solution.
const SLOPE_PERCENT: std::ops::RangeInclusive<f64> = 95.0..=105.0;

/// An answer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The circuit has done what it was asked, and says this; empty where it only agrees.
    Text(String),
    /// Not ready yet.
    Processing,
    /// The circuit was not asked anything.
    NoData,
    /// The circuit does not know the command.
    SyntaxError,
}

impl Reply {
    /// Reads the status byte and the text after it, which ends at the first NUL.
    pub(super) fn parse(bytes: &[u8]) -> Result<Reply, Fault> {
        let Some((status, text)) = bytes.split_first() else { return Err(Fault::Answer(String::new())) };
        match *status {
            SUCCESS => text_of(text).map(Reply::Text),
            SYNTAX_ERROR => Ok(Reply::SyntaxError),
            PROCESSING => Ok(Reply::Processing),
            NO_DATA => Ok(Reply::NoData),
            other => Err(Fault::Answer(format!("status {other}"))),
        }
    }
}

/// Only printable ASCII is an answer; a line end of the serial mode is taken off.
fn text_of(bytes: &[u8]) -> Result<String, Fault> {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = text.trim_ascii_end();
    if text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        Ok(text.iter().map(|byte| char::from(*byte)).collect())
    } else {
        Err(Fault::Answer(String::from_utf8_lossy(text).into_owned()))
    }
}

/// The numbers of a reading, one for each value that the circuit puts out.
pub(super) fn numbers(text: &str, expected: usize) -> Result<Vec<f64>, Fault> {
    let unusable = || Fault::Answer(text.to_owned());
    let numbers = text.split(',').map(|number| plain_number(number).ok_or_else(unusable));
    let numbers = numbers.collect::<Result<Vec<f64>, Fault>>()?;
    if numbers.iter().any(|number| *number <= NO_PROBE) {
        return Err(Fault::NoProbe);
    }
    if numbers.len() == expected { Ok(numbers) } else { Err(unusable()) }
}

/// Digits with a sign and a point: `inf`, `nan` and `1e5` are no numbers of a circuit.
fn plain_number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    text.parse().ok().filter(|_| is_plain)
}

/// The fields of an answer to a query, such as `3` of `?CAL,3`. Circuits differ in the case of the word, and the datasheets of the EC and oxygen
/// circuits have a comma before it: `?,O,%,mg`.
pub(super) fn answer_to<'a>(query: &str, text: &'a str) -> Result<Vec<&'a str>, Fault> {
    let fields = || {
        let text = text.strip_prefix('?')?;
        let (head, fields) = text.strip_prefix(',').unwrap_or(text).split_once(',')?;
        head.eq_ignore_ascii_case(query).then(|| fields.split(',').map(str::trim).collect())
    };
    fields().ok_or_else(|| Fault::Answer(text.to_owned()))
}

/// Why a circuit started, by the restart code of its answer to `Status`, where that is no ordinary start.
pub(super) fn restart(code: &str) -> Option<&'static str> {
    match code {
        "B" | "b" => Some("its voltage was too low"),
        "W" | "w" => Some("its own watchdog restarted it"),
        _ => None,
    }
}

/// Slopes of a pH probe, in % of an ideal probe's in acid and in base.
pub(super) fn slope(fields: &[&str]) -> Result<[f64; 2], Fault> {
    let unusable = || Fault::Answer(fields.join(","));
    let [acid, base, ..] = fields else { return Err(unusable()) };
    Ok([plain_number(acid).ok_or_else(unusable)?, plain_number(base).ok_or_else(unusable)?])
}

/// Whether slopes say that a pH probe is worn or wrongly calibrated.
pub(super) fn is_slope_bad(slope: [f64; 2]) -> bool {
    slope.iter().any(|percent| !SLOPE_PERCENT.contains(percent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> Result<Reply, Fault> {
        Reply::parse(&[&[1], text.as_bytes()].concat())
    }

    #[test]
    fn the_status_byte_says_what_follows() {
        for (bytes, expected) in [
            (b"\x017.125\0\0\0\0".as_slice(), Ok(Reply::Text("7.125".to_owned()))),
            (b"\x017.125\r\n\0", Ok(Reply::Text("7.125".to_owned()))),
            (b"\x017.125\x007", Ok(Reply::Text("7.125".to_owned()))),
            (b"\x01\0\0", Ok(Reply::Text(String::new()))),
            (b"\x02\0", Ok(Reply::SyntaxError)),
            (b"\xfe7.125", Ok(Reply::Processing)),
            (b"\xff\xff\xff", Ok(Reply::NoData)),
            (b"\x00\0", Err(Fault::Answer("status 0".to_owned()))),
            (b"7.125", Err(Fault::Answer("status 55".to_owned()))),
            (b"", Err(Fault::Answer(String::new()))),
            (b"\x017.\x8125\0", Err(Fault::Answer("7.\u{fffd}25".to_owned()))),
        ] {
            assert_eq!(Reply::parse(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_reading_has_as_many_numbers_as_the_circuit_puts_out() {
        let four = numbers("1413,706,0.71,1.000", 4);
        assert_eq!(four, Ok(vec![1413.0, 706.0, 0.71, 1.0]));
        assert_eq!(numbers("-1.250", 1), Ok(vec![-1.25]));
        for (text, expected) in
            [("1413,706", 4), ("1413,706,", 2), ("", 1), ("7.1.2", 1), ("nan", 1), ("1e3", 1), ("*ER", 1)]
        {
            assert_eq!(numbers(text, expected), Err(Fault::Answer(text.to_owned())), "{text}");
        }
        assert_eq!(numbers("-1023.000", 1), Err(Fault::NoProbe));
    }

    #[test]
    fn fields_are_of_the_query_that_was_asked() {
        assert_eq!(answer_to("CAL", "?Cal,3"), Ok(vec!["3"]));
        assert_eq!(answer_to("i", "?I,pH,1.98"), Ok(vec!["pH", "1.98"]));
        assert_eq!(answer_to("STATUS", "?STATUS,P,5.038"), Ok(vec!["P", "5.038"]));
        assert_eq!(answer_to("O", "?,O,%,mg"), Ok(vec!["%", "mg"]));
        for text in ["7.1", "?CAL", "CAL,3", "?SLOPE,1", "?,CAL", "?,,CAL,3"] {
            assert!(answer_to("CAL", text).is_err(), "{text}");
        }
        assert!(slope(&["99"]).is_err() && slope(&["99", "x"]).is_err());
    }

    #[test]
    fn answers_of_a_real_driver_are_read() {
        let folder = std::env::var("TILTH_DATA")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").to_owned());
        let Ok(text) = std::fs::read_to_string(format!("{folder}/devices/atlas_ezo_replies.json")) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no shared data at {folder}");
            return;
        };
        let all: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let mut seen = 0;
        for reply in all.iter().filter(|reply| reply["dir"] == "in") {
            let text = reply["text"].as_str().unwrap();
            let Ok(Reply::Text(read)) = said(text) else { panic!("{text:?}") };
            let expect = &reply["expect"];
            if let Some(ph) = expect["ph"].as_f64() {
                assert_eq!(numbers(&read, 1), Ok(vec![ph]));
            }
            if let Some(points) = expect["calibration_points"].as_u64() {
                assert_eq!(answer_to("CAL", &read).unwrap()[0], points.to_string());
            }
            if let Some(is_bad) = expect["slope_bad"].as_bool() {
                assert_eq!(slope(&answer_to("SLOPE", &read).unwrap()).map(is_slope_bad), Ok(is_bad), "{text:?}");
            }
            seen += 1;
        }
        assert!(seen >= 6, "{seen}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..48), expected in 1..5_usize) {
            if let Ok(Reply::Text(text)) = Reply::parse(&bytes) {
                if let Ok(numbers) = numbers(&text, expected) {
                    prop_assert!(numbers.iter().all(|number| number.is_finite()));
                }
                let _ = answer_to("CAL", &text).map(|fields| slope(&fields).map(is_slope_bad));
            }
        }
    }
}
