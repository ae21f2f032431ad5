//! The page of a replay: one HTML file that needs nothing else, to keep, to print and to send.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Context;
use askama::Template;
use tilth_core::time::{Span, WallTime};

use super::outcome::{Outcome, faults};
use super::tally::{PastAlert, RuleTally, SensorTally};

/// Unknown names listed before the rest is only counted: a file may make up as many as it likes.
const MAX_NAMES: usize = 200;

/// Where a page is to be. It appears there whole or not at all.
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
        destination.attempt(|draft| put(draft, b"").and_then(|()| fs::remove_file(draft)))?;
        Ok(destination)
    }

    /// Writes the page and gives it its name.
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
    ends: Option<(WallTime, WallTime)>,
    span: Span,
    figures: Vec<(&'static str, u64)>,
    rules: Vec<(&'a str, &'a RuleTally)>,
    /// Rules that never fired.
    quiet: Vec<&'a str>,
    alerts: Vec<AlertRow<'a>>,
    more_alerts: u64,
    faulty: Vec<(&'a SensorTally, String)>,
    unknown: Vec<(&'a str, u64)>,
    more_unknown: usize,
    absent: Vec<&'a str>,
    broken: Option<String>,
    hint: Option<String>,
}

struct AlertRow<'a> {
    alert: &'a PastAlert,
    since: String,
    fired: String,
    resolved: String,
    lasted: Span,
}

impl<'a> Page<'a> {
    fn new(input: &Path, outcome: &'a Outcome) -> Page<'a> {
        let Outcome { course, roster, tally, report, .. } = outcome;
        let last = course.ends().map_or(WallTime(0), |(_, last)| last);
        let figures = vec![
            ("readings", report.values),
            ("sensors", roster.len() as u64),
            ("missing values", report.missing),
            ("late for their sensor", tally.of_sensors(|sensor| sensor.late)),
            ("stamped before the clock", course.behind()),
            ("not believed", tally.of_sensors(|sensor| sensor.not_believed)),
            ("bad lines", report.bad_lines),
            ("bad cells of other lines", report.bad_cells),
            ("alerts", tally.fired()),
            ("notifications", tally.rules.values().map(|rule| rule.notifications).sum()),
        ];
        let (fired, quiet): (Vec<_>, Vec<_>) =
            tally.rules.iter().map(|(name, rule)| (name.as_str(), rule)).partition(|(_, rule)| rule.fired > 0);
        Page {
            input: input.file_name().unwrap_or(input.as_os_str()).to_string_lossy().into_owned(),
            outcome,
            ends: course.ends(),
            span: course.span(),
            figures,
            rules: fired,
            quiet: quiet.into_iter().map(|(name, _)| name).collect(),
            alerts: tally.alerts.iter().map(|alert| AlertRow::new(alert, last)).collect(),
            more_alerts: tally.fired() - tally.alerts.len() as u64,
            faulty: outcome.faulty().map(|sensor| (sensor, faults(sensor))).collect(),
            unknown: outcome.roster.unknown().take(MAX_NAMES).collect(),
            more_unknown: outcome.roster.unknown().skip(MAX_NAMES).count(),
            absent: outcome.absent().collect(),
            broken: outcome.broken(),
            hint: outcome.hint(),
        }
    }
}

impl<'a> AlertRow<'a> {
    fn new(alert: &'a PastAlert, last: WallTime) -> AlertRow<'a> {
        let text = |time: Option<WallTime>, else_say: &str| time.map_or(else_say.to_owned(), |time| time.to_string());
        AlertRow {
            alert,
            since: text(alert.since, ""),
            fired: text(alert.fired, ""),
            resolved: text(alert.resolved, "still fires"),
            lasted: alert.lasted(last),
        }
    }
}
