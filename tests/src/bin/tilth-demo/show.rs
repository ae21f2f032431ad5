//! The night as it goes: starts everything, makes each thing happen once the one before has, tells it, and ends it all.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tilth_tests::live::modem::Modem;

use crate::agent::Agent;
use crate::board::{self, Relay, SharedRoom};
use crate::farm::{ANNA, Farm};
use crate::hub::Hub;
use crate::night::{Chapter, Night, minutes};
use crate::phone::Phone;
use crate::processes::{self, Group, program};
use crate::proof::{self, Span, Witness};
use crate::story::{self, introduce, say};
use crate::time::{Clock, FACTOR, Place};
use crate::{Heard, Wanted};

/// The room of every demo.
const SEED: u64 = 1;

/// The next night begins so long after the one before.
const NIGHT: Duration = minutes(180);

/// By the machine's clock: within this the hub has to show it all. A minute, less a hub that hangs and what stopping takes.
const PATIENCE: Duration = Duration::from_secs(53);

/// How often the clock is looked at, and how often the hub is asked while something is awaited of it.
const LOOK: Duration = Duration::from_millis(50);
const ASK: Duration = Duration::from_millis(400);

/// How a demo ends that does not fail.
pub(crate) enum Ended {
    /// As asked.
    Stopped,
    /// What was shown.
    Proved(String),
}

/// Everything that runs, and how far the night is.
pub(crate) struct Show {
    pub(crate) clock: Clock,
    pub(crate) place: Place,
    farm: Farm,
    hub: Hub,
    phone: Phone,
    pub(crate) modem: Modem,
    room: SharedRoom,
    pub(crate) agent: Agent,
    group: Group,
    tell: Sender<Heard>,
    is_bounded: bool,
    pub(crate) chapter: Chapter,
    /// When the chapter began, by the demo's clock.
    since: Duration,
    pub(crate) night: Night,
    /// SMS that the modem had sent before this night.
    pub(crate) earlier_texts: usize,
    pub(crate) witness: Witness,
    asked: Instant,
}

