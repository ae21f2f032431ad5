//! The times of a recording: RFC 3339, epoch milliseconds, and the rarer spellings of ISO 8601.

use jiff::civil::Date;

use super::report::Reason;

/// 2200-01-01T00:00:00Z: times end before it.
pub(super) const END_MS: i64 = 7_258_118_400_000;
/// 2000-01-01T00:00:00Z: a number below it is one of seconds, not of milliseconds.
const FIRST_EPOCH_MS: i64 = 946_684_800_000;

/// Milliseconds since 1970 that a text says.
pub(super) fn parse_time(text: &[u8]) -> Result<i64, Reason> {
    if let Some(at_ms) = rfc3339(text) {
        return in_range(at_ms);
    }
    match epoch_ms(text) {
        Some(0..FIRST_EPOCH_MS) => Err(Reason::TimeSeconds),
        Some(at_ms) => in_range(at_ms),
        None => in_range(iso8601(text).ok_or(Reason::TimeForm)?),
    }
}

pub(super) fn in_range(at_ms: i64) -> Result<i64, Reason> {
    if (0..END_MS).contains(&at_ms) { Ok(at_ms) } else { Err(Reason::TimeRange) }
}

/// RFC 3339 with `T` or a blank; a leap second is the last millisecond before it.
pub(super) fn rfc3339(text: &[u8]) -> Option<i64> {
    let (clock, rest) = text.split_first_chunk::<19>()?;
    if [clock[4], clock[7], clock[13], clock[16]] != *b"--::" || !matches!(clock[10], b'T' | b't' | b' ') {
        return None;
    }
    let date = |year: i64, month: i64, day: i64| Date::new(year as i16, month as i8, day as i8).ok();
    let date = date(digits(&clock[..4])?, digits(&clock[5..7])?, digits(&clock[8..10])?)?;
    let days_s = date.duration_since(Date::constant(1970, 1, 1)).as_secs();
    let (hour, minute, second) = (digits(&clock[11..13])?, digits(&clock[14..16])?, digits(&clock[17..])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ms, zone) = fraction_ms(rest)?;
    let second_ms = if second == 60 { 59_999 } else { second * 1000 + fraction_ms };
    Some(days_s * 1000 + hour * 3_600_000 + minute * 60_000 + second_ms - offset_ms(zone)?)
}

/// The milliseconds of a fraction of any length, if there is one, and what follows it.
fn fraction_ms(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) = text.split_at(length);
    let ms = digits(&fraction[..length.min(3)])? * [0, 100, 10, 1][length.min(3)];
    (length > 0).then_some((ms, zone))
}

/// `Z`, or an offset such as `+05:30`.
fn offset_ms(zone: &[u8]) -> Option<i64> {
    let sign = match zone {
        b"Z" | b"z" => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(&zone[1..3])?, digits(&zone[4..])?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// A whole number, of any length: one that does not fit is out of range all the more.
fn epoch_ms(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    whole.then(|| str::from_utf8(text).ok()?.parse().ok()).map(|number| number.unwrap_or(i64::MAX))
}

/// The rarer spellings of ISO 8601, such as `+0100` for an offset or a time without seconds.
pub(super) fn iso8601(text: &[u8]) -> Option<i64> {
    let time: jiff::Timestamp = str::from_utf8(text).ok()?.parse().ok()?;
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()
}
