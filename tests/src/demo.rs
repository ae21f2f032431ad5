//! What the demo shows: a simulated room. The program that runs it beside the real ones is `tilth-demo`.

pub mod room;
