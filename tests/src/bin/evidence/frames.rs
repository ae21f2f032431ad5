//! Whether a board and the agent find the next good frame after any damage on their line.

use tilth_firmware::{BoardTime, Input, Node};
use tilth_tests::live::host_board::{CHANNELS, HostWiring, RELAYS};
use tilth_tests::random::Random;
use tilth_wire::{
    Ack, BatchFrame, ChannelKind, Decoder, FromBoard, Heartbeat, MAX_FRAME, Reading, ResetCause, Sample, SetChannel,
    Switch, ToBoard, Writer,
};

use crate::{Length, Outcome, Run};

/// Damaged lines whose damage no checksum finds, in a million: a CRC of 16 bits misses 15 of what passes as COBS.
const UNDETECTED: u64 = 15;

/// What was done to the bytes of a line.
#[derive(Clone, Copy, PartialEq)]
enum Damage {
    None,
    /// A valid frame, of which bits were flipped and bytes lost or added.
    Mutated,
    /// A valid body, of which bits were flipped and bytes lost or added, with the checksum of what became of it.
    Resealed,
    /// No frame at all.
    Noise,
}

#[derive(Default)]
struct Counts {
    mutated: u64,
    resealed: u64,
    noise: u64,
    /// Mutated frames that were taken for a message.
    undetected: u64,
    /// Good frames that were not found after damage, by the agent's decoder and by the board.
    missed: [u64; 2],
}

pub(crate) fn measure(run: Run) -> Outcome {
    let frames: u64 = match run.length {
        Length::Short => 50_000,
        Length::Full => 1_000_000,
    };
    let mut counts = Counts::default();
    let mut random = Random::new(9);
    let mut agent = Decoder::<{ MAX_FRAME - 1 }>::new();
    let mut board = Board::new();
    for number in 1..=frames {
        let (mut line, damage) = line(&mut random);
        counts.mutated += u64::from(damage == Damage::Mutated);
        counts.resealed += u64::from(damage == Damage::Resealed);
        counts.noise += u64::from(damage == Damage::Noise);
        // The sabotage takes away what ends a damaged frame, so that the good one after it is a part of it.
        if !run.sabotage {
            line.push(0);
        }
        let command = number as u32;
        let before = decoded(&mut agent, &line);
        counts.undetected += u64::from(damage == Damage::Mutated && before.is_some());
        let found = decoded(&mut agent, &frame_of_board(&FromBoard::Ack(Ack { command, limited: false })));
        counts.missed[0] += u64::from(found != Some(command));
        board.hear(&line);
        counts.missed[1] += u64::from(!board.obeys(command));
    }
    counts.outcome(frames)
}

impl Counts {
    fn outcome(&self, frames: u64) -> Outcome {
        let figures = format!(
            "{frames} frames through both decoders, {} mutated, of which {} were taken for a message, {} mutated under a right checksum \
             and {} of noise, 0 good ones missed",
            self.mutated, self.undetected, self.resealed, self.noise
        );
        if self.missed != [0, 0] {
            return Err(format!(
                "good frames missed: {} by the agent, {} by the board",
                self.missed[0], self.missed[1]
            ));
        }
        if self.mutated < frames / 10 || self.resealed < frames / 10 || self.noise == 0 {
            return Err(format!("too few frames were damaged: {figures}"));
        }
        if self.undetected > 1 + UNDETECTED * self.mutated / 1_000_000 * 4 {
            return Err(format!("too many damaged frames were taken for a message: {figures}"));
        }
        Ok(figures)
    }
}

/// A line of either side, damaged or not, without its closing zero.
fn line(random: &mut Random) -> (Vec<u8>, Damage) {
    if random.one_in(4) {
        let length = random.below(120);
        return ((0..length).map(|_| random.below(256) as u8).collect(), Damage::Noise);
    }
    let mut line = message(random);
    match random.below(6) {
        0 | 1 => (line, Damage::None),
        2 | 3 => {
            let good = line.clone();
            mutate(&mut line, random);
            let damage = if line == good { Damage::None } else { Damage::Mutated };
            (line, damage)
        }
        _ => (resealed(&line, random), Damage::Resealed),
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(3) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, random.below(256) as u8),
        }
    }
}

