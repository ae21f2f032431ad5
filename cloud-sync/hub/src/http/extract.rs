//! Extractors of handlers: the caller within its limits, the parameters, the body.

pub(in crate::http) mod body;
mod bucket;
pub(in crate::http) mod caller;
pub(crate) mod limits;
pub(in crate::http) mod query;

pub(in crate::http) use caller::{Anyone, Device, Reader};
pub(in crate::http) use query::{NoParameters, Params};
