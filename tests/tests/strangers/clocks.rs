//! Stamps of boards whose clock is wrong: 1970, a flat real-time clock, a counter that is taken for a time.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tilth_tests::live::farm::Farm;

/// The agent's clock is that much faster, so that minutes pass in seconds; a line comes each ten of its seconds.
const CLOCK: &str = "x20";
const FASTER: f64 = 20.0;
const STEP: Duration = Duration::from_millis(500);

/// Sensors that are read with their own time, and one rule on all of them.
fn config(names: &[&str]) -> String {
    let mut config = "
        [agent]
        timezone = 'UTC'
        [rules.sensor-silent]
        enabled = false
        [rules.hot]
        sensor = 'room/*'
        above = 30
        severity = 'warning'
        "
    .to_owned();
    for name in names {
        writeln!(
            config,
            "[sensors.'room/{name}']\nquantity = 'temperature'\nmax_rate = 100000\ninput = 'line:gateway/{name}'\n\
             stamp = 'source'"
        )
        .expect("a text");
    }
    config
}

/// A farm on the fast clock, and what time it is there.
struct Strangers {
    farm: Farm,
    began: Instant,
    began_ms: f64,
    /// Readings that were decided before the first of a test, such as that of its bus.
    before: u64,
}

impl Strangers {
    fn start(test: &str, names: &[&str]) -> Strangers {
        let mut farm = Farm::alone(test, &config(names));
        farm.clock = CLOCK;
        farm.start();
        let status = farm.status().expect("it can be asked");
        let began = Instant::now();
        let now: jiff::Timestamp = status["clock"]["now"].as_str().expect("a time").parse().expect("RFC 3339");
        let before = status["readings"]["decided"].as_u64().expect("a count");
        Strangers { farm, began, began_ms: now.as_millisecond() as f64, before }
    }

    /// The agent's time of day, in seconds since 1970.
    fn now(&self) -> f64 {
        self.began_ms / 1000.0 + self.began.elapsed().as_secs_f64() * FASTER
    }

    /// One line: a field, its value, and the line's own time in seconds since 1970.
    fn say(&mut self, field: &str, value: f64, time: f64) {
        self.farm.say(format!("{{\"time\":{time:.3},\"{field}\":{value}}}\n"));
    }

    fn decided(&mut self, readings: u64) {
        let readings = self.before + readings;
        self.farm.until("everything is decided", |farm| {
            farm.status().is_some_and(|status| status["readings"]["decided"].as_u64() >= Some(readings))
        });
    }

    fn sensor(&self, name: &str) -> Value {
        let rows = self.farm.ask(&["sensors", "--json"]).out;
        let mut rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
        rows.find(|row| row["sensor"] == format!("room/{name}")).unwrap_or_else(|| panic!("no sensor {name}"))
    }

    fn is_hot(&self, name: &str) -> bool {
        let sensor = format!("room/{name}");
        let alerts = self.farm.ask(&["alerts", "--json"]).out;
        alerts.lines().any(|line| line.contains("\"hot\"") && line.contains(&sensor))
    }

    /// How many lines were not taken at their own time, by reason.
    fn refused(&self) -> Vec<(String, u64)> {
        let status = self.farm.status().expect("it can be asked");
        let refused = status["buses"][0]["rejected_stamps"].as_array().expect("a list").clone();
        let one = |row: Value| {
            (row["reason"].as_str().expect("a word").to_owned(), row["messages"].as_u64().expect("a count"))
        };
        refused.into_iter().map(one).collect()
    }

    fn late(&self) -> u64 {
        self.farm.status().expect("it can be asked")["readings"]["late"].as_u64().expect("a count")
    }
}

