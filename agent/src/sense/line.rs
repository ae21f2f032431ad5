//! Lines of text on a serial port: opens it, reads it, and finds it again when it was gone.

mod absent;
pub(crate) mod beside;
mod blocks;
mod clean;
mod fields;
mod forms;
mod json;
mod lines;
mod names;
pub(crate) mod number;
mod object;
mod pairs;
pub(crate) mod parse;
pub(crate) mod port;
mod remembered;
mod sentence;
mod table;
mod tally;
mod turns;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tilth_config::Serial;
use tilth_core::id::{Id, SensorId};
use tilth_core::local::Local;
use tilth_core::time::{Span, Uptime, WallTime};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::queue::{Queue, Told};
use super::sample::Sample;
use super::stamp::{StampJudge, Why};
use crate::clock::{Clock, Source};
use crate::output::tell;
pub(crate) use absent::Absent;
pub(crate) use names::Want;
use parse::{About, Decoded, Decoder, Tally};
use port::Port;
pub(crate) use remembered::SeenLabels;
use remembered::has_new_ambiguity;

/// The first and the longest wait before a port that is not there is looked for again. An adapter that was plugged in again
/// is read within the longest; looking costs one call.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// A port that stays open this long was really there: the next loss begins with the first wait again.
const SETTLED: Duration = Duration::from_secs(5);

/// How long a line may say nothing before it is looked whether its port is still the one that was opened: some adapters
/// come back under another number without ending the old one.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// Bytes taken from the port at once: a tenth of a second at 115,200 baud is 1,200.
const CHUNK: usize = 2048;

/// A line without a value is told of at most this often: it only says that there is a board.
const LINE_AGAIN_AFTER: Span = Span::from_secs(5);

/// The log names wanted values that no line had once this many lines came over this long.
const LINES_BEFORE_SAID: u64 = 10;
const TIME_BEFORE_SAID: Span = Span::from_mins(1);

/// Upper limit of sensors named in the log at once.
const MAX_SAID: usize = 8;

/// How often the log says of one sensor that its field is no number. `status` always has the last.
const SAY_AGAIN_AFTER: Span = Span::from_mins(60);

/// A bus of text lines.
#[derive(Debug, Clone)]
pub(crate) struct LineBus {
    /// Its name in `agent.toml`.
    pub(crate) id: Id,
    /// The port behind it.
    pub(crate) serial: Serial,
    /// Who wants what. It may change while the port stays open: opening it again would reset many a board.
    pub(crate) wanted: watch::Receiver<Wanted>,
}

/// What a configuration wants of a bus.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wanted {
    /// Names of the columns of lines that have no header.
    pub(crate) columns: Option<Vec<String>>,
    /// Who is read from it.
    pub(crate) feeds: Vec<LineFeed>,
}

/// A sensor that is read from a named value of a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LineFeed {
    /// Which value, and whose.
    pub(crate) want: Want,
    /// Whether the line's own time counts, where it carries one.
    pub(crate) use_stamp: bool,
}

/// How a bus is doing, for `status`. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineStatus(Arc<Mutex<LineState>>);

/// How a bus is doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LineState {
    /// Why it is down; nothing where it is up, or was not tried yet.
    pub(crate) down: Option<String>,
    /// Since when it is up or down.
    pub(crate) since: Option<Uptime>,
    /// How often the port was opened.
    pub(crate) opened: u64,
    /// What came.
    pub(crate) bytes: u64,
    /// When the last line came; none before the first.
    pub(crate) last_line: Option<Uptime>,
    /// What became of the lines.
    pub(crate) lines: Tally,
    /// Lines whose own time was not taken though a sensor asks for it, by reason.
    pub(crate) stamps: BTreeMap<Why, Refusals>,
    /// How often the task itself failed, and why it did last.
    pub(crate) failures: u64,
    /// Why the task itself failed last.
    pub(crate) failed: Option<String>,
    /// Which labels names have fitted, as it was told last: what is kept over a restart.
    pub(crate) seen_labels: Arc<SeenLabels>,
}

/// Lines whose own time was not taken, for one reason.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusals {
    pub(crate) lines: u64,
    /// When the first and the last of them arrived.
    pub(crate) first: Uptime,
    pub(crate) last: Uptime,
    /// The last such stamp, and a sensor that it was meant for.
    pub(crate) stamp: Option<WallTime>,
    pub(crate) sensor: SensorId,
}

impl LineStatus {
    /// How it is doing now.
    pub(crate) fn get(&self) -> LineState {
        self.lock().clone()
    }

