//! What the two ends of the socket say to each other.
//!
//! A request is one line, an object with the version `v` and what is asked: `{"v":1,"ask":"alerts","all":true}`. It is answered
//! with lines: any number of `row`, `text` or `missed`, then one `done` or `failed`. A connection may ask again after that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tilth_config::Entered;
use tilth_core::id::{Id, SensorId};
use tilth_core::site::Matcher;
use tilth_core::time::Span;

/// Raised when an old client or an old agent would misunderstand.
pub(super) const VERSION: u32 = 1;

/// The longest request.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// The version alone: looked at before anything else of a request.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) v: u32,
}

/// A request as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<'a> {
    pub(super) v: u32,
    #[serde(flatten)]
    pub(super) request: &'a Request,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Request {
    /// One [`StatusRow`].
    Status,
    /// A [`SensorRow`] for each.
    Sensors,
    /// An [`AlertRow`] for each that has fired and is not over; `all`: pending ones too.
    Alerts { all: bool },
    /// Answered with the [`AlertRow`] as it is then.
    Acknowledge { alert: u64, span: Span, by: String },
    /// Answered with the [`SilenceRow`].
    Silence { of: Matcher, span: Span, by: String },
    /// Answered with the [`SilenceRow`] that it was.
    EndSilence { silence: u32 },
    /// A [`SilenceRow`] for each that has not ended.
    Silences,
    /// Answered with nothing but `done`.
    Note { text: String, by: String },
    /// A [`Connected`], then a transition for each that happens, until the asking side hangs up: as `replay --json` prints it,
    /// or as `replay` does.
    Tail { text: bool },
}

/// A line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// One of what was asked for.
    Row(Box<RawValue>),
    /// The same for people.
    Text(String),
    /// The asking side was too slow and so many rows were left out.
    Missed(u64),
    /// That was all.
    Done(AskedAt),
    /// It cannot be done, and why.
    Failed(String),
}

/// What whoever shows the answer to people needs to know.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct AskedAt {
    /// The agent's time of day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// The farm's time zone, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timezone: Option<String>,
    /// Why nothing can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<String>,
}

impl Request {
    /// Whether people do something with it that a restart must not undo.
    pub(super) fn is_change(&self) -> bool {
        matches!(
            self,
            Request::Acknowledge { .. } | Request::Silence { .. } | Request::EndSilence { .. } | Request::Note { .. }
        )
    }
}

/// A number with the digits that people are shown.
pub(super) type Digits = Option<Box<RawValue>>;

/// An alert that is open. The names are those of a transition.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AlertRow {
    /// Its number; none before it fires.
    pub(super) alert: Option<u64>,
    pub(super) zone: Id,
    pub(super) rule: Id,
    pub(super) sensor: SensorId,
    /// `pending`, `firing` or `acknowledged`.
    pub(super) state: String,
    pub(super) severity: String,
    pub(super) value: Digits,
    pub(super) limit: Digits,
    pub(super) since: Option<String>,
    /// Seconds that the condition has held.
    pub(super) for_s: f64,
    /// The reading's own time in milliseconds since 1970.
    pub(super) reading_ts: Option<i64>,
    /// Until when it is acknowledged, or how long a pending one must go on before it fires; and how long that is from now.
    pub(super) until: Option<String>,
    #[serde(default)]
    pub(super) left_s: Option<f64>,
    /// Who acknowledged it.
    #[serde(default)]
    pub(super) by: Option<String>,
    /// Nobody is paged before.
    pub(super) silenced_until: Option<String>,
    pub(super) silenced: bool,
    /// Nobody is paged because of its bus: it is down or silent, or has been so a moment ago.
    pub(super) inhibited: bool,
    /// How the bus is, in words.
    #[serde(default)]
    pub(super) inhibited_by: Option<String>,
    pub(super) pages: u32,
    pub(super) message: String,
    pub(super) advice: Option<String>,
    /// Why the input of its sensor fails, where that is what it is about.
    #[serde(default)]
    pub(super) why: Option<String>,
}

/// A sensor's newest value.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SensorRow {
    pub(super) sensor: SensorId,
    pub(super) zone: Id,
    pub(super) quantity: String,
    pub(super) unit: String,
    /// None before the first reading.
    pub(super) value: Digits,
    pub(super) quality: Option<String>,
    /// The reading's own time.
    pub(super) at: Option<String>,
    pub(super) age_s: Option<f64>,
    /// For a bus and the hub, how they are: `up`, `down`, `silent`; `accepts`, `refuses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<String>,
    /// Why its input fails, its value is not believed, or none has come.
    #[serde(default)]
    pub(super) why: Option<String>,
}

