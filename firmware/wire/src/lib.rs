//! Frames and messages between a board and the agent, as `docs/wire-protocol.md` states them; no heap, no time of day.
//!
//! A frame on the line is `COBS(body, CRC-16 of the body)` and a zero byte. [`Decoder`] finds frames in any bytes; [`FromBoard`] and
//! [`ToBoard`] are what the bodies say.
#![no_std]

#[cfg(test)]
extern crate std;

mod batch;
mod body;
mod codec;
mod frame;
#[macro_use]
mod numbered;
mod message;
mod reading;
#[cfg(test)]
mod tests;
pub mod version;

pub use batch::{Batch, BatchFrame, ITEMS_LEN, Readings};
pub use body::{Reader, Writer};
pub use frame::{Decoder, FrameError, MAX_BODY, MAX_FRAME, TooLong, crc16};
pub use message::{
    Ack, BoardId, BoardKind, ChannelKind, CommandError, DecodeError, Fields, FromBoard, Heartbeat, Hello, HelloHead,
    MAX_BODY_TO_BOARD, MAX_CHANNELS, MAX_FIELDS, MAX_FRAME_TO_BOARD, MAX_RELAYS, OVERSAMPLING_OF_CONTACT, OffReason,
    Refusal, Request, ResetCause, SetChannel, SetRelay, Switch, Switched, ToBoard, UNLIMITED, Unit,
};
pub use reading::{Fault, Reading, Sample};
