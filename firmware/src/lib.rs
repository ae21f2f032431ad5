//! The board's node: schedule, send queue, actuators with fail-safe; generic over embedded-hal 1.0, tested on the host.
//!
//! Knows no register: pins and loops are in `firmware/boards/*`, outside this workspace.
#![no_std]