/// A silence that has not ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SilenceRow {
    pub(super) silence: u32,
    pub(super) zone: Option<Id>,
    pub(super) rule: Option<Id>,
    pub(super) sensor: Option<SensorId>,
    pub(super) by: String,
    pub(super) until: Option<String>,
    pub(super) left_s: f64,
}

/// A schedule that rules watch by.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ScheduleRow {
    pub(super) schedule: Id,
    /// The zones whose rules watch by it.
    pub(super) zones: Vec<Id>,
    /// `open` or `closed`.
    pub(super) state: String,
    /// Whether the clock tells so; else it is what `untrusted` says.
    pub(super) trusted: bool,
    /// When that changes; none where it never does, or the clock is not trusted.
    pub(super) until: Option<String>,
    /// Local times of opening and closing, and their time zone.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) timezone: Option<String>,
}

/// The first line of `tail`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Connected {
    pub(super) at: Option<String>,
    /// `connected`.
    pub(super) event: String,
    pub(super) device: Id,
    pub(super) version: String,
}

/// What a slow reader of `tail` did not see.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Missed {
    /// `missed`.
    pub(super) event: String,
    pub(super) lines: u64,
}

/// How the agent is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StatusRow {
    pub(super) device: Id,
    pub(super) version: String,
    /// Since the agent started.
    pub(super) running_s: f64,
    /// 0 as long as there is no database to count it.
    pub(super) boot: u32,
    pub(super) clock: ClockState,
    pub(super) config: ConfigState,
    pub(super) buses: Vec<BusState>,
    /// None while the engine waits for the first stamp of an input clock.
    pub(super) readings: Option<ReadingCounts>,
    pub(super) alerts: Option<AlertCounts>,
    /// Those that have not ended.
    #[serde(default)]
    pub(super) silences: Vec<SilenceRow>,
    /// Those that rules watch by.
    #[serde(default)]
    pub(super) schedules: Vec<ScheduleRow>,
    pub(super) store: StoreState,
    pub(super) notify: NotifyState,
    /// How the hub is reached; none without one.
    pub(super) sync: Option<Box<RawValue>>,
}

/// Where time comes from.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClockState {
    /// `system`, `x60` or `input`.
    pub(super) source: String,
    /// Why the time of day is believed: `ntp`, `rtc`, `told` or `made`; none while it is not.
    pub(super) trust: Option<String>,
    pub(super) error_s: Option<f64>,
    pub(super) now: Option<String>,
    /// Since the device booted, as this clock counts.
    pub(super) uptime_s: f64,
}

/// Which configuration runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ConfigState {
    pub(super) hash: String,
    pub(super) since: Option<String>,
    /// What it has, and what is gone.
    #[serde(flatten)]
    pub(super) entered: Entered,
    /// Keys of `agent.toml` that are taken up at the next start.
    #[serde(default)]
    pub(super) later: Vec<String>,
    /// A later one that was refused, as long as it lies there.
    pub(super) refused: Option<Refused>,
}

/// A configuration that was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) at: Option<String>,
    pub(super) problems: Vec<String>,
}

/// How a bus is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BusState {
    pub(super) bus: Id,
    pub(super) port: String,
    /// `up`, `down` or `opening`.
    pub(super) state: String,
    /// Why it is down.
    pub(super) reason: Option<String>,
    pub(super) since: Option<String>,
    pub(super) for_s: Option<f64>,
    pub(super) opened: u64,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) used: u64,
    /// When the last line came; none before the first.
    #[serde(default)]
    pub(super) last_line: Option<String>,
    #[serde(default)]
    pub(super) last_line_s: Option<f64>,
    /// Lines that were not used as they should, by reason.
    pub(super) ignored: BTreeMap<String, u64>,
    /// The last of them.
    pub(super) last_ignored: Option<Ignored>,
    /// Names that lines carry and no sensor wants.
    pub(super) unused: Vec<String>,
    /// Names that sensors want and no line has carried, once others were read.
    #[serde(default)]
    pub(super) unseen: Vec<String>,
    /// Lines whose own time was not taken though a sensor asks for it: their readings are stamped with their arrival.
    #[serde(default)]
    pub(super) stamps_refused: Vec<RefusedStamps>,
    /// Sensors whose input fails, and why.
    #[serde(default)]
    pub(super) faults: Vec<FaultRow>,
    /// Sensors that are read from several nodes in turn, and which.
    #[serde(default)]
    pub(super) mixed: Vec<FaultRow>,
    /// How often the bus's own task failed.
    pub(super) failures: u64,
    pub(super) failed: Option<String>,
}

