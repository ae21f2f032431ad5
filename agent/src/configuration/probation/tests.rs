//! Timelines of one second a step: what the sensors say under another configuration, and what that comes to.

use tilth_config::{Document, Layer, Purpose, base, load_documents};
use tilth_core::time::WallTime;

use super::*;

/// Two sensors on one bus and one figure of the machine.
const FARM: &str = "
[sensors.'room/temp']
quantity = 'temperature'
input = 'line:gateway/temp'
interval = '2s'
range = [-20, 60]
[sensors.'room/hum']
quantity = 'humidity'
input = 'line:gateway/hum'
interval = '1m'
[sensors.'pi/load']
quantity = 'count'
resolution = 0.01
input = 'host:load'
interval = '10s'
";

fn config(farm: &str) -> SensorConfig {
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", farm));
    let buses = [("gateway", "line"), ("spare", "line"), ("main", "i2c")];
    let buses = buses.map(|(bus, kind)| format!("[bus.{bus}]\nkind = '{kind}'\nport = '/dev/{bus}'\n"));
    documents.agent_toml = Some(Document::agent_toml(&format!("[device]\nid = 'pi'\n{}", buses.concat())));
    let loaded = load_documents(documents, Purpose::Run);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    SensorConfig { plan: Arc::new(loaded.plan.unwrap()), input_settings: Arc::new(loaded.input_settings) }
}

fn stamp(secs: i64) -> Stamp {
    Stamp { boot: 1, uptime: Uptime(secs * 1000), wall: Some(WallTime(1_772_323_200_000 + secs * 1000)) }
}

/// A farm at one second: all is well and no new reading comes, unless a test says otherwise.
#[derive(Clone)]
struct Farm(Observation);

impl Farm {
    fn new() -> Farm {
        let observed = Observed {
            newest: Some(stamp(0)),
            is_good: true,
            silent_for: Span::from_secs(1),
            spacing: None,
            problem: None,
        };
        let sensors = ["room/temp", "room/hum", "pi/load"].map(|id| (SensorId::new(id).unwrap(), observed.clone()));
        let bus =
            |id: &str| (Id::new(id).unwrap(), BusActivity { is_up: true, traffic: 100, failures: 2, failed: None });
        Farm(Observation {
            at: Uptime(0),
            sensors: sensors.into(),
            buses: [bus("gateway"), bus("spare"), bus("main")].into(),
            memory: Some(10 << 20),
        })
    }

    fn sensor(&mut self, id: &str) -> &mut Observed {
        self.0.sensors.get_mut(id).unwrap()
    }

    fn bus(&mut self, id: &str) -> &mut BusActivity {
        self.0.buses.get_mut(&Id::new(id).unwrap()).unwrap()
    }

    /// The sensor has a value of this second.
    fn says(&mut self, id: &str, is_good: bool) {
        let newest = Some(Stamp { boot: 1, ..stamp(self.0.at.0 / 1000) });
        *self.sensor(id) =
            Observed { newest, is_good, problem: (!is_good).then(|| "doubt".to_owned()), ..self.sensor(id).clone() };
    }

    /// The bus carries something, also for another sensor.
    fn carries(&mut self) {
        self.bus("gateway").traffic += 10;
    }
}

/// What becomes of a change of the farm, and in which second, when each second brings this.
fn judge(now: &str, each: impl FnMut(i64, &mut Farm)) -> (i64, ProbationResult) {
    judge_from(&Farm::new(), now, each)
}

fn judge_from(farm: &Farm, now: &str, each: impl FnMut(i64, &mut Farm)) -> (i64, ProbationResult) {
    judge_change(farm, (FARM, now), each)
}

fn judge_change(
    farm: &Farm,
    (before, now): (&str, &str),
    mut each: impl FnMut(i64, &mut Farm),
) -> (i64, ProbationResult) {
    let mut farm = farm.clone();
    let mut probation = Probation::new(expected(&config(before), &config(now), &farm.0), Blame::Bundle, None);
    for second in 0..=600 {
        farm.0.at = Uptime(second * 1000);
        if second > 0 {
            each(second, &mut farm);
        }
        match probation.judge(&farm.0) {
            ProbationResult::Wait => {}
            result => return (second, result),
        }
    }
    panic!("it never ends")
}

fn fails(reason: &str) -> ProbationResult {
    ProbationResult::Fail(Blame::Bundle, reason.to_owned())
}

/// All sensors speak as they do.
fn all_speak(second: i64, farm: &mut Farm) {
    farm.carries();
    farm.says("pi/load", true);
    farm.says("room/temp", true);
    if second % 60 == 40 {
        farm.says("room/hum", true);
    }
}

