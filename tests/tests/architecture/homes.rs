//! Names that have one home: a database's crate, what opens a tenant's data, the HTTP client's crate, and the reader of JSON from text.
//! No other file names them.

use super::source::{tokens, without_tests};
use super::{files, none, read};

/// A name and where it may stand.
struct Home {
    /// Tokens in a row.
    name: &'static [&'static str],
    /// Beginnings of paths: a file, or a folder with its front.
    files: &'static [&'static str],
    /// What other files do instead.
    instead: &'static str,
    /// Tests name it only at home, too.
    holds_in_tests: bool,
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
        holds_in_tests: false,
    },
    Home {
        name: &["TenantContext", "::", "open"],
        files: &[
            "cloud-sync/hub/src/db/sqlite/keys.rs",
            "cloud-sync/hub/src/db/sqlite/enrolment_codes.rs",
            "cloud-sync/hub/src/db/sqlite/local.rs",
            "cloud-sync/hub/src/db/sqlite/paging.rs",
        ],
        instead: "take the context of the authenticated caller",
        holds_in_tests: false,
    },
    Home {
        name: &["reqwest"],
        files: &["agent/notify/", "cloud-sync/client/src/transport/https.rs"],
        instead: "send by the client of notify or of sync",
        holds_in_tests: true,
    },
    Home {
        name: &["serde_json", "::", "from_str"],
        files: &["cloud-sync/hub/"],
        instead: "read bytes (from_slice), for what is read from text too is in the agent's program twice",
        holds_in_tests: false,
    },
];

#[test]
fn names_with_a_home_are_named_there_alone() {
    let files = files();
    let code = files.iter().filter(|file| file.ends_with(".rs"));
    let mut problems: Vec<String> = code.flat_map(|file| check_homes(file, &read(file))).collect();
    for home in HOMES.iter().flat_map(|home| home.files) {
        if !files.iter().any(|file| file.starts_with(home)) {
            problems.push(format!("{home}: missing, but it is a home"));
        }
    }
    none(&problems);
}

/// Code of a package, without its tests and the package of tests.
fn is_source(file: &str) -> bool {
    file.contains("/src/") && !file.starts_with("tests/") && !file.contains("/tests/") && !file.ends_with("/tests.rs")
}

fn check_homes(file: &str, source: &str) -> Vec<String> {
    let all = tokens(source);
    let without_tests = if is_source(file) { without_tests(&all) } else { Vec::new() };
    let named = |home: &&Home| {
        let is_home = home.files.iter().any(|home| file.starts_with(home));
        let tokens = if home.holds_in_tests { &all } else { &without_tests };
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
                  take the context of the authenticated caller";
    let http = "names reqwest, whose home is agent/notify/: send by the client of notify or of sync";
    let text = "names serde_json::from_str, whose home is cloud-sync/hub/: read bytes (from_slice), for what is read from text \
                too is in the agent's program twice";
    for (file, source, expected) in [
        ("cloud-sync/hub/src/db/sqlite/windows.rs", "use rusqlite::Connection;", None),
        ("agent/src/store/read.rs", "fn read(connection: &rusqlite::Connection) {}", None),
        ("cloud-sync/hub/src/http/read/data.rs", "use rusqlite::Connection;", Some(sqlite)),
        ("cloud-sync/hub/src/db.rs", "fn read(connection: &rusqlite::Connection) {}", Some(sqlite)),
        ("cloud-sync/hub/src/domain/configs.rs", "// rusqlite\nconst A: &str = \"rusqlite\";", None),
        ("cloud-sync/hub/src/domain/configs.rs", "#[cfg(test)]\nmod tests { use rusqlite::Connection; }", None),
        ("agent/src/api.rs", "use rusqlite as database;", Some(sqlite)),
        ("agent/src/api.rs", "#[cfg(test)]\nuse std::{fs, io};\nuse rusqlite::Connection;", Some(sqlite)),
        ("agent/src/api.rs", "#[cfg(test)]\nmod tests { fn a() {} }\nfn b() { rusqlite::c() }", Some(sqlite)),
        ("agent/src/api.rs", "#[cfg(test)]\nmod fake;\nfn b() { rusqlite::c() }", Some(sqlite)),
        ("agent/src/api.rs", "#[cfg(test)]\n#[allow(dead_code)]\nfn a(b: [u8; 2]) {}\nuse rusqlite::C;", Some(sqlite)),
        ("agent/src/api.rs", "fn a() { #[cfg(test)] A.with(|a| { a });\nrusqlite::b() }", Some(sqlite)),
        ("agent/src/api.rs", "#[cfg(test)]\nstatic A: B = B { c: 1 };\nuse rusqlite::C;", Some(sqlite)),
        ("agent/src/api.rs", "#[cfg(test)]\nimpl A { const fn a() {} fn b() { rusqlite::c() } }", None),
        ("agent/src/api.rs", "#[cfg(test)]\nuse rusqlite::{A, B};\n#[cfg(test)]\nconst fn a() { rusqlite::c() }", None),
        ("cloud-sync/hub/src/db/sqlite/keys.rs", "TenantContext::open(id, client, actor)", None),
        ("cloud-sync/hub/src/db/sqlite/windows.rs", "TenantContext::open(id, client, actor)", Some(tenant)),
        ("cloud-sync/hub/src/db/sqlite/tests.rs", "TenantContext::open(id, client, actor)", None),
        ("tests/tests/sync.rs", "use rusqlite::Connection;", None),
        ("agent/src/api.rs", "serde_json::from_str(text)", Some(text)),
        ("agent/src/api.rs", "serde_json::from_slice(bytes)", None),
        ("cloud-sync/hub/src/http/read/rows.rs", "serde_json::from_str(text)", None),
        ("agent/notify/src/http.rs", "use reqwest::Client;", None),
        ("cloud-sync/client/src/transport/https.rs", "fn a(error: &reqwest::Error) {}", None),
        ("cloud-sync/client/src/transport/mqtt.rs", "fn a(error: &reqwest::Error) {}", Some(http)),
        ("agent/src/notify.rs", "use reqwest::Client;", Some(http)),
        ("agent/src/notify.rs", "use ::reqwest;", Some(http)),
        ("agent/src/notify.rs", "// reqwest::Client\nconst A: &str = \"reqwest::Client\";", None),
        ("cloud-sync/hub/src/pager.rs", "async fn a(client: reqwest::Client) {}", Some(http)),
        ("agent/src/notify.rs", "#[cfg(test)]\nmod tests { use reqwest::Client; }", Some(http)),
        ("tests/tests/sync.rs", "use reqwest::Client;", Some(http)),
    ] {
        let expected: Vec<String> = expected.into_iter().map(|problem| format!("{file}: {problem}")).collect();
        assert_eq!(check_homes(file, source), expected, "{source}");
    }
}
