//! Recordings as other tools export them, given to `replay`.

use std::fmt::Write as _;

use tilth_tests::agent::{Farm, Run, Transition};

/// A minute of the day's first hours: `2026-03-01T00:07:00Z` is 7.
fn stamp(minute: u32) -> String {
    format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60)
}

fn events(run: &Run, event: &str) -> usize {
    run.transitions().iter().filter(|transition| transition.event == event).count()
}

const SILENCE: &str = "[sensors.'a/t']\nquantity = 'temperature'\n";

#[test]
fn time_passes_in_rows_without_a_value() {
    let farm = Farm::new("empty-rows", SILENCE);
    for empty in ["", ",", ",NaN", ",  ", ",\"\""] {
        let mut wide = "time,a/t\n".to_owned();
        for minute in 0..60 {
            let cell = if minute < 3 { ",21.5" } else { empty };
            writeln!(wide, "{}{cell}", stamp(minute)).unwrap();
        }
        let run = farm.replay(&wide, &["--json"]);
        assert_eq!(run.code, Some(0), "{empty:?}: {}", run.err);
        let fired: Vec<String> =
            run.transitions().iter().filter(|one| one.event == "firing").map(Transition::brief).collect();
        assert_eq!(fired, ["2026-03-01T00:17:00Z firing"], "{empty:?}: {}", run.err);
        let summary = run.summary();
        assert_eq!((summary.readings, summary.missing, summary.bad_lines), (3, 57, 0), "{empty:?}: {}", run.err);
    }
}

#[test]
fn rows_before_the_first_value_and_after_the_last_are_time_too() {
    let farm = Farm::new("empty-ends", SILENCE);
    let wide = "time,a/t,b\n2026-03-01T00:00:00Z,,\n2026-03-01T01:00:00Z,20,\n2026-03-01T02:00:00Z,,\n";
    let run = farm.replay(wide, &[]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("1 of 2 sensors, 2026-03-01T00:00:00Z to 2026-03-01T02:00:00Z (2h)"), "{}", run.err);
    assert!(run.out.contains("2026-03-01T01:15:00Z"), "{}", run.out);
}

#[test]
fn a_recording_coarser_than_the_sensor_is_said_once() {
    let fast = "[sensors.'a/t']\nquantity = 'temperature'\ninterval = '2s'\n[sensors.'b/t']\nquantity = 'temperature'\n\
                interval = '2s'\n[rules.warm]\nsensor = 'a/t'\nabove = 30\nclear = 28\nfor = '5m'\n";
    let (mut wide, mut long) = ("time,a/t,b/t\n".to_owned(), "time,sensor,value\n".to_owned());
    for minute in 0..120 {
        let (at, value) = (stamp(minute), if minute < 60 { 25 } else { 31 });
        writeln!(wide, "{at},{value},{value}").unwrap();
        writeln!(long, "{at},a/t,{value}\n{at},b/t,{value}").unwrap();
    }
    let farm = Farm::new("coarse", fast);
    for recording in [&wide, &long] {
        let run = farm.replay(recording, &["--json"]);
        assert_eq!((run.code, events(&run, "fault")), (Some(0), 0), "{}", run.out);
        assert!(run.transitions().iter().any(|one| one.is("warm", "firing")), "{}", run.out);
        let people = farm.replay(recording, &[]);
        let said = people.err.lines().filter(|line| line.contains("set interval = \"1m\"")).count();
        assert_eq!(said, 1, "{}", people.err);
        assert!(people.err.contains("a/t, b/t have a reading every 1m"), "{}", people.err);
    }
    // What is as fine as configured is judged as configured: a gap is a fault, and nothing is said of the distance.
    let minutes = Farm::new("fine", &fast.replace("2s", "1m"));
    let gap: String = wide
        .lines()
        .enumerate()
        .filter(|(at, _)| !(30..50).contains(at))
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    let run = minutes.replay(&gap, &["--json"]);
    assert_eq!((run.code, events(&run, "fault")), (Some(0), 2), "{}", run.out);
    assert!(!run.err.contains("set interval"), "{}", run.err);
    // Nor does a coarse recording hide that a sensor falls silent.
    let run = farm.replay(&gap, &["--json"]);
    assert_eq!((run.code, events(&run, "fault")), (Some(0), 2), "{}", run.out);
}
