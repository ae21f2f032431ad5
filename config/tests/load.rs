//! What good configurations come to: sensors, rules bound to them, and whose word holds.

use serde_json::{Value as Json, json};
use tilth_config::{Bus, BusAddress, BusKind, Document, Documents, Layer, Loaded, Purpose, Text, base, load_documents};
use tilth_core::id::Id;
use tilth_core::plan::{Plan, Rule, Severity};
use tilth_core::quantity::Quantity;
use tilth_core::rules::Condition;
use tilth_core::time::Span;

/// One file of `config.d` over the shipped base.
fn over_base(text: &str) -> Documents {
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", text));
    documents
}

fn load(text: &str) -> Loaded {
    load_documents(over_base(text), Purpose::Replay)
}

fn said(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(ToString::to_string).collect()
}

/// The plan of a configuration in which nothing is wrong.
fn plan(text: &str) -> Plan {
    let loaded = load(text);
    assert_eq!(said(&loaded), Vec::<String>::new(), "{text}");
    loaded.plan.expect("nothing is wrong")
}

/// Every rule as `zone rule sensor`, but for those that are bound to any sensor.
fn bound(plan: &Plan) -> Vec<String> {
    let rules = plan.rules().map(|rule| rule.key.to_string());
    rules.filter(|rule| !rule.contains(" sensor-fault ") && !rule.contains(" sensor-silent ")).collect()
}

fn rule<'a>(plan: &'a Plan, key: &str) -> &'a Rule {
    plan.rules().find(|rule| rule.key.to_string() == key).unwrap_or_else(|| panic!("no {key} in {:?}", bound(plan)))
}

const TWO_TOWERS: &str = "
    [agent]
    timezone = 'Europe/Amsterdam'
    [sensors.'tower-1/ph']
    quantity = 'ph'
    [sensors.'tower-1/temp']
    quantity = 'temperature'
    [sensors.'tower-2/ph']
    quantity = 'ph'
";

fn two_towers(more: &str) -> Plan {
    plan(&format!("{TWO_TOWERS}{more}"))
}

#[test]
fn the_shipped_rules_watch_each_sensor_of_their_quantity() {
    let plan = two_towers("");
    assert_eq!(
        bound(&plan),
        [
            "tower-1 ph-high tower-1/ph",
            "tower-1 ph-low tower-1/ph",
            "tower-1 temperature-high tower-1/temp",
            "tower-1 temperature-low tower-1/temp",
            "tower-2 ph-high tower-2/ph",
            "tower-2 ph-low tower-2/ph",
        ]
    );
    assert_eq!(plan.rules().filter(|rule| rule.key.rule.as_str() == "sensor-silent").count(), 3);
    assert_eq!(plan.rules().filter(|rule| rule.condition == Condition::Faulty).count(), 3);
}

#[test]
fn every_shipped_rule_compiles_for_a_sensor_of_its_quantity() {
    let of_quantity: String = Quantity::ALL
        .iter()
        .map(|quantity| {
            let name = quantity.name();
            format!("[sensors.'a/{}']\nquantity = '{name}'\n", name.replace('_', "-"))
        })
        .collect();
    let plan = plan(&format!("agent.timezone = 'UTC'\n{of_quantity}"));
    let watched: Vec<String> = bound(&plan);
    assert_eq!(
        watched,
        [
            "a co2-high a/co2",
            "a dissolved-oxygen-low a/dissolved-oxygen",
            "a ec-high a/ec",
            "a ec-low a/ec",
            "a humidity-high a/humidity",
            "a humidity-low a/humidity",
            "a light-missing-by-day a/light",
            "a ph-high a/ph",
            "a ph-low a/ph",
            "a temperature-high a/temperature",
            "a temperature-low a/temperature",
            "a water-level-low a/water-level",
            "a water-temperature-high a/water-temperature",
            "a water-temperature-low a/water-temperature",
        ]
    );
    for rule in plan.rules() {
        let own = rule.key.rule.as_str();
        assert!(rule.advice.is_some(), "{own}");
        assert_eq!(rule.cooldown, Span::from_secs(900), "{own}");
        let waits = rule.escalation.levels.each_ref().map(|level| level.wait);
        assert_eq!(waits, [5, 10, 15, 15].map(Span::from_mins), "{own}");
    }
    for sensor in plan.sensors() {
        assert!(sensor.range.is_some() && sensor.max_rate.is_some(), "{}", sensor.id);
    }
}

