//! Lines are watched like sensors: who tells of one that is down while its sensors' alerts are inhibited.

use tilth_config::{Document, Documents, Layer, Loaded, Purpose, base, load_documents};
use tilth_core::plan::Severity;
use tilth_core::rules::Condition;
use tilth_core::time::Span;

fn load(farm: &str, purpose: Purpose) -> Loaded {
    let agent_toml = "
        [device]
        id = 'pi'
        [bus.gateway]
        kind = 'line'
        port = 'a'
        [bus.spare]
        kind = 'line'
        port = 'b'
    ";
    let Documents { mut layers, .. } = base();
    layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", farm));
    load_documents(Documents { layers, agent_toml: Some(Document::agent_toml(agent_toml)) }, purpose)
}

const ROOM: &str = "
    [sensors.'room/temp']
    quantity = 'temperature'
    input = 'line:gateway/temp'
    [sensors.'room/door']
    quantity = 'contact'
    input = 'line:gateway/door'
    [sensors.'room/old']
    quantity = 'temperature'
    input = 'line:spare/temp'
    enabled = false
    [sensors.'pi/load']
    quantity = 'count'
    resolution = 0.01
    input = 'host:load'
    interval = '1m'
";

fn bus_rules(loaded: &Loaded) -> Vec<String> {
    let plan = loaded.plan.as_ref().unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let rules = plan.rules().map(|rule| rule.key.to_string());
    rules.filter(|rule| rule.contains(" bus/")).collect()
}

#[test]
fn a_line_that_a_sensor_is_on_is_watched_when_the_farm_runs() {
    let loaded = load(ROOM, Purpose::Run);
    let both = ["bus bus-down bus/gateway", "bus bus-silent bus/gateway"];
    assert_eq!(bus_rules(&loaded), both, "no other shipped rule watches it, and none the spare one");
    let plan = loaded.plan.unwrap();
    let sensor = plan.sensor(plan.sensor_ix("bus/gateway").unwrap());
    assert_eq!((&sensor.bus, sensor.stale_after, sensor.range), (&None, None, None));
    let rule = plan.rules().find(|rule| rule.key.rule.as_str() == "bus-down").unwrap();
    assert_eq!(rule.condition, Condition::Below { limit: 1.0, clear: 1.0 });
    assert_eq!((rule.hold, rule.severity), (Span::from_mins(1), Severity::Critical));
    assert_eq!(bus_rules(&load(ROOM, Purpose::Check)), both);
    assert_eq!(bus_rules(&load(ROOM, Purpose::Replay)), Vec::<String>::new());
}

/// Guards against: a board that only switches relays, whose pumps stay off and whose siren is mute without anybody being told.
#[test]
fn a_line_that_only_an_actuator_is_on_is_watched_as_well() {
    let of = |enabled: bool| {
        let agent_toml =
            "[device]\nid = 'pi'\n[bus.gateway]\nkind = 'line'\nport = 'a'\n[bus.relays]\nkind = 'board'\nport = 'b'\n";
        let horn = format!(
            "[actuators.horn]\nzone = 'room'\noutput = 'board:relays/relay-1'\nmax_on = '1m'\nenabled = {enabled}\n"
        );
        let Documents { mut layers, .. } = base();
        let room = "[sensors.'room/temp']\nquantity = 'temperature'\ninput = 'line:gateway/temp'\n";
        layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &format!("{room}{horn}")));
        let documents = Documents { layers, agent_toml: Some(Document::agent_toml(agent_toml)) };
        bus_rules(&load_documents(documents, Purpose::Run))
    };
    let gateway = ["bus bus-down bus/gateway", "bus bus-silent bus/gateway"];
    assert_eq!(of(true), [gateway[0], "bus bus-down bus/relays", gateway[1]], "it has no sensor that could be silent");
    assert_eq!(of(false), gateway);
}

#[test]
fn what_is_said_of_a_line_can_be_set() {
    let loaded = load(&format!("agent.bus_down = {{ for = '5m', severity = 'urgent' }}\n{ROOM}"), Purpose::Run);
    let plan = loaded.plan.unwrap();
    let rule = plan.rules().find(|rule| rule.key.rule.as_str() == "bus-down").unwrap();
    assert_eq!((rule.hold, rule.severity), (Span::from_mins(5), Severity::Urgent));
    let off = load(&format!("agent.bus_down.enabled = false\n{ROOM}"), Purpose::Run);
    assert_eq!(bus_rules(&off), ["bus bus-silent bus/gateway"]);
    let off = load(&format!("agent.bus_silent.enabled = false\n{ROOM}"), Purpose::Run);
    assert_eq!(bus_rules(&off), ["bus bus-down bus/gateway"]);
    let wrong = load(&format!("agent.bus_down.escalation = 'nobody'\n{ROOM}"), Purpose::Run);
    assert!(wrong.diagnostics[0].to_string().contains("nobody"), "{:?}", wrong.diagnostics);
}

