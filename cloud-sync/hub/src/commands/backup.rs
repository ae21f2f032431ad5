//! `tilth-hub backup` and `restore`: database and signing key in one file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;
use tilth_config::bundle::SigningKey;
use tilth_core::time::WallTime;

use super::{open, user};
use crate::cli::{BackupFile, Common, RestoreFile};
use crate::clock;
use crate::data_dir::{self, DataDir, OWNER_ONLY};
use crate::db::LocalDatabase;
use crate::db::backup::{self, BackupInfo, CarriedOver, LostConfiguration, Restored};
use crate::domain::access;
use crate::exit::{self, Exit};

/// Writes a backup to a temporary file and renames it: an older backup stays until the new one is complete.
pub(crate) fn make(wanted: &BackupFile) -> anyhow::Result<Exit> {
    let BackupFile { file, common: Common { data, output } } = wanted;
    let name = || file.display().to_string();
    let data = data.dir();
    check_place(file, &data).with_context(name)?;
    data.read_signing_key()?;
    // Two backups to one file at once would damage it. A file system without locks has no such protection.
    let folder = File::open(folder_of(file)).with_context(name)?;
    let _ = folder.lock();
    let made = BackupInfo { at: clock::now(), signing_key: data.signing_key_text()? };
    let mut db = open(&data)?;
    let mut beside = OsString::from(file.as_os_str());
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = write(&db, &beside, &made).and_then(|bytes| {
        fs::rename(&beside, file)?;
        data_dir::sync_folder_of(file)?;
        Ok(bytes)
    });
    let bytes = written.inspect_err(|_| drop(fs::remove_file(&beside))).with_context(name)?;
    db.record_backup(clock::now())?;
    if output.json {
        exit::json(&json!({"file": name(), "bytes": bytes, "made": made.at.to_string()}))?;
    } else {
        exit::line(format_args!(
            "{}: backup of {}, {bytes} bytes; it has the hub's signing key: keep it where nobody else can read it",
            name(),
            made.at
        ))?;
    }
    Ok(Exit::Done)
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Checks that a backup would overwrite neither files of a hub nor anything but an older backup.
fn check_place(file: &Path, data: &DataDir) -> anyhow::Result<()> {
    match fs::symlink_metadata(file) {
        Ok(found) if !found.is_file() => bail!("not a file; expected a new file name or an older backup"),
        Ok(_) if !backup::is_database(file)? => {
            bail!("not a backup; expected a new file name or an older backup")
        }
        _ => {}
    }
    let folder = folder_of(file);
    if !folder.is_dir() {
        bail!("no such folder: {}", folder.display());
    }
    let folder = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
    let is_of_this = fs::canonicalize(data.folder()).is_ok_and(|own| folder.starts_with(own));
    if is_of_this || DataDir::is_one(&folder) {
        bail!("inside a hub's folder; expected a place outside it, best on another disk");
    }
    Ok(())
}

fn write(db: &LocalDatabase, beside: &Path, made: &BackupInfo) -> anyhow::Result<u64> {
    // Left by an interrupted backup.
    let mut journal = OsString::from(beside.as_os_str());
    journal.push("-journal");
    let _ = (fs::remove_file(beside), fs::remove_file(journal));
    // Restrict access before there is content.
    data_dir::write_new(beside, OWNER_ONLY, "")?;
    db.back_up(beside, made)?;
    let file = File::open(beside)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// Replaces database and key by those of a backup, and keeps the replaced files.
pub(crate) fn restore(wanted: &RestoreFile) -> anyhow::Result<Exit> {
    let RestoreFile { file, common: Common { data, output } } = wanted;
    let data = data.dir();
    if !fs::metadata(file).with_context(|| file.display().to_string())?.is_file() {
        bail!("{}: not a file; expected a backup", file.display());
    }
    data_dir::make_folder(data.folder())?;
    let lock = data.lock()?;
    let staged = Staged::of(&data, file)?;
    let (restored, key, carried_over) =
        staged.prepare(&data).inspect_err(|_| staged.remove()).with_context(|| file.display().to_string())?;
    let aside = staged.put_in_place(&data)?;
    drop(lock);
    if output.json {
        let carried = carried_over.as_ref().ok();
        exit::json(&json!({
            "epoch": staged.epoch, "made": restored.made.map(|made| made.at.to_string()), "tenants": restored.tenants,
            "devices": restored.devices, "public_key": key.trusted().id().to_string(),
            "aside": aside.map(|aside| aside.display().to_string()),
            "revoked": carried.map(|carried| carried.revoked), "missing": carried.map(|carried| &carried.devices),
            "configurations": carried.map(|carried| &carried.configurations),
        }))?;
    } else {
        say(&restored, &key, &staged, aside.as_deref(), &carried_over)?;
    }
    Ok(Exit::Done)
}

fn say(
    restored: &Restored,
    key: &SigningKey,
    staged: &Staged,
    aside: Option<&Path>,
    carried_over: &Result<CarriedOver, String>,
) -> anyhow::Result<()> {
    let Restored { made, tenants, devices } = restored;
    let made = made.as_ref().map_or("copy of a database".to_owned(), |made| format!("backup of {}", made.at));
    exit::line(format_args!(
        "{made} restored: {}, {}, key {}",
        exit::counted(*tenants, "tenant"),
        exit::counted(*devices, "device"),
        key.trusted().id()
    ))?;
    exit::line(format_args!("new epoch {}: devices send again the rows that this database lacks", staged.epoch))?;
    if let Some(aside) = aside {
        exit::line(format_args!("replaced files kept in {}", aside.display()))?;
    }
    match carried_over {
        Ok(CarriedOver { revoked, devices, configurations }) => {
            if *revoked > 0 {
                let stay = if *revoked == 1 { "that was revoked since stays" } else { "that were revoked since stay" };
                exit::line(format_args!("{} {stay} revoked", exit::counted(*revoked, "key")))?;
            }
            if !devices.is_empty() {
                let devices = devices.join(", ");
                exit::line(format_args!("not in the backup, add again, each with a new key: {devices}"))?;
            }
            for LostConfiguration { device, version, instead } in configurations {
                let given = instead.map_or("keeps its own".to_owned(), |instead| {
                    format!("gets configuration {instead} again, under a higher version")
                });
                exit::line(format_args!(
                    "{device}: configuration {version} is not in the backup; the device {given}, unless you put the newest before you start the hub"
                ))?;
            }
        }
        Err(why) => exit::line(format_args!(
            "the replaced database cannot be read ({why}): keys that were revoked after the backup are valid again; revoke them"
        ))?,
    }
    exit::line("Keys that were added after the backup are unknown: add new ones with `tilth-hub device key`.")
}

/// A prepared hub in a temporary folder.
struct Staged {
    folder: PathBuf,
    epoch: tilth_protocol::Epoch,
    now: WallTime,
}

impl Staged {
    fn of(data: &DataDir, file: &Path) -> anyhow::Result<Staged> {
        let folder = data.folder().join("restore.new");
        let _ = fs::remove_dir_all(&folder);
        data_dir::make_folder(&folder)?;
        let staged = Staged { folder, epoch: access::draw_epoch()?, now: clock::now() };
        let copied = data_dir::write_new(&staged.database(), OWNER_ONLY, "").and_then(|()| {
            let (mut from, mut to) = (File::open(file)?, File::options().write(true).open(staged.database())?);
            std::io::copy(&mut from, &mut to)?;
            Ok(())
        });
        copied.inspect_err(|_| staged.remove()).with_context(|| file.display().to_string())?;
        Ok(staged)
    }

    fn database(&self) -> PathBuf {
        self.folder.join("hub.db")
    }

    fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Prepares the database and its key, and carries over what the replaced database had.
    fn prepare(&self, data: &DataDir) -> anyhow::Result<(Restored, SigningKey, Result<CarriedOver, String>)> {
        let restored = backup::prepare(&self.database(), self.epoch, &user(), self.now)?;
        let text = match &restored.made {
            Some(made) => made.signing_key.clone(),
            None => data.signing_key_text().context(
                "a copy of a database, without the hub's signing key, which is not in the folder either; expected a file of `tilth-hub backup`",
            )?,
        };
        let key = SigningKey::parse(&text).context("the signing key in the backup")?;
        let staged = DataDir::new(&self.folder);
        staged.write_keys(&text, &key)?;
        let carried_over = match data.last_database() {
            Some(before) => backup::carry_over(&before, &self.database()).map_err(|error| error.to_string()),
            None => Ok(CarriedOver::default()),
        };
        Ok((restored, key, carried_over))
    }

    /// Moves the prepared hub into place. Returns the folder with the replaced files.
    fn put_in_place(&self, data: &DataDir) -> anyhow::Result<Option<PathBuf>> {
        let aside = data.put_aside(self.now)?;
        DataDir::new(&self.folder).move_to(data)?;
        self.remove();
        Ok(aside)
    }
}
