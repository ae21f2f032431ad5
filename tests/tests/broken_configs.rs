//! Broken configurations through the real program: everything that is wrong with each is said, and nothing is run.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tilth_tests::agent::{Run, program, run};

/// Each a folder with a configuration, and in `expected.txt` all that is said of it.
fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(tilth_tests::workspace().join("config/tests/broken")).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn agent(command: &str, config: &Path, options: &[&str]) -> Run {
    let mut call = Command::new(program());
    call.arg(command).arg("--config").arg(config).args(options);
    run(call, b"time,sensor,value\n")
}

fn count(expected: &str, level: &str) -> usize {
    expected.lines().filter(|line| line.contains(&format!(": {level}: "))).count()
}

/// What `check` finds beyond what is expected: ports and secrets that this machine does not have.
fn of_this_machine<'a>(findings: &'a str, expected: &str, case: &Path) -> Vec<&'a str> {
    let rest = findings.strip_prefix(expected.trim_end());
    let rest = rest.unwrap_or_else(|| panic!("{}: not as expected:\n{findings}", case.display()));
    let rest: Vec<&str> = rest.lines().filter(|line| !line.is_empty()).collect();
    for line in &rest {
        assert!(line.contains(": warning: ") && line.contains(": there is no "), "{}: {line}", case.display());
    }
    rest
}

#[test]
fn check_says_all_that_is_wrong_and_ends_with_2() {
    let mut refused = 0;
    for case in cases() {
        let expected = fs::read_to_string(case.join("expected.txt")).unwrap();
        let (errors, warnings) = (count(&expected, "error"), count(&expected, "warning"));
        let run = agent("check", &case, &[]);
        let (findings, summary) = run.out.trim_end().rsplit_once('\n').unwrap();
        let warnings = warnings + of_this_machine(findings, &expected, &case).len();
        let ending = |count: usize| if count == 1 { "" } else { "s" };
        let counts = format!("{errors} error{}, {warnings} warning{}", ending(errors), ending(warnings));
        assert!(summary.ends_with(&counts), "{}: {summary}", case.display());
        assert_eq!(run.code, Some(if errors > 0 { 2 } else { 0 }), "{}", case.display());
        assert_eq!(run.err, "", "{}", case.display());
        refused += usize::from(errors > 0);
    }
    assert!(refused >= 12, "{refused} configurations with errors");
}

#[test]
fn check_says_the_same_as_json() {
    for case in cases() {
        let expected = fs::read_to_string(case.join("expected.txt")).unwrap();
        let run = agent("check", &case, &["--json"]);
        let lines: Vec<serde_json::Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (summary, findings) = lines.split_last().unwrap();
        let lacks = |finding: &&serde_json::Value| finding["message"].as_str().unwrap().starts_with("there is no /");
        let lacking = findings[expected.lines().count()..].iter().filter(lacks).count();
        assert_eq!(findings.len(), expected.lines().count() + lacking, "{}", case.display());
        for (finding, line) in findings.iter().zip(expected.lines()) {
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            let said = line.starts_with(&text("file"))
                && [text("path"), text("message")].iter().all(|part| line.contains(part));
            assert!(said && !text("message").is_empty(), "{}: {finding} is not {line}", case.display());
        }
        assert_eq!(summary["errors"], count(&expected, "error"), "{}", case.display());
        assert_eq!(summary["warnings"], count(&expected, "warning") + lacking, "{}", case.display());
    }
}

/// What concerns the machine and its lines does not matter to a replay, so it may find less than `check`, and nothing else.
#[test]
fn replay_refuses_what_is_wrong_with_2_and_runs_nothing() {
    let mut refused = 0;
    for case in cases() {
        let expected = fs::read_to_string(case.join("expected.txt")).unwrap();
        let run = agent("replay", &case, &["--input", "-", "--json"]);
        let findings = run.err.lines().filter(|line| line.contains(": error: "));
        let errors: Vec<&str> = findings.inspect(|line| assert!(expected.contains(*line), "{line}")).collect();
        // A recording without readings is a failure of another kind.
        assert_eq!(run.code, Some(if errors.is_empty() { 1 } else { 2 }), "{}: {}", case.display(), run.err);
        assert_eq!(run.out, "", "{}", case.display());
        refused += usize::from(!errors.is_empty());
    }
    assert!(refused >= 12, "{refused} configurations with errors");
}
