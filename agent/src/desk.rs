//! Asking the running agent: a Unix socket, on which each request is one JSON object a line, and so is each answer.
//!
//! ```text
//! tilth-agent status --> client ==(socket)==> server --> answers --> decide (looks, commands), the store's thread, facts
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `words` | what the two ends say to each other, with its version |
//! | `address` | where the socket is |
//! | `views` | the engine's views in those words; the only place |
//! | `answers`, `people`, `state` | what each request is answered with |
//! | `server` | connections: bounded in number, length and patience |
//! | `client`, `commands`, `shown` | the other end: the commands, and what people read |
//!
//! Whoever may open the socket may ask and tell: it is for the agent's user and group alone.

pub(crate) mod address;
mod answers;
mod client;
pub(crate) mod commands;
mod people;
pub(crate) mod server;
mod shown;
mod state;
mod views;
mod words;

pub(crate) use answers::{Changes, Office};