/// Each board speaks rightly, then its clock goes wrong, then the room gets hot: that is noticed, and the wrong clock is named.
#[test]
fn a_board_whose_clock_goes_wrong_is_watched_on_and_named() {
    // What the clock shows, from the true time and from the time since it went wrong, in seconds.
    type Wrong = fn(f64, f64) -> f64;
    let boards: [(&str, &str, Wrong); 16] = [
        ("epoch", "never_set", |_, since| since),
        ("rtc2000", "never_set", |_, since| 946_684_800.0 + since),
        ("gps", "never_set", |now, _| now - 1024.0 * 604_800.0),
        ("millis", "counter", |_, since| 99_950_000.0 + since * 1000.0),
        ("hour", "behind", |now, _| now - 3600.0),
        ("compiled", "behind", |now, _| now - 900_000.0),
        ("frozen", "stands_still", |now, since| now - since - 3000.0),
        ("ahead", "ahead", |now, _| now + 7200.0),
        ("ntp1900", "ahead", |now, _| now + 2_208_988_800.0),
        ("year2038", "ahead", |_, since| 2_147_483_647.0 + since),
        ("since2000", "never_set", |now, _| now - 946_684_800.0),
        ("days", "never_set", |now, _| 25_569.0 + now / 86_400.0),
        ("zone", "behind", |now, _| now - 8.0 * 3600.0),
        ("half-speed", "behind", |now, since| now - 1200.0 - since / 2.0),
        ("restarts", "stands_still", |now, since| now - 259_200.0 - since % 40.0),
        ("micros", "counter", |_, since| 1.5e8 + since * 1e6),
    ];
    let names: Vec<&str> = boards.iter().map(|(name, ..)| *name).collect();
    let mut strangers = Strangers::start("clocks-wrong", &names);
    let mut said = 0;
    let mut wrong_since = None;
    for (round, value) in [20.0; 3].into_iter().chain([21.0; 8]).chain([35.0; 3]).enumerate() {
        for (name, _, wrong) in boards {
            let now = strangers.now();
            let time = if round < 3 { now } else { wrong(now, now - *wrong_since.get_or_insert(now)) };
            strangers.say(name, value, time);
            said += 1;
        }
        // A machine that is late must not read two rounds as one: what comes at once is what was kept.
        strangers.decided(said);
        thread::sleep(STEP);
    }
    for (name, ..) in boards {
        assert!(strangers.is_hot(name), "{name}: no alert\n{:#}", strangers.farm.status().unwrap_or_default());
        let sensor = strangers.sensor(name);
        assert!(sensor["age_s"].as_f64().is_some_and(|age| age < 600.0), "{name}: {sensor}");
    }
    let refused = strangers.refused();
    for (name, reason, _) in boards {
        assert!(refused.iter().any(|(known, lines)| known == reason && *lines >= 4), "{name}: {refused:?}");
    }
    // Until it is decided that a clock is behind, its stamps are taken.
    let behind = boards.iter().filter(|(_, reason, _)| matches!(*reason, "behind" | "stands_still")).count() as u64;
    assert!(strangers.late() <= behind * 4, "{}", strangers.late());
    let (shown, log) = (strangers.farm.shown(), strangers.farm.log());
    for said in ["from a clock that is behind", "never set", "stands still", "counter in the place of a time"] {
        assert!(shown.contains(said) && log.contains(said), "{said}:\n{shown}\n{log}");
    }
}

/// A gateway that was away for three hours sends what it kept, in bursts, and a board behind it restarts at 1970 meanwhile.
#[test]
fn what_a_gateway_kept_is_taken_at_its_own_time() {
    let mut strangers = Strangers::start("clocks-backlog", &["gateway"]);
    let begin = strangers.now() - 3.0 * 3600.0;
    for burst in 0..6 {
        for line in 0..30 {
            strangers.say("gateway", 20.0, begin + f64::from(burst * 30 + line) * 60.0);
        }
        if burst == 2 {
            (0..10).for_each(|second| strangers.say("gateway", 20.0, f64::from(second)));
        }
        thread::sleep(STEP);
    }
    strangers.decided(190);
    assert_eq!(strangers.refused(), [("never_set".to_owned(), 10)]);
    assert_eq!(strangers.late(), 0);
    // What is hot in the newest of it is told.
    strangers.say("gateway", 35.0, begin + 180.0 * 60.0);
    strangers.decided(191);
    assert!(strangers.is_hot("gateway"));
}

/// A gateway uploads each half minute what a board said, whose clock was set when it was built: that is a clock and no backlog,
/// and the alarm works on.
#[test]
fn a_wrong_clock_whose_lines_come_in_bursts_is_replaced_by_arrival() {
    let mut strangers = Strangers::start("clocks-bursts", &["gateway"]);
    let now = strangers.now();
    strangers.say("gateway", 20.0, now);
    let mut said = 1;
    for _ in 0..7 {
        let now = strangers.now() - 9.0 * 86_400.0;
        for line in 0..10 {
            strangers.say("gateway", 40.0, now - 27.0 + f64::from(line) * 3.0);
        }
        said += 10;
        strangers.decided(said);
        thread::sleep(3 * STEP);
    }
    assert!(strangers.is_hot("gateway"), "{:#}", strangers.farm.status().unwrap_or_default());
    assert!(strangers.sensor("gateway")["age_s"].as_f64().is_some_and(|age| age < 600.0));
    let refused = strangers.refused();
    assert!(matches!(&refused[..], [(reason, lines)] if reason == "behind" && *lines >= 40), "{refused:?}");
    // The first bursts might have been a backlog.
    assert!(strangers.late() <= 30, "{}", strangers.late());
}

