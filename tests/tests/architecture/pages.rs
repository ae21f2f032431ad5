//! Pages that messages and the comments of shipped files name: by the path at which the package of that program has them.

use super::*;

/// Folders of messages and shipped files, with the package that has the pages which they name; `None` where agent and hub show them.
const SPEAKERS: &[(&str, Option<&str>)] = &[
    ("agent/core/src", None),
    ("agent/notify/src", None),
    ("agent/src", Some("tilth-agent")),
    ("cloud-sync/client/src", Some("tilth-agent")),
    ("cloud-sync/hub/src", Some("tilth-hub")),
    ("cloud-sync/protocol/src", None),
    ("config/src", None),
    ("systemd/60-tilth.rules", Some("tilth-agent")),
    ("systemd/tilth-agent.service", Some("tilth-agent")),
    ("systemd/tilth-hub.service", Some("tilth-hub")),
    ("systemd/tilth-update.service", Some("tilth-agent")),
];

/// Manifests of the packages, with the line by which each takes the pages along.
const PACKED: [(&str, &str); 2] = [
    ("agent/Cargo.toml", r#"["../docs/*.md", "usr/share/doc/tilth-agent/", "644"]"#),
    ("cloud-sync/hub/Cargo.toml", r#"["../../docs/*.md", "usr/share/doc/tilth-hub/", "644"]"#),
];

/// Pages that a text names otherwise than by the path in its package; `has` says which pages there are.
fn check_pages(file: &str, text: &str, package: Option<&str>, has: impl Fn(&str) -> bool) -> Vec<String> {
    let spoken = if file.ends_with(".rs") { text.split("#[cfg(test)]").next().unwrap_or_default() } else { text };
    // Of a command line the help is made from doc comments.
    let silent = if file.ends_with("cli.rs") { "// " } else { "//" };
    let lines = spoken.lines().filter(|line| !file.ends_with(".rs") || !line.trim_start().starts_with(silent));
    let wrong = lines.flat_map(pages_of).filter_map(|page| {
        let Some(package) = package else {
            return Some(format!(
                "{file}: names {page}, but agent and hub say it, and their pages lie apart: say it here"
            ));
        };
        let folder = format!("/usr/share/doc/{package}/");
        let is_there = page.strip_prefix(&folder).is_some_and(&has);
        (!is_there).then(|| format!("{file}: names {page}, expected {folder} and a page of docs"))
    });
    wrong.collect()
}

/// Paths of pages in a line, without targets of Markdown's links.
fn pages_of(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(".md").filter_map(|(at, ending)| {
        let is_of_path = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
        let begin = line[..at].rfind(|char| !is_of_path(char)).map_or(0, |before| before + 1);
        let is_longer = line[at + ending.len()..].starts_with(char::is_alphanumeric);
        (begin < at && !is_longer && !line[..begin].ends_with("](")).then(|| &line[begin..at + ending.len()])
    })
}

/// Files below a path, or the file itself.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"))
        .flat_map(|path| files(&path))
        .collect()
}

/// Guards against: a message that sends a person on a Pi to a page which is not there.
#[test]
fn messages_name_pages_where_the_packages_have_them() {
    let root = root();
    let mut wrong = Vec::new();
    for (speaker, package) in SPEAKERS {
        for file in files(&root.join(speaker)) {
            if file.file_name().is_some_and(|name| name == "tests.rs")
                || file.components().any(|part| part.as_os_str() == "tests")
            {
                continue;
            }
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            let has = |page: &str| root.join("docs").join(page).is_file();
            wrong.extend(check_pages(&name, &fs::read_to_string(&file).unwrap(), *package, has));
        }
    }
    for (manifest, line) in PACKED {
        if !fs::read_to_string(root.join(manifest)).unwrap().contains(line) {
            wrong.push(format!("{manifest}: expected {line} among the assets of its package"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_page_that_is_elsewhere() {
    let check = |file: &str, text: &str, package| check_pages(file, text, package, |page| page == "boards.md");
    let agent = Some("tilth-agent");
    for text in [
        "say(\"/usr/share/doc/tilth-agent/boards.md has it\");",
        "// docs/boards.md\n/// docs/boards.md",
        "\"see [it](boards.md#relays)\"",
        "a.md5()",
        "#[cfg(test)]\nmod tests { \"docs/boards.md\" }",
    ] {
        assert_eq!(check("a.rs", text, agent), [""; 0], "{text}");
    }
    let expected = "expected /usr/share/doc/tilth-agent/ and a page of docs";
    for (text, page) in [
        ("\"docs/boards.md has it\"", "docs/boards.md"),
        ("\"[boards.md](boards.md)\"", "boards.md"),
        ("\"/usr/share/doc/tilth-agent/bords.md\"", "/usr/share/doc/tilth-agent/bords.md"),
        ("\"/usr/share/doc/tilth-hub/boards.md\"", "/usr/share/doc/tilth-hub/boards.md"),
    ] {
        assert_eq!(check("a.rs", text, agent), [format!("a.rs: names {page}, {expected}")]);
    }
    assert_eq!(check("cli.rs", "    /// As docs/boards.md says\n    // docs/boards.md", agent).len(), 1);
    assert_eq!(check("a.service", "# docs/boards.md", agent).len(), 1);
    let of_both = check("a.rs", "\"/usr/share/doc/tilth-agent/boards.md\"", None);
    assert!(of_both[0].contains("agent and hub say it"), "{of_both:?}");
}
