//! Stamps of boards whose clock is wrong: 1970, a flat real-time clock, a counter that is taken for a time.