#[test]
fn the_shipped_file_holds_fifteen_rules_each_with_its_reasons() {
    let text = include_str!("../base/rules.toml");
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("[rules.")?.strip_suffix(']')).collect();
    assert_eq!(
        ids,
        [
            "ph-high",
            "ph-low",
            "ec-high",
            "ec-low",
            "temperature-high",
            "temperature-low",
            "water-temperature-high",
            "water-temperature-low",
            "humidity-high",
            "humidity-low",
            "co2-high",
            "water-level-low",
            "dissolved-oxygen-low",
            "light-missing-by-day",
            "sensor-silent"
        ]
    );
    for block in text.split("\n\n").filter(|block| block.contains("\n[rules.") && !block.contains("#   [")) {
        assert!(block.starts_with("# From: ") || block.starts_with("# Judgement"), "{block}");
        for key in ["for = ", "severity = ", "message = ", "advice = "] {
            assert!(block.contains(key), "{key} in {block}");
        }
        assert!(block.contains("clear = ") || block.contains("missing_for = "), "{block}");
    }
}

/// Section 8 of the design, as it stands there.
#[test]
fn the_example_of_the_design_loads() {
    let mut documents = over_base(
        r#"
        [sensors."tower-1/ph"]
        quantity = "ph"
        input = "line:gateway/ph"
        interval = "2s"
        resolution = 0.01
        range = [0, 14]                # plausible; outside is a fault, not an alert about pH
        max_rate = 1.0                 # per minute
        stuck_for = "30m"
        pair = "tower-1/ph-b"          # drift: degraded at 2 %, failing at 5 %, after it lasts

        [rules.ph-high]
        sensor = "tower-1/ph"          # an id, or a glob such as "*/ph"
        above = 6.8
        clear = 6.5                    # hysteresis: the alert resolves only here
        for = "5m"                     # must hold this long
        keep_firing_for = "0s"
        severity = "warning"
        escalation = "default"
        cooldown = "15m"
        during = "day"                 # a schedule
        message = "pH {value} in {zone}, limit {limit}"
        advice = "Check the acid doser and the probe's last calibration."
        actions = [{ actuator = "acid-pump", on = "2s" }]

        [actuators.acid-pump]
        zone = "tower-1"
        output = "board:relays/relay-1"
        max_on = "3s"
        min_off = "10m"
        dose_per_hour = "10s"
        dose_per_day = "60s"
        excludes = ["base-pump"]
        needs_fresh = ["tower-1/ph"]

        [actuators.base-pump]
        zone = "tower-1"
        output = "board:relays/relay-2"
        max_on = "3s"
        "#,
    );
    documents.agent_toml = Some(Document::agent_toml(
        r#"
        [device]
        id = "pi-7"
        client = "acme"
        [hub]                                   # leave out for a farm without a hub
        url = "https://hub.example"
        ca = "hub-ca.pem"
        signing_key = "hub.pub"
        key_file = "device.key"
        [bus.gateway]
        kind = "line"                           # line, board, modbus, i2c, mqtt, w1, gpio, sdi12
        port = "/dev/serial/by-id/usb-..."
        baud = 115200
        [bus.relays]
        kind = "board"
        port = "/dev/serial/by-id/usb-arduino"
        "#,
    ));
    for purpose in [Purpose::Run, Purpose::Check, Purpose::Replay] {
        let loaded = load_documents(documents.clone(), purpose);
        assert!(!loaded.has_errors(), "{:?}", said(&loaded));
        let plan = loaded.plan.unwrap();
        let rule = rule(&plan, "tower-1 ph-high tower-1/ph");
        assert_eq!(rule.condition, Condition::Above { limit: 6.8, clear: 6.5 });
        assert_eq!((rule.hold, rule.cooldown), (Span::from_mins(5), Span::from_mins(15)));
        assert_eq!(rule.during.as_ref().map(|during| during.id.as_str()), Some("day"));
        let sensor = plan.sensor(plan.sensor_ix("tower-1/ph").unwrap());
        assert_eq!((sensor.stale_after, sensor.stuck_for), (Some(Span::from_secs(30)), Some(Span::from_mins(30))));
        assert_eq!(sensor.bus, Id::new("gateway").ok());
        let agent_toml = loaded.agent_toml.unwrap();
        assert_eq!(agent_toml.hub.unwrap().url, "https://hub.example");
        let Some(Bus { kind: BusKind::Line, address: BusAddress::Serial(serial), .. }) =
            agent_toml.buses.get("gateway")
        else {
            panic!("expected a line: {:?}", agent_toml.buses)
        };
        assert_eq!(serial.baud, 115_200);
    }
}

