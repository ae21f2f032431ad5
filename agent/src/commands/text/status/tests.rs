use super::super::times::utc;
use super::*;

#[test]
fn a_clock_says_where_the_time_is_from_and_what_follows_where_there_is_none() {
    let clock = |source: &str, trust: Option<&str>, now: Option<&str>| ClockState {
        source: source.to_owned(),
        trust: trust.map(str::to_owned),
        error_s: Some(0.001),
        now: now.map(str::to_owned),
        uptime_s: 14_580.0,
    };
    let at = Some("2026-11-27 00:09:43");
    for (state, said) in [
        (
            clock("system", None, None),
            "time of day not known yet (system): the machine's clock is not synchronised (timedatectl says why); alerts \
             work, times are shown as lengths; up for 4h3m",
        ),
        (
            clock("input", None, None),
            "time of day not known yet (input): time begins with the first reading; up for 4h3m",
        ),
        (clock("system", Some("told"), at), "2026-11-27 00:09:43, system, told by the hub (within 1ms); up for 4h3m"),
        (clock("system", Some("ntp"), at), "2026-11-27 00:09:43, system, trusted (ntp, within 1ms); up for 4h3m"),
    ] {
        assert_eq!(super::clock(&state, &utc()), said);
    }
}

#[test]
fn a_silence_is_said_without_milliseconds() {
    let row = SilenceRow {
        silence: 1,
        zone: Some(Id::new("tank").unwrap()),
        rule: None,
        sensor: None,
        by: "anna".to_owned(),
        until: None,
        left_s: 7199.942,
    };
    assert_eq!(silences_in_force(std::slice::from_ref(&row), &utc()), ["silence 1: zone tank for 2h, by anna"]);
    assert_eq!(
        silences_in_force(&[SilenceRow { left_s: 71.6, ..row }], &utc()),
        ["silence 1: zone tank for 1m12s, by anna"]
    );
}