/// While it sends what it kept, live lines go on: the old ones are late, and nothing is refused.
#[test]
fn old_lines_between_live_ones_are_late_and_no_more() {
    let mut strangers = Strangers::start("clocks-mixed", &["gateway"]);
    let begin = strangers.now() - 3.0 * 3600.0;
    for round in 0..12 {
        let now = strangers.now();
        strangers.say("gateway", 20.0, now);
        for line in 0..round % 3 {
            strangers.say("gateway", 40.0, begin + f64::from(round * 10 + line));
        }
        thread::sleep(STEP);
    }
    strangers.decided(24);
    assert_eq!((strangers.late(), strangers.refused()), (12, Vec::new()));
    assert!(!strangers.is_hot("gateway"), "what was hot is long ago");
}

/// Without a trusted clock no page is sent about the light at night, and `status` says how each schedule counts and why.
#[test]
fn a_farm_that_boots_offline_is_not_paged_about_the_night() {
    let light = "[agent]\ntimezone = 'Europe/Amsterdam'\n[sensors.'room/light']\nquantity = 'light'\ninput = 'line:gateway/light'\n\
                 [rules.light-missing-by-day]\nfor = '0s'\n[schedules.evening]\nfrom = '18:00'\nto = '23:00'\n\
                 [rules.dark]\nsensor = 'room/light'\nbelow = 100\nduring = 'evening'\n";
    let mut farm = Farm::alone("clocks-offline", light);
    farm.clock = "system";
    farm.start();
    if farm.status().expect("it can be asked")["clock"]["trust"] != Value::Null {
        // The clock of this machine is synchronised: what the night would be is in the engine's own tests.
        return;
    }
    farm.say("light=0\n");
    farm.until("the alert of the schedule that counts as open", |farm| farm.log().contains("dark"));
    assert!(!farm.ask(&["alerts"]).out.contains("light-missing-by-day"), "{}", farm.ask(&["alerts"]).out);
    let shown = farm.shown();
    for said in [
        "evening: counts as open: the clock is not trusted (18:00 to 23:00 Europe/Amsterdam)",
        "midday: counts as closed: the clock is not trusted (10:30 to 14:30 Europe/Amsterdam)",
    ] {
        assert!(shown.contains(said), "{said}\n{shown}");
    }
    farm.stop();
    // A clock with a battery is believed at boot.
    let site = std::fs::read_to_string(farm.folder.path().join("etc/agent.toml")).expect("agent.toml");
    farm.folder.write("etc/agent.toml", site.replace("[device]\n", "[device]\nclock = 'rtc'\n"));
    farm.start();
    let status = farm.status().expect("it can be asked");
    assert_eq!(status["clock"]["trust"], "rtc", "{:#}", status["clock"]);
    let schedules = status["schedules"].as_array().expect("a list");
    assert!(schedules.iter().all(|row| row["trusted"] == true && row["until"].is_string()), "{schedules:?}");
    assert_eq!(schedules.len(), 2);
}

/// One stamp of a broken chip before what a radio held back: that is in time all the same.
#[test]
fn after_a_stamp_in_the_future_true_ones_are_not_late() {
    let mut strangers = Strangers::start("clocks-future", &["first", "later"]);
    let now = strangers.now();
    strangers.say("later", 20.0, now - 300.0);
    for name in ["first", "later"] {
        strangers.say(name, 20.0, 6_171_000_000.0);
        for line in 0..10 {
            strangers.say(name, 20.0, now - 200.0 + f64::from(line) * 10.0);
        }
    }
    // Also one that cannot be read, and one that is not there.
    strangers.farm.say("{\"time\":\"2165-165-165T165:165:85Z\",\"later\":20}\n{\"later\":20}\n");
    strangers.say("later", 35.0, now - 50.0);
    strangers.decided(26);
    assert_eq!(strangers.late(), 0);
    assert!(strangers.is_hot("later"));
    assert_eq!(strangers.refused(), [("none".to_owned(), 2), ("ahead".to_owned(), 2)]);
}

