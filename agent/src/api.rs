//! The API of the running agent: HTTP over a Unix socket, JSON answers, and events as they happen.
//!
//! ```text
//! tilth-agent status, curl ==(socket)==> connections --> handlers --> state --> decide (looks, commands), the store's thread, facts
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `handlers` | **the routes**, the same whatever a request came over |
//! | `rows` | what answers and requests hold |
//! | `problem` | errors (RFC 9457) |
//! | `views` | the engine's views as rows; the only place |
//! | `state`, `people`, `status`, `events` | what each request is answered with |
//! | `caller` | how a request came in, which says what it may do |
//! | `connections`, `activity` | connections: bounded in number, length and patience |
//! | `socket` | where the socket is, and how an agent takes it |
//!
//! Whoever may open the socket may ask and change: it is for the agent's user and group alone.

mod activity;
mod caller;
pub(crate) mod connections;
mod events;
mod handlers;
pub(crate) mod people;
pub(crate) mod problem;
pub(crate) mod rows;
pub(crate) mod socket;
mod state;
pub(crate) mod status;
mod views;

pub(crate) use state::{ApiState, ChangeLimit, watchers};