/// Shows it all, and leaves no process behind.
pub(crate) fn run(wanted: Wanted, tell: Sender<Heard>, heard: &Receiver<Heard>) -> anyhow::Result<Ended> {
    let deadline = wanted.bounded.then(|| Instant::now() + PATIENCE);
    let mut show = Show::start(wanted, tell)?;
    let ended = show.go_on(deadline, heard);
    show.stop(matches!(ended, Ok(Ended::Proved(_))));
    // A viewer who stops reading has seen enough.
    match ended {
        Err(error) if is_broken_pipe(&error) => Ok(Ended::Stopped),
        ended => ended,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

impl Show {
    fn start(wanted: Wanted, tell: Sender<Heard>) -> anyhow::Result<Show> {
        let (agent, hub) = (program("TILTH_AGENT", "tilth-agent")?, program("TILTH_HUB", "tilth-hub")?);
        let farm = Farm::make(wanted.dir)?;
        let group = Group::new(&farm.logs())?;
        let place = Place::of_evening(jiff::Timestamp::now());
        let hub = Hub::make(hub, &farm.hub(), &group)?;
        let phone = Phone::start(tell.clone())?;
        farm.configure(&hub, phone.address, &place, !wanted.sabotage)?;
        let modem = Modem::plug_in(&farm.modem());
        let clock = Clock::start();
        let room = SharedRoom::new(SEED);
        board::run(&farm.board(), clock, room.clone(), tell.clone()).context("the board's serial line")?;
        introduce(&farm, &hub, &agent.display().to_string(), &place)?;
        let agent = Agent::start(agent, &farm, &group, tell.clone())?;
        Ok(Show {
            clock,
            place,
            farm,
            hub,
            phone,
            modem,
            room,
            agent,
            group,
            tell,
            is_bounded: wanted.bounded,
            chapter: Chapter::PhoneTested,
            since: Duration::ZERO,
            night: Night::default(),
            earlier_texts: 0,
            witness: Witness::default(),
            asked: Instant::now(),
        })
    }

    /// Goes on until somebody stops it, or until the deadline at the latest.
    fn go_on(&mut self, deadline: Option<Instant>, heard: &Receiver<Heard>) -> anyhow::Result<Ended> {
        loop {
            match heard.recv_timeout(LOOK) {
                Ok(Heard::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Stopped),
                Ok(Heard::Agent(line)) => self.handle_transition(&line)?,
                Ok(Heard::Switched { relay: Relay::Doser, on, at }) => self.handle_doser(on, at)?,
                Ok(Heard::Switched { relay: Relay::Siren, on, at }) => self.handle_siren(on, at)?,
                Ok(Heard::Pushed(title)) => self.say("phone", &title)?,
                Ok(Heard::Broken(error)) => return Err(error).context("the board's serial line"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch_processes()?;
            self.read_texts()?;
            self.turn_page()?;
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if is_late && self.chapter != Chapter::NextNight {
                bail!("{}", self.chapter.lacks());
            }
            if deadline.is_some()
                && let Some(proved) = self.prove(is_late)?
            {
                return Ok(Ended::Proved(proved));
            }
        }
    }

    /// Tells what happens now.
    pub(crate) fn say(&self, who: &str, what: &str) -> anyhow::Result<()> {
        self.say_at(self.clock.wall(self.clock.now()), who, what)
    }

    pub(crate) fn say_at(&self, at: jiff::Timestamp, who: &str, what: &str) -> anyhow::Result<()> {
        Ok(say(&format!("{}  {who:<5}  {what}", self.place.hour(at)))?)
    }

    fn watch_processes(&mut self) -> anyhow::Result<()> {
        let mut running: Vec<_> = self.hub.process().map(|hub| ("hub", hub)).into_iter().collect();
        if self.chapter != Chapter::AgentBack {
            running.extend(self.agent.processes());
        }
        for (name, process) in running {
            if let Some(status) = process.try_wait()? {
                bail!("{name} ended ({status}); see {}", self.farm.logs().join(format!("{name}.log")).display());
            }
        }
        Ok(())
    }

    /// Makes the next thing happen once it is time for it.
    fn turn_page(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let passed = now - self.since;
        let next = match self.chapter {
            Chapter::PhoneTested if passed >= minutes(1) => self.test_phone()?,
            Chapter::InternetCut
                if passed >= minutes(4) && self.night.doser.doses > 0 && self.night.doser.since.is_none() =>
            {
                self.cut_internet()?
            }
            Chapter::AcidEmpty if passed >= minutes(2) => self.empty_canister()?,
            Chapter::AgentKilled if self.was_sent("Critical", minutes(2)) => self.kill_agent()?,
            Chapter::AgentBack if passed >= minutes(1) => self.start_agent()?,
            Chapter::AnnaAnswers if self.was_sent("Urgent", minutes(2)) => self.answer()?,
            Chapter::AcidReplaced if self.night.acknowledged.is_some() && passed >= minutes(4) => {
                self.replace_canister()?
            }
            Chapter::LinkBack if passed >= minutes(2) => self.mend_internet()?,
            Chapter::CaughtUp if self.may_ask() => match self.catch_up()? {
                Some(next) => next,
                None => return Ok(()),
            },
            Chapter::AlertResolved if self.night.is_resolved => self.end_night()?,
            Chapter::NextNight if now - self.night.began >= NIGHT => self.begin_night(now),
            _ => return Ok(()),
        };
        (self.chapter, self.since) = (next, self.clock.now());
        Ok(())
    }

    fn test_phone(&mut self) -> anyhow::Result<Chapter> {
        let readings = self.room.lock().readings();
        self.say("room", &format!("A calm evening: {}", story::of_readings(&readings)))?;
        self.say("anna", "$ tilth-agent notify-test phone --by anna")?;
        self.agent.ask(&["notify-test", "phone", "--by", "anna"])?;
        Ok(Chapter::InternetCut)
    }

    fn cut_internet(&mut self) -> anyhow::Result<Chapter> {
        self.say("link", "THE INTERNET IS CUT: hub and phone are out of reach.")?;
        self.hub.stop();
        self.phone.cut();
        self.night.cut = Some(self.clock.now());
        Ok(Chapter::AcidEmpty)
    }

    fn empty_canister(&mut self) -> anyhow::Result<Chapter> {
        self.room.lock().canister(false);
        self.say("room", "The acid canister is empty. Nothing holds the pH down any more.")?;
        Ok(Chapter::AgentKilled)
    }

    fn kill_agent(&mut self) -> anyhow::Result<Chapter> {
        ensure!(!self.witness.siren.is_zero(), "the siren did not sound");
        self.say("agent", "KILLED (kill -9). The board measures on, and its own timers switch its relays off.")?;
        self.agent.kill()?;
        self.witness.kills += 1;
        self.night.siren.is_told = false;
        Ok(Chapter::AgentBack)
    }

    fn start_agent(&mut self) -> anyhow::Result<Chapter> {
        self.agent = Agent::start(self.agent.program().clone(), &self.farm, &self.group, self.tell.clone())?;
        self.say("agent", "Starts again, as systemd would start it, and takes from the board what it missed.")?;
        Ok(Chapter::AnnaAnswers)
    }

    fn answer(&mut self) -> anyhow::Result<Chapter> {
        let alert = self.night.alert.context("there is no alert")?;
        let text = format!("ACK {alert} 2h");
        self.say("anna", &format!("Answers by SMS: {text}"))?;
        self.modem.receive(ANNA, &text);
        Ok(Chapter::AcidReplaced)
    }

    fn replace_canister(&mut self) -> anyhow::Result<Chapter> {
        self.room.lock().canister(true);
        self.night.doser.doses += usize::from(self.night.doser.since.is_some());
        let comes = if self.night.doser.since.is_some() { " The doser runs, and acid comes again." } else { "" };
        self.say("anna", &format!("Puts a full acid canister in its place.{comes}"))?;
        Ok(Chapter::LinkBack)
    }

    fn mend_internet(&mut self) -> anyhow::Result<Chapter> {
        self.hub.start(&self.group)?;
        self.phone.connect()?;
        let back = self.clock.now();
        self.night.back = Some(back);
        let away = (back - self.night.cut.unwrap_or(back)).as_secs() / 60;
        self.say("link", &format!("The internet is back after {away} minutes."))?;
        Ok(Chapter::CaughtUp)
    }

    /// Asks the hub whether it has everything of the time without a link.
    fn catch_up(&mut self) -> anyhow::Result<Option<Chapter>> {
        let Some((away, back)) = self.away().zip(self.night.back) else { return Ok(None) };
        self.asked = Instant::now();
        // The hub may not know the sensors yet.
        let Ok((there, 0)) = proof::caught_up(&self.hub, away) else { return Ok(None) };
        let took = (self.clock.now() - back).as_secs_f64() / f64::from(FACTOR);
        self.say("hub", &format!("Caught up: {there} one-minute records in {took:.0} s."))?;
        Ok(Some(Chapter::AlertResolved))
    }

    fn end_night(&mut self) -> anyhow::Result<Chapter> {
        if !self.is_bounded {
            let next = self.place.hour(self.clock.wall(self.night.began + NIGHT));
            self.say("demo", &format!("The next night begins at {next}; Ctrl-C ends everything."))?;
        }
        Ok(Chapter::NextNight)
    }

    fn begin_night(&mut self, now: Duration) -> Chapter {
        self.earlier_texts += self.night.texts.len();
        self.night = Night { began: now, ..Night::default() };
        Chapter::PhoneTested
    }

    /// Not more often than the hub likes to be asked.
    fn may_ask(&self) -> bool {
        self.asked.elapsed() >= ASK
    }

    /// The time without a link, as far as it is over.
    fn away(&self) -> Option<Span> {
        Some(Span { from: self.clock.wall(self.night.cut?), to: self.clock.wall(self.night.back?) })
    }

    /// Asks the hub once everything has been shown, until it has it all; fails at the deadline with what is short.
    fn prove(&mut self, is_late: bool) -> anyhow::Result<Option<String>> {
        if !is_late && (self.chapter != Chapter::NextNight || !self.may_ask()) {
            return Ok(None);
        }
        self.asked = Instant::now();
        // A few minutes more on both sides: the agent's clock and this one were not started at one instant.
        let from = self.clock.wall(Duration::ZERO) - minutes(10);
        let all = Span { from, to: self.clock.wall(self.clock.now() + minutes(10)) };
        match proof::prove(&self.hub, all, self.away(), &self.witness) {
            Ok(proved) => Ok(Some(proved)),
            Err(error) if is_late => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Stops everything, and removes what is not needed for a look afterwards.
    fn stop(mut self, is_proved: bool) {
        let mut running: Vec<_> = self.agent.processes().into_iter().map(|(_, process)| process).collect();
        running.extend(self.hub.process());
        processes::stop(&mut running);
        if is_proved && self.farm.remove() {
            return;
        }
        let _ = say(&format!("\nWhat was kept is in {}: remove it when you have seen it.", self.farm.root().display()));
    }
}
