//! Readers and tables agree: each reads all keys of its table and no other, and takes and refuses what the table says.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use crate::namespaces::asked::ASKED;
use crate::namespaces::*;
use crate::{BusKind, Document, Documents, Layer, Level, Purpose, Text, base, load_documents, path};

fn farm() -> Json {
    json!({
        "sensors": {
            "a/ph": { "quantity": "ph", "interval": "10s", "calibration": { "gain": 1.1 } },
            "a/b": { "quantity": "ph" },
        },
        "rules": {
            "above": { "sensor": "a/ph", "above": 7, "actions": [{ "actuator": "pump", "on": "2s" }] },
            "below": { "sensor": "a/ph", "below": 7 },
            "outside": { "sensor": "a/ph", "outside": [5, 7] },
            "rate-above": { "sensor": "a/ph", "rate_above": 1 },
            "rate-below": { "sensor": "a/ph", "rate_below": -1 },
            "missing": { "sensor": "a/ph", "missing_for": "5m" },
            "stuck": { "sensor": "a/ph", "stuck_for": "5m" },
            "by": { "sensor": "a/ph", "differs_from": "a/b", "by": 0.3 },
            "percent": { "sensor": "a/ph", "differs_from": "a/b", "by_percent": 5 },
        },
        "notifications": {
            "modem": { "kind": "modem", "port": "/dev/modem", "numbers": ["+49 151 12345678"], "pin": "secret:sim" },
            "ntfy": { "kind": "ntfy", "url": "https://ntfy.example", "topic": "farm" },
            "siren": { "kind": "siren", "actuator": "horn", "urgent": { "on": "2s", "off": "0s" } },
            "webhook": { "kind": "webhook", "url": "https://office.example", "secret": "secret:office" },
        },
        "schedules": { "lamps": { "from": "04:00", "to": "22:00", "days": ["mon"] } },
        "actuators": {
            "horn": { "zone": "a", "output": "board:board/relay-2", "max_on": "2m" },
            "pump": {
                "zone": "a",
                "output": "board:board/relay-1",
                "max_on": "3s",
                "target": { "sensor": "a/ph", "on_below": 5, "off_above": 6, "during": "lamps" },
            },
        },
        "agent": { "timezone": "Europe/Amsterdam" },
    })
}

fn agent_toml() -> Json {
    let mut bus = Map::new();
    for kind in BusKind::ALL.map(BusKind::name) {
        let mut keys = json!({ "kind": kind });
        match kind {
            "mqtt" => keys["url"] = json!("mqtt://broker.example"),
            "i2c" | "w1" | "gpio" => {}
            kind => keys["port"] = json!(format!("/dev/{kind}")),
        }
        bus.insert(kind.to_owned(), keys);
    }
    bus["board"]["channels"] = json!({ "0": { "kind": "analog", "oversampling": 16 } });
    json!({
        "device": { "id": "pi-1", "client": "acme" },
        "hub": { "url": "https://hub.example", "signing_key": "hub.pub", "key_file": "device.key" },
        "bus": bus,
        "secrets": { "office": { "hosts": ["office.example"] } },
    })
}

/// Tables of both documents, each with where it stands in one.
fn places() -> Vec<(&'static KeyTable, Vec<&'static str>)> {
    let rule = |name| vec!["rules", name];
    let mut places = vec![
        (&SENSOR, vec!["sensors", "a/ph"]),
        (SENSOR.get("calibration").unwrap().value.table().unwrap(), vec!["sensors", "a/ph", "calibration"]),
        (&RULE, rule("above")),
        (&POLICY, vec!["escalation", "default"]),
        (POLICY.get("urgent").unwrap().value.table().unwrap(), vec!["escalation", "default", "urgent"]),
        (
            CHANNEL.of_kind("siren").get("urgent").unwrap().value.table().unwrap(),
            vec!["notifications", "siren", "urgent"],
        ),
        (&SCHEDULE, vec!["schedules", "day"]),
        (&ACTUATOR, vec!["actuators", "pump"]),
        (ACTUATOR.get("target").unwrap().value.table().unwrap(), vec!["actuators", "pump", "target"]),
        (&AGENT, vec!["agent"]),
        (&QUANTITY, vec!["agent", "quantities", "ph"]),
        (AGENT.get("bus_down").unwrap().value.table().unwrap(), vec!["agent", "bus_down"]),
        (&AGENT_TOML, vec![]),
        (&BOARD_CHANNEL, vec!["bus", "board", "channels", "0"]),
        (&SECRET, vec!["secrets", "office"]),
        (AGENT_TOML.get("device").unwrap().value.table().unwrap(), vec!["device"]),
        (AGENT_TOML.get("hub").unwrap().value.table().unwrap(), vec!["hub"]),
    ];
    places.extend(CHANNEL.kinds().iter().map(|(kind, table)| (*table, vec!["notifications", *kind])));
    places.extend(BUS.kinds().iter().map(|(kind, table)| (*table, vec!["bus", *kind])));
    places
}

