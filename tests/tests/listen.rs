//! `tilth-agent listen` on ptys with what sketches print: `check` accepts the files that it prints, and `run` reads the sensors in them.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tilth_tests::agent::{Folder, Run, program};
use tilth_tests::live::farm::Farm;
use tilth_tests::live::host_board::{HostBoard, Line};
use tilth_wire::ResetCause;

/// What ten sketches print, again and again, and the sensors that can be read of it without asking anybody.
const SKETCHES: [(&str, &str, &[&str]); 10] = [
    ("pairs", "Temp: 21.5 C, Hum: 55.0 %\r\n", &["room/hum", "room/temp"]),
    (
        "dht",
        "Humidity: 45.00%  Temperature: 23.00°C 73.40°F  Heat index: 22.65°C 72.77°F\r\n",
        &["room/heat-index", "room/humidity", "room/temperature"],
    ),
    (
        "header",
        "temperature,humidity,ph\n21.5,55,6.1\n21.6,54,6.1\n",
        &["room/humidity", "room/ph", "room/temperature"],
    ),
    ("json", "{\"temp\":21.5,\"tank\":{\"ph\":6.1,\"ec\":1.8}}\n", &["room/tank-ec", "room/tank-ph", "room/temp"]),
    ("hydroponics", "pH:6.85 EC:1413 foo:7\n", &["room/ec", "room/ph"]),
    ("nodes", "node=1 temp=21.5\nnode=2 temp=19.0\n", &["room/temp-1", "room/temp-2"]),
    ("letters", "T=21.5 H=55\n", &["room/h", "room/t"]),
    ("sentence", "$PH,6.85,EC,1.80*30\n", &["room/ec", "room/ph"]),
    ("headings", "--- Tank 1 ---\npH: 6.1\n--- Tank 2 ---\npH: 5.9\n", &["room/tank-1-ph", "room/tank-2-ph"]),
    ("log", "[12345] INFO: Water Temp = 19.5 C\n[12346] INFO: Door = open\n", &["room/door", "room/water-temp"]),
];

/// Runs a command while a board prints text every tenth of a second.
fn while_printing(farm: &mut Farm, text: &str, call: &mut Command) -> Run {
    let (mut board, is_over) = (farm.board.take().unwrap(), AtomicBool::new(false));
    let (output, board) = thread::scope(|scope| {
        let printing = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                board.say(text).unwrap();
                thread::sleep(Duration::from_millis(100));
            }
            board
        });
        let output = call.output();
        is_over.store(true, Ordering::Relaxed);
        (output, printing.join().unwrap())
    });
    board.release();
    farm.board = Some(board);
    Run::of(output.unwrap())
}

fn listen(farm: &mut Farm, text: &str, options: &[&str]) -> Run {
    let mut call = Command::new(program());
    call.arg("listen").arg(farm.folder.path().join("usb-board")).args(options).arg("--socket").arg(farm.socket());
    while_printing(farm, text, &mut call)
}

/// The part of the answer for a file.
fn part<'t>(said: &'t str, file: &str) -> &'t str {
    let (_, part) = said.split_once(&format!("# --- {file}\n")).expect(said);
    part.split("# --- ").next().unwrap()
}

#[test]
fn what_ten_sketches_print_is_accepted_by_check_and_read_by_run() {
    for (name, text, expected) in SKETCHES {
        let mut farm = Farm::alone(&format!("listen-{name}"), "");
        let heard = listen(&mut farm, text, &["--baud", "9600", "--for", "2s"]);
        assert_eq!(heard.code, Some(0), "{name}: {}", heard.err);
        let site = format!("[device]\nid = 'pi-7'\nclient = 'acme'\n{}", part(&heard.out, "agent.toml"));
        farm.folder.write("etc/agent.toml", site);
        let config = part(&heard.out, "config.d/gateway.toml");
        std::fs::remove_dir_all(farm.folder.path().join("etc/config.d")).unwrap();
        farm.folder.write("etc/config.d/gateway.toml", config);
        let mut check = Command::new(program());
        let etc = farm.folder.path().join("etc");
        let checked =
            Run::of(check.args(["check", "--config"]).arg(etc).arg("--data").arg(farm.data()).output().unwrap());
        assert_eq!(checked.code, Some(0), "{name}: {}\n{config}", checked.out);
        farm.clock = "system";
        farm.launch();
        let socket = farm.socket();
        let mut with_values = BTreeSet::new();
        for _ in 0..100 {
            let mut ask = Command::new(program());
            ask.args(["sensors", "--json", "--socket"]).arg(&socket);
            let said = while_printing(&mut farm, text, &mut ask).out;
            let rows = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let rows = rows.filter(|row| !row["value"].is_null() && row["quality"] == "good");
            with_values.extend(rows.map(|row| row["sensor"].as_str().unwrap().to_owned()));
            if expected.iter().all(|sensor| with_values.contains(*sensor)) {
                break;
            }
        }
        let missing: Vec<_> = expected.iter().filter(|sensor| !with_values.contains(**sensor)).collect();
        assert!(missing.is_empty(), "{name}: no value of {missing:?}\n{config}\n{}", farm.shown());
    }
}

