//! A board's image in the emulator of `firmware/emulator`, in virtual time: it stands still but for [`Emulated::run`].

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};
use tilth_tests::live::emulator::{NOT_BUILT, emulator};
use tilth_wire::{
    Ack, BoardId, ChannelKind, CommandError, Decoder, FromBoard, Heartbeat, MAX_FRAME, Reading, ResetCause, Switched,
    ToBoard,
};

/// What a board said in a span of time, in order within each kind.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) hellos: Vec<Greeting>,
    /// Single ones and those of batches.
    pub(crate) readings: Vec<Reading>,
    pub(crate) acks: Vec<Ack>,
    pub(crate) errors: Vec<CommandError>,
    pub(crate) switched: Vec<Switched>,
    pub(crate) heartbeats: Vec<Heartbeat>,
}

/// A Hello, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) id: Option<BoardId>,
    pub(crate) reset: ResetCause,
    pub(crate) kinds: Vec<ChannelKind>,
}

/// A level of an output pin, and when it came, in milliseconds.
pub(crate) type Edge = (u64, f64);

/// A board in the emulator.
pub(crate) struct Emulated {
    emulator: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    decoder: Decoder<MAX_FRAME>,
    events: Vec<Value>,
    /// Bytes between static memory and the deepest reach of the stack so far.
    pub(crate) stack_free: u64,
    /// Board time of the newest Hello or Heartbeat.
    heard_at: u32,
    /// Sequence number of the next reading that the agent of the test has not stored.
    next: u32,
}

impl Emulated {
    /// The image of this name as `firmware/boards/build` made it, with these options of the emulator. `None`, which is said, without
    /// TILTH_BOARDS: an image that lies there may be of older sources than the test.
    pub(crate) fn start(image: &str, options: &[&str], test: &str) -> Option<Self> {
        if std::env::var_os("TILTH_BOARDS").is_none() {
            let _ = writeln!(
                std::io::stderr().lock(),
                "\nskipped: {test}: run firmware/boards/build, then set TILTH_BOARDS=1"
            );
            return None;
        }
        let mut command = emulator(image, options).unwrap_or_else(|| panic!("{test}: {NOT_BUILT}"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Some(Self::new(child.expect("node is installed")))
    }

    fn new(mut child: Child) -> Self {
        let input = child.stdin.take().expect("its input is a pipe");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self {
            emulator: child,
            input,
            output,
            decoder: Decoder::new(),
            events: Vec::new(),
            stack_free: u64::MAX,
            heard_at: 0,
            next: 0,
        }
    }

    /// Gives the emulator a command; its head lists them.
    pub(crate) fn control(&mut self, command: &Value) {
        writeln!(self.input, "{command}").expect("the emulator runs");
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.control(&json!({ "send": hex::encode(bytes) }));
    }

    pub(crate) fn send(&mut self, message: &ToBoard) {
        let mut frame = [0; MAX_FRAME];
        let frame = message.encode(&mut frame).expect("messages to boards fit").to_vec();
        self.send_bytes(&frame);
    }

    /// Lets time go on without an agent.
    pub(crate) fn run(&mut self, ms: u32) -> Heard {
        self.control(&json!({ "run": ms }));
        let mut heard = Heard::default();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).expect("lines of text") > 0, "the emulator ended");
            let event: Value = serde_json::from_str(&line).expect("lines of JSON");
            assert!(event.get("error").is_none(), "emulator: {event}");
            if let Some(sent) = event["sent"].as_str() {
                self.stack_free = event["stack_free"].as_u64().expect("a number of bytes");
                for byte in hex::decode(sent).expect("hexadecimal bytes") {
                    self.take_byte(byte, &mut heard);
                }
                return heard;
            }
            self.events.push(event);
        }
    }

    /// Lets time go on with an agent that says once in half a second that it runs, and confirms every reading it has without a gap.
    pub(crate) fn run_with_agent(&mut self, ms: u32) -> Heard {
        let mut all = Heard::default();
        let mut left = ms;
        while left > 0 {
            self.send(&ToBoard::Heartbeat { heard: self.heard_at });
            if self.next > 0 {
                self.send(&ToBoard::Received { through: self.next - 1 });
            }
            let span = left.min(500);
            let heard = self.run(span);
            left -= span;
            for reading in &heard.readings {
                if reading.seq == self.next {
                    self.next += 1;
                }
            }
            all.append(heard);
        }
        all
    }

    /// Starts the board and greets it.
    pub(crate) fn greeted(&mut self) -> Heard {
        let mut heard = self.run(100);
        self.send(&ToBoard::Identify);
        heard.append(self.run_with_agent(1_000));
        heard
    }

    /// Changes of an output pin so far.
    pub(crate) fn edges(&self, pin: &str) -> Vec<Edge> {
        let of_pin = self.events.iter().filter(|event| event["pin"] == pin);
        of_pin.map(|event| (event["level"].as_u64().expect("a level"), event["ms"].as_f64().expect("a time"))).collect()
    }

    /// Board time of the newest Hello or Heartbeat.
    pub(crate) fn board_time(&self) -> u32 {
        self.heard_at
    }

    fn take_byte(&mut self, byte: u8, heard: &mut Heard) {
        let Some(body) = self.decoder.push(byte) else { return };
        match FromBoard::decode(body.expect("a board sends whole frames")).expect("a board sends messages") {
            FromBoard::Hello(hello) => {
                self.heard_at = hello.at;
                let kinds = hello.channels().map(|channel| channel.expect("known kinds").0).collect();
                heard.hellos.push(Greeting { id: hello.id, reset: hello.reset, kinds });
            }
            FromBoard::Reading(reading) => heard.readings.push(reading),
            FromBoard::Batch(batch) => heard.readings.extend(batch.readings()),
            FromBoard::Ack(ack) => heard.acks.push(ack),
            FromBoard::Error(error) => heard.errors.push(error),
            FromBoard::Switched(switched) => heard.switched.push(switched),
            FromBoard::Heartbeat(heartbeat) => {
                self.heard_at = heartbeat.at;
                heard.heartbeats.push(heartbeat);
            }
        }
    }
}

impl Heard {
    fn append(&mut self, mut other: Self) {
        self.hellos.append(&mut other.hellos);
        self.readings.append(&mut other.readings);
        self.acks.append(&mut other.acks);
        self.errors.append(&mut other.errors);
        self.switched.append(&mut other.switched);
        self.heartbeats.append(&mut other.heartbeats);
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
