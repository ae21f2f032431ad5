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

#[test]
fn a_channel_says_where_it_leads_since_when_it_fails_and_when_it_is_tried() {
    let mut phone: ChannelState = serde_json::from_str(
        r#"{"channel":"phone","server":"https://ntfy.sh:443","waiting":3,"sending":false,"next_try_s":25.4,
            "last_failure":{"at":null,"notification":"pi-1-1","reason":"Connection refused","recovered":false,
            "since":"2026-01-01T00:01:00Z","for_s":90.0}}"#,
    )
    .unwrap();
    let says = |state: &ChannelState, said: &str| {
        assert_eq!(channel_line(state, &utc()), format!("phone (https://ntfy.sh:443): {said}"));
    };
    says(&phone, "3 notifications waiting; fails since 2026-01-01 00:01 UTC: Connection refused; next try in 25s");
    phone.last_failure.as_mut().unwrap().since = None;
    phone.next_try_s = None;
    phone.sending = true;
    says(&phone, "3 notifications waiting; fails for 1m30s: Connection refused; sending");
    (phone.waiting, phone.sending) = (0, false);
    says(&phone, "nothing waiting; fails for 1m30s: Connection refused; next try with the next notification");
    let failure = phone.last_failure.as_mut().unwrap();
    (failure.recovered, failure.since) = (true, Some("2026-01-01T00:05:00Z".to_owned()));
    says(&phone, "nothing waiting; works again since 2026-01-01 00:05 UTC");
    (phone.waiting, phone.next_try_s, phone.last_failure) = (1, Some(600.0), None);
    says(&phone, "1 notification waiting; next try in 10m");
    // From an agent before these were said.
    let log: ChannelState = serde_json::from_str(r#"{"channel":"log","waiting":0,"last_failure":null}"#).unwrap();
    assert_eq!(channel_line(&log, &utc()), "log: nothing waiting");
}

/// Guards against: a key that an older agent has not, which must not hide all that it says.
#[test]
fn an_agent_that_says_less_is_shown() {
    let row: StatusRow = serde_json::from_str(
        r#"{"device":"pi-7","version":"0.1.0","buses":[{"bus":"gateway","state":"down","reason":"unplugged","board":{"id":"01"},
            "rejected_stamps":[{}],"last_ignored":{}}],"config":{"rejected":{}},"silences":[{}],"notify":{"channels":[{"channel":"log"}]},
            "store":{"given_up":[{}],"lanes":{"events":{}}}}"#,
    )
    .expect("a status with fewer keys");
    let said = status(&row, &utc());
    assert!(said[0].contains("pi-7, tilth-agent 0.1.0"), "{said:?}");
    for part in ["bus gateway", "down: unplugged", "board 01", "log: nothing waiting", "events 0 of 0"] {
        assert!(said.iter().any(|line| line.contains(part)), "{part}: {said:?}");
    }
}