/// The rule that reads a key of a condition, for each condition has a rule of its own.
fn rule_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "below" => "below",
        "outside" => "outside",
        "rate_above" => "rate-above",
        "rate_below" => "rate-below",
        "missing_for" => "missing",
        "stuck_for" => "stuck",
        "differs_from" | "by" => "by",
        "by_percent" => "percent",
        _ => return None,
    })
}

/// Errors at a key that has a value, in the farm above or its `agent.toml`.
fn errors(at: &[&str], key: &str, value: Json) -> Vec<String> {
    let (mut farm, mut agent_toml) = (farm(), agent_toml());
    let is_agent_toml = at.first().is_none_or(|first| AGENT_TOML.get(first).is_some());
    let mut table = if is_agent_toml { &mut agent_toml } else { &mut farm };
    let mut path = String::new();
    for name in at {
        path = path::join(&path, name);
        table = table.as_object_mut().unwrap().entry(*name).or_insert_with(|| json!({}));
    }
    table[key] = value;
    let path = path::join(&path, key);
    let loaded = load_documents(documents(farm, agent_toml), Purpose::Run);
    let found = loaded.diagnostics.into_iter();
    let found = found.filter(|found| found.level == Level::Error && found.path == path);
    found.map(|found| found.message).collect()
}

fn documents(farm: Json, agent_toml: Json) -> Documents {
    let document =
        |file: &str, layer, json| Document { file: file.to_owned(), layer, version: None, text: Text::Json(json) };
    let mut documents = base();
    documents.layers.push(document("config.d/farm.json", Some(crate::Layer::ConfigD), farm));
    documents.agent_toml = Some(document("agent.toml", None, agent_toml));
    documents
}

/// Values that a key takes, and values that it refuses.
fn samples(value: &Value) -> (Vec<Json>, Vec<Json>) {
    match value {
        Value::Text(_) => (vec![], vec![json!(5), json!(["a"])]),
        Value::Flag => (vec![json!(true), json!(false)], vec![json!("yes"), json!(1)]),
        Value::Number(_) => (vec![json!(1), json!(-0.5)], vec![json!("1"), json!([1])]),
        Value::Positive(_) => (vec![json!(0.01)], vec![json!(0), json!(-1), json!("1")]),
        Value::Whole { least, most, .. } => {
            (vec![json!(least), json!(most)], vec![json!(least - 1), json!(most + 1), json!("1"), json!(1.5)])
        }
        Value::Duration => (vec![json!("0s"), json!("1h 30m")], vec![json!(5), json!("soon"), json!("-5m")]),
        Value::PositiveDuration => (vec![json!("5m")], vec![json!("0s"), json!(5), json!("soon")]),
        Value::Word(words) => (words().into_iter().map(Json::from).collect(), vec![json!("nonsense"), json!(1)]),
        Value::Range(_) => (vec![json!([1, 2])], vec![json!([1]), json!([2, 1]), json!(1)]),
        Value::List(_) | Value::Table(_) | Value::Named(..) | Value::ByWord(..) => (vec![], vec![json!(3)]),
        Value::Either(_) => (vec![], vec![json!(true), json!("x")]),
        Value::Unused => (vec![], vec![]),
    }
}

