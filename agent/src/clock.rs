//! The agent's one clock. Everything that decides takes the time as an argument; only here is the machine asked for it.
//!
//! | source | uptime | time of day |
//! | --- | --- | --- |
//! | system | since the machine booted, sleep included | the machine's, once it is synchronised or where it has a battery; else none |
//! | scaled | the same, times a factor | begins at the machine's, runs as fast, and goes on over a restart |
//! | input | event time: the greatest stamp seen | the same |
//!
//! The last two are for the demo and for tests. With each of them uptime goes on over a restart of the agent within one boot of the machine.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tilth_core::time::{Span, Uptime, WallTime};
use tokio::sync::watch;

/// How often the machine is asked whether its clock is right. Between, time of day follows uptime, which is as good.
const ASK_AGAIN: Span = Span::from_secs(1);

/// 2026-01-01T00:00:00Z: this program is younger. A time before it, on the machine or in a stamp, is of a clock that was never
/// set, or whose battery is empty.
pub(crate) const EARLIEST: WallTime = WallTime(1_767_225_600_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ClockMode {
    #[default]
    System,
    /// The machine, so many times faster.
    Scaled(u32),
    /// Event time: the stamps of what is read; `input` on the command line.
    EventTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Synchronised,
    /// The machine's clock has a battery, and the configuration says so.
    Battery,
    /// The hub stated it, signed, or the store of an earlier run in this boot.
    Stated,
    /// The clock is simulated, and right by definition.
    Simulated,
}

impl Trust {
    /// In events, in the store and in `status`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Trust::Synchronised => "ntp",
            Trust::Battery => "rtc",
            Trust::Stated => "told",
            Trust::Simulated => "made",
        }
    }
}

/// Clock anchor: the time of day of a boot, as what to add to its uptime. Stored and sent as an event, from which store and hub stamp the
/// boot's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// Wall time at uptime zero.
    pub(crate) offset_ms: i64,
    pub(crate) trust: Trust,
    /// Upper limit of its error, where that is known.
    pub(crate) error: Option<Span>,
}

/// The clock; clones tell the same time.
#[derive(Debug, Clone)]
pub(crate) struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mode: ClockMode,
    anchor: Mutex<AnchorState>,
    /// The greatest stamp, in mode `EventTime`.
    greatest: watch::Sender<Option<WallTime>>,
}

#[derive(Debug)]
struct AnchorState {
    anchor: Option<Anchor>,
    /// The machine's own clock is believed before it is synchronised.
    has_battery: bool,
    ask_at: Uptime,
}

impl Clock {
    pub(crate) fn new(mode: ClockMode) -> Clock {
        let anchor = match mode {
            ClockMode::System => None,
            ClockMode::Scaled(_) => {
                Some(Anchor { offset_ms: machine_wall_ms() - mode.uptime().0, trust: Trust::Simulated, error: None })
            }
            ClockMode::EventTime => Some(Anchor { offset_ms: 0, trust: Trust::Simulated, error: None }),
        };
        let anchor = Mutex::new(AnchorState { anchor, has_battery: false, ask_at: Uptime(i64::MIN) });
        Clock(Arc::new(Inner { mode, anchor, greatest: watch::Sender::new(None) }))
    }

    pub(crate) fn mode(&self) -> ClockMode {
        self.0.mode
    }

    /// The time of day as far as it is known, for the name of a file that is put aside.
    pub(crate) fn time_suffix(&self) -> String {
        self.now().1.map_or("unknown-time".to_owned(), |now| now.0.to_string())
    }

    /// Uptime, and the time of day once that is trusted. On the event-time clock both are zero and nothing before the first stamp.
    pub(crate) fn now(&self) -> (Uptime, Option<WallTime>) {
        let now = self.uptime();
        let known = self.0.mode != ClockMode::EventTime || self.greatest().is_some();
        (now, self.anchor_at(now).filter(|_| known).map(|anchor| anchor.wall(now)))
    }

