//! What devices call.

pub(super) mod batch;
pub(super) mod bundle;
pub(super) mod time;