#[test]
fn sensors_that_are_good_again_pass_and_not_before_half_a_minute() {
    assert_eq!(judge(FARM, all_speak), (40, ProbationResult::Pass), "the humidity comes in second 40");
    let soon = |_, farm: &mut Farm| ["room/temp", "room/hum", "pi/load"].into_iter().for_each(|id| farm.says(id, true));
    assert_eq!(judge(FARM, soon), (30, ProbationResult::Pass));
}

#[test]
fn a_bus_whose_task_fails_fails_at_once_and_one_that_failed_before_does_not() {
    let panics = |second, farm: &mut Farm| {
        all_speak(second, farm);
        if second == 7 {
            let bus = farm.bus("spare");
            (bus.failures, bus.failed, bus.is_up) = (3, Some("its task panicked".to_owned()), false);
        }
    };
    assert_eq!(judge(FARM, panics), (7, fails("bus spare failed: its task panicked")));
}

#[test]
fn a_sensor_that_is_silent_while_its_bus_speaks_fails_after_three_intervals() {
    let silent = |of: &'static str| {
        move |second, farm: &mut Farm| {
            let before = farm.sensor(of).clone();
            all_speak(second, farm);
            *farm.sensor(of) = before;
        }
    };
    let since = "has had no value since 2026-03-01T00:00:00Z";
    assert_eq!(judge(FARM, silent("room/temp")), (31, fails(&format!("room/temp {since}"))));
    assert_eq!(judge(FARM, silent("room/hum")), (181, fails(&format!("room/hum {since}"))));
    assert_eq!(judge(FARM, silent("pi/load")), (31, fails(&format!("pi/load {since}"))));
    let rare = FARM.replace("'1m'", "'4m'");
    assert_eq!(judge(&rare, silent("room/hum")), (301, fails(&format!("room/hum {since}"))), "at most 5 min");
    let (second, result) = judge(FARM, |_, farm| farm.carries());
    assert_eq!((second, result), (31, fails(&format!("pi/load {since}; room/temp {since}"))));
}

#[test]
fn a_sensor_whose_values_are_bad_fails_and_says_what_is_wrong_with_them() {
    let bad = |second, farm: &mut Farm| {
        all_speak(second, farm);
        farm.says("room/temp", false);
    };
    assert_eq!(judge(FARM, bad), (31, fails("room/temp is not good: doubt")));
    let once = |second, farm: &mut Farm| {
        bad(second, farm);
        farm.says("room/temp", second == 29);
    };
    assert_eq!(judge(FARM, once), (40, ProbationResult::Pass), "one good value is enough");
}

/// What the bundle says of a sensor that it changes is meant so, as long as values still come.
#[test]
fn a_sensor_that_is_removed_or_changed_on_purpose_is_no_reason_to_return() {
    let (temp, rest) = FARM.split_once("[sensors.'room/hum']").unwrap();
    let silent = |second, farm: &mut Farm| {
        let before = farm.sensor("room/temp").clone();
        all_speak(second, farm);
        *farm.sensor("room/temp") = before;
    };
    let bad = |second, farm: &mut Farm| {
        all_speak(second, farm);
        farm.says("room/temp", false);
    };
    let removed = format!("[sensors.'room/hum']{rest}");
    let disabled = format!("{temp}enabled = false\n[sensors.'room/hum']{rest}");
    let renamed = FARM.replace("room/temp", "room/air");
    for farm in [&removed, &disabled, &renamed] {
        assert_eq!(judge(farm, silent), (40, ProbationResult::Pass), "{farm}");
    }
    let since = "room/temp has had no value since 2026-03-01T00:00:00Z";
    for (what, farm) in [
        ("range", FARM.replace("[-20, 60]", "[0, 1]")),
        ("input", FARM.replace("gateway/temp", "gateway/air")),
        ("bus", FARM.replace("gateway/temp", "spare/temp")),
        ("calibration", FARM.replace("range = [-20, 60]", "range = [-20, 60]\ncalibration = { offset = 100 }")),
        ("max_rate", FARM.replace("range = [-20, 60]", "range = [-20, 60]\nmax_rate = 0.1")),
    ] {
        assert_eq!(judge(&farm, bad), (40, ProbationResult::Pass), "{what}: values come, and are judged as it says");
        assert_eq!(judge(&farm, silent), (31, fails(since)), "{what}: no value comes any more");
    }
    let slower = FARM.replace("'2s'", "'20s'");
    assert_eq!(
        judge(&slower, bad),
        (61, fails("room/temp is not good: doubt")),
        "how often it speaks is no such change"
    );
}