/// Three times the shortest interval, at least a minute, and not later than the first rule that would tell of a sensor.
#[test]
fn a_line_is_silent_after_what_its_sensors_say() {
    let interval = |of: &str, interval: &str| format!("[sensors.'room/{of}']\ninterval = '{interval}'\n");
    let silent = "[rules.sensor-silent]\n";
    for (more, expected) in [
        (String::new(), Some(Span::from_mins(15))),
        (interval("temp", "2s"), Some(Span::from_mins(1))),
        (interval("temp", "10m") + &interval("door", "30s"), Some(Span::from_secs(90))),
        (interval("old", "2s"), Some(Span::from_mins(15))),
        (interval("temp", "10m"), Some(Span::from_mins(15))),
        (interval("temp", "4m") + silent + "enabled = false\n", Some(Span::from_mins(12))),
        (silent.to_owned() + "missing_for = '20s'\n", Some(Span::from_mins(1))),
        (silent.to_owned() + "enabled = false\n", None),
    ] {
        // A second file says more of the same sensors.
        let agent_toml =
            "[device]\nid = 'pi'\n[bus.gateway]\nkind = 'line'\nport = 'a'\n[bus.spare]\nkind = 'line'\nport = 'b'\n";
        let Documents { mut layers, .. } = base();
        layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", ROOM));
        layers.push(Document::toml(Layer::ConfigD, "config.d/more.toml", &more));
        let loaded =
            load_documents(Documents { layers, agent_toml: Some(Document::agent_toml(agent_toml)) }, Purpose::Run);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{more}: {:?}", loaded.diagnostics));
        let rule = plan.rules().find(|rule| rule.key.rule.as_str() == "bus-silent");
        let after = rule.map(|rule| match rule.condition {
            Condition::MissingFor(span) => span,
            ref other => panic!("{other:?}"),
        });
        assert_eq!(after, expected, "{more}");
        let within =
            plan.sensors().iter().filter(|sensor| sensor.bus.is_some()).filter_map(|sensor| sensor.heard_within);
        assert_eq!(within.min(), expected, "the soonest of its sensors: {more}");
    }
}

#[test]
fn a_hub_is_watched_where_there_is_one_and_the_farm_runs() {
    let of = |hub: &str, farm: &str, purpose| {
        let agent_toml =
            format!("[device]\nid = 'pi'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = 'a'\n{hub}");
        let Documents { mut layers, .. } = base();
        let room = "sensors.'room/temp' = { quantity = 'temperature', input = 'line:gateway/temp' }\n";
        layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &format!("{room}{farm}")));
        let loaded = load_documents(Documents { layers, agent_toml: Some(Document::agent_toml(&agent_toml)) }, purpose);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let rules: Vec<String> =
            plan.rules().map(|rule| rule.key.to_string()).filter(|rule| rule.contains(" hub/")).collect();
        (plan.sensor_ix("hub/accepts").is_some(), rules)
    };
    let hub = "[hub]\nurl = 'https://hub.example'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'\n";
    assert_eq!(of(hub, "", Purpose::Run), (true, vec!["hub hub-refuses hub/accepts".to_owned()]));
    assert_eq!(of(hub, "agent.hub_refuses.enabled = false", Purpose::Run), (true, Vec::new()));
    assert_eq!(of("", "", Purpose::Run), (false, Vec::new()));
    assert_eq!(of(hub, "", Purpose::Replay), (false, Vec::new()));
}

