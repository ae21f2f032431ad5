//! The whole way of a reading, from the line to the hub, through an outage and five kills at any moment.
//!
//! The rows of a recording go over a pseudo-terminal as CSV lines with their own time to the real agent on the event-time clock,
//! which tells the real hub. The hub is down for many of them. Five times, at points from a printed seed, some rows are said
//! at once and the agent is killed -9 in the middle of them; what the board prints until it is started again is lost.
//! Then every window at the hub is compared with the rows.
//!
//! On the event-time clock rows come as fast as they are read, so the time for which readings wait to be committed is counted in
//! rows: those that were said after the last one known to be committed.

mod rows;
mod verdict;

use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use rusqlite::Connection;
use tilth_tests::agent::Folder;
use tilth_tests::data;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;
use tilth_tests::random::Random;

use crate::{Length, Outcome, Run};
use rows::{COLUMNS, Row};
use verdict::{Found, Truth};

const KILLS: usize = 5;

/// By [`COLUMNS`]: name, quantity and range. Light ends at `rows::MOST_LIGHT`.
const SENSORS: [(&str, &str, &str); 4] = [
    ("room/temperature", "temperature", "[-50, 100]"),
    ("room/humidity", "humidity", "[0, 100]"),
    ("room/light", "light", "[0, 500]"),
    ("room/co2", "co2", "[0, 10000]"),
];

/// Most rows that are on their way when the agent is killed, and most that are lost until it is back.
const MOST_ON_THE_WAY: u64 = 40;
const MOST_UNHEARD: u64 = 20;

/// Rows that are said before it is looked whether the agent keeps up.
const STRIDE: usize = 200;

/// The least windows that a full run must bring to the hub.
const LEAST_WINDOWS: usize = 8000;

/// How much of the recording is used, and for which of its rows the hub is down.
struct Extent {
    rows: usize,
    outage: Range<usize>,
}

/// A kill: the rows that were said since the last one known to be committed, and those that were lost.
#[derive(Debug, Clone)]
struct Kill {
    on_the_way: Range<usize>,
    unheard: Range<usize>,
    /// How long after the last of them was written.
    after: Duration,
}

