//! The machine: qemu, whose disk forgets at a power cut, with a shell over a virtio port or ssh, a port on which dpkg tells its progress, and a
//! board on a USB serial adapter.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use tilth_tests::live::Running;
use tilth_tests::random::Random;

use super::disk::{Attached, Disk};
use super::image::Image;

/// A boot under software emulation takes 20 s on a free processor.
const BOOT_PATIENCE: Duration = Duration::from_secs(300);

/// The first start of a card has more to do, on a processor that is harder to emulate.
const CARD_PATIENCE: Duration = Duration::from_secs(1200);

/// An installation takes 20 s.
const CALL_PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks at a machine; each costs it a process or more.
const LOOK: Duration = Duration::from_millis(500);

const PC: &str = "-machine pc,accel=tcg -cpu qemu64 -smp 1 -m 512";

/// The processor of a Pi 3, with a watchdog that resets it.
const ARM: &str = "-machine virt,accel=tcg -cpu cortex-a53 -smp 2 -m 1024 -device i6300esb -action watchdog=reset";

/// What qemu emulates beside disk and kernel. The sockets lie in its working folder.
const DEVICES: &[&str] = &[
    "-nodefaults -no-user-config -display none -serial file:console",
    "-blockdev driver=nbd,node-name=disk,server.type=unix,server.path=disk -device virtio-blk-pci,drive=disk",
    "-blockdev driver=file,node-name=packages,filename=packages,read-only=on -device virtio-blk-pci,drive=packages",
    "-device virtio-rng-pci -device virtio-serial-pci",
    "-chardev socket,id=shell,path=shell,server=on,wait=off -device virtserialport,chardev=shell,name=shell",
    "-chardev socket,id=progress,path=progress,server=on,wait=off -device virtserialport,chardev=progress,name=progress",
    "-chardev socket,id=board,path=board,server=on,wait=off -device qemu-xhci -device usb-serial,chardev=board",
];

/// Without what costs a boot time and shows nothing; and without a check of the timer, which fails where the emulator gets no processor for long.
const KERNEL: &str = "root=/dev/vda ro console=ttyS0 quiet no_timer_check mitigations=off systemd.show_status=1 systemd.getty_auto=no \
    systemd.mask=getty-static.service systemd.mask=getty@tty1.service systemd.mask=e2scrub_reap.service";

/// What is emulated.
pub(crate) enum Hardware {
    /// A PC; its shell is at a virtio port.
    Pc(Image),
    /// A computer with a Pi's processor and the image of a card, which has a way in for people alone: ssh.
    Arm(Card),
}

/// A card, with what boots it. The network of its machine ends at this one.
pub(crate) struct Card {
    pub(crate) disk: PathBuf,
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    /// What the boot partition says to the kernel.
    pub(crate) command_line: String,
    /// Private key of `farm`.
    pub(crate) ssh_key: PathBuf,
    /// Port on this machine that leads to its ssh.
    pub(crate) ssh_port: u16,
    /// Port of a hub on this machine; in the card's it is [`HUB_PORT`] on the loopback.
    pub(crate) hub_port: u16,
}

/// Port of the hub on the loopback of a card's machine, while a shell is open.
pub(crate) const HUB_PORT: u16 = 8443;

/// A login of a machine that is known by its port alone.
const SSH: &str = "-T -q -o BatchMode=yes -o ConnectTimeout=60 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o IdentitiesOnly=yes -o ServerAliveInterval=30";

/// For one try to log in, with the key exchange of an emulated processor.
const LOGIN_PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Machine {
    folder: PathBuf,
    hardware: Hardware,
    disk: Disk,
    on: Option<On>,
    /// Id of the boot whose ssh was opened last.
    last_boot: Option<String>,
    /// How often it has booted.
    pub(crate) boots: u32,
    pub(crate) board: Board,
}

