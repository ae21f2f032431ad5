//! The values of a recording: decimal numbers, and missing ones.

use super::report::Reason;

/// A finite number, or nothing for an empty field and for NaN.
pub(super) fn parse_value(text: &[u8]) -> Result<Option<f64>, Reason> {
    if let Some(value) = short_decimal(text) {
        return Ok(Some(value));
    }
    if text.is_empty() {
        return Ok(None);
    }
    let text = str::from_utf8(text).map_err(|_| Reason::ValueForm)?;
    let value: f64 = text.parse().map_err(|_| Reason::ValueForm)?;
    match value {
        _ if value.is_nan() => Ok(None),
        _ if value.is_infinite() => Err(Reason::ValueInfinite),
        _ => Ok(Some(value)),
    }
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 17] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16];

/// A number such as `-21.53`, rounded exactly as `str::parse` would: digits and power of ten are both
/// exact doubles, so the one division rounds once. Nothing for what is longer or spelled otherwise.
pub(super) fn short_decimal(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.len() > POWERS.len() {
        return None;
    }
    let mut whole = 0;
    let mut point = None;
    for (place, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => whole = whole * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(place),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |point| digits.len() - 1 - point);
    let any = digits.len() > usize::from(point.is_some());
    let size = (any && whole < 1 << 53).then(|| whole as f64 / POWERS[decimals])?;
    Some(if negative { -size } else { size })
}
