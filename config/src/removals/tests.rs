use super::*;
use crate::{Documents, Purpose, load_documents};

const FARM: &str = "
    [agent]
    timezone = 'Europe/Amsterdam'
    [schedules.day]
    from = '05:00'
    [sensors.'a/ph']
    quantity = 'ph'
    input = 'line:gateway/ph'
    [sensors.'b/ph']
    quantity = 'ph'
    input = 'line:gateway/ph2'
    calibration = { offset = 0.2 }
    [rules.ph-high]
    above = 6.6
    clear = 6.5
    during = 'day'
    [rules.ph-low]
    below = 5.0
    [zones.b.rules.ph-low]
    enabled = false
    ";

/// Overrides what the base or another file says.
const LIMITS: &str = "
    [rules.ph-high]
    above = 6.0
    clear = 5.9
    [rules.temperature-high]
    above = 20
    clear = 19
    for = '0s'
    [sensors.'b/ph']
    calibration.offset = 0.3
    max_rate = 9
    [escalation.default]
    warning.wait = '1m'
    warning.channels = ['log', 'phone']
    [notifications.phone]
    kind = 'ntfy'
    url = 'https://ntfy.example'
    topic = 'farm-8c1d'
    [zones.b.rules.ph-high]
    above = 6.1
    ";

const AGENT_TOML_TEXT: &str = "
    [device]
    id = 'pi-1'
    [bus.gateway]
    kind = 'line'
    port = '/dev/ttyUSB0'
    baud = 9600
    ";

fn files(named: &[(&str, &str)]) -> Files {
    let mut documents = crate::base();
    for (name, text) in named.iter().filter(|(name, _)| *name != AGENT_TOML) {
        documents.layers.push(Document::toml(Layer::ConfigD, &format!("config.d/{name}"), text));
    }
    let agent_toml = named.iter().find(|(name, _)| *name == AGENT_TOML).map(|(_, text)| Document::agent_toml(text));
    Files::of(&load_documents(Documents { agent_toml, ..documents }, Purpose::Run))
}

#[track_caller]
fn check(now: &[(&str, &str)], expected: &[&str]) {
    let before = files(&[(AGENT_TOML, AGENT_TOML_TEXT), ("10-farm.toml", FARM), ("20-limits.toml", LIMITS)]);
    assert_eq!(files(now).removed_since(&before), expected, "{now:?}");
}

#[test]
fn what_one_file_alone_said_is_missed() {
    let lacks = |farm: &str, expected: &[&str]| {
        assert_eq!(files(&[("a.toml", farm)]).removed_since(&files(&[("a.toml", FARM)])), expected, "{farm}");
    };
    lacks(FARM, &[]);
    lacks(&FARM.replace("6.6", "6.9").replace("[zones.b.", "[sensors.'c/ph']\nquantity = 'ph'\n[zones.b."), &[]);
    // The shipped rule has another one.
    lacks(&FARM.replace("clear = 6.5\n", ""), &["rules.ph-high.clear"]);
    lacks(&FARM.replace("during = 'day'\n", ""), &["rules.ph-high.during"]);
    // The shipped rule has the same.
    lacks(&FARM.replace("below = 5.0\n", ""), &[]);
    lacks(
        FARM.split_once("[rules.ph-high]").unwrap().0,
        &["rules.ph-high.above", "rules.ph-high.clear", "rules.ph-high.during", "zones"],
    );
    lacks(&FARM.replace("'b/ph'", "'b/acid'"), &["sensors.\"b/ph\""]);
    let fewer = "[escalation.default]\nwarning.channels = []\n";
    lacks(&format!("{FARM}{fewer}"), &["escalation.default.warning.channels"]);
}