    pub(crate) fn uptime(&self) -> Uptime {
        match self.0.mode {
            ClockMode::EventTime => Uptime(self.greatest().map_or(0, |WallTime(ms)| ms)),
            machine => machine.uptime(),
        }
    }

    /// Source of the time of day at the moment; once it is trusted it stays so until the machine boots.
    pub(crate) fn anchor(&self) -> Option<Anchor> {
        self.anchor_at(self.uptime())
    }

    /// Takes a stated time of day: the hub's signed time, or what the store kept of this boot. The machine's own synchronised clock
    /// still goes before it.
    pub(crate) fn trust(&self, anchor: Anchor) {
        if self.0.mode != ClockMode::EventTime {
            self.anchor_state().anchor = Some(anchor);
        }
    }

    /// The machine has a clock with a battery: it is believed from now on, unless it shows a time from before this program. What
    /// is synchronised or stated goes before it.
    pub(crate) fn trust_battery(&self) {
        let mut anchor_state = self.anchor_state();
        anchor_state.has_battery = true;
        anchor_state.ask_at = Uptime(i64::MIN);
    }

    /// The uptime at a time of day; before boot it is negative. None while the time of day is not trusted.
    pub(crate) fn uptime_at(&self, wall: WallTime) -> Option<Uptime> {
        Some(Uptime(wall.0.saturating_sub(self.anchor()?.offset_ms)))
    }

    /// The time of day at an uptime. None while the time of day is not trusted.
    pub(crate) fn wall_at(&self, at: Uptime) -> Option<WallTime> {
        self.now().1?;
        self.anchor().map(|anchor| anchor.wall(at))
    }

    /// A stamp was read: the event-time clock moves on to it, and never back.
    pub(crate) fn observe(&self, stamp: WallTime) {
        if self.0.mode == ClockMode::EventTime {
            self.0.greatest.send_if_modified(|greatest| {
                let later = greatest.is_none_or(|greatest| stamp > greatest);
                if later {
                    *greatest = Some(stamp);
                }
                later
            });
        }
    }

    /// Waits until there is a time at all: on the event-time clock, for the first stamp.
    pub(crate) async fn started(&self) {
        if self.0.mode == ClockMode::EventTime {
            self.wait_for(Option::is_some).await;
        }
    }

    /// Waits until an uptime; forever where there is none. Cancelling is safe.
    pub(crate) async fn sleep_until(&self, due: impl Into<Option<Uptime>>) {
        let Some(due) = due.into() else { return std::future::pending().await };
        if self.0.mode == ClockMode::EventTime {
            return self.wait_for(|greatest| greatest.is_some_and(|stamp| stamp.0 >= due.0)).await;
        }
        loop {
            let left = due - self.uptime();
            if left <= Span::ZERO {
                return;
            }
            // Uptime counts the machine's sleep and tokio's timer does not: look again at least this often.
            let left_ms = left.0.unsigned_abs().div_ceil(self.0.mode.factor()).min(10_000);
            tokio::time::sleep(Duration::from_millis(left_ms)).await;
        }
    }

    async fn wait_for(&self, is_it: impl FnMut(&Option<WallTime>) -> bool) {
        let mut stamps = self.0.greatest.subscribe();
        stamps.wait_for(is_it).await.expect("the sender lives as long as the clock that is borrowed here");
    }

    fn greatest(&self) -> Option<WallTime> {
        *self.0.greatest.borrow()
    }

    fn anchor_at(&self, now: Uptime) -> Option<Anchor> {
        let mut anchor_state = self.anchor_state();
        if self.0.mode == ClockMode::System && now >= anchor_state.ask_at {
            anchor_state.ask_at = now + ASK_AGAIN;
            let offset_ms = || machine_wall_ms() - self.0.mode.uptime().0;
            if let Some(error) = synchronised() {
                anchor_state.anchor = Some(Anchor { offset_ms: offset_ms(), trust: Trust::Synchronised, error });
            } else if anchor_state.has_battery
                // Nothing better is known.
                && anchor_state.anchor.is_none_or(|anchor| anchor.trust == Trust::Battery)
                && machine_wall_ms() >= EARLIEST.0
            {
                anchor_state.anchor = Some(Anchor { offset_ms: offset_ms(), trust: Trust::Battery, error: None });
            }
        }
        anchor_state.anchor
    }

