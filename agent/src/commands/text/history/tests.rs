use serde_json::json;

use super::super::times::utc;
use super::*;

fn minute(number: u32, lowest: f64, highest: f64) -> HistoryRow {
    let row = json!({
        "sensor": "tower-1/ph", "unit": "pH", "at": null, "ago_s": f64::from(60 - number) * 60.0, "for_s": 60.0,
        "count": 6, "bad": u32::from(number == 3), "lowest": lowest, "highest": highest, "mean": 6.1, "last": highest,
    });
    serde_json::from_str(&row.to_string()).unwrap()
}

#[test]
fn a_chart_says_what_it_is_of_and_its_extremes() {
    let rows: Vec<_> = (0..60).map(|number| minute(number, 6.0, if number == 30 { 6.9 } else { 6.2 })).collect();
    let lines = chart(&rows, &utc());
    assert_eq!(lines[0], "tower-1/ph in pH, -1h to -0s");
    assert_eq!(*lines.last().unwrap(), "lowest 6.0 at -1h, highest 6.9 at -30m; 1 readings were not believed");
    // One window is no chart.
    assert_eq!(chart(&rows[..1], &utc()).len(), 2);
    let bad = r#"{"sensor":"a/b","unit":"","at":null,"ago_s":60.0,"for_s":60.0,"count":0,"bad":4,"lowest":null,"highest":null,"mean":null,"last":null}"#;
    let bad: Vec<HistoryRow> = [bad, bad].map(|row| serde_json::from_str(row).unwrap()).into();
    assert_eq!(chart(&bad, &utc()), ["a/b, -1m to -0s", "no good value; 8 readings were not believed"]);
}

#[test]
fn a_table_has_a_line_for_each_window() {
    let lines = table(&[minute(2, 6.0, 6.2), minute(3, 6.1, 6.2)], &utc());
    assert_eq!(
        lines,
        [
            "FROM  LOWEST  MEAN  HIGHEST  READINGS  NOT BELIEVED",
            "-58m  6.0     6.1   6.2      6",
            "-57m  6.1     6.1   6.2      6         1",
        ]
    );
}

#[test]
fn notes_and_alerts_of_the_past_say_when_who_and_what() {
    let note =
        NoteRow { at: None, boot: 3, uptime_s: 90.0, by: "anna".to_owned(), text: "new acid\ncanister".to_owned() };
    assert_eq!(notes(&[note], &utc())[1], "1m30s after boot 3  anna  new acid canister");
    let alert = PastAlertRow {
        alert: 31,
        severity: "critical".to_owned(),
        since: Some("2026-06-01T10:00:00Z".to_owned()),
        is_over: true,
        resolved: Some("2026-06-01T10:19:00Z".to_owned()),
        rule: "ph-high".to_owned(),
        sensor: "tower-1/ph".to_owned(),
        by: Some("anna".to_owned()),
        message: "pH 6.9".to_owned(),
        ..PastAlertRow::default()
    };
    let open = PastAlertRow { alert: 32, ..PastAlertRow::default() };
    let lines = alerts(&[alert, open], &utc());
    assert_eq!(
        lines[1],
        "31     critical  2026-06-01 10:00 UTC  2026-06-01 10:19 UTC  ph-high  tower-1/ph  pH 6.9 (acknowledged by anna)"
    );
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["32", "-", "open"]);
}