/// What people read is local time, also while an hour comes twice; what programs read is UTC.
#[test]
fn people_read_the_farms_own_time_and_programs_utc() {
    let mut farm = Farm::alone("clocks-local", &config(&["air"]).replace("'UTC'", "'Europe/Amsterdam'"));
    let say = |farm: &mut Farm, time: &str, value: f64| {
        farm.say(format!("{{\"time\":\"{time}\",\"air\":{value}}}\n"));
        farm.until("it is decided", |farm| farm.ask(&["sensors", "--json"]).out.contains(time));
    };
    farm.start();
    say(&mut farm, "2026-10-24T20:30:00Z", 35.0);
    say(&mut farm, "2026-10-24T22:40:00Z", 35.0);
    let ask = |farm: &Farm, arguments: &[&str]| {
        let run = farm.ask(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.err);
        run.out
    };
    // The alert is of the evening before, local time.
    assert!(farm.log().contains("since 2026-10-24 22:30"), "{}", farm.log());
    assert!(ask(&farm, &["alerts"]).contains("  2026-10-24 22:30  "), "{}", ask(&farm, &["alerts"]));
    assert!(ask(&farm, &["alerts", "--json"]).contains("\"since\":\"2026-10-24T20:30:00Z\""));
    // Until the second 02:10, which is in winter time.
    let silenced = ask(&farm, &["silence", "--rule", "hot", "--for", "150m", "--by", "kim"]);
    assert!(silenced.contains("until 02:10 CET;"), "{silenced}");
    assert!(ask(&farm, &["silence"]).contains("  02:10 CET  "), "{}", ask(&farm, &["silence"]));
    let acknowledged = ask(&farm, &["ack", "1", "--for", "90m"]);
    assert!(acknowledged.contains("until 02:10 CEST;"), "{acknowledged}");
    let shown = farm.shown();
    assert!(shown.contains("2026-10-25 00:40:00, input") && shown.contains("until 02:10 CET, by kim"), "{shown}");
    let status = farm.status().expect("it can be asked");
    assert_eq!(status["clock"]["now"], "2026-10-24T22:40:00Z");

    let csv = "time,room/air\n2026-10-25T00:30:00Z,35\n2026-10-25T01:30:00Z,20\n";
    let csv = farm.folder.write("fold.csv", csv);
    let page = farm.folder.path().join("page.html");
    let run = |options: &[&str]| {
        let mut call = std::process::Command::new(tilth_tests::agent::program());
        call.arg("replay").arg("--config").arg(farm.folder.path().join("etc")).arg("--input").arg(&csv).args(options);
        tilth_tests::agent::run(call, &[])
    };
    let text = run(&["--report", page.to_str().expect("UTF-8")]);
    assert!(text.out.contains("2026-10-25 02:30:00 CEST  firing"), "{}", text.out);
    assert!(text.out.contains("2026-10-25 02:30:00 CET   resolved"), "{}", text.out);
    assert!(text.err.contains("2026-10-25 02:30:00 CEST to 2026-10-25 02:30:00 CET (1h)"), "{}", text.err);
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains("2026-10-25 02:30:00 CEST to 2026-10-25 02:30:00 CET"), "{page}");
    assert!(run(&["--json"]).out.contains("\"at\":\"2026-10-25T00:30:00Z\""));

    // A farm that names no time zone reads UTC, and that is said.
    farm.folder.write("etc/config.d/farm.toml", config(&["air"]).replace("timezone = 'UTC'", ""));
    assert!(run(&[]).out.contains("2026-10-25 00:30:00 UTC   firing"), "{}", run(&[]).out);
    farm.until("the new configuration", |farm| farm.ask(&["alerts"]).out.contains("  20:30 UTC  "));
}

