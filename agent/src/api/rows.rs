//! Rows of the answers and bodies of the requests of the API. `by` is the name of a person, `for_s` a duration; `_s` are seconds.
//!
//! Parts of [`StatusRow`] have defaults: `status` of a new program shows what an older agent says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tilth_core::id::{Id, SensorId};
use tilth_core::time::Uptime;
use tilth_sync::engine::{Counts, Meter, PullStatus};

use crate::configuration::{BundleStatus, ConfigState};
use crate::decide::ReadingCounts;
use crate::sense::bus::health::{BoardHealth, UnusableValue};
use crate::sense::i2c::CalibrationStep;
use crate::store::RecordedLoss;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer<T> {
    /// Time of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<String>,
    /// Why the store cannot write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// Rows asked for, or the row that a change concerns.
    pub(crate) rows: Vec<T>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    pub(crate) for_s: f64,
    pub(crate) by: String,
}

/// Body of a new silence, which covers alerts that match each of zone, rule and sensor that is given.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Silence {
    pub(crate) zone: Option<Id>,
    pub(crate) rule: Option<Id>,
    pub(crate) sensor: Option<SensorId>,
    /// Must be true where none of these is given: silences the whole farm.
    #[serde(default)]
    pub(crate) everything: bool,
    pub(crate) for_s: f64,
    pub(crate) by: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) text: String,
    pub(crate) by: String,
}

/// Body of the request for a serial port that the agent is to leave alone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleasePort {
    pub(crate) port: String,
}

/// Body of a request that states only the person: the test of a channel, the end of a hold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    pub(crate) by: String,
}

/// Body of a step of a calibration; answered with a [`CalibrationRow`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calibrate {
    pub(crate) sensor: SensorId,
    pub(crate) step: CalibrationStep,
    /// What the solution is worth, in the unit of the circuit: pH, uS/cm or C.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<f64>,
    pub(crate) by: String,
}

/// Body of a command to an actuator.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Actuate {
    pub(crate) on: bool,
    /// Time on in seconds; without it the longest that the actuator may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) for_s: Option<f64>,
    pub(crate) by: String,
    /// Id of the command: one that comes again within seconds does nothing. Chosen by the agent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<Id>,
}

/// Body of a new hold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    pub(crate) zone: Id,
    /// Without it until a person ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) for_s: Option<f64>,
    pub(crate) by: String,
}

/// Number in JSON, with the digits that people are shown.
pub(crate) type Digits = Option<Box<RawValue>>;

/// Alert that is open; keys as in a transition.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AlertRow {
    /// Alert number, unique per device; absent before the alert fires.
    pub(crate) alert: Option<u64>,
    pub(crate) zone: Id,
    pub(crate) rule: Id,
    pub(crate) sensor: SensorId,
    /// `pending`, `firing` or `acknowledged`.
    pub(crate) state: String,
    pub(crate) severity: String,
    pub(crate) value: Digits,
    pub(crate) limit: Digits,
    pub(crate) since: Option<String>,
    /// Seconds that the condition has held.
    pub(crate) for_s: f64,
    /// Time of the reading, milliseconds since 1970.
    pub(crate) reading_ts: Option<i64>,
    /// End of the acknowledgement, or when a pending alert fires; `left_s`: seconds until then.
    pub(crate) until: Option<String>,
    pub(crate) left_s: Option<f64>,
    /// Person who acknowledged the alert.
    pub(crate) by: Option<String>,
    pub(crate) silenced_until: Option<String>,
    pub(crate) silenced: bool,
    /// Not paged because its bus is, or was a moment ago, down or silent.
    pub(crate) inhibited: bool,
    /// State of the bus, in words.
    pub(crate) inhibited_by: Option<String>,
    pub(crate) pages: u32,
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
    /// Cause, where the agent knows more than the rule.
    pub(crate) why: Option<String>,
}

/// Alert of the past, open or not; times are those of its transitions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PastAlertRow {
    pub(crate) alert: u64,
    pub(crate) zone: String,
    pub(crate) rule: String,
    pub(crate) sensor: String,
    /// Severity of its newest transition.
    pub(crate) severity: String,
    /// When the condition began to hold.
    pub(crate) since: Option<String>,
    /// Null for an alert that fired before the period.
    pub(crate) fired: Option<String>,
    pub(crate) is_over: bool,
    pub(crate) resolved: Option<String>,
    /// Why it is over.
    pub(crate) reason: Option<String>,
    /// Person who acknowledged the alert last.
    pub(crate) by: Option<String>,
    /// Message of the newest transition.
    pub(crate) message: String,
}

