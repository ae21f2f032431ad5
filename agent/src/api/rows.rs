//! Rows of the answers and bodies of the requests: what the API and its clients say to each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tilth_config::Entered;
use tilth_core::id::{Id, SensorId};

/// The form of every answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer<T> {
    /// The agent's time of day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// The farm's time zone, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<String>,
    /// Why nothing can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// What was asked for, or what a change made of it.
    pub(crate) rows: Vec<T>,
}

/// A person takes an alert on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    /// Seconds without a page about it.
    pub(crate) for_s: f64,
    /// Name of the person.
    pub(crate) by: String,
}

/// A person silences the alerts that all of what is named fits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Silence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sensor: Option<SensorId>,
    /// Needed where nothing is named: the whole farm is meant.
    #[serde(default)]
    pub(crate) everything: bool,
    /// Seconds that the silence lasts.
    pub(crate) for_s: f64,
    /// Name of the person.
    pub(crate) by: String,
}

/// A person writes something down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) text: String,
    /// Name of the person.
    pub(crate) by: String,
}

/// A number with the digits that people are shown.
pub(crate) type Digits = Option<Box<RawValue>>;

/// An alert that is open. The names are those of a transition.
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
    /// The reading's own time in milliseconds since 1970.
    pub(crate) reading_ts: Option<i64>,
    /// Until when it is acknowledged, or how long a pending one must go on before it fires; and how long that is from now.
    pub(crate) until: Option<String>,
    pub(crate) left_s: Option<f64>,
    /// Who acknowledged it.
    pub(crate) by: Option<String>,
    /// End of the acknowledgement: nobody is paged before.
    pub(crate) silenced_until: Option<String>,
    pub(crate) silenced: bool,
    /// Nobody is paged because of its bus: it is down or silent, or has been so a moment ago.
    pub(crate) inhibited: bool,
    /// How the bus is, in words.
    pub(crate) inhibited_by: Option<String>,
    pub(crate) pages: u32,
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
    /// Why the input of its sensor fails, where that is what it is about.
    pub(crate) why: Option<String>,
}

/// A sensor's newest value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SensorRow {
    pub(crate) sensor: SensorId,
    pub(crate) zone: Id,
    pub(crate) quantity: String,
    pub(crate) unit: String,
    /// None before the first reading.
    pub(crate) value: Digits,
    pub(crate) quality: Option<String>,
    /// The reading's own time.
    pub(crate) at: Option<String>,
    pub(crate) age_s: Option<f64>,
    /// For a bus and the hub, how they are: `up`, `down`, `silent`; `accepts`, `refuses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Why its input fails, its value is not believed, or none has come.
    pub(crate) why: Option<String>,
}

/// A silence that has not ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SilenceRow {
    pub(crate) silence: u32,
    pub(crate) zone: Option<Id>,
    pub(crate) rule: Option<Id>,
    pub(crate) sensor: Option<SensorId>,
    pub(crate) by: String,
    pub(crate) until: Option<String>,
    pub(crate) left_s: f64,
}

/// A schedule that rules watch by.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScheduleRow {
    pub(crate) schedule: Id,
    /// The zones whose rules watch by it.
    pub(crate) zones: Vec<Id>,
    /// `open` or `closed`.
    pub(crate) state: String,
    /// Whether the clock tells so; else it is what `untrusted` says.
    pub(crate) trusted: bool,
    /// When that changes; none where it never does, or the clock is not trusted.
    pub(crate) until: Option<String>,
    /// Local times of opening and closing, and their time zone.
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) timezone: Option<String>,
}

/// The first event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Connected {
    pub(crate) at: Option<String>,
    /// `connected`.
    pub(crate) event: String,
    pub(crate) device: Id,
    pub(crate) version: String,
}

/// How much a slow watcher did not see.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Missed {
    /// `missed`.
    pub(crate) event: String,
    pub(crate) lines: u64,
}