/// Guards against: a board that stays unknown, because it does not print, or at another speed than was guessed.
#[test]
fn speeds_and_boards_are_found_and_a_sketch_that_prints_seldom_is_waited_for() {
    let mut farm = Farm::alone("listen-auto", "");
    let auto = listen(&mut farm, "pH: 6.1\n", &["--for", "2s"]);
    assert!(auto.out.contains("baud = 115200") && auto.out.contains("[sensors.\"room/ph\"]"), "{auto:?}");

    let (folder, is_over) = (Folder::new("listen-board"), AtomicBool::new(false));
    let link = folder.path().join("usb-board");
    let mut board = HostBoard::start(Line::pty(&link).unwrap(), 1, None, ResetCause::PowerOn);
    let began = Instant::now();
    let found = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                board.run(Duration::from_millis(20)).unwrap();
            }
        });
        let found = Command::new(program()).arg("listen").arg(&link).args(["--socket", "none"]).output().unwrap();
        is_over.store(true, Ordering::Relaxed);
        Run::of(found)
    });
    assert!(found.out.contains("host program, firmware") && found.out.contains("kind = \"board\""), "{found:?}");
    assert!(found.out.contains("input = \"board:gateway/4\""), "{found:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "expected one speed to be tried, took {:?}", began.elapsed());
}

#[test]
fn bare_numbers_silence_and_noise_say_what_to_do() {
    let mut farm = Farm::alone("listen-nothing", "");
    let numbers = listen(&mut farm, &(["51234567"; 12].join(",") + "\n"), &["--baud", "9600", "--for", "1s"]);
    assert!(numbers.out.contains("\"column 11\", \"column 12\"]"), "{}", numbers.out);
    let mut farm = Farm::alone("listen-noise", "");
    let noise = listen(&mut farm, "\u{0}\u{1f}\n\u{7}~\n", &["--baud", "9600", "--for", "1s"]);
    assert_eq!(noise.code, Some(1));
    assert!(noise.err.contains("came and no line of text; expected a board that prints lines"), "{}", noise.err);
    // What was said last is still on its line.
    let mut farm = Farm::alone("listen-silence", "");
    let silence = listen(&mut farm, "", &["--baud", "9600", "--for", "1s"]);
    assert_eq!(silence.code, Some(1));
    assert!(silence.err.contains("nothing came in 1s; does the board have power"), "{}", silence.err);
    let mut call = Command::new(program());
    let missing = Run::of(call.args(["listen", "/dev/no-such-port", "--socket", "none"]).output().unwrap());
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("/dev/no-such-port: there is no such port"), "{}", missing.err);
}

/// Guards against: a WiFi board that serves one client, which is the agent, and so says nothing to whoever looks what it says.
#[test]
fn a_line_over_tcp_is_left_to_listen_by_the_agent_that_reads_it() {
    let mut farm = Farm::alone("listen-tcp", "[sensors.'room/ph']\nquantity = 'ph'\ninput = 'line:gateway/ph'\n");
    let line = farm.folder.path().join("usb-board");
    let address = format!("tcp://127.0.0.1:{}", tilth_tests::live::serial_server::serve(&line));
    farm.folder.write(
        "etc/agent.toml",
        format!("[device]\nid = 'pi-7'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = '{address}'\n"),
    );
    farm.clock = "system";
    farm.start();
    let mut call = Command::new(program());
    call.args(["listen", &address, "--for", "3s", "--socket"]).arg(farm.socket());
    let heard = while_printing(&mut farm, "pH: 6.1\n", &mut call);
    assert!(heard.out.contains("[sensors.\"room/ph\"]"), "{heard:?}");
    farm.until("the agent has its line again", |farm| {
        farm.status().is_some_and(|status| status["buses"][0]["state"] == "up")
    });
}
