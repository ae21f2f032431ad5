//! `tilth-agent listen`: what a line or a board says, as a configuration that reads it.

mod draft;
mod guess;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tilth_config::{Diagnostic, Document, Layer, Level, Parity, Purpose, Serial, base, load_documents};
use tilth_core::id::SensorId;
use tokio::time::{Instant, timeout_at};

use self::draft::Draft;
use super::client::Client;
use super::port::{self, Held};
use crate::cli;
use crate::exit::Exit;
use crate::output::{Output, counted, listed, tell};
use crate::sense::board::{self, Asked};
use crate::sense::bus::health::excerpt;
use crate::sense::line::reasons;
use crate::sense::line::survey::{Chunk, Survey};
use crate::sense::port::device_at;
use crate::sense::released::Ports;
use crate::sense::stream::Place;

/// Speeds that are tried, the commonest first.
const BAUDS: [u32; 7] = [115_200, 9600, 57_600, 38_400, 19_200, 4800, 230_400];

/// The longest that a speed is tried, and how many lines decide sooner that it is right.
const TRIAL: Duration = Duration::from_secs(5);
const LINES_OF_TRIAL: u64 = 3;

/// Bytes that are kept of what came: at 115,200 baud a minute is 700,000.
const MAX_BYTES: usize = 1 << 20;

/// Lines shown as examples.
const EXAMPLES: usize = 3;

/// Speed of boards with Tilth's firmware.
const BOARD_BAUD: u32 = 115_200;

/// What came from a port.
struct Heard {
    place: Place,
    chunks: Vec<Chunk>,
    survey: Survey,
}

