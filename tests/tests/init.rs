//! `tilth-agent init`: from five answers, or flags alone, to an agent that reads what speaks on the port.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tilth_tests::agent::{Run, program};
use tilth_tests::live::board::serial_line;
use tilth_tests::live::disk::Disk;
use tilth_tests::live::farm::Farm;

/// What the sketch prints.
const TEXT: &str = "pH: 6.85, Water Temp: 21.5 C\r\n";

/// A farm without any configuration.
fn bare(name: &str) -> Farm {
    let mut farm = Farm::alone(name, "");
    fs::remove_dir_all(farm.folder.path().join("etc")).unwrap();
    farm.clock = "system";
    farm
}

fn init(farm: &Farm, flags: &[&str]) -> Command {
    let mut call = Command::new(program());
    call.args(["init", "--for", "3s", "--config"]).arg(farm.folder.path().join("etc"));
    call.arg("--data").arg(farm.data()).arg("--socket").arg(farm.socket()).args(flags);
    call.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    call
}

/// Does something while the sketch prints its line every tenth of a second.
fn while_printing<T>(farm: &mut Farm, work: impl FnOnce(&mut Farm) -> T) -> T {
    let (mut board, is_over) = (farm.board.take().unwrap(), AtomicBool::new(false));
    let (done, board) = thread::scope(|scope| {
        let printing = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                board.say(TEXT).unwrap();
                thread::sleep(Duration::from_millis(100));
            }
            board
        });
        let done = work(farm);
        is_over.store(true, Ordering::Relaxed);
        (done, printing.join().unwrap())
    });
    board.release();
    farm.board = Some(board);
    done
}

fn check(farm: &Farm) -> Run {
    let mut call = Command::new(program());
    call.args(["check", "--config"]).arg(farm.folder.path().join("etc")).arg("--data").arg(farm.data());
    Run::of(call.output().unwrap())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Guards against: a first configuration that check refuses or run does not read, and a second init that writes over the first.
#[test]
fn flags_alone_make_a_farm_that_is_read_and_never_written_over() {
    let mut farm = bare("init-flags");
    let port = farm.folder.path().join("usb-board").display().to_string();
    let flags =
        ["--name", "pi-7", "--timezone", "Europe/Amsterdam", "--port", &port, "--phone", "none", "--hub", "none"];
    let made = while_printing(&mut farm, |farm| Run::of(init(farm, &flags).output().unwrap()));
    assert_eq!(made.code, Some(0), "{}{}", made.out, made.err);
    assert!(made.out.contains("with 2 sensors\nnext:\n  tilth-agent check --config "), "{}", made.out);
    let files = ["etc/agent.toml", "etc/config.d/farm.toml"].map(|file| farm.folder.path().join(file));
    let written = files.each_ref().map(|file| read(file));
    assert!(written[0].contains("id = \"pi-7\"") && written[0].contains("kind = \"line\""), "{}", written[0]);
    assert!(written[1].contains("timezone = \"Europe/Amsterdam\""), "{}", written[1]);
    let checked = check(&farm);
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    assert!(checked.out.contains("0 errors, 0 warnings"), "{}", checked.out);

    farm.launch();
    while_printing(&mut farm, |farm| {
        farm.until("both sensors are read", |farm| {
            let said = farm.ask(&["sensors", "--json"]).out;
            let rows: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let is_good = |sensor: &str| rows.iter().any(|row| row["sensor"] == sensor && row["quality"] == "good");
            is_good("room/ph") && is_good("room/water-temp")
        });
    });
    farm.stop();

    let again = Run::of(init(&farm, &flags).output().unwrap());
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("nothing was written") && again.err.contains("agent.toml"), "{}", again.err);
    assert!(again.err.contains("farm.toml already") && again.err.contains("tilth-agent check"), "{}", again.err);
    assert_eq!(files.each_ref().map(|file| read(file)), written);
}

#[test]
fn five_answers_at_a_terminal_do_the_same() {
    let mut farm = bare("init-terminal");
    let port = farm.folder.path().join("usb-board").display().to_string();
    let (mut keyboard, terminal, _) = serial_line().unwrap();
    let mut call = init(&farm, &[]);
    call.stdin(terminal);
    let made = while_printing(&mut farm, |_| {
        let child = call.spawn().unwrap();
        // The name is asked for again; the time zone is the machine's.
        keyboard.write_all(format!("Pi Seven\npi-8\n\n{port}\nnone\nnone\n").as_bytes()).unwrap();
        Run::of(child.wait_with_output().unwrap())
    });
    assert_eq!(made.code, Some(0), "{}{}", made.out, made.err);
    assert!(made.err.contains("name \"Pi Seven\""), "{}", made.err);
    for question in ["Name of this device", "Time zone", "Port of", "Phone", "Address of the hub"] {
        assert!(made.out.contains(question), "{question}: {}", made.out);
    }
    assert!(made.out.contains("with 2 sensors"), "{}", made.out);
    assert!(read(&farm.folder.path().join("etc/agent.toml")).contains("id = \"pi-8\""));
    assert_eq!(check(&farm).code, Some(0));
}

