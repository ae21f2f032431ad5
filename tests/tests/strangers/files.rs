//! Recordings as other tools export them, given to `replay`.