/// Listens to a port and prints what it says.
pub(crate) fn listen(wanted: &cli::Listen) -> anyhow::Result<Exit> {
    let _held = released(wanted)?;
    let mut output = Output::with_progress();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let heard = runtime.block_on(hear(wanted, &mut output))?;
    let board = match heard.survey.whole == 0 && !heard.chunks.is_empty() {
        true => runtime.block_on(ask(&heard.place, &mut output))?,
        false => None,
    };
    let draft = draft(wanted, &heard, board.as_ref())?;
    check(&draft)?;
    if wanted.agent.json {
        draft.sensors.iter().try_for_each(|sensor| output.json(sensor))?;
        output.json(&draft)?;
    } else {
        print(&draft, &heard, board.as_ref(), &mut output)?;
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// The port, left alone by an agent that runs and has it open.
fn released(wanted: &cli::Listen) -> anyhow::Result<Option<Held>> {
    let Some(client) = Client::find(&wanted.agent.address)? else { return Ok(None) };
    if wanted.port.contains("://") {
        return Ok(None);
    }
    let held = port::release(client, &wanted.port)?;
    tell(format_args!("the agent leaves {} alone until this ends", wanted.port));
    Ok(Some(held))
}

/// Listens as long as wanted, at the given speed or at the one that makes most text of what comes.
async fn hear(wanted: &cli::Listen, output: &mut Output) -> anyhow::Result<Heard> {
    let place = match wanted.port.strip_prefix("tcp://") {
        Some(address) => Place::Tcp(address.to_owned()),
        None => match wanted.baud {
            cli::Baud::Of(baud) => serial(&wanted.port, baud),
            cli::Baud::Auto => best_speed(&wanted.port, output).await?,
        },
    };
    let heard = gather(place, Duration::from_millis(wanted.time.0.unsigned_abs()), u64::MAX, output).await?;
    if heard.chunks.is_empty() {
        bail!(
            "{}: nothing came in {}; does the board have power, and does its sketch print? Pressing its reset button shows whether the cable \
             carries data",
            heard.place.name(),
            wanted.time
        );
    }
    Ok(heard)
}

fn serial(port: &str, baud: u32) -> Place {
    Place::Serial(Serial { port: port.to_owned(), baud, parity: Parity::None, stop_bits: 1 })
}

/// The port at the first speed that makes lines of what comes, or else at the one that makes most.
async fn best_speed(port: &str, output: &mut Output) -> anyhow::Result<Place> {
    let mut best = (serial(port, BAUDS[0]), 0);
    for baud in BAUDS {
        let heard = gather(serial(port, baud), TRIAL, LINES_OF_TRIAL, output).await?;
        if heard.survey.whole >= LINES_OF_TRIAL {
            return Ok(heard.place);
        }
        if heard.survey.whole > best.1 {
            best = (heard.place, heard.survey.whole);
        }
    }
    Ok(best.0)
}

/// Reads from a port for a time, or until so many lines came.
async fn gather(place: Place, time: Duration, enough: u64, output: &mut Output) -> anyhow::Result<Heard> {
    let hangs = |why: String| tell(format_args!("tilth-agent: {why}"));
    let mut stream = place.open_anew(hangs, &Ports::default()).await.map_err(anyhow::Error::msg)?;
    let (begin, mut chunks, mut length, mut ends) = (Instant::now(), Vec::new(), 0, 0);
    let (mut bytes, mut looked_at) = ([0; 2048], enough);
    while let Ok(read) = timeout_at(begin + time, stream.read(&mut bytes)).await {
        let read = read.map_err(|error| anyhow::Error::msg(place.reason(&error)))?;
        let bytes = bytes[..read].to_vec();
        length += read;
        ends += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        chunks.push(Chunk { at: begin.elapsed(), bytes });
        let at = baud(&place).map_or(String::new(), |baud| format!(" at {baud} baud"));
        output.progress(format_args!("{}{at}: {} so far", place.name(), counted(ends, "line")))?;
        // Where bytes come without a pause the deadline is never looked at.
        if length > MAX_BYTES || begin.elapsed() >= time {
            break;
        }
        if ends > looked_at {
            if Survey::of(&chunks, None).whole >= enough {
                break;
            }
            // Ends of lines in noise: twice as many are waited for before all is read again.
            looked_at = ends * 2;
        }
    }
    Ok(Heard { survey: Survey::of(&chunks, None), place, chunks })
}

fn baud(place: &Place) -> Option<u32> {
    match place {
        Place::Serial(serial) => Some(serial.baud),
        Place::Tcp(_) => None,
    }
}

/// Asks whether a board with Tilth's firmware is there, for what came is no text.
async fn ask(place: &Place, output: &mut Output) -> anyhow::Result<Option<Asked>> {
    let Place::Serial(serial) = place else { return Ok(None) };
    output
        .progress(format_args!("{}: what comes is no text; asking for a board with Tilth's firmware", serial.port))?;
    Ok(board::ask(Serial { baud: BOARD_BAUD, ..serial.clone() }).await.ok())
}

/// The configuration that reads what was heard.
fn draft(wanted: &cli::Listen, heard: &Heard, board: Option<&Asked>) -> anyhow::Result<Draft> {
    let port = match &heard.place {
        Place::Serial(serial) => by_id(Path::new(&serial.port)),
        Place::Tcp(_) => wanted.port.clone(),
    };
    let (bus, zone) = (wanted.bus.clone(), &wanted.zone);
    if let Some(board) = board {
        return Ok(Draft::of_board(bus, zone, port, board));
    }
    let Survey { values, messages, whole } = &heard.survey;
    if *whole == 0 {
        bail!(
            "{port}: {} came and no line of text; expected a board that prints lines, or one with Tilth's firmware at {BOARD_BAUD} baud. At \
             another speed than the usual ones --baud states it",
            counted(heard.chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum(), "byte")
        );
    }
    let bare = messages.last_ignored.as_ref().filter(|last| values.is_empty() && last.reason == reasons::NO_HEADER);
    let Some(bare) = bare else {
        return Ok(Draft::of_lines(bus, zone, port, baud(&heard.place), Vec::new(), &heard.survey));
    };
    let cells = bare.excerpt.split([',', ';', '\t', ' ']).filter(|cell| !cell.is_empty()).count();
    let columns: Vec<String> = (1..=cells).map(|number| format!("column {number}")).collect();
    let survey = Survey::of(&heard.chunks, Some(&columns));
    Ok(Draft::of_lines(bus, zone, port, baud(&heard.place), columns, &survey))
}

/// The name of a port that stays when others are plugged in, where it has one.
fn by_id(port: &Path) -> String {
    let device = device_at(port).ok();
    let links = fs::read_dir("/dev/serial/by-id").into_iter().flatten().flatten().map(|link| link.path());
    let mut same = links.filter(|link| device.is_some() && device_at(link).ok() == device);
    same.next().unwrap_or_else(|| port.to_owned()).display().to_string()
}

/// Passes what will be printed through the reader of configurations: what is printed must be accepted.
fn check(draft: &Draft) -> anyhow::Result<()> {
    let mut documents = base();
    documents.agent_toml = Some(Document::agent_toml(&format!("[device]\nid = \"listen\"\n{}", draft.agent_toml())));
    documents.layers.push(Document::toml(Layer::ConfigD, "listen.toml", &draft.config_d()));
    let loaded = load_documents(documents, Purpose::Check);
    // Where all sensors are commented out, that there is none is no fault.
    let has_sensors = draft.sensors.iter().any(|sensor| sensor.quantity.is_some());
    let is_wrong = |found: &Diagnostic| found.level == Level::Error && (has_sensors || found.file == "agent.toml");
    match loaded.diagnostics.iter().find(|found| is_wrong(found)) {
        Some(found) => bail!("what came makes no configuration: {found}"),
        None => Ok(()),
    }
}

/// Prints the configuration, under comments that say what came: the whole may be pasted.
fn print(draft: &Draft, heard: &Heard, board: Option<&Asked>, output: &mut Output) -> anyhow::Result<()> {
    match board {
        Some(Asked { id, kind, firmware, relays, channels }) => output.line(format_args!(
            "# {}: board {id}, {}, firmware {firmware}, {}, {}",
            draft.port,
            board::board_kind(*kind),
            counted(channels.len() as u64, "channel"),
            counted(u64::from(*relays), "relay")
        ))?,
        None => {
            let at = draft.baud.map_or(String::new(), |baud| format!(" at {baud} baud"));
            let lines = counted(heard.survey.messages.received, "line");
            output.line(format_args!("# {}{at}: {lines}, such as", draft.port))?;
            examples(heard).iter().try_for_each(|line| output.line(format_args!("#   {line}")))?;
        }
    }
    if draft.sensors.is_empty() {
        output
            .line("# no value was found in them: expected lines such as \"Temp: 21.5 C\" or a header over columns")?;
    }
    output.line(format_args!("\n# --- agent.toml\n\n{}", draft.agent_toml()))?;
    output.line(format_args!("# --- config.d/{}.toml\n\n{}", draft.bus, draft.config_d()))?;
    let unknown = draft.sensors.iter().filter(|sensor| sensor.quantity.is_none());
    let unknown: Vec<&SensorId> = unknown.map(|sensor| &sensor.sensor).collect();
    if !unknown.is_empty() {
        output.line(format_args!(
            "\n# say what these measure, and take the # from their lines: {}",
            listed(unknown, 8)
        ))?;
    }
    Ok(())
}

/// The last lines that came, with only what can be printed.
fn examples(heard: &Heard) -> Vec<String> {
    let bytes: Vec<u8> = heard.chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).map(excerpt);
    let lines: Vec<String> = lines.collect();
    // The last may be half of one.
    let end = lines.len().saturating_sub(1).max(1).min(lines.len());
    lines[end.saturating_sub(EXAMPLES)..end].to_vec()
}
