//! `tilth-agent flash` on the real image of the Uno: avrdude writes it through the stock bootloader of a chip in simavr, while the real agent
//! runs.
//!
//! Images that are not signed must be refused before a byte reaches the board. On a board whose flash is worn at one byte the read-back differs,
//! which the command must say. The blank board gets an older version of the firmware, and a newer one in its place, which its Hello must say.
//! Then the plug is pulled at random bytes, and on another board the command is killed, and each time the same command, run again, must bring
//! the board back with its id, with no relay switched meanwhile.

mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail, ensure};
use tilth_config::bundle::SigningKey;
use tilth_config::firmware::Manifest;
use tilth_tests::agent::{self, Folder};
use tilth_tests::live::Running;
use tilth_tests::live::farm::Farm;
use tilth_tests::random::Random;
use tilth_tests::workspace;

use crate::{Length, Outcome, Run};
use bench::Bench;

/// Bytes of a saboteur's image that the board may get before the plug is pulled: it is known by then that it got some.
const ENOUGH: u64 = 2_000;

/// A sensor on the board.
const FARM: &str = "[sensors.'bench/level']\nquantity = 'water_level'\ninput = 'board:bench/0'\n";

/// What the manifest of the image says beside its version.
const BOARD: &str = "uno";
const CHIP: &str = "atmega328p";

/// Version of the firmware that the blank board gets first.
const OLDER: &str = "0.0.9";

pub(crate) fn measure(run: Run) -> Outcome {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = std::env::var("TILTH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    println!("    seed {seed} (TILTH_SEED={seed} takes it again)");
    let flashed = match (run.sabotage, run.length) {
        (true, _) => sabotaged(),
        (false, Length::Short) => flashed(1, 1, seed),
        (false, Length::Full) => flashed(12, 4, seed),
    };
    flashed.map_err(|error| format!("{error:#}"))
}

/// An image and its keys.
#[derive(Clone)]
struct Signed {
    /// The image, with its manifest beside it.
    image: PathBuf,
    version: String,
    trusted: PathBuf,
}

impl Signed {
    /// Builds the image, of a version or of the project's, and has the build script sign it.
    fn build(folder: &Folder, version: Option<&str>) -> anyhow::Result<Signed> {
        let (key, trusted) = keys(folder, "maker", 1)?;
        let images = folder.path().join(version.unwrap_or("today"));
        let mut build = Command::new(workspace().join("firmware/boards/build"));
        build.arg("--key").arg(&key).arg("--to").arg(&images);
        build.args(version.map(|version| ["--version", version]).iter().flatten());
        ensure!(build.arg(BOARD).stdout(Stdio::null()).status()?.success(), "the image cannot be built and signed");
        let image = images.join("uno.hex");
        let manifest =
            Manifest::verify(&fs::read(image.with_extension("manifest"))?, &fs::read(&image)?, maker().trusted())?;
        Ok(Signed { image, version: manifest.firmware, trusted })
    }

    /// Bytes of the code: whoever flashes the board sends more.
    fn length(&self) -> anyhow::Result<u64> {
        let text = fs::read_to_string(&self.image)?;
        let data = text.lines().filter(|line| line.get(7..9) == Some("00"));
        let lengths = data.map(|line| u64::from_str_radix(&line[1..3], 16));
        Ok(lengths.sum::<Result<u64, _>>()?)
    }

    /// Another file with these bytes, and a manifest that a key signed for it.
    fn beside(
        &self,
        name: &str,
        bytes: &[u8],
        board: &str,
        version: &str,
        key: &SigningKey,
    ) -> anyhow::Result<PathBuf> {
        let image = self.image.with_file_name(name);
        let (chip, firmware) = (CHIP.to_owned(), version.to_owned());
        let manifest = Manifest { board: board.to_owned(), chip, firmware, protocol: tilth_wire::version::CURRENT };
        fs::write(&image, bytes)?;
        fs::write(image.with_extension("manifest"), manifest.seal(bytes, key))?;
        Ok(image)
    }
}

/// A key of a test, whose public half the devices of the test trust.
fn maker() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn stranger() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

/// Writes the files of the key with the seed that repeats a byte: secret and public.
fn keys(folder: &Folder, name: &str, byte: u8) -> anyhow::Result<(PathBuf, PathBuf)> {
    let seed = [byte; 32];
    let secret = folder.write(&format!("{name}.key"), SigningKey::text_of_seed(&seed));
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&secret, private)?;
    Ok((secret, folder.write(&format!("{name}.pub"), SigningKey::from_seed(&seed).trusted().to_string())))
}