/// A line that was not used.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ignored {
    pub(super) reason: String,
    pub(super) line: String,
    /// The field that a sensor wants and cannot use, what stands there, and the sensor.
    #[serde(default)]
    pub(super) field: Option<String>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) sensor: Option<SensorId>,
}

/// A sensor whose input fails.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FaultRow {
    pub(super) sensor: SensorId,
    pub(super) why: String,
}

/// Lines whose own time was not taken, for one reason.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RefusedStamps {
    /// `none`, `no_clock`, `ahead`, `never_set`, `behind`, `stands_still` or `counter`.
    pub(super) reason: String,
    pub(super) lines: u64,
    /// When the first and the last of them arrived, and how long ago.
    pub(super) since: Option<String>,
    pub(super) for_s: f64,
    pub(super) last: Option<String>,
    pub(super) last_s: f64,
    /// The last such stamp.
    pub(super) stamp: Option<String>,
    /// A sensor that it was meant for.
    pub(super) sensor: SensorId,
}

/// What became of readings since the start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReadingCounts {
    pub(super) decided: u64,
    pub(super) missing: u64,
    pub(super) late: u64,
    pub(super) future_stamps: u64,
    #[serde(default)]
    pub(super) past_stamps: u64,
    pub(super) unplaced_stamps: u64,
    /// Left out because the engine did not keep up.
    pub(super) dropped: u64,
}

/// How many alerts there are.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AlertCounts {
    /// Firing or acknowledged.
    pub(super) open: u64,
    pub(super) acknowledged: u64,
    /// Of those that are open.
    pub(super) silenced: u64,
    pub(super) inhibited: u64,
    pub(super) pending: u64,
    pub(super) silences: u64,
}

/// How the store is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StoreState {
    pub(super) path: String,
    /// Why nothing can be written.
    pub(super) trouble: Option<String>,
    /// What of the history is missing, as it was noticed at this start and the ones before; the newest first.
    #[serde(default)]
    pub(super) missing: Vec<String>,
    /// What was given up and why, by kind; the newest first.
    #[serde(default)]
    pub(super) given_up: Vec<GivenUp>,
    /// What was dropped since the database could be written last, in words.
    #[serde(default)]
    pub(super) dropped: Vec<String>,
    /// Of the file with its log.
    pub(super) bytes: Option<u64>,
    pub(super) most_bytes: u64,
    /// Of this process, over the last day; none in the first half hour.
    pub(super) written_bytes_a_day: Option<f64>,
    /// What the rows of a day take, at the rate of the newest ones.
    pub(super) kept_bytes_a_day: Option<f64>,
    /// Days without the hub until the oldest raw readings go, and until the hub would miss something.
    pub(super) raw_days: Option<f64>,
    pub(super) offline_days: Option<f64>,
    pub(super) lanes: BTreeMap<String, Lane>,
}

/// Something that was given up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GivenUp {
    /// `readings`, `windows`, `minutes`, `quarters`, `events` or `diagnostics`.
    pub(super) what: String,
    pub(super) reason: String,
    pub(super) count: u64,
    /// From when to when it was from; none where the clock was not trusted.
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

/// A lane of the outbox.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) committed: u64,
    pub(super) confirmed: u64,
    pub(super) waiting: u64,
}

/// How people are told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct NotifyState {
    pub(super) channels: Vec<ChannelState>,
    /// Notices that did not fit into the queue.
    pub(super) refused: u64,
}

/// One way to tell people.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChannelState {
    pub(super) channel: Id,
    /// `scheme://host:port`; none for the log.
    #[serde(default)]
    pub(super) server: Option<String>,
    pub(super) waiting: u64,
    /// Something is on its way.
    #[serde(default)]
    pub(super) sending: bool,
    /// Until the next of those that wait is sent.
    #[serde(default)]
    pub(super) next_try_s: Option<f64>,
    /// Why it can tell nothing now, before anybody is to be told.
    #[serde(default)]
    pub(super) lack: Option<String>,
    pub(super) last_failure: Option<Failed>,
}

/// A notice that could not be told at once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) at: Option<String>,
    pub(super) notice: String,
    pub(super) reason: String,
    /// Since then one was told.
    pub(super) over: bool,
    /// Since when none was told; once it is over, since when that is so.
    #[serde(default)]
    pub(super) since: Option<String>,
    #[serde(default)]
    pub(super) for_s: Option<f64>,
}
