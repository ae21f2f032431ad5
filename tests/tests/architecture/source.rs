//! Reading Rust, as far as the checks need it: which names of its crate a file uses, and what of it is tests.

/// Names at the root of a crate that a file of it names: by `crate::..`, or by as many `super::` as lead there. Those are one in a file at
/// the top, two in a file of a folder there, and one more in each `mod NAME { .. }` around them.
pub(super) fn names_of_root(tokens: &[String], supers: usize) -> Vec<String> {
    let mut named = Vec::new();
    let mut depth = 0;
    // The depth at which each `mod NAME { .. }` around a token begins.
    let mut modules = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => {
                if at >= 2 && tokens[at - 2] == "mod" {
                    modules.push(depth);
                }
                depth += 1;
            }
            "}" => {
                depth -= 1;
                modules.retain(|begin| *begin < depth);
            }
            _ => {}
        }
        let path = match token.as_str() {
            "crate" => 1,
            // The first of a row, which has just as many.
            "super" if at < 2 || tokens[at - 2] != "super" => supers + modules.len(),
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

/// What the file at the root of a crate imports, so that its modules reach it as `crate::NAME`: each name, and the first part of its path.
pub(super) fn imports_of_root(tokens: &[String]) -> Vec<(String, String)> {
    let mut imports = Vec::new();
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "use" if depth == 0 => {
                let path = tokens[at + 1..].split(|token| token == ";").next().unwrap_or_default();
                let path = path.strip_prefix(&["crate", "::"].map(str::to_owned)).unwrap_or(path);
                let first = |path: &[String]| path.first().cloned().unwrap_or_default();
                match path {
                    [open, group @ .., _] if open == "{" => imports.extend(
                        split(group).into_iter().flat_map(|path| leaves(path).map(move |name| (name, first(path)))),
                    ),
                    path => imports.extend(leaves(path).map(|name| (name, first(path)))),
                }
            }
            _ => {}
        }
    }
    imports
}

/// Parts of a group, which commas outside its own groups divide.
fn split(group: &[String]) -> Vec<&[String]> {
    let mut depth = 0;
    let parts = group.split(|token| {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        depth == 0 && token == ","
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// The names that a path or a tree of paths ends with: `a::{B, c::D as E}` with B and E.
fn leaves(path: &[String]) -> impl Iterator<Item = String> {
    let is_last = |at: usize| path.get(at + 1).is_none_or(|next| [",", "}"].contains(&next.as_str()));
    let names = path.iter().enumerate().filter(move |(at, name)| is_last(*at) && !["}", ","].contains(&name.as_str()));
    names.map(|(_, name)| name.clone())
}

/// Without items and statements under `#[cfg(test)]`.
pub(super) fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        if rest.len() >= MARK.len() && rest[..MARK.len()] == MARK {
            rest = &rest[MARK.len()..];
            rest = &rest[end_of_item(rest)..];
        } else {
            kept.push(first.clone());
            rest = after;
        }
    }
    kept
}

/// The number of tokens up to the end of the item or statement that a text begins with: its `;`, or the end of its body.
fn end_of_item(tokens: &[String]) -> usize {
    let is_body = |at: usize| {
        let words = tokens[..at].iter().map(String::as_str);
        !words.clone().any(|word| ["use", "static", "let"].contains(&word))
            && !words
                .clone()
                .zip(words.skip(1))
                .any(|(word, next)| word == "const" && !["fn", "unsafe"].contains(&next))
    };
    let mut depth = 0;
    let mut begin = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => {
                if depth == 0 {
                    begin = at;
                }
                depth += 1;
            }
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return at;
        }
        if depth == 0 && (token == ";" || token == "}" && is_body(begin)) {
            return at + 1;
        }
    }
    tokens.len()
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