/// The frame of a mutated body, without its closing zero: what is wrong with it is no longer in its checksum.
fn resealed(frame: &[u8], random: &mut Random) -> Vec<u8> {
    let mut decoder = Decoder::<{ MAX_FRAME - 1 }>::new();
    let closed = frame.iter().chain(&[0]);
    let mut body: Vec<u8> = closed.filter_map(|byte| Some(decoder.push(*byte)?.ok()?.to_vec())).flatten().collect();
    mutate(&mut body, random);
    let mut out = [0; 2 * MAX_FRAME];
    let mut writer = Writer::frame(&mut out);
    body.iter().for_each(|byte| writer.byte(*byte));
    let length = writer.close().expect("four bytes more than a body fit");
    out[..length - 1].to_vec()
}

/// The frame of a message of either side, without its closing zero.
fn message(random: &mut Random) -> Vec<u8> {
    let number = random.bits() as u32;
    let (channel, sample) = (random.below(16) as u8, Sample::Value(random.bits() as i32 >> 12));
    let mut frame = match random.below(6) {
        0 => frame_of_board(&FromBoard::Reading(Reading { seq: number, at: number, channel, sample })),
        1 => {
            let mut frame = [0; MAX_FRAME];
            let mut batch = BatchFrame::new(&mut frame, number, number);
            while batch.push(number.wrapping_add(random.below(20_000) as u32), channel, sample) {}
            batch.finish().to_vec()
        }
        2 => {
            let (at, next, oldest, lost) = (number, number, number, 0);
            frame_of_board(&FromBoard::Heartbeat(Heartbeat { at, next, oldest, lost, bad_frames: 0, on: channel }))
        }
        3 => {
            let relay = random.below(4) as u8;
            frame_of_agent(&ToBoard::Switch(Switch { command: number, relay, on_for: number, expires: number }))
        }
        4 => frame_of_agent(&ToBoard::Heartbeat { heard: number }),
        _ => frame_of_agent(&ToBoard::Received { through: number }),
    };
    frame.pop();
    frame
}

fn frame_of_board(message: &FromBoard<'_>) -> Vec<u8> {
    message.encode(&mut [0; MAX_FRAME]).expect("it fits a frame").to_vec()
}

fn frame_of_agent(message: &ToBoard) -> Vec<u8> {
    message.encode(&mut [0; MAX_FRAME]).expect("it fits a frame").to_vec()
}

/// What the agent makes of bytes: the command of the last Ack, or 0 for another message.
fn decoded(agent: &mut Decoder<{ MAX_FRAME - 1 }>, bytes: &[u8]) -> Option<u32> {
    let mut newest = None;
    for byte in bytes {
        let Some(Ok(body)) = agent.push(*byte) else { continue };
        match FromBoard::decode(body) {
            Ok(FromBoard::Ack(ack)) => newest = Some(ack.command),
            Ok(FromBoard::Batch(batch)) => newest = batch.readings().last().map(|_| 0),
            Ok(_) => newest = Some(0),
            Err(_) => {}
        }
    }
    newest
}

/// The node of a board, with its answers.
struct Board {
    node: Node<HostWiring, CHANNELS, RELAYS, 256, 0>,
    answers: Decoder<{ MAX_FRAME - 1 }>,
}

impl Board {
    fn new() -> Self {
        Self { node: Node::new(BoardTime::from_millis(0), ResetCause::PowerOn), answers: Decoder::new() }
    }

    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.node.handle(BoardTime::from_millis(0), Input::Byte(*byte));
        }
        while self.node.next_byte().is_some() {}
    }

    /// Whether the board answers a command that comes in a good frame.
    fn obeys(&mut self, command: u32) -> bool {
        let (channel, kind, interval, oversampling) = (7, ChannelKind::Off, 10_000, 0);
        let set = SetChannel { command, channel, kind, interval, oversampling };
        for byte in frame_of_agent(&ToBoard::SetChannel(set)) {
            self.node.handle(BoardTime::from_millis(0), Input::Byte(byte));
        }
        let mut said = Vec::new();
        while let Some(byte) = self.node.next_byte() {
            said.push(byte);
        }
        decoded(&mut self.answers, &said) == Some(command)
    }
}
