//! The set-ups that are broken, and the faults that each has.

use std::fs::{self, File};
use std::process::Command;

use anyhow::{Context, ensure};
use tilth_tests::live::Running;
use tilth_tests::live::certificates::authority;
use tilth_tests::live::disk::Disk;
use tilth_tests::live::hub::{CLIENT, DEVICE};

use super::bench::Bench;

pub(super) struct Broken {
    pub(super) name: &'static str,
    /// Breaks the farm, and starts its agent where it is to run.
    pub(super) make: fn(&mut Bench) -> anyhow::Result<()>,
    pub(super) faults: &'static [Fault],
    /// Exit code of doctor.
    pub(super) code: i32,
}

/// What must be said: pieces of the message and of its fix.
pub(super) struct Fault {
    pub(super) check: &'static str,
    pub(super) message: &'static str,
    pub(super) fix: &'static str,
}

const fn fault(check: &'static str, message: &'static str, fix: &'static str) -> Fault {
    Fault { check, message, fix }
}

/// User without any group, as Debian has it.
const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

const STOPPED: Fault = fault("agent", "the farm is not watched", "tilth-agent run --config");

pub(super) const BROKEN: &[Broken] = &[
    Broken {
        name: "port missing",
        make: |bench| {
            bench.pull_out()?;
            bench.start()
        },
        faults: &[fault("port", "there is no such device", "plug its adapter in")],
        code: 1,
    },
    Broken {
        name: "port without permission",
        make: port_without_permission,
        faults: &[fault("port", "the agent's user nobody may not open it", "sudo usermod -aG dialout nobody")],
        code: 1,
    },
    Broken {
        name: "port held by another program",
        make: port_held,
        faults: &[STOPPED, fault("port", "another program has it open: sleep", "sudo kill")],
        code: 1,
    },
    Broken {
        name: "key world-readable",
        make: |bench| {
            bench.set_mode("etc/device.key", 0o644)?;
            bench.start()
        },
        faults: &[fault("file", "others may read (mode 0644)", "sudo chmod 600")],
        code: 1,
    },
    Broken {
        name: "secret missing",
        make: |bench| {
            fs::remove_file(bench.farm.folder.path().join("etc/secrets/ntfy"))?;
            bench.start()
        },
        faults: &[fault("file", "missing: a secret", "sudo install -o root -m 600 FILE")],
        code: 1,
    },
    Broken {
        name: "data read-only",
        make: |bench| {
            let disk = bench.tmpfs("64m")?;
            disk.remount("ro");
            bench.disk = Some(disk);
            bench.start()
        },
        faults: &[fault("disk", "read-only", "sudo mount -o remount,rw")],
        code: 1,
    },
    Broken {
        name: "data full",
        make: |bench| {
            let disk = bench.tmpfs("4m")?;
            bench.start()?;
            disk.fill();
            bench.disk = Some(disk);
            Ok(())
        },
        faults: &[fault("disk", "full: 0 MiB free", "sort -h shows what is large")],
        code: 1,
    },
    Broken {
        name: "file system with errors",
        make: |bench| {
            let disk = Disk::ext4(&bench.farm.data(), "doctor").context("this machine allows no mounts")?;
            bench.start()?;
            disk.fail();
            bench.disk = Some(disk);
            Ok(())
        },
        faults: &[
            fault("disk", "the kernel counted", "replace the card"),
            fault("disk", "read-only", "sudo mount -o remount,rw"),
        ],
        code: 1,
    },
    Broken {
        name: "hub down",
        make: |bench| {
            bench.start()?;
            bench.hub.stop();
            Ok(())
        },
        faults: &[fault("hub", "cannot be reached: Connection refused", "systemctl status tilth-hub")],
        code: 1,
    },
    Broken {
        name: "name of the hub unknown",
        make: |bench| {
            let table = bench.farm.hub_table("https://hub.tilth.invalid");
            bench.farm.write_site(&format!("{table}ca = 'ca.pem'\n"));
            bench.start()
        },
        faults: &[fault("hub", "the name of the hub is not found", "ip route")],
        code: 1,
    },
    Broken {
        name: "hub with another authority",
        make: |bench| {
            bench.write("etc/ca.pem", &authority("somebody else").pem());
            bench.start()
        },
        faults: &[fault("hub", "its certificate is not trusted", "into the file of hub.ca")],
        code: 1,
    },
    Broken {
        name: "key revoked",
        make: |bench| {
            bench.start()?;
            bench.hub.call(&["device", "revoke", DEVICE, "--client", CLIENT]);
            Ok(())
        },
        faults: &[fault("hub", "the hub rejects the device's key (401)", "tilth-hub device enroll")],
        code: 1,
    },
    Broken {
        name: "clock before the program",
        make: |bench| {
            bench.inside = vec!["faketime", "-f", "@2025-06-01 00:00:00"];
            bench.environment.push(("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()));
            bench.start()
        },
        faults: &[fault("clock", "it is 2025-0", "timedatectl set-ntp true")],
        code: 1,
    },
    Broken {
        name: "configuration with an error",
        make: |bench| {
            bench.start()?;
            bench.write("etc/config.d/wrong.toml", "[sensors.'room/x']\nquantity = 'warmth'\n");
            Ok(())
        },
        faults: &[fault("configuration", "config.d/wrong.toml:", "tilth-agent check")],
        code: 2,
    },
    Broken {
        name: "I2C missing",
        make: |bench| {
            bench.site("[bus.chips]\nkind = 'i2c'\nport = '/dev/i2c-191'\n");
            bench.start()
        },
        faults: &[fault("i2c", "there is no such device", "i2c")],
        code: 1,
    },
    Broken { name: "agent stopped", make: |_| Ok(()), faults: &[STOPPED], code: 1 },
];

impl Bench {
    fn tmpfs(&self, size: &str) -> anyhow::Result<Disk> {
        Disk::in_memory(&self.farm.data(), size, "doctor").context("this machine allows no mounts")
    }
}

/// The agent runs as a user who is not in the group of serial ports.
fn port_without_permission(bench: &mut Bench) -> anyhow::Result<()> {
    let port = fs::canonicalize(bench.farm.folder.path().join("usb-board"))?;
    let port = port.to_str().context("UTF-8")?;
    let folder = bench.farm.folder.path().to_str().context("UTF-8")?;
    call("chown", &["root:dialout", port])?;
    call("chmod", &["660", port])?;
    call("chown", &["-R", "-h", "65534:65534", folder])?;
    bench.farm.inside = NOBODY.to_vec();
    bench.start()
}

/// A program that somebody left open reads from the port while no agent runs.
fn port_held(bench: &mut Bench) -> anyhow::Result<()> {
    let port = File::open(bench.farm.folder.path().join("usb-board"))?;
    bench.holder = Some(Running::start(Command::new("sleep").arg("600").stdin(port))?);
    Ok(())
}

fn call(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