/// `tilth-agent flash` of an image to the board of the bench.
fn flash(bench: &Bench, image: &Path, trusted: &Path, socket: &Path) -> Command {
    let mut command = Command::new(agent::program());
    command.args(["flash", BOARD]).arg(&bench.link).arg("--image").arg(image);
    command.arg("--trusted-key").arg(trusted).arg("--socket").arg(socket);
    command
}

/// Runs a command to its end; whether it was successful, and what it said.
fn outcome(mut command: Command) -> anyhow::Result<(bool, String)> {
    let output = command.output().context("the agent's program")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((output.status.success(), said))
}

/// An image of a stranger, with the stranger's key among the trusted ones: what the guard must notice.
fn sabotaged() -> anyhow::Result<String> {
    let folder = Folder::new("evidence-flash");
    let signed = Signed::build(&folder, None)?;
    let (_, strangers) = keys(&folder, "stranger", 2)?;
    let mut bench = Bench::start(folder.path())?;
    let altered = altered(&signed)?;
    let image = signed.beside("altered.hex", &altered, BOARD, &signed.version, &stranger())?;
    bench.cut_after(ENOUGH)?;
    outcome(flash(&bench, &image, &strangers, &folder.path().join("no-agent.sock")))?;
    untouched(&mut bench)?;
    Ok("nothing reached the board".to_owned())
}

/// The lines of the image, and the number and bytes of one in its middle: length, address of two bytes, kind, data, checksum.
fn middle_record(signed: &Signed) -> anyhow::Result<(Vec<String>, usize, Vec<u8>)> {
    let text = fs::read_to_string(&signed.image)?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let middle = lines.len() / 2;
    let record = hex::decode(lines[middle].trim_start_matches(':'));
    let record = record.map_err(|error| anyhow::anyhow!("{}: {error}", lines[middle]))?;
    Ok((lines, middle, record))
}

/// The image with one bit of its code changed, and the record's checksum with it.
fn altered(signed: &Signed) -> anyhow::Result<Vec<u8>> {
    let (mut lines, middle, mut record) = middle_record(signed)?;
    let checksum = record.len() - 1;
    record[5] ^= 1;
    record[checksum] = record[..checksum].iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    lines[middle] = format!(":{}", hex::encode_upper(record));
    Ok((lines.join("\n") + "\n").into_bytes())
}

/// Checks that the board's line was not opened, and no byte has reached it.
fn untouched(bench: &mut Bench) -> anyhow::Result<()> {
    let counts = bench.counts()?;
    ensure!(counts.received == 0, "an image that is not signed reached the board: {} bytes", counts.received);
    ensure!(counts.opened == 0, "the board was reset for an image that is not signed");
    Ok(())
}

/// Images that must be refused, one after the other, before a byte is sent.
fn refused(signed: &Signed, bench: &mut Bench, folder: &Folder) -> anyhow::Result<usize> {
    let image = fs::read(&signed.image)?;
    let version = &signed.version;
    let altered = altered(signed)?;
    let swapped = signed.beside("swapped.hex", &image, BOARD, version, &maker())?;
    fs::write(&swapped, &altered)?;
    let bare = signed.beside("bare.hex", &image, BOARD, version, &maker())?;
    fs::remove_file(bare.with_extension("manifest"))?;
    let renamed = signed.beside("renamed.hex", &image, BOARD, version, &maker())?;
    let manifest = fs::read_to_string(renamed.with_extension("manifest"))?;
    fs::write(renamed.with_extension("manifest"), manifest.replace("\"protocol\":1", "\"protocol\":2"))?;
    let cases = [
        (swapped, "the image is not the one that was signed"),
        (bare, "the image is not signed"),
        (renamed, "the manifest's signature is wrong"),
        (signed.beside("strange.hex", &altered, BOARD, version, &stranger())?, "the manifest is signed by the key"),
        (signed.beside("mega.hex", &image, "mega2560", version, &maker())?, "the image is for mega2560"),
    ];
    for (image, expected) in &cases {
        let (is_done, said) = outcome(flash(bench, image, &signed.trusted, &folder.path().join("no-agent.sock")))?;
        ensure!(!is_done && said.contains(expected), "{}: expected \"{expected}\", got: {said}", image.display());
        untouched(bench)?;
    }
    Ok(cases.len())
}