#[test]
fn dosing_is_watched_where_an_actuator_has_a_total() {
    let of = |more: &str, purpose| {
        let agent_toml = "[device]\nid = 'pi'\n[bus.gateway]\nkind = 'board'\nport = 'a'\n";
        let Documents { mut layers, .. } = base();
        let acid = "[sensors.'tank/ph']\nquantity = 'ph'\ninput = 'board:gateway/0'\n[actuators.acid]\nzone = 'tank'\noutput = 'board:gateway/relay-1'\nmax_on = '3s'\n";
        layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &format!("{acid}{more}")));
        let loaded = load_documents(Documents { layers, agent_toml: Some(Document::agent_toml(agent_toml)) }, purpose);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        plan.rules().map(|rule| rule.key.to_string()).filter(|rule| rule.contains("dosing")).collect::<Vec<String>>()
    };
    let total = "dose_per_hour = '9s'\n";
    assert_eq!(of(total, Purpose::Run), ["agent dosing-stopped agent/doses"]);
    assert_eq!(of(&format!("{total}[agent.dosing_stopped]\nenabled = false\n"), Purpose::Run), [""; 0]);
    assert_eq!(of("", Purpose::Run), [""; 0]);
    assert_eq!(of(total, Purpose::Replay), [""; 0]);
}

/// Channels that tell of a modem that fails: at each level the other channels, or all others where the level names the modem alone.
#[test]
fn a_modem_is_watched_and_its_alert_goes_to_the_other_channels() {
    let modem = "
        [notifications.sms]
        kind = 'modem'
        port = '/dev/ttyUSB2'
        numbers = ['+4915112345678']
        [notifications.phone]
        kind = 'ntfy'
        url = 'https://ntfy.example'
        topic = 'farm'
        [escalation.default]
        critical = { wait = '10m', channels = ['phone', 'sms'] }
        urgent = { wait = '10m', channels = ['sms'] }
    ";
    let loaded = load(&format!("{ROOM}{modem}"), Purpose::Run);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let about_channels: Vec<_> = plan.rules().filter(|rule| rule.key.zone.as_str() == "notify").collect();
    let [rule] = about_channels[..] else { panic!("{about_channels:?}") };
    assert_eq!(rule.key.to_string(), "notify channel-down notify/sms");
    assert_eq!((rule.hold, rule.severity), (Span::from_mins(5), Severity::Critical));
    let channels = |severity| rule.escalation.level(severity).channels.iter().map(ToString::to_string).collect();
    let [critical, urgent]: [Vec<String>; 2] = [Severity::Critical, Severity::Urgent].map(channels);
    assert_eq!((critical, urgent), (vec!["phone".to_owned()], vec!["log".to_owned(), "phone".to_owned()]));
    for (more, purpose) in [("agent.channel_down.enabled = false\n", Purpose::Run), ("", Purpose::Replay)] {
        let loaded = load(&format!("{more}{ROOM}{modem}"), purpose);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        assert!(plan.rules().all(|rule| rule.key.zone.as_str() != "notify"), "{more}");
    }
}

#[test]
fn its_names_are_kept() {
    for (farm, message) in [
        (
            "sensors.'notify/x' = { quantity = 'ph', input = 'line:gateway/x' }",
            "config.d/farm.toml:1:9: error: sensors.\"notify/x\": the zone notify is kept for the channels that tell people; \
             choose another name",
        ),
        (
            "rules.channel-down = { quantity = 'ph', above = 7 }",
            "config.d/farm.toml:1:7: error: rules.channel-down: this name is kept for a channel that cannot send; set \
             agent.channel_down to change what is said then, or choose another name",
        ),
        (
            "sensors.'bus/x' = { quantity = 'ph', input = 'line:gateway/x' }",
            "config.d/farm.toml:1:9: error: sensors.\"bus/x\": the zone bus is kept for the lines that sensors are on; \
             choose another name",
        ),
        (
            "sensors.'a/x' = { quantity = 'ph', input = 'line:gateway/x', zone = 'bus' }",
            "config.d/farm.toml:1:9: error: sensors.\"a/x\": the zone bus is kept for the lines that sensors are on; \
             choose another name",
        ),
        (
            "rules.bus-down = { quantity = 'ph', above = 7 }",
            "config.d/farm.toml:1:7: error: rules.bus-down: this name is kept for a bus that is down; set agent.bus_down \
             to change what is said then, or choose another name",
        ),
        (
            "rules.bus-silent = { quantity = 'ph', above = 7 }",
            "config.d/farm.toml:1:7: error: rules.bus-silent: this name is kept for a bus that is silent; set \
             agent.bus_silent to change what is said then, or choose another name",
        ),
    ] {
        for purpose in [Purpose::Run, Purpose::Replay] {
            let said: Vec<String> = load(farm, purpose).diagnostics.iter().map(ToString::to_string).collect();
            assert!(said.iter().any(|line| line == message), "{said:?}");
        }
    }
}
