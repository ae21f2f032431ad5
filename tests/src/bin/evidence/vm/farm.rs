//! Agent and hub in the machine: set up as `docs/install.md` and `docs/first-farm.md` say, and asked as people ask them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::machine::Machine;

/// pH of the buffer and of the tank, in hundredths: above the limit of the rule, and below where it clears.
const HIGH: u64 = 740;
const LOW: u64 = 610;

/// A rule that does not wait for long.
const RULE: &str = "[rules.ph-high]\nabove = 6.8\nclear = 6.5\nfor = \"3s\"\ncooldown = \"0s\"\n";

/// For readings, alerts and their way to the hub: sync begins within a minute of a start.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The hub's own authority.
const CERTIFICATE: &str =
    "openssl req -x509 -newkey ed25519 -nodes -days 3650 -keyout /run/hub-tls.key -out /run/hub.pem \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE
install -o tilth-hub -m 600 /run/hub.pem /run/hub-tls.key /etc/tilth-hub/
rm /run/hub.pem /run/hub-tls.key";

/// Files whose paths and modes a purge must leave as they were: all but what dpkg and the system keep for themselves.
const FILES: &str = "cd / && find . -xdev \\( -path ./var/log -o -path './var/lib/dpkg*' -o -path ./var/lib/apt \
    -o -path ./var/lib/systemd/timers -o -path ./var/lib/systemd/random-seed -o -path ./var/cache -o -path './etc/*-' -o -path ./lost+found \\) -prune \
    -o -printf '%p %m %u:%g\\n' | sort";

pub(crate) struct Farm {
    pub(crate) machine: Machine,
    pub(crate) hub: Hub,
    /// How many alerts there were so far.
    pub(crate) alerts: usize,
}

/// The farm's hub, and how it is read.
pub(crate) enum Hub {
    /// In the same machine.
    InMachine { read_key: String },
    /// On this machine; the file is its authority.
    Here { read_key: String, port: u16, ca: PathBuf },
}

impl Farm {
    pub(crate) fn new(machine: Machine) -> Farm {
        machine.board.measures(LOW);
        Farm { machine, hub: Hub::InMachine { read_key: String::new() }, alerts: 0 }
    }

    /// A hub with a certificate and a tenant.
    pub(crate) fn set_up_hub(&mut self) -> anyhow::Result<()> {
        self.machine.run("runuser -u tilth-hub -- tilth-hub init")?;
        self.machine.run(CERTIFICATE)?;
        self.machine.run("systemctl start tilth-hub")?;
        let tenant = self.call_hub("tenant add acme")?;
        self.hub = Hub::InMachine { read_key: text(&tenant["read_key"]) };
        Ok(())
    }

    /// An agent that finds its board and is enrolled at the hub.
    pub(crate) fn set_up_agent(&mut self) -> anyhow::Result<()> {
        self.machine.until("the adapter is plugged in", PATIENCE, |machine| {
            Ok(machine.run("ls /dev/serial/by-id/* 2>/dev/null || true")?.starts_with("/dev").then_some(()))
        })?;
        let said = self.machine.run("tilth-agent init --zone tower-1 --for 6s")?;
        ensure!(said.contains("with 1 sensor"), "init did not find the board: {said}");
        self.write_rule()?;
        let code =
            text(&self.call_hub("device enroll --client acme --device pi-7 --ca /etc/tilth-hub/hub.pem")?["code"]);
        self.machine.run(&format!("echo {code} | tilth-agent enroll --hub https://localhost:8443 --code -"))?;
        self.machine.run("systemctl start tilth-agent")?;
        Ok(())
    }

    /// The rule of the trial, which takes effect as it is saved.
    pub(crate) fn write_rule(&mut self) -> anyhow::Result<()> {
        self.machine.run(&format!("cat >/etc/tilth/config.d/trial.toml <<'END'\n{RULE}END\ntilth-agent check"))?;
        Ok(())
    }

    /// What a command of the hub in the machine prints with `--json`.
    fn call_hub(&mut self, command: &str) -> anyhow::Result<Value> {
        let said = self.machine.run(&format!("runuser -u tilth-hub -- tilth-hub {command} --json"))?;
        serde_json::from_str(&said).with_context(|| format!("no object: {said}"))
    }

    /// Waits until the agent has a new reading; its process.
    pub(crate) fn watches(&mut self) -> anyhow::Result<u64> {
        self.machine.until("the agent has a new reading", PATIENCE, |machine| {
            let is_new = |row: &Value| {
                row["sensor"] == "tower-1/ph"
                    && row["quality"] == "good"
                    && row["age_s"].as_f64().is_some_and(|age| age < 5.0)
            };
            let process = process(machine)?;
            let reads = rows(machine, "sensors")?.iter().any(is_new);
            Ok((process != 0 && reads).then_some(process))
        })
    }

    /// Waits until systemd has started another agent in place of a process; its process.
    pub(crate) fn watches_in_place_of(&mut self, before: u64, patience: Duration) -> anyhow::Result<u64> {
        self.machine.until("systemd has started the agent again", patience, |machine| {
            let process = process(machine)?;
            Ok((process != 0 && process != before).then_some(()))
        })?;
        self.watches()
    }

