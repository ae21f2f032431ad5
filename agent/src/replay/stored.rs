//! `replay --store`: the readings that an agent stored, as a recording.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use anyhow::{Context, bail};
use jiff::civil::DateTime;
use tilth_core::local::Local;
use tilth_core::time::{Stamp, Uptime, WallTime};

use super::reader_thread::{BATCH_ROWS, Batch, End};
use super::readings::{ReadingsError, Report, Row};
use super::timestamps::RejectedLines;
use crate::api::period_of;
use crate::cli;
use crate::clock;
use crate::commands::stored::{Stored, TypedSpan, left_out};
use crate::console::counted;
use crate::store::{Contents, Export, ExportedReading, Table};

/// Readings of a store.
pub(super) struct StoredReadings {
    export: Export,
    origin: Origin,
    local: Local,
}

enum Origin {
    /// Rows that are fetched page by page; the export has room for one page.
    Pages(Stored, Box<Contents>),
    /// All of them are in the export; those between the two times are wanted.
    File(WallTime, WallTime),
}

impl StoredReadings {
    /// Finds the store of a replay: that of the agent, or of a file.
    pub(super) fn open(args: &cli::Replay, local: &Local) -> anyhow::Result<StoredReadings> {
        let span = TypedSpan { since: args.since.as_deref(), until: args.until.as_deref() };
        let instant = |shown: DateTime| local.instant(shown);
        let stored = match args.store.as_ref().and_then(Option::as_deref) {
            None => Stored::at(&args.agent)?,
            Some(file) => match opened(file)? {
                Some(export) => {
                    let now = Stamp { boot: u32::MAX, uptime: Uptime(0), wall: Some(clock::machine_wall().0) };
                    let (from, until) = times(span, now, instant)?;
                    return Ok(StoredReadings { export, origin: Origin::File(from, until), local: local.clone() });
                }
                None => Stored::File(file.to_owned()),
            },
        };
        let contents = stored.contents(span, instant)?;
        let mut export = Export::scratch()?;
        export.begin(&contents, &BTreeSet::new())?;
        for table in [Table::Minute, Table::Quarter] {
            // One row says from when on there are windows.
            let first =
                contents.keys.get(&table).and_then(|keys| keys.first()).map(|(first, _)| vec![(*first, *first)]);
            let first = Contents { keys: first.map(|first| (table, first)).into_iter().collect(), ..contents.clone() };
            stored.each_page(&first, table, |page| Ok(export.add(table, &page.rows)?))?;
        }
        Ok(StoredReadings { export, origin: Origin::Pages(stored, Box::new(contents)), local: local.clone() })
    }

    /// Reads to the end, to an error, or until the replay has ended.
    pub(super) fn fill(mut self, name: &str, full: &SyncSender<Batch>) -> End {
        let mut batches = Batches {
            full,
            batch: Batch::default(),
            names: HashMap::new(),
            report: Report::default(),
            undated: 0,
            first: None,
        };
        let broken = self.read(&mut batches).err().filter(|error| !error.is::<Ended>());
        let _ = batches.send();
        let what = |error: anyhow::Error| format!("{error:#}");
        let broken =
            broken.map(|error| ReadingsError::Unreadable { file: name.to_owned(), line: None, what: what(error) });
        End { report: batches.report, rejected: RejectedLines::default(), broken }
    }

