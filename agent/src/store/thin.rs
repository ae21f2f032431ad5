//! Carries out what `retention` names: a few rows a call, from the front of a table, with a record of what the hub will
//! miss.

use rusqlite::{Connection, Params, Row, TransactionBehavior};
use tilth_core::time::{Span, Uptime, WallTime};
use tilth_core::windows::Grain;
use tilth_protocol::{GapKind, Lane};

use super::Store;
use super::boot::boots;
use super::digest::{closed_events, collapse, lose_events, repeats};
use super::error::StoreError;
use super::gaps;
use super::lane::LaneStates;
use super::losses::{self, Loss};
use super::retention::{Holdings, Policy, Rows, Step, next_step, shortage};
use super::row::{int, uint};
use super::snapshot;

/// Rows of one step: a few pages, so that a commit waits for milliseconds.
pub(super) const STEP_ROWS: i64 = 16;

/// Where a time lies in the order of rows.
pub(super) type Place = (u32, i64);

/// The bounds of what may go.
struct Bounds {
    lanes: LaneStates,
    /// Rows before it are older than they are kept.
    cut: Option<Place>,
    /// Raw readings before it have their windows at the hub.
    confirmed_raw: Place,
    /// The last raw block that is in the snapshot.
    position: i64,
}

impl Store {
    /// Gives up a little where that is needed, and says what. Call it again while it is not [`Step::Rest`]. `wall` is the
    /// time of day, if it is trusted; `free_bytes` what is free on the disk, if that is known.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was given up.
    pub(crate) fn give_up(
        &mut self,
        policy: &Policy,
        wall: Option<WallTime>,
        free_bytes: Option<u64>,
    ) -> Result<Step, StoreError> {
        self.reload_if_stale()?;
        let mut lanes = self.lanes;
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let bounds = bounds(&transaction, policy, lanes, wall)?;
        let holdings = holdings(&transaction, policy, &bounds, free_bytes)?;
        let step = next_step(policy, &holdings);
        let reason = shortage(policy, &holdings).unwrap_or("events reached their share of the room");
        let given_up = given_up(&transaction, step, &bounds)?;
        match step {
            Step::Rest => return Ok(step),
            Step::Outdated(rows) => delete(&transaction, rows, |row| bounds.is_outdated(rows, row))?,
            Step::ConfirmedRaw => delete(&transaction, Rows::Raw, |row| bounds.is_confirmed(Rows::Raw, row))?,
            Step::Raw => delete(&transaction, Rows::Raw, |row| row.key <= bounds.position)?,
            Step::ConfirmedMinutes => {
                delete(&transaction, Rows::Minutes, |row| bounds.is_confirmed(Rows::Minutes, row))?;
            }
            Step::ConfirmedQuarters => {
                delete(&transaction, Rows::Quarters, |row| bounds.is_confirmed(Rows::Quarters, row))?;
            }
            Step::Thin => thin(&transaction, reason)?,
            Step::LoseQuarters => lose_quarters(&transaction, reason)?,
            Step::Collapse => collapse(&transaction, &mut lanes)?,
            Step::LoseEvents => lose_events(&transaction, lanes, reason)?,
        }
        let is_new = match &given_up {
            Some(GivenUp { what, count, boot, span }) => {
                let loss = Loss { what, reason, count: *count, boot: *boot, span: *span };
                losses::add(&transaction, &loss)?.then_some(*what)
            }
            None => None,
        };
        forget_gaps(&transaction, lanes)?;
        lanes.write(&transaction)?;
        transaction.commit()?;
        (self.lanes, self.confirmed_unwritten) = (lanes, false);
        self.short_of = is_new.map(|what| (what, reason));
        Ok(step)
    }
}

/// What a step is about to give up.
struct GivenUp {
    what: &'static str,
    count: usize,
    boot: u32,
    span: (Uptime, Uptime),
}

/// What a step gives up that somebody may miss; nothing for rows that are older than they are kept.
fn given_up(connection: &Connection, step: Step, bounds: &Bounds) -> Result<Option<GivenUp>, StoreError> {
    type May = fn(&Bounds, &Front) -> bool;
    let (what, rows, may): (_, _, May) = match step {
        Step::Rest | Step::Outdated(_) | Step::Collapse => return Ok(None),
        Step::ConfirmedRaw => ("readings", Rows::Raw, |bounds, row| bounds.is_confirmed(Rows::Raw, row)),
        Step::Raw => ("readings", Rows::Raw, |bounds, row| row.key <= bounds.position),
        Step::ConfirmedMinutes => ("minutes", Rows::Minutes, |bounds, row| bounds.is_confirmed(Rows::Minutes, row)),
        Step::ConfirmedQuarters => ("quarters", Rows::Quarters, |bounds, row| bounds.is_confirmed(Rows::Quarters, row)),
        Step::Thin => ("minutes", Rows::Minutes, |_, _| true),
        Step::LoseQuarters => ("quarters", Rows::Quarters, |_, _| true),
        Step::LoseEvents => ("events", Rows::Events, |_, _| true),
    };
    let fronts = match step {
        Step::Thin => thinnable(connection, STEP_ROWS)?,
        _ => front(connection, rows, STEP_ROWS)?,
    };
    let gone: Vec<Front> = fronts.into_iter().take_while(|row| may(bounds, row)).collect();
    let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return Ok(None) };
    let count = match rows {
        Rows::Raw => {
            let sql = "SELECT total(readings) FROM raw WHERE id <= ?";
            connection.prepare_cached(sql)?.query_row([last.key], |row| row.get::<_, f64>(0))? as usize
        }
        _ => gone.iter().map(|row| usize::try_from(row.last - row.key + 1).unwrap_or(0)).sum(),
    };
    let from = if first.place.0 == last.place.0 { first.place.1 } else { last.place.1 };
    Ok(Some(GivenUp { what, count, boot: last.place.0, span: (Uptime(from), Uptime(last.place.1)) }))
}