    /// Continues with the labels that names fitted before.
    pub(crate) fn recall_labels(&self, seen: SeenLabels) {
        self.lock().seen_labels = Arc::new(seen);
    }

    /// The task ended by itself; it is down until the next one has opened the port.
    pub(crate) fn note_failure(&self, why: &str) {
        let mut state = self.lock();
        state.failures += 1;
        state.failed = Some(why.to_owned());
        state.down.get_or_insert_with(|| why.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the bus for ever. While its port is missing it says so once, and looks for it again and again.
pub(crate) async fn run(bus: LineBus, clock: Clock, queue: Queue, status: LineStatus) {
    let mut reader = Reader::new(bus, clock, queue, status);
    let mut waits = retries();
    loop {
        let began = tokio::time::Instant::now();
        let error = match reader.open().await {
            Ok(port) => {
                reader.up();
                reader.read(port).await
            }
            Err(error) => error,
        };
        reader.down(&error);
        if began.elapsed() >= SETTLED {
            waits = retries();
        }
        sleep(waits.next().unwrap_or(RETRY_LONGEST)).await;
    }
}

fn retries() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new().with_min_delay(RETRY_FIRST).with_max_delay(RETRY_LONGEST).without_max_times().build()
}

/// Does on a thread of its own what an adapter may never let return; says each time that it has taken this long again.
async fn beside<T: Send + 'static>(
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
    patience: Duration,
    hangs: impl Fn(),
) -> io::Result<T> {
    let mut done = tokio::task::spawn_blocking(what);
    loop {
        match timeout(patience, &mut done).await {
            Ok(done) => return done.map_err(io::Error::other)?,
            Err(_) => hangs(),
        }
    }
}

/// A sensor that wants a field, and what is known of the clock behind its stamps.
#[derive(Debug)]
struct Listener {
    feed: LineFeed,
    stamps: StampJudge,
}

/// What was told of wanted values that no line has.
#[derive(Debug, Default)]
struct AbsentTold {
    /// When it was looked for last.
    at: Option<Uptime>,
    told: Option<Arc<Absent>>,
    /// Since when, and since how many lines, these values are wanted.
    since: Option<(Uptime, u64)>,
    is_said: bool,
}

/// What was told of the labels that names fit.
#[derive(Debug, Default)]
struct LabelsTold {
    /// When it was told last.
    at: Option<Uptime>,
    /// What is not told yet.
    new: Option<SeenLabels>,
}

struct Reader {
    bus: LineBus,
    /// Who wants what, in the order of the decoder.
    wanted: Vec<Listener>,
    /// When the log last said of a sensor that its field is no number.
    said: BTreeMap<SensorId, Uptime>,
    /// When it was last told that a line came without a value.
    line_at: Option<Uptime>,
    absent: AbsentTold,
    labels: LabelsTold,
    decoder: Decoder,
    clock: Clock,
    queue: Queue,
    status: LineStatus,
}

impl Reader {
    fn new(bus: LineBus, clock: Clock, queue: Queue, status: LineStatus) -> Reader {
        let decoder = Decoder::new(Vec::new(), None);
        let (wanted, said) = (Vec::new(), BTreeMap::new());
        let (absent, labels) = (AbsentTold::default(), LabelsTold::default());
        let mut reader = Reader { bus, wanted, said, line_at: None, absent, labels, decoder, clock, queue, status };
        reader.take_wanted();
        let before = Arc::clone(&reader.status.lock().seen_labels);
        reader.decoder.recall(&before);
        reader
    }

    fn take_wanted(&mut self) {
        // A sensor that is read as before keeps what is known of its stamps.
        let mut before = std::mem::take(&mut self.wanted);
        let Wanted { columns, feeds } = self.bus.wanted.borrow_and_update().clone();
        self.decoder.set_wanted(feeds.iter().map(|feed| feed.want.clone()).collect(), columns);
        for feed in feeds {
            let known = before.iter().position(|listener| listener.feed == feed).map(|place| before.swap_remove(place));
            self.wanted.push(known.unwrap_or_else(|| Listener { feed, stamps: StampJudge::default() }));
        }
        self.said.clear();
        self.absent = AbsentTold::default();
        self.labels = LabelsTold::default();
    }

    /// Opens the port. While it does not open and does not fail either, it is down.
    async fn open(&self) -> io::Result<Port> {
        let serial = self.bus.serial.clone();
        let hangs = || self.down(&io::Error::new(io::ErrorKind::TimedOut, "it hangs while it is opened"));
        beside(move || Port::open(&serial), LOOK_AFTER, hangs).await
    }

