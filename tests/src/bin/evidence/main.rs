//! Measures what the documents state. `tests/evidence` holds the list of names for people, builds this and calls it.
//!
//! The last line printed is the result: `NAME: ok, FIGURES` (exit code 0) or `NAME: short, WHAT` (exit code 1).

mod arm;
mod boards;
mod doctor;
mod dosing;
mod flash;
mod footprint;
mod frames;
mod image;
mod kill;
mod latency;
mod packages;
mod process;
mod replay;
mod reproducible;
mod rules;
mod sizes;
mod vm;
mod way;
mod wire;

use std::process::ExitCode;

/// How much to do: a short run takes the same path with a smaller count.
#[derive(Clone, Copy)]
enum Length {
    Short,
    Full,
}

/// A short run, on a machine that does other things too, is held to so many times a goal; the full run to the goal.
const SHORT_TIMES: f64 = 4.0;

impl Length {
    /// What a figure that should be at most `goal` is held to.
    fn at_most(self, goal: f64) -> f64 {
        match self {
            Length::Short => SHORT_TIMES * goal,
            Length::Full => goal,
        }
    }
}

/// How it is called.
#[derive(Clone, Copy)]
struct Run {
    length: Length,
    /// Breaks what the evidence guards: it must end `short`.
    sabotage: bool,
}

/// The figures for the last line, or what fell short.
type Outcome = Result<String, String>;

/// One row: a name and what measures it.
struct Evidence {
    name: &'static str,
    measure: fn(Run) -> Outcome,
}

const EVIDENCE: &[Evidence] = &[
    Evidence { name: "replay", measure: |run| replay::measure(run.length) },
    Evidence { name: "rules", measure: |run| rules::measure(run.length) },
    Evidence { name: "way", measure: way::measure },
    Evidence { name: "kill", measure: kill::measure },
    Evidence { name: "dosing", measure: dosing::measure },
    Evidence { name: "footprint", measure: |run| footprint::measure(run.length) },
    Evidence { name: "latency", measure: |run| latency::measure(run.length) },
    Evidence { name: "frames", measure: frames::measure },
    Evidence { name: "flash", measure: flash::measure },
    Evidence { name: "boards", measure: boards::measure },
    Evidence { name: "sizes", measure: |_| sizes::measure() },
    Evidence { name: "arm", measure: |run| arm::measure(run.length) },
    Evidence { name: "packages", measure: packages::measure },
    Evidence { name: "doctor", measure: doctor::measure },
    Evidence { name: "vm", measure: vm::measure },
    Evidence { name: "image", measure: image::measure },
    Evidence { name: "reproducible", measure: |run| reproducible::measure(run.length) },
];

/// The figures, with what fell short before them.
fn outcome(figures: String, short: &[String]) -> Outcome {
    if short.is_empty() { Ok(figures) } else { Err(format!("{}; {figures}", short.join(", "))) }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, options) = match arguments[..] {
        ["--part", rules::MEMORY, rules, state] => return rules::memory_part(rules, state),
        [name, ref options @ ..] => (name, options),
        [] => return usage("expected NAME [--short] [--sabotage]"),
    };
    if let Some(unknown) = options.iter().find(|option| !["--short", "--sabotage"].contains(option)) {
        return usage(&format!("no option \"{unknown}\""));
    }
    let length = if options.contains(&"--short") { Length::Short } else { Length::Full };
    let run = Run { length, sabotage: options.contains(&"--sabotage") };
    let Some(evidence) = EVIDENCE.iter().find(|evidence| evidence.name == name) else {
        return usage(&format!("no evidence is called \"{name}\""));
    };
    short_on_panic(evidence.name);
    match (evidence.measure)(run) {
        Ok(figures) => {
            println!("{name}: ok, {figures}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("{name}: short, {what}");
            ExitCode::FAILURE
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    let names: Vec<&str> = EVIDENCE.iter().map(|evidence| evidence.name).collect();
    eprintln!("evidence: {problem}; there are: {}", names.join(", "));
    ExitCode::from(2)
}

/// A panic ends with the result line too: who reads only the last line must not miss it.
fn short_on_panic(name: &'static str) {
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print_panic(panic);
        println!("{name}: short, panicked");
        std::process::exit(1);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CI may take so many seconds in all, on two cores with nothing built.
    const CI_SECONDS: u64 = 90 * 60;

    /// The lines of a table in a script, in words.
    fn table(script: &'static str, begin: &str) -> Vec<Vec<&'static str>> {
        let lines = script.lines().skip_while(|line| *line != begin).skip(1).take_while(|line| *line != ")");
        lines
            .map(|line| line.trim().trim_matches('"').split([' ', '|']).filter(|word| !word.is_empty()).collect())
            .collect()
    }

    /// Name, figure or guard, ci or long; then a sentence.
    fn listed() -> Vec<Vec<&'static str>> {
        table(include_str!("../../../evidence"), "EVIDENCE=(")
    }

    /// Name, when, bound in seconds, function with its arguments.
    fn steps() -> Vec<Vec<&'static str>> {
        table(include_str!("../../../run"), "STEPS=(")
    }

    #[test]
    fn every_name_that_the_script_lists_is_known_here() {
        let listed: Vec<&str> = listed().iter().map(|row| row[0]).collect();
        let known: Vec<&str> = EVIDENCE.iter().map(|evidence| evidence.name).collect();
        assert_eq!(listed, known);
    }

    #[test]
    fn each_evidence_has_its_steps() {
        let mut expected = Vec::new();
        for row in listed() {
            let [name, kind, when, ..] = row[..] else { panic!("{row:?}") };
            if when == "ci" {
                expected.push(["ci", "evidence", name].join(" "));
            }
            if kind == "guard" {
                expected.push([when, "sabotage", name].join(" "));
            }
            expected.push(["long", "whole", name].join(" "));
        }
        let mut found = Vec::new();
        for row in steps().iter().filter(|row| row.len() == 5) {
            let [name, when, bound, function, argument] = row[..] else { panic!("{row:?}") };
            assert_eq!(name, [function, argument].join("-"));
            let bound: u64 = bound.parse().unwrap();
            let most = match function {
                "evidence" => 90,
                "sabotage" if when == "ci" => 30,
                _ => u64::MAX,
            };
            assert!(bound <= most, "{name}: {bound} s, expected at most {most}");
            found.push([when, function, argument].join(" "));
        }
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_bounds_of_ci_together_are_below_its_limit() {
        let steps = steps();
        let bounds = steps.iter().filter(|row| row[1] != "long").map(|row| row[2].parse::<u64>().unwrap());
        let all: u64 = bounds.sum();
        assert!(all <= CI_SECONDS, "{all} s, expected at most {CI_SECONDS}");
        assert!(steps.len() > 10 && all > 1000, "the table was not read");
    }
}
