//! What an agent stored leaves it as CSV and as SQLite while it runs, and comes back through a replay.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tilth_tests::agent::{Run, Transition, program};
use tilth_tests::live::disk::Disk;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::room::{BEGIN_MS, MINUTE_MS, WITH_LEVEL};
use tilth_tests::workspace;

/// Between two readings.
const STEP_MS: i64 = 10_000;

const SECRET: &str = "tk_hunterQuokka";

/// A farm and what its board said: time, temperature and level.
struct Story {
    farm: Farm,
    said: Vec<(i64, f64, f64)>,
}

impl Story {
    /// Half an hour with a hot five minutes and a low tank.
    fn new(name: &str) -> Story {
        let phone =
            "[notifications.phone]\nkind = 'ntfy'\nurl = 'http://127.0.0.1:1'\ntopic = 'farm'\ntoken = 'secret:ntfy'\n";
        let farm = Farm::alone(name, &format!("{WITH_LEVEL}{phone}"));
        let secret = farm.folder.write("etc/secrets/ntfy", SECRET);
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
        let mut story = Story { farm, said: Vec::new() };
        story.farm.start();
        for (minutes, temp, level) in [(10, 21.0, 50.0), (5, 31.5, 50.0), (5, 22.25, 50.0), (10, 26.5, 10.0)] {
            story.minutes(minutes, temp, level);
        }
        story
    }

    /// Readings of so many minutes, all of them decided, and all but those of the last minute stored, a minute or less at once.
    fn minutes(&mut self, minutes: i64, temp: f64, level: f64) {
        (0..minutes).for_each(|_| self.minute(temp, level));
    }

    fn minute(&mut self, temp: f64, level: f64) {
        let mut lines = String::new();
        for _ in 0..MINUTE_MS / STEP_MS {
            let now = self.said.last().map_or(BEGIN_MS, |(at, ..)| at + STEP_MS);
            writeln!(lines, "time={now} temp={temp} level={level}").unwrap();
            self.said.push((now, temp, level));
        }
        self.farm.say(lines);
        let last = self.said.last().unwrap().0;
        self.farm.until_decided(&["room/temp", "room/level"], last);
        let stored = rfc3339(last - MINUTE_MS);
        self.farm.until("they are stored", |farm| {
            let csv = farm.ask(&["export", "--data", farm.data().to_str().unwrap()]).out;
            rows(&csv).iter().any(|row| row["sensor"] == "room/temp" && row["time"] >= stored)
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.farm.folder.path().join(name)
    }

    /// Runs a command over the socket, and beside the data of this farm.
    fn ask(&self, arguments: &[&str]) -> Run {
        let data = self.farm.data();
        self.farm.ask(&[arguments, &["--data", data.to_str().unwrap()]].concat())
    }

    #[track_caller]
    fn export(&self, arguments: &[&str]) -> Run {
        let run = self.ask(&[&["export"], arguments].concat());
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.err);
        run
    }

    /// The transitions of two rules in a replay under a configuration.
    #[track_caller]
    fn replay(&self, config: &Path, arguments: &[&str]) -> (Vec<Transition>, Run) {
        let common = ["replay", "--json", "--config", config.to_str().unwrap()];
        let run = self.ask(&[&common, arguments].concat());
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.err);
        let own = |transition: &Transition| ["hot", "low"].iter().any(|rule| transition.rule.as_deref() == Some(rule));
        (run.transitions().into_iter().filter(own).collect(), run)
    }
}

/// Lines of CSV without quotes, by their columns.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = csv.split("\r\n");
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row =
        |line: &str| header.iter().map(|name| (*name).to_owned()).zip(line.split(',').map(str::to_owned)).collect();
    lines.filter(|line| !line.is_empty()).map(row).collect()
}

/// Files of exports that were not finished.
fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "new")).collect()
}