    /// Lets the board measure too much, and back: an alert fires here and at the hub, and is over there. How long after the reading it was
    /// seen at the hub.
    pub(crate) fn alert(&mut self) -> anyhow::Result<Duration> {
        self.machine.board.measures(HIGH);
        let began = Instant::now();
        self.machine.until("the alert fires", PATIENCE, |machine| {
            Ok(rows(machine, "alerts")?.iter().any(is_ours).then_some(()))
        })?;
        let hub = &self.hub;
        self.machine.until("the alert is at the hub", PATIENCE, |machine| {
            Ok(hub.alerts(machine)?.iter().any(is_open).then_some(()))
        })?;
        let took = began.elapsed();
        self.machine.board.measures(LOW);
        self.machine.until("the alert is over at the hub", PATIENCE, |machine| {
            Ok((!hub.alerts(machine)?.iter().any(is_open)).then_some(()))
        })?;
        self.alerts += 1;
        self.has_all()?;
        Ok(took)
    }

    /// Checks that agent and hub have each alert so far, once. After a start the agent asks the hub for the time of day, before which it finds
    /// nothing of the last days.
    pub(crate) fn has_all(&mut self) -> anyhow::Result<()> {
        let (hub, alerts) = (&self.hub, self.alerts);
        let mut found = String::new();
        let has_all = self.machine.until("agent and hub have each alert once", PATIENCE, |machine| {
            let here: Vec<Value> = rows(machine, "alerts --since 7d")?.into_iter().filter(is_ours).collect();
            let there = hub.alerts(machine)?;
            found = format!("the agent has {here:?}, the hub {there:?}");
            Ok((here.len() == alerts && there.len() == alerts).then_some(()))
        });
        has_all.with_context(|| format!("{alerts} alerts happened; {found}"))
    }

    /// Which package of the agent dpkg has, and how far it is installed.
    pub(crate) fn installed(&mut self) -> anyhow::Result<String> {
        self.machine.run("dpkg-query -W -f '${Status} ${Version}' tilth-agent")
    }

    /// SHA-256 of the program that a process runs.
    pub(crate) fn program(&mut self, process: u64) -> anyhow::Result<String> {
        let said = self.machine.run(&format!("sha256sum </proc/{process}/exe"))?;
        Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Paths, modes and owners of the machine's files.
    pub(crate) fn files(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(self.machine.run(FILES)?.lines().map(str::to_owned).collect())
    }

    /// What is left of the packages beside files; nothing after a purge.
    pub(crate) fn left(&mut self) -> anyhow::Result<String> {
        self.machine.run(
            "systemctl list-unit-files --no-legend 'tilth*' || true
systemctl list-units --all --no-legend --plain 'tilth*' || true
getent passwd tilth tilth-hub || true
getent group tilth tilth-hub || true
ls -d /run/tilth* /run/systemd/system/tilth* 2>/dev/null || true
ls -l /proc/[0-9]*/exe 2>/dev/null | grep tilth || true",
        )
    }

    /// What helps to see why something is not as it should.
    pub(crate) fn last_words(&mut self) -> String {
        let console = self.machine.console();
        let said = self.machine.run(
            "systemctl --no-pager --full status tilth-agent tilth-hub || true
journalctl --no-pager -n 40 -u tilth-agent -u tilth-hub || true
tilth-agent status || true; tilth-agent sensors || true; dpkg --audit || true",
        );
        format!("{console}\n---\n{}", said.unwrap_or_else(|error| format!("{error:#}")))
    }
}

impl Hub {
    /// Alerts of the rule at the hub, of every state; nothing while it does not answer.
    fn alerts(&self, machine: &mut Machine) -> anyhow::Result<Vec<Value>> {
        let call = |read_key: &str, port: u16, ca: &str| {
            format!(
                "curl -s --cacert {ca} -H 'X-Device-Key: {read_key}' \
                 'https://localhost:{port}/api/alerts?state=all&limit=5000' || true"
            )
        };
        let said = match self {
            Hub::InMachine { read_key } => machine.run(&call(read_key, 8443, "/etc/tilth-hub/hub.pem"))?,
            Hub::Here { read_key, port, ca } => {
                let call = call(read_key, *port, &ca.display().to_string());
                String::from_utf8(Command::new("sh").args(["-c", &call]).output()?.stdout)?
            }
        };
        let page: Value = serde_json::from_str(&said).unwrap_or_default();
        if said.contains("\"error\"") {
            bail!("the hub: {said}");
        }
        Ok(page["alerts"].as_array().into_iter().flatten().filter(|row| is_ours(row)).cloned().collect())
    }
}

/// The agent's main process; 0 while there is none.
fn process(machine: &mut Machine) -> anyhow::Result<u64> {
    Ok(machine.run("systemctl show -p MainPID --value tilth-agent")?.parse()?)
}

/// What a command of the agent prints with `--json`; nothing while no agent answers.
fn rows(machine: &mut Machine, command: &str) -> anyhow::Result<Vec<Value>> {
    let said = machine.run(&format!("timeout 10 tilth-agent {command} --json 2>/dev/null || true"))?;
    Ok(said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn is_ours(row: &Value) -> bool {
    row["rule"] == "ph-high" && row["state"] != "pending"
}

fn is_open(row: &Value) -> bool {
    row["open"] == true
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
