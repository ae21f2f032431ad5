//! History that is gone is said, with its date: in the log, in `status`, and in an event for the hub. What is whole is never said to
//! be missing.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::room::{BEGIN_MS, config};

/// A room, and how far its time has come.
struct Story {
    farm: Farm,
    now_ms: i64,
}

impl Story {
    fn new(name: &str) -> Story {
        Story { farm: Farm::alone(name, &config(30)), now_ms: BEGIN_MS }
    }

    /// Readings of so many minutes; waits until the last is decided.
    fn minutes(&mut self, minutes: i64, temp: f64) {
        let mut lines = String::new();
        for _ in 0..minutes * 6 {
            self.now_ms += 10_000;
            writeln!(lines, "time={} temp={temp}", self.now_ms).unwrap();
        }
        self.farm.say(lines);
        let at = jiff::Timestamp::from_millisecond(self.now_ms).unwrap().to_string();
        self.farm.until("the readings are decided", |farm| farm.ask(&["sensors", "--json"]).out.contains(&at));
    }

    /// Waits until what was decided is kept. Of a transaction that a kill cuts in two, the agent rightly says that it may be missing.
    fn until_kept(&mut self) {
        let mut before = None;
        self.farm.until("all of it is kept", |farm| {
            let now = farm.status().map(|status| status["store"]["lanes"].clone());
            std::mem::replace(&mut before, now.clone()) == now && now.is_some()
        });
    }

    /// Some history with alerts that come and go; killed, so that the newest is in the log of the database.
    fn lived(name: &str) -> Story {
        let mut story = Story::new(name);
        story.farm.start();
        story.minutes(3, 21.0);
        for _ in 0..8 {
            story.minutes(2, 31.5);
            story.minutes(2, 21.0);
        }
        story.farm.until("the alerts are kept", |farm| committed(farm, "events") > 16);
        story.until_kept();
        let before = committed(&story.farm, "events");
        // The newest is in the log alone.
        story.farm.until("the log holds something", |farm| {
            assert_eq!(farm.ask(&["note", "looked after the pumps", "--by", "anna"]).code, Some(0));
            let noted = committed(farm, "events");
            noted > before && events_without_log(farm) < noted
        });
        story
    }
}

/// How many events a copy of the database has that was made without its log.
fn events_without_log(farm: &Farm) -> u64 {
    let copy = farm.folder.path().join("without-log.db");
    fs::copy(farm.data().join("tilth.db"), &copy).unwrap();
    let database = Connection::open(&copy).unwrap();
    let count: i64 = database.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0)).unwrap();
    count.unsigned_abs()
}

fn committed(farm: &Farm, lane: &str) -> u64 {
    farm.status().and_then(|status| status["store"]["lanes"][lane]["committed"].as_u64()).unwrap_or(0)
}

/// What the log says is missing.
fn said(farm: &Farm) -> Vec<String> {
    let log = farm.log();
    let said = log.lines().filter(|line| line.contains("history") && line.contains(" missing: "));
    said.map(str::to_owned).collect()
}

