//! `tilth-agent export`: what the agent stored, as CSV or as an SQLite file.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, process};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tilth_core::id::SensorId;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use super::stored::{Stored, TypedSpan, left_out};
use crate::api::no_history;
use crate::cli::{self, Exported};
use crate::console::{Closed, counted, tell};
use crate::daemon::{DEFAULT_POLICY, free_bytes};
use crate::exit::{Exit, Refused};
use crate::store::{Contents, Counts, Export, Page, StoreError, TABLES, Table};

/// What an export leaves free on the disk of the agent's data, in bytes: what the agent wants free, and room for what comes meanwhile.
const LEFT_FREE: u64 = DEFAULT_POLICY.least_free_bytes + (64 << 20);

/// Rows of CSV between two looks at the disk.
const ROWS_BETWEEN: u64 = 1000;

/// Standard output by its path, which leads to a file where the shell has it written to one.
const STANDARD_OUTPUT: &str = "/dev/stdout";

pub(crate) fn export(wanted: &cli::Export) -> anyhow::Result<Exit> {
    if !wanted.sensor.is_empty() && wanted.sqlite.is_none() && table_of(wanted.what).0 == Table::Event {
        let expected = "--sensor is for readings, minutes and quarters; expected no --sensor here";
        return Err(Refused(expected.to_owned()).into());
    }
    let file = wanted.sqlite.as_ref().or(wanted.out.as_ref()).map(|path| NewFile::at(path, wanted)).transpose()?;
    let stored = Stored::at(&wanted.agent)?;
    if let Stored::File(path) = &stored {
        tell(format_args!("no agent runs: reading {}; times without an offset are UTC", path.display()));
    }
    let span = TypedSpan { since: wanted.since.as_deref(), until: wanted.until.as_deref() };
    let contents = stored.contents(span, |shown| Local::UTC.instant(shown))?;
    let known: BTreeSet<&str> = contents.series.values().map(|series| series.sensor.as_str()).collect();
    if let Some(sensor) = wanted.sensor.iter().find(|sensor| !known.contains(sensor.as_str())) {
        bail!(no_history(sensor, known.iter().copied()));
    }
    let sensors = wanted.sensor.iter().cloned().collect();
    let own_disk = |place: &Path, instead| OwnDisk::of(place, &wanted.agent.data, instead);
    let place = file.as_ref().map_or(Path::new(STANDARD_OUTPUT), |file| &file.folder);
    let target = own_disk(place, "name a folder on another disk");
    let temporary = own_disk(&temporary_folder(), "set TMPDIR to a folder on another disk");
    let has_since = wanted.since.is_some();
    let copying =
        Copying { stored, contents, has_since, sensors, target, temporary, late_begins: Vec::new(), is_cut: false };
    match file {
        Some(file) => copying.write_file(&file, wanted),
        None => copying.print(wanted.what),
    }?;
    Ok(Exit::Done)
}

/// The table whose rows are read, the view that shows them, and what a row of it is.
fn table_of(what: Exported) -> (Table, &'static str, &'static str) {
    match what {
        Exported::Readings => (Table::Raw, "readings", "reading"),
        Exported::Minutes => (Table::Minute, "windows", "window"),
        Exported::Quarters => (Table::Quarter, "windows", "window"),
        Exported::Alerts => (Table::Event, "alerts", "alert"),
        Exported::Events => (Table::Event, "events", "event"),
        Exported::Notes => (Table::Event, "notes", "note"),
        Exported::Actuations => (Table::Event, "actuations", "actuation"),
        Exported::Doses => (Table::Event, "doses", "dose"),
    }
}

/// What was written.
struct Written {
    rows: Vec<(u64, &'static str)>,
    /// Rows without a time of day.
    undated: u64,
    /// Blocks that cannot be read.
    damaged: u64,
}

struct Copying {
    stored: Stored,
    contents: Contents,
    has_since: bool,
    /// None: all.
    sensors: BTreeSet<SensorId>,
    /// Folder of the file, or a file that is standard output, if that is on the agent's disk.
    target: Option<OwnDisk>,
    /// Folder of a scratch that has no room in memory, if that is on the agent's disk.
    temporary: Option<OwnDisk>,
    /// Tables that begin later than the wanted time, and when, where that is known.
    late_begins: Vec<(Table, Option<WallTime>)>,
    /// Retention deleted rows before they were read.
    is_cut: bool,
}

impl Copying {
    fn write_file(mut self, file: &NewFile, wanted: &cli::Export) -> anyhow::Result<()> {
        let written = if wanted.sqlite.is_some() {
            self.sqlite(&file.unfinished, wanted)
        } else {
            let mut out = BufWriter::new(&file.file);
            self.csv(wanted.what, &mut out).and_then(|written| {
                out.flush()?;
                file.file.sync_all()?;
                Ok(written)
            })
        };
        let written = written.and_then(|written| file.finish(wanted.overwrite).map(|()| written));
        let name = file.path.display();
        match written {
            Ok(written) => self.tell(format_args!("{name}: "), &written),
            Err(error) if is_full(&error) => bail!(
                "{name}: the disk is full, and nothing was written there: make room, name another disk, or export less (--since 7d)"
            ),
            Err(error) => return Err(error.context(format!("{name}: not written"))),
        }
        Ok(())
    }