/// One stamp in 2038 neither makes years of notifications nor hides the rest of a recording, and a clock that was not set yet at
/// its start makes no gap of decades. Each such line is named.
#[test]
fn a_recording_with_times_that_cannot_be_true_is_replayed_without_them() {
    let farm = tilth_tests::agent::Farm::new("clocks-replay", &config(&["air"]).replace("enabled = false", ""));
    let minute = |minute: i64, value: i64| {
        let at = jiff::Timestamp::from_second(1_772_344_800 + minute * 60).expect("a time");
        format!("{at},room/air,{value}\n")
    };
    let part = |minutes: std::ops::Range<i64>, value| minutes.map(|at| minute(at, value)).collect::<String>();
    let right = format!("time,sensor,value\n{}{}", part(0..60, 20), part(60..90, 35));
    let expected = farm.replay(&right, &["--json"]);
    let wrong = format!(
        "time,sensor,value\n1970-01-01T00:00:03Z,room/air,20\n1970-01-01T00:00:33Z,room/air,20\n{}\
         2038-01-19T03:14:07Z,room/air,20\n{}{}2106-02-07T06:28:15Z,room/air,20\n",
        part(0..30, 20),
        part(30..60, 20),
        part(60..90, 35)
    );
    let run = farm.replay(&wrong, &["--json"]);
    assert_eq!((run.code, &run.out), (Some(0), &expected.out), "{}", run.err);
    let summary: Value = serde_json::from_str(run.err.lines().last().expect("a summary")).expect("an object");
    assert_eq!(summary["refused_lines"], 4, "{summary}");
    let text = farm.replay(&wrong, &[]).err;
    for said in [
        "refused   4 lines with a time that cannot be true: not played",
        "line 2 is stamped 1970-01-01 00:00:03 UTC: from a clock that was not set, in a file of later years",
        "line 34 is stamped 2038-01-19 03:14:07 UTC: far ahead of the lines before and after it",
        "line 95 is stamped 2106-02-07 06:28:15 UTC: far ahead of the lines before it, with too few after it to confirm it",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    // A year without data is a year without data.
    let gap = format!("time,sensor,value\n{}{}", part(0..30, 20), part(525_600..525_700, 20));
    let run = farm.replay(&gap, &["--json"]);
    assert!(run.err.contains("\"refused_lines\":0") && run.out.contains("sensor-silent"), "{}", run.err);
}

/// Nothing was recorded later than now, however many lines say so; and a stamp less than an hour ahead hides nothing either. What
/// was made up for a later day is played.
#[test]
fn lines_of_the_future_and_lines_ahead_of_their_sensor_are_replayed_without_them() {
    let farm = tilth_tests::agent::Farm::new("clocks-ahead", &config(&["air", "soil"]).replace("enabled = false", ""));
    let line = |second: i64, sensor: &str, value: i64| {
        let at = jiff::Timestamp::from_second(second).expect("a time");
        format!("{at},room/{sensor},{value}\n")
    };
    let begin = 1_772_344_800;
    let value = |minute: i64| if minute < 110 { 20 } else { 35 };
    let recording = |stamp: &dyn Fn(i64) -> i64, lines: i64| {
        let lines = (0..lines).map(|minute| line(begin + 60 * stamp(minute), "air", value(minute)));
        std::iter::once("time,sensor,value\n".to_owned()).chain(lines).collect::<String>()
    };
    let right = farm.replay(recording(&|minute| minute, 200), &["--json"]).out;
    assert!(right.contains("\"rule\":\"hot\""), "{right}");
    // The end of the file: a board whose clock went wrong for good.
    for (what, year) in [("2038", 2_147_483_640), ("2106", 4_294_967_240), ("2099", 4_070_908_800)] {
        for lines in [1, 5, 6, 300] {
            let wrong: String = (0..lines).map(|minute| line(year + 60 * minute, "air", 20)).collect();
            let run = farm.replay(&(recording(&|minute| minute, 200) + &wrong), &["--json"]);
            let summary: Value = serde_json::from_str(run.err.lines().last().expect("a summary")).expect("an object");
            assert_eq!((run.out, &summary["refused_lines"]), (right.clone(), &lines.into()), "{what}: {summary}");
        }
    }
    // One line that is ahead, in the place of a true one.
    for ahead in [5, 30, 59, 120] {
        let wrong = recording(&|minute| if minute == 100 { minute + ahead } else { minute }, 200);
        let run = farm.replay(&wrong, &["--json"]);
        assert_eq!(run.out, right, "{ahead}");
        assert!(run.err.contains("\"refused_lines\":1"), "{}", run.err);
        let text = farm.replay(&wrong, &[]).err;
        assert!(
            text.contains("line 102 is stamped") && text.contains("far ahead of the lines before and after"),
            "{text}"
        );
    }
    // Two boards whose clocks differ, in turn: that is no line ahead.
    let both = |minute: i64| line(begin + 60 * minute, "air", 20) + &line(begin + 60 * (minute + 12), "soil", 20);
    let text: String = std::iter::once("time,sensor,value\n".to_owned()).chain((0..200).map(both)).collect();
    let run = farm.replay(&text, &["--json"]);
    assert!(run.err.contains("\"refused_lines\":0"), "{}", run.err);
    // Made up for 2199.
    let later: String = (0..200).map(|minute| line(7_200_000_000 + 60 * minute, "air", value(minute))).collect();
    let run = farm.replay(format!("time,sensor,value\n{later}"), &["--json"]);
    assert!(run.err.contains("\"refused_lines\":0") && run.out.contains("\"rule\":\"hot\""), "{}", run.err);
}
