//! Actuators and holds, for people.

use super::{Times, for_long, line, span};
use crate::api::rows::{ActuationRow, ActuatorRow, HoldRow};
use crate::cli;

pub(in crate::commands) fn table(rows: &[ActuatorRow]) -> Vec<String> {
    let row = |row: &ActuatorRow| {
        [
            row.actuator.to_string(),
            row.zone.to_string(),
            state(row),
            used(row.hour_s, row.dose_per_hour_s),
            used(row.day_s, row.dose_per_day_s),
            row.output.clone(),
        ]
    };
    super::table(["ACTUATOR", "ZONE", "STATE", "HOUR", "DAY", "OUTPUT"], rows.iter().map(row))
}

/// What actuators did, a line for each time on and each refusal.
pub(in crate::commands) fn past(rows: &[ActuationRow], times: &Times) -> Vec<String> {
    let time = |time: Option<f64>| time.map_or("-".to_owned(), seconds);
    let row = |row: &ActuationRow| {
        [
            times.minute(row.at.as_ref()).unwrap_or_else(|| super::after_boot(row.uptime_s, row.boot)),
            row.actuator.clone(),
            time(row.for_s),
            time(row.on_s),
            time(row.hour_s),
            time(row.day_s),
            row.by.as_deref().map_or("-".to_owned(), line),
            line(&row.message),
        ]
    };
    super::table(["AT", "ACTUATOR", "ORDERED", "ON", "HOUR", "DAY", "BY", "OUTCOME"], rows.iter().map(row))
}

/// What became of a command: `acid-pump is on for another 2s; 5s of 10s used within the hour`.
pub(in crate::commands) fn switched(row: &ActuatorRow) -> String {
    let used = row.dose_per_hour_s.map(|limit| format!("; {} used within the hour", used(row.hour_s, Some(limit))));
    format!("{} is {}{}", row.actuator, state(row), used.unwrap_or_default())
}

pub(in crate::commands) fn holds(rows: &[HoldRow], times: &Times) -> Vec<String> {
    let row = |row: &HoldRow| {
        let (what, by) = match &row.by {
            Some(by) => ("all actuators", by.as_str()),
            None => ("doses", "history is missing"),
        };
        [row.zone.to_string(), what.to_owned(), until(row, times), by.to_owned()]
    };
    super::table(["ZONE", "HELD", "UNTIL", "BY"], rows.iter().map(row))
}

/// A hold as a line of `status`: `zone tower-1: all actuators off until the switch is off, by switch tower-1/hands`.
pub(super) fn held_in_status(row: &HoldRow, times: &Times) -> String {
    match &row.by {
        Some(by) => format!("zone {}: all actuators off {}, by {by}", row.zone, until(row, times)),
        None => format!("zone {}: dosing off {}, since history is missing", row.zone, until(row, times)),
    }
}

pub(in crate::commands) fn ended(row: &HoldRow) -> String {
    let still = if row.still_held_by.is_empty() {
        String::new()
    } else {
        format!("; still on hold by {}", row.still_held_by.join(" and "))
    };
    match row.by {
        Some(_) => format!("the hold of zone {} is ended{still}", row.zone),
        None => format!("zone {} may be dosed again; totals begin with 0", row.zone),
    }
}

/// A hold that began, with the command that ends it.
pub(in crate::commands) fn held(row: &HoldRow, agent: &cli::AgentAddress, times: &Times) -> String {
    let (zone, options) = (&row.zone, agent.typed());
    let until = until(row, times);
    format!(
        "zone {zone} is on hold, {until}: its actuators are off; end it with: tilth-agent hold{options} {zone} --end"
    )
}

fn until(row: &HoldRow, times: &Times) -> String {
    if row.switch.is_some() {
        return "until the switch is off".to_owned();
    }
    match (times.minute(row.until.as_ref()), row.left_s) {
        (Some(until), _) => format!("until {until}"),
        (None, Some(left)) => format!("for {}", for_long(left)),
        (None, None) => "until somebody ends it".to_owned(),
    }
}

