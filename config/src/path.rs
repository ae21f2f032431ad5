//! Key paths as TOML writes them: `rules.ph-high.clear`, `sensors."tower-1/ph"`.

use std::fmt::Write as _;

/// A path one key longer.
pub(crate) fn join(path: &str, key: &str) -> String {
    let mut joined = String::with_capacity(path.len() + key.len() + 3);
    joined.push_str(path);
    if !path.is_empty() {
        joined.push('.');
    }
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if bare {
        joined.push_str(key);
    } else {
        // Writing into a String cannot fail.
        let _ = write!(joined, "{key:?}");
    }
    joined
}

/// One path after another.
pub(crate) fn under(path: &str, rest: &str) -> String {
    if path.is_empty() { rest.to_owned() } else { format!("{path}.{rest}") }
}

/// The keys of a path. Keys without a dot need no quotes; quotes may be single or double, without escapes.
pub(crate) fn split(path: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = path.trim();
    loop {
        let (key, after) = match rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            Some(quote) => rest[1..].split_once(quote)?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if key.is_empty() {
            return None;
        }
        keys.push(key.to_owned());
        if after.is_empty() {
            return Some(keys);
        }
        rest = after.strip_prefix('.')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_and_joined() {
        for (text, keys) in [
            ("rules.ph-high.clear", Some(vec!["rules", "ph-high", "clear"])),
            ("sensors.\"tower-1/ph\"", Some(vec!["sensors", "tower-1/ph"])),
            ("sensors.'a.b/c'.zone", Some(vec!["sensors", "a.b/c", "zone"])),
            ("sensors.tower-1/ph", Some(vec!["sensors", "tower-1/ph"])),
            ("rules", Some(vec!["rules"])),
            ("", None),
            ("rules.", None),
            (".rules", None),
            ("a.\"b", None),
            ("a.\"b\"c", None),
        ] {
            assert_eq!(split(text), keys.map(|keys| keys.into_iter().map(str::to_owned).collect()), "{text:?}");
        }
        assert_eq!(join("sensors", "tower-1/ph"), "sensors.\"tower-1/ph\"");
        assert_eq!(join("", "rules"), "rules");
        assert_eq!(join("rules", ""), "rules.\"\"");
    }
}