    fn print(mut self, what: Exported) -> anyhow::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        let written = self.csv(what, &mut out).and_then(|written| Ok(out.flush().map(|()| written)?));
        let written = written.map_err(|error| match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Closed.into(),
            _ => error,
        })?;
        self.tell("", &written);
        Ok(())
    }

    fn sqlite(&mut self, path: &Path, wanted: &cli::Export) -> anyhow::Result<Written> {
        let mut export = Export::create(path)?;
        for (name, value) in [
            ("program", Some(concat!("tilth-agent ", env!("CARGO_PKG_VERSION")))),
            ("made", Some(Timestamp::now().to_string().as_str())),
            ("since", wanted.since.as_deref()),
            ("until", wanted.until.as_deref()),
        ] {
            value.map_or(Ok(()), |value| export.note(name, value))?;
        }
        export.begin(&self.contents, &self.sensors)?;
        for table in TABLES {
            self.read(table, |page| Ok(export.add(table, &page.rows)?))?;
        }
        let Counts { readings, windows, events, undated, damaged } = export.finish(path)?;
        Ok(Written { rows: vec![(readings, "reading"), (windows, "window"), (events, "event")], undated, damaged })
    }

    /// Writes a table as RFC 4180 has it.
    fn csv(&mut self, what: Exported, out: &mut impl Write) -> anyhow::Result<Written> {
        let (table, view, noun) = table_of(what);
        let mut export = Export::scratch()?;
        export.begin(&self.contents, &self.sensors)?;
        let (mut rows, mut undated, mut is_dated) = (0, 0, None);
        let (target, temporary) = (self.target.clone(), self.temporary.clone());
        let mut show = |export: &Export| -> anyhow::Result<()> {
            let mut is_header = true;
            let shown = export.show(view, |cells| {
                let is_again = is_dated.is_some();
                if !std::mem::take(&mut is_header) {
                    rows += 1;
                    undated += u64::from(is_dated == Some(true) && cells[0].is_empty());
                    if rows % ROWS_BETWEEN == 0 {
                        leave_room(target.as_ref())?;
                    }
                } else if is_again {
                    return Ok(());
                } else {
                    is_dated = Some(cells[0] == "time");
                }
                Ok(csv_line(out, cells)?)
            });
            shown?
        };
        self.read(table, |page| {
            export.add(table, &page.rows)?;
            // Of windows a later row may hold more, and what became of an alert comes after it.
            if table == Table::Raw {
                show(&export)?;
                export.clear()?;
            } else if export.is_on_disk()? {
                leave_room(temporary.as_ref())?;
            }
            Ok(())
        })?;
        show(&export)?;
        Ok(Written { rows: vec![(rows, noun)], undated, damaged: export.counts.damaged })
    }

    fn read(&mut self, table: Table, mut each: impl FnMut(&Page) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let Copying { stored, contents, target, has_since, .. } = &*self;
        let (mut is_first, mut late_begin) = (*has_since, None);
        let is_cut = stored.each_page(contents, table, |page| {
            leave_room(target.as_ref())?;
            if std::mem::take(&mut is_first) {
                late_begin = contents.late_begin(table, page);
            }
            each(page)
        })?;
        // Nothing of the table is in the span.
        if is_first && let Some(page) = stored.oldest(table)? {
            late_begin = contents.late_begin(table, &page);
        }
        self.is_cut |= is_cut;
        self.late_begins.extend(late_begin.map(|at| (table, at)));
        Ok(())
    }

    /// Says what was exported, and what of it lacks something.
    fn tell(&self, name: impl Display, written: &Written) {
        let Written { rows, undated, damaged } = written;
        let rows: Vec<String> =
            rows.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(*count, noun)).collect();
        let rows = if rows.is_empty() { "nothing in this time".to_owned() } else { rows.join(", ") };
        tell(format_args!("{name}{rows}"));
        if *undated > 0 {
            tell(format_args!(
                "{} without a time of day, which the device did not know: \"time\" is empty, \"boot\" and \"uptime_s\" say when",
                counted(*undated, "row")
            ));
        }
        for (table, at) in &self.late_begins {
            let (what, hint) = match table {
                Table::Raw => ("readings", "; minutes and quarters may go back further"),
                Table::Minute => ("minutes", ""),
                Table::Quarter => ("quarters", ""),
                Table::Event => ("events", ""),
            };
            let at = at.map_or(String::new(), |at| format!("at {}, ", Local::UTC.minute(at)));
            tell(format_args!("{what} begin {at}later than --since: older ones are not stored{hint}"));
        }
        left_out(&self.contents).iter().for_each(tell);
        if *damaged > 0 {
            tell(format_args!("{} of the database cannot be read and is left out", counted(*damaged, "block")));
        }
        if self.is_cut {
            tell(
                "the oldest rows were deleted while they were read, as they are after their time: the beginning lacks some",
            );
        }
    }
}

