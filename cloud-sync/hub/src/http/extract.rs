//! What a handler is given of a request: who calls, within which limits, and what was sent, checked.

pub(in crate::http) mod body;
mod bucket;
pub(crate) mod caller;
pub(in crate::http) mod query;
