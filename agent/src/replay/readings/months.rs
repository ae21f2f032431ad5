//! Names of months, as loggers and spreadsheets write them.

/// The beginnings of the months' names in English, German, French, Dutch and Spanish.
const MONTHS: &[(&str, i64)] = &[
    ("jan", 1),
    ("ene", 1),
    ("jän", 1),
    ("feb", 2),
    ("fév", 2),
    ("fev", 2),
    ("mar", 3),
    ("maa", 3),
    ("mär", 3),
    ("mrz", 3),
    ("mrt", 3),
    ("apr", 4),
    ("avr", 4),
    ("abr", 4),
    ("may", 5),
    ("mai", 5),
    ("mei", 5),
    ("jun", 6),
    ("juin", 6),
    ("jul", 7),
    ("juil", 7),
    ("aug", 8),
    ("aoû", 8),
    ("aou", 8),
    ("ago", 8),
    ("sep", 9),
    ("oct", 10),
    ("okt", 10),
    ("nov", 11),
    ("dec", 12),
    ("déc", 12),
    ("dez", 12),
    ("dic", 12),
];

/// The number of the month that a word names.
pub(super) fn month(word: &str) -> Option<i64> {
    let word = word.to_lowercase();
    let is_name = (3..=11).contains(&word.chars().count());
    MONTHS.iter().find(|(begin, _)| is_name && word.starts_with(begin)).map(|(_, month)| *month)
}
