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
}

impl Strangers {
    fn start(test: &str, names: &[&str]) -> Strangers {
        let mut farm = Farm::alone(test, &config(names));
        farm.clock = CLOCK;
        farm.start();
        let status = farm.status().expect("it can be asked");
        let began = Instant::now();
        let now: jiff::Timestamp = status["clock"]["now"].as_str().expect("a time").parse().expect("RFC 3339");
        Strangers { farm, began, began_ms: now.as_millisecond() as f64 }
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
        let refused = status["buses"][0]["stamps_refused"].as_array().expect("a list").clone();
        let one =
            |row: Value| (row["reason"].as_str().expect("a word").to_owned(), row["lines"].as_u64().expect("a count"));
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
    let boards: [(&str, &str, Wrong); 10] = [
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
        thread::sleep(STEP);
    }
    strangers.decided(said);
    for (name, ..) in boards {
        assert!(strangers.is_hot(name), "{name}: nobody is told\n{:#}", strangers.farm.status().unwrap_or_default());
        let sensor = strangers.sensor(name);
        assert!(sensor["age_s"].as_f64().is_some_and(|age| age < 600.0), "{name}: {sensor}");
    }
    let refused = strangers.refused();
    for (name, reason, _) in boards {
        assert!(refused.iter().any(|(known, lines)| known == reason && *lines >= 4), "{name}: {refused:?}");
    }
    // Until it is decided that a clock is an hour behind, its stamps are taken; three boards have such a clock.
    assert!(strangers.late() <= 3 * 4, "{}", strangers.late());
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

/// Without a trusted clock nobody is paged about the light at night, and `status` says how each schedule counts and why.
#[test]
fn a_farm_that_boots_offline_is_not_paged_about_the_night() {
    let light = "[agent]\ntimezone = 'Europe/Amsterdam'\n[sensors.'room/light']\nquantity = 'light'\ninput = 'line:gateway/light'\n\
                 [rules.light-missing-by-day]\nfor = '0s'\n[schedules.evening]\nfrom = '18:00'\nto = '23:00'\n\
                 [rules.dark]\nsensor = 'room/light'\nbelow = 100\nduring = 'evening'\n";
    let mut farm = Farm::alone("clocks-offline", light);
    farm.clock = "system";
    farm.start();
    if farm.status().expect("it can be asked")["clock"]["trust"] != Value::Null {
        // This machine's clock is synchronised: what the night would be is in the engine's own tests.
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
