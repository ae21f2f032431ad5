use super::super::times::utc;
use super::*;

#[test]
fn a_channel_says_where_it_leads_since_when_it_fails_and_when_it_is_tried() {
    let mut phone: ChannelState = serde_json::from_str(
        r#"{"channel":"phone","server":"https://ntfy.sh:443","waiting":3,"sending":false,"next_try_s":25.4,
            "last_failure":{"at":null,"notice":"pi-1-1","reason":"Connection refused","over":false,
            "since":"2026-01-01T00:01:00Z","for_s":90.0}}"#,
    )
    .unwrap();
    let says = |state: &ChannelState, said: &str| {
        assert_eq!(line(state, &utc()), format!("phone (https://ntfy.sh:443): {said}"));
    };
    says(&phone, "3 notifications waiting; fails since 2026-01-01 00:01 UTC: Connection refused; next try in 25s");
    phone.last_failure.as_mut().unwrap().since = None;
    phone.next_try_s = None;
    phone.sending = true;
    says(&phone, "3 notifications waiting; fails for 1m30s: Connection refused; sending");
    (phone.waiting, phone.sending) = (0, false);
    says(&phone, "nothing waiting; fails for 1m30s: Connection refused; next try with the next notification");
    let failure = phone.last_failure.as_mut().unwrap();
    (failure.over, failure.since) = (true, Some("2026-01-01T00:05:00Z".to_owned()));
    says(&phone, "nothing waiting; works again since 2026-01-01 00:05 UTC");
    (phone.waiting, phone.next_try_s, phone.last_failure) = (1, Some(600.0), None);
    says(&phone, "1 notification waiting; next try in 10m");
    // Of an agent before these were said.
    let log: ChannelState = serde_json::from_str(r#"{"channel":"log","waiting":0,"last_failure":null}"#).unwrap();
    assert_eq!(line(&log, &utc()), "log: nothing waiting");
}
