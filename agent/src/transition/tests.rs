//! What replay cannot show: an acknowledgement, an untrusted clock, figures of every kind.

use tilth_core::effect::Reason;
use tilth_core::interlock::{HeldBy, LastRead};
use tilth_core::plan::AlertKey;
use tilth_core::reading::SensorIx;
use tilth_core::time::Uptime;
use tilth_core::value::{Resolution, Steps};

use super::*;

const WALL: i64 = 1_772_344_800_000; // 2026-03-01T06:00:00Z

fn stamp(ms: i64) -> Stamp {
    Stamp { boot: 3, uptime: Uptime(ms), wall: Some(WallTime(WALL + ms)) }
}

fn value(steps: i64, resolution: f64) -> DisplayValue {
    DisplayValue::Value(Value { steps: Steps(steps), resolution: Resolution::new(resolution).unwrap() })
}

fn details() -> AlertDetails {
    let id = |text| Id::new(text).unwrap();
    AlertDetails {
        at: stamp(60_250),
        alert: Some(AlertId(17)),
        key: AlertKey { zone: id("tower-1"), rule: id("ph-high"), sensor: SensorId::new("tower-1/ph").unwrap() },
        severity: Severity::Warning,
        value: Some(value(680, 0.01)),
        limit: Some(DisplayValue::Number(6.5)),
        since: stamp(0),
        reading_at: Some(stamp(60_000)),
        pages: 2,
        message: "pH is\n\"high\"".to_owned(),
        advice: None,
    }
}

fn json(line: &TransitionRecord<'_>) -> String {
    serde_json::to_string(line).unwrap()
}

#[test]
fn an_acknowledgement_says_whose_and_until_when() {
    let transition = Transition::Acknowledged { until: stamp(3_600_000), by: "Ann".to_owned() };
    let details = details();
    let line = TransitionRecord::of_alert(&transition, &details);
    assert_eq!(
        json(&line),
        r#"{"at":"2026-03-01T06:01:00.25Z","event":"acknowledged","rule":"ph-high","sensor":"tower-1/ph","value":6.80,"severity":"warning","zone":"tower-1","alert":17,"limit":6.5,"since":"2026-03-01T06:00:00Z","reading_ts":1772344860000,"message":"pH is\n\"high\"","until":"2026-03-01T07:00:00Z","by":"Ann"}"#
    );
    assert_eq!(
        line.aligned(&Widths { rule: 8, sensor: 12 }).to_string(),
        "2026-03-01 06:01:00.25 UTC  acknowledged  warning     ph-high   tower-1/ph    pH is \"high\" (until 2026-03-01 07:00:00 UTC, by Ann)"
    );
}

#[test]
fn without_a_trusted_clock_there_are_no_times_of_day() {
    let untrusted = |stamp: Stamp| Stamp { wall: None, ..stamp };
    let known = details();
    let details =
        AlertDetails { at: untrusted(known.at), since: untrusted(known.since), reading_at: None, alert: None, ..known };
    let transition = Transition::Resolved(Reason::ScheduleClosed);
    assert_eq!(
        json(&TransitionRecord::of_alert(&transition, &details)),
        r#"{"at":null,"event":"resolved","rule":"ph-high","sensor":"tower-1/ph","value":6.80,"severity":"warning","zone":"tower-1","limit":6.5,"message":"pH is\n\"high\"","reason":"schedule-closed"}"#
    );
}

