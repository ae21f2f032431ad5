//! Channels: how people are told. A notification waits in its channel's queue, which keeps the limits and tries again, becomes
//! words, and is sent in the form that its kind of channel wants.
//!
//! ```text
//! Notification --> Queue -- Message --> ChannelClient -- kinds::request --> server
//!                    ^                        |
//!                    +-- Input::Sent, Failed -+
//! ```
//!
//! `queue`, `text` and `kinds` are pure; `client` alone uses the network and reads secrets. Knows neither engine nor store.

mod budget;
pub mod client;
mod http;
pub mod kinds;
pub mod message;
pub mod modem;
pub mod notification;
pub mod queue;
pub mod secret;
pub mod text;

pub use crate::http::HttpClients;
