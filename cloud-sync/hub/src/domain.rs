//! What the hub decides, apart from where it keeps anything: what a batch brings, which configuration a device gets, keys.

pub(crate) mod access;
pub(crate) mod configs;
pub(crate) mod cursor;
pub(crate) mod ingest;
pub(crate) mod retention;
pub(crate) mod silence;
