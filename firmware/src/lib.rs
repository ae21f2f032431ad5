//! The board's node: what a board measures, keeps, sends and switches. Knows no register, pin or clock; tested on the host.
//!
//! ```text
//! bytes, samples, time --> Node::handle --> Node::poll         relays to switch, measurements to begin
//!                                       --> Node::next_byte    frames for the agent, a byte at a time
//!                                       --> Node::next_record  settings to keep over power loss
//! ```
//!
//! [`round`] is the loop of every board, [`measure`] takes its measurements; pins and drivers are in `firmware/boards/*`, outside this workspace.
#![no_std]

#[cfg(test)]
extern crate std;

mod answers;
mod bits;
mod board;
mod channels;
pub mod journal;
mod link;
pub mod measure;
mod node;
mod pulses;
mod queue;
mod record;
mod relay;
mod relays;
#[cfg(test)]
mod tests;
mod time;
mod wiring;

pub use board::{Board, round};
pub use channels::{ChannelSettings, Kinds, MAX_INTERVAL, MIN_INTERVAL};
pub use node::{Effect, Input, Node, Wiring};
pub use pulses::PulseInputs;
pub use record::{RECORD_LEN, Record};
pub use relay::Limits;
pub use time::BoardTime;
pub use wiring::{Channel, Connection, Relay};
