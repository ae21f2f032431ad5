//! The order of events: starts everything, tells what happens, takes the hub away and gives it back, and ends it all.

use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tilth_tests::demo::room::{CYCLE, Room};

use crate::boards::{self, Seen, SerialLine};
use crate::farm::{Farm, RULE};
use crate::hub::Hub;
use crate::processes::{self, Group, output, program};
use crate::proof::{self, Span};
use crate::story::{self, Transition, say, tell};
use crate::time::{Clock, FACTOR, hour};
use crate::{Heard, Wanted};

/// The room of every demo.
const SEED: u64 = 1;

/// In each cycle the hub is away for this time.
const HUB_AWAY: Range<Duration> = minutes(70)..minutes(145);

/// A bounded run has shown everything by then, and asks the hub.
const SHOWN: Duration = minutes(195);

/// By the wall's clock: within this the hub has to show it all. A minute, less a hub that hangs and what stopping takes.
const PATIENCE: Duration = Duration::from_secs(50);

/// The agent has this long to start.
const START: Duration = Duration::from_secs(10);

/// How long after the escalation a person answers.
const PERSON: Duration = minutes(4);

/// How often the clock is looked at, and how often the hub is asked while something is awaited of it.
const LOOK: Duration = Duration::from_millis(50);
const ASK: Duration = Duration::from_millis(400);

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// How a demo ends that does not fail.
pub(crate) enum Ended {
    /// As asked.
    Stopped,
    /// What the hub has shown.
    Proved(String),
}

/// Everything that runs.
struct Show {
    clock: Clock,
    farm: Farm,
    hub: Hub,
    agent: Child,
    agent_program: PathBuf,
    tail: Child,
    group: Group,
    /// The alert to acknowledge, and when.
    to_acknowledge: Option<(Duration, u64)>,
    away: Away,
    asked: Instant,
}

/// How it is with the hub. Times are the demo's.
#[derive(Debug, Clone, Copy)]
enum Away {
    NotYet,
    Since(Duration),
    /// It is back and does not have everything yet.
    Back(Duration, Duration),
    /// It has everything.
    CaughtUp(Duration, Duration),
}