    fn anchor_state(&self) -> MutexGuard<'_, AnchorState> {
        self.0.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names this boot of the machine as this clock counts it; another source counts otherwise, so it is another boot.
    pub(crate) fn boot_id(&self) -> std::io::Result<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(match self.0.mode {
            ClockMode::System => id.trim().to_owned(),
            simulated => format!("{}-{simulated}", id.trim()),
        })
    }
}

impl Anchor {
    fn wall(self, at: Uptime) -> WallTime {
        WallTime(at.0.saturating_add(self.offset_ms))
    }
}

impl ClockMode {
    fn factor(self) -> u64 {
        match self {
            ClockMode::Scaled(factor) => u64::from(factor),
            ClockMode::System | ClockMode::EventTime => 1,
        }
    }

    /// Uptime of a clock that runs with the machine's.
    fn uptime(self) -> Uptime {
        let boot = clock_gettime(ClockId::Boottime);
        let us = boot.tv_sec.saturating_mul(1_000_000) + boot.tv_nsec / 1000;
        Uptime(us.saturating_mul(self.factor() as i64) / 1000)
    }
}

/// Time since the machine booted, also where the farm runs on another clock: for waits on others, such as the network.
pub(crate) fn machine_uptime() -> Uptime {
    ClockMode::System.uptime()
}

/// The machine's time of day, and whether something keeps it right.
pub(crate) fn machine_wall() -> (WallTime, bool) {
    (WallTime(machine_wall_ms()), synchronised().is_some())
}

/// When a file was changed, as time of day.
pub(crate) fn wall_of(time: SystemTime) -> WallTime {
    let ms = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    WallTime(i64::try_from(ms).unwrap_or(i64::MAX / 2))
}

fn machine_wall_ms() -> i64 {
    wall_of(SystemTime::now()).0
}

/// Whether something keeps the machine's clock right, and how far it may be off where that is known.
///
/// Linux lets the error grow to 16 s while no program corrects it; below, one does. systemd asks the same, since chrony may leave the
/// kernel's own flag alone.
#[cfg(target_pointer_width = "64")]
fn synchronised() -> Option<Option<Span>> {
    const UNSYNCHRONISED_US: i64 = 16_000_000;
    let mut timex = rtime_clock::adjtime::Timex::new();
    rtime_clock::adjtime::adjtimex(&mut timex).ok()?;
    let error_us = timex.0.maxerror;
    (error_us < UNSYNCHRONISED_US).then_some(Some(Span(error_us / 1000)))
}

/// Whether something keeps the machine's clock right. No crate asks a 32-bit kernel without `unsafe`; systemd-timesyncd,
/// which is what a Pi has, leaves a mark for each boot (`docs/decisions/2026-11-21-who-says-the-clock-is-right.md`).
#[cfg(not(target_pointer_width = "64"))]
fn synchronised() -> Option<Option<Span>> {
    fs::exists("/run/systemd/timesync/synchronized").ok()?.then_some(None)
}

/// `system`, `x60` or `input`.
impl FromStr for ClockMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ClockMode, &'static str> {
        /// Faster, a minute is over before a serial line has carried its readings.
        const FASTEST: u32 = 100_000;
        const EXPECTED: &str = "expected system, input, or x and a whole number up to 100000, such as x60";
        match text {
            "system" => Ok(ClockMode::System),
            "input" => Ok(ClockMode::EventTime),
            _ => {
                let factor = text.strip_prefix('x').and_then(|factor| factor.parse().ok());
                factor.filter(|factor| (1..=FASTEST).contains(factor)).map(ClockMode::Scaled).ok_or(EXPECTED)
            }
        }
    }
}

impl fmt::Display for ClockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClockMode::System => f.write_str("system"),
            ClockMode::Scaled(factor) => write!(f, "x{factor}"),
            ClockMode::EventTime => f.write_str("input"),
        }
    }
}

#[cfg(test)]
mod tests;
