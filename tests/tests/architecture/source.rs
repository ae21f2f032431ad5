//! Reading Rust, as far as the checks need it: which modules a file names.

/// The modules that `crate::..` leads to, and outside any block as many `super::` as lead to the same place: one in a file at the
/// top, two in a file of a folder there.
pub(super) fn modules_named(tokens: &[String], supers: usize) -> Vec<String> {
    let mut named = Vec::new();
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        let path = match token.as_str() {
            "crate" => 1,
            // The first of a row, which has just as many.
            "super" if depth == 0 && (at < 2 || tokens[at - 2] != "super") => supers,
            _ => continue,
        };
        let is_super = |at: usize| tokens.get(at).is_some_and(|token| token == "super");
        let Some(end) = end_of_path(&tokens[at..], path).filter(|end| token == "crate" || !is_super(at + end)) else {
            continue;
        };
        match &tokens[at + end..] {
            [open, group @ ..] if open == "{" => named.extend(heads(group)),
            [name, ..] => named.push(name.clone()),
            [] => {}
        }
    }
    named
}

/// The number of tokens of so many equal words with `::` after each, where a text begins with them.
fn end_of_path(tokens: &[String], words: usize) -> Option<usize> {
    let pairs =
        tokens.chunks(2).take(words).filter(|pair| pair[0] == tokens[0] && pair.get(1).is_some_and(|two| two == "::"));
    (words > 0 && pairs.count() == words).then_some(2 * words)
}

/// The first name of each path in a group: `alert, rules::{self, Rule}}` gives alert and rules.
fn heads(group: &[String]) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut expected = true;
    for token in group {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "," if depth == 0 => expected = true,
            name if depth == 0 && expected => {
                heads.push(name.to_owned());
                expected = false;
            }
            _ => {}
        }
    }
    heads
}

/// Words, `::` and single marks; without comments, strings and character literals.
pub(super) fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(string) = raw_string(rest) {
            string
        } else if first == '"' {
            quoted(rest, '"')
        } else if rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'') && first == '\'' {
            quoted(rest, '\'')
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else if word > 0 {
            tokens.push(rest[..word].to_owned());
            word
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of the comment that `text` begins with; comments of this kind nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of the raw string that `text` begins with, as in `r#".."#`.
fn raw_string(text: &str) -> Option<usize> {
    let marks = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let content = marks.trim_start_matches('#');
    let hashes = &marks[..marks.len() - content.len()];
    let content = content.strip_prefix('"')?;
    let end = format!("\"{hashes}");
    let length = content.find(&end).map_or(content.len(), |found| found + end.len());
    Some(text.len() - content.len() + length)
}

/// The length of the literal that `text` begins with, closing mark included.
fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == mark => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}
