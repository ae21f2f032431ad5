//! Frames and messages between board and agent: COBS, a checksum, postcard; no heap, no units, no time of day.
#![no_std]
