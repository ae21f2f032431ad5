//! Texts in the form of a token or key, which are no names and no words.

use std::ops::Range;

/// How the tokens of programs and services begin that farms use, and how many characters follow at least.
const PREFIXES: [(&str, usize); 18] = [
    ("tk_", 8),
    ("dev_ak_", 12),
    ("dev_rk_", 12),
    ("sk-", 16),
    ("sk_live_", 8),
    ("pk_live_", 8),
    ("ghp_", 16),
    ("gho_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xapp-", 16),
    ("AKIA", 12),
    ("AIza", 16),
    ("ya29.", 16),
    ("SG.", 16),
    ("eyJ", 16),
];

/// Length from which mixed letters and digits in a row are no name.
const RANDOM: usize = 24;

/// The tokens in a text.
pub(super) fn hidden(text: &str) -> Vec<Range<usize>> {
    words(text).filter(|word| is_token(&text[word.clone()])).collect()
}

/// Whether a word is in the form of a token.
///
/// Paths of devices are not: an adapter's serial number may be as long and as mixed.
#[must_use]
pub fn is_token(word: &str) -> bool {
    let has_prefix = PREFIXES.iter().any(|(prefix, least)| {
        word.find(prefix).is_some_and(|at| {
            let is_begin = at == 0 || !word.as_bytes()[at - 1].is_ascii_alphanumeric();
            is_begin && is_mixed(&word[at + prefix.len()..], *least)
        })
    });
    has_prefix || !word.starts_with('/') && word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random)
}

/// Long enough, and with something else in it than small letters.
fn is_mixed(rest: &str, least: usize) -> bool {
    rest.len() >= least && rest.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase())
}

fn is_random(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    part.len() >= RANDOM && digits >= 2 && part.len() - digits >= 2
}

/// The words of a text, as a person would mark them: without quotes and brackets around them.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./+=~:".contains(c);
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + text[at..].find(is_part)?;
        let end = text[begin..].find(|c| !is_part(c)).map_or(text.len(), |end| begin + end);
        at = end;
        Some(begin..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_names() {
        for (word, expected) in [
            ("tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2", true),
            ("keys/dev_ak_0123456789ab_00", true),
            ("0123456789abcdef01234567", true),
            ("tk_nursery", false),
            ("tank-tk_nursery", false),
            ("phone", false),
            ("greenhouse1temperature2", false),
            ("/dev/serial/by-id/usb-0123456789abcdef01234567", false),
            ("123456789012345678901234", false),
            ("config.d/10-nursery-and-propagation-2026.toml:12:3:", false),
        ] {
            assert_eq!(is_token(word), expected, "{word}");
        }
    }
}
