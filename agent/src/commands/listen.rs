//! `tilth-agent listen`: what a line or a board says, as a configuration that reads it.

mod draft;
mod guess;

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use tilth_config::{Diagnostic, Document, Layer, Level, Parity, Purpose, Serial, base, load_documents};
use tilth_core::id::SensorId;
use tilth_core::quantity::Quantity;
use tokio::time::{Instant, timeout_at};

pub(super) use self::draft::quoted;
use self::draft::{Draft, DraftSensor};
use super::client::Client;
use super::port::{self, Held};
use crate::cli;
use crate::console::{Console, counted, listed, tell};
use crate::exit::Exit;
use crate::sense::board::{self, Identity};
use crate::sense::bus::health::excerpt;
use crate::sense::endpoint::Endpoint;
use crate::sense::line::reasons;
use crate::sense::line::survey::{Chunk, Survey, columns};
use crate::sense::port::Port;
use crate::sense::released::Ports;

/// Speeds that are tried, the commonest first.
const BAUDS: [u32; 7] = [board::BAUD, 9600, 57_600, 38_400, 19_200, 4800, 230_400];

/// How long a speed is tried that makes no text of what comes, and how many lines decide sooner that it is right.
const TRIAL: Duration = Duration::from_secs(5);
const LINES_OF_TRIAL: u64 = 3;

/// Bytes that are kept of what came: at 115,200 baud a minute is 700,000.
const MAX_BYTES: usize = 1 << 20;

/// Lines shown as examples.
const EXAMPLES: usize = 3;

/// What came from a port.
struct Heard {
    endpoint: Endpoint,
    chunks: Vec<Chunk>,
    survey: Survey,
    /// A message of a board with Tilth's firmware came.
    is_board: bool,
}

/// Listens to a port and prints what it says.
pub(crate) fn listen(wanted: &cli::Listen) -> anyhow::Result<Exit> {
    let mut console = Console::with_progress();
    if wanted.port.is_empty() {
        return list_adapters(wanted.agent.json, console);
    }
    let (draft, heard, board) = drafted(wanted, &mut console)?;
    if wanted.agent.json {
        draft.sensors.iter().try_for_each(|sensor| console.json(sensor))?;
        console.json(&draft)?;
    } else {
        print(&draft, &heard, board.as_ref(), &mut console)?;
    }
    console.flush()?;
    Ok(Exit::Done)
}

/// Lists the serial adapters that are plugged in.
fn list_adapters(json: bool, mut console: Console) -> anyhow::Result<Exit> {
    let adapters = port::adapters();
    if adapters.is_empty() {
        bail!(
            "no serial adapter is plugged in; sudo dmesg | tail says what the machine finds. Of another port: tilth-agent listen PORT"
        );
    }
    for port in &adapters {
        match json {
            true => console.json(&json!({ "port": port, "adapter": port::adapter(port) }))?,
            false => console.line(port::described(port))?,
        }
    }
    console.flush()?;
    Ok(Exit::Done)
}

/// What a port says, as the files of a configuration have it.
pub(super) struct Listened {
    /// For `agent.toml`.
    pub(super) bus: String,
    /// For a file in `config.d`.
    pub(super) sensors: String,
    /// How many of its sensors are read, and those of which a person must say what they measure.
    pub(super) known: usize,
    pub(super) unknown: Vec<SensorId>,
}

/// Listens to a port for another command.
///
/// # Errors
/// As `listen`: the port, and what came from it.
pub(super) fn files(wanted: &cli::Listen) -> anyhow::Result<Listened> {
    let mut console = Console::with_progress();
    let (draft, ..) = drafted(wanted, &mut console)?;
    console.flush()?;
    let unknown: Vec<SensorId> = unknown(&draft).cloned().collect();
    let known = draft.sensors.len() - unknown.len();
    Ok(Listened { bus: draft.agent_toml(), sensors: draft.config_d(), known, unknown })
}

fn unknown(draft: &Draft) -> impl Iterator<Item = &SensorId> {
    draft.sensors.iter().filter(|sensor| sensor.quantity.is_none()).map(|sensor| &sensor.sensor)
}