/// A port where nothing speaks yet, a phone and a hub: written all the same, with what is left to do.
#[test]
fn a_silent_port_a_phone_and_a_hub_are_written_with_what_is_left_to_do() {
    let farm = bare("init-silent");
    let flags = [
        "--name",
        "pi-7",
        "--timezone",
        "UTC",
        "--port",
        "/dev/no-such-port",
        "--phone",
        "+4915112345678",
        "--modem",
        "/dev/no-such-modem",
        "--hub",
        "https://hub.example",
        "--client",
        "acme",
    ];
    let made = Run::of(init(&farm, &flags).output().unwrap());
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.err.contains("/dev/no-such-port: there is no such port"), "{}", made.err);
    assert!(made.out.contains("the Pi's own temperature"), "{}", made.out);
    assert!(made.out.contains("tilth-hub device enroll --client acme --device pi-7"), "{}", made.out);
    assert!(
        made.out.contains("enroll --config ") && made.out.contains(" --hub https://hub.example --code -"),
        "{}",
        made.out
    );
    let checked = check(&farm);
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    assert!(checked.out.contains("0 errors"), "{}", checked.out);
    let refused = Run::of(init(&bare("init-refused"), &["--phone", "0151"]).output().unwrap());
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("phone \"0151\": expected +"), "{}", refused.err);
}

/// Guards against: half a configuration, which the next `init` takes for one.
#[test]
fn a_full_disk_leaves_no_file() {
    let farm = bare("init-full");
    let etc = farm.folder.path().join("etc");
    let Some(disk) = Disk::in_memory(&etc, "64k", "init_full") else { return };
    fs::create_dir(etc.join("config.d")).unwrap();
    disk.fill();
    let flags = ["--name", "pi-7", "--timezone", "UTC", "--port", "none", "--phone", "none", "--hub", "none"];
    let made = Run::of(init(&farm, &flags).output().unwrap());
    assert_eq!(made.code, Some(1), "{}{}", made.out, made.err);
    assert!(made.err.contains("No space left"), "{}", made.err);
    disk.free();
    let made = Run::of(init(&farm, &flags).output().unwrap());
    assert_eq!(made.code, Some(0), "{}{}", made.out, made.err);
}

/// The agent's user reads what root writes, on an image whose umask is strict.
#[test]
fn every_user_may_read_what_is_written() {
    let farm = bare("init-umask");
    let flags = ["--name", "pi-7", "--timezone", "UTC", "--port", "none", "--phone", "none", "--hub", "none"];
    let call = init(&farm, &flags);
    let mut strict = Command::new("sh");
    strict.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(call.get_program()).args(call.get_args());
    let made = Run::of(strict.stdin(Stdio::null()).output().unwrap());
    assert_eq!(made.code, Some(0), "{}{}", made.out, made.err);
    let mode = |name: &str| fs::metadata(farm.folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    let modes = ["etc", "etc/config.d", "etc/agent.toml", "etc/config.d/farm.toml"].map(mode);
    assert_eq!(modes, [0o755, 0o755, 0o644, 0o644], "{modes:?}");
}

/// Told before the first question, and before a minute of listening.
#[test]
fn a_folder_that_cannot_be_written_is_said_first() {
    let farm = bare("init-closed");
    let etc = farm.folder.path().join("etc");
    fs::create_dir(&etc).unwrap();
    // A link to nothing is no free name.
    symlink("/no/such/file", etc.join("agent.toml")).unwrap();
    let made = Run::of(init(&farm, &["--port", "/dev/no-such-port"]).output().unwrap());
    assert_eq!(made.code, Some(1));
    assert!(made.err.contains("agent.toml already"), "{}", made.err);
    fs::remove_file(etc.join("agent.toml")).unwrap();
    fs::write(etc.join("config.d"), "").unwrap();
    let made = Run::of(init(&farm, &["--port", "/dev/no-such-port"]).output().unwrap());
    assert_eq!(made.code, Some(1));
    assert!(
        made.err.contains("sudo tilth-agent init may write there") && !made.err.contains("listening"),
        "{}",
        made.err
    );
    fs::remove_file(etc.join("config.d")).unwrap();

    let mut closed = Command::new("setpriv");
    closed.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    if !closed.arg("true").output().is_ok_and(|run| run.status.success()) {
        eprintln!("skipped: no right to run as another user");
        return;
    }
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o755)).unwrap();
    let call = init(&farm, &["--port", "/dev/no-such-port"]);
    let mut closed = Command::new("setpriv");
    closed.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(call.get_program());
    let made = Run::of(closed.args(call.get_args()).stdin(Stdio::null()).output().unwrap());
    assert_eq!(made.code, Some(1));
    assert!(
        made.err.contains("sudo tilth-agent init may write there") && !made.err.contains("listening"),
        "{}",
        made.err
    );
}
