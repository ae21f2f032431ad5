//! Timelines of the whole engine: what happens when, without a sleep.

mod bench;
mod edges;
mod memory;
mod over;
mod properties;
mod timelines;
