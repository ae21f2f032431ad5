//! Names that have one home: a database's crate, and what opens a tenant's data. No other source file of a package names them.

use super::source::tokens;
use super::{files, none, read};

/// A name and where it may stand.
struct Home {
    /// Tokens in a row.
    name: &'static [&'static str],
    /// Beginnings of paths: a file, or a folder with its front.
    files: &'static [&'static str],
    /// What other files do instead.
    instead: &'static str,
}

const HOMES: &[Home] = &[
    Home {
        name: &["rusqlite"],
        files: &[
            "cloud-sync/hub/src/db/sqlite.rs",
            "cloud-sync/hub/src/db/sqlite/",
            "agent/src/store.rs",
            "agent/src/store/",
        ],
        instead: "call an operation of the storage",
    },
    Home {
        name: &["TenantContext", "::", "open"],
        files: &["cloud-sync/hub/src/db/sqlite/keys.rs", "cloud-sync/hub/src/db/sqlite/local.rs"],
        instead: "take the context of whoever was authenticated",
    },
];

#[test]
fn names_with_a_home_are_named_there_alone() {
    let files = files();
    let sources = files.iter().filter(|file| is_source(file));
    let mut problems: Vec<String> = sources.flat_map(|file| check_homes(file, &read(file))).collect();
    for home in HOMES.iter().flat_map(|home| home.files) {
        if !files.iter().any(|file| file.starts_with(home)) {
            problems.push(format!("{home}: missing, but it is a home"));
        }
    }
    none(&problems);
}

/// Code of a package, without its tests and the package of tests.
fn is_source(file: &str) -> bool {
    file.ends_with(".rs")
        && file.contains("/src/")
        && !file.starts_with("tests/")
        && !file.contains("/tests/")
        && !file.ends_with("/tests.rs")
}

fn check_homes(file: &str, source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or(source);
    let tokens = tokens(source);
    let named = |home: &&Home| {
        let is_home = home.files.iter().any(|home| file.starts_with(home));
        !is_home && tokens.windows(home.name.len()).any(|found| found == home.name)
    };
    let problem = |home: &Home| {
        format!("{file}: names {}, whose home is {}: {}", home.name.concat(), home.files[0], home.instead)
    };
    HOMES.iter().filter(named).map(problem).collect()
}

#[test]
fn a_name_outside_its_home_is_found() {
    let sqlite = "names rusqlite, whose home is cloud-sync/hub/src/db/sqlite.rs: call an operation of the storage";
    let tenant = "names TenantContext::open, whose home is cloud-sync/hub/src/db/sqlite/keys.rs: \
                  take the context of whoever was authenticated";
    for (file, source, expected) in [
        ("cloud-sync/hub/src/db/sqlite/windows.rs", "use rusqlite::Connection;", None),
        ("agent/src/store/read.rs", "fn read(connection: &rusqlite::Connection) {}", None),
        ("cloud-sync/hub/src/http/read/data.rs", "use rusqlite::Connection;", Some(sqlite)),
        ("cloud-sync/hub/src/db.rs", "fn read(connection: &rusqlite::Connection) {}", Some(sqlite)),
        ("cloud-sync/hub/src/domain/configs.rs", "// rusqlite\nconst A: &str = \"rusqlite\";", None),
        ("cloud-sync/hub/src/domain/configs.rs", "#[cfg(test)]\nmod tests { use rusqlite::Connection; }", None),
        ("agent/src/api.rs", "use rusqlite as database;", Some(sqlite)),
        ("cloud-sync/hub/src/db/sqlite/keys.rs", "TenantContext::open(id, client, actor)", None),
        ("cloud-sync/hub/src/db/sqlite/windows.rs", "TenantContext::open(id, client, actor)", Some(tenant)),
    ] {
        let expected: Vec<String> = expected.into_iter().map(|problem| format!("{file}: {problem}")).collect();
        assert_eq!(check_homes(file, source), expected, "{source}");
    }
}
