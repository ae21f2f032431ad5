//! What survives a power cut: one SQLite file of append tables, and the outbox in it.
//!
//! ```text
//! decide -- commits --> store_writer ==(bounded)==> thread: buffer -- one transaction --> Store -- WAL, FULL --> tilth.db
//! sync   -- queries, confirmations ----------->          `-- "rows waiting" --> sync
//! status, sync -- questions --> store-reader: StoreReader, a connection for each question ----- reads -----'
//! ```
//!
//! Readings wait in memory for the block interval and are written as one block of all sensors; everything else is
//! written at once, together with the readings that came before it. So the stated loss on a power cut is the block interval
//! plus one commit, and never a window, an event, or anything that was confirmed.
//!
//! | file | holds |
//! | --- | --- |
//! | `schema`, `open`, `damaged_files` | the tables, how a file is opened, what becomes of a damaged one |
//! | `early_checkpoint` | how a new file comes to hold something before its log is long |
//! | `last_known`, `log`, `inspection` | whether history was lost: the file `history.last`, the log before it is opened, and what both show |
//! | `commit`, `window_rows`, `names`, `checkpoint`, `boot` | what a transaction writes |
//! | `raw_block`, `window_block`, `varint` | blocks as bytes; pure |
//! | `outbox`, `extent`, `gaps`, `lane` | what the hub has not confirmed |
//! | `board_positions` | how far the readings of each board are stored |
//! | `read`, `history` | reading back what a checkpoint lacks; windows and events of a time |
//! | `pages`, `export` | the rows of a span as they are stored, read beside the writer; decoded, as a file of views |
//! | `retention`, `deletion`, `digest` | which rows are deleted when age or size limits are exceeded, pure; deleting them in bounded steps |
//! | `losses` | what was given up and why, for `status` |
//! | `buffer`, `thread`, `progress` | when to commit and what to drop, pure; the thread that does it, and how far it has come |
//! | `handle` | the ends of that thread that others hold |
//! | `questions` | the thread that reads what people and sync ask, beside the commits |
//! | `forecast` | days offline, bytes written a day; pure |
//! | `row` | the one translation between rows and the words of core and protocol |

mod board_positions;
mod boot;
mod buffer;
mod checkpoint;
mod commit;
mod damaged_files;
mod deletion;
mod digest;
mod early_checkpoint;
mod error;
mod export;
mod extent;
pub(crate) mod forecast;
mod gaps;
mod handle;
mod history;
mod inspection;
mod lane;
mod last_known;
mod log;
mod losses;
mod names;
mod open;
mod outbox;
mod pages;
mod progress;
mod questions;
mod raw_block;
mod read;
mod retention;
mod row;
mod schema;
pub(crate) mod thread;
mod varint;
mod window_block;
mod window_rows;

use rusqlite::Connection;
use tilth_protocol::{Epoch, Stream};

pub(crate) use boot::{AlertNumberRange, CurrentBoot, EarlierState};
pub(crate) use buffer::{BLOCK_INTERVAL, Losses};
pub(crate) use checkpoint::StoredCheckpoint;
pub(crate) use commit::{AlertRef, Commit, NewEvent};
pub(crate) use damaged_files::move_aside;
pub(crate) use error::StoreError;
pub(crate) use export::{Counts, Export, ExportedReading};
pub(crate) use extent::Limit;
pub(crate) use forecast::{Meter, forecast};
pub(crate) use history::{Period, StoredWindow, tenths};
pub(crate) use lane::LaneStates;
pub(crate) use last_known::{LossAmount, LostHistory};
pub(crate) use losses::RecordedLoss;
pub(crate) use names::CalibratedPlan;
pub(crate) use open::{Found, Opened, Options};
pub(crate) use pages::{Contents, Keys, Page, TABLES, Table};
pub(crate) use questions::Unanswered;
pub(crate) use retention::Policy;
pub(crate) use schema::LAYOUT;

/// The one write connection, with what it would otherwise look up at each commit.
#[derive(Debug)]
pub(crate) struct Store {
    /// Copies the log of a new file early; none once the log has had its usual length. Closed before the write connection, which clears up.
    early_checkpoint: Option<early_checkpoint::EarlyCheckpoint>,
    reader: StoreReader,
    stream: Stream,
    epoch: Option<Epoch>,
    lanes: LaneStates,
    /// Confirmations that no transaction has written yet.
    confirmed_unwritten: bool,
    names: names::Names,
    boot: CurrentBoot,
    /// The boot has no row yet: the disk could not be written when it began.
    boot_unwritten: bool,
    /// Rows were lost, and the disk has taken no other stream yet: nothing is written before.
    owes_stream: bool,
    /// Tells this database from another one in its place.
    name: String,
    file: Option<open::FileId>,
    /// What the last step of retention began to delete, and why.
    started_deleting: Option<(&'static str, &'static str)>,
    /// The checkpoint in the file; none where it is not known, as before the first commit and after one that failed.
    last_checkpoint: Option<checkpoint::LastCheckpoint>,
    /// The file still has an older layout: the disk could not be written when it was opened.
    needs_migration: bool,
    /// What is in memory may differ from the file: a transaction failed.
    needs_reload: bool,
}

/// A connection that reads. [`Store::reader`] reads through the writer's own.
#[derive(Debug)]
pub(crate) struct StoreReader(Connection);

impl Store {
    /// Reading through the write connection.
    pub(crate) fn reader(&self) -> &StoreReader {
        &self.reader
    }

    /// Reads again what a failed transaction may have left wrong; confirmations that are not written yet stay.
    fn reload_if_needed(&mut self) -> Result<(), StoreError> {
        if self.needs_reload {
            let confirmed = self.lanes;
            self.lanes = LaneStates::read(&self.reader.0)?;
            self.names = names::Names::load(&self.reader.0)?;
            for lane in tilth_protocol::Lane::ALL {
                self.confirm(lane, confirmed.of(lane).confirmed);
            }
            self.needs_reload = false;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
