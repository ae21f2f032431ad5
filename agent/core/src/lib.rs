//! The pure domain of Tilth: what a reading is and what follows from it.
//!
//! Decisions take the time as an argument and return effects; nothing here reads a clock, a file, a socket or a random
//! number, so the engine that runs a farm is the engine that replays a year of it, to the byte.
//!
//! A reading takes these steps, one file each, in this order; a step knows only the ones before it:
//!
//! ```text
//! calibrate -> judge -> windows -> rules -> alert -> escalate      all behind engine
//! ```
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod actuator;
pub mod alert;
pub mod calibrate;
pub mod effect;
pub mod engine;
pub mod escalate;
pub mod id;
pub mod interlock;
pub mod judge;
pub mod label;
pub mod local;
pub mod message;
pub mod plan;
pub mod quantity;
pub mod reading;
mod resolved;
pub mod rules;
pub mod schedule;
pub mod sensor;
pub mod site;
pub mod target;
pub mod time;
pub mod unit;
pub mod value;
pub mod windows;
