//! Decisions of the hub, apart from its storage: batches, configurations, keys, enrolment, retention, silence.

pub(crate) mod access;
pub(crate) mod configs;
pub(crate) mod cursor;
pub(crate) mod enrolment;
pub(crate) mod ingest;
pub(crate) mod retention;
pub(crate) mod silence;
