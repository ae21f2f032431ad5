//! What `run --record` wrote, done again: the same inputs at the same instants, from the same beginnings, give the same
//! transitions to the byte. Its configuration is in it, so the one on this machine is not looked at.

use std::fmt::{self, Display};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use tilth_config::{Level, Merged, Purpose, plain_file};
use tilth_core::effect::{Effect, Transition};
use tilth_core::engine::{Engine, Input};
use tilth_core::plan::Plan;
use tilth_core::reading::Raw;
use tilth_core::time::Uptime;

use super::digest::Digest;
use super::readings::{name, open_file, unpack};
use crate::cli;
use crate::console::{Console, counted, tell};
use crate::exit::Exit;
use crate::recording::{self, Entry, FORMAT};
use crate::transition::{TransitionRecord, Widths};

/// A longer line is none that `run` writes: the memory of a farm of the largest size takes less.
const MOST_BYTES: u64 = 1 << 28;

const SHOWN: usize = 5;

/// Whether a file is of `run --record`: lines of JSON, plain or gzip. Standard input is so if it begins with a brace.
pub(super) fn is_recording(path: &Path) -> bool {
    let begins = |bytes: &[u8]| bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if path == Path::new("-") {
        return io::stdin().lock().fill_buf().is_ok_and(begins);
    }
    // A pipe cannot be looked into twice.
    let file = plain_file::open(path).ok();
    let mut head = Vec::new();
    file.and_then(|file| unpack(file).ok()).is_some_and(|source| {
        let _ = source.take(64).read_to_end(&mut head);
        begins(&head)
    })
}

pub(super) fn run(args: &cli::Replay) -> anyhow::Result<Exit> {
    if let Some(page) = &args.report {
        tell(format_args!(
            "tilth-agent: --report {}: expected a recording in CSV; one of run --record gives no page",
            page.display()
        ));
        return Ok(Exit::Refused);
    }
    let input = args.input();
    let name = name(input);
    let mut player = Player {
        session: None,
        console: Console::new(),
        json: args.json,
        digest: args.digest.then(Digest::default),
        summary: Summary::default(),
    };
    let source = if input == Path::new("-") { unpack(io::stdin()) } else { open_file(input).and_then(unpack) };
    let played = source
        .map_err(anyhow::Error::from)
        .and_then(|source| play(source, &name, &mut player))
        .with_context(|| format!("{name}: cannot be read further, after {} lines", player.summary.lines));
    if let Some(digest) = &player.digest {
        player.console.json(digest)?;
    }
    player.console.flush()?;
    if args.json {
        tell(serde_json::to_string(&player.summary).context("the summary")?);
    } else {
        tell(&player.summary);
    }
    played?;
    match player.summary.starts {
        0 if player.summary.bad_lines == player.summary.lines => anyhow::bail!(
            "{name}: lines of JSON that no run --record wrote; replay reads CSV: jq -r '[.time, .temp] | @csv' {name} makes it of them"
        ),
        0 => anyhow::bail!("{name}: no line says how a process began, so nothing can be played"),
        _ => Ok(Exit::Done),
    }
}

