//! The id of a notification means one notification for the whole life of a device: a receiver that drops what it has by its id, as the
//! documents advise, loses no page, also after failures of the disk or the database.
//!
//! Disks are real ones and need the right to mount; where there is none that case says that it is skipped.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use tilth_tests::live::disk::Disk;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::room::{BEGIN_MS, WITH_LEVEL};

/// A farm, and how far its time has come.
struct Story {
    farm: Farm,
    now_ms: i64,
}

impl Story {
    fn new(name: &str) -> Story {
        Story { farm: Farm::alone(name, WITH_LEVEL), now_ms: BEGIN_MS }
    }

    /// Readings of two minutes.
    fn say(&mut self, temp: f64, level: f64) {
        let mut lines = String::new();
        for _ in 0..12 {
            writeln!(lines, "time={} temp={temp} level={level}", self.now_ms).unwrap();
            self.now_ms += 10_000;
        }
        self.farm.say(lines);
    }

    #[track_caller]
    fn until_told(&mut self, what: &str) {
        self.farm.until(what, |farm| notices(farm).iter().any(|(_, text)| text.contains(what)));
    }

    /// A new alert, and the id of its page.
    fn page(&mut self, temp: f64, level: f64, what: &str) -> String {
        self.say(temp, level);
        self.until_told(what);
        notices(&self.farm).into_iter().rfind(|(_, text)| text.contains(what)).unwrap().0
    }

    /// The numbers of the alerts that are open, by rule.
    fn numbers(&self) -> BTreeMap<String, u64> {
        let rows = self.farm.ask(&["alerts", "--json"]).out;
        let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| (row["rule"].as_str().unwrap().to_owned(), row["alert"].as_u64().unwrap())).collect()
    }
}

/// Ids and texts of everything that the log told people, since the farm was made.
fn notices(farm: &Farm) -> Vec<(String, String)> {
    let log = farm.log();
    let told = log.lines().filter_map(|line| line.strip_prefix("notify ")?.split_once(": "));
    told.map(|(id, text)| (id.to_owned(), text.to_owned())).collect()
}

/// A notification under a known id is the same again, and says so.
#[track_caller]
fn no_id_comes_again(farm: &Farm, case: &str) {
    let mut known = BTreeMap::new();
    for (id, text) in notices(farm) {
        let is_repeat = text.starts_with("Repeat: ");
        let text = text.trim_start_matches("Repeat: ").split(" (").next().unwrap().to_owned();
        match known.get(&id) {
            Some(before) => assert!(is_repeat && *before == text, "{case}: {id} was {before:?} and is {text:?}"),
            None => drop(known.insert(id, text)),
        }
    }
}

/// What happens to the data folder between two runs. `aside` is a copy of it from before the first alert.
type Harm = fn(&Farm, &std::path::Path);

const HARMS: [(&str, Harm); 6] = [
    ("database deleted", |farm, _| {
        for name in ["tilth.db", "tilth.db-wal"] {
            let _ = fs::remove_file(farm.data().join(name));
        }
    }),
    ("database truncated", |farm, _| fs::write(farm.data().join("tilth.db"), "").unwrap()),
    ("database zeroed", |farm, _| {
        let path = farm.data().join("tilth.db");
        let length = fs::metadata(&path).unwrap().len();
        fs::write(path, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }),
    ("data folder deleted", |farm, _| fs::remove_dir_all(farm.data()).unwrap()),
    ("older database swapped in", |farm, aside| {
        let _ = fs::remove_file(farm.data().join("tilth.db-wal"));
        fs::copy(aside.join("tilth.db"), farm.data().join("tilth.db")).unwrap();
    }),
    ("older data folder swapped in", |farm, aside| {
        fs::remove_dir_all(farm.data()).unwrap();
        fs::create_dir(farm.data()).unwrap();
        for file in fs::read_dir(aside).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), farm.data().join(file.file_name())).unwrap();
        }
    }),
];

fn copy(farm: &Farm) -> std::path::PathBuf {
    let aside = farm.folder.path().join("aside");
    fs::create_dir(&aside).unwrap();
    for file in fs::read_dir(farm.data()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), aside.join(file.file_name())).unwrap();
    }
    aside
}

#[test]
fn a_page_after_lost_history_has_an_id_of_its_own() {
    for (case, harm) in HARMS {
        let mut story = Story::new("ids");
        story.farm.start();
        story.say(21.0, 50.0);
        story.farm.until("it is watched", |farm| farm.ask(&["sensors", "--json"]).out.contains("21.0"));
        story.farm.stop();
        let aside = copy(&story.farm);

        story.farm.start();
        let before = story.page(31.5, 50.0, "hot 31.5");
        let number = story.numbers()["hot"];
        story.farm.stop();
        harm(&story.farm, &aside);

        story.farm.start();
        let after = story.page(21.0, 10.0, "low 10");
        assert_ne!(before, after, "{case}");
        no_id_comes_again(&story.farm, case);
        if !case.contains("folder") {
            // An acknowledgement of the old page's number takes on no other alert.
            let taken = story.farm.ask(&["ack", &number.to_string(), "--by", "anna"]);
            assert_eq!(taken.code, Some(1), "{case}: {number}: {taken:?}");
        }
        story.farm.kill();

        // Nothing is wrong any more: what is open is known, and pages go on under ids of their own.
        story.farm.start();
        story.page(31.5, 10.0, "hot 31.5");
        no_id_comes_again(&story.farm, case);
    }
}

#[test]
fn a_page_of_a_run_that_could_not_write_and_was_killed_has_an_id_of_its_own() {
    for case in ["full", "read-only", "never writable"] {
        let mut story = Story::new("ids-disk");
        let Some(disk) = Disk::in_memory(&story.farm.data(), "3m", "ids-disk") else { return };
        story.farm.start();
        story.say(21.0, 50.0);
        story.farm.until("it is watched", |farm| farm.ask(&["sensors", "--json"]).out.contains("21.0"));
        story.farm.stop();
        if case == "never writable" {
            fs::remove_file(story.farm.data().join("tilth.db")).unwrap();
        }
        match case {
            "full" => disk.fill(),
            _ => disk.remount("ro"),
        }
        // Three runs from one state of the disk, each with an alert that the others never heard of.
        let mut ids = Vec::new();
        let mut numbers = Vec::new();
        for (temp, level, what, rule) in
            [(31.5, 50.0, "hot 31.5", "hot"), (21.0, 10.0, "low 10", "low"), (32.5, 50.0, "hot 32.5", "hot")]
        {
            story.farm.start();
            ids.push(story.page(temp, level, what));
            numbers.push(story.numbers()[rule]);
            story.farm.kill();
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3, "{case}: {ids:?}");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 3, "{case}: an old page's number means another alert: {numbers:?}");
        no_id_comes_again(&story.farm, case);
    }
}
