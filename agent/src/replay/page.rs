//! The page of a replay: one HTML file that needs nothing else, to keep, to print and to send.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Context;
use askama::Template;
use tilth_config::plain_file;

use super::outcome::Outcome;

/// Unknown names that page and JSON list before the rest is only counted: a file may make up as many as it likes.
pub(super) const MAX_NAMES: usize = 200;

/// What every page begins with: a file that does not is none.
const PAGE_START: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
                          content=\"width=device-width, initial-scale=1\">\n<title>Replay of ";

/// What a configuration consists of, beside `agent.toml`.
const CONFIG_FOLDERS: [&str; 2] = ["config.d", "secrets"];

/// Path of a page, which appears there whole or not at all.
pub(crate) struct Destination<'a> {
    page: &'a Path,
    draft: PathBuf,
}

impl<'a> Destination<'a> {
    /// Makes sure before a long replay that a page can be written after it.
    pub(crate) fn check(page: &'a Path) -> anyhow::Result<Destination<'a>> {
        let name = page.file_name().with_context(|| format!("{}: not the name of a file", page.display()))?;
        let mut draft = name.to_owned();
        draft.push(format!(".{}.part", process::id()));
        let destination = Destination { page, draft: page.with_file_name(draft) };
        destination.attempt(|draft| put(draft, b"").and_then(|()| fs::remove_file(draft))).map(|()| destination)
    }

    pub(crate) fn write(&self, input: &Path, outcome: &Outcome) -> anyhow::Result<()> {
        let text = Page::new(input, outcome).render().context("the page")?;
        self.attempt(|draft| put(draft, text.as_bytes()).and_then(|()| fs::rename(draft, self.page)))
    }

    /// Does something with the draft; where that fails, none is left behind.
    fn attempt(&self, put: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
        put(&self.draft).with_context(|| {
            let _ = fs::remove_file(&self.draft);
            format!("{}: cannot be written", self.page.display())
        })
    }
}

/// Why a page must not be written there: it would replace something that is none.
pub(crate) fn forbids(page: &Path, input: &Path, config: &Path) -> Option<&'static str> {
    let input = if input == Path::new("-") { Path::new("/dev/stdin") } else { input };
    if is_same(page, input) {
        return Some("that is the recording");
    }
    if is_same(page, &config.join("agent.toml")) || CONFIG_FOLDERS.iter().any(|name| is_in(page, &config.join(name))) {
        return Some("that is the configuration's");
    }
    let Ok(metadata) = fs::metadata(page) else { return None };
    if !metadata.is_file() {
        return Some("that is no file");
    }
    // What cannot be read is not known to be a page.
    let mut start = Vec::new();
    let read = plain_file::open(page).and_then(|file| file.take(PAGE_START.len() as u64).read_to_end(&mut start));
    let ours = read.is_ok() && start == PAGE_START.as_bytes();
    (metadata.len() > 0 && !ours).then_some("there is a file already that is no page of a replay")
}

/// Whether a path is in a folder, there or not yet, or is another name of a file in it.
fn is_in(path: &Path, folder: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files = || fs::read_dir(folder).into_iter().flatten().flatten();
    is_same(parent, folder) || files().any(|file| is_same(path, &file.path()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

fn put(draft: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(draft)?;
    file.write_all(text)?;
    file.sync_all()
}

#[derive(Template)]
#[template(path = "replay.html")]
struct Page<'a> {
    input: String,
    outcome: &'a Outcome,
    figures: [(&'static str, u64); 12],
    more_alerts: u64,
    unknown: Vec<(&'a str, u64)>,
    more_unknown: usize,
}

impl<'a> Page<'a> {
    fn new(input: &Path, outcome: &'a Outcome) -> Page<'a> {
        let Outcome { time_order, names, totals, report, .. } = outcome;
        let figures = [
            ("readings", report.values),
            ("sensors", names.len() as u64),
            ("missing values", report.missing),
            ("late for their sensor", totals.of_sensors(|sensor| sensor.late)),
            ("stamped before the clock", time_order.behind),
            ("not believed", totals.of_sensors(|sensor| sensor.not_believed)),
            ("bad lines", report.bad_lines),
            ("bad cells of other lines", report.bad_cells),
            ("short lines", report.short_lines),
            ("lines with a time that cannot be true", outcome.rejected.lines),
            ("alerts", totals.fired()),
            ("notifications if nobody acknowledged", totals.notifications()),
        ];
        Page {
            input: input.file_name().unwrap_or(input.as_os_str()).to_string_lossy().into_owned(),
            outcome,
            figures,
            more_alerts: totals.fired() - totals.alerts.len() as u64,
            unknown: names.unknown().take(MAX_NAMES).collect(),
            more_unknown: names.unknown().skip(MAX_NAMES).count(),
        }
    }
}
