//! The store against what it was given: as histories, through crashes, on bad disks, and measured.

mod crash;
mod damaged_files;
mod disk;
pub(crate) mod farm;
mod history;
pub(crate) mod law;
mod measure;
mod outbox;
mod reading_back;