#[test]
fn a_zone_changes_its_rules_and_no_other() {
    let plan = two_towers(
        "
        [zones.tower-1.rules.ph-high]
        above = 6.5
        clear = 6.2
        [zones.tower-2.rules.ph-high]
        enabled = false
        [zones.tower-2.rules.ph-odd]
        sensor = '*/ph'
        outside = [5.5, 6.5]
        clear = [5.6, 6.4]
        severity = 'urgent'
        ",
    );
    let changed = rule(&plan, "tower-1 ph-high tower-1/ph");
    assert_eq!(changed.condition, Condition::Above { limit: 6.5, clear: 6.2 });
    assert_eq!(changed.hold, Span::from_mins(10), "what it does not say stays");
    let own = rule(&plan, "tower-2 ph-odd tower-2/ph");
    assert_eq!(own.condition, Condition::Outside { low: 5.5, high: 6.5, clear_low: 5.6, clear_high: 6.4 });
    assert_eq!(own.severity, Severity::Urgent);
    let bound = bound(&plan);
    assert!(!bound.contains(&"tower-2 ph-high tower-2/ph".to_owned()), "{bound:?}");
    assert!(!bound.contains(&"tower-1 ph-odd tower-1/ph".to_owned()), "{bound:?}");
}

#[test]
fn a_zone_watches_its_own_sensors_unless_across() {
    let plan = two_towers(
        "
        [zones.tower-1.rules.here]
        sensor = '*/ph'
        below = 5.2
        [zones.tower-1.rules.there]
        sensor = 'tower-2/ph'
        across = true
        below = 5.2
        [zones.tower-1.rules.all]
        sensor = '*/ph'
        across = true
        below = 5.2
        [rules.device]
        sensor = 'tower-*/p*'
        below = 5.3
        ",
    );
    let bound = bound(&plan);
    for expected in [
        "tower-1 here tower-1/ph",
        "tower-1 there tower-2/ph",
        "tower-1 all tower-1/ph",
        "tower-1 all tower-2/ph",
        "tower-1 device tower-1/ph",
        "tower-2 device tower-2/ph",
    ] {
        assert!(bound.contains(&expected.to_owned()), "{expected} in {bound:?}");
    }
    assert_eq!(bound.len(), 6 + 6, "{bound:?}");
}

#[test]
fn sensors_take_from_their_zone_and_their_quantity() {
    let plan = two_towers(
        "
        [sensors.'tower-2/ec']
        quantity = 'ec'
        zone = 'annex'
        interval = '20s'
        calibration = { gain = 2 }
        [sensors.'tower-2/level']
        quantity = 'water_level'
        calibration = { points = [[0, 0], [10, 21.5]] }
        enabled = false
        [zones.tower-1.sensors.'tower-1/ph']
        range = [3, 10]
        [zones.tower-3.sensors.'tower-3/ph']
        quantity = 'ph'
        [zones.annex.agent.quantities.ec]
        resolution = 0.1
        [agent.quantities.ph]
        range = [2, 12]
        ",
    );
    let sensor = |id: &str| plan.sensor(plan.sensor_ix(id).unwrap());
    assert_eq!(sensor("tower-1/ph").range, Some((3.0, 10.0)));
    assert_eq!(sensor("tower-2/ph").range, Some((2.0, 12.0)));
    assert_eq!(sensor("tower-3/ph").zone.as_str(), "tower-3");
    let ec = sensor("tower-2/ec");
    assert_eq!((ec.zone.as_str(), ec.resolution.to_string().as_str()), ("annex", "0.1"));
    assert_eq!(ec.stale_after, Some(Span::from_secs(60)));
    assert_eq!(sensor("tower-1/ph").stale_after, None);
    assert!(plan.sensor_ix("tower-2/level").is_none());
    assert!(bound(&plan).contains(&"annex ec-high tower-2/ec".to_owned()));
}

