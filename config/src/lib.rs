//! Documents to checked types.
