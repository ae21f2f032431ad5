//! The hub from outside: the real program, a folder of its own, TCP on the loopback.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod backup;
mod bundle;
mod client;
mod commands;
mod cursors;
mod data;
mod enrolment;
mod flood;
mod limits;
mod not_a_file;
mod routes;
mod served;
mod sync;
mod systemd;
mod tls;
