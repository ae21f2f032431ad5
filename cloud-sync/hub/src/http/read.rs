//! What readers of a tenant's data call.

pub(super) mod alerts;
pub(super) mod data;
pub(super) mod events;
pub(super) mod health;
pub(super) mod latest;
mod rows;