/// The whole: refusals, then cuts and kills on a board each, recovered by the same command.
fn flashed(cuts: u32, kills: u32, seed: u64) -> anyhow::Result<String> {
    let folder = Folder::new("evidence-flash");
    // Of the two the newer one is built last: it stays in the folder of builds.
    let (older, signed) = (Signed::build(&folder, Some(OLDER))?, Signed::build(&folder, None)?);
    ensure!(older.version == OLDER && signed.version != OLDER, "expected two versions, got {} twice", signed.version);
    let mut bench = Bench::start(folder.path())?;
    let refused = refused(&signed, &mut bench, &folder)?;
    drop(bench);
    println!("    {refused} images refused before a byte was sent");
    let [mut first, mut second] = [Site::start(older)?, Site::start(signed.clone())?];
    // At once: for most of the time bytes are on the two lines.
    let [cut, killed] = thread::scope(|scope| {
        let cut = scope.spawn(|| survive_cuts(&mut first, signed, cuts, &mut Random::new(seed)));
        let killed = scope.spawn(|| survive_kills(&mut second, kills, &mut Random::new(seed + 1)));
        [cut.join(), killed.join()]
    });
    for result in [cut, killed] {
        result.map_err(|_| anyhow!("a thread of the evidence panicked"))??;
    }
    Ok(format!(
        "{refused} images that are not signed refused before a byte, 1 worn byte found by reading back, {OLDER} and then {} on the board, {} flashes seen in Hello, {cuts} cuts and {kills} kills recovered, \
         id kept, 0 relays switched",
        second.signed.version,
        first.flashed + second.flashed
    ))
}

/// A blank board with a worn byte, then two versions, then cuts.
fn survive_cuts(site: &mut Site, newer: Signed, cuts: u32, random: &mut Random) -> anyhow::Result<()> {
    site.wear()?;
    upgraded(site, newer)?;
    let length = site.signed.length()?;
    for cut in 1..=cuts {
        let after = 1 + random.below(length);
        site.cut(after)?;
        // One of them is told to expect another version than the image's own: written and read back, and not done.
        if cut == cuts.min(2) {
            site.expect_version()?;
        } else {
            site.recover(&format!("cut {cut}, after {after} bytes of {length}"))?;
        }
    }
    site.no_relay_was_on()
}

/// A blank board, then kills.
fn survive_kills(site: &mut Site, kills: u32, random: &mut Random) -> anyhow::Result<()> {
    site.recover("the second blank board")?;
    let length = site.signed.length()?;
    for kill in 1..=kills {
        site.kill(300 + random.below(length / 2))?;
        site.recover(&format!("kill {kill}"))?;
    }
    site.no_relay_was_on()
}

/// The blank board gets an older version, and then the newer one, which Hello says.
fn upgraded(site: &mut Site, newer: Signed) -> anyhow::Result<()> {
    let said = site.recover("the blank board")?;
    ensure!(said.contains(&format!("runs firmware {OLDER}\n")), "expected firmware {OLDER} on a blank board: {said}");
    let expected = format!("runs firmware {} in place of {OLDER}", newer.version);
    site.signed = newer;
    let said = site.recover("the older version")?;
    ensure!(said.contains(&expected), "expected \"{expected}\": {said}");
    Ok(())
}

/// The board at a running agent.
struct Site {
    farm: Farm,
    signed: Signed,
    bench: Bench,
    /// Id of the board, once it has one.
    id: Option<String>,
    flashed: u32,
}

impl Site {
    /// A blank board, and the agent to which it belongs.
    fn start(signed: Signed) -> anyhow::Result<Site> {
        let folder = Folder::new("evidence-flash");
        let bench = Bench::start(folder.path())?;
        let port = bench.link.display();
        folder.write("etc/agent.toml", format!("[device]\nid = 'pi'\n[bus.bench]\nkind = 'board'\nport = '{port}'\n"));
        folder.write("etc/config.d/farm.toml", FARM);
        let mut farm = Farm::found(folder);
        farm.clock = "system";
        farm.launch();
        farm.until("the agent can be asked", |farm| farm.status().is_some());
        Ok(Site { farm, signed, bench, id: None, flashed: 0 })
    }