    /// Reads until the port is gone.
    async fn read(&mut self, mut port: Port) -> io::Error {
        let mut bytes = [0; CHUNK];
        self.decoder.reopen();
        // There may be another board behind the port, or one that was started anew.
        self.wanted.iter_mut().for_each(|listener| listener.stamps = StampJudge::default());
        loop {
            if self.clock.source() == Source::Input {
                self.queue.room().await;
            }
            match timeout(LOOK_AFTER, port.stream.read(&mut bytes)).await {
                Ok(Ok(0)) => return io::Error::new(io::ErrorKind::NotConnected, "the port was hung up"),
                Ok(Ok(count)) => self.take(&bytes[..count]),
                Ok(Err(error)) => return error,
                Err(_) => {
                    if let Err(error) = port.check() {
                        return error;
                    }
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.bus.wanted.has_changed().unwrap_or(false) {
            self.take_wanted();
        }
        let now = self.clock.now();
        // On the input clock stamps are the time, and nothing can be held against them.
        let is_judged = self.clock.source() != Source::Input;
        let (lines, texts) = (self.decoder.tally().lines, self.decoder.tally().texts());
        let mut is_told = false;
        let mut refused = Vec::new();
        let mut words: Vec<About> = Vec::new();
        let Reader { wanted, decoder, queue, .. } = self;
        decoder.push(bytes, |decoded| {
            is_told |= !(decoded.values.is_empty() && decoded.faults.is_empty());
            let mut of_line = None;
            let mut sample = |want: usize, value| {
                let Listener { feed: LineFeed { want: Want { sensor, .. }, use_stamp }, stamps } = &mut wanted[want];
                let why = (*use_stamp && is_judged).then(|| why_not(stamps, &decoded, now)).flatten();
                if let Some(why) = why {
                    of_line.get_or_insert_with(|| (why, decoded.time.or(decoded.count), sensor.clone()));
                }
                let stamp = decoded.time.filter(|_| *use_stamp);
                Sample { sensor: sensor.clone(), value, arrived: now.0, stamp, refused: why }
            };
            for (want, value) in decoded.values {
                queue.push(Told::Value(sample(*want, *value)));
            }
            for (want, why) in decoded.faults {
                queue.push(Told::Fault { sample: sample(*want, f64::NAN), why: Arc::clone(why) });
            }
            words.extend(decoded.words.iter().map(|(_, about)| about.clone()));
            refused.extend(of_line);
        });
        let (came, ignored) = self.decoder.tally().texts();
        if !is_told && came > texts.0 {
            self.tell_line(now.0, ignored > texts.1);
        }
        let has_line = self.decoder.tally().lines > lines;
        if has_line {
            self.tell_absent(now.0);
            self.tell_labels(now.0);
        }
        words.iter().for_each(|about| self.say_no_number(about, now.0));
        let mut state = self.status.lock();
        state.bytes += bytes.len() as u64;
        if has_line {
            state.last_line = Some(now.0);
        }
        state.lines.clone_from(self.decoder.tally());
        for (why, stamp, sensor) in refused {
            if why.is_wrong_clock() && !state.stamps.contains_key(&why) {
                let (bus, stamp, what) = (
                    &self.bus.id,
                    stamp.map_or(String::new(), |at| format!(" {}", Local::UTC.second(at))),
                    why.words(),
                );
                tell(format_args!(
                    "tilth-agent: bus {bus}: a line {what}:{stamp}, for {sensor}; such readings are stamped with their \
                     arrival, and tilth-agent status counts them"
                ));
            }
            state.note_refused(why, stamp, sensor, now.0);
        }
    }

    /// What cannot be used is a sign of life all the same.
    fn tell_line(&mut self, now: Uptime, is_ignored: bool) {
        if self.line_at.is_none_or(|line_at| now - line_at >= LINE_AGAIN_AFTER) {
            self.line_at = Some(now);
            let bus = self.bus.id.clone();
            let why = self.decoder.tally().why_unread(&bus, is_ignored);
            self.queue.push(Told::Line { bus, why });
        }
    }

    /// Tells which wanted values no line has, when that is news.
    fn tell_absent(&mut self, now: Uptime) {
        if self.absent.at.is_some_and(|at| now - at < LINE_AGAIN_AFTER) {
            return;
        }
        let absent = self.decoder.absent(&self.bus.id);
        self.say_absent(&absent, now);
        let known = &mut self.absent;
        known.at = Some(now);
        if known.told.as_deref() != Some(&absent) {
            let absent = Arc::new(absent);
            known.told = Some(Arc::clone(&absent));
            self.queue.push(Told::Absent { bus: self.bus.id.clone(), sensors: absent });
        }
    }

    /// Tells which labels names have fitted, to be kept over a restart: at once where a name fits a second one, else now and then.
    fn tell_labels(&mut self, now: Uptime) {
        if let Some(seen) = self.decoder.seen_labels() {
            self.labels.new = Some(seen);
        }
        let Some(seen) = &self.labels.new else { return };
        let mut state = self.status.lock();
        let is_urgent = has_new_ambiguity(&state.seen_labels, seen);
        if !is_urgent && self.labels.at.is_some_and(|at| now - at < LINE_AGAIN_AFTER) {
            return;
        }
        let is_first = self.labels.at.replace(now).is_none();
        let seen = self.labels.new.take().map(Arc::new).unwrap_or_default();
        if is_first || *state.seen_labels != *seen {
            state.seen_labels = Arc::clone(&seen);
            self.queue.push(Told::Labels { bus: self.bus.id.clone(), seen });
        }
    }

    /// The log names them once: a name that was misspelt is found before its silence is paged.
    fn say_absent(&mut self, absent: &Absent, now: Uptime) {
        let lines = self.decoder.tally().lines;
        let (at, before) = *self.absent.since.get_or_insert((now, lines));
        if self.absent.is_said || lines - before < LINES_BEFORE_SAID || now - at < TIME_BEFORE_SAID {
            return;
        }
        self.absent.is_said = true;
        for (sensor, why) in absent.iter().take(MAX_SAID) {
            tell(format_args!("tilth-agent: {sensor}: {why}"));
        }
        if absent.len() > MAX_SAID {
            let more = absent.len() - MAX_SAID;
            tell(format_args!("tilth-agent: bus {}: no line has the values of {more} more sensors", self.bus.id));
        }
    }

    fn say_no_number(&mut self, About { field, text, sensor }: &About, now: Uptime) {
        if self.said.get(sensor).is_none_or(|said| now - *said >= SAY_AGAIN_AFTER) {
            self.said.insert(sensor.clone(), now);
            let bus = &self.bus.id;
            tell(format_args!("tilth-agent: bus {bus}: {field} is no number: {text:?} (wanted by {sensor})"));
        }
    }

    /// Said each time, for the engine may remember from before a restart that the bus was down.
    fn up(&self) {
        let mut state = self.status.lock();
        state.opened += 1;
        state.since = Some(self.clock.uptime());
        state.down = None;
        self.queue.push(Told::Bus { bus: self.bus.id.clone(), down: None });
    }

    fn down(&self, error: &io::Error) {
        let reason = self.reason(error);
        let mut state = self.status.lock();
        if state.down.is_none() {
            state.since = Some(self.clock.uptime());
        }
        // Said again when it is another: what was hung up is soon not there at all.
        if state.down.as_ref() != Some(&reason) {
            self.queue.push(Told::Bus { bus: self.bus.id.clone(), down: Some(reason.clone()) });
        }
        state.down = Some(reason);
    }

    /// What a technician can do something about.
    fn reason(&self, error: &io::Error) -> String {
        let port = &self.bus.serial.port;
        match error.kind() {
            io::ErrorKind::NotFound => format!("{port}: there is no such port; is the adapter plugged in?"),
            io::ErrorKind::PermissionDenied => {
                format!("{port}: permission denied; is the agent's user in the group dialout?")
            }
            io::ErrorKind::ResourceBusy => format!("{port}: another program holds it"),
            _ => format!("{port}: {error}"),
        }
    }
}

impl LineState {
    fn note_refused(&mut self, why: Why, stamp: Option<WallTime>, sensor: SensorId, now: Uptime) {
        let (lines, first) = self.stamps.get(&why).map_or((0, now), |before| (before.lines, before.first));
        self.stamps.insert(why, Refusals { lines: lines + 1, first, last: now, stamp, sensor });
    }
}

/// Why the time of a line is not taken for a sensor; nothing where it is.
fn why_not(stamps: &mut StampJudge, decoded: &Decoded<'_>, now: (Uptime, Option<WallTime>)) -> Option<Why> {
    match decoded.time.or(decoded.count) {
        Some(stamp) => stamps.judge(stamp, now).err(),
        None => Some(Why::None),
    }
}

#[cfg(test)]
mod tests;