/// Shows it all, and leaves no process behind.
pub(crate) fn run(wanted: Wanted, tell: Sender<Heard>, heard: &Receiver<Heard>) -> anyhow::Result<Ended> {
    let began = Instant::now();
    let mut show = Show::start(wanted.dir, tell)?;
    let ended = show.go_on(wanted.bounded.then_some(began + PATIENCE), heard);
    show.stop(matches!(ended, Ok(Ended::Proved(_))));
    // Whoever stops reading has seen enough.
    match ended {
        Err(error) if is_broken_pipe(&error) => Ok(Ended::Stopped),
        ended => ended,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

impl Show {
    fn start(dir: Option<PathBuf>, tell: Sender<Heard>) -> anyhow::Result<Show> {
        let (agent_program, hub_program) = (program("TILTH_AGENT", "tilth-agent")?, program("TILTH_HUB", "tilth-hub")?);
        let farm = Farm::make(dir)?;
        let group = Group::new(&farm.logs())?;
        let hub = Hub::make(hub_program, &farm.hub(), &group)?;
        let (tank, air) = (SerialLine::new()?, SerialLine::new()?);
        farm.configure(&hub, &tank.path, &air.path)?;
        let clock = Clock::start();
        let mut agent = Command::new(&agent_program);
        agent.arg("run").arg("--config").arg(farm.config()).arg("--data").arg(farm.data());
        agent.arg("--socket").arg(farm.socket()).arg("--clock").arg(format!("x{FACTOR}"));
        let mut agent = group.start("agent", &mut agent, Stdio::null())?;
        let deadline = Instant::now() + START;
        while !farm.socket().exists() {
            if let Some(status) = agent.try_wait()? {
                bail!("the agent did not start ({status}); see {}", farm.logs().join("agent.log").display());
            }
            if Instant::now() > deadline {
                bail!("the agent does not listen; see {}", farm.logs().join("agent.log").display());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let tail = follow(&group, &agent_program, &farm, tell.clone())?;
        introduce(&farm, &hub, &agent_program, [&tank.path, &air.path])?;
        boards::run(clock, Room::new(SEED), tank, air, tell);
        Ok(Show {
            clock,
            farm,
            hub,
            agent,
            agent_program,
            tail,
            group,
            to_acknowledge: None,
            away: Away::NotYet,
            asked: Instant::now(),
        })
    }

    /// Goes on until somebody stops it, or until the deadline at the latest.
    fn go_on(&mut self, deadline: Option<Instant>, heard: &Receiver<Heard>) -> anyhow::Result<Ended> {
        loop {
            match heard.recv_timeout(LOOK) {
                Ok(Heard::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Stopped),
                Ok(Heard::Room(at, seen)) => self.tell_seen(at, seen)?,
                Ok(Heard::Agent(line)) => self.tell_transition(&line)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch_processes()?;
            self.acknowledge()?;
            self.move_hub()?;
            if let Some(deadline) = deadline
                && let Some(proved) = self.prove(deadline)?
            {
                return Ok(Ended::Proved(proved));
            }
        }
    }

    fn tell_seen(&self, at: Duration, seen: Seen) -> anyhow::Result<()> {
        let at = self.clock.wall(at);
        match seen {
            Seen::Happening(happening) => tell(at, "room", story::of_room(happening))?,
            Seen::Displays(readings) => tell(at, "room", &story::of_displays(&readings))?,
            Seen::Broken(error) => return Err(error).context("a serial line"),
        }
        Ok(())
    }

    fn tell_transition(&mut self, line: &str) -> anyhow::Result<()> {
        let transition: Transition = serde_json::from_str(line).with_context(|| format!("tilth-agent tail: {line}"))?;
        if let Some(sentence) = transition.sentence() {
            tell(transition.at.unwrap_or_else(|| self.clock.wall(self.clock.now())), "agent", &sentence)?;
        }
        if transition.event == "escalated" && transition.rule.as_deref() == Some(RULE) && self.to_acknowledge.is_none()
        {
            self.to_acknowledge = transition.alert.map(|alert| (self.clock.now() + PERSON, alert));
        }
        Ok(())
    }

    fn watch_processes(&mut self) -> anyhow::Result<()> {
        let mut logs = vec![("agent", self.agent.try_wait()?), ("tail", self.tail.try_wait()?)];
        if let Some(hub) = self.hub.process() {
            logs.push(("hub", hub.try_wait()?));
        }
        for (name, ended) in logs {
            if let Some(status) = ended {
                bail!("{name} ended ({status}); see {}", self.farm.logs().join(format!("{name}.log")).display());
            }
        }
        Ok(())
    }

    /// A person answers the page, with the command that people have.
    fn acknowledge(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let Some((_, alert)) = self.to_acknowledge.filter(|(at, _)| now >= *at) else { return Ok(()) };
        self.to_acknowledge = None;
        tell(self.clock.wall(now), "you", &format!("$ tilth-agent ack {alert} --for 2h --by robin"))?;
        let mut command = Command::new(&self.agent_program);
        command.arg("ack").arg(alert.to_string()).args(["--for", "2h", "--by", "robin", "--socket"]);
        match output(command.arg(self.farm.socket())) {
            Ok(_) => Ok(()),
            // It may be over already.
            Err(error) => Ok(tell(self.clock.wall(now), "agent", &format!("{error:#}"))?),
        }
    }

    /// Takes the hub away and gives it back when it is time, and tells what it caught up.
    fn move_hub(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let is_away_time = HUB_AWAY.contains(&Duration::from_secs(now.as_secs() % CYCLE.as_secs()));
        let clock = self.clock;
        let say_at = |at, what: &str| tell(clock.wall(at), "hub", what);
        let away = self.away;
        match away {
            Away::NotYet | Away::CaughtUp(..) if is_away_time => {
                say_at(
                    now,
                    "The hub goes away: the internet is cut. The agent keeps watching, and keeps what it sees.",
                )?;
                self.hub.stop();
                self.away = Away::Since(self.clock.now());
            }
            Away::Since(since) if !is_away_time => {
                self.hub.start(&self.group)?;
                let back = self.clock.now();
                let absence = (back - since).as_secs() / 60;
                say_at(back, &format!("The hub is back after {absence} minutes, on the same port, with what it had."))?;
                self.away = Away::Back(since, back);
            }
            Away::Back(since, back) if self.may_ask() => {
                // It may not know the sensors yet.
                if let Ok((there, 0)) = proof::caught_up(&self.hub, self.span(since, back)) {
                    let took = (now - back).as_secs_f64() / f64::from(FACTOR);
                    let what = format!(
                        "The hub has caught up: {there} windows of its absence came within {took:.0} seconds of yours."
                    );
                    say_at(now, &what)?;
                    self.away = Away::CaughtUp(since, back);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Not more often than the hub likes to be asked.
    fn may_ask(&mut self) -> bool {
        let may = self.asked.elapsed() >= ASK;
        if may {
            self.asked = Instant::now();
        }
        may
    }

    fn span(&self, from: Duration, to: Duration) -> Span {
        Span { from: self.clock.wall(from), to: self.clock.wall(to) }
    }

    /// Asks the hub once everything has been shown, until it has it all; fails at the deadline with what is short.
    fn prove(&mut self, deadline: Instant) -> anyhow::Result<Option<String>> {
        let now = self.clock.now();
        let is_late = Instant::now() >= deadline;
        if !is_late && (now < SHOWN || !self.may_ask()) {
            return Ok(None);
        }
        let away = match self.away {
            Away::Back(since, back) | Away::CaughtUp(since, back) => Some(self.span(since, back)),
            Away::NotYet | Away::Since(_) => None,
        };
        // A minute more on both sides: the agent's clock and this one were not started at one instant.
        let all = Span { from: self.clock.wall(Duration::ZERO) - minutes(10), to: self.clock.wall(now + minutes(10)) };
        match proof::prove(&self.hub, all, away) {
            Ok(proved) => Ok(Some(proved)),
            Err(error) if is_late => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Stops everything, and removes what nobody will look at.
    fn stop(mut self, is_proved: bool) {
        let _ = tell(self.clock.wall(self.clock.now()), "demo", "Stopping everything.");
        let mut running = vec![&mut self.tail, &mut self.agent];
        running.extend(self.hub.process());
        processes::stop(&mut running);
        if is_proved && self.farm.remove() {
            return;
        }
        let _ = say(&format!("\nWhat was kept is in {}: remove it when you have seen it.", self.farm.root().display()));
    }
}

/// Hears what the agent decides, as anybody can.
fn follow(group: &Group, agent: &PathBuf, farm: &Farm, tell: Sender<Heard>) -> anyhow::Result<Child> {
    let mut command = Command::new(agent);
    command.args(["tail", "--json", "--socket"]).arg(farm.socket());
    let mut tail = group.start("tail", &mut command, Stdio::piped())?;
    let lines = BufReader::new(tail.stdout.take().context("it is piped")?).lines();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if tell.send(Heard::Agent(line)).is_err() {
                return;
            }
        }
    });
    Ok(tail)
}

/// Says what this is and where to look.
fn introduce(farm: &Farm, hub: &Hub, agent: &std::path::Path, lines: [&str; 2]) -> anyhow::Result<()> {
    let root = farm.root().display();
    let (agent, socket) = (agent.display(), farm.socket());
    let socket = socket.display();
    let now = hour(jiff::Timestamp::now());
    say(&format!(
        "\
A hydroponic room with two boards, simulated; agent and hub are the real programs. An hour takes {} seconds, from {now} UTC on.

  {root}/config   the agent's configuration
  {root}/data     what the agent keeps
  {root}/hub      what the hub keeps
  {root}/logs     what the programs say
  {} and {}   the boards' serial lines

In the first minute of yours: a sensor sticks, the acid runs out, the hub goes away, a person answers the page, the hub comes back,
a board falls silent. Then it all comes again.

In another terminal, while this runs:
  {agent} status --socket {socket}
  {agent} alerts --socket {socket}
  {agent} tail --socket {socket}
  curl -s -H 'X-Device-Key: {}' http://{}/api/data/latest
  and /api/alerts?state=all, /api/events, /api/health there

Ctrl-C ends everything.
",
        3600 / FACTOR,
        lines[0],
        lines[1],
        hub.read_key,
        hub.address
    ))?;
    Ok(())
}