/// The events that say it, in the database of an agent that has ended.
fn events(farm: &Farm) -> Vec<String> {
    let database = copied_database(farm);
    let mut select = database.prepare("SELECT body FROM event WHERE kind = 'history-missing' ORDER BY seq").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The stream of the database of an agent that has ended.
fn stream(farm: &Farm) -> Vec<u8> {
    copied_database(farm).query_row("SELECT stream FROM meta", [], |row| row.get(0)).unwrap()
}

fn copied_database(farm: &Farm) -> Connection {
    let copy = farm.folder.path().join("looked-at");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir(&copy).unwrap();
    for name in ["tilth.db", "tilth.db-wal"] {
        let _ = fs::copy(farm.data().join(name), copy.join(name));
    }
    Connection::open(copy.join("tilth.db")).unwrap()
}

fn log_of(farm: &Farm) -> PathBuf {
    farm.data().join("tilth.db-wal")
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    assert!(!bytes.is_empty(), "{}", path.display());
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

type Harm = fn(&Farm);

/// What happens to the files of an agent that was killed, and a part of what is said.
const HARMS: [(&str, Harm, &str); 11] = [
    ("log deleted", |farm| fs::remove_file(log_of(farm)).unwrap(), "tilth.db-wal was not there"),
    ("log emptied", |farm| fs::write(log_of(farm), "").unwrap(), "tilth.db-wal was empty"),
    ("log zeroed", |farm| rewrite(&log_of(farm), |bytes| bytes.fill(0)), "tilth.db-wal was overwritten"),
    ("log cut", |farm| rewrite(&log_of(farm), |bytes| bytes.truncate(300)), "was cut, or is an older copy"),
    (
        "log flipped",
        |farm| {
            rewrite(&log_of(farm), |bytes| {
                // Within the first commit.
                bytes[200] ^= 16;
            });
        },
        // Of one commit that is torn it cannot be told whether it was complete; what was known can.
        "its log",
    ),
    ("database deleted beside its log", |farm| fs::remove_file(farm.data().join("tilth.db")).unwrap(), "not there"),
    ("database emptied beside its log", |farm| fs::write(farm.data().join("tilth.db"), "").unwrap(), "or empty"),
    (
        // With its log it would be whole: early in its life the log holds all of it.
        "database zeroed and log deleted",
        |farm| {
            rewrite(&farm.data().join("tilth.db"), |bytes| bytes.fill(0));
            fs::remove_file(log_of(farm)).unwrap();
        },
        "damaged",
    ),
    (
        "database and log deleted",
        |farm| {
            fs::remove_file(farm.data().join("tilth.db")).unwrap();
            fs::remove_file(log_of(farm)).unwrap();
        },
        "not there",
    ),
    (
        "all deleted but the configuration",
        |farm| {
            for name in ["tilth.db", "tilth.db-wal", "history.last"] {
                fs::remove_file(farm.data().join(name)).unwrap();
            }
        },
        "not there",
    ),
    (
        "another database in its place",
        |farm| {
            let other = Story::lived("history-other");
            fs::remove_file(log_of(farm)).unwrap();
            let mut other = other;
            other.farm.stop();
            fs::copy(other.farm.data().join("tilth.db"), farm.data().join("tilth.db")).unwrap();
        },
        "another database is in the place",
    ),
];

#[test]
fn what_is_gone_is_said_and_dated() {
    for (case, harm, part) in HARMS {
        let mut story = Story::lived("history");
        assert_eq!(said(&story.farm), Vec::<String>::new(), "{case}");
        story.farm.kill();
        harm(&story.farm);
        story.farm.start();
        story.minutes(2, 21.0);
        let log = said(&story.farm);
        assert!(log.len() == 1 && log[0].contains(part), "{case}: {log:?}\n{}", story.farm.log());
        // On the event-time clock there is no time of day at the start; what was known has one.
        assert!(log[0].contains("2026-03-01 00:") || case.starts_with("all"), "{case}: it is not dated: {log:?}");
        let shown = story.farm.shown();
        assert!(shown.contains(" missing: ") && shown.contains(part), "{case}: {shown}");
        story.farm.until("it is kept", |farm| committed(farm, "events") > 0);
        story.farm.stop();
        let kept = events(&story.farm);
        assert!(kept.len() == 1 && kept[0].contains(part), "{case}: {kept:?}");

        // Once.
        story.farm.start();
        story.minutes(1, 21.0);
        assert_eq!(said(&story.farm).len(), 1, "{case}: {:?}", said(&story.farm));
        let shown = story.farm.shown();
        assert_eq!(shown.matches(part).count(), 1, "{case}, started again: {shown}");
        story.farm.stop();
    }
}

#[test]
fn an_older_copy_of_the_database_is_said_to_be_one() {
    let mut story = Story::new("history-older");
    story.farm.start();
    story.minutes(3, 31.5);
    story.farm.stop();
    let aside = story.farm.folder.path().join("aside.db");
    fs::copy(story.farm.data().join("tilth.db"), &aside).unwrap();
    story.farm.start();
    story.minutes(3, 21.0);
    story.minutes(3, 31.5);
    story.farm.stop();
    fs::copy(&aside, story.farm.data().join("tilth.db")).unwrap();
    story.farm.start();
    story.minutes(1, 31.5);
    let log = said(&story.farm);
    assert!(log.len() == 1 && log[0].contains("history from 2026-03-01 00:0"), "{log:?}");
    assert!(story.farm.log().contains("a new stream begins: part of the history is missing"), "{}", story.farm.log());
}

#[test]
fn what_is_whole_is_never_said_to_be_missing() {
    let mut story = Story::new("history-whole");
    for round in 0..8 {
        story.farm.start();
        story.minutes(2, if round % 2 == 0 { 31.5 } else { 21.0 });
        story.until_kept();
        match round % 3 {
            0 => story.farm.stop(),
            _ => story.farm.kill(),
        }
        if round == 5 {
            fs::remove_file(story.farm.data().join("history.last")).unwrap();
        }
    }
    // A person who starts over takes the folder away.
    fs::remove_dir_all(story.farm.data()).unwrap();
    story.farm.start();
    story.minutes(1, 21.0);
    assert_eq!(said(&story.farm), Vec::<String>::new());
}

/// While its agent runs, which may write one more file into it meanwhile.
fn delete_folder(farm: &Farm) {
    while let Err(error) = fs::remove_dir_all(farm.data()) {
        assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty, "{error}");
    }
}

#[test]
fn a_data_folder_that_is_deleted_under_the_running_agent_is_made_anew_and_said() {
    let mut story = Story::lived("history-folder");
    story.minutes(2, 31.5);
    let number = story.farm.ask(&["alerts", "--json"]).out;
    let number: serde_json::Value = serde_json::from_str(number.trim()).unwrap();
    let number = number["alert"].to_string();
    assert_eq!(story.farm.ask(&["ack", &number, "--for", "8h", "--by", "anna"]).code, Some(0));
    delete_folder(&story.farm);
    story.minutes(5, 31.5);
    story.farm.until("the folder is there again", |farm| farm.data().join("tilth.db").exists());
    story.farm.until("it is said", |farm| !said(farm).is_empty());
    let log = said(&story.farm);
    assert!(log.len() == 1 && log[0].contains("tilth.db was deleted while the agent ran"), "{log:?}");
    assert!(story.farm.shown().contains("tilth.db was deleted while the agent ran"), "{}", story.farm.shown());
    let pages = story.farm.log().matches("notify ").count();
    story.minutes(5, 31.5);
    story.farm.until("windows are kept", |farm| committed(farm, "windows") >= 4);
    story.farm.until("what is in force is kept, too", |farm| farm.data().join("config.good").exists());
    story.farm.kill();

    // What was in memory is in the new database.
    story.farm.start();
    story.minutes(3, 31.5);
    let rows = story.farm.ask(&["alerts"]).out;
    assert!(rows.contains(&format!("{number} ")) && rows.contains("acknowledged by anna"), "{rows}");
    assert_eq!(story.farm.log().matches("notify ").count(), pages, "{}", story.farm.log());
    assert_eq!(said(&story.farm).len(), 1, "{:?}", said(&story.farm));
    story.farm.stop();
    assert_eq!(events(&story.farm).len(), 1);
}

/// Guards against: a backup that holds nothing.
#[test]
fn a_copy_of_a_young_database_without_its_log_holds_what_happened() {
    let mut story = Story::lived("history-young");
    let copy = story.farm.folder.path().join("copy.db");
    fs::copy(story.farm.data().join("tilth.db"), &copy).unwrap();
    let database = Connection::open(&copy).unwrap();
    let alerts = "SELECT count(*) FROM event WHERE kind = 'alert'";
    let alerts: i64 = database.query_row(alerts, [], |row| row.get(0)).unwrap();
    assert!(alerts >= 12, "{alerts} of 16");
    story.farm.kill();
}

/// Nothing is lost: early in its life all of it is in the log.
#[test]
fn a_young_database_that_was_zeroed_beside_its_log_is_whole() {
    let mut story = Story::lived("history-zeroed");
    let before = committed(&story.farm, "events");
    story.farm.kill();
    rewrite(&story.farm.data().join("tilth.db"), |bytes| bytes.fill(0));
    story.farm.start();
    story.minutes(1, 21.0);
    story.farm.until("it goes on", |farm| committed(farm, "events") > before);
    assert_eq!(said(&story.farm), Vec::<String>::new());
}

#[test]
fn a_run_that_decided_nothing_takes_nothing_away() {
    let mut story = Story::new("history-idle");
    story.farm.start();
    story.minutes(2, 31.5);
    story.farm.stop();
    // On the event-time clock time begins with the first reading.
    story.farm.start();
    story.farm.stop();
    story.farm.start();
    story.minutes(1, 21.0);
    assert_eq!(said(&story.farm), Vec::<String>::new());
}

/// An older copy is moved over the database in use, whose log has what came since: with it nothing is missing, and without it only
/// that is.
#[test]
fn of_a_database_that_is_moved_over_only_what_it_lacks_is_said_to_be_missing() {
    for (name, is_log_deleted) in [("history-moved", false), ("history-moved-log", true)] {
        let mut story = Story::new(name);
        story.farm.start();
        story.minutes(2, 31.5);
        story.minutes(2, 21.0);
        story.farm.until("the alert is kept", |farm| committed(farm, "events") > 2);
        story.farm.stop();
        let stream_before = stream(&story.farm);
        let (database, old) = (story.farm.data().join("tilth.db"), story.farm.folder.path().join("old.db"));
        fs::copy(&database, &old).unwrap();
        story.farm.start();
        story.minutes(2, 31.5);
        let before = committed(&story.farm, "events");
        story.farm.until("what is new is kept", |farm| {
            assert_eq!(farm.ask(&["note", "looked after the pumps", "--by", "anna"]).code, Some(0));
            committed(farm, "events") > before
        });
        let before = committed(&story.farm, "events");
        if is_log_deleted {
            fs::remove_file(log_of(&story.farm)).unwrap();
        }
        fs::rename(&old, &database).unwrap();
        story.minutes(2, 21.0);
        story.farm.until("the agent goes on in the file that is there", |farm| {
            farm.log().contains("another file is in the place of tilth.db")
        });
        if is_log_deleted {
            story.farm.until("what it lacks is said", |farm| !said(farm).is_empty());
            let said = said(&story.farm);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains("history from ") || said[0].contains("history after "), "{said:?}");
            assert!(
                said[0].contains("another database was put in the place of tilth.db while the agent ran"),
                "{said:?}"
            );
        } else {
            story.farm.until("all is there, and what came since", |farm| committed(farm, "events") >= before);
            assert_eq!(said(&story.farm), Vec::<String>::new());
        }
        story.farm.stop();
        let is_whole = events(&story.farm).is_empty();
        assert_eq!(is_whole, !is_log_deleted);
        // Its numbers are given out again, and a hub may have other rows under them.
        assert_eq!(stream(&story.farm) == stream_before, is_whole);
    }
}
