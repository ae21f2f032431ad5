//! Ports and I2C buses: whether each is there, may be used, and is free.

use super::super::facts::{Account, Found, I2cFacts, PortFact, PortKind};
use super::super::{Check, Finding};
use super::access::{READ, WRITE, denied, group_name};
use crate::console::listed;

/// What opens every modem that is plugged in, and keeps it.
pub(super) const MODEM_MANAGER: &str = "ModemManager";

pub(super) fn finding(port: &PortFact, account: &Account, i2c: &I2cFacts) -> Finding {
    let check = if port.kind == PortKind::I2c { Check::I2c } else { Check::Port };
    let at = format!("{} ({})", port.path, port.key);
    let nodes = match &port.found {
        Found::There(nodes) => nodes,
        Found::Absent => {
            let fix = if port.kind == PortKind::I2c { turn_on(i2c) } else { plug_in(port) };
            return Finding::fault(check, &at, "there is no such device", fix);
        }
        Found::Unseen => {
            return Finding::warning(check, &at, "you may not look at it", "sudo tilth-agent doctor");
        }
    };
    if let Some((message, expected)) = &port.wrong {
        return Finding::fault(check, &at, message, expected);
    }
    if let Some((path, node, _)) = denied(account, nodes, READ | WRITE) {
        let is_of_group = node.mode & 0o060 == 0o060;
        let (name, path) = (&account.name, path.display());
        let fix = match (is_of_group, account.group_names.get(&node.gid)) {
            (true, Some(group)) => format!("sudo usermod -aG {group} {name}, then restart the agent"),
            _ => format!("sudo chgrp dialout {path} && sudo chmod 660 {path}; a udev rule makes it last"),
        };
        let message = format!(
            "the agent's user {name} may not open it (group {}, mode {:04o})",
            group_name(account, node.gid),
            node.mode & 0o777
        );
        return Finding::fault(check, &at, message, fix);
    }
    let holders = listed(port.holders.iter().map(|(process, name)| format!("{name}, process {process}")), 3);
    let close = || {
        if port.holders.iter().any(|(_, name)| name == MODEM_MANAGER) {
            return "sudo systemctl mask --now ModemManager, for it comes back after a kill; /usr/share/doc/tilth-agent/channels.md says how it stays for another stick"
                .to_owned();
        }
        let processes: Vec<String> = port.holders.iter().map(|(process, _)| process.to_string()).collect();
        format!("close it, or: sudo kill {}", processes.join(" "))
    };
    match (port.has_agent, port.holders.is_empty(), &port.opened) {
        (true, true, _) => Finding::ok(check, &at, "the agent has it open"),
        (true, false, _) => {
            let message = format!("another program has it open beside the agent and takes what comes: {holders}");
            Finding::warning(check, &at, message, close())
        }
        (false, false, _) => Finding::fault(check, &at, format!("another program has it open: {holders}"), close()),
        (false, true, Some(Err(why))) => Finding::fault(check, &at, why, "unplug the adapter and plug it in again"),
        (false, true, Some(Ok(()))) => Finding::ok(check, &at, "opens"),
        (false, true, None) => match &port.down {
            Some(why) => Finding::fault(check, &at, why, "tilth-agent status says more about the bus"),
            None => Finding::ok(check, &at, "there, and the agent's user may open it"),
        },
    }
}

fn plug_in(port: &PortFact) -> String {
    match &port.others[..] {
        [] => "plug its adapter in, with a cable that carries data; sudo dmesg | tail says what the machine finds"
            .to_owned(),
        others => format!("plug its adapter in, or name one that is there in agent.toml: {}", listed(others, 4)),
    }
}

/// How the I2C bus of a Pi is turned on.
fn turn_on(i2c: &I2cFacts) -> String {
    match i2c {
        I2cFacts { devices, .. } if !devices.is_empty() => {
            format!("name a bus that is there in agent.toml: {}", listed(devices, 4))
        }
        I2cFacts { config_txt: Some((file, false)), .. } => {
            format!("sudo raspi-config nonint do_i2c 0, or dtparam=i2c_arm=on in {file}; then sudo reboot")
        }
        _ => {
            "sudo modprobe i2c-dev, and echo i2c-dev | sudo tee /etc/modules-load.d/i2c.conf to make it last".to_owned()
        }
    }
}
