//! The agent's side of sync: a sans-IO engine (what to send, what is confirmed, when to come again) and its transports.
//!
//! ```text
//!            Request, committed rows            batch, pull
//!   store <------------------------> driver <----------------> transport/https.rs ==> hub
//!                                     |   ^
//!          Report: bundle, problem,   v   | SyncInput: newest bundle, new link
//!          status                   agent
//!                       inside: SyncEngine (handle, poll, deadline)
//! ```
//!
//! | word | meaning |
//! | --- | --- |
//! | lane | one kind of row, numbered by itself: events, windows, diagnostics |
//! | sequence | number of a row in its lane, rising from 1 without gaps |
//! | range | `first..=last` of the sequences of a lane; a part of a batch covers one |
//! | extent | a range whose every sequence is accounted for, as a row or as a gap with a reason |
//! | head | highest sequence of a lane that the store has committed |
//! | live value | the newest value of a sensor, for a page: no row, without a sequence, never confirmed |
//! | backlog | windows of more than an hour ago that wait since an outage: they go oldest first, after the newer ones |
//! | confirmed | highest sequence up to which the hub has accepted every row of a lane from this device |
//! | stream | random id of one numbering of all lanes: a new database begins a new stream, for its numbers begin again |
//! | epoch | random id of the hub's database: in a new one (a restored hub) earlier confirmations mean nothing |
//! | quarantined | a row that the hub cannot store or read: from then on its sequence is sent as a gap with the reason |
//! | pull | a request for the device's configuration, which comes as a bundle |
//!
//! Knows neither SQLite nor sensors; only `transport/https.rs` names reqwest.

pub mod driver;
pub mod engine;
pub mod transport;