/// What there is while the power is on.
struct On {
    qemu: Running,
    attached: Attached,
    shell: Shell,
    progress: BufReader<UnixStream>,
}

struct Shell {
    to: UnixStream,
    from: BufReader<UnixStream>,
    sent: u64,
    _ssh: Option<Running>,
}

/// A board that prints a line a second while the machine is on.
pub(crate) struct Board(Arc<AtomicU64>);

impl Machine {
    /// A machine that is off. Its folder has the disk with the packages.
    pub(crate) fn new(folder: &Path, hardware: Hardware) -> anyhow::Result<Machine> {
        let disk = match &hardware {
            Hardware::Pc(image) => &image.disk,
            Hardware::Arm(card) => &card.disk,
        };
        let disk = Disk::of_image(disk)?;
        let board = Board::beside(&folder.join("board"));
        Ok(Machine { folder: folder.to_owned(), hardware, disk, on: None, last_boot: None, boots: 0, board })
    }

    /// Switches it on, and waits for its shell.
    pub(crate) fn power_on(&mut self) -> anyhow::Result<()> {
        for socket in ["shell", "progress", "board"] {
            let _ = fs::remove_file(self.folder.join(socket));
        }
        let attached = self.disk.attach(&self.folder.join("disk"))?;
        let mut qemu = self.hardware.qemu();
        qemu.args(DEVICES.iter().flat_map(|devices| devices.split(' '))).current_dir(&self.folder).stdin(Stdio::null());
        let qemu = Running::start(&mut qemu).with_context(|| format!("{qemu:?}"))?;
        let shell = Shell::connect(&self.folder.join("shell"))?;
        let progress = BufReader::new(connect(&self.folder.join("progress"))?);
        progress.get_ref().set_read_timeout(Some(scaled(CALL_PATIENCE)))?;
        self.on = Some(On { qemu, attached, shell, progress });
        self.booted()
    }

    /// Waits until its shell greets, and systemd has started everything.
    fn booted(&mut self) -> anyhow::Result<()> {
        match &self.hardware {
            Hardware::Pc(_) => {
                self.on()?.shell.greeting(BOOT_PATIENCE)?;
            }
            Hardware::Arm(_) => self.open_ssh()?,
        }
        self.boots += 1;
        self.until("systemd has started everything", CARD_PATIENCE, |machine| {
            let state = machine.run("systemctl is-system-running || true")?;
            Ok(["running", "degraded"].contains(&state.as_str()).then_some(()))
        })
    }

    /// Tries to log in until a boot that is not the last one greets.
    fn open_ssh(&mut self) -> anyhow::Result<()> {
        let (began, patience) = (Instant::now(), scaled(CARD_PATIENCE));
        loop {
            let Hardware::Arm(card) = &self.hardware else { bail!("this machine has no ssh") };
            let mut shell = Shell::over_ssh(card)?;
            if let Some(boot) = shell.greeting(LOGIN_PATIENCE).ok().filter(|boot| Some(boot) != self.last_boot.as_ref())
            {
                self.last_boot = Some(boot);
                self.on()?.shell = shell;
                return Ok(());
            }
            let ended = self.on()?.qemu.0.try_wait()?;
            ensure!(ended.is_none(), "qemu ended");
            ensure!(began.elapsed() < patience, "nobody could log in within {} s", patience.as_secs());
            thread::sleep(LOOK);
        }
    }

    /// Has the kernel stop for ever, and waits for the boot after the watchdog's reset.
    pub(crate) fn hang(&mut self) -> anyhow::Result<()> {
        self.on()?.shell.send("sync; echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger")?;
        self.booted()
    }

    /// Cuts the power; how many blocks of the disk were lost with it.
    pub(crate) fn cut(&mut self, random: &mut Random) -> usize {
        if let Some(On { qemu, attached, .. }) = self.on.take() {
            drop(qemu);
            attached.detach();
        }
        self.disk.lose_power(random)
    }