fn drafted(wanted: &cli::Listen, console: &mut Console) -> anyhow::Result<(Draft, Heard, Option<Identity>)> {
    let _held = released(wanted)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let heard = runtime.block_on(hear(wanted, console))?;
    let board = match heard.is_board || heard.survey.whole == 0 && !heard.survey.is_text() {
        true => runtime.block_on(ask(&heard, console))?,
        false => None,
    };
    let draft = accepted(draft(wanted, &heard, board.as_ref())?)?;
    port::caution(&draft.port).into_iter().for_each(tell);
    Ok((draft, heard, board))
}

/// The port, left alone by an agent that runs and has it open.
fn released(wanted: &cli::Listen) -> anyhow::Result<Option<Held>> {
    let Some(client) = Client::find(&wanted.agent.address)? else { return Ok(None) };
    let held = port::release(client, &wanted.port)?;
    tell(format_args!("the agent leaves {} alone until this ends", wanted.port));
    Ok(Some(held))
}

/// Listens as long as wanted, at the given speed or at the one that makes most text of what comes.
async fn hear(wanted: &cli::Listen, console: &mut Console) -> anyhow::Result<Heard> {
    let time = Duration::from_millis(wanted.time.0.unsigned_abs());
    let endpoint = match wanted.port.strip_prefix("tcp://") {
        Some(address) => Endpoint::Tcp(address.to_owned()),
        None => match wanted.baud {
            cli::Baud::Of(baud) => serial(&wanted.port, baud),
            cli::Baud::Auto => {
                let heard =
                    best_speed(async |baud| gather(serial(&wanted.port, baud), time, true, console).await).await?;
                if heard.is_board {
                    return Ok(heard);
                }
                heard.endpoint
            }
        },
    };
    let heard = gather(endpoint, time, false, console).await?;
    if heard.chunks.is_empty() {
        bail!(
            "{}: nothing came in {}; does the board have power, and does its sketch print? Pressing its reset button shows whether the cable \
             carries data",
            heard.endpoint.name(),
            wanted.time
        );
    }
    Ok(heard)
}

fn serial(port: &str, baud: u32) -> Endpoint {
    Endpoint::Serial(Serial { port: port.to_owned(), baud, parity: Parity::None, stop_bits: 1 })
}

/// What came at the first speed at which that is clear, or else at the one that makes most lines of it. A port may refuse a speed; where
/// nothing comes at one speed nothing does at any.
async fn best_speed(mut trial: impl AsyncFnMut(u32) -> anyhow::Result<Heard>) -> anyhow::Result<Heard> {
    let mut best = trial(BAUDS[0]).await;
    if best.as_ref().is_ok_and(|heard| heard.chunks.is_empty()) {
        return best;
    }
    let rank = |heard: &anyhow::Result<Heard>| heard.as_ref().map_or((false, 0), Heard::rank);
    for baud in &BAUDS[1..] {
        if rank(&best).0 {
            break;
        }
        let heard = trial(*baud).await;
        if best.is_err() || rank(&heard) > rank(&best) {
            best = heard.or(best);
        }
    }
    best
}

impl Heard {
    /// Whether it is clear what came, and how many lines of text did.
    fn rank(&self) -> (bool, u64) {
        let Survey { whole, .. } = self.survey;
        (self.is_board || whole >= LINES_OF_TRIAL || self.survey.is_text(), whole)
    }

    /// The lines that came, but for the last, which may be half of one.
    fn lines(&self) -> Vec<String> {
        let bytes: Vec<u8> = self.chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.truncate(lines.len().saturating_sub(1).max(1));
        lines
    }
}

