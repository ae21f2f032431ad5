//! The image of a board in the emulator: a process whose serial line is a TCP port, and which says what the board's pins do and when, by
//! the board's own clock.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tilth_tests::live::Running;
use tilth_tests::live::emulator::{Model, NOT_BUILT, emulator};
use tilth_tests::live::flow::Flow;

/// How long the emulator may take to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A board that runs as long as this is held.
pub(super) struct Board {
    /// Port of the board's serial line, on the loopback.
    pub(super) port: u16,
    _process: Running,
    input: ChildStdin,
    events: Arc<Mutex<Events>>,
}

/// What the emulator said.
#[derive(Default)]
struct Events {
    port: Option<u16>,
    flow: Flow,
    /// When the watchdog reset the board, in milliseconds.
    resets: Vec<i64>,
    /// Answers to [`Board::now_ms`], and the newest one.
    answers: usize,
    now_ms: i64,
    failure: Option<String>,
}

impl Board {
    /// Starts a board that runs so many times as fast as the machine's clock.
    pub(super) fn start(model: &'static Model, speed: u32) -> anyhow::Result<Board> {
        let mut command = emulator(model.image, model.options).context(NOT_BUILT)?;
        command.args(["--tcp", "0", "--speed", &speed.to_string()]);
        let mut process = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = process.0.stdin.take().context("the emulator's input")?;
        let output = BufReader::new(process.0.stdout.take().context("the emulator's output")?);
        let events = Arc::<Mutex<Events>>::default();
        let told = Arc::clone(&events);
        thread::spawn(move || listen(output, model, &told));
        let mut board = Board { port: 0, _process: process, input, events };
        board.port = board.wait("the emulator's port", |events| events.port)?;
        Ok(board)
    }

    /// Gives the emulator a command; its head lists them.
    pub(super) fn control(&mut self, command: &Value) -> anyhow::Result<()> {
        writeln!(self.input, "{command}").context("the emulator has ended")
    }

    /// Milliseconds since the board was first plugged in, over all its starts.
    pub(super) fn now_ms(&mut self) -> anyhow::Result<i64> {
        self.control_at(json!({}))
    }

    /// As [`Board::control`]; when the command was carried out, as [`Board::now_ms`].
    pub(super) fn control_at(&mut self, mut command: Value) -> anyhow::Result<i64> {
        let before = self.events().answers;
        command["run"] = json!(0);
        self.control(&command)?;
        self.wait("the board's time", |events| (events.answers > before).then_some(events.now_ms))
    }

    /// When its relays were on until now.
    pub(super) fn flow(&self) -> Flow {
        self.events().flow.clone()
    }

    /// When its watchdog reset it.
    pub(super) fn resets(&self) -> Vec<i64> {
        self.events().resets.clone()
    }

    fn events(&self) -> MutexGuard<'_, Events> {
        lock(&self.events)
    }

    fn wait<T>(&self, what: &str, found: impl Fn(&Events) -> Option<T>) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            let events = self.events();
            if let Some(failure) = &events.failure {
                bail!("the emulator: {failure}");
            }
            if let Some(found) = found(&events) {
                return Ok(found);
            }
            drop(events);
            ensure!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn lock(events: &Mutex<Events>) -> MutexGuard<'_, Events> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(output: BufReader<ChildStdout>, model: &Model, events: &Mutex<Events>) {
    for line in output.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(event) => lock(events).take(&event, model),
            Err(_) => lock(events).failure = Some(line),
        }
    }
    lock(events).failure.get_or_insert_with(|| "it has ended".to_owned());
}

impl Events {
    fn take(&mut self, event: &Value, model: &Model) {
        let at_ms = event["ms"].as_f64().unwrap_or_default().round() as i64;
        if let Some(port) = event["port"].as_u64() {
            self.port = u16::try_from(port).ok();
        } else if let Some(pin) = event["pin"].as_str() {
            let relay = model.relays.iter().position(|relay| *relay == pin);
            if let Some(relay) = relay.and_then(|relay| u8::try_from(relay).ok()) {
                self.flow.switched(relay, event["level"] == 1, at_ms);
            }
        } else if !event["reset"].is_null() {
            self.resets.push(at_ms);
        } else if !event["ran"].is_null() {
            self.answers += 1;
            self.now_ms = at_ms;
        } else if !event["error"].is_null() {
            self.failure = Some(event.to_string());
        }
    }
}
