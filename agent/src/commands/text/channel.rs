//! A channel in the state of the agent.

use super::times::Times;
use super::{for_long, line as one_line};
use crate::api::rows::ChannelState;

/// What waits on a channel, since when it fails, and when it is tried again.
pub(super) fn line(channel: &ChannelState, times: &Times) -> String {
    let server = channel.server.as_ref().map_or(String::new(), |server| format!(" ({})", one_line(server)));
    let waiting = match channel.waiting {
        0 => "nothing waits".to_owned(),
        1 => "1 notice waits".to_owned(),
        waiting => format!("{waiting} notices wait"),
    };
    let lack = channel.lack.as_ref().map_or(String::new(), |lack| format!("; it can tell nothing: {}", one_line(lack)));
    let is_down = channel.last_failure.as_ref().is_some_and(|failure| !failure.over);
    let failure = channel.last_failure.as_ref().map_or(String::new(), |failure| {
        let since = match (times.minute(failure.since.as_ref()), failure.for_s) {
            (Some(since), _) => format!(" since {since}"),
            (None, Some(seconds)) => format!(" for {}", for_long(seconds)),
            (None, None) => String::new(),
        };
        if failure.over {
            format!("; works again{since}")
        } else if channel.lack.as_ref() == Some(&failure.reason) {
            String::new()
        } else {
            format!("; fails{since}: {}", one_line(&failure.reason))
        }
    });
    let next = match channel.next_try_s {
        _ if channel.sending => "; something is on its way".to_owned(),
        Some(seconds) => format!("; next try in {}", for_long(seconds)),
        None if is_down => "; next try with the next notice".to_owned(),
        None => String::new(),
    };
    format!("{}{server}: {waiting}{lack}{failure}{next}", channel.channel)
}

#[cfg(test)]
mod tests {
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
        says(&phone, "3 notices wait; fails since 2026-01-01 00:01 UTC: Connection refused; next try in 25s");
        phone.last_failure.as_mut().unwrap().since = None;
        phone.next_try_s = None;
        phone.sending = true;
        says(&phone, "3 notices wait; fails for 1m30s: Connection refused; something is on its way");
        (phone.waiting, phone.sending) = (0, false);
        says(&phone, "nothing waits; fails for 1m30s: Connection refused; next try with the next notice");
        let failure = phone.last_failure.as_mut().unwrap();
        (failure.over, failure.since) = (true, Some("2026-01-01T00:05:00Z".to_owned()));
        says(&phone, "nothing waits; works again since 2026-01-01 00:05 UTC");
        (phone.waiting, phone.next_try_s, phone.last_failure) = (1, Some(600.0), None);
        says(&phone, "1 notice waits; next try in 10m");
        // Of an agent before these were said.
        let log: ChannelState = serde_json::from_str(r#"{"channel":"log","waiting":0,"last_failure":null}"#).unwrap();
        assert_eq!(line(&log, &utc()), "log: nothing waits");
    }
}