/// Reads from a port for a time, or until a board with Tilth's firmware is heard. A trial ends as well once it is clear what comes, and
/// after [`TRIAL`] of what is no text: a sketch that prints every ten seconds is waited for, and noise is not.
async fn gather(endpoint: Endpoint, time: Duration, is_trial: bool, console: &mut Console) -> anyhow::Result<Heard> {
    let hangs = |why: String| tell(format_args!("tilth-agent: {why}"));
    let mut stream = endpoint.open(Port::open, hangs, &Ports::default()).await.map_err(anyhow::Error::msg)?;
    let (begin, mut message_ends) = (Instant::now(), board::message_ends());
    let mut heard = Heard { endpoint, chunks: Vec::new(), survey: Survey::default(), is_board: false };
    let (mut bytes, mut length, mut ends, mut looked_at) = ([0; 2048], 0, 0, LINES_OF_TRIAL);
    let end = begin + time;
    let mut until = end;
    while !heard.is_board && length <= MAX_BYTES {
        // While bytes come without a pause, no read times out by itself.
        let read = match Instant::now() < until {
            true => timeout_at(until, stream.read(&mut bytes)).await.ok(),
            false => None,
        };
        let Some(read) = read else {
            if until >= end || !Survey::of(&heard.chunks, None).is_text() {
                break;
            }
            until = end;
            continue;
        };
        let bytes = &bytes[..read.map_err(|error| anyhow::Error::msg(heard.endpoint.reason(&error)))?];
        if is_trial && heard.chunks.is_empty() {
            until = end.min(Instant::now() + TRIAL);
        }
        length += bytes.len();
        ends += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        heard.is_board = bytes.iter().any(|byte| message_ends(*byte));
        heard.chunks.push(Chunk { at: begin.elapsed(), bytes: bytes.to_vec() });
        let at = baud(&heard.endpoint).map_or(String::new(), |baud| format!(" at {baud} baud"));
        console.progress(format_args!("{}{at}: {} so far", heard.endpoint.name(), counted(ends, "line")))?;
        if is_trial && ends > looked_at {
            if Survey::of(&heard.chunks, None).whole >= LINES_OF_TRIAL {
                break;
            }
            // Ends of lines in noise: twice as many are waited for before all is read again.
            looked_at = ends * 2;
        }
    }
    heard.survey = Survey::of(&heard.chunks, None);
    Ok(heard)
}

fn baud(endpoint: &Endpoint) -> Option<u32> {
    match endpoint {
        Endpoint::Serial(serial) => Some(serial.baud),
        Endpoint::Tcp(_) => None,
    }
}

/// Asks which board with Tilth's firmware is there, if one is.
async fn ask(heard: &Heard, console: &mut Console) -> anyhow::Result<Option<Identity>> {
    console.progress(format_args!("{}: asking for a board with Tilth's firmware", heard.endpoint.name()))?;
    let endpoint = match &heard.endpoint {
        Endpoint::Serial(serial) if !heard.is_board => Endpoint::Serial(Serial { baud: board::BAUD, ..serial.clone() }),
        endpoint => endpoint.clone(),
    };
    match board::ask(&endpoint).await {
        Err(why) if heard.is_board => bail!(why),
        asked => Ok(asked.ok()),
    }
}

/// The configuration that reads what was heard.
fn draft(wanted: &cli::Listen, heard: &Heard, board: Option<&Identity>) -> anyhow::Result<Draft> {
    let port = match &heard.endpoint {
        Endpoint::Serial(serial) => port::lasting_name(&serial.port),
        Endpoint::Tcp(_) => wanted.port.clone(),
    };
    let (bus, zone) = (wanted.bus.clone(), &wanted.zone);
    if let Some(board) = board {
        return Ok(Draft::of_board(bus, zone, port, board));
    }
    let Survey { values, messages, whole } = &heard.survey;
    if *whole == 0 && heard.survey.is_text() {
        bail!("{port}: half a line came in {}; listen for longer, as with --for 2m", wanted.time);
    }
    if *whole == 0 {
        bail!(
            "{port}: {} came and no line of text; expected a board that prints lines, or one with Tilth's firmware at {} baud. At another speed \
             than the usual ones --baud states it",
            counted(heard.chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum(), "byte"),
            board::BAUD
        );
    }
    let bare = messages.last_ignored.as_ref().filter(|last| values.is_empty() && last.reason == reasons::NO_HEADER);
    let columns = bare.map_or(Vec::new(), |bare| {
        let line = heard.lines().into_iter().rfind(|line| excerpt(line) == bare.excerpt);
        columns(line.as_deref().unwrap_or(&bare.excerpt))
    });
    let under_columns = bare.map(|_| Survey::of(&heard.chunks, Some(&columns)));
    let survey = under_columns.as_ref().unwrap_or(&heard.survey);
    Ok(Draft::of_lines(bus, zone, port, baud(&heard.endpoint), columns, survey))
}

