//! `check`.

use serde_json::json;

use crate::farm::Farm;

const SENSOR: &str = "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\n";
const BUS: &str = "[device]\nid = \"pi-7\"\n[bus.gateway]\nkind = \"line\"\nport = \"/dev/ttyUSB0\"\n";

#[test]
fn a_good_configuration_is_counted() {
    let farm = Farm::empty("check-good").with("config.d/a.toml", SENSOR).with("agent.toml", BUS);
    let ran = farm.run(&["check", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(
        ran.out.starts_with("1 sensor in 1 zone, ") && ran.out.ends_with(" bound to them: 0 errors, 0 warnings\n"),
        "{}",
        ran.out
    );
    let summary = farm.run(&["check", "--config", ".", "--json"]).objects();
    assert_eq!(summary.len(), 1);
    assert_eq!(
        (&summary[0]["sensors"], &summary[0]["zones"], &summary[0]["errors"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert!(summary[0]["rules"].as_u64().is_some_and(|rules| rules > 0));
}

#[test]
fn warnings_alone_are_no_failure() {
    let farm = Farm::empty("check-warning").with("config.d/a.toml", SENSOR);
    let ran = farm.run(&["check", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.starts_with("config.d/a.toml:3:9: warning: "), "{}", ran.out);
    assert!(ran.out.ends_with(": 0 errors, 1 warning\n"), "{}", ran.out);
}

/// Guards against: a technician who is told that all is well and drives home from an agent that does not start.
#[test]
fn what_run_refuses_is_an_error_where_there_is_an_agent_toml() {
    let device = "[device]\nid = \"pi-7\"\n";
    let other_bus = BUS.replace("bus.gateway", "bus.tank");
    let no_input = "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\n";
    let of_the_future = SENSOR.replace("line:gateway/ph", "derived:vpd(a/temp, a/rh)");
    for (site, farm, expected) in [
        (
            other_bus.as_str(),
            SENSOR,
            "config.d/a.toml:3:9: error: sensors.\"tower-1/ph\".input: agent.toml names no bus",
        ),
        (device, SENSOR, "config.d/a.toml:3:9: error: sensors.\"tower-1/ph\".input: agent.toml names no bus"),
        (BUS, no_input, "config.d/a.toml:1:10: error: sensors.\"tower-1/ph\": no input, so nothing will arrive"),
        (BUS, &of_the_future, "config.d/a.toml:3:9: error: sensors.\"tower-1/ph\".input: this version does not read"),
        ("", "", "agent.toml:1:1: error: device: the table device is missing"),
    ] {
        let farm = Farm::empty("check-as-run").with("config.d/a.toml", farm).with("agent.toml", site);
        let check = farm.run(&["check", "--config", "."]);
        assert_eq!((check.code, check.err.as_str()), (Some(2), ""), "{}", check.out);
        assert!(check.out.starts_with(expected), "no {expected:?} in\n{}", check.out);
        let run = farm.run(&["run", "--config", ".", "--data", "data"]);
        assert_eq!(run.code, Some(2), "{}", run.err);
        let errors =
            |text: &str| text.lines().filter(|line| line.contains(": error: ")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(errors(&check.out), errors(&run.err));
    }
}

#[test]
fn errors_in_several_files_are_all_said() {
    let farm = Farm::empty("check-errors")
        .with("config.d/a.toml", SENSOR.to_owned() + "intervall = \"10s\"\n")
        .with("config.d/b.toml", "[rules.ph-high]\nabove = 6.8\nclear = 7.0\n")
        .with("config.d/c.toml", "[rules.ph-hgh\nabove = 1\n")
        .with("config.d/d.toml", "[rules.mine]\nsensor = \"tower-1/ph\"\nabove = 6.8\nseverity = \"warnng\"\n");
    let ran = farm.run(&["check", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(2), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    for start in [
        "config.d/a.toml:4:1: error: sensors.\"tower-1/ph\".intervall: unknown key; did you mean \"interval\"?",
        "config.d/b.toml:3:9: error: rules.ph-high.clear: ",
        "config.d/c.toml:1:14: error: not TOML: ",
        "config.d/d.toml:4:12: error: rules.mine.severity: ",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(start)), "no {start:?} in\n{}", ran.out);
    }
    assert_eq!(lines.last(), Some(&"4 errors, 0 warnings"));

    let json = farm.run(&["check", "--config", ".", "--json"]);
    assert_eq!((json.code, json.err.as_str()), (Some(2), ""));
    let objects = json.objects();
    let (summary, findings) = objects.split_last().expect("a summary");
    assert_eq!(
        *summary,
        json!({"sensors": null, "zones": null, "rules": null, "errors": 4, "bundle": null, "ignored": [], "warnings": 0})
    );
    let place = |finding: &serde_json::Value| format!("{}:{}:{}", finding["file"], finding["line"], finding["column"]);
    let places: Vec<String> = findings.iter().map(place).collect();
    assert_eq!(
        places,
        ["\"config.d/a.toml\":4:1", "\"config.d/b.toml\":3:9", "\"config.d/c.toml\":1:14", "\"config.d/d.toml\":4:12"]
    );
    assert!(findings.iter().all(|finding| finding["level"] == "error"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let ran = Farm::empty("check-nowhere").run(&["check", "--config", "nowhere"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.out,
        "nowhere: error: cannot be read: No such file or directory (os error 2)\n1 error, 0 warnings\n"
    );
}
