//! The running agent as people and boards meet it: the real program, a real serial line, and the commands that ask it.

mod alerts;
mod api;
mod bundles;
mod buses;
mod changes;
mod diag;
mod good;
mod half_written;
mod labels;
mod no_file;
mod reasons;
mod receiver;
mod reload;
mod room;
mod stop;
mod undelivered;
mod watchdog;
