//! The loop that every board runs: one round of it, over what the board's pins and drivers can do.

use tilth_wire::{ChannelKind, Sample};

use crate::node::{Effect, Input, Node, Wiring};
use crate::record::Record;
use crate::time::BoardTime;

/// Bytes taken from the line at once, twice a round: a flood of bytes must not keep relays from going off, and what an Uno has waiting must
/// go at once.
const BYTES_AT_ONCE: u8 = 48;

/// What a board can do. Nothing here waits: what takes longer is begun, and its end is asked for.
pub trait Board {
    /// The board's clock.
    fn now(&mut self) -> BoardTime;
    /// The next byte that came from the agent.
    fn receive(&mut self) -> Option<u8>;
    /// Whether the line takes a byte.
    fn can_send(&mut self) -> bool;
    /// Sends a byte; only asked when the line takes one.
    fn send(&mut self, byte: u8);
    /// Sets a relay's output.
    fn set_relay(&mut self, relay: u8, on: bool);
    /// Begins a measurement; of a channel that is off, ends what its pin was used for.
    fn measure(&mut self, channel: u8, kind: ChannelKind, oversampling: u8);
    /// A measurement that has ended: its channel, and the value or why there is none.
    fn measured(&mut self) -> Option<(u8, Sample)>;
    /// Whether the next step towards keeping a record can be taken.
    fn can_keep(&mut self) -> bool;
    /// Takes the next step towards keeping a record over power loss; whether it is kept. Asked again until it is.
    fn keep(&mut self, record: &Record) -> bool;
    /// Holds off the watchdog for another while.
    fn feed_watchdog(&mut self);
}

/// One round of the board's loop. The watchdog is fed at its end, if the node made progress.
pub fn round<
    W: Wiring,
    const CHANNELS: usize,
    const RELAYS: usize,
    const QUEUE: usize,
    const KNOWN: usize,
    const FRAME: usize,
>(
    node: &mut Node<W, CHANNELS, RELAYS, QUEUE, KNOWN, FRAME>,
    board: &mut impl Board,
) {
    let now = board.now();
    // A measurement takes milliseconds, and so does a frame: the bytes that come meanwhile have room if they are taken between the two. A
    // function called twice would take 50 bytes more of the Uno's flash.
    let mut is_second = false;
    loop {
        for _ in 0..BYTES_AT_ONCE {
            let Some(byte) = board.receive() else { break };
            node.handle(now, Input::Byte(byte));
        }
        if is_second {
            break;
        }
        let input = board.measured().map_or(Input::Tick, |(channel, sample)| Input::Measured { channel, sample });
        node.handle(now, input);
        is_second = true;
    }
    while let Some(effect) = node.poll() {
        match effect {
            Effect::SetRelay { relay, on } => board.set_relay(relay, on),
            Effect::Measure { channel, kind, oversampling } => board.measure(channel, kind, oversampling),
        }
    }
    while board.can_send() {
        let Some(byte) = node.next_byte() else { break };
        board.send(byte);
    }
    if board.can_keep() {
        keep_next(node, board);
    }
    if node.take_progress() {
        board.feed_watchdog();
    }
}

/// Goes on with the next record to keep. A function of its own, so that the stack holds no record while the loop does other things.
#[inline(never)]
fn keep_next<
    W: Wiring,
    const CHANNELS: usize,
    const RELAYS: usize,
    const QUEUE: usize,
    const KNOWN: usize,
    const FRAME: usize,
>(
    node: &mut Node<W, CHANNELS, RELAYS, QUEUE, KNOWN, FRAME>,
    board: &mut impl Board,
) {
    let mut record = Record::EMPTY;
    if node.next_record(&mut record) && board.keep(&record) {
        node.kept(record.slot);
    }
}