fn play(source: Box<dyn Read + Send>, name: &str, player: &mut Player) -> anyhow::Result<()> {
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    loop {
        line.clear();
        if source.by_ref().take(MOST_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        player.summary.lines += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let number = player.summary.lines;
        match recording::parse(&line) {
            Ok((at, entry)) => player.take(at, entry, &format!("{name}, line {number}"))?,
            Err(error) => {
                player.summary.bad_lines += 1;
                if player.summary.bad_shown.len() < SHOWN {
                    player.summary.bad_shown.push(format!("line {number}: not a line of run --record: {error}"));
                }
            }
        }
    }
}

/// The engine between two beginnings, and what came of it all.
struct Player {
    /// None before the first beginning.
    session: Option<Session>,
    console: Console,
    json: bool,
    digest: Option<Digest>,
    summary: Summary,
}

struct Session {
    engine: Engine,
    /// What the effects that come next are counted in: the engine's, as soon as it has said so.
    plan: Arc<Plan>,
    widths: Widths,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    lines: u64,
    starts: u64,
    inputs: u64,
    readings: u64,
    /// Lines that could not be used: half a line of a process that was killed, or damage.
    bad_lines: u64,
    bad_shown: Vec<String>,
    /// Inputs from before the first beginning: nothing is known of the engine that they were for.
    without_beginning: u64,
    /// Readings of sensors that the active configuration did not have.
    unknown: u64,
    alerts: u64,
    notifications: u64,
}

impl Player {
    fn take(&mut self, at: Uptime, entry: Entry, place: &str) -> anyhow::Result<()> {
        if let Entry::Begin { format, version, configuration, beginning } = entry {
            anyhow::ensure!(
                (1..=FORMAT).contains(&format),
                "{place}: found a recording of format {format}, of version {version}; expected format 1 to {FORMAT}"
            );
            let plan = plan(*configuration, place)?;
            let resumed = beginning.resume(&plan).with_context(|| place.to_owned())?;
            self.summary.starts += 1;
            self.session = Some(Session { engine: resumed.engine, widths: Widths::of(&plan), plan: Arc::clone(&plan) });
            resumed.effects.iter().try_for_each(|effect| self.print(effect, &plan))?;
            return self.drain();
        }
        let Some(session) = &mut self.session else {
            self.summary.without_beginning += 1;
            return Ok(());
        };
        self.summary.inputs += 1;
        if let Some(input) = session.input(entry, &mut self.summary, place)? {
            let now = session.engine.now().uptime;
            session.engine.handle(at.max(now), input);
        }
        self.drain()
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        while let Some((effect, plan)) = self.session.as_mut().and_then(Session::poll) {
            self.print(&effect, &plan)?;
        }
        Ok(())
    }

    fn print(&mut self, effect: &Effect, plan: &Plan) -> anyhow::Result<()> {
        match effect {
            Effect::Alert(Transition::Firing, _) => self.summary.alerts += 1,
            Effect::Page(_) => self.summary.notifications += 1,
            Effect::Reading(_) => self.summary.readings += 1,
            _ => {}
        }
        if let Some(digest) = &mut self.digest {
            digest.add(effect);
        }
        let (Some(line), Some(session)) = (TransitionRecord::of(effect, plan), &self.session) else { return Ok(()) };
        if self.json { self.console.json(&line) } else { self.console.line(line.aligned(&session.widths)) }
    }
}

impl Session {
    /// An entry as the engine takes it; nothing for a reading of a sensor that the plan does not have, or for what is done here.
    fn input(&mut self, entry: Entry, summary: &mut Summary, place: &str) -> anyhow::Result<Option<Input>> {
        Ok(Some(match entry {
            Entry::Begin { .. } => Input::Tick,
            Entry::Input(input) => input,
            Entry::Reading { sensor, stamp, value, quality, undated } => {
                let Some(sensor) = self.engine.plan().sensor_ix(sensor.as_str()) else {
                    summary.unknown += 1;
                    return Ok(None);
                };
                let raw = Raw { sensor, at: stamp, value: value.0, quality };
                if undated { Input::Undated(raw) } else { Input::Reading(raw) }
            }
            Entry::Plan(configuration) => {
                let plan = plan(*configuration, place)?;
                self.widths = Widths::of(&plan);
                Input::Plan(plan)
            }
            Entry::Counted { boot, site, outputs } => {
                self.engine.number_boot(boot);
                site.iter().for_each(|before| self.engine.restore_site(before));
                if let Some(before) = outputs {
                    self.engine.restore_outputs(&before.record, self.engine.now().uptime - before.at);
                }
                return Ok(None);
            }
        }))
    }

    fn poll(&mut self) -> Option<(Effect, Arc<Plan>)> {
        let effect = self.engine.poll()?;
        if let Effect::PlanChanged(plan) = &effect {
            self.plan = Arc::clone(plan);
        }
        Some((effect, Arc::clone(&self.plan)))
    }
}

fn plan(configuration: Merged, place: &str) -> anyhow::Result<Arc<Plan>> {
    let loaded = configuration.load("the recorded configuration", Purpose::Run);
    let error = loaded.diagnostics.iter().find(|finding| finding.level == Level::Error).map(ToString::to_string);
    match (loaded.plan, error) {
        (Some(plan), None) => Ok(Arc::new(plan)),
        (_, error) => anyhow::bail!(
            "{place}: the recorded configuration does not compile with this version: {}",
            error.unwrap_or_default()
        ),
    }
}

impl Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = [
            (self.starts, "start", ", "),
            (self.inputs, "input", ", "),
            (self.readings, "reading", "; "),
            (self.alerts, "alert", ", "),
            (self.notifications, "notification", ""),
        ];
        write!(out, "{} of a run: ", counted(self.lines, "line"))?;
        figures.iter().try_for_each(|(count, noun, end)| write!(out, "{}{end}", counted(*count, noun)))?;
        for (count, noun, what) in [
            (self.without_beginning, "input", "from before the first start in the file: not played"),
            (self.unknown, "reading", "of sensors that the configuration does not have"),
            (self.bad_lines, "line", "not used; what follows up to the next start may differ"),
        ] {
            if count > 0 {
                write!(out, "\n{} {what}", counted(count, noun))?;
            }
        }
        self.bad_shown.iter().try_for_each(|shown| write!(out, "\n    {shown}"))
    }
}

#[cfg(test)]
mod tests;