/// How the agent is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StatusRow {
    pub(crate) device: Id,
    pub(crate) version: String,
    /// Since the agent started.
    pub(crate) running_s: f64,
    /// 0 as long as there is no database to count it.
    pub(crate) boot: u32,
    pub(crate) clock: ClockState,
    pub(crate) config: ConfigState,
    pub(crate) buses: Vec<BusState>,
    /// None while the engine waits for the first stamp of an input clock.
    pub(crate) readings: Option<ReadingCounts>,
    pub(crate) alerts: Option<AlertCounts>,
    /// Silences that have not ended.
    #[serde(default)]
    pub(crate) silences: Vec<SilenceRow>,
    /// Schedules that rules watch by.
    #[serde(default)]
    pub(crate) schedules: Vec<ScheduleRow>,
    pub(crate) store: StoreState,
    pub(crate) notify: NotifyState,
    /// How the hub is reached; none without one.
    pub(crate) sync: Option<Box<RawValue>>,
}

/// Where time comes from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClockState {
    /// `system`, `x60` or `input`.
    pub(crate) source: String,
    /// Why the time of day is believed: `ntp`, `rtc`, `told` or `made`; none while it is not.
    pub(crate) trust: Option<String>,
    pub(crate) error_s: Option<f64>,
    pub(crate) now: Option<String>,
    /// Since the device booted, as this clock counts.
    pub(crate) uptime_s: f64,
}

/// Which configuration runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConfigState {
    pub(crate) hash: String,
    pub(crate) since: Option<String>,
    /// What it has, and what is gone.
    #[serde(flatten)]
    pub(crate) entered: Entered,
    /// Keys of `agent.toml` that are taken up at the next start.
    #[serde(default)]
    pub(crate) later: Vec<String>,
    /// Sensors that are not good any more since it came into force from files, in words.
    #[serde(default)]
    pub(crate) warning: Option<String>,
    /// A later one that was rejected, as long as its files lie there.
    pub(crate) refused: Option<RejectedConfig>,
}

/// A configuration that was rejected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RejectedConfig {
    pub(crate) at: Option<String>,
    /// How many of the problems are errors.
    #[serde(default)]
    pub(crate) errors: u64,
    pub(crate) problems: Vec<String>,
}

/// A bundle that is tried once more.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RetryRow {
    /// Version of the bundle.
    pub(crate) bundle: u64,
}

/// How a bus is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BusState {
    pub(crate) bus: Id,
    pub(crate) port: String,
    /// `up`, `down` or `opening`.
    pub(crate) state: String,
    /// Why it is down.
    pub(crate) reason: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) for_s: Option<f64>,
    pub(crate) opened: u64,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) used: u64,
    /// When the last line came; none before the first.
    pub(crate) last_line: Option<String>,
    pub(crate) last_line_s: Option<f64>,
    /// Lines that were not used as they should, by reason.
    pub(crate) ignored: BTreeMap<String, u64>,
    /// The last of them.
    pub(crate) last_ignored: Option<Ignored>,
    /// Names that lines carry and no sensor wants.
    pub(crate) unused: Vec<String>,
    /// Names that sensors want and no line has carried, once others were read.
    #[serde(default)]
    pub(crate) unseen: Vec<String>,
    /// Lines whose own time was not taken though a sensor asks for it: their readings are stamped with their arrival.
    #[serde(default)]
    pub(crate) stamps_refused: Vec<RejectedStamps>,
    /// Sensors whose input fails, and why.
    #[serde(default)]
    pub(crate) faults: Vec<FaultRow>,
    /// Sensors that are read from several nodes in turn, and which.
    #[serde(default)]
    pub(crate) mixed: Vec<FaultRow>,
    /// How often the bus's own task failed.
    pub(crate) failures: u64,
    pub(crate) failed: Option<String>,
}

/// A line that was not used.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ignored {
    pub(crate) reason: String,
    pub(crate) line: String,
    /// The field that a sensor wants and cannot use, what stands there, and the sensor.
    pub(crate) field: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) sensor: Option<SensorId>,
}

/// A sensor whose input fails.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FaultRow {
    pub(crate) sensor: SensorId,
    pub(crate) why: String,
}

