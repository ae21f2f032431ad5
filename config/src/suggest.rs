//! The name that was probably meant.

/// The candidate nearest to a name, unless even that is too far off to have been meant.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().collect();
    let mut search = Search { name: &name, rows: [Vec::new(), Vec::new(), Vec::new()] };
    // One slip in every three characters still reads as the same word.
    let mut nearest = (name.len().div_ceil(3) + 1, None);
    for candidate in candidates {
        if let Some(distance) = search.distance_below(candidate, nearest.0) {
            nearest = (distance, Some(candidate));
        }
    }
    nearest.1
}

/// Whether one name is another with a slip of the keyboard in it: closer than what [`nearest`] takes for meant, since two
/// names may well be alike.
pub(crate) fn is_slip(name: &str, other: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    let mut search = Search { name: &letters, rows: [Vec::new(), Vec::new(), Vec::new()] };
    let limit = if letters.len() < 10 { 2 } else { 3 };
    // `ph-high-2` is meant as it is.
    name != other && !name.starts_with(other) && search.distance_below(other, limit).is_some()
}

/// How many slips of the keyboard make one word of the other; nothing where those are most of a word.
pub(crate) fn distance(name: &str, other: &str) -> Option<usize> {
    let letters: Vec<char> = name.chars().collect();
    let mut search = Search { name: &letters, rows: [Vec::new(), Vec::new(), Vec::new()] };
    search.distance_below(other, letters.len() / 2)
}

struct Search<'a> {
    name: &'a [char],
    /// The row being filled, the last and the one before, kept between candidates.
    rows: [Vec<usize>; 3],
}

impl Search<'_> {
    /// How many letters must be put in, left out, changed or swapped with their neighbour to make one word of the other, if
    /// those are fewer than `limit`.
    fn distance_below(&mut self, candidate: &str, limit: usize) -> Option<usize> {
        if candidate.len() >= self.name.len() + limit * 4 || candidate.len() + limit <= self.name.len() {
            return None;
        }
        let [row, last, before_last] = &mut self.rows;
        last.clear();
        last.extend(0..=self.name.len());
        let mut letter_before = None;
        for (j, letter) in candidate.chars().enumerate() {
            row.clear();
            row.push(j + 1);
            for (i, own) in self.name.iter().enumerate() {
                let changed = last[i] + usize::from(*own != letter);
                let mut best = changed.min(last[i + 1] + 1).min(row[i] + 1);
                if i > 0 && letter_before == Some(*own) && self.name[i - 1] == letter {
                    best = best.min(before_last[i - 1] + 1);
                }
                row.push(best);
            }
            if row.iter().all(|distance| *distance >= limit) {
                return None;
            }
            letter_before = Some(letter);
            std::mem::swap(last, before_last);
            std::mem::swap(row, last);
        }
        last.last().copied().filter(|distance| *distance < limit)
    }
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
