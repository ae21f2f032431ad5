//! Whether an agent runs, and whether it can be asked.

use std::path::Path;

use super::super::facts::{AgentFacts, AgentState, Configuration};
use super::super::{Check, Finding};
use crate::api::socket;

/// Starts the service; one that was given another data folder is asked by that.
const START: &str = "sudo systemctl start tilth-agent; if it ends again: journalctl -u tilth-agent; with data elsewhere: doctor --data DIR";

pub(super) fn finding(agent: &AgentFacts, configuration: &Configuration) -> Finding {
    let at = &agent.socket;
    match &agent.state {
        AgentState::Runs { version, .. } if *version != agent.version => {
            let message = format!("the running agent is version {version}, this program is {}", agent.version);
            Finding::warning(Check::Agent, &at, message, "sudo systemctl restart tilth-agent")
        }
        AgentState::Runs { process, version } => {
            let process = process.map_or(String::new(), |process| format!(", process {process}"));
            Finding::ok(Check::Agent, &at, format!("running, version {version}{process}"))
        }
        AgentState::Stopped => {
            let start = match agent.has_service {
                true => START.to_owned(),
                false => {
                    let run = format!("tilth-agent run --config {}", configuration.folder.display());
                    format!("{run}{}; elsewhere: doctor --socket PATH or --data DIR", agent.options)
                }
            };
            Finding::fault(Check::Agent, &at, "no agent listens there: the farm is not watched", start)
        }
        // A service that runs has its socket in a folder of its own, and no other was named.
        AgentState::Denied
            if agent.has_service && agent.options.is_empty() && !socket::is_of_service(Path::new(at)) =>
        {
            Finding::fault(Check::Agent, &at, "the service is stopped: the farm is not watched", START)
        }
        AgentState::Denied => Finding::warning(
            Check::Agent,
            &at,
            "you may not ask the agent",
            "sudo usermod -aG tilth $USER, then log out and in; or sudo tilth-agent doctor",
        ),
        AgentState::NoAnswer(why) => Finding::fault(
            Check::Agent,
            &at,
            why,
            "sudo systemctl restart tilth-agent; journalctl -u tilth-agent says what it was at",
        ),
    }
}