    pub(crate) fn reboot(&mut self) -> anyhow::Result<()> {
        let before = self.boot_id()?;
        self.on()?.shell.send("systemctl reboot")?;
        self.booted()?;
        ensure!(self.boot_id()? != before, "the machine did not reboot");
        Ok(())
    }

    fn boot_id(&mut self) -> anyhow::Result<String> {
        self.run("cat /proc/sys/kernel/random/boot_id")
    }

    /// What a script said, run as root; an error where it failed.
    pub(crate) fn run(&mut self, script: &str) -> anyhow::Result<String> {
        let shell = &mut self.on()?.shell;
        let number = shell.send(script)?;
        let (code, said) = shell.answer(number).with_context(|| script.to_owned())?;
        ensure!(code == 0, "exit code {code} of: {script}\n{said}");
        Ok(said)
    }

    /// Starts a script that writes lines to the port `progress`, and waits for so many of them: true once they have come, false where it
    /// ended before.
    pub(crate) fn run_until_line(&mut self, script: &str, lines: usize) -> anyhow::Result<bool> {
        let On { shell, progress, .. } = self.on()?;
        shell.send(&format!("{script}; echo end >/dev/virtio-ports/progress"))?;
        for _ in 0..lines {
            let mut line = String::new();
            progress.read_line(&mut line).with_context(|| format!("no progress: {script}"))?;
            if line.trim() == "end" {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks again and again until there is something.
    pub(crate) fn until<Found>(
        &mut self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut(&mut Machine) -> anyhow::Result<Option<Found>>,
    ) -> anyhow::Result<Found> {
        let (began, patience) = (Instant::now(), scaled(patience));
        loop {
            if let Some(found) = look(self).with_context(|| what.to_owned())? {
                return Ok(found);
            }
            ensure!(began.elapsed() < patience, "not within {} s: {what}", patience.as_secs());
            thread::sleep(LOOK);
        }
    }

    /// What it said last on its console.
    pub(crate) fn console(&self) -> String {
        let said = fs::read(self.folder.join("console")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn on(&mut self) -> anyhow::Result<&mut On> {
        self.on.as_mut().context("the machine is off")
    }
}

impl Hardware {
    /// qemu, with processor, kernel and network.
    fn qemu(&self) -> Command {
        let (program, machine, kernel, initrd, command_line) = match self {
            Hardware::Pc(image) => ("qemu-system-x86_64", PC, &image.kernel, &image.initrd, KERNEL.to_owned()),
            Hardware::Arm(card) => {
                let line = format!("{} console=ttyAMA0", card.command_line);
                ("qemu-system-aarch64", ARM, &card.kernel, &card.initrd, line)
            }
        };
        let mut qemu = Command::new(program);
        qemu.args(machine.split(' '))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initrd)
            .arg("-append")
            .arg(command_line);
        if let Hardware::Arm(card) = self {
            let network = format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{}-:22", card.ssh_port);
            qemu.args(["-netdev", &network, "-device", "virtio-net-pci,netdev=net"]);
        }
        qemu
    }
}

impl Shell {
    fn connect(socket: &Path) -> anyhow::Result<Shell> {
        let to = connect(socket)?;
        let from = BufReader::new(to.try_clone()?);
        Ok(Shell { to, from, sent: 0, _ssh: None })
    }

    /// A shell of root, by the key of `farm`; with it the card's machine reaches the hub.
    fn over_ssh(card: &Card) -> anyhow::Result<Shell> {
        let (to, theirs) = UnixStream::pair()?;
        let shell = BASE64_STANDARD.encode(include_str!("shell"));
        let mut ssh = Command::new("ssh");
        ssh.args(SSH.split(' '))
            .arg("-i")
            .arg(&card.ssh_key)
            .args(["-p", &card.ssh_port.to_string(), "-R", &format!("{HUB_PORT}:127.0.0.1:{}", card.hub_port)])
            .arg("farm@127.0.0.1")
            .arg(format!("sudo bash -c \"$(echo {shell} | base64 -d)\" shell -"))
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::null());
        let ssh = Running::start(&mut ssh).context("ssh")?;
        let from = BufReader::new(to.try_clone()?);
        Ok(Shell { to, from, sent: 0, _ssh: Some(ssh) })
    }

    /// Waits for the shell of a new boot; the boot's id.
    fn greeting(&mut self, patience: Duration) -> anyhow::Result<String> {
        self.from.get_ref().set_read_timeout(Some(scaled(patience)))?;
        loop {
            if let Some(boot) = self.line().context("the machine does not boot")?.strip_prefix("hello ") {
                return Ok(boot.trim().to_owned());
            }
        }
    }

    fn send(&mut self, script: &str) -> anyhow::Result<u64> {
        self.sent += 1;
        writeln!(self.to, "{} {}", self.sent, BASE64_STANDARD.encode(script))?;
        Ok(self.sent)
    }

    /// Exit code and output of a script.
    fn answer(&mut self, number: u64) -> anyhow::Result<(i32, String)> {
        self.from.get_ref().set_read_timeout(Some(scaled(CALL_PATIENCE)))?;
        loop {
            let line = self.line().context("no answer")?;
            let mut words = line.split_whitespace();
            if words.next() != Some(&number.to_string()) {
                continue;
            }
            let code = words.next().and_then(|code| code.parse().ok()).context("no exit code")?;
            let said = BASE64_STANDARD.decode(words.next().unwrap_or_default())?;
            return Ok((code, String::from_utf8_lossy(&said).trim_end().to_owned()));
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.from.read_line(&mut line)?;
        ensure!(read > 0, "qemu ended");
        Ok(line)
    }
}

impl Board {
    /// A board at the adapter whose socket this is; plugged in whenever the machine is on.
    fn beside(socket: &Path) -> Board {
        let ph = Arc::new(AtomicU64::new(0));
        let (says, socket) = (Arc::clone(&ph), socket.to_owned());
        thread::spawn(move || {
            loop {
                if let Ok((mut line, mut heard)) = connection(&socket) {
                    // What nobody reads would stop qemu.
                    thread::spawn(move || io::copy(&mut heard, &mut io::sink()));
                    let hundredths = || says.load(Ordering::Relaxed);
                    while write!(line, "ph={}.{:02}\r\n", hundredths() / 100, hundredths() % 100).is_ok() {
                        thread::sleep(Duration::from_secs(1));
                    }
                }
                thread::sleep(Duration::from_millis(200));
            }
        });
        Board(ph)
    }

    /// What it measures from now on, in hundredths.
    pub(crate) fn measures(&self, ph_hundredths: u64) {
        self.0.store(ph_hundredths, Ordering::Relaxed);
    }
}

/// The adapter, to write to and to read from.
fn connection(socket: &Path) -> io::Result<(UnixStream, UnixStream)> {
    let line = UnixStream::connect(socket)?;
    Ok((line.try_clone()?, line))
}

/// How long to wait on this machine: `TILTH_BOUND_SCALE` times as long, as `tests/run` takes it for slow ones.
fn scaled(patience: Duration) -> Duration {
    let scale = env::var("TILTH_BOUND_SCALE").ok().and_then(|scale| scale.parse().ok());
    patience.mul_f64(scale.filter(|scale| (0.1..1000.0).contains(scale)).unwrap_or(1.0))
}

/// Connects to a socket that qemu makes as it starts.
fn connect(socket: &Path) -> anyhow::Result<UnixStream> {
    let began = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(_) if began.elapsed() < scaled(Duration::from_secs(20)) => {
                thread::sleep(Duration::from_millis(50));
            }
            Err(error) => bail!("qemu does not start: {}: {error}", socket.display()),
        }
    }
}
