//! Why a value is not believed, in words.

use super::bench::{Bench, plan, sensor};
use crate::quantity::Quantity;
use crate::reading::{Quality, SensorIx};
use crate::sensor::Sensor;
use crate::time::Span;

fn soil() -> Bench {
    let soil = Sensor {
        quantity: Quantity::SoilMoisture,
        range: Some((0.0, 100.0)),
        max_rate: Some(5.0),
        stuck_for: Some(Span::from_mins(10)),
        ..sensor("bench/soil")
    };
    Bench::new(plan(vec![soil], Vec::new()))
}

#[test]
fn a_value_that_is_not_believed_says_why() {
    let mut bench = soil();
    let mut expect = |minute: f64, value: f64, why: Option<&str>| {
        bench.read(minute, "bench/soil", value);
        assert_eq!(bench.engine.doubt(SensorIx(0)).as_deref(), why, "{value} at minute {minute}");
    };
    expect(0.0, 41.0, None);
    expect(1.0, 412.0, Some("412.00 % is outside 0 to 100"));
    expect(1.5, 42.0, Some("a value of the last minute was outside 0 to 100"));
    expect(2.5, 42.5, None);
    expect(2.6, -127.0, Some("-127.00 % is outside 0 to 100"));
    expect(5.0, 43.0, None);
    expect(5.1, 60.0, Some("changed by more than 5 % in a minute"));
    expect(5.2, 60.0, None);
    expect(15.1, 60.0, Some("unchanged for 10 min"));
    expect(135.1, 60.0, Some("unchanged for 2 h 10 min"));
    expect(135.2, 61.0, None);
}

#[test]
fn an_input_that_failed_says_why_itself() {
    let mut bench = soil();
    assert_eq!(bench.engine.doubt(SensorIx(0)), None, "nothing came");
    bench.read(0.0, "bench/soil", 412.0).read_with(0.1, "bench/soil", f64::NAN, Quality::Fault);
    assert_eq!(bench.engine.doubt(SensorIx(0)), None);
}