fn csv_line(out: &mut impl Write, cells: &[String]) -> io::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        let before = if index == 0 { "" } else { "," };
        if cell.contains(['"', ',', '\r', '\n']) {
            write!(out, "{before}\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            write!(out, "{before}{cell}")?;
        }
    }
    out.write_all(b"\r\n")
}

fn is_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref::<StoreError>(), Some(StoreError::Full))
            || cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::StorageFull)
    })
}

/// A folder or file on the disk of the agent's data, in which an export takes room.
#[derive(Debug, Clone)]
struct OwnDisk {
    place: PathBuf,
    /// What to do instead.
    instead: &'static str,
}

impl OwnDisk {
    /// None where the place is on another disk, or takes no room, such as a pipe.
    fn of(place: &Path, data: &Path, instead: &'static str) -> Option<OwnDisk> {
        let takes_room = |found: &Metadata| found.is_dir() || found.is_file();
        let device = |path: &Path| fs::metadata(path).ok().filter(takes_room).map(|found| found.dev());
        device(data).filter(|own| device(place) == Some(*own))?;
        Some(OwnDisk { place: place.to_owned(), instead })
    }
}

/// Fails once a disk has no more room than the agent needs: with less it deletes readings, and without any it doses no more.
fn leave_room(disk: Option<&OwnDisk>) -> anyhow::Result<()> {
    let Some(OwnDisk { place, instead }) = disk else { return Ok(()) };
    let free = free_bytes(place).unwrap_or(u64::MAX);
    ensure!(
        free >= LEFT_FREE,
        "{} is on the disk of the agent's data, which has {} MiB free; expected {} MiB, since the agent deletes readings when the disk is nearly full: \
         {instead}, or export less (--since 7d)",
        place.display(),
        free >> 20,
        LEFT_FREE >> 20
    );
    Ok(())
}

/// Folder in which SQLite keeps what has no room in memory: <https://www.sqlite.org/tempfiles.html#temporary_file_storage_locations>
fn temporary_folder() -> PathBuf {
    let named = ["SQLITE_TMPDIR", "TMPDIR"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let usual = ["/var/tmp", "/usr/tmp", "/tmp"].into_iter().map(PathBuf::from);
    named.chain(usual).find(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from("."))
}

/// A file that appears in its place whole or not at all.
struct NewFile {
    path: PathBuf,
    folder: PathBuf,
    unfinished: PathBuf,
    /// What `unfinished` names.
    file: File,
}

impl NewFile {
    /// Makes a file, where one may be made.
    fn at(path: &Path, wanted: &cli::Export) -> anyhow::Result<NewFile> {
        let name = path.file_name().with_context(|| format!("{}: not the name of a file", path.display()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let refused = |why: &str| Refused(format!("{}: {why}", path.display()));
        let data = wanted.agent.data.canonicalize().ok();
        if data.is_some() && folder.canonicalize().ok() == data {
            bail!(refused("that is the agent's data folder; expected another one"));
        }
        match path.symlink_metadata() {
            Ok(found) if !found.is_file() => bail!(refused("it is no file; expected a new name, or a file to replace")),
            Ok(_) if !wanted.overwrite => bail!(refused("there is a file already; --overwrite replaces it")),
            _ => {}
        }
        let unfinished = folder.join(format!("{}.{}.new", name.display(), process::id()));
        // What has that name already is another program's.
        let file = File::create_new(&unfinished).with_context(|| unfinished.display().to_string())?;
        Ok(NewFile { path: path.to_owned(), folder: folder.to_owned(), unfinished, file })
    }

    fn finish(&self, overwrite: bool) -> anyhow::Result<()> {
        let flags = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, &self.unfinished, CWD, &self.path, flags) {
            // Some file systems of networks know no such rename.
            Err(Errno::INVAL) if self.path.symlink_metadata().is_err() => fs::rename(&self.unfinished, &self.path)?,
            Err(Errno::EXIST | Errno::INVAL) => bail!("a file has come there meanwhile"),
            renamed => renamed?,
        }
        // The name is on the disk only when its folder is.
        Ok(File::open(&self.folder)?.sync_all()?)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::farm::Folder;

    #[test]
    fn a_file_that_came_meanwhile_is_replaced_only_where_that_was_asked_for() {
        let folder = Folder::new();
        let [path, unfinished] = ["farm.csv", "farm.csv.1.new"].map(|name| folder.path().join(name));
        let file = File::create_new(&unfinished).unwrap();
        let file = NewFile { path: path.clone(), folder: folder.path().to_owned(), unfinished, file };
        fs::write(&path, "of somebody").unwrap();
        assert_eq!(file.finish(false).unwrap_err().to_string(), "a file has come there meanwhile");
        assert_eq!(fs::read_to_string(&path).unwrap(), "of somebody");
        file.finish(true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert!(!file.unfinished.exists());
    }
}