/// Lines whose own time was not taken, for one reason.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RejectedStamps {
    /// `none`, `no_clock`, `ahead`, `never_set`, `behind`, `stands_still` or `counter`.
    pub(crate) reason: String,
    pub(crate) lines: u64,
    /// When the first and the last of them arrived, and how long ago.
    pub(crate) since: Option<String>,
    pub(crate) for_s: f64,
    pub(crate) last: Option<String>,
    pub(crate) last_s: f64,
    /// The last such stamp.
    pub(crate) stamp: Option<String>,
    /// A sensor that it was meant for.
    pub(crate) sensor: SensorId,
}

/// What became of readings since the start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReadingCounts {
    pub(crate) decided: u64,
    pub(crate) missing: u64,
    pub(crate) late: u64,
    pub(crate) future_stamps: u64,
    #[serde(default)]
    pub(crate) past_stamps: u64,
    pub(crate) unplaced_stamps: u64,
    /// Left out because the engine did not keep up.
    pub(crate) dropped: u64,
}

/// How many alerts there are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AlertCounts {
    /// Firing or acknowledged.
    pub(crate) open: u64,
    pub(crate) acknowledged: u64,
    /// Of those that are open.
    pub(crate) silenced: u64,
    pub(crate) inhibited: u64,
    pub(crate) pending: u64,
    pub(crate) silences: u64,
}

/// How the store is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoreState {
    pub(crate) path: String,
    /// Why nothing can be written.
    pub(crate) trouble: Option<String>,
    /// What of the history is missing, as it was noticed at this start and the ones before; the newest first.
    #[serde(default)]
    pub(crate) missing: Vec<String>,
    /// What was given up and why, by kind; the newest first.
    #[serde(default)]
    pub(crate) given_up: Vec<GivenUp>,
    /// What was dropped since the database could be written last, in words.
    #[serde(default)]
    pub(crate) dropped: Vec<String>,
    /// Of the file with its log.
    pub(crate) bytes: Option<u64>,
    pub(crate) most_bytes: u64,
    /// Of this process, over the last day; none in the first half hour.
    pub(crate) written_bytes_a_day: Option<f64>,
    /// What the rows of a day take, at the rate of the newest ones.
    pub(crate) kept_bytes_a_day: Option<f64>,
    /// Days without the hub until the oldest raw readings go, and until the hub would miss something.
    pub(crate) raw_days: Option<f64>,
    pub(crate) offline_days: Option<f64>,
    pub(crate) lanes: BTreeMap<String, Lane>,
}

/// Something that was given up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GivenUp {
    /// `readings`, `windows`, `minutes`, `quarters`, `events` or `diagnostics`.
    pub(crate) what: String,
    pub(crate) reason: String,
    pub(crate) count: u64,
    /// From when to when it was from; none where the clock was not trusted.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

/// A lane of the outbox.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lane {
    pub(crate) committed: u64,
    pub(crate) confirmed: u64,
    pub(crate) waiting: u64,
}

/// How people are told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct NotifyState {
    pub(crate) channels: Vec<ChannelState>,
    /// Notices that did not fit into the queue.
    pub(crate) refused: u64,
}

/// One way to tell people.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChannelState {
    pub(crate) channel: Id,
    /// `scheme://host:port`; none for the log.
    pub(crate) server: Option<String>,
    pub(crate) waiting: u64,
    /// Something is on its way.
    #[serde(default)]
    pub(crate) sending: bool,
    /// Until the next of those that wait is sent.
    pub(crate) next_try_s: Option<f64>,
    /// Why it can tell nothing now, before anybody is to be told.
    pub(crate) lack: Option<String>,
    pub(crate) last_failure: Option<Failed>,
}

/// A notice that could not be told at once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) at: Option<String>,
    pub(crate) notice: String,
    pub(crate) reason: String,
    /// Since then one was told.
    pub(crate) over: bool,
    /// Since when none was told; once it is over, since when that is so.
    pub(crate) since: Option<String>,
    pub(crate) for_s: Option<f64>,
}