/// A draft without the sensors that make no configuration as any quantity, each of which is said: no input can name a label such as `Ready?`.
fn accepted(mut draft: Draft) -> anyhow::Result<Draft> {
    let with = |sensors: &[DraftSensor]| {
        let measuring = |sensor: &DraftSensor| DraftSensor {
            quantity: sensor.quantity.or(Some(Quantity::Count)),
            ..sensor.clone()
        };
        check(&Draft { sensors: sensors.iter().map(measuring).collect(), ..draft.clone() })
    };
    let sensors = draft.sensors.clone();
    if with(&sensors).is_err() {
        let is_accepted = |sensor: &DraftSensor| {
            let checked = with(std::slice::from_ref(sensor));
            checked.map_err(|why| tell(format_args!("{} is left out: {why}", sensor.input))).is_ok()
        };
        draft.sensors = sensors.into_iter().filter(is_accepted).collect();
    }
    check(&draft)?;
    Ok(draft)
}

/// Passes what will be printed through the reader of configurations: what is printed must be accepted.
fn check(draft: &Draft) -> anyhow::Result<()> {
    let mut documents = base();
    documents.agent_toml = Some(Document::agent_toml(&format!("[device]\nid = \"listen\"\n{}", draft.agent_toml())));
    documents.layers.push(Document::toml(Layer::ConfigD, "listen.toml", &draft.config_d()));
    let loaded = load_documents(documents, Purpose::Check);
    // A draft with all sensors commented out has none, which is no fault.
    let has_sensors = draft.sensors.iter().any(|sensor| sensor.quantity.is_some());
    let is_wrong = |found: &Diagnostic| found.level == Level::Error && (has_sensors || found.file == "agent.toml");
    match loaded.diagnostics.iter().find(|found| is_wrong(found)) {
        Some(found) => bail!("what came makes no configuration: {found}"),
        None => Ok(()),
    }
}

/// Prints the configuration, under comments that say what came: the whole may be pasted.
fn print(draft: &Draft, heard: &Heard, board: Option<&Identity>, console: &mut Console) -> anyhow::Result<()> {
    match board {
        Some(board) => console.line(format_args!(
            "# {}: board {}, {}, firmware {}, {}, {}",
            draft.port,
            board.id(),
            board::board_kind(board.kind),
            board.version(),
            counted(board.channels().len() as u64, "channel"),
            counted(u64::from(board.relays), "relay")
        ))?,
        None => {
            let at = draft.baud.map_or(String::new(), |baud| format!(" at {baud} baud"));
            let lines = counted(heard.survey.messages.received, "line");
            console.line(format_args!("# {}{at}: {lines}, such as", draft.port))?;
            let lines = heard.lines();
            let examples = &lines[lines.len().saturating_sub(EXAMPLES)..];
            examples.iter().try_for_each(|line| console.line(format_args!("#   {}", excerpt(line))))?;
        }
    }
    if draft.sensors.is_empty() {
        console
            .line("# no value was found in them: expected lines such as \"Temp: 21.5 C\" or a header over columns")?;
    }
    console.line(format_args!("\n# --- agent.toml\n\n{}", draft.agent_toml()))?;
    console.line(format_args!("# --- config.d/{}.toml\n\n{}", draft.bus, draft.config_d()))?;
    let unknown: Vec<&SensorId> = unknown(draft).collect();
    if !unknown.is_empty() {
        console.line(format_args!(
            "\n# say what these measure, and take the # from their lines: {}",
            listed(unknown, 8)
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