#[test]
fn what_was_not_good_before_is_not_expected() {
    let now = config(FARM);
    let names = |farm: &Farm| expected(&now, &now, &farm.0).into_keys().map(|id| id.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&Farm::new()), ["pi/load", "room/hum", "room/temp"]);
    let mut farm = Farm::new();
    farm.sensor("room/temp").is_good = false;
    farm.sensor("pi/load").silent_for = Span::from_secs(31);
    assert_eq!(names(&farm), ["room/hum"]);
    farm.bus("gateway").is_up = false;
    assert_eq!(names(&farm), Vec::<String>::new());
    assert_eq!(judge_from(&farm, FARM, |_, _| ()), (30, ProbationResult::Pass));
}

/// A sensor that speaks every ten minutes cannot be good again within five.
#[test]
fn how_often_a_sensor_speaks_is_known_or_seen_or_it_is_not_expected() {
    let names = |farm: &Farm, config: &str| {
        let config = self::config(config);
        let found = expected(&config, &config, &farm.0);
        found.get("room/temp").map(|expected| expected.within.0 / 1000)
    };
    let unknown = FARM.replacen("interval = '2s'", "", 1);
    let mut farm = Farm::new();
    for (config, spacing, within) in [
        (FARM, None, Some(30)),
        (&FARM.replace("'2s'", "'50s'"), None, Some(150)),
        (&FARM.replace("'2s'", "'5m'"), None, None),
        (&unknown, None, None),
        (&unknown, Some(1), Some(30)),
        (&unknown, Some(70), Some(210)),
        (&unknown, Some(600), None),
    ] {
        farm.sensor("room/temp").spacing = spacing.map(Span::from_secs);
        assert_eq!(names(&farm, config), within, "{config} {spacing:?}");
    }
}

#[test]
fn a_bus_that_goes_down_or_falls_silent_is_no_fault_of_the_configuration() {
    let host = |farm: &mut Farm| farm.says("pi/load", true);
    let quiet = |_, farm: &mut Farm| host(farm);
    assert_eq!(judge(FARM, quiet), (300, ProbationResult::Pass), "the bus carries nothing");
    let down = |_, farm: &mut Farm| {
        host(farm);
        farm.bus("gateway").is_up = false;
    };
    assert_eq!(judge(FARM, down), (300, ProbationResult::Pass), "the bus is down");
    let back = |second, farm: &mut Farm| {
        down(second, farm);
        if second >= 100 {
            farm.bus("gateway").is_up = true;
            farm.carries();
        }
    };
    let since = "room/temp has had no value since 2026-03-01T00:00:00Z";
    assert_eq!(judge(FARM, back), (130, fails(since)), "from then on its sensors have their time");
    let pause = |second, farm: &mut Farm| {
        host(farm);
        if !(10..100).contains(&second) {
            farm.carries();
        }
    };
    assert_eq!(judge(FARM, pause), (131, fails(since)));
    let moved = FARM.replace("gateway/temp", "spare/temp");
    let dead = |second, farm: &mut Farm| {
        let before = farm.sensor("room/temp").clone();
        all_speak(second, farm);
        *farm.sensor("room/temp") = before;
        farm.bus("spare").is_up = false;
    };
    assert_eq!(judge(&moved, dead), (31, fails(since)), "the configuration moved it to a bus that is down");
}

/// Guards against: a bundle that moves all inputs off a bus, whose chips are then not asked any more, to a name that no board says.
#[test]
fn sensors_that_are_moved_to_another_bus_have_their_time_while_either_is_up() {
    let chips = FARM.replace("line:gateway/temp", "i2c:main/sht31@0x44/temperature");
    let chips = chips.replace("line:gateway/hum", "i2c:main/sht31@0x44/humidity");
    let judge = |down: &[&str]| {
        judge_change(&Farm::new(), (&chips, FARM), |_, farm| {
            farm.says("pi/load", true);
            down.iter().for_each(|bus| farm.bus(bus).is_up = false);
        })
    };
    let since = "room/temp has had no value since 2026-03-01T00:00:00Z";
    assert_eq!(judge(&[]), (31, fails(since)), "both are up and carry nothing");
    assert_eq!(judge(&["main"]), (31, fails(since)), "the new one is up");
    assert_eq!(judge(&["gateway"]), (31, fails(since)), "the old one is up, and nobody asks its chips");
    assert_eq!(judge(&["main", "gateway"]), (300, ProbationResult::Pass), "neither is up");
}

