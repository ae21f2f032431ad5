//! A small Debian with systemd, made once: its disk, kernel and initial RAM disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use ring::digest::{SHA256, digest};

use crate::packages::said;

const SUITE: &str = "bookworm";

/// What is installed beside the smallest Debian: what boots it, what the packages depend on, and what the story calls.
const INCLUDE: &str = "systemd-sysv,udev,linux-image-amd64,zstd,ca-certificates,tzdata,openssl,curl";

/// Run while the image is made: the initial RAM disk has only what finds the disk, for software emulation unpacks it slowly.
const HOOKS: [&str; 3] = [
    "--essential-hook=mkdir -p \"$1/etc/initramfs-tools/conf.d\" && echo MODULES=list >\"$1/etc/initramfs-tools/conf.d/list\"",
    "--customize-hook=printf '%s\\n' virtio_pci virtio_blk ext4 crc32c_generic >>\"$1/etc/initramfs-tools/modules\"",
    "--customize-hook=chroot \"$1\" update-initramfs -u",
];

/// Files of the machine: path, text, mode.
const FILES: [(&str, &str, u32); 6] = [
    ("etc/hostname", "pi-7\n", 0o644),
    ("etc/hosts", "127.0.0.1 localhost pi-7\n", 0o644),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444),
    ("etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n/dev/vdb /packages ext4 ro,noload 0 0\n", 0o644),
    ("usr/local/sbin/evidence-shell", include_str!("shell"), 0o755),
    (
        "etc/systemd/system/evidence-shell.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/usr/local/sbin/evidence-shell\nRestart=always\nRestartSec=1\n",
        0o644,
    ),
];

/// Room on the disk; a file with holes.
const SIZE: &str = "2G";

pub(crate) struct Image {
    pub(crate) disk: PathBuf,
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
}

impl Image {
    /// The image in a folder of the builds; made anew where its recipe changed.
    pub(crate) fn made(builds: &Path) -> anyhow::Result<Image> {
        let recipe = format!("{SUITE}{INCLUDE}{HOOKS:?}{FILES:?}{SIZE}");
        let name = hex::encode(&digest(&SHA256, recipe.as_bytes()).as_ref()[..4]);
        let all = builds.join("vm");
        let folder = all.join(&name);
        if !folder.exists() {
            let _ = fs::remove_dir_all(&all);
            let unfinished = all.join("unfinished");
            fs::create_dir_all(&unfinished)?;
            make(&unfinished).context("the image of the machine")?;
            fs::rename(&unfinished, &folder)?;
        }
        let [disk, kernel, initrd] = ["disk", "kernel", "initrd"].map(|file| folder.join(file));
        Ok(Image { disk, kernel, initrd })
    }
}

fn make(folder: &Path) -> anyhow::Result<()> {
    ensure!(rustix::process::getuid().is_root(), "a Debian in a folder needs root: run this evidence as root");
    let root = folder.join("root");
    let include = format!("--include={INCLUDE}");
    said(
        Command::new("mmdebstrap").args(["--quiet", "--variant=minbase", &include]).args(HOOKS).arg(SUITE).arg(&root),
    )?;
    for (path, text, mode) in FILES {
        let path = root.join(path);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    symlink("../evidence-shell.service", wants.join("evidence-shell.service"))?;
    fs::create_dir(root.join("packages"))?;
    for (link, name) in [("vmlinuz", "kernel"), ("initrd.img", "initrd")] {
        fs::copy(root.join(link), folder.join(name)).with_context(|| link.to_owned())?;
    }
    file_system(&root, &folder.join("disk"), SIZE)?;
    fs::remove_dir_all(&root)?;
    Ok(())
}

/// An ext4 in a file, with the files of a folder.
pub(crate) fn file_system(folder: &Path, image: &Path, size: &str) -> anyhow::Result<()> {
    said(Command::new("mkfs.ext4").arg("-q").arg("-d").arg(folder).arg(image).arg(size))?;
    Ok(())
}
