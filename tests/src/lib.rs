//! What the black-box tests and the evidence share: recordings, the real program, and farms made for one test.

pub mod agent;
pub mod card;
pub mod demo;
pub mod engine;
pub mod greenhouse;
pub mod live;
pub mod random;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package is in a workspace")
}

/// A set of the shared recordings: a file or folder under `TILTH_DATA`, by default `../shared/data` beside the workspace.
///
/// Without the set the test that needs it is skipped and says so with the number of its cases.
///
/// # Panics
/// When it is not there and `CI` is `true`.
#[must_use]
pub fn data(set: &str, test: &str, cases: usize) -> Option<PathBuf> {
    let root = env::var_os("TILTH_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let path = workspace().join(&root).join(set);
    if path.exists() {
        return Some(path);
    }
    let skipped = format!("skipped: {test} ({cases} cases): no shared data at {}", root.join(set).display());
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{skipped}");
    // Past the capture of the test harness, which shows only what fails; on a line of its own beside what it prints.
    let _ = writeln!(io::stderr().lock(), "\n{skipped}");
    None
}
