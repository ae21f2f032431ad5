//! Asking the running agent: a Unix socket, on which each request is one JSON object a line, and so is each answer.
//!
//! ```text
//! tilth-agent status --> client ==(socket)==> connections --> state --> decide (looks, commands), the store's thread, facts
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `rows` | what the two ends say to each other, with its version |
//! | `socket` | where the socket is |
//! | `views` | the engine's views in those words; the only place |
//! | `state`, `people`, `status` | what each request is answered with |
//! | `connections` | connections: bounded in number, length and patience |
//!
//! Whoever may open the socket may ask and tell: it is for the agent's user and group alone.

pub(crate) mod connections;
pub(crate) mod people;
pub(crate) mod rows;
pub(crate) mod socket;
mod state;
pub(crate) mod status;
mod views;

pub(crate) use state::{Changes, Office};
