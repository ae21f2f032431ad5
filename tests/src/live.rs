//! Real programs for black-box tests and evidence: a hub on a free port, an agent and who watches it, and the board on its serial line.

pub mod board;
pub mod disk;
pub mod farm;
pub mod hub;
pub mod proxy;
pub mod room;
pub mod tail;

use std::process::Child;

/// A process that does not outlive whoever holds this: dropped, it is killed as by a power cut.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
