//! Which configuration is in force: what a start begins with, what a change of the files or a bundle of the hub comes to, and
//! what is kept of it on the disk.

pub(crate) mod bundle;
pub(crate) mod bundle_files;
pub(crate) mod bundles;
pub(crate) mod file_stamps;
pub(crate) mod in_force;
pub(crate) mod last_good;
mod patience;
pub(crate) mod reload;
pub(crate) mod reporter;
pub(crate) mod startup;
pub(crate) mod watch;