#[test]
fn zones_have_their_own_hours_and_people() {
    let plan = two_towers(
        "
        [rules.by-day]
        sensor = '*/ph'
        above = 8
        during = 'day'
        [escalation.default.urgent]
        wait = '1m'
        [escalation.night.warning]
        wait = '2m'
        channels = ['log']
        [zones.tower-2.schedules.day]
        from = 07:30
        days = ['sat', 'sun']
        untrusted = 'closed'
        [zones.tower-2.agent]
        timezone = 'Asia/Tokyo'
        sensor_fault = { enabled = false }
        [zones.tower-2.rules.by-day]
        escalation = 'night'
        ",
    );
    let [one, two] = ["tower-1 by-day tower-1/ph", "tower-2 by-day tower-2/ph"].map(|key| rule(&plan, key));
    let (one_day, two_day) = (one.during.as_ref().unwrap(), two.during.as_ref().unwrap());
    assert_eq!(one_day.zone.iana_name(), Some("Europe/Amsterdam"));
    assert_eq!(two_day.zone.iana_name(), Some("Asia/Tokyo"));
    assert_eq!((one_day.from.to_string(), two_day.from.to_string()), ("06:00:00".into(), "07:30:00".into()));
    assert_eq!(two_day.days, [false, false, false, false, false, true, true]);
    assert!(one_day.open_when_untrusted && !two_day.open_when_untrusted);
    let waits = |rule: &Rule| rule.escalation.levels.each_ref().map(|level| level.wait.to_string());
    assert_eq!(waits(one), ["5m", "10m", "15m", "1m"]);
    assert_eq!(waits(two), ["5m", "2m", "15m", "1m"], "what a policy leaves out is the default's");
    let faults: Vec<&str> =
        plan.rules().filter(|rule| rule.condition == Condition::Faulty).map(|rule| rule.key.zone.as_str()).collect();
    assert_eq!(faults, ["tower-1", "tower-1"]);
}

/// One bad reading alone sends no page: the next one comes before the hold is over.
#[test]
fn a_fault_is_held_past_the_next_reading() {
    let sensors = "
        [sensors.'a/unknown']
        quantity = 'ph'
        [sensors.'a/quick']
        quantity = 'ph'
        interval = '2s'
        [sensors.'a/slow']
        quantity = 'ph'
        interval = '2m'
        [sensors.'a/slower']
        quantity = 'ph'
        interval = '5m'
        [rules.own]
        sensor = 'a/slower'
        above = 6
        for = '1m'
    ";
    let holds = |text: &str| {
        let plan = plan(text);
        let own = rule(&plan, "a own a/slower").hold;
        assert_eq!(own, Span::from_mins(1), "what a farm asks for in a rule of its own it gets");
        ["unknown", "quick", "slow", "slower"].map(|id| rule(&plan, &format!("a sensor-fault a/{id}")).hold.to_string())
    };
    assert_eq!(holds(sensors), ["2m", "2m", "3m", "7m30s"]);
    let sooner = format!("{sensors}[agent.sensor_fault]\nfor = '0s'");
    assert_eq!(holds(&sooner), ["0s", "3s", "3m", "7m30s"]);
}

#[test]
fn each_condition_is_read() {
    for (text, expected) in [
        ("above = 6.8", Condition::Above { limit: 6.8, clear: 6.8 }),
        ("above = 6.8\nclear = 6.8", Condition::Above { limit: 6.8, clear: 6.8 }),
        ("below = 5\nclear = 5.5", Condition::Below { limit: 5.0, clear: 5.5 }),
        ("outside = [5, 6]", Condition::Outside { low: 5.0, high: 6.0, clear_low: 5.0, clear_high: 6.0 }),
        ("rate_above = 0.5\nclear = 0.1", Condition::RateAbove { limit: 0.5, clear: 0.1 }),
        ("rate_below = -0.5\nclear = -0.1", Condition::RateBelow { limit: -0.5, clear: -0.1 }),
        ("missing_for = '90s'", Condition::MissingFor(Span::from_secs(90))),
        ("stuck_for = '1h30m'", Condition::StuckFor(Span::from_mins(90))),
    ] {
        let plan = two_towers(&format!("[rules.x]\nsensor = 'tower-1/ph'\n{text}"));
        assert_eq!(rule(&plan, "tower-1 x tower-1/ph").condition, expected, "{text}");
    }
}

#[test]
fn a_band_is_meant_or_not_and_both_are_said() {
    let loaded = load(&format!("{TWO_TOWERS}[rules.x]\nsensor = 'tower-1/ph'\nabove = 5\nbelow = 10"));
    let warned = "config.d/farm.toml:13:9: warning: rules.x.below: fires while the value is between 5 and 10; to alert \
                  outside a band write outside = [5, 10]";
    assert_eq!(said(&loaded), [warned]);
    let plan = loaded.plan.unwrap();
    assert_eq!(
        rule(&plan, "tower-1 x tower-1/ph").condition,
        Condition::Between { above: 5.0, below: 10.0 },
        "holds at 9 and not at 11"
    );
}

