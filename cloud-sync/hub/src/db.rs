//! The hub's storage.

pub(crate) mod sqlite;
