//! The agent: the real program, a `tail` of what it decides, and the commands that people give it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::Heard;
use crate::farm::Farm;
use crate::processes::{Group, output};
use crate::time::FACTOR;

/// The agent has this long to start.
const START: Duration = Duration::from_secs(10);

/// A running agent, and `tilth-agent tail` beside it.
pub(crate) struct Agent {
    program: PathBuf,
    socket: PathBuf,
    process: Child,
    tail: Child,
}

impl Agent {
    /// Starts the agent of a farm, and hears what it decides.
    pub(crate) fn start(program: PathBuf, farm: &Farm, group: &Group, tell: Sender<Heard>) -> anyhow::Result<Agent> {
        let socket = farm.socket();
        let mut run = Command::new(&program);
        run.arg("run").arg("--config").arg(farm.config()).arg("--data").arg(farm.data());
        run.arg("--socket").arg(&socket).arg("--clock").arg(format!("x{FACTOR}"));
        let mut process = group.start("agent", &mut run, Stdio::null())?;
        let log = || farm.logs().join("agent.log").display().to_string();
        let deadline = Instant::now() + START;
        while !socket.exists() {
            if let Some(status) = process.try_wait()? {
                bail!("the agent did not start ({status}); see {}", log());
            }
            if Instant::now() > deadline {
                bail!("the agent does not listen; see {}", log());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let mut tail = Command::new(&program);
        let mut tail = group.start("tail", tail.args(["tail", "--json", "--socket"]).arg(&socket), Stdio::piped())?;
        let lines = BufReader::new(tail.stdout.take().context("it is piped")?).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(Heard::Agent(line)).is_err() {
                    return;
                }
            }
        });
        Ok(Agent { program, socket, process, tail })
    }

    /// kill -9: what the agent has not written is gone.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.tail.kill()?;
        self.tail.wait()?;
        std::fs::remove_file(&self.socket)?;
        Ok(())
    }

    /// Processes of the agent by name.
    pub(crate) fn processes(&mut self) -> [(&'static str, &mut Child); 2] {
        [("agent", &mut self.process), ("tail", &mut self.tail)]
    }

    /// Runs a command over its socket, as people do.
    pub(crate) fn ask(&self, words: &[&str]) -> anyhow::Result<String> {
        output(Command::new(&self.program).args(words).arg("--socket").arg(&self.socket))
    }

    pub(crate) fn program(&self) -> &PathBuf {
        &self.program
    }
}