fn rfc3339(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn count(transitions: &[Transition], rule: &str, event: &str) -> usize {
    transitions.iter().filter(|transition| transition.is(rule, event)).count()
}

#[test]
fn readings_of_a_running_agent_come_back_through_a_replay_to_the_same_alerts() {
    let mut story = Story::new("export-replay");
    story.minutes(2, 26.5, 10.0);
    let csv = story.path("readings.csv");
    let run = story.export(&["--out", csv.to_str().unwrap()]);
    assert!(run.out.is_empty() && run.err.contains("readings.csv: ") && run.err.contains(" readings"), "{run:?}");
    let text = fs::read_to_string(&csv).unwrap();
    let found: Vec<(String, f64)> = rows(&text)
        .into_iter()
        .filter(|row| row["sensor"] == "room/temp" && row["unit"] == "C" && !row["uptime_s"].is_empty())
        .map(|row| (row["time"].clone(), row["value"].parse().unwrap()))
        .collect();
    let said: Vec<(String, f64)> = story.said.iter().map(|(at, temp, _)| (rfc3339(*at), *temp)).collect();
    assert!(found.len() >= 30 * 6 && found.len() <= said.len(), "{} of {}", found.len(), said.len());
    assert_eq!(found, said[..found.len()]);

    let (etc, sqlite) = (story.path("etc"), story.path("farm.sqlite"));
    story.export(&["--sqlite", sqlite.to_str().unwrap()]);
    let (of_csv, _) = story.replay(&etc, &["--input", csv.to_str().unwrap()]);
    let (of_agent, run) = story.replay(&etc, &["--store"]);
    let (of_file, _) = story.replay(&etc, &["--store", sqlite.to_str().unwrap()]);
    assert_eq!((count(&of_csv, "hot", "firing"), count(&of_csv, "low", "firing")), (1, 1), "{of_csv:#?}");
    assert_eq!((&of_agent, &of_file), (&of_csv, &of_csv));
    assert!(run.summary().readings >= 2 * 30 * 6, "{}", run.err);
    // What live people were told.
    let live = story.farm.ask(&["alerts", "--since", "2026-03-01T00:00", "--json"]).out;
    assert_eq!(live.lines().filter(|line| line.contains("\"rule\":\"hot\"")).count(), 1, "{live}");

    // Other rules: the last twelve minutes are hot, too.
    let new = story.farm.folder.write("new/config.d/farm.toml", WITH_LEVEL.replace("above = 30", "above = 25"));
    let new = new.parent().unwrap().parent().unwrap();
    let (of_new, _) = story.replay(new, &["--store"]);
    assert_eq!((count(&of_new, "hot", "firing"), count(&of_new, "low", "firing")), (2, 1), "{of_new:#?}");
    // The first twenty minutes of them.
    let (early, _) = story.replay(new, &["--store", "--until", "2026-03-01T00:20Z"]);
    let (of_file, _) = story.replay(new, &["--store", sqlite.to_str().unwrap(), "--until", "2026-03-01T00:20Z"]);
    assert_eq!((count(&early, "hot", "firing"), count(&early, "low", "firing")), (1, 0), "{early:#?}");
    assert_eq!(of_file, early);

    // A later version may mean something else by a column of the same name.
    Connection::open(&sqlite).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let later = story.ask(&["replay", "--config", etc.to_str().unwrap(), "--store", sqlite.to_str().unwrap()]);
    assert!(later.code == Some(1) && later.err.contains("layout 2; this version knows up to 1"), "{later:?}");
}

/// The columns that docs/export.md names, by view.
fn documented() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(workspace().join("docs/export.md")).unwrap();
    let (mut views, mut view) = (BTreeMap::<String, Vec<String>>::new(), None);
    for line in page.lines() {
        let name = line.strip_prefix("| column of `").and_then(|rest| rest.split('`').next());
        view = if line.starts_with('|') { name.map(str::to_owned).or(view) } else { None };
        let column = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
        if let (Some(view), Some(column)) = (&view, column) {
            views.entry(view.clone()).or_default().push(column.to_owned());
        }
    }
    views
}