#[test]
fn what_the_machine_lacks_matters_to_run_only() {
    let sensors = "
        agent.timezone = 'UTC'
        sensors.'a/ph' = { quantity = 'ph', input = 'line:gateway/ph' }
        sensors.'a/ec' = { quantity = 'ec', input = 'line:gateway/ec' }
        sensors.'a/temp' = { quantity = 'temperature' }
        sensors.'a/vpd' = { quantity = 'vpd', input = 'derived:vpd(a/temp, a/rh)' }
    ";
    let found = |purpose| said(&load_documents(over_base(sensors), purpose));
    assert_eq!(found(Purpose::Replay), Vec::<String>::new());
    let found_by_all = [
        "config.d/farm.toml:4:53: LEVEL: sensors.\"a/ec\".input: agent.toml names no bus gateway; expected [bus.gateway] \
         there, with kind = \"line\"",
        "MISSING",
        "config.d/farm.toml:6:55: LEVEL: sensors.\"a/vpd\".input: this version does not read inputs of kind derived",
    ];
    let one_for_all = "config.d/farm.toml:5:17: warning: 1 sensor has no input (a/temp at config.d/farm.toml:5): enough \
                       for replay; run needs one each, such as input = \"line:gateway/ph\"";
    let warned = found_by_all.map(|line| line.replace("LEVEL", "warning").replace("MISSING", one_for_all));
    assert_eq!(found(Purpose::Check), warned);
    let run = found(Purpose::Run);
    assert_eq!(run[0], "agent.toml: error: there is no such file; expected it to name this device");
    let each = "config.d/farm.toml:5:17: error: sensors.\"a/temp\": no input, so nothing will arrive; expected input = \
                \"line:gateway/ph\"";
    assert_eq!(run[1..], found_by_all.map(|line| line.replace("LEVEL", "error").replace("MISSING", each)));
}

#[test]
fn layers_override_in_their_order_and_null_deletes() {
    let layer = |layer, file: &str, version, json: Json| Document {
        file: file.to_owned(),
        layer: Some(layer),
        version: Some(version),
        text: Text::Json(json),
    };
    let mut documents = base();
    documents.layers.extend([
        layer(Layer::Tier, "gold", 3, json!({"rules": {"ph-high": {"above": 6.9, "for": "2m"}}})),
        layer(
            Layer::Client,
            "acme",
            12,
            json!({
                "agent": {"timezone": "UTC"},
                "sensors": {"a/ph": {"quantity": "ph"}, "b/ph": {"quantity": "ph"}},
                "rules": {"ph-high": {"clear": 6.6, "advice": null}, "sensor-silent": null},
            }),
        ),
        layer(Layer::Zone, "b", 1, json!({"zones": {"b": {"rules": {"ph-low": null, "ph-high": {"above": 6.7}}}}})),
    ]);
    let loaded = load_documents(documents, Purpose::Replay);
    assert_eq!(said(&loaded), Vec::<String>::new());
    let plan = loaded.plan.unwrap();
    assert_eq!(bound(&plan), ["a ph-high a/ph", "a ph-low a/ph", "b ph-high b/ph"]);
    assert!(!plan.rules().any(|rule| rule.key.rule.as_str() == "sensor-silent"));
    let (a, b) = (rule(&plan, "a ph-high a/ph"), rule(&plan, "b ph-high b/ph"));
    assert_eq!(a.condition, Condition::Above { limit: 6.9, clear: 6.6 });
    assert_eq!(b.condition, Condition::Above { limit: 6.7, clear: 6.6 });
    assert_eq!((a.hold, &a.advice), (Span::from_mins(2), &None));
}

#[test]
fn a_diagnostic_is_one_json_object() {
    let loaded = load("[rules.x]\nsensor = 'a/b'\nabove = 1\n[sensors.'c/d']\nquantity = 'ph'");
    let json: Vec<Json> = loaded.diagnostics.iter().map(|found| serde_json::to_value(found).unwrap()).collect();
    let expected = json!({
        "level": "error",
        "file": "config.d/farm.toml",
        "line": 2,
        "column": 10,
        "span": {"start": 19, "end": 24},
        "path": "rules.x.sensor",
        "message": "there is no sensor \"a/b\"",
        "help": "expected one of those under sensors",
    });
    assert_eq!(json, [expected]);
    assert_eq!(&loaded.sources.text("config.d/farm.toml").unwrap()[19..24], "'a/b'");
}
