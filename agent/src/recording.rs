//! `--record FILE`: everything that goes into the engine, with its instant, one JSON object a line, so that what a farm did
//! can be done again at a desk, to the byte. `replay` reads it.
//!
//! ```text
//! {"at":0,"input":{"begin":{..}}}       a process began: what it remembered, and its configuration
//! {"at":5000,"input":{"reading":{..}}}  and so on, until the next one begins
//! ```
//!
//! The disk is written by a thread of its own, for nothing that is decided waits for one: a kill -9 may cost the recording
//! what was decided in the milliseconds before it. What the secrets are that a configuration names is not in it.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tilth_config::Merged;
use tilth_core::engine::Input;
use tilth_core::id::SensorId;
use tilth_core::plan::Plan;
use tilth_core::reading::Quality;
use tilth_core::site::SiteState;
use tilth_core::time::Uptime;
use tracing::warn;

use crate::checkpoint::OutputsBefore;
use crate::console::counted;
use crate::resume::{EngineStart, Number};

/// Version of the format of the lines.
pub(crate) const FORMAT: u32 = 2;

/// Upper limit of lines that wait for the disk; with more the recording ends.
const QUEUE: usize = 1 << 16;

/// How long the last lines may take: a disk that hangs must not keep the agent from ending.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A line: an [`Entry`], or an input of the engine in its own form.
#[derive(Serialize, Deserialize)]
struct Line<T> {
    /// When, on the clock that the engine runs on.
    at: Uptime,
    input: T,
}

/// What went into the engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Begin {
        /// [`FORMAT`] of the lines until the next beginning.
        format: u32,
        version: String,
        configuration: Box<Merged>,
        beginning: Box<EngineStart>,
    },
    Reading {
        sensor: SensorId,
        /// The reading's own time.
        stamp: Uptime,
        value: Number,
        quality: Quality,
        /// `stamp` is its arrival, for its own time is not known.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undated: bool,
    },
    Plan(Box<Merged>),
    /// A database was found that counts this boot, with what people did on site before.
    Counted {
        boot: u32,
        site: Option<Box<SiteState>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<Box<OutputsBefore>>,
    },
    /// Anything else.
    #[serde(skip)]
    Input(Input),
}

/// The instant of a line, and what went into the engine then.
pub(crate) fn parse(line: &[u8]) -> serde_json::Result<(Uptime, Entry)> {
    let Line { at, input }: Line<&RawValue> = serde_json::from_slice(line)?;
    let entry = serde_json::from_slice(input.get().as_bytes());
    let entry =
        entry.or_else(|error| serde_json::from_slice(input.get().as_bytes()).map(Entry::Input).map_err(|_| error))?;
    Ok((at, entry))
}

/// An open recording. A disk that fails or does not keep up ends it and nothing else.
pub(crate) struct Recording {
    name: String,
    lines: Option<SyncSender<String>>,
    /// Lines that the writer has not handed to the system yet.
    waiting: Arc<AtomicUsize>,
    /// Closed when the writer has ended.
    ended: Receiver<()>,
}

impl Recording {
    /// Opens or makes a file, to write at its end.
    ///
    /// # Errors
    /// The file cannot be opened, read or written, or no thread started.
    pub(crate) fn open(path: &Path) -> io::Result<Recording> {
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        end_torn_line(&mut file)?;
        let (lines, queue) = sync_channel(QUEUE);
        let (alive, ended) = channel();
        let (name, waiting) = (path.display().to_string(), Arc::default());
        let recording = Recording { name: name.clone(), lines: Some(lines), waiting: Arc::clone(&waiting), ended };
        std::thread::Builder::new().name("recording".to_owned()).spawn(move || {
            let _alive = alive;
            if let Err(error) = write(file, &queue, &waiting) {
                warn!("{name}: {error}; the recording ends here");
            }
        })?;
        Ok(recording)
    }

    pub(crate) fn begin(&mut self, beginning: EngineStart, configuration: Merged) {
        let (at, version) = (beginning.at, env!("CARGO_PKG_VERSION").to_owned());
        let (configuration, beginning) = (Box::new(configuration), Box::new(beginning));
        self.line(at, &Entry::Begin { format: FORMAT, version, configuration, beginning });
    }

    /// A plan is recorded with its configuration, as [`Entry::Plan`].
    pub(crate) fn input(&mut self, at: Uptime, input: &Input, plan: &Plan) {
        match input {
            Input::Plan(_) => {}
            Input::Reading(raw) | Input::Undated(raw) => {
                let (sensor, undated) = (plan.sensor(raw.sensor).id.clone(), matches!(input, Input::Undated(_)));
                let (stamp, value, quality) = (raw.at, Number(raw.value), raw.quality);
                self.line(at, &Entry::Reading { sensor, stamp, value, quality, undated });
            }
            input => self.line(at, input),
        }
    }

    /// Records an [`Entry`], or an input of the engine in its own form.
    pub(crate) fn line(&mut self, at: Uptime, input: &impl Serialize) {
        let Some(lines) = &self.lines else { return };
        // Plain data always has a JSON form.
        let Ok(line) = serde_json::to_string(&Line { at, input }) else { return };
        match lines.try_send(line) {
            Ok(()) => drop(self.waiting.fetch_add(1, Ordering::Relaxed)),
            Err(TrySendError::Full(_)) => {
                warn!("the disk does not keep up with the recording, which ends here");
                self.lines = None;
            }
            // The writer has said why.
            Err(TrySendError::Disconnected(_)) => self.lines = None,
        }
    }
}

impl Drop for Recording {
    /// Waits until everything is written, but not for long.
    fn drop(&mut self) {
        self.lines = None;
        if self.ended.recv_timeout(LAST_WAIT) == Err(RecvTimeoutError::Timeout) {
            let lines = counted(self.waiting.load(Ordering::Relaxed) as u64, "line");
            warn!("{}: the disk hangs; {lines} of the recording left unwritten", self.name);
        }
    }
}

/// Writes what comes; what has come is handed to the system before anything is waited for.
fn write(file: File, queue: &Receiver<String>, waiting: &AtomicUsize) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    while let Ok(first) = queue.recv() {
        let mut lines = 0;
        for line in std::iter::once(first).chain(queue.try_iter()) {
            writeln!(file, "{line}")?;
            lines += 1;
        }
        file.flush()?;
        waiting.fetch_sub(lines, Ordering::Relaxed);
    }
    Ok(())
}

/// A process that was killed may have left half a line, to which nothing must be added. Pipes keep nothing.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if !file.metadata()?.is_file() || file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_to_the_last_bit() {
        for number in [0.1 + 0.2, -0.0, 5e-324, 1.797e308, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let text = serde_json::to_string(&Number(number)).unwrap();
            let Number(again) = serde_json::from_str(&text).unwrap();
            assert!(again.to_bits() == number.to_bits() || (again.is_nan() && number.is_nan()), "{number} as {text}");
        }
        assert!(serde_json::from_str::<Number>("\"much\"").is_err());
    }

    #[test]
    fn nothing_is_added_to_half_a_line() {
        let path = std::env::temp_dir().join(format!("tilth-recording-{}", std::process::id()));
        std::fs::write(&path, "{\"at\":1,\"inp").unwrap();
        let mut recording = Recording::open(&path).unwrap();
        recording.line(Uptime(5), &Input::Tick);
        drop(recording);
        drop(Recording::open(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"at\":1,\"inp\n{\"at\":5,\"input\":\"tick\"}\n");
        std::fs::remove_file(&path).unwrap();
    }
}
