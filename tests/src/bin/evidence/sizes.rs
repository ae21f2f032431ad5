//! How much of each board its image takes: flash, static memory, and the stack that is left after a run in the emulator.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tilth_wire::{BoardId, ChannelKind, MAX_FRAME, SetChannel, Switch, ToBoard};

use crate::{Outcome, outcome};

/// Goals of the design for the Uno, in bytes; the one of static memory with its decision page.
const FLASH: f64 = 14_336.0;
const STATIC: f64 = 640.0;
const STACK_LEFT: f64 = 1_024.0;

/// Boards whose images run in the AVR emulator, with its options for them.
const EMULATED: [(&str, &[&str]); 2] = [("uno", &[]), ("mega2560", &["--chip", "atmega2560", "--one-wire-pin", "G5"])];

/// What an image takes, in bytes.
struct Image<'a> {
    board: &'a str,
    flash: f64,
    memory: f64,
    /// None for a board that the emulator does not run.
    stack_left: Option<f64>,
}

/// The same figures on every machine, so a short run is held to the goals as well.
pub(crate) fn measure() -> Outcome {
    let firmware = tilth_tests::workspace().join("firmware");
    let built = output(Command::new(firmware.join("boards/build")), "")?;
    let mut install = Command::new("npm");
    install.arg("ci").arg("--prefix").arg(firmware.join("emulator"));
    output(install, "")?;
    let lines = built.lines().filter(|line| line.contains(" bytes of flash"));
    let images: Vec<Image<'_>> = lines.map(|line| image(line, &firmware)).collect::<Result<_, _>>()?;
    images.iter().for_each(|image| println!("    {}", image.figures()));
    let uno = images.iter().find(|image| image.board == "uno").ok_or("the build names no Uno")?;
    let stack_left = uno.stack_left.ok_or("the Uno did not run")?;
    let mut short = Vec::new();
    for (what, figure, goal) in [("flash", uno.flash, FLASH), ("static memory", uno.memory, STATIC)] {
        if figure > goal {
            short.push(format!("uno: {what} of {figure} bytes, goal {goal}"));
        }
    }
    if stack_left < STACK_LEFT {
        short.push(format!("uno: {stack_left} bytes of stack left, goal {STACK_LEFT}"));
    }
    let figures: Vec<String> = images.iter().map(Image::figures).collect();
    outcome(format!("{} images: {}", images.len(), figures.join("; ")), &short)
}

impl Image<'_> {
    fn figures(&self) -> String {
        let Image { board, flash, memory, stack_left } = self;
        let stack = stack_left.map_or(String::new(), |bytes| format!(", {bytes} of stack left"));
        format!("{board} {flash} bytes of flash, {memory} of static memory{stack}")
    }
}

/// What a line of the build says of an image, and its stack after a run.
fn image<'a>(line: &'a str, firmware: &Path) -> Result<Image<'a>, String> {
    let board = line.split(':').next().unwrap_or_default();
    let emulated = EMULATED.iter().find(|(emulated, _)| *emulated == board);
    let stack_left = emulated.map(|(_, options)| stack_left(board, options, firmware)).transpose()?;
    let (flash, memory) = (number_before(line, " bytes of flash")?, number_before(line, " bytes of static memory")?);
    Ok(Image { board, flash, memory, stack_left })
}

fn stack_left(board: &str, options: &[&str], firmware: &Path) -> Result<f64, String> {
    let mut node = Command::new("node");
    node.arg(firmware.join("emulator/emulator.mjs"));
    node.arg(firmware.join(format!("boards/target/images/{board}.elf"))).args(options);
    let said = output(node, &session()?)?;
    let ran: serde_json::Value = said
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok().filter(|event: &serde_json::Value| event["ran"].is_number()))
        .ok_or_else(|| format!("{board}: the emulator did not run"))?;
    ran["stack_free"].as_f64().ok_or_else(|| format!("no stack_free in {ran}"))
}

/// Lines for the emulator: an agent greets the board, sets its id and a channel, lets it measure for 20 s, switches a relay, and has all
/// readings sent once more in batches.
fn session() -> Result<String, String> {
    let set = SetChannel { command: 1, channel: 0, kind: ChannelKind::Analog, interval: 1_000, oversampling: 6 };
    let switch = Switch { command: 2, relay: 0, on_for: 1_000, expires: 25_000 };
    let steps = [
        (100, ToBoard::Identify),
        (100, ToBoard::SetId(BoardId([1; 8]))),
        (20_000, ToBoard::SetChannel(set)),
        (100, ToBoard::Heartbeat { heard: 20_000 }),
        (2_000, ToBoard::Switch(switch)),
        (2_000, ToBoard::Identify),
    ];
    let mut lines = String::from("{\"run\": 100}\n");
    for (run_for, message) in steps {
        let mut frame = [0; MAX_FRAME];
        let frame = message.encode(&mut frame).map_err(|error| error.to_string())?;
        lines += &format!("{{\"send\": \"{}\", \"run\": {run_for}}}\n", hex::encode(frame));
    }
    Ok(lines)
}

/// What a program prints, given this input. Its errors go to the terminal.
fn output(mut program: Command, input: &str) -> Result<String, String> {
    let name = program.get_program().display().to_string();
    let failed = |error: std::io::Error| format!("{name}: {error}");
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    // Dropped at once: its end tells the emulator to stop.
    child.stdin.take().ok_or("no input")?.write_all(input.as_bytes()).map_err(failed)?;
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("{name} ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// The number that stands in a line before some words.
fn number_before(line: &str, words: &str) -> Result<f64, String> {
    let before = line.split(words).next().and_then(|before| before.rsplit(' ').next());
    before.and_then(|number| number.parse().ok()).ok_or_else(|| format!("no number before \"{words}\" in: {line}"))
}
