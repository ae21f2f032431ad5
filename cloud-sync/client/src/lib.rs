//! The agent's side of sync: a sans-IO engine (what to send, what is confirmed, when to come again) and its transports.
//!
//! ```text
//!            Request, rows waiting              batch, pull
//!   store <------------------------> driver <----------------> transport/https.rs ==> hub
//!                                     |   ^
//!          Event: bundle, alert,      v   | Order: holding, nudge
//!          status                   decide
//!                       inside: engine (handle, poll, deadline)
//! ```
//!
//! Knows neither SQLite nor sensors; only `transport/mqtt.rs` will name rumqttc, only `transport/https.rs` reqwest.

pub mod driver;
pub mod engine;
pub mod transport;
