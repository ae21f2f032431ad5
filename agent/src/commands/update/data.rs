//! Copy of the database while no agent runs, and putting it back.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;

use crate::{daemon, durable};

/// The database and its log; the second is there after a kill alone.
const FILES: [&str; 2] = ["tilth.db", "tilth.db-wal"];

/// What SQLite keeps beside the database and must never be left to another one.
const BESIDE: [&str; 2] = ["tilth.db-wal", "tilth.db-shm"];

/// Bytes of the database with its log.
pub(super) fn size(data: &Path) -> u64 {
    FILES.iter().filter_map(|name| fs::symlink_metadata(data.join(name)).ok()).map(|file| file.len()).sum()
}

/// Whether a folder has a database: one whose disk is not mounted has none.
pub(super) fn is_there(folder: &Path) -> io::Result<()> {
    let path = daemon::database(folder);
    let found = fs::symlink_metadata(&path);
    found.map(drop).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Copies the database into a folder, which is made anew.
///
/// # Errors
/// Also where there is no database.
pub(super) fn copy(data: &Path, to: &Path) -> io::Result<()> {
    is_there(data)?;
    remove_folder(to)?;
    fs::create_dir(to)?;
    copy_all(data, to)
}

/// Puts a copy in the place of the database. `history.last` stays: it tells the agent, and the hub by it, that what came after the copy is missing.
///
/// # Errors
/// Also where there is no copy, or nothing in whose place it would come: the disk is not mounted.
pub(super) fn put_back(copy: &Path, data: &Path) -> io::Result<()> {
    is_there(copy)?;
    is_there(data)?;
    BESIDE.iter().try_for_each(|name| durable::remove(data, name))?;
    copy_all(copy, data)
}

/// Removes a folder with all that is in it, where it is there.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for name in FILES {
        // The folder is the agent's: no link in it leads this copy, which root makes, elsewhere.
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = match File::options().read(true).custom_flags(flags).open(from.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened?,
        };
        durable::remove(to, &format!("{name}.new"))?;
        let owner = file.metadata()?;
        let mut copied = File::options().write(true).create_new(true).mode(0o600).open(durable::new_path(to, name))?;
        fchown(&copied, Some(owner.uid()), Some(owner.gid()))?;
        copied.set_permissions(owner.permissions())?;
        io::copy(&mut file, &mut copied)?;
        copied.sync_all()?;
        durable::rename_new(to, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::tests::farm::Folder;

    #[test]
    fn a_database_is_put_back_as_it_was_with_nothing_of_the_newer_beside_it() {
        let folder = Folder::new();
        let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
        fs::create_dir(&data).unwrap();
        let write = |name: &str, text: &str| fs::write(data.join(name), text).unwrap();
        let read = |name: &str| fs::read_to_string(data.join(name)).ok();
        write("tilth.db", "old");
        copy(&data, &kept).unwrap();
        assert_eq!(size(&kept), 3);
        for (name, text) in
            [("tilth.db", "newer"), ("tilth.db-wal", "log"), ("tilth.db-shm", "index"), ("history.last", "h")]
        {
            write(name, text);
        }
        put_back(&kept, &data).unwrap();
        assert_eq!(["tilth.db", "tilth.db-wal", "tilth.db-shm"].map(read), [Some("old".to_owned()), None, None]);
        assert_eq!(read("history.last").as_deref(), Some("h"));
        // After a kill the log belongs to it.
        write("tilth.db-wal", "its log");
        copy(&data, &kept).unwrap();
        fs::remove_file(data.join("tilth.db-wal")).unwrap();
        put_back(&kept, &data).unwrap();
        assert_eq!(read("tilth.db-wal").as_deref(), Some("its log"));
    }

    /// Guards against: a disk that is not mounted yet being taken for a farm without data.
    #[test]
    fn a_folder_without_a_database_is_neither_copied_nor_filled() {
        let folder = Folder::new();
        let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&kept).unwrap();
        assert_eq!(copy(&data, &kept).unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(data.join("tilth.db"), "newer").unwrap();
        fs::write(data.join("tilth.db-wal"), "log").unwrap();
        assert!(put_back(&kept, &data).is_err());
        assert!(data.join("tilth.db-wal").exists());
        fs::rename(data.join("tilth.db"), kept.join("tilth.db")).unwrap();
        assert!(put_back(&kept, &data).is_err());
        assert!(!data.join("tilth.db").exists());
    }

    /// Guards against: an agent that was taken over, and has root read or write a file elsewhere.
    #[test]
    fn no_link_leads_elsewhere() {
        let folder = Folder::new();
        let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
        fs::create_dir(&data).unwrap();
        fs::write(folder.path().join("secret"), "s").unwrap();
        symlink(folder.path().join("secret"), data.join("tilth.db")).unwrap();
        assert!(copy(&data, &kept).is_err());
        fs::remove_file(data.join("tilth.db")).unwrap();
        fs::write(data.join("tilth.db"), "old").unwrap();
        copy(&data, &kept).unwrap();
        symlink(folder.path().join("secret"), data.join("tilth.db.new")).unwrap();
        put_back(&kept, &data).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "s");
    }
}