/// What the bounds are compared with.
#[derive(Debug, Clone, Copy)]
struct Front {
    key: i64,
    last: i64,
    place: Place,
}

impl Bounds {
    fn is_confirmed(&self, rows: Rows, row: &Front) -> bool {
        let lane = match rows {
            Rows::Raw => return row.place < self.confirmed_raw && row.key <= self.position,
            Rows::Minutes | Rows::Quarters => Lane::Windows,
            Rows::Events => Lane::Events,
            Rows::Diagnostics => Lane::Diagnostics,
        };
        uint(row.last) <= self.lanes.of(lane).confirmed
    }

    fn is_outdated(&self, rows: Rows, row: &Front) -> bool {
        self.cut.is_some_and(|cut| row.place < cut) && self.is_confirmed(rows, row)
    }
}

fn bounds(
    connection: &Connection,
    policy: &Policy,
    lanes: LaneStates,
    wall: Option<WallTime>,
) -> Result<Bounds, StoreError> {
    let confirmed = int(lanes.of(Lane::Windows).confirmed);
    let unconfirmed = |table: &str| -> Result<Option<Place>, StoreError> {
        let sql = format!("SELECT boot, start FROM {table} WHERE seq > ? ORDER BY seq LIMIT 1");
        one(connection, &sql, [confirmed], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let first_unconfirmed = unconfirmed("minute")?.into_iter().chain(unconfirmed("quarter")?).min();
    let kept = Span(i64::from(policy.keep_days) * 86_400_000);
    let cut = match wall {
        None => None,
        Some(wall) => {
            // The last boot that is known to have begun before the cut; later ones without a time of day are kept.
            let boots = boots(connection)?.into_iter().rev();
            let zeros = boots.filter_map(|boot| Some((boot.number, boot.wall_at_zero?)));
            zeros.map(|(boot, zero)| (boot, (wall - zero).0 - kept.0)).find(|(_, uptime)| *uptime >= 0)
        }
    };
    let position = snapshot::position(connection)?;
    Ok(Bounds { lanes, cut, confirmed_raw: first_unconfirmed.unwrap_or((u32::MAX, 0)), position })
}

fn holdings(
    connection: &Connection,
    policy: &Policy,
    bounds: &Bounds,
    free_bytes: Option<u64>,
) -> Result<Holdings, StoreError> {
    let pragma = |name: &str| -> Result<u64, StoreError> {
        Ok(uint(connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?))
    };
    let (pages, spare, size) = (pragma("page_count")?, pragma("freelist_count")?, pragma("page_size")?);
    let mut fronts = Vec::new();
    for rows in Rows::ALL {
        fronts.extend(front(connection, rows, 1)?.into_iter().map(|front| (rows, front)));
    }
    let there = |rows: Rows| fronts.iter().find(|(kind, _)| *kind == rows).map(|(_, front)| *front);
    let confirmed = |rows: Rows| there(rows).is_some_and(|row| bounds.is_confirmed(rows, &row));
    let outdated = Rows::ALL.into_iter().filter(|rows| there(*rows).is_some_and(|row| bounds.is_outdated(*rows, &row)));
    let mut holdings = Holdings {
        used_bytes: (pages - spare) * size,
        spare_bytes: spare * size,
        free_bytes,
        outdated: outdated.collect(),
        events_bytes: events_bytes(connection)?,
        confirmed_raw: confirmed(Rows::Raw),
        raw: there(Rows::Raw).is_some_and(|row| row.key <= bounds.position),
        confirmed_minutes: confirmed(Rows::Minutes),
        confirmed_quarters: confirmed(Rows::Quarters),
        can_thin: !thinnable(connection, 1)?.is_empty(),
        quarters: there(Rows::Quarters).is_some(),
        ..Holdings::default()
    };
    // These two read all events: only when it may come to them.
    if holdings.events_bytes > policy.events_bytes {
        holdings.can_collapse = !repeats(connection)?.is_empty();
    }
    if !holdings.raw && !holdings.can_thin && !holdings.quarters {
        holdings.closed_events = !closed_events(connection, 1)?.is_empty();
    }
    Ok(holdings)
}

/// From the length of the newest: summing all would read all.
fn events_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT (SELECT max(seq) - min(seq) + 1 FROM event), avg(length(body) + 60.0)
        FROM (SELECT body FROM event ORDER BY seq DESC LIMIT 64)";
    let (count, length): (Option<i64>, Option<f64>) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((count.unwrap_or(0) as f64 * length.unwrap_or(0.0)) as u64)
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(connection.prepare_cached(sql)?.query_map(params, read)?.next().transpose()?)
}

/// The first rows of a kind.
fn front(connection: &Connection, rows: Rows, count: i64) -> Result<Vec<Front>, StoreError> {
    let sql = match rows {
        Rows::Raw => "SELECT id, id, boot, at FROM raw ORDER BY id LIMIT ?",
        Rows::Minutes => "SELECT seq, last, boot, start FROM minute ORDER BY seq LIMIT ?",
        Rows::Quarters => "SELECT seq, last, boot, start FROM quarter ORDER BY seq LIMIT ?",
        Rows::Events => "SELECT seq, seq, boot, uptime FROM event ORDER BY seq LIMIT ?",
        Rows::Diagnostics => "SELECT seq, seq, boot, uptime FROM diagnostic ORDER BY seq LIMIT ?",
    };
    let mut statement = connection.prepare_cached(sql)?;
    let fronts = statement.query_map([count], |row| {
        Ok(Front { key: row.get(0)?, last: row.get(1)?, place: (row.get(2)?, row.get(3)?) })
    })?;
    Ok(fronts.collect::<Result<_, _>>()?)
}

/// Deletes from the front of a table while it may.
fn delete(connection: &Connection, rows: Rows, may: impl Fn(&Front) -> bool) -> Result<(), StoreError> {
    let first = front(connection, rows, STEP_ROWS)?;
    let Some(last) = first.iter().take_while(|row| may(row)).last() else { return Ok(()) };
    let sql = match rows {
        Rows::Raw => "DELETE FROM raw WHERE id <= ?",
        Rows::Minutes => "DELETE FROM minute WHERE seq <= ?",
        Rows::Quarters => "DELETE FROM quarter WHERE seq <= ?",
        Rows::Events => "DELETE FROM event WHERE seq <= ?",
        Rows::Diagnostics => "DELETE FROM diagnostic WHERE seq <= ?",
    };
    connection.prepare_cached(sql)?.execute([last.key])?;
    Ok(())
}

/// The first minutes, as long as the quarter of an hour that holds each is kept.
fn thinnable(connection: &Connection, count: i64) -> Result<Vec<Front>, StoreError> {
    let covered = "SELECT 1 FROM quarter WHERE boot = ?1 AND start <= ?2 AND start > ?2 - ?3 LIMIT 1";
    let mut minutes = Vec::new();
    for minute in front(connection, Rows::Minutes, count)? {
        let (boot, start) = minute.place;
        if one(connection, covered, (boot, start, Grain::Quarter.span().0), |_| Ok(()))?.is_none() {
            break;
        }
        minutes.push(minute);
    }
    Ok(minutes)
}

/// A gap is kept as long as the rows beside it: confirmed, and older than every row of its lane, it says nothing more.
fn forget_gaps(connection: &Connection, lanes: LaneStates) -> Result<(), StoreError> {
    for (lane, oldest) in [
        (
            Lane::Windows,
            "SELECT min(seq) FROM (SELECT min(seq) AS seq FROM minute UNION ALL SELECT min(seq) FROM quarter)",
        ),
        (Lane::Events, "SELECT min(seq) FROM event"),
        (Lane::Diagnostics, "SELECT min(seq) FROM diagnostic"),
    ] {
        let oldest: Option<i64> = connection.prepare_cached(oldest)?.query_row([], |row| row.get(0))?;
        let before = oldest.map_or(u64::MAX, |seq| uint(seq).saturating_sub(1));
        gaps::drop_up_to(connection, lane, before.min(lanes.of(lane).confirmed))?;
    }
    Ok(())
}

fn thin(connection: &Connection, why: &str) -> Result<(), StoreError> {
    for minute in thinnable(connection, STEP_ROWS)? {
        connection.prepare_cached("DELETE FROM minute WHERE seq = ?")?.execute([minute.key])?;
        let range = uint(minute.key)..=uint(minute.last);
        let reason = format!("no room for minutes, their quarters of an hour are kept: {why}");
        gaps::add(connection, Lane::Windows, range, GapKind::Replaced, &reason)?;
    }
    Ok(())
}

fn lose_quarters(connection: &Connection, why: &str) -> Result<(), StoreError> {
    for quarter in front(connection, Rows::Quarters, STEP_ROWS)? {
        connection.prepare_cached("DELETE FROM quarter WHERE seq = ?")?.execute([quarter.key])?;
        let reason = format!("no room: {why}");
        gaps::add(connection, Lane::Windows, uint(quarter.key)..=uint(quarter.last), GapKind::Lost, &reason)?;
    }
    Ok(())
}