/// Note of a person in the event log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NoteRow {
    pub(crate) at: Option<String>,
    /// Boot, and seconds since it began.
    pub(crate) boot: u32,
    pub(crate) uptime_s: f64,
    pub(crate) by: String,
    pub(crate) text: String,
}

/// Readings of a sensor within one window, in its unit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HistoryRow {
    pub(crate) sensor: SensorId,
    pub(crate) unit: String,
    /// When the window began, and how long before the answer; its length.
    pub(crate) at: Option<String>,
    pub(crate) ago_s: f64,
    pub(crate) for_s: f64,
    /// Good readings, which the four values are of, and others.
    pub(crate) count: u32,
    pub(crate) bad: u32,
    pub(crate) lowest: Digits,
    pub(crate) highest: Digits,
    pub(crate) mean: Digits,
    pub(crate) last: Digits,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SensorRow {
    pub(crate) sensor: SensorId,
    pub(crate) zone: Id,
    pub(crate) quantity: String,
    pub(crate) unit: String,
    /// None before the first reading.
    pub(crate) value: Digits,
    pub(crate) quality: Option<String>,
    /// Time of the reading.
    pub(crate) at: Option<String>,
    pub(crate) age_s: Option<f64>,
    /// `up`, `down` or `silent` of a bus; `accepts` or `refuses` of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Why there is no good value.
    pub(crate) why: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SilenceRow {
    pub(crate) silence: u32,
    pub(crate) zone: Option<Id>,
    pub(crate) rule: Option<Id>,
    pub(crate) sensor: Option<SensorId>,
    pub(crate) by: String,
    pub(crate) until: Option<String>,
    pub(crate) left_s: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ActuatorRow {
    pub(crate) actuator: Id,
    pub(crate) zone: Id,
    pub(crate) output: String,
    pub(crate) enabled: bool,
    /// `off`, `booking` while its dose is being written, `on`, or `stopping` until the output confirms that it is off.
    pub(crate) state: String,
    /// Seconds until it is off at the latest.
    pub(crate) left_s: Option<f64>,
    /// Seconds on within the last hour and the last 24 hours, and their limits.
    pub(crate) hour_s: f64,
    pub(crate) dose_per_hour_s: Option<f64>,
    pub(crate) day_s: f64,
    pub(crate) dose_per_day_s: Option<f64>,
    pub(crate) max_on_s: Option<f64>,
    /// Seconds for which it must stay off yet.
    pub(crate) must_rest_s: Option<f64>,
    /// Whether its zone is on hold.
    pub(crate) held: bool,
    /// People and switches that hold it.
    #[serde(default)]
    pub(crate) held_by: Vec<String>,
    /// History was lost, so what it dosed before is unknown and it stays off.
    pub(crate) doses_unknown: bool,
}

/// Time on of an actuator, or a command that was refused, from its events.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ActuationRow {
    pub(crate) actuator: String,
    pub(crate) zone: Option<String>,
    /// When it was switched on, or refused; when it ended of one that was switched on before the period.
    pub(crate) at: Option<String>,
    /// Boot, and seconds since it began.
    pub(crate) boot: u32,
    pub(crate) uptime_s: f64,
    /// Time on that was ordered, which counts in full; null without an end.
    pub(crate) for_s: Option<f64>,
    /// Time from the order to its end; null until then, and where it is not known.
    pub(crate) on_s: Option<f64>,
    /// Time on within the last hour and the last 24 hours, with this one.
    pub(crate) hour_s: Option<f64>,
    pub(crate) day_s: Option<f64>,
    /// Who asked for it, in words; rule and sensor of a rule.
    pub(crate) by: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) sensor: Option<String>,
    /// `on` until its end is known, `off`, `lost` where the output did not confirm, or `refused`.
    pub(crate) outcome: String,
    /// Why it ended or was refused.
    pub(crate) reason: Option<String>,
    /// Message of its newest event.
    pub(crate) message: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HoldRow {
    pub(crate) zone: Id,
    /// Name of the person, or the switch in words; none where history was lost, so that actuators with a total stay off.
    pub(crate) by: Option<String>,
    /// Switch that holds it, where one does.
    #[serde(default)]
    pub(crate) switch: Option<SensorId>,
    /// People and switches that still hold the zone after a hold was ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) still_held_by: Vec<String>,
    /// End of the hold and seconds until then; none: until the person or the switch ends it.
    pub(crate) until: Option<String>,
    pub(crate) left_s: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScheduleRow {
    pub(crate) schedule: Id,
    /// Zones whose rules use the schedule.
    pub(crate) zones: Vec<Id>,
    /// `open` or `closed`.
    pub(crate) state: String,
    /// Whether the clock is trusted; without it the state is the schedule's `untrusted`.
    pub(crate) trusted: bool,
    /// End of the state; none where there is none or the clock is not trusted.
    pub(crate) until: Option<String>,
    /// Local times of opening (`from`) and closing (`to`).
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) timezone: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StatusRow {
    pub(crate) device: String,
    pub(crate) version: String,
    pub(crate) running_s: f64,
    /// Number of the boot; 0 while no database counts it.
    pub(crate) boot: u32,
    pub(crate) clock: ClockState,
    pub(crate) config: ConfigState,
    pub(crate) buses: Vec<BusState>,
    /// None while the engine waits for the first stamp of an event-time clock.
    pub(crate) readings: Option<ReadingCounts>,
    pub(crate) alerts: Option<AlertCounts>,
    pub(crate) silences: Vec<SilenceRow>,
    /// Zones on hold.
    pub(crate) holds: Vec<HoldRow>,
    pub(crate) schedules: Vec<ScheduleRow>,
    pub(crate) store: StoreState,
    pub(crate) notify: NotifyState,
    /// State of sync; none without a hub.
    pub(crate) sync: Option<SyncState>,
}

/// Sync with the hub. Times are uptimes of the machine in milliseconds, also where the agent runs on another clock.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SyncState {
    /// Address of the hub.
    pub(crate) hub: String,
    /// The present on the clock of the times below.
    pub(crate) now: Uptime,
    /// Why sync cannot start, or a changed key or certificate is not used.
    pub(crate) trouble: Option<String>,
    /// Problems that need a person, by kind, with their reasons.
    pub(crate) alerts: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) bundle: BundleStatus,
    /// Such as `idle`, `sending` or `offline`; none until sync has started.
    pub(crate) state: Option<String>,
    /// Why sending fails.
    pub(crate) why: Option<String>,
    pub(crate) next_try: Option<Uptime>,
    /// When the hub last accepted a batch.
    pub(crate) last_success: Option<Uptime>,
    /// By lane, sequences that the hub does not have, and the highest that it confirmed.
    pub(crate) waiting: BTreeMap<tilth_protocol::Lane, u64>,
    pub(crate) confirmed: BTreeMap<tilth_protocol::Lane, u64>,
    pub(crate) counts: Counts,
    /// Bytes by purpose.
    pub(crate) traffic: Meter,
    /// The pull of the configuration.
    pub(crate) config: PullStatus,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ClockState {
    /// `system`, `x60` or `input`.
    pub(crate) source: String,
    /// Source of the time of day: `ntp`, `rtc`, `told` or `made`; none while the clock is not trusted.
    pub(crate) trust: Option<String>,
    pub(crate) error_s: Option<f64>,
    pub(crate) now: Option<String>,
    /// Seconds since the device booted, on this clock.
    pub(crate) uptime_s: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TestRow {
    pub(crate) channel: Id,
    /// False: still on its way.
    pub(crate) delivered: bool,
    /// What became of it at each number of a modem.
    #[serde(default)]
    pub(crate) numbers: Vec<String>,
}

/// Calibration of a circuit after a step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CalibrationRow {
    pub(crate) sensor: SensorId,
    pub(crate) step: CalibrationStep,
    pub(crate) value: Option<f64>,
    /// Points that the circuit keeps; none where its firmware does not say.
    pub(crate) points: Option<u8>,
    /// Slopes of a pH probe in acid and in base, % of an ideal probe's.
    pub(crate) slope_percent: Option<[f64; 2]>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RetryRow {
    pub(crate) bundle: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BusState {
    pub(crate) bus: String,
    /// As in `agent.toml`, such as `line`.
    pub(crate) kind: String,
    pub(crate) port: String,
    /// `up`, `down` or `opening`.
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) for_s: Option<f64>,
    pub(crate) opened: u64,
    pub(crate) bytes: u64,
    /// Messages that came: lines, frames of a board, measurements of chips.
    pub(crate) messages: u64,
    pub(crate) used: u64,
    /// Time of the last message; none before the first.
    pub(crate) last_message: Option<String>,
    pub(crate) last_message_s: Option<f64>,
    /// Ignored messages, by reason.
    pub(crate) ignored: BTreeMap<String, u64>,
    /// The reasons of `ignored` and `rejected_stamps` in words.
    pub(crate) reasons: BTreeMap<String, String>,
    pub(crate) last_ignored: Option<Ignored>,
    /// Names in messages that no sensor uses.
    pub(crate) unclaimed: Vec<String>,
    /// Names that sensors use and no message has had, once others were read.
    pub(crate) not_received: Vec<String>,
    /// Rejected time stamps of messages, whose readings are stamped with their arrival.
    pub(crate) rejected_stamps: Vec<RejectedStamps>,
    /// Sensors whose input fails.
    pub(crate) faults: Vec<FaultRow>,
    /// Sensors that several nodes report in turn.
    pub(crate) several_nodes: Vec<FaultRow>,
    /// Failures of the task of the bus.
    pub(crate) failures: u64,
    pub(crate) failed: Option<String>,
    /// The board of a bus of kind board, once it said who it is.
    pub(crate) board: Option<BoardHealth>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ignored {
    pub(crate) reason: String,
    pub(crate) message: String,
    #[serde(flatten)]
    pub(crate) about: Option<UnusableValue>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FaultRow {
    pub(crate) sensor: SensorId,
    pub(crate) why: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RejectedStamps {
    /// `none`, `no_clock`, `ahead`, `never_set`, `behind`, `stands_still` or `counter`.
    pub(crate) reason: String,
    pub(crate) messages: u64,
    /// Arrival of the first and the last of them, and seconds since.
    pub(crate) since: Option<String>,
    pub(crate) for_s: f64,
    pub(crate) last: Option<String>,
    pub(crate) last_s: f64,
    pub(crate) stamp: Option<String>,
    pub(crate) sensor: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AlertCounts {
    /// Firing or acknowledged.
    pub(crate) open: u64,
    pub(crate) acknowledged: u64,
    /// Among the open ones.
    pub(crate) silenced: u64,
    pub(crate) inhibited: u64,
    pub(crate) pending: u64,
    pub(crate) silences: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoreState {
    pub(crate) path: String,
    /// Why the store cannot write.
    pub(crate) trouble: Option<String>,
    /// Lost history, in words; the newest first.
    pub(crate) missing: Vec<String>,
    /// Rows that were given up, by kind; the newest first.
    pub(crate) given_up: Vec<RecordedLoss>,
    /// Rows dropped since the last write, in words.
    pub(crate) dropped: Vec<String>,
    /// Size of the file with its log.
    pub(crate) bytes: Option<u64>,
    pub(crate) most_bytes: u64,
    /// Bytes written by this process a day; none in the first half hour.
    pub(crate) written_bytes_a_day: Option<f64>,
    /// Size of the rows of a day, at the present rate.
    pub(crate) kept_bytes_a_day: Option<f64>,
    /// Days without the hub until the oldest raw readings are deleted, and until rows that the hub lacks are.
    pub(crate) raw_days: Option<f64>,
    pub(crate) offline_days: Option<f64>,
    pub(crate) lanes: BTreeMap<String, Lane>,
}

/// Lane of the outbox, in rows.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lane {
    pub(crate) committed: u64,
    pub(crate) confirmed: u64,
    pub(crate) waiting: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NotifyState {
    pub(crate) channels: Vec<ChannelState>,
    /// Notifications that did not fit into the queue.
    pub(crate) dropped: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChannelState {
    pub(crate) channel: Id,
    /// `scheme://host:port`; none for the log.
    pub(crate) server: Option<String>,
    #[serde(default)]
    pub(crate) waiting: u64,
    /// A message is in flight.
    #[serde(default)]
    pub(crate) sending: bool,
    pub(crate) next_try_s: Option<f64>,
    pub(crate) unavailable: Option<String>,
    pub(crate) last_failure: Option<Failed>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Failed {
    pub(crate) at: Option<String>,
    pub(crate) notification: String,
    pub(crate) reason: String,
    /// A later delivery succeeded.
    pub(crate) recovered: bool,
    /// First failure since the last delivery; once recovered, the first delivery after it.
    pub(crate) since: Option<String>,
    pub(crate) for_s: Option<f64>,
}
