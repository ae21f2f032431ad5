//! The API of the running agent: HTTP over a Unix socket, JSON answers, and events as they happen.
//!
//! ```text
//! tilth-agent status, curl ==(socket)==> connections --> handlers --> state --> decide (queries, commands), the store's thread
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `handlers` | **the routes**, the same over every kind of connection, and handlers that read |
//! | `changes`, `streams` | handlers of changes, and of answers without an end |
//! | `actuators` | handlers about actuators and holds |
//! | `history` | handlers that look back: windows of a sensor, alerts, notes, and the rows of the store as they are |
//! | `calibrations` | the handler of calibrations |
//! | `rows` | rows of answers, bodies of requests |
//! | `problem` | errors (RFC 9457) |
//! | `views` | rows made of the engine's views; the only place |
//! | `state`, `status` | what handlers ask the tasks for |
//! | `caller` | how a request came in, and whether it may change something |
//! | `connections`, `activity` | connections: bounded in number, request size and time |
//! | `socket` | the control socket |
//!
//! Only the agent's user and group may open the socket; a process that may open it may read and change.

mod activity;
mod actuators;
mod calibrations;
mod caller;
pub(crate) mod changes;
pub(crate) mod connections;
mod handlers;
mod history;
pub(crate) mod problem;
pub(crate) mod rows;
pub(crate) mod socket;
mod state;
pub(crate) mod status;
mod streams;
mod views;

pub(crate) use history::{no_history, period_of};
pub(crate) use state::{ApiState, Limits};
