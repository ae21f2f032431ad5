//! The agent's side of sync: a sans-IO engine (what to send, what is confirmed, when to come again) and its transports.
//!
//! Knows neither SQLite nor sensors; only `transport/mqtt.rs` will name rumqttc, only `transport/https.rs` reqwest.
