//! The stored history, from the running agent or from the database of one that is stopped.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use hyper::Method;
use jiff::civil::DateTime;
use serde::de::DeserializeOwned;
use tilth_core::time::{Stamp, Uptime, WallTime};

use super::client::{Client, request};
use super::in_address;
use crate::api::{period_of, socket};
use crate::cli;
use crate::clock;
use crate::console::listed;
use crate::daemon::database;
use crate::store::{Contents, Keys, Page, StoreError, StoreReader, Table};

/// How often, and after how long, a page is asked for again.
const RETRIES: u32 = 10;
const RETRY: Duration = Duration::from_secs(1);

/// Time between questions that took longer than this: an agent that starts meanwhile looks every 100 ms whether the file is free.
const GAP: Duration = Duration::from_millis(150);

/// Boots that are named before the rest is only counted.
const MAX_NAMED: usize = 5;

/// A part of the past, as it was typed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TypedSpan<'a> {
    pub(crate) since: Option<&'a str>,
    pub(crate) until: Option<&'a str>,
}

/// Source of the rows.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    Agent(cli::AgentAddress),
    /// A database that no agent has open.
    File(PathBuf),
}

impl Stored {
    /// The running agent at an address, else the database in its data folder.
    pub(crate) fn at(agent: &cli::AgentAddress) -> anyhow::Result<Stored> {
        if Client::find(agent)?.is_some() {
            return Ok(Stored::Agent(agent.clone()));
        }
        let (file, socket) = (database(&agent.data), socket::of(agent.socket.as_deref(), &agent.data));
        match file.try_exists() {
            Ok(true) => Ok(Stored::File(file)),
            Ok(false) => bail!(
                "no agent listens at {}, and there is no {}{}",
                socket.display(),
                file.display(),
                agent.elsewhere()
            ),
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }

    /// What there is of a span. `instant` says when clocks of the farm show a time, where no agent does.
    pub(crate) fn contents(
        &self,
        span: TypedSpan,
        instant: impl Fn(DateTime) -> Option<WallTime>,
    ) -> anyhow::Result<Contents> {
        match self {
            Stored::Agent(agent) => {
                let named = [("since", span.since), ("until", span.until)];
                let named = named.into_iter().filter_map(|(name, time)| Some(format!("{name}={}", in_address(time?))));
                ask(agent, &format!("/api/v1/stored?{}", named.collect::<Vec<_>>().join("&")))
            }
            Stored::File(path) => {
                // A boot that does not run has no present of its own.
                let now = Stamp { boot: u32::MAX, uptime: Uptime(0), wall: Some(clock::machine_wall().0) };
                let period =
                    period_of(span.since, span.until, now, instant).map_err(|problem| anyhow!(problem.detail))?;
                of_file(path, |reader, deadline| reader.contents(period.as_ref(), deadline))
            }
        }
    }

    /// Reads all rows of a table that were there, page by page. Returns whether the oldest were deleted meanwhile.
    pub(crate) fn each_page(
        &self,
        contents: &Contents,
        table: Table,
        mut each: impl FnMut(&Page) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let mut is_cut = false;
        for (mut from, through) in contents.keys.get(&table).into_iter().flatten().copied() {
            loop {
                let page = self.page(table, (from, through))?;
                anyhow::ensure!(page.stream == contents.stream, "the database was replaced meanwhile: try again");
                is_cut |= page.oldest.is_none_or(|oldest| oldest > from);
                each(&page)?;
                let Some(next) = page.next else { break };
                from = next;
            }
        }
        Ok(is_cut)
    }

    /// The page with the oldest row of a table; none where that has no rows.
    pub(crate) fn oldest(&self, table: Table) -> anyhow::Result<Option<Page>> {
        let oldest = self.page(table, (0, 0))?.oldest;
        oldest.map(|key| self.page(table, (key, key))).transpose()
    }

    fn page(&self, table: Table, (from, through): Keys) -> anyhow::Result<Page> {
        match self {
            Stored::Agent(agent) => {
                let path = format!("/api/v1/stored/rows?table={}&from={from}&through={through}", table.name());
                // A long export outlives a busy disk, and an agent that is started again.
                let mut retries = 0..RETRIES;
                loop {
                    match ask(agent, &path) {
                        Err(_) if retries.next().is_some() => thread::sleep(RETRY),
                        page => return page,
                    }
                }
            }
            Stored::File(path) => of_file(path, |reader, deadline| reader.page(table, (from, through), deadline)),
        }
    }
}

/// What a span leaves out since nobody knows when it was.
pub(crate) fn left_out(contents: &Contents) -> Option<String> {
    let boots = listed(&contents.undated, MAX_NAMED);
    (!contents.undated.is_empty()).then(|| {
        format!("left out: boots whose time of day was never learnt ({boots}); without --since and --until they are taken, too")
    })
}

fn ask<T: DeserializeOwned>(agent: &cli::AgentAddress, path: &str) -> anyhow::Result<T> {
    Client::connect(agent)?.row(request(Method::GET, path)?)
}

/// Reads a file that is closed again at once, so that an agent may start meanwhile.
fn of_file<T>(path: &Path, question: impl FnOnce(&StoreReader, Instant) -> Result<T, StoreError>) -> anyhow::Result<T> {
    let began = Instant::now();
    let answer = StoreReader::read_stopped(path, question).with_context(|| path.display().to_string());
    if began.elapsed() > GAP {
        thread::sleep(GAP);
    }
    answer
}
