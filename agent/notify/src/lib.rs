//! Channels: how people are told. What is told ([`notice`]) waits in a channel's queue ([`queue`]), which keeps its limits and
//! tries again, becomes words ([`text`]) and leaves in the form that the kind of channel wants ([`client`]). A kind is one file.
//!
//! ```text
//! Notice --> Queue -- Parcel --> Way -- ntfy, webhook --> server
//!              ^                  |
//!              +------ Failure ---+
//! ```
//!
//! The queue is pure; `client` alone knows the network and reads secrets. Knows neither engine nor store.

mod budget;
pub mod client;
mod http;
mod kinds;
pub mod notice;
pub mod queue;
pub mod secret;
pub mod text;

pub use crate::http::Clients;

#[cfg(test)]
mod tests;
