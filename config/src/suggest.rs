//! The name that was probably meant.

use strsim::osa_distance;

/// Names longer than this, in bytes, are compared with none: the comparison takes the product of both lengths.
const LONGEST: usize = 256;

/// The candidate nearest to a name, unless even that is too far off to have been meant.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip in every three characters still reads as the same word.
    let most = name.chars().count().div_ceil(3);
    let near = candidates.into_iter().filter_map(|candidate| Some((distance(name, candidate, most)?, candidate)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Whether one name is another with a slip of the keyboard in it: closer than what [`nearest`] takes for meant, since two
/// names may well be alike.
pub(crate) fn is_slip(name: &str, other: &str) -> bool {
    let most = if name.chars().count() < 10 { 1 } else { 2 };
    // `ph-high-2` is meant as it is.
    name != other && !name.starts_with(other) && distance(name, other, most).is_some()
}

/// Number of letters to put in, leave out, change or swap with their neighbour to make one name of the other; `None` above
/// `most`.
pub(crate) fn distance(name: &str, other: &str, most: usize) -> Option<usize> {
    // A letter has four bytes at most.
    let is_near = name.len().abs_diff(other.len()) <= most * 4 && name.len().max(other.len()) <= LONGEST;
    is_near.then(|| osa_distance(name, other)).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["above", "below", "outside", "missing_for", "severity", "for", "größe"];
        for (name, expected) in [
            ("abvoe", Some("above")),
            ("bleow", Some("below")),
            ("missingfor", Some("missing_for")),
            ("severty", Some("severity")),
            ("fro", Some("for")),
            ("grösse", Some("größe")),
            ("x", None),
            ("", None),
            ("temperature", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name:?}");
        }
        for (name, other, expected) in [
            ("ph-hihg", "ph-high", true),
            ("ph-hgh", "ph-high", true),
            ("temprature-hihg", "temperature-high", true),
            ("ph-high", "ph-high", false),
            ("ph-high2", "ph-high", false),
            ("ph-high", "ec-high", false),
            ("ph-low", "ph-high", false),
        ] {
            assert_eq!(is_slip(name, other), expected, "{name} of {other}");
        }
    }
}