#[test]
fn the_sqlite_file_has_the_views_that_the_page_describes_and_no_secret() {
    let mut story = Story::new("export-sqlite");
    let note = "canister \"acid\", new\nfilled";
    assert_eq!(story.farm.ask(&["note", note, "--by", "anna"]).code, Some(0));
    story.minutes(2, 26.5, 50.0);
    let sqlite = story.path("farm.sqlite");
    let named = sqlite.to_str().unwrap();
    let notes = |story: &Story| story.export(&["notes"]).out.contains("canister");
    story.farm.until("the note is stored", |farm| farm.ask(&["notes", "--json"]).out.contains("canister"));
    story.farm.until("both alerts are over in the store", |farm| {
        let past = farm.ask(&["alerts", "--since", "2026-03-01T00:00", "--json"]).out;
        past.lines().filter(|line| line.contains("\"is_over\":true")).count() == 2
    });
    assert!(notes(&story));
    story.export(&["--sqlite", named]);

    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(&sqlite, flags).unwrap();
    let text = |sql: &str| database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let views = "SELECT m.name, p.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS p WHERE m.type = 'view' ORDER BY p.cid";
    let mut select = database.prepare(views).unwrap();
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for column in select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        let (view, column): (String, String) = column.unwrap();
        found.entry(view).or_default().push(column);
    }
    assert_eq!(found, documented());

    assert!(number("SELECT count(*) FROM readings WHERE sensor = 'room/temp' AND quality = 'good'") >= 30 * 6 - 3);
    assert_eq!(text("SELECT min(time) FROM readings WHERE sensor = 'room/temp'"), rfc3339(BEGIN_MS));
    assert_eq!(
        number(
            "SELECT count FROM windows WHERE minutes = 1 AND sensor = 'room/level' AND time = '2026-03-01T00:05:00.000Z'"
        ),
        6
    );
    assert_eq!(
        number("SELECT count FROM windows WHERE minutes = 15 AND sensor = 'room/level' ORDER BY time LIMIT 1"),
        90
    );
    assert_eq!(text("SELECT text FROM notes WHERE by = 'anna'"), note);
    let alert = "SELECT group_concat(rule || ' ' || is_over || ' ' || substr(fired, 1, 16)) FROM alerts WHERE rule IN ('hot', 'low')";
    assert_eq!(text(alert), "hot 1 2026-03-01T00:10,low 1 2026-03-01T00:20");
    let out = story.export(&["alerts"]).out;
    assert!(out.starts_with("alert,zone,rule,sensor,") && out.contains(",room,hot,room/temp,warning,"), "{out}");
    assert!(story.export(&["notes"]).out.contains("Z,anna,\"canister \"\"acid\"\", new\nfilled\","), "{out}");

    // A file is replaced only where that is said, and the agent's own never.
    let again = story.ask(&["export", "--sqlite", named]);
    assert!(
        again.code == Some(2) && again.err.contains("there is a file already; --overwrite replaces it"),
        "{again:?}"
    );
    story.export(&["--sqlite", named, "--overwrite", "--sensor", "room/level", "--since", "2026-03-01T00:10Z"]);
    let database = Connection::open_with_flags(&sqlite, flags).unwrap();
    let rest = "SELECT min(time) || ' ' || count(DISTINCT sensor) FROM readings";
    let rest: String = database.query_row(rest, [], |row| row.get(0)).unwrap();
    assert_eq!(rest, "2026-03-01T00:10:00.000Z 1");
    // Such as /dev/null, which the whole machine would lack.
    let (pipe, link) = (story.path("pipe"), story.path("link"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink(&sqlite, &link).unwrap();
    for (other, option) in [(&pipe, "--out"), (&link, "--sqlite"), (&story.path("etc"), "--out")] {
        let kind = || fs::symlink_metadata(other).unwrap().file_type();
        let before = kind();
        let run = story.ask(&["export", option, other.to_str().unwrap(), "--overwrite"]);
        assert!(run.code == Some(2) && run.err.contains("it is no file; expected a new name"), "{run:?}");
        assert_eq!(kind(), before, "{}", other.display());
    }
    let own = story.farm.data().join("tilth.db");
    let own = story.ask(&["export", "--sqlite", own.to_str().unwrap(), "--overwrite"]);
    assert!(own.code == Some(2) && own.err.contains("that is the agent's data folder"), "{own:?}");
    let unknown = story.ask(&["export", "--sensor", "room/tmp"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("did you mean room/temp?"), "{unknown:?}");
    assert!(unfinished(&story.path("")).is_empty());

    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
    assert!(holds(&fs::read(story.path("etc/secrets/ntfy")).unwrap()));
    story.export(&["--sqlite", named, "--overwrite"]);
    assert!(!holds(&fs::read(&sqlite).unwrap()));
    assert!(!holds(story.export(&["events"]).out.as_bytes()));
}

#[test]
fn a_killed_export_leaves_no_file_and_a_full_disk_an_error() {
    let story = Story::new("export-killed");
    let (sqlite, data) = (story.path("farm.sqlite"), story.farm.data());
    let mut cut = 0;
    for wait in 0..40 {
        let mut call = Command::new(program());
        call.args(["export", "--sqlite"])
            .arg(&sqlite)
            .arg("--socket")
            .arg(story.farm.socket())
            .arg("--data")
            .arg(&data);
        let mut export = call.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        export.kill().unwrap();
        export.wait().unwrap();
        let left = unfinished(&story.path(""));
        cut += left.len();
        left.iter().for_each(|file| fs::remove_file(file).unwrap());
        if sqlite.exists() {
            let database = Connection::open_with_flags(&sqlite, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(check, "ok", "after {wait} ms");
            fs::remove_file(&sqlite).unwrap();
        }
    }
    assert!(cut > 0, "no export was killed while it wrote");
    let foreign = story.farm.folder.write("farm.sqlite.new", "of somebody");
    story.export(&["--sqlite", sqlite.to_str().unwrap()]);
    assert_eq!(unfinished(&story.path("")), [&*foreign]);
    assert_eq!(fs::read_to_string(foreign).unwrap(), "of somebody");

    let stick = story.path("stick");
    let Some(_disk) = Disk::in_memory(&stick, "12k", "export-full") else { return };
    for (option, name) in [("--sqlite", "farm.sqlite"), ("--out", "farm.csv")] {
        let file = stick.join(name);
        let run = story.ask(&["export", option, file.to_str().unwrap()]);
        let said = format!("{name}: the disk is full, and nothing was written there");
        assert!(run.code == Some(1) && run.err.contains(&said), "{run:?}");
        assert_eq!(fs::read_dir(&stick).unwrap().count(), 0, "{option}");
    }
}

/// Guards against: history that is deleted, and doses that are refused, to make room for an export of it.
#[test]
fn an_export_leaves_the_room_on_the_agents_disk_that_the_agent_needs() {
    let story = Story::new("export-own-disk");
    let (card, elsewhere) = (story.path("card"), story.path("elsewhere.csv"));
    let Some(_disk) = Disk::in_memory(&card, "8m", "export-own-disk") else { return };
    let data = card.join("data");
    fs::create_dir(&data).unwrap();
    let ask = |arguments: &[&str]| story.farm.ask(&[arguments, &["--data", data.to_str().unwrap()]].concat());
    for (option, name) in [("--sqlite", "farm.sqlite"), ("--out", "farm.csv")] {
        let file = card.join(name);
        let run = ask(&["export", option, file.to_str().unwrap()]);
        let said = format!("{name}: not written: {} is on the disk of the agent's data, which has ", card.display());
        assert!(run.code == Some(1) && run.err.contains(&said), "{run:?}");
        assert!(run.err.contains("name a folder on another disk, or export less (--since 7d)"), "{run:?}");
        assert_eq!(fs::read_dir(&card).unwrap().count(), 1, "{option}");
    }
    let mut call = Command::new(program());
    call.args(["export", "--socket"]).arg(story.farm.socket()).arg("--data").arg(&data);
    let redirected = call.stdout(File::create(card.join("all.csv")).unwrap()).stderr(Stdio::piped()).output();
    let run = Run::of(redirected.unwrap());
    let said = "/dev/stdout is on the disk of the agent's data, which has ";
    assert!(run.code == Some(1) && run.err.contains(said), "{run:?}");
    // What takes no room there is exported.
    for what in ["readings", "minutes", "events"] {
        let run = ask(&["export", what]);
        assert!(run.code == Some(0) && run.out.lines().count() > 2, "{what}: {}", run.err);
    }
    let run = ask(&["export", "--out", elsewhere.to_str().unwrap()]);
    assert!(run.code == Some(0) && elsewhere.exists(), "{run:?}");
}

#[test]
fn the_database_of_an_agent_that_is_stopped_or_was_killed_is_read_and_stays_as_it_is() {
    for (name, is_killed) in [("export-stopped", false), ("export-cut", true)] {
        let mut story = Story::new(name);
        if is_killed {
            story.farm.kill();
        } else {
            story.farm.stop();
        }
        let content = |name: &str| fs::read(story.farm.data().join(name)).unwrap_or_default();
        let files = ["tilth.db", "tilth.db-wal"];
        let before = files.map(content);
        let out = story.export(&[]).out;
        assert!(rows(&out).iter().filter(|row| row["sensor"] == "room/temp").count() >= 29 * 6, "{name}");
        assert!(!story.replay(&story.path("etc"), &["--store"]).0.is_empty());
        let copy = story.path("copy.db");
        fs::copy(story.farm.data().join("tilth.db"), &copy).unwrap();
        let after = files.map(content);
        assert!(before == after, "{name}: an export changed the database");
        story.farm.start();
        let status = story.farm.ask(&["status"]).out;
        assert!(!status.contains("missing") && !story.farm.log().contains("is missing"), "{name}: {status}");
        if !is_killed {
            // Anywhere, such as at the desk of whoever helps.
            let etc = story.path("etc");
            assert!(!story.replay(&etc, &["--store", copy.to_str().unwrap()]).0.is_empty());
        }
        let gone = Command::new(program()).args(["export", "--data", "/nonexistent"]).output().unwrap();
        let said = String::from_utf8_lossy(&gone.stderr).into_owned();
        assert!(gone.status.code() == Some(1) && said.contains("there is no /nonexistent/tilth.db"), "{said}");
    }
}

/// Guards against: a report whose first weeks are missing, and nobody who says so.
#[test]
fn an_export_that_begins_later_than_was_wanted_says_when_it_begins() {
    let mut story = Story::new("export-late");
    story.farm.stop();
    let database = Connection::open(story.farm.data().join("tilth.db")).unwrap();
    database.execute("DELETE FROM raw WHERE id <= (SELECT max(id) * 3 / 4 FROM raw)", []).unwrap();
    drop(database);
    let said = "later than --since: older ones are not stored; minutes and quarters may go back further";
    let late = story.export(&["--since", "2026-03-01T00:00Z"]);
    let first = rows(&late.out)[0]["time"].clone();
    assert!(late.err.contains(said) && late.err.contains("readings begin at 2026-03-01 00:2"), "{first}: {}", late.err);
    assert!(first.as_str() > "2026-03-01T00:20", "{first}");
    let sqlite = story.path("farm.sqlite");
    let both = story.export(&["--sqlite", sqlite.to_str().unwrap(), "--since", "2026-03-01T00:00Z"]);
    assert!(both.err.contains(said) && both.err.matches(" begin at ").count() == 1, "{}", both.err);
    // Also where the whole span is before them.
    let before = story.export(&["--since", "2026-03-01T00:00Z", "--until", "2026-03-01T00:10Z"]);
    assert!(before.err.contains("nothing in this time\nreadings begin at 2026-03-01 00:2"), "{}", before.err);
    assert!(before.err.contains(&format!(" UTC, {said}")) && !before.err.contains("UTC UTC"), "{}", before.err);
    // Readings are there from then on, minutes from the beginning, and without --since nothing was wanted.
    for whole in [&["--since", "2026-03-01T00:28Z"][..], &["minutes", "--since", "2026-03-01T00:00Z"], &[]] {
        let run = story.export(whole);
        assert!(run.out.lines().count() > 5 && !run.err.contains(" begin at "), "{whole:?}: {}", run.err);
    }
}
