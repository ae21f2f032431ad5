//! What agent and hub say to each other: batches, confirmations, bundles; golden bytes for each version.
//!
//! Knows neither end: no SQLite, no sockets, no engine state.