#[test]
fn figures_are_the_digits_that_people_see() {
    for (figure, expected) in [
        (value(685, 0.01), "6.85"),
        (value(-5, 0.01), "-0.05"),
        (value(371, 0.0625), "23.1875"),
        (value(12, 1.0), "12"),
        (DisplayValue::Number(6.8), "6.8"),
        (DisplayValue::Number(-0.125), "-0.125"),
        (DisplayValue::Number(1e21), "1000000000000000000000"),
        (DisplayValue::Number(f64::NAN), "null"),
        (DisplayValue::Number(f64::NEG_INFINITY), "null"),
        (DisplayValue::Time(Span::from_mins(30)), "1800"),
        (DisplayValue::Time(Span(1250)), "1.25"),
        (DisplayValue::Time(Span(-5)), "-0.005"),
        (DisplayValue::Time(Span::ZERO), "0"),
        (DisplayValue::Percent(2.5), "2.5"),
        (DisplayValue::Percent(f64::NAN), "null"),
    ] {
        let details = AlertDetails { value: Some(figure), ..details() };
        let line = json(&TransitionRecord::of_alert(&Transition::Pending, &details));
        assert!(line.contains(&format!(r#""value":{expected},"#)), "{figure:?}: {line}");
    }
}

#[test]
fn each_fault_is_told_in_words() {
    let plan = tilth_config::load_documents(
        tilth_config::Documents {
            layers: vec![tilth_config::Document::toml(
                tilth_config::Layer::ConfigD,
                "a.toml",
                "[sensors.\"tower-1/air\"]\nquantity = \"temperature\"\nresolution = 0.1\nrange = [-40, 80]\nstuck_for = \"1h\"\nstale_after = \"10m\"\ninput = \"line:a/b\"\n",
            )],
            agent_toml: None,
        },
        tilth_config::Purpose::Replay,
    );
    let plan = plan.plan.expect("a good configuration");
    for (fault, expected) in [
        (Some(Fault::Range), "tower-1/air: 99.0 C is outside -40 to 80"),
        (Some(Fault::Reported), "tower-1/air: its input says that it failed"),
        (Some(Fault::Stuck), "tower-1/air: 99.0 C has not moved for 1h"),
        (Some(Fault::Suspect), "tower-1/air: its values stay suspect"),
        (Some(Fault::Stale), "tower-1/air: no reading for 10m"),
        (None, "tower-1/air is believed again"),
    ] {
        let newest = plan.value(SensorIx(0), Steps(990));
        let event = SensorEvent { at: stamp(0), sensor: SensorIx(0), fault, value: Some(newest), reading_at: None };
        let effect = Effect::Sensor(event);
        let line = TransitionRecord::of(&effect, &plan).expect("a transition");
        assert_eq!(line.message, expected);
        assert_eq!(line.event, if fault.is_some() { "fault" } else { "recovered" });
    }
}

#[test]
fn what_is_over_says_for_how_long_it_held() {
    let at = |details: AlertDetails| {
        let line = TransitionRecord::of_alert(&Transition::Resolved(Reason::Cleared), &details);
        line.aligned(&Widths { rule: 0, sensor: 0 }).to_string().split_once("tower-1/ph  ").unwrap().1.to_owned()
    };
    let said = |after: &str| format!("pH is \"high\" (cleared{after})");
    assert_eq!(at(details()), said(" after 1 min"));
    let before = Stamp { boot: 2, uptime: Uptime(9_000_000), wall: Some(WallTime(WALL)) };
    assert_eq!(at(AlertDetails { since: before, value: None, ..details() }), said(" after 1 min"));
    assert_eq!(at(AlertDetails { since: Stamp { wall: None, ..before }, value: None, ..details() }), said(""));
}

/// Guards against: "hold ended", read by somebody who then switches a pump on, while another hold is on.
#[test]
fn the_end_of_a_hold_says_who_holds_the_zone_all_the_same() {
    let still_held_by = vec![
        HeldBy::Person("anna".to_owned()),
        HeldBy::Switch { sensor: SensorId::new("tank/hands").unwrap(), read: LastRead::Now },
    ];
    let at = stamp(0);
    let zone = Id::new("tank").unwrap();
    let change = |by: Option<&str>, only_doses| {
        let by = by.map(str::to_owned);
        hold(&HoldChange { at, zone: zone.clone(), by, began: false, still_held_by: still_held_by.clone(), only_doses })
    };
    for (by, only_doses, said) in [
        (Some("ben"), false, "hold of zone tank ended, by ben"),
        (None, false, "hold of zone tank ended: its time is over"),
        (Some("ben"), true, "zone tank: dosing allowed again, by ben"),
        (None, true, "zone tank: dosing allowed again: no dose of before counts any more"),
    ] {
        assert_eq!(change(by, only_doses), format!("{said}; still on hold by anna and switch tank/hands"));
    }
}