    fn command(&self, image: &Path) -> Command {
        flash(&self.bench, image, &self.signed.trusted, &self.farm.socket())
    }

    /// Flashes the board, which must be what the agent then reads; what the command said.
    fn recover(&mut self, after: &str) -> anyhow::Result<String> {
        let (is_done, said) = outcome(self.command(&self.signed.image))?;
        ensure!(is_done && said.contains("done: board"), "after {after}: {said}");
        self.flashed += 1;
        println!("    flashed after {after}");
        self.check_board()?;
        Ok(said)
    }

    /// The agent has the port again, and the board its version and id.
    fn check_board(&mut self) -> anyhow::Result<()> {
        let mut board = serde_json::Value::Null;
        self.farm.until("the agent reads the board", |farm| {
            let status = farm.status().unwrap_or_default();
            let bus = &status["buses"][0];
            board = bus["board"].clone();
            bus["state"] == "up"
        });
        ensure!(
            board["firmware"] == self.signed.version.as_str(),
            "expected firmware {}: {board}",
            self.signed.version
        );
        let id = board["id"].as_str().unwrap_or_default().to_owned();
        match &self.id {
            Some(before) => ensure!(*before == id, "the board had the id {before}, and now has {id}"),
            None => self.id = Some(id),
        }
        Ok(())
    }

    /// A byte of the board's flash is worn: the command must find it by reading back, and say what to do.
    fn wear(&mut self) -> anyhow::Result<()> {
        let (_, _, record) = middle_record(&self.signed)?;
        let [_, high, low, _, data @ .., _] = &record[..] else { bail!("a record of the image is too short") };
        let place = data.iter().position(|byte| *byte != 0xFF).context("a record of the image is blank")?;
        let address = u16::from_be_bytes([*high, *low]) + u16::try_from(place)?;
        self.bench.wear(address)?;
        let (is_done, said) = outcome(self.command(&self.signed.image))?;
        let expected = ["what was read back differs", "replace the board", &format!("0x{address:04x}")];
        let is_said = expected.iter().all(|expected| said.contains(expected)) && !said.contains("done: board");
        ensure!(!is_done && is_said, "the flash is worn at {address:#06x}: expected {expected:?}, got: {said}");
        println!("    a flash that is worn at {address:#06x} is found by reading back");
        self.bench.mend()
    }

    /// Pulls the plug in the middle of a flash.
    fn cut(&mut self, after: u64) -> anyhow::Result<()> {
        self.bench.cut_after(after)?;
        let (is_done, said) = outcome(self.command(&self.signed.image))?;
        ensure!(!is_done, "the plug was pulled after {after} bytes, and the command says: {said}");
        self.bench.plug_in()
    }

    /// Kills the command in the middle of a flash. The agent takes the port back once avrdude has ended too.
    fn kill(&mut self, after: u64) -> anyhow::Result<()> {
        let before = self.bench.counts()?.received;
        let mut command = self.command(&self.signed.image);
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let mut reached = 0;
        self.farm.until("the flash is in its middle", |_| {
            reached = self.bench.counts().map_or(u64::MAX, |counts| counts.received - before);
            reached >= after
        });
        ensure!(reached != u64::MAX, "the bench has ended");
        drop(running);
        self.farm.until("the agent takes the port back", |farm| {
            let status = farm.status().unwrap_or_default();
            let reason = status["buses"][0]["reason"].as_str();
            reason.is_none_or(|reason| !reason.contains("left to"))
        });
        Ok(())
    }

    fn no_relay_was_on(&mut self) -> anyhow::Result<()> {
        let relays = self.bench.counts()?.relays;
        ensure!(relays == 0, "relays were switched on {relays} times");
        Ok(())
    }

    /// A manifest that states another version: the image is written, and the command does not say that it is done.
    fn expect_version(&mut self) -> anyhow::Result<()> {
        let image = self.signed.beside("newer.hex", &fs::read(&self.signed.image)?, BOARD, "9.9.9", &maker())?;
        let (is_done, said) = outcome(self.command(&image))?;
        if is_done || !said.contains("expected an Arduino Uno with 9.9.9") {
            bail!("the board does not run firmware 9.9.9, and the command says: {said}");
        }
        self.check_board()
    }
}