/// Guards against: a wrong input that passes, for a value of the right one was on its way when the inputs changed.
#[test]
fn a_value_from_before_the_change_proves_nothing() {
    let early = |second, farm: &mut Farm| {
        let before = farm.sensor("room/temp").clone();
        all_speak(second, farm);
        if second > 2 {
            *farm.sensor("room/temp") = before;
        }
    };
    let since = "room/temp has had no value since 2026-03-01T00:00:02Z";
    assert_eq!(judge(&FARM.replace("gateway/temp", "gateway/air"), early), (31, fails(since)));
}

/// Guards against: a wrong input that passes, for the time of day became known and the last value got another stamp.
#[test]
fn a_clock_that_is_set_within_the_probation_changes_nothing() {
    let mut farm = Farm::new();
    farm.sensor("room/temp").newest = Some(Stamp { boot: 0, wall: None, ..stamp(0) });
    let silent = |second, farm: &mut Farm| {
        let before = farm.sensor("room/temp").clone();
        all_speak(second, farm);
        *farm.sensor("room/temp") = before;
        if second == 10 {
            farm.sensor("room/temp").newest = Some(stamp(0));
        }
    };
    let now = FARM.replace("gateway/temp", "gateway/air");
    assert_eq!(judge_from(&farm, &now, silent), (31, fails("room/temp has had no value for 30s")));
}

/// Guards against: a sensor that is found silent in the instant in which its line came and its value was not decided on yet.
#[test]
fn a_value_on_its_way_is_waited_for() {
    let late = |second, farm: &mut Farm| {
        let before = farm.sensor("room/temp").clone();
        all_speak(second, farm);
        if second != 31 {
            *farm.sensor("room/temp") = before;
        }
    };
    assert_eq!(judge(FARM, late), (40, ProbationResult::Pass));
}

#[test]
fn memory_that_grows_without_bound_fails() {
    let grows = |second: i64, farm: &mut Farm| {
        all_speak(second, farm);
        farm.0.memory = Some(u64::try_from(second).unwrap() * (10 << 20));
    };
    assert_eq!(judge(FARM, grows), (14, fails("the agent's memory grew from 10 to 140 MB")));
}

#[test]
fn a_reason_names_a_few_sensors_and_counts_the_rest() {
    let overdue: Vec<String> = (1..=7).map(|n| format!("room/s{n} is not good: doubt")).collect();
    let said = first_of(&overdue, MAX_NAMED, "; ", "more sensors");
    assert!(
        said.starts_with("room/s1 is ") && said.ends_with("room/s5 is not good: doubt; and 2 more sensors"),
        "{said}"
    );
}

/// Guards against: a bundle whose plan fills the memory before anybody looks.
#[test]
fn what_it_took_to_compile_a_configuration_counts_as_growth() {
    let mut farm = Farm::new();
    let expected = expected(&config(FARM), &config(FARM), &farm.0);
    let mut probation = Probation::new(expected, Blame::Bundle, Some(50 << 20));
    farm.0.memory = Some(500 << 20);
    assert_eq!(probation.judge(&farm.0), ProbationResult::Wait);
    farm.0.at = Uptime(1000);
    assert_eq!(probation.judge(&farm.0), fails("the agent's memory grew from 50 to 500 MB"));
}

#[test]
fn what_changed_files_silence_is_their_fault_and_what_the_bundle_silenced_its_own() {
    let silent = |of_files: &[&str], silent: &[&str]| {
        let mut farm = Farm::new();
        let mut expected = expected(&config(FARM), &config(FARM), &farm.0);
        for id in of_files {
            expected.get_mut(&SensorId::new(id).unwrap()).unwrap().origin = Blame::Files;
        }
        let mut probation = Probation::new(expected, Blame::Files, None);
        for second in 1..600 {
            farm.0.at = Uptime(second * 1000);
            let before = farm.0.sensors.clone();
            all_speak(second, &mut farm);
            silent.iter().for_each(|id| *farm.sensor(id) = before[&SensorId::new(id).unwrap()].clone());
            match probation.judge(&farm.0) {
                ProbationResult::Fail(Blame::Files, _) if second < 60 => probation.exempt_sensors_of_files(),
                ProbationResult::Wait => {}
                result => return result,
            }
        }
        panic!("it never ends")
    };
    let since = "has had no value since 2026-03-01T00:00:00Z";
    assert_eq!(silent(&["room/temp"], &["room/temp"]), ProbationResult::Pass, "the rest is awaited on");
    assert_eq!(silent(&["room/temp"], &["room/temp", "pi/load"]), fails(&format!("pi/load {since}")));
    assert_eq!(silent(&["room/hum"], &["room/hum"]), ProbationResult::Fail(Blame::Files, format!("room/hum {since}")));
}
