//! A Raspberry Pi Pico: its boot ROM is a drive that takes the image as a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::Model;
use super::image::SignedImage;
use crate::cli;
use crate::exit::Exit;

const PICO: Model = Model { name: "pico", chip: "rp2040", ending: "uf2" };

/// Name of the boot ROM's drive, and of the file on it that says what the drive is (RP2040 datasheet, section 2.8.4).
const DRIVE: &str = "RPI-RP2";
const INFO: &str = "INFO_UF2.TXT";

/// First bytes of a UF2 file (github.com/microsoft/uf2, magicStart0).
const UF2: &[u8] = b"UF2\n";

/// List of what is mounted, by the kernel.
const MOUNTS: &str = "/proc/mounts";

/// Copies the image to the drive of a Pico in its boot ROM; without a drive says how it gets one. Nothing is said or written before the
/// signature is checked.
pub(super) fn flash(wanted: &cli::Flash, mut say: impl FnMut(String) -> anyhow::Result<()>) -> anyhow::Result<Exit> {
    let image = SignedImage::read(wanted, &PICO)?;
    ensure!(image.bytes.starts_with(UF2), "{}: no UF2 file; nothing was written to the board", image.path.display());
    say(image.title(&PICO))?;
    let drive = match &wanted.drive {
        Some(drive) => Some(drive.clone()),
        None => fs::read_to_string(MOUNTS).ok().and_then(|mounts| mounted(&mounts)),
    };
    let Some(drive) = drive else {
        say(steps(&image.path))?;
        return Ok(Exit::Done);
    };
    check_drive(&drive)?;
    say(format!("copying {} bytes to {}", image.bytes.len(), drive.display()))?;
    copy(&image.bytes, &drive).with_context(|| {
        format!(
            "{}: the copy was cut; the board may hold half an image and does nothing: take the supply from its relays, hold BOOTSEL while you plug \
             it in, and run the same command again",
            drive.display()
        )
    })?;
    say(format!(
        "done: firmware {} is copied, and the board restarts with it; `tilth-agent status` shows it within 5 s",
        image.firmware
    ))?;
    Ok(Exit::Done)
}

fn steps(image: &Path) -> String {
    format!(
        "no drive {DRIVE} is mounted here. A Raspberry Pi Pico takes its firmware as a file:
  1. hold the button BOOTSEL and plug the board in: a drive {DRIVE} appears
  2. run this command again; or copy {} to the drive: the board restarts and the drive is gone
  3. plug the board into the agent's machine; `tilth-agent status` shows its firmware within 5 s
Where no desktop mounts the drive: sudo mount /dev/disk/by-label/{DRIVE} /mnt, and run this command with --drive /mnt",
        image.display()
    )
}

/// Mount point of the drive of this name, by the table of mounts (proc(5)): its second column, in which a space is \\040.
fn mounted(mounts: &str) -> Option<PathBuf> {
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(|place| place.replace("\\040", " "));
    places.map(PathBuf::from).find(|place| place.file_name().is_some_and(|name| name == DRIVE))
}

/// Checks that a folder is the drive of a Pico: no other one gets an image.
fn check_drive(drive: &Path) -> anyhow::Result<()> {
    let info = drive.join(INFO);
    let text = fs::read_to_string(&info).with_context(|| {
        format!("{}: no drive of a Pico; expected one with the file {INFO}; nothing was written", drive.display())
    })?;
    if !text.lines().any(|line| line.trim() == format!("Board-ID: {DRIVE}")) {
        bail!(
            "{}: of another board than a Pico; expected the line Board-ID: {DRIVE}; nothing was written",
            info.display()
        );
    }
    Ok(())
}

/// Writes the image as a file of the drive, and waits until it is there. The board takes the last block, restarts, and its drive is gone.
fn copy(image: &[u8], drive: &Path) -> io::Result<()> {
    let mut file = File::create(drive.join("tilth.uf2"))?;
    file.write_all(image)?;
    file.sync_all().or_else(|error| if drive.join(INFO).exists() { Err(error) } else { Ok(()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drive_is_found_by_its_name_wherever_it_is_mounted() {
        let mounts = "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /media/ana\\040maria/RPI-RP2 vfat rw 0 0\n";
        assert_eq!(mounted(mounts), Some(PathBuf::from("/media/ana maria/RPI-RP2")));
        assert_eq!(mounted("/dev/sda1 /RPI-RP2-old ext4 rw 0 0\n\n"), None);
    }
}
