//! `tilth-agent flash` where no byte may reach a board, or a folder stands for the drive of a Pico.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tilth_config::bundle::SigningKey;
use tilth_config::firmware::Manifest;
use tilth_tests::agent::{Folder, Run, program, run};
use tilth_tests::live::Running;
use tilth_tests::live::farm::Farm;

/// The file by which a Pico's boot ROM says what its drive is.
const INFO: &str = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n";

/// An image of no program: the magic of UF2, and something behind it.
const UF2: &[u8] = b"UF2\nWQ]\x9e and the rest";

const HEX: &[u8] = b":01000000AA00\n:01008000BB00\n:00000001FF\n";

/// Writes an image, the manifest that a key signed for it, and the key that the device trusts.
fn signed(folder: &Folder, (name, chip): (&str, &str), file: &str, bytes: &[u8], seed: u8) -> PathBuf {
    let image = folder.write(file, bytes);
    let (board, chip, firmware) = (name.to_owned(), chip.to_owned(), "0.1.0".to_owned());
    let manifest = Manifest { board, chip, firmware, protocol: tilth_wire::version::CURRENT };
    fs::write(image.with_extension("manifest"), manifest.seal(bytes, &SigningKey::from_seed(&[seed; 32]))).unwrap();
    folder.write("maker.pub", SigningKey::from_seed(&[1; 32]).trusted().to_string());
    image
}

/// `tilth-agent flash` of an image, with no agent unless one is named.
fn flash(folder: &Folder, arguments: &[&str], image: &Path, socket: &Path) -> Run {
    let mut command = Command::new(program());
    command.arg("flash").args(arguments).arg("--image").arg(image);
    command.arg("--trusted-key").arg(folder.path().join("maker.pub")).arg("--socket").arg(socket);
    run(command, b"")
}

#[test]
fn an_image_for_a_board_of_another_kind_is_refused_before_the_agent_leaves_the_port() {
    let folder = Folder::new("flash-kind");
    let image = signed(&folder, ("uno", "atmega328p"), "uno.hex", HEX, 1);
    let line = folder.path().join("line").display().to_string();
    let mut board = Command::new(env!("CARGO_BIN_EXE_tilth-board"));
    let _board = Running::start(board.arg(&line).stdin(Stdio::piped()).stdout(Stdio::null())).unwrap();
    folder.write("etc/agent.toml", format!("[device]\nid = 'pi'\n[bus.tank]\nkind = 'board'\nport = '{line}'\n"));
    folder.write("etc/config.d/farm.toml", "[sensors.'room/temp']\nquantity = 'temperature'\ninput = 'board:tank/2'\n");
    let mut farm = Farm::found(folder);
    farm.clock = "system";
    farm.launch();
    let bus = |farm: &Farm| farm.status().map_or(Value::Null, |status| status["buses"][0].clone());
    farm.until("the agent reads the board", |farm| bus(farm)["state"] == "up");
    let expected = "of kind host program, and the image is for an Arduino Uno; nothing was written";
    for port in [&line, "tank"] {
        let ran = flash(&farm.folder, &["uno", port], &image, &farm.socket());
        assert!(ran.code == Some(1) && ran.err.contains(expected), "{ran:?}");
        assert!(!ran.out.contains("leaves"), "expected the port to stay with the agent: {ran:?}");
    }
    assert_eq!((bus(&farm)["state"].as_str(), bus(&farm)["opened"].as_u64()), (Some("up"), Some(1)), "{}", bus(&farm));
    // Without an agent the board is asked.
    farm.stop();
    let ran = flash(&farm.folder, &["uno", &line], &image, &farm.socket());
    assert!(ran.code == Some(1) && ran.err.contains(expected), "{ran:?}");
}

#[test]
fn the_drive_of_a_pico_gets_signed_images_alone() {
    let folder = Folder::new("flash-pico");
    let drive = folder.path().join("RPI-RP2");
    folder.write("RPI-RP2/INFO_UF2.TXT", INFO);
    let pico = ("pico", "rp2040");
    let good = signed(&folder, pico, "pico.uf2", UF2, 1);
    let changed = signed(&folder, pico, "changed.uf2", UF2, 1);
    fs::write(&changed, [UF2, b"."].concat()).unwrap();
    let bare = signed(&folder, pico, "bare.uf2", UF2, 1);
    fs::remove_file(bare.with_extension("manifest")).unwrap();
    let copied = || fs::read_dir(&drive).unwrap().count() - 1;
    let to_drive = |image: &Path| {
        let arguments = ["pico", "--drive", drive.to_str().unwrap()];
        flash(&folder, &arguments, image, &folder.path().join("no-agent.sock"))
    };
    for (image, expected) in [
        (changed, "the image is not the one that was signed"),
        (bare, "the image is not signed"),
        (signed(&folder, pico, "strange.uf2", UF2, 2), "the manifest is signed by the key"),
        (signed(&folder, ("uno", "atmega328p"), "uno.uf2", UF2, 1), "the image is for uno (atmega328p)"),
        (signed(&folder, pico, "hex.uf2", HEX, 1), "no UF2 file"),
    ] {
        let ran = to_drive(&image);
        assert!(ran.code == Some(1) && ran.err.contains(expected), "expected \"{expected}\": {ran:?}");
        assert_eq!(copied(), 0, "something was written for {}", image.display());
        // Without a drive no steps are shown either.
        let ran = flash(&folder, &["pico"], &image, &folder.path().join("no-agent.sock"));
        assert!(ran.code == Some(1) && !ran.out.contains("BOOTSEL"), "{ran:?}");
    }
    let ran = to_drive(&good);
    assert!(ran.code == Some(0) && ran.out.contains("done: firmware 0.1.0 is copied"), "{ran:?}");
    assert_eq!(fs::read(drive.join("tilth.uf2")).unwrap(), UF2);
}

#[test]
fn a_folder_that_is_no_drive_of_a_pico_gets_nothing() {
    let folder = Folder::new("flash-folder");
    let image = signed(&folder, ("pico", "rp2040"), "pico.uf2", UF2, 1);
    folder.write("stick/holiday.jpg", "");
    folder.write("other/INFO_UF2.TXT", INFO.replace("RPI-RP2", "SAMD21"));
    for (name, expected) in
        [("stick", "no drive of a Pico"), ("other", "of another board than a Pico"), ("none", "no drive")]
    {
        let drive = folder.path().join(name);
        let arguments = ["pico", "--drive", drive.to_str().unwrap()];
        let ran = flash(&folder, &arguments, &image, &folder.path().join("no-agent.sock"));
        assert!(ran.code == Some(1) && ran.err.contains(expected), "{ran:?}");
        assert!(!drive.join("tilth.uf2").exists(), "{name}");
    }
    let ran = flash(&folder, &["pico"], &image, &folder.path().join("no-agent.sock"));
    let told = format!("or copy {} to the drive", image.display());
    assert!(ran.code == Some(0) && ran.out.contains("BOOTSEL") && ran.out.contains(&told), "{ran:?}");
}
