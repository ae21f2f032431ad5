//! What a batch brings: which rows are new, which cannot be stored, what is over a quota. Pure.

pub(crate) mod account;
pub(crate) mod clock;
pub(crate) mod marks;
pub(crate) mod poison;
pub(crate) mod quota;
pub(crate) mod stream;