#[test]
fn what_overrides_another_file_or_the_base_is_missed() {
    let (agent_toml, farm) = ((AGENT_TOML, AGENT_TOML_TEXT), ("10-farm.toml", FARM));
    let all = [
        "escalation.default.warning.channels",
        "escalation.default.warning.wait",
        "notifications.phone",
        "rules.ph-high.above",
        "rules.ph-high.clear",
        "rules.temperature-high.above",
        "rules.temperature-high.clear",
        "rules.temperature-high.for",
        "sensors.\"b/ph\".calibration.offset",
        "sensors.\"b/ph\".max_rate",
        "zones.b.rules.ph-high",
    ];
    check(&[agent_toml, farm], &all);
    for piece in ["", "# edited\n", "[rules.co2-high]\nabove = 1300\n"] {
        check(&[agent_toml, farm, ("20-limits.toml", piece)], &all);
    }
    check(
        &[agent_toml, farm, ("20-limits.toml", &LIMITS.replace("max_rate = 9\n", ""))],
        &["sensors.\"b/ph\".max_rate"],
    );
    // The address of a topic is shown nowhere; that it is removed is shown.
    let other =
        ("05-phone.toml", "[notifications.phone]\nkind = 'ntfy'\nurl = 'https://ntfy.example'\ntopic = 'office'\n");
    let without = LIMITS.replace("topic = 'farm-8c1d'", "");
    check(&[agent_toml, other, farm, ("20-limits.toml", &without)], &["notifications.phone.topic"]);
}

#[test]
fn what_is_moved_to_another_file_or_only_changed_is_not_missed() {
    let (agent_toml, farm, limits) =
        ((AGENT_TOML, AGENT_TOML_TEXT), ("10-farm.toml", FARM), ("20-limits.toml", LIMITS));
    check(&[agent_toml, farm, limits], &[]);
    check(&[agent_toml, farm, ("30-limits.toml", LIMITS)], &[]);
    check(&[agent_toml, ("10-all.toml", &[FARM, "# and\n"].concat()), limits], &[]);
    check(&[agent_toml, farm, ("20-limits.toml", &LIMITS.replace("20", "21").replace("9\n", "8\n"))], &[]);
    check(&[agent_toml, farm, limits, ("30-more.toml", "[rules.temperature-high]\nabove = 25\n")], &[]);
    check(&[agent_toml, farm, ("20-limits.toml", &format!("\n\n# spring\n{LIMITS}"))], &[]);
}

#[test]
fn what_a_technician_said_is_missed() {
    let (farm, limits) = (("10-farm.toml", FARM), ("20-limits.toml", LIMITS));
    check(
        &[(AGENT_TOML, &AGENT_TOML_TEXT.replace("baud = 9600\n", "")), farm, limits],
        &["agent.toml: bus.gateway.baud"],
    );
    check(&[(AGENT_TOML, &AGENT_TOML_TEXT.replace("9600", "19200")), farm, limits], &[]);
    check(&[(AGENT_TOML, "# soon\n"), farm, limits], &["agent.toml: bus", "agent.toml: device"]);
}

/// While a hub's bundle rules, what lies in `config.d` means nothing.
#[test]
fn of_files_that_are_not_merged_only_those_of_the_site_are_held_against_each_other() {
    let load = |agent_toml: &str| {
        let documents = Documents { agent_toml: Some(Document::agent_toml(agent_toml)), ..crate::base() };
        Files::of_agent_toml(&load_documents(documents, Purpose::Run))
    };
    let before = files(&[(AGENT_TOML, AGENT_TOML_TEXT), ("10-farm.toml", FARM)]);
    assert_eq!(load(AGENT_TOML_TEXT).removed_since(&before), [""; 0]);
    let cut = load(&AGENT_TOML_TEXT.replace("baud = 9600\n", ""));
    assert_eq!(cut.removed_since(&before), ["agent.toml: bus.gateway.baud"]);
    assert_eq!(cut.removed_since(&load(AGENT_TOML_TEXT)), ["agent.toml: bus.gateway.baud"]);
}