pub(crate) fn measure(run: Run) -> Outcome {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = std::env::var("TILTH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    println!("    seed {seed} (TILTH_SEED={seed} takes it again)");
    let (origin, rows) = match data("room_climate/datatraining.txt.gz", "the recording of evidence way", 8143) {
        Some(path) => ("", rows::read(&path).map_err(|error| format!("{}: {error:#}", path.display()))?),
        None => (" made up for want of the recording", rows::made(8143)),
    };
    let extent = match run.length {
        Length::Full => Extent { rows: rows.len(), outage: 1000..5000 },
        Length::Short => Extent { rows: 1500, outage: 300..900 },
    };
    let rows = rows.get(..extent.rows).ok_or_else(|| format!("only {} rows", rows.len()))?;
    let kills = kills(&extent, &mut Random::new(seed));
    let found = walk(rows, &extent.outage, &kills, run.sabotage).map_err(|error| format!("{error:#}"))?;
    let tally = verdict::judge(&Truth { rows, kills: &kills }, &found)?;
    let figures = format!(
        "{} rows{origin}, {KILLS} kills, hub down for {} rows, {} windows at the hub, {} equal the rows, {} touched by a kill, {} \
         readings missing of {} that could be, every gap said, {} confirmed before a kill and still there, {} alerts, {} events \
         in order",
        rows.len(),
        extent.outage.len(),
        tally.windows,
        tally.equal,
        tally.touched,
        tally.missing,
        tally.could_miss,
        tally.confirmed,
        found.alerts,
        found.events.len(),
    );
    let too_few = matches!(run.length, Length::Full) && tally.windows < LEAST_WINDOWS;
    if too_few || tally.confirmed == 0 || tally.missing == 0 {
        return Err(format!("not enough was exercised: {figures}"));
    }
    Ok(figures)
}

/// One in each fifth of the rows, so that some are in the outage and some are not.
fn kills(extent: &Extent, random: &mut Random) -> Vec<Kill> {
    let part = extent.rows / KILLS;
    let room = MOST_ON_THE_WAY + MOST_UNHEARD + 2;
    let kill = |number: usize| {
        let begin = number * part + 1 + random.below(part as u64 - room) as usize;
        let end = begin + 1 + random.below(MOST_ON_THE_WAY) as usize;
        let back = end + random.below(MOST_UNHEARD) as usize;
        Kill { on_the_way: begin..end, unheard: end..back, after: Duration::from_micros(random.below(20_000)) }
    };
    (0..KILLS).map(kill).collect()
}

/// Feeds the rows, and looks at what is at the hub then.
fn walk(rows: &[Row], outage: &Range<usize>, kills: &[Kill], sabotage: bool) -> anyhow::Result<Found> {
    let folder = Folder::new("way-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut farm = Farm::of_hub("way", &config(), &hub);
    farm.start();
    farm.say(header());
    let mut found = Found::default();
    let mut said = 0;
    for kill in kills {
        feed(&mut farm, &mut hub, rows, said..kill.on_the_way.start, outage)?;
        found.confirmed.extend(verdict::windows(&hub, rows));
        farm.say(lines(&rows[kill.on_the_way.clone()]));
        std::thread::sleep(kill.after);
        farm.kill();
        // The header of the columns is gone with the agent: the board begins again, as boards do when their line is opened.
        farm.start();
        farm.say(header());
        said = kill.unheard.end;
    }
    feed(&mut farm, &mut hub, rows, said..rows.len(), outage)?;
    if !hub.is_up() {
        hub.serve();
    }
    let last = rows.last().context("no rows")?;
    // Closes the last windows; its own never close.
    farm.say(format!("{}\n", json(last.at_ms + 1_200_000)));
    farm.until("everything is at the hub", |farm| {
        let Some(status) = farm.status() else { return false };
        let waits = |lane: &str| status["store"]["lanes"][lane]["waiting"].as_u64();
        waits("windows") == Some(0) && waits("events") == Some(0)
    });
    farm.stop();
    if sabotage {
        drop_a_window(&mut hub)?;
    }
    found.windows = verdict::windows(&hub, rows);
    found.events = hub.list("/api/events", "events");
    found.alerts = hub.alerts().len();
    Ok(found)
}

/// Says rows, a stride at a time, and waits until the last of them is committed.
fn feed(
    farm: &mut Farm,
    hub: &mut Hub,
    rows: &[Row],
    range: Range<usize>,
    outage: &Range<usize>,
) -> anyhow::Result<()> {
    let mut next = range.start;
    while next < range.end {
        // If the agent was down at that row, at the next one.
        if outage.contains(&next) && hub.is_up() {
            hub.stop();
        } else if next >= outage.end && !hub.is_up() {
            hub.serve();
        }
        let stop = [range.end, next + STRIDE, outage.start, outage.end];
        let end = stop.into_iter().filter(|stop| *stop > next).min().unwrap_or(range.end);
        farm.say(lines(&rows[next..end]));
        committed(farm, rows[end - 1].at_ms);
        next = end;
    }
    ensure!(farm.status().is_some(), "the agent cannot be asked");
    Ok(())
}

/// Waits until a row of that time is in the store.
fn committed(farm: &mut Farm, at_ms: i64) {
    farm.until_decided(&SENSORS.map(|(sensor, ..)| sensor), at_ms);
    // The store hears in order, and commits what it has heard before it hears more: the second answer comes after the row.
    farm.until("the store answers", |farm| farm.status().is_some());
    farm.until("the store answers again", |farm| farm.status().is_some());
}

/// What the saboteur does: a row that the hub has confirmed is gone.
fn drop_a_window(hub: &mut Hub) -> anyhow::Result<()> {
    hub.stop();
    let database = std::fs::read_dir(&hub.folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "db"))
        .context("the hub has no database")?;
    let dropped = Connection::open(database)?.execute(
        "DELETE FROM windows WHERE (sensor, grain, boot, start) IN
         (SELECT sensor, grain, boot, start FROM windows LIMIT 1 OFFSET 100)",
        [],
    )?;
    ensure!(dropped == 1, "nothing to drop");
    hub.serve();
    Ok(())
}

fn header() -> String {
    format!("time,{}\n", COLUMNS.join(","))
}

fn lines(rows: &[Row]) -> String {
    rows.iter().map(Row::line).collect()
}

fn json(at_ms: i64) -> String {
    let fields: String = COLUMNS.iter().fold(String::new(), |mut fields, column| {
        let _ = write!(fields, ",\"{column}\":50");
        fields
    });
    format!("{{\"time\":{at_ms}{fields}}}")
}

/// Every sensor in hundredths and believed for every value, but for light beyond a limit.
fn config() -> String {
    let sensor = |(place, (name, quantity, range)): (usize, (&str, &str, &str))| {
        let column = COLUMNS[place];
        format!(
            "[sensors.'{name}']\nquantity = '{quantity}'\ninput = 'line:gateway/{column}'\nstamp = 'source'\n\
             interval = '1m'\nresolution = 0.01\nmax_rate = 100000\nrange = {range}\n"
        )
    };
    SENSORS.into_iter().enumerate().map(sensor).collect()
}
