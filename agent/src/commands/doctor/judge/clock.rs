//! Whether the time of day is known.

use jiff::Timestamp;
use tilth_core::time::WallTime;

use super::super::facts::ClockFacts;
use super::super::{Check, Finding};
use crate::clock::EARLIEST;

const AT: &str = "this machine";

/// What sets a clock, with a network and without.
const SET: &str = "sudo timedatectl set-ntp true, with a way to the internet or a time server in the house; without one: sudo date --set \
                   'YYYY-MM-DD HH:MM'";

pub(super) fn finding(clock: &ClockFacts) -> Finding {
    let ClockFacts { now, is_synchronised, has_battery, trusts_battery, agent } = clock;
    if *now < EARLIEST {
        let message = format!("it is {} here, which is before this program was built: the clock is not set", day(*now));
        return Finding::fault(Check::Clock, &AT, message, SET);
    }
    let battery = match has_battery {
        true => "",
        false => "; no battery: after a power cut the time is unknown until there is a network",
    };
    match agent.as_deref() {
        _ if *is_synchronised => Finding::ok(Check::Clock, &AT, format!("synchronised{battery}")),
        Some("told") => Finding::ok(Check::Clock, &AT, format!("told by the hub{battery}")),
        Some("made") => Finding::ok(Check::Clock, &AT, "simulated, for the demo and tests"),
        _ if *trusts_battery && *has_battery => Finding::ok(Check::Clock, &AT, "kept by a battery"),
        _ if *trusts_battery => Finding::warning(
            Check::Clock,
            &AT,
            "agent.toml says that the clock has a battery (device.clock), and there is no /dev/rtc0",
            "dtoverlay=i2c-rtc,ds3231 in config.txt for that chip, then sudo reboot; or remove clock from [device]",
        ),
        _ => {
            let message =
                format!("not synchronised: readings have no time of day and schedules their fallback{battery}");
            Finding::warning(Check::Clock, &AT, message, SET)
        }
    }
}

fn day(at: WallTime) -> String {
    let WallTime(ms) = at;
    Timestamp::from_millisecond(ms).map_or(ms.to_string(), |at| at.strftime("%Y-%m-%d").to_string())
}
