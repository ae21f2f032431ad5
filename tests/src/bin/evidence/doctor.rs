//! `tilth-agent doctor` on set-ups that are really broken: each must be named, with its fix and nothing else beside it, and a healthy one must
//! have no fault. Agent, hub with TLS, serial line and disks are real.
//!
//! The saboteur takes the fixes away from what doctor says.

mod bench;
mod broken;

use std::time::Instant;

use anyhow::{bail, ensure};
use serde_json::Value;

use self::bench::Bench;
use self::broken::{BROKEN, Broken};
use crate::{Outcome, Run, outcome};

pub(crate) fn measure(run: Run) -> Outcome {
    let began = Instant::now();
    match measured(run) {
        Ok((faults, short)) => {
            let took = began.elapsed().as_secs_f64();
            let figures = format!(
                "{} broken set-ups, {faults} faults named with their fixes; a healthy one without a fault; {took:.0} s",
                BROKEN.len()
            );
            outcome(figures, &short)
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

/// How many faults were named, and what fell short.
fn measured(run: Run) -> anyhow::Result<(usize, Vec<String>)> {
    let mut short = Vec::new();
    if let Err(why) = healthy() {
        short.push(format!("healthy: {why:#}"));
    }
    let mut faults = 0;
    for broken in BROKEN {
        match named(broken, run.sabotage) {
            Ok(count) => faults += count,
            Err(why) => short.push(format!("{}: {why:#}", broken.name)),
        }
    }
    ensure!(faults > 0 || !short.is_empty(), "nothing was broken");
    Ok((faults, short))
}

fn healthy() -> anyhow::Result<()> {
    let mut bench = Bench::new("healthy")?;
    bench.start()?;
    let (code, findings) = bench.doctor()?;
    println!("healthy: {} findings", findings.len());
    let bad: Vec<&Value> = findings.iter().filter(|finding| finding["level"] == "fault").collect();
    ensure!(bad.is_empty() && code == Some(0), "exit code {code:?}, {bad:?}");
    for check in ["agent", "configuration", "permission", "file", "port", "clock", "disk", "hub"] {
        ensure!(findings.iter().any(|finding| finding["check"] == check), "nothing is said of {check}");
    }
    Ok(())
}

/// How many faults of a broken set-up were named, which are all that it has.
fn named(broken: &Broken, sabotage: bool) -> anyhow::Result<usize> {
    let mut bench = Bench::new(broken.name)?;
    (broken.make)(&mut bench)?;
    let (code, mut findings) = bench.doctor()?;
    findings.retain(|finding| finding["level"] == "fault");
    if sabotage {
        findings.iter_mut().for_each(|finding| finding["fix"] = Value::Null);
    }
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    for finding in &findings {
        println!(
            "{}: {}: {}; fix: {}",
            broken.name,
            text(finding, "at"),
            text(finding, "message"),
            text(finding, "fix")
        );
    }
    for expected in broken.faults {
        let is_it = |finding: &&Value| {
            finding["check"] == expected.check
                && text(finding, "message").contains(expected.message)
                && text(finding, "fix").contains(expected.fix)
        };
        if !findings.iter().any(|finding| is_it(&finding)) {
            bail!("not named: {} \"{}\" with \"{}\"", expected.check, expected.message, expected.fix);
        }
    }
    ensure!(findings.len() == broken.faults.len(), "{} faults, expected {}", findings.len(), broken.faults.len());
    ensure!(code == Some(broken.code), "exit code {code:?}, expected {}", broken.code);
    Ok(findings.len())
}