fn state(row: &ActuatorRow) -> String {
    let left = |what: &str| row.left_s.map_or(what.to_owned(), |left| format!("{what} for another {}", seconds(left)));
    match row.state.as_str() {
        "on" => left("on"),
        "stopping" => "being switched off".to_owned(),
        "booking" => "being booked".to_owned(),
        _ if !row.enabled => "disabled".to_owned(),
        _ if row.held => format!("on hold by {}", row.held_by.join(" and ")),
        _ if row.doses_unknown => "off, doses of before are unknown".to_owned(),
        _ => match row.must_rest_s {
            Some(rest) => format!("off, must rest {}", for_long(rest)),
            None => "off".to_owned(),
        },
    }
}

fn used(used: f64, limit: Option<f64>) -> String {
    match limit {
        Some(limit) => format!("{} of {}", seconds(used), seconds(limit)),
        None => seconds(used),
    }
}

/// Short times, which doses are, to the tenth of a second.
fn seconds(seconds: f64) -> String {
    if seconds < 60.0 { span((seconds * 10.0).round() / 10.0).to_string() } else { for_long(seconds) }
}

#[cfg(test)]
mod tests {
    use tilth_core::id::Id;

    use super::*;

    fn row(state: &str) -> ActuatorRow {
        ActuatorRow {
            actuator: Id::new("acid-pump").unwrap(),
            zone: Id::new("tower-1").unwrap(),
            output: "board:gateway/relay-1".to_owned(),
            enabled: true,
            state: state.to_owned(),
            left_s: Some(1.96),
            hour_s: 5.0,
            dose_per_hour_s: Some(10.0),
            day_s: 5.0,
            dose_per_day_s: None,
            max_on_s: Some(3.0),
            must_rest_s: None,
            held: false,
            held_by: Vec::new(),
            doses_unknown: false,
        }
    }

    #[test]
    fn past_doses_say_when_how_long_by_whom_and_what_became_of_them() {
        let dose = ActuationRow {
            actuator: "acid-pump".to_owned(),
            at: Some("2026-06-01T10:00:00Z".to_owned()),
            for_s: Some(3.0),
            on_s: Some(3.04),
            hour_s: Some(6.0),
            day_s: Some(61.0),
            by: Some("its target".to_owned()),
            message: "acid-pump off: its time is over".to_owned(),
            ..ActuationRow::default()
        };
        let refused = ActuationRow {
            actuator: "acid-pump".to_owned(),
            boot: 3,
            uptime_s: 90.0,
            by: Some("anna".to_owned()),
            message: "acid-pump stays off: its zone is on hold, by anna".to_owned(),
            ..ActuationRow::default()
        };
        let lines = past(&[dose, refused], &super::super::times::utc());
        assert_eq!(
            lines,
            [
                "AT                    ACTUATOR   ORDERED  ON  HOUR  DAY   BY          OUTCOME",
                "2026-06-01 10:00 UTC  acid-pump  3s       3s  6s    1m1s  its target  acid-pump off: its time is over",
                "1m30s after boot 3    acid-pump  -        -   -     -     anna        acid-pump stays off: its zone is on hold, by anna",
            ]
        );
    }

    #[test]
    fn what_became_of_a_command_is_one_line() {
        assert_eq!(switched(&row("on")), "acid-pump is on for another 2s; 5s of 10s used within the hour");
        let rests = ActuatorRow { must_rest_s: Some(570.0), left_s: None, ..row("off") };
        assert_eq!(switched(&rests), "acid-pump is off, must rest 9m30s; 5s of 10s used within the hour");
        let held_by = vec!["anna".to_owned(), "switch tower-1/hands".to_owned()];
        let held = ActuatorRow { held: true, held_by, ..row("off") };
        let expected = "acid-pump is on hold by anna and switch tower-1/hands; 5s of 10s used within the hour";
        assert_eq!(switched(&held), expected);
        let unknown = ActuatorRow { doses_unknown: true, ..row("off") };
        assert_eq!(switched(&unknown), "acid-pump is off, doses of before are unknown; 5s of 10s used within the hour");
    }
}
