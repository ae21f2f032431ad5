//! Timelines of the whole engine: what happens when, without a sleep.

mod bench;
mod comeback;
mod doses;
mod doubt;
mod edges;
mod hold_switch;
mod memory;
mod outputs;
mod over;
mod properties;
mod several;
mod silence;
mod targets;
mod timelines;
