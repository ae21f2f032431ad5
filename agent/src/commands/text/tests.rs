use super::*;

#[test]
fn lengths_and_sizes_are_said_shortly() {
    for (seconds, said) in [(0.4, "0s"), (59.6, "1m"), (90.0, "1m30s"), (3723.0, "1h2m"), (-5.0, "-5s")] {
        assert_eq!(for_long(seconds), said);
    }
    for (bytes, said) in [(0.0, "0 B"), (2048.0, "2.0 KiB"), (5e9, "4.7 GiB"), (5e13, "46566.1 GiB")] {
        assert_eq!(size(bytes), said);
    }
}

#[test]
fn columns_are_as_wide_as_their_widest() {
    let rows = [["1".to_owned(), "é".to_owned()], ["23456".to_owned(), "long".to_owned()]];
    assert_eq!(table(["NO", "WHAT"], rows.into_iter()), ["NO     WHAT", "1      é", "23456  long"]);
}

#[test]
fn a_step_of_a_calibration_is_told_with_what_the_circuit_keeps() {
    for (step, value, points, slope_percent, said) in [
        (
            "mid",
            Some(7.0),
            Some(1),
            Some([99.7, 100.3]),
            "mid 7 is taken; the circuit keeps 1 point; slope 99.7 % in acid, 100.3 % in base",
        ),
        ("query", None, Some(2), None, "the circuit keeps 2 points"),
        ("clear", None, Some(0), None, "clear is taken; the circuit is not calibrated"),
        ("air", None, None, None, "air is taken; the circuit's firmware does not say how many points it keeps"),
    ] {
        let step = serde_json::from_value(step.into()).unwrap();
        let row = CalibrationRow {
            sensor: tilth_core::id::SensorId::new("tank/ph").unwrap(),
            step,
            value,
            points,
            slope_percent,
        };
        assert_eq!(calibrated(&row), format!("tank/ph: {said}"));
    }
}
