//! The firmware on the host, as its own process: an agent of a few lines speaks to it over its line.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tilth_tests::live::Running;
use tilth_wire::{
    BoardId, Decoder, Fault, FromBoard, MAX_FRAME, ResetCause, Sample, SetChannel, Switch, ToBoard, UNLIMITED,
};

/// A running `tilth-board`; it ends with this.
struct Board {
    _process: Running,
    commands: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    line: String,
}

impl Board {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tilth-board"));
        let mut process = Running::start(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let commands = process.0.stdin.take().unwrap();
        let events = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let mut board = Self { _process: process, commands, events, line: String::new() };
        let ready = board.event();
        assert_eq!(ready["event"], "ready");
        board.line = ready["line"].as_str().unwrap().to_owned();
        board
    }

    fn event(&mut self) -> Value {
        serde_json::from_str(&self.events.next().expect("the board runs").unwrap()).unwrap()
    }

    /// The next time a relay is switched: its number, whether it is on, and the board time.
    fn switched(&mut self) -> (u64, bool, u64) {
        let event = self.event();
        assert_eq!(event["event"], "relay");
        (event["relay"].as_u64().unwrap(), event["on"].as_bool().unwrap(), event["at"].as_u64().unwrap())
    }

    fn command(&mut self, line: &str) {
        writeln!(self.commands, "{line}").unwrap();
    }
}

/// An agent of a few lines: it answers each heartbeat with its own.
struct Agent<L> {
    line: L,
    decoder: Decoder<{ MAX_FRAME - 1 }>,
    heard: u32,
    command: u32,
}

/// What a message of the board says, as far as these tests look at it.
#[derive(Debug, PartialEq)]
enum Said {
    Hello(Option<BoardId>, ResetCause),
    Readings(Vec<(u8, Sample)>),
    Answer(u32, bool),
    Other,
}

impl<L: Read + Write> Agent<L> {
    fn new(line: L) -> Self {
        Self { line, decoder: Decoder::new(), heard: 0, command: 0 }
    }

    fn send(&mut self, message: &ToBoard) {
        let mut out = [0; MAX_FRAME];
        self.line.write_all(message.encode(&mut out).unwrap()).unwrap();
    }

    /// The next whole message.
    fn hear(&mut self) -> Said {
        loop {
            let mut byte = [0];
            self.line.read_exact(&mut byte).expect("the board says something");
            let Some(Ok(body)) = self.decoder.push(byte[0]) else { continue };
            let said = match FromBoard::decode(body).unwrap() {
                FromBoard::Hello(hello) => {
                    self.heard = hello.at;
                    Said::Hello(hello.id, hello.reset)
                }
                FromBoard::Heartbeat(heartbeat) => {
                    self.heard = heartbeat.at;
                    Said::Other
                }
                FromBoard::Reading(reading) => Said::Readings(vec![(reading.channel, reading.sample)]),
                FromBoard::Batch(batch) => {
                    Said::Readings(batch.readings().map(|reading| (reading.channel, reading.sample)).collect())
                }
                FromBoard::Ack(ack) => Said::Answer(ack.command, true),
                FromBoard::Error(error) => Said::Answer(error.command, false),
                FromBoard::Switched(_) => Said::Other,
            };
            if matches!(said, Said::Other | Said::Hello(..)) {
                let heard = self.heard;
                self.send(&ToBoard::Heartbeat { heard });
            }
            return said;
        }
    }

    fn hear_until<T>(&mut self, found: impl Fn(Said) -> Option<T>) -> T {
        loop {
            if let Some(found) = found(self.hear()) {
                return found;
            }
        }
    }

    fn hello(&mut self) -> (Option<BoardId>, ResetCause) {
        self.hear_until(|said| if let Said::Hello(id, reset) = said { Some((id, reset)) } else { None })
    }

    /// Switches a relay on, again and again until the board does it: it rests after its start.
    fn switch_on(&mut self, relay: u8, on_for: u32) {
        loop {
            self.command += 1;
            let (command, expires) = (self.command, self.heard + 30_000);
            self.send(&ToBoard::Switch(Switch { command, relay, on_for, expires }));
            if self.hear_until(
                |said| if let Said::Answer(id, done) = said { (id == command).then_some(done) } else { None },
            ) {
                return;
            }
            self.hear();
        }
    }

    fn reading_of(&mut self, channel: u8, sample: Sample) {
        self.hear_until(|said| match said {
            Said::Readings(readings) => readings.contains(&(channel, sample)).then_some(()),
            _ => None,
        });
    }
}

#[test]
fn the_firmware_on_the_host_measures_switches_and_keeps_its_id() {
    let folder = std::env::temp_dir().join(format!("tilth-host-board-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let settings = folder.join("settings");
    let mut board = Board::start(&["tcp:127.0.0.1:0", "--time-scale", "20", "--settings", settings.to_str().unwrap()]);
    let stream = TcpStream::connect(board.line.strip_prefix("tcp://").unwrap()).unwrap();
    let mut agent = Agent::new(stream);

    assert_eq!(agent.hello(), (None, ResetCause::PowerOn));
    let id = BoardId([1, 2, 3, 4, 5, 6, 7, 8]);
    agent.send(&ToBoard::SetId(id));
    agent.hear_until(|said| (said == Said::Hello(Some(id), ResetCause::PowerOn)).then_some(()));

    agent.reading_of(2, Sample::Value(21_500));
    board.command("value 2 28250");
    board.command("fault 4 absent");
    agent.reading_of(2, Sample::Value(28_250));
    agent.reading_of(4, Sample::Fault(Fault::Absent));

    agent.switch_on(0, 2_000);
    let (relay, is_on, on_at) = board.switched();
    assert_eq!((relay, is_on), (0, true));
    let (relay, is_on, off_at) = board.switched();
    assert_eq!((relay, is_on), (0, false));
    assert!(off_at - on_at >= 2_000, "off after {} ms of board time", off_at - on_at);

    agent.switch_on(2, UNLIMITED);
    assert!(board.switched().1);
    drop(agent);
    assert!(!board.switched().1, "expected off: the agent is gone");

    board.command("reset watchdog");
    let mut agent = Agent::new(TcpStream::connect(board.line.strip_prefix("tcp://").unwrap()).unwrap());
    agent.hear_until(|said| (said == Said::Hello(Some(id), ResetCause::Watchdog)).then_some(()));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_firmware_on_the_host_has_a_pseudo_terminal_and_loses_what_is_said_while_the_line_is_cut() {
    let link = std::env::temp_dir().join(format!("tilth-host-board-{}-tty", std::process::id()));
    let mut board = Board::start(&[link.to_str().unwrap(), "--time-scale", "20"]);
    let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut agent = Agent::new(open(&link));
    agent.hello();
    let set = SetChannel {
        command: 1_000,
        channel: 7,
        kind: tilth_wire::ChannelKind::Analog,
        interval: 1_000,
        oversampling: 0,
    };
    agent.send(&ToBoard::SetChannel(set));
    agent.reading_of(7, Sample::Value(32_768));
    board.command("cut");
    board.command("value 7 111");
    board.command("hang 0.5");
    board.command("value 7 222");
    board.command("join");
    agent.reading_of(7, Sample::Value(222));
}
