//! Lines of `name=value` or `name: value`, with whatever a sketch prints between them.

/// Names longer than this are no names; the configuration knows none either.
const MAX_NAME: usize = 200;

/// Calls `each` for every pair of a line. Words that belong to none, such as units behind a blank, are passed over.
pub(super) fn each_pair<'a>(text: &'a str, mut each: impl FnMut(&'a str, &'a str)) {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_separator);
        if rest.is_empty() {
            return;
        }
        let end = rest.find(|c| is_separator(c) || is_sign(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_start_matches(is_blank).strip_prefix(is_sign) else {
            rest = after;
            continue;
        };
        let value = value.trim_start_matches(is_blank);
        let (found, after) = split_value(value);
        if !is_name(name) || found.contains('=') {
            // A label before the pairs, such as `INFO: temp=21.5`, or noise.
            rest = value;
            continue;
        }
        each(name, found);
        rest = after;
    }
}

/// Whether a text can be the name of a value: it begins like a word and has nothing that only noise has.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || "_-./()[]%#°".contains(c))
}

fn split_value(text: &str) -> (&str, &str) {
    if let Some((quoted, rest)) = text.strip_prefix('"').and_then(|text| text.split_once('"')) {
        return (quoted, rest);
    }
    let end = text.find(is_separator).unwrap_or(text.len());
    text.split_at(end + decimals(&text[..end], &text[end..]))
}

/// How much of what follows belongs to a number with a decimal comma. It is kept together, and is then no number: half of it
/// would be a wrong one.
fn decimals(whole: &str, after: &str) -> usize {
    let is_whole = whole.ends_with(|c: char| c.is_ascii_digit()) && !whole.contains('.');
    let Some(rest) = after.strip_prefix(',').filter(|_| is_whole) else { return 0 };
    let end = rest.find(|c| is_separator(c) || is_sign(c)).unwrap_or(rest.len());
    let is_name = rest[end..].trim_start_matches(is_blank).starts_with(is_sign);
    if rest.starts_with(|c: char| c.is_ascii_digit()) && !is_name { 1 + end } else { 0 }
}

fn is_sign(c: char) -> bool {
    matches!(c, '=' | ':')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_separator(c: char) -> bool {
    is_blank(c) || matches!(c, ',' | ';' | '|')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_however_they_are_parted() {
        for (text, expected) in [
            ("temp=21.5 hum=55", &[("temp", "21.5"), ("hum", "55")][..]),
            ("temp=21.5,hum=55;ec=1.2", &[("temp", "21.5"), ("hum", "55"), ("ec", "1.2")]),
            ("temp = 21.5 , hum = 55", &[("temp", "21.5"), ("hum", "55")]),
            ("Temp: 21.5 C  Hum: 55 %", &[("Temp", "21.5"), ("Hum", "55")]),
            ("Soil moisture: 43", &[("moisture", "43")]),
            ("INFO: temp=21.5", &[("temp", "21.5")]),
            ("[12:00:01] temp=21.5", &[("temp", "21.5")]),
            ("time=2014-04-03T11:00:00Z t=1", &[("time", "2014-04-03T11:00:00Z"), ("t", "1")]),
            ("time=\"2014-04-03 11:00:00Z\" t=1", &[("time", "2014-04-03 11:00:00Z"), ("t", "1")]),
            ("temp=21,5 hum=55", &[("temp", "21,5"), ("hum", "55")]),
            ("temp=21,hum=55,2", &[("temp", "21"), ("hum", "55,2")]),
            ("temp=21.5,55", &[("temp", "21.5")]),
            ("temp=", &[("temp", "")]),
            ("=5 == : ::", &[]),
            ("hello world", &[]),
            ("", &[]),
        ] {
            let mut found = Vec::new();
            each_pair(text, |name, value| found.push((name, value)));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
