//! First words of doc comments. A doc comment is read in a list or a tooltip, without the code around it, so it names its subject.

use super::{files, none, read};

/// Words for a subject that the reader of a single comment has not seen.
const PRONOUNS: &[&str] = &["It", "Its", "That", "Their", "They", "Those", "Where", "Whom", "Whose"];

#[test]
fn a_doc_comment_begins_with_its_subject() {
    let mut problems = Vec::new();
    for file in files().iter().filter(|file| file.ends_with(".rs")) {
        problems.extend(check_comments(file, &read(file)));
    }
    none(&problems);
}

/// Checks the first word of each doc comment; later paragraphs may refer to the first one.
fn check_comments(file: &str, source: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut is_within = false;
    for (number, line) in (1..).zip(source.lines()) {
        let comment = ["///", "//!"].iter().find_map(|mark| line.trim_start().strip_prefix(mark));
        let first = comment.filter(|_| !is_within).and_then(|text| text.split_whitespace().next());
        if let Some(word) = first.filter(|word| PRONOUNS.contains(word)) {
            problems.push(format!("{file}:{number}: begins with \"{word}\": expected what the comment is about"));
        }
        is_within = comment.is_some();
    }
    problems
}

#[test]
fn a_comment_that_begins_with_a_pronoun_is_found() {
    let wrong = |number: u32, word: &str| {
        vec![format!("a.rs:{number}: begins with \"{word}\": expected what the comment is about")]
    };
    for (source, expected) in [
        ("/// Port of the line.\nport: u16,", Vec::new()),
        ("/// Takes a value.\n/// It is kept.\nfn take() {}", Vec::new()),
        ("/// Thatched roofs, by zone.\nroofs: u32,\n// It is counted.", Vec::new()),
        ("mod a {\n    /// Its number.\n    number: u32,", wrong(2, "Its")),
        ("//! Whom to page.\n", wrong(1, "Whom")),
    ] {
        assert_eq!(check_comments("a.rs", source), expected, "{source}");
    }
}