    fn read(&mut self, batches: &mut Batches) -> anyhow::Result<()> {
        let (clockless, windows) = (self.export.clockless_boot()?, self.export.first_window()?);
        let export = &mut self.export;
        let is_cut = match &self.origin {
            Origin::Pages(stored, contents) => stored.each_page(contents, Table::Raw, |page| {
                export.clear()?;
                export.add(Table::Raw, &page.rows)?;
                export.readings(clockless, |reading| batches.add(&reading))?
            })?,
            Origin::File(from, until) => {
                let is_within = |reading: &ExportedReading| reading.at.is_none_or(|at| *from <= at && at < *until);
                export.readings(
                    clockless,
                    |reading| {
                        if is_within(&reading) { batches.add(&reading) } else { Ok(()) }
                    },
                )??;
                false
            }
        };
        if let Some(boot) = clockless {
            batches.note(format!(
                "no time of day was ever known: times count from the beginning of boot {boot}, as if that was 1970"
            ));
        }
        if batches.undated > 0 {
            batches.note(format!(
                "{} of boots whose time of day was never learnt: not played",
                counted(batches.undated, "reading")
            ));
        }
        if let Origin::Pages(_, contents) = &self.origin {
            left_out(contents).into_iter().for_each(|note| batches.note(note));
        }
        if is_cut {
            batches.note("the oldest readings were deleted while they were read: the beginning lacks some".to_owned());
        }
        self.note_windows(batches, windows);
        Ok(())
    }

    /// Says where there are windows and no readings any more, on which no rule can be replayed.
    fn note_windows(&self, batches: &mut Batches, windows: Option<WallTime>) {
        let shown = |at: WallTime| self.local.second(at);
        let Some(windows) = windows else { return };
        match batches.first {
            None => batches.note(format!("there are only windows (from {} on), and no readings: nothing to replay", shown(windows))),
            Some(first) if windows.0 + 15 * 60_000 < first.0 => batches.note(format!(
                "readings are stored from {} on; from {} until then there are only windows, on which no rule is replayed",
                shown(first),
                shown(windows)
            )),
            Some(_) => {}
        }
    }
}

/// A file that `export --sqlite` made; `None` where it is a database of an agent.
fn opened(file: &Path) -> anyhow::Result<Option<Export>> {
    let name = || file.display().to_string();
    match file.try_exists() {
        Ok(true) => Export::open(file).with_context(name),
        Ok(false) => bail!("{}: there is no such file", name()),
        Err(error) => Err(error).with_context(name),
    }
}

fn times(
    span: TypedSpan,
    now: Stamp,
    instant: impl Fn(DateTime) -> Option<WallTime>,
) -> anyhow::Result<(WallTime, WallTime)> {
    let period = period_of(span.since, span.until, now, instant).map_err(|problem| anyhow::anyhow!(problem.detail))?;
    let (Some(period), Some(WallTime(now))) = (period, now.wall) else {
        return Ok((WallTime(i64::MIN), WallTime(i64::MAX)));
    };
    Ok((WallTime(now.saturating_sub(period.from.0)), WallTime(now.saturating_sub(period.until.0))))
}

/// The replay has ended before the recording.
#[derive(Debug, thiserror::Error)]
#[error("the replay has ended")]
struct Ended;

/// Rows on their way to the replay.
struct Batches<'a> {
    full: &'a SyncSender<Batch>,
    batch: Batch,
    names: HashMap<String, usize>,
    report: Report,
    undated: u64,
    /// The earliest reading.
    first: Option<WallTime>,
}

impl Batches<'_> {
    fn add(&mut self, reading: &ExportedReading) -> anyhow::Result<()> {
        let Some(at) = reading.at else {
            self.undated += 1;
            return Ok(());
        };
        let sensor = match self.names.get(reading.sensor) {
            Some(index) => *index,
            None => {
                self.batch.names.push(Arc::from(reading.sensor));
                self.names.insert(reading.sensor.to_owned(), self.names.len());
                self.names.len() - 1
            }
        };
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        let quality = reading.quality.stated();
        self.batch.rows.push(Row { line: 0, at_ms: at.0, sensor: Some(sensor), value: Some(reading.value), quality });
        (self.report.lines, self.report.values) = (self.report.lines + 1, self.report.values + 1);
        if self.batch.rows.len() >= BATCH_ROWS { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        Ok(self.full.send(std::mem::take(&mut self.batch)).map_err(|_| Ended)?)
    }

    fn note(&mut self, note: String) {
        self.report.notes.push(note);
    }
}