#[test]
fn readers_take_and_refuse_what_their_tables_say() {
    let mut wrong = Vec::new();
    for (table, at) in places() {
        for key in table.keys() {
            let at = match rule_of(key.name).filter(|_| table.path == RULE.path) {
                Some(rule) => vec!["rules", rule],
                None => at.clone(),
            };
            let (good, bad) = samples(&key.value);
            let taken = good.into_iter().chain(key.default.json());
            for value in taken {
                // Other errors are of what stands beside it, such as a name that nothing has.
                let errors = errors(&at, key.name, value.clone());
                if errors.iter().any(|error| error.starts_with("expected ")) {
                    wrong.push(format!("{}: {} = {value} is refused: {errors:?}", table.path, key.name));
                }
            }
            for value in bad {
                if errors(&at, key.name, value.clone()).is_empty() {
                    wrong.push(format!("{}: {} = {value} is taken", table.path, key.name));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// A key that no table has ends a test at once: [`KeyTable::key`] panics.
#[test]
fn readers_ask_for_every_key_of_their_tables() {
    let loaded = load_documents(documents(farm(), agent_toml()), Purpose::Run);
    let said: Vec<String> =
        loaded.diagnostics.iter().filter(|found| found.level == Level::Error).map(ToString::to_string).collect();
    // What this version does not read is an error only of its own.
    assert_eq!(said.iter().filter(|said| !said.contains("input")).collect::<Vec<_>>(), Vec::<&String>::new());
    let asked = ASKED.with_borrow(Clone::clone);
    let is_read = |table: &&&KeyTable| !["", "zones.ID"].contains(&table.path) && table.kinds().is_empty();
    let tables = [CONFIG.all(), AGENT_TOML.all()].concat();
    let mut missing: BTreeSet<String> = BTreeSet::new();
    for table in tables.iter().filter(is_read) {
        for key in table.keys().filter(|key| !asked.contains(&(table.path, key.name.to_owned()))) {
            // `kind` is read before it says which table it is of.
            if key.name != "kind" {
                missing.insert(format!("{}: {}", table.path, key.name));
            }
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

/// Guards against: a condition with a key and a row in the documentation that loads as another one.
#[test]
fn each_key_of_a_condition_is_read_as_the_condition_of_its_name() {
    let loaded = load_documents(documents(farm(), agent_toml()), Purpose::Replay);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    for key in &CONDITIONS {
        let name = rule_of(key.name).unwrap_or(key.name);
        let rule = plan.rules().find(|rule| rule.key.rule.as_str() == name);
        assert_eq!(rule.map(|rule| rule.condition.name()), Some(key.name));
    }
}

#[test]
fn kinds_are_those_that_are_read() {
    let names: Vec<_> = BUS.kinds().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(names, BusKind::ALL.map(BusKind::name));
    for (kind, table) in CHANNEL.kinds().iter().chain(BUS.kinds()) {
        assert!(table.path.ends_with(kind), "{kind}");
    }
}

#[test]
fn no_input_is_read_without_its_bus() {
    for kind in BusKind::ALL {
        let input = match kind {
            BusKind::Line => "line:one/temp",
            BusKind::Board => "board:one/2",
            BusKind::Modbus => "modbus:one/1/2",
            BusKind::I2c => "i2c:one/bme280@0x76/temperature",
            BusKind::Mqtt => "mqtt:one/temp",
            BusKind::W1 => "w1:28-0316a2794aff",
            BusKind::Gpio => "gpio:17",
            BusKind::Sdi12 => "sdi12:one/0/1",
        };
        let farm = format!("[sensors.'a/t']\nquantity = 'temperature'\ninput = '{input}'\n");
        let mut documents = base();
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &farm));
        documents.agent_toml = Some(Document::agent_toml("device = { id = 'pi' }"));
        let loaded = load_documents(documents, Purpose::Run);
        let errors: Vec<&str> = loaded.diagnostics.iter().map(|found| found.message.as_str()).collect();
        let expected = match kind.is_read() {
            true => "agent.toml names no bus".to_owned(),
            false => format!("this version does not read inputs of kind {kind}"),
        };
        assert!(errors.iter().any(|error| error.starts_with(&expected)), "{kind}: {errors:?}");
    }
}
