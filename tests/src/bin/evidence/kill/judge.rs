//! Findings, by what they break; and the hub's database, read while the hub is stopped.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use rusqlite::Connection;

use crate::{Outcome, outcome};

/// At most so many of each kind are told.
const SHOWN: usize = 3;

/// What does not hold, and how much was looked at.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Events that are missing at the hub with no reason, or that were never sent.
    pub(super) gaps: Vec<String>,
    /// Ids of pages that mean two alerts.
    pub(super) ids: Vec<String>,
    /// Pages of acknowledged alerts.
    pub(super) acknowledged: Vec<String>,
    /// Losses that nothing speaks of.
    pub(super) unsaid: Vec<String>,
    pub(super) events: usize,
    pub(super) streams: usize,
    pub(super) pages: usize,
}

impl Findings {
    fn kinds(&self) -> [(&'static str, &Vec<String>); 4] {
        [
            ("events not contiguous", &self.gaps),
            ("page ids twice", &self.ids),
            ("acknowledged alerts paged", &self.acknowledged),
            ("losses not said", &self.unsaid),
        ]
    }

    /// Everything holds; else what does not.
    pub(super) fn none(&self, figures: String) -> Outcome {
        let found = self.kinds().into_iter().filter(|(_, found)| !found.is_empty());
        let told: Vec<String> = found
            .map(|(what, found)| {
                let shown: Vec<&str> = found.iter().take(SHOWN).map(String::as_str).collect();
                format!("{} {what} ({})", found.len(), shown.join("; "))
            })
            .collect();
        outcome(figures, &told)
    }

    /// Of a sabotaged run: short if each of the four was noticed. If one was not, its check guards nothing.
    pub(super) fn noticed_all(&self, figures: &str) -> Outcome {
        let unnoticed: Vec<&str> =
            self.kinds().into_iter().filter(|(_, found)| found.is_empty()).map(|(what, _)| what).collect();
        if unnoticed.is_empty() {
            return self.none(figures.to_owned());
        }
        Ok(format!("sabotaged, and not noticed: {}; {figures}", unnoticed.join(", ")))
    }
}

/// What the saboteur does: an event that the hub has confirmed is gone.
pub(super) fn drop_an_event(database: &Path) -> anyhow::Result<()> {
    let dropped = Connection::open(database)?
        .execute("DELETE FROM events WHERE id = (SELECT id FROM events WHERE lane = 'events' LIMIT 1 OFFSET 2)", [])?;
    ensure!(dropped == 1, "nothing to drop");
    Ok(())
}

/// Each stream and lane of events: every sequence up to the confirmed one is a row, or the device said why not.
pub(super) fn events(database: &Path, findings: &mut Findings) -> anyhow::Result<()> {
    let connection = Connection::open(database)?;
    let mut lanes = connection.prepare("SELECT stream, lane, confirmed FROM lanes WHERE lane <> 'windows'")?;
    let lanes: Vec<(i64, String, i64)> =
        lanes.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    let mut streams = BTreeMap::<i64, usize>::new();
    for (stream, lane, confirmed) in &lanes {
        let numbers = |sql: &str| -> rusqlite::Result<Vec<(i64, i64)>> {
            let mut rows = connection.prepare(sql)?;
            rows.query_map((stream, lane), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows = numbers("SELECT seq, seq FROM events WHERE stream = ? AND lane = ? ORDER BY seq")?;
        let gaps = numbers("SELECT first, last FROM runs WHERE stream = ? AND lane = ? AND kind <> 'rows'")?;
        *streams.entry(*stream).or_default() += rows.len();
        findings.events += rows.len();
        let mut all: Vec<(i64, i64)> = [rows, gaps].concat();
        all.sort_unstable();
        let mut next = 1;
        for (first, last) in all {
            if first != next {
                findings.gaps.push(format!("{lane} of stream {stream}: expected {next}, found {first}"));
            }
            next = last + 1;
        }
        if next <= *confirmed {
            findings.gaps.push(format!("{lane} of stream {stream}: {confirmed} is confirmed, and {next} is not there"));
        }
    }
    findings.streams = streams.len();
    Ok(())
}
