//! A channel in the state of the agent.

use super::times::Times;
use super::{for_long, line as one_line};
use crate::api::rows::ChannelState;
use crate::output::counted;

/// Waiting notifications of a channel, its last failure, and its next try.
pub(super) fn line(channel: &ChannelState, times: &Times) -> String {
    let server = channel.server.as_ref().map_or(String::new(), |server| format!(" ({})", one_line(server)));
    let waiting = match channel.waiting {
        0 => "nothing waiting".to_owned(),
        waiting => format!("{} waiting", counted(waiting, "notification")),
    };
    let lack = channel.lack.as_ref().map_or(String::new(), |lack| format!("; unavailable: {}", one_line(lack)));
    let is_down = channel.last_failure.as_ref().is_some_and(|failure| !failure.over);
    let failure = channel.last_failure.as_ref().map_or(String::new(), |failure| {
        let since = times.since(failure.since.as_ref(), failure.for_s);
        if failure.over {
            format!("; works again{since}")
        } else if channel.lack.as_ref() == Some(&failure.reason) {
            String::new()
        } else {
            format!("; fails{since}: {}", one_line(&failure.reason))
        }
    });
    let next = match channel.next_try_s {
        _ if channel.sending => "; sending".to_owned(),
        Some(seconds) => format!("; next try in {}", for_long(seconds)),
        None if is_down => "; next try with the next notification".to_owned(),
        None => String::new(),
    };
    format!("{}{server}: {waiting}{lack}{failure}{next}", channel.channel)
}

#[cfg(test)]
mod tests;
