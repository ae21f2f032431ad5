//! `tilth-hub backup` and `restore`: everything that a hub is, in one file, and back.

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
use crate::db::backup::{self, Carried, LostConfiguration, Made, Restored};
use crate::domain::access;
use crate::exit::{self, Exit};

/// Writes a backup beside its place and renames it into it: what was there before stays until the new one is whole.
pub(crate) fn make(wanted: &BackupFile) -> anyhow::Result<Exit> {
    let BackupFile { file, common: Common { data, output } } = wanted;
    let name = || file.display().to_string();
    let data = data.dir();
    check_place(file, &data).with_context(name)?;
    data.read_signing_key()?;
    // Two that write one file at once would leave neither. A disk that knows no locks has none.
    let folder = File::open(folder_of(file)).with_context(name)?;
    let _ = folder.lock();
    let made = Made { at: clock::now(), signing_key: data.signing_key_text()? };
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
            "{}: backup of {}, {bytes} bytes, with the hub's signing key: keep it where nobody else reads it",
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

/// A slip must not put a backup in the place of a hub's own files, or of anything but an older backup.
fn check_place(file: &Path, data: &DataDir) -> anyhow::Result<()> {
    match fs::symlink_metadata(file) {
        Ok(found) if !found.is_file() => bail!("expected a file, or nothing there"),
        Ok(_) if !backup::is_database(file)? => {
            bail!("this is something else: expected an older backup, or nothing there")
        }
        _ => {}
    }
    let folder = folder_of(file);
    if !folder.is_dir() {
        bail!("there is no folder {}", folder.display());
    }
    let folder = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
    let is_of_this = fs::canonicalize(data.folder()).is_ok_and(|own| folder.starts_with(own));
    if is_of_this || DataDir::is_one(&folder) {
        bail!("this is in a hub's own folder: expected a place outside it, best on another disk");
    }
    Ok(())
}

fn write(db: &LocalDatabase, beside: &Path, made: &Made) -> anyhow::Result<u64> {
    // What a backup that was cut off left behind.
    let mut journal = OsString::from(beside.as_os_str());
    journal.push("-journal");
    let _ = (fs::remove_file(beside), fs::remove_file(journal));
    // Before anything is in it.
    data_dir::write_new(beside, OWNER_ONLY, "")?;
    db.back_up(beside, made)?;
    let file = File::open(beside)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// Puts a backup in the place of the database and the key, which are kept aside.
pub(crate) fn restore(wanted: &RestoreFile) -> anyhow::Result<Exit> {
    let RestoreFile { file, common: Common { data, output } } = wanted;
    let data = data.dir();
    if !fs::metadata(file).with_context(|| file.display().to_string())?.is_file() {
        bail!("{}: expected a backup", file.display());
    }
    data.make()?;
    let lock = data.lock()?;
    let staged = Staged::of(&data, file)?;
    let (restored, key, carried) =
        staged.take_up(&data).inspect_err(|_| staged.remove()).with_context(|| file.display().to_string())?;
    let aside = staged.put_in_place(&data)?;
    drop(lock);
    if output.json {
        exit::json(&json!({
            "epoch": staged.epoch, "made": restored.made.map(|made| made.at.to_string()), "tenants": restored.tenants,
            "devices": restored.devices, "public_key": key.trusted().id().to_string(),
            "aside": aside.map(|aside| aside.display().to_string()),
            "revoked": carried.as_ref().ok().map(|carried| carried.revoked),
            "missing": carried.as_ref().ok().map(|carried| &carried.devices),
            "configurations": carried.as_ref().ok().map(|carried| {
                let rows = carried.configurations.iter();
                rows.map(|lost| json!({"device": lost.device, "version": lost.version, "instead": lost.instead})).collect::<Vec<_>>()
            }),
        }))?;
    } else {
        say(&restored, &key, &staged, aside.as_deref(), &carried)?;
    }
    Ok(Exit::Done)
}

fn say(
    restored: &Restored,
    key: &SigningKey,
    staged: &Staged,
    aside: Option<&Path>,
    carried: &Result<Carried, String>,
) -> anyhow::Result<()> {
    let Restored { made, tenants, devices } = restored;
    let made = made.as_ref().map_or("a copy of a database".to_owned(), |made| format!("the backup of {}", made.at));
    exit::line(format_args!(
        "{made} is in place: {}, {}, key {}",
        exit::counted(*tenants, "tenant"),
        exit::counted(*devices, "device"),
        key.trusted().id()
    ))?;
    exit::line(format_args!("new epoch {}: devices send again what this database does not have", staged.epoch))?;
    if let Some(aside) = aside {
        exit::line(format_args!("what was there before lies in {}", aside.display()))?;
    }
    match carried {
        Ok(Carried { revoked, devices, configurations }) => {
            if *revoked > 0 {
                let stay = if *revoked == 1 { "that was revoked since stays" } else { "that were revoked since stay" };
                exit::line(format_args!("{} {stay} revoked", exit::counted(*revoked, "key")))?;
            }
            if !devices.is_empty() {
                let devices = devices.join(", ");
                exit::line(format_args!("not in the backup, to be added again, each with a new key: {devices}"))?;
            }
            for LostConfiguration { device, version, instead } in configurations {
                let given = instead.map_or("gets none".to_owned(), |instead| {
                    format!("gets configuration {instead} again, under a higher version")
                });
                exit::line(format_args!(
                    "{device}: configuration {version} is not in the backup; the device {given}, unless you put the newest before you start the hub"
                ))?;
            }
        }
        Err(why) => exit::line(format_args!(
            "the database before cannot be read ({why}): keys that were revoked after the backup are valid again"
        ))?,
    }
    exit::line("Devices whose keys were made after the backup are refused: `tilth-hub device key` makes new ones.")
}

/// What is to be put in place, in a folder beside it.
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

    /// A store, its key, and what the one before knew.
    fn take_up(&self, data: &DataDir) -> anyhow::Result<(Restored, SigningKey, Result<Carried, String>)> {
        let restored = backup::take_up(&self.database(), self.epoch, &user(), self.now)?;
        let text = match &restored.made {
            Some(made) => made.signing_key.clone(),
            None => data.signing_key_text().context(
                "this is a copy of a database without the hub's signing key, and there is none here: expected a file of `tilth-hub backup`",
            )?,
        };
        let key = SigningKey::parse(&text).context("the signing key in the backup")?;
        let staged = DataDir::new(&self.folder);
        staged.write_keys(&text, &key)?;
        let carried = match data.last_database() {
            Some(before) => backup::carry(&before, &self.database()).map_err(|error| error.to_string()),
            None => Ok(Carried::default()),
        };
        Ok((restored, key, carried))
    }

    /// Puts the restored hub in place. Returns the folder that holds the files from before.
    fn put_in_place(&self, data: &DataDir) -> anyhow::Result<Option<PathBuf>> {
        let aside = data.put_aside(self.now)?;
        DataDir::new(&self.folder).move_to(data)?;
        self.remove();
        Ok(aside)
    }
}
