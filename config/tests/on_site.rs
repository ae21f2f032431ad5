//! What `check` says of boards, circuits, actuators that dose, and channels that tell nobody: each by a farm in which it alone is wrong.

use tilth_config::{Document, Documents, Layer, Loaded, Purpose, Target, base, load_documents};

const AGENT_TOML: &str = "\
[device]
id = 'pi'
[bus.uno]
kind = 'board'
port = '/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0'
model = 'uno'
[bus.clone]
kind = 'board'
port = '/dev/ttyUSB1'
";

/// A farm in which nothing is wrong.
const FARM: &str = "\
[sensors.'tower/ph']
quantity = 'ph'
input = 'board:uno/0'
interval = '10s'
calibration = { points = [[26214, 4.0], [32768, 7.0]] }
[sensors.'tower/water']
quantity = 'water_temperature'
input = 'board:uno/4'
[actuators.acid-pump]
zone = 'tower'
output = 'board:uno/relay-0'
max_on = '3s'
dose_per_hour = '10s'
needs_fresh = ['tower/ph']
[actuators.horn]
zone = 'tower'
output = 'board:uno/relay-1'
max_on = '2m'
[notifications.siren]
kind = 'siren'
actuator = 'horn'
[escalation.default]
urgent = { wait = '15m', channels = ['log', 'siren'] }
[rules.ph-climbs]
sensor = 'tower/ph'
above = 6.9
actions = [{ actuator = 'acid-pump', on = '2s' }]
";

fn load(agent_toml: &str, farm: &str) -> Loaded {
    let Documents { mut layers, .. } = base();
    layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", farm));
    load_documents(Documents { layers, agent_toml: Some(Document::agent_toml(agent_toml)) }, Purpose::Check)
}

fn said(agent_toml: &str, farm: &str) -> Vec<String> {
    load(agent_toml, farm).diagnostics.iter().map(ToString::to_string).collect()
}

/// A farm that differs from the sound one in one part of its text, and the one thing that is said of it.
fn assert_said(cases: &[(&str, &str, &str)]) {
    assert_eq!(said(AGENT_TOML, FARM), Vec::<String>::new());
    for (part, other, expected) in cases {
        let text = format!("{AGENT_TOML}#\n{FARM}");
        assert_eq!(text.matches(part).count(), 1, "{part:?} is once in the texts");
        let text = text.replace(part, other);
        let (agent_toml, farm) = text.split_once("#\n").expect("two texts");
        let expected: &[&str] = if expected.is_empty() { &[] } else { &[expected] };
        assert_eq!(said(agent_toml, farm), expected, "{other:?}");
    }
}

#[test]
fn what_a_board_has_not_or_cannot_is_said() {
    assert_said(&[
        (
            "calibration = { points = [[26214, 4.0], [32768, 7.0]] }\n",
            "",
            "config.d/farm.toml:1:10: warning: sensors.\"tower/ph\": an analog channel gives counts of 0 to 65,535, and nothing makes ph \
             of them; set calibration = { points = [[COUNTS, PH], [COUNTS, PH]] }; quantity = \"count\" shows the counts",
        ),
        (
            "board:uno/4",
            "board:uno/8",
            "config.d/farm.toml:8:9: warning: sensors.\"tower/water\".input: an Arduino Uno has channels 0 to 7, and no channel 8; \
             expected one of those, or another board on this bus",
        ),
        ("board:uno/4", "board:clone/8", ""),
        (
            "board:uno/relay-1",
            "board:uno/relay-2",
            "config.d/farm.toml:17:10: warning: actuators.horn.output: an Arduino Uno has relays 0 to 1, and no relay 2; expected one of \
             those, or another board on this bus",
        ),
        ("board:uno/relay-1", "board:clone/relay-3", ""),
        (
            "board:uno/relay-1",
            "board:clone/relay-4",
            "config.d/farm.toml:17:10: warning: actuators.horn.output: the largest board of Tilth has relays 0 to 3, and no relay 4; \
             expected one of those, or an image of your own with more relays",
        ),
        (
            "board:uno/relay-1",
            "board:uno/siren",
            "config.d/farm.toml:17:10: error: actuators.horn.output: a board has no output \"siren\"; expected board:BUS/relay-N, N counted \
             from 0",
        ),
        (
            "port = '/dev/ttyUSB1'\n",
            "port = '/dev/ttyUSB1'\nbaud = 9600\n",
            "agent.toml:10:8: warning: bus.clone.baud: boards with Tilth's firmware speak at 115200 baud, so none would be heard; take the \
             key out, unless the image was built with this speed",
        ),
        (
            "port = '/dev/ttyUSB1'\n",
            "port = '/dev/ttyUSB1'\nmodel = 'pico'\n[bus.clone.channels.12]\nkind = 'contact'\n",
            "agent.toml:11:21: warning: bus.clone.channels.12: a Raspberry Pi Pico has channels 0 to 11, and no channel 12; expected one \
             of those, or another board on this bus",
        ),
    ]);
}

/// The board of a port that names itself needs no `model`.
#[test]
fn the_name_of_a_port_tells_what_a_board_has() {
    let port = "/dev/serial/by-id/usb-Arduino__www.arduino.cc__0043_7513-if00";
    let named = AGENT_TOML.replace("/dev/ttyUSB1", port);
    let found = said(&named, &FARM.replace("board:uno/relay-1", "board:clone/relay-2"));
    assert!(found.len() == 1 && found[0].contains("an Arduino Uno has relays 0 to 1"), "{found:?}");
    let stated = named.replace(&format!("port = '{port}'"), &format!("port = '{port}'\nmodel = 'mega2560'"));
    assert_eq!(said(&stated, &FARM.replace("board:uno/relay-1", "board:clone/relay-2")), Vec::<String>::new());
}

#[test]
fn limits_that_a_doser_lacks_and_a_wrong_direction_are_said() {
    assert_said(&[
        (
            "dose_per_hour = '10s'\n",
            "",
            "config.d/farm.toml:9:12: warning: actuators.acid-pump: acid-pump doses, and no total limits it: rules and people may give \
             max_on again and again; set dose_per_hour and dose_per_day, such as \"10s\" and \"60s\"",
        ),
        (
            "needs_fresh = ['tower/ph']\n",
            "",
            "config.d/farm.toml:9:12: warning: actuators.acid-pump: acid-pump doses, and needs no sensor: people may dose while its probe \
             has failed, and what is on goes on; set needs_fresh, such as [\"tower/ph\"]",
        ),
        (
            "above = 6.9",
            "below = 5.5",
            "config.d/farm.toml:26:9: error: rules.ph-climbs.below: acid-pump lowers the pH by its name, and here it is given while the pH \
             is below a limit already; expected a limit above, or an actuator of another name",
        ),
        (
            "above = 6.9",
            "outside = [5.5, 6.9]",
            "config.d/farm.toml:26:11: error: rules.ph-climbs.outside: acid-pump lowers the pH by its name, and here it is given below the \
             limits as well as above them; expected a limit above, or an actuator of another name",
        ),
        (
            "needs_fresh = ['tower/ph']\n",
            "[actuators.acid-pump.target]\nsensor = 'tower/ph'\non_below = 6\noff_above = 6.2\n",
            "config.d/farm.toml:14:1: error: actuators.acid-pump.target: acid-pump lowers the pH by its name, and here it is given while \
             the pH is below a limit already; expected a limit above, or an actuator of another name",
        ),
        (
            "on = '2s'",
            "on = '11s'",
            "config.d/farm.toml:27:25: error: rules.ph-climbs.actions: 11s is longer than the max_on of acid-pump, 3s; expected 3s or less: \
             a longer dose is refused each time",
        ),
        (
            "dose_per_hour = '10s'",
            "dose_per_hour = '2s'",
            "config.d/farm.toml:13:17: warning: actuators.acid-pump.dose_per_hour: shorter than max_on, 3s, which a command without a time \
             asks for: it is refused; expected 3s or more, or max_on = \"2s\"",
        ),
    ]);
}

#[test]
fn a_dose_longer_than_a_total_is_an_error_of_its_rule_and_of_a_target() {
    let short = FARM.replace("dose_per_hour = '10s'", "dose_per_hour = '1s'");
    let found = said(AGENT_TOML, &short);
    assert_eq!(
        found.iter().find(|line| line.contains("rules.")).map(String::as_str),
        Some(
            "config.d/farm.toml:27:25: error: rules.ph-climbs.actions: 2s is longer than the dose_per_hour of acid-pump, 1s; expected 1s \
             or less: a longer dose is refused each time"
        ),
        "{found:?}"
    );
    let found =
        said(AGENT_TOML, &FARM.replace("needs_fresh = ['tower/ph']\n", &format!("dose_per_day = '2s'\n{TARGET}")));
    assert_eq!(
        found,
        [
            "config.d/farm.toml:14:16: error: actuators.acid-pump.dose_per_day: shorter than max_on, 3s, which its target asks for each time: \
          it would never be on; expected 3s or more, or max_on = \"2s\""
        ]
    );
}

/// Guards against: a pH that is suspect for ever, because the circuit that measures its water has another address or no sensor.
#[test]
fn a_circuit_whose_thermometer_no_sensor_reads_is_said() {
    let agent_toml = "[device]\nid = 'pi'\n[bus.main]\nkind = 'i2c'\nport = '/dev/i2c-1'\n[bus.second]\nkind = 'i2c'\nport = '/dev/i2c-2'\n";
    let tank = "[sensors.'tank/ph']\nquantity = 'ph'\ninput = 'i2c:main/ezo_ph@0x63/ph?rtd=0x66'\n";
    let water = "[sensors.'tank/water']\nquantity = 'water_temperature'\ninput = 'i2c:main/ezo_rtd@102/temperature'\n";
    let found = |water: &str| said(agent_toml, &format!("{tank}{water}"));
    assert_eq!(found(water), Vec::<String>::new());
    let expected = "config.d/farm.toml:3:9: warning: sensors.\"tank/ph\".input: no sensor reads an ezo_rtd at 0x66 on the bus main, so the \
                    values would stay suspect; add a sensor with input = \"i2c:main/ezo_rtd@0x66/temperature\", or take ?rtd= out: the \
                    circuit then takes the water for 25 C";
    for (written, other) in [("102", "103"), ("main", "second"), ("quantity", "enabled = false\nquantity"), (water, "")]
    {
        assert_eq!(found(&water.replace(written, other)), [expected], "{other}");
    }
}

const TARGET: &str = "[actuators.acid-pump.target]\nsensor = 'tower/ph'\non_above = 6.2\noff_below = 6\n";

/// Guards against: a probe that shows its counts for a calibration, by which the pump gives all acid that its totals allow.
#[test]
fn an_actuator_is_not_switched_by_the_counts_of_a_probe_and_that_is_said_unless_it_is_disabled() {
    let counts = FARM.replace("quantity = 'ph'", "quantity = 'count'");
    let of_rule = "config.d/farm.toml:26:9: warning: rules.ph-climbs.above: acid-pump is not switched on by counts: tower/ph has quantity = \
                   \"count\"; expected the quantity that the limits are of, such as ph; while the sensor shows the counts of a probe for its \
                   calibration, set enabled = false in [actuators.acid-pump]";
    assert_eq!(said(AGENT_TOML, &counts), [of_rule]);
    let with_target = counts.replace("needs_fresh = ['tower/ph']\n", TARGET);
    let of_target =
        of_rule.replace("26:9", "15:10").replace("rules.ph-climbs.above", "actuators.acid-pump.target.sensor");
    assert_eq!(said(AGENT_TOML, &with_target), [of_target, of_rule.replace("26:9", "29:9")]);
    let disabled = with_target.replace("dose_per_hour", "enabled = false\ndose_per_hour");
    assert_eq!(said(AGENT_TOML, &disabled), Vec::<String>::new());
    let plan = |farm: &str| load(AGENT_TOML, farm).plan.unwrap();
    let without = counts.replace("actions = [{ actuator = 'acid-pump', on = '2s' }]\n", "");
    assert_ne!(without, counts);
    assert_eq!(plan(&with_target), plan(&without), "neither the target nor the rule is there");
    // By other names the limits tell.
    let pump = |limits: &str| {
        let pump = "[actuators.pump]\nzone = 'tower'\noutput = 'board:clone/relay-0'\nmax_on = '3s'\n[actuators.pump.target]\n";
        let probe = "[sensors.'tower/probe']\nquantity = 'count'\ninput = 'board:uno/1'\ninterval = '10s'\n";
        let found = said(AGENT_TOML, &format!("{FARM}{probe}{pump}sensor = 'tower/probe'\n{limits}"));
        found.iter().any(|line| line.contains("by counts"))
    };
    assert!(pump("on_above = 6.2\noff_below = 6.0") && !pump("on_above = 40000\noff_below = 39000"));
    assert!(!pump("on_above = 0.6\noff_below = 0.4"), "a float switch");
}

/// Guards against: a farm that an upgrade leaves unwatched, for such a target was taken before.
#[test]
fn limits_of_a_target_that_no_value_of_its_sensor_passes_are_said() {
    assert_said(&[
        (
            "needs_fresh = ['tower/ph']\n",
            &TARGET.replace("off_below = 6", "off_below = 0"),
            "config.d/farm.toml:17:13: warning: actuators.acid-pump.target.off_below: no plausible value of tower/ph is below 0, so it would \
             never go off; expected a limit between 0 and 14, as the sensor measures ph",
        ),
        (
            "needs_fresh = ['tower/ph']\n",
            &TARGET.replace("on_above = 6.2", "on_above = 14"),
            "config.d/farm.toml:16:12: warning: actuators.acid-pump.target.on_above: no plausible value of tower/ph is above 14, so it would \
             never go on; expected a limit between 0 and 14, as the sensor measures ph",
        ),
    ]);
}

#[test]
fn a_channel_that_tells_nobody_and_a_pattern_that_is_cut_are_said() {
    assert_said(&[
        (
            "channels = ['log', 'siren']",
            "channels = ['log']",
            "config.d/farm.toml:19:16: warning: notifications.siren: no level of an escalation policy names this channel, so it tells \
             nobody; expected it in one, such as [escalation.default] urgent = { wait = \"15m\", channels = [\"log\", \"siren\"] }",
        ),
        (
            "max_on = '2m'",
            "max_on = '30s'",
            "config.d/farm.toml:19:16: warning: notifications.siren.urgent: on for 1m is longer than the max_on of horn, 30s; it sounds for \
             30s at a time",
        ),
    ]);
    let zone = "[zones.tower.escalation.default]\nurgent = { wait = '15m', channels = ['siren'] }\n";
    let by_zone = FARM.replace("channels = ['log', 'siren']", "channels = ['log']") + zone;
    assert_eq!(said(AGENT_TOML, &by_zone), Vec::<String>::new(), "a policy of a zone counts");
}

/// The relay that has no limit of time is for a siren.
#[test]
fn a_relay_that_goes_off_by_itself_is_no_place_for_a_siren_that_rests_energised() {
    let energised = FARM.replace("max_on = '2m'", "normally_energised = true");
    assert_eq!(said(AGENT_TOML, &energised), Vec::<String>::new());
    let swapped = energised.replace("relay-0", "relay-x").replace("relay-1", "relay-0").replace("relay-x", "relay-1");
    assert_eq!(
        said(AGENT_TOML, &swapped),
        [
            "config.d/farm.toml:17:10: warning: actuators.horn.output: the board lets relay-0 go after 10m, and then it would sound; expected \
          relay-1, which is for a siren"
        ]
    );
    let long = FARM.replace("max_on = '2m'", "max_on = '1h'");
    assert_eq!(said(AGENT_TOML, &long), Vec::<String>::new(), "the last relay of an Uno stays on");
    let clone = said(AGENT_TOML, &long.replace("board:uno/relay-1", "board:clone/relay-1"));
    assert!(clone.len() == 1 && clone[0].contains("longer than 10m"), "{clone:?}");
}

#[test]
fn a_switch_that_holds_its_zone_is_a_contact_that_is_read_often() {
    let switch = |keys: &str| {
        let sensor = "quantity = 'contact'\ninput = 'board:uno/6'\ninterval = '1s'\nhold_while = 'closed'\n";
        said(AGENT_TOML, &format!("{FARM}[sensors.'tower/hands']\n{}", if keys.is_empty() { sensor } else { keys }))
    };
    assert_eq!(switch(""), Vec::<String>::new());
    let plan = load(
        AGENT_TOML,
        &format!(
            "{FARM}[sensors.'tower/hands']\nquantity = 'contact'\ninput = 'board:uno/6'\ninterval = '1s'\nhold_while = 'closed'\n"
        ),
    );
    assert!(plan.plan.is_some());
    for (keys, expected) in [
        (
            "quantity = 'ph'\ninput = 'board:uno/1'\ninterval = '1s'\ncalibration = { gain = 2.0 }\nhold_while = 'open'\n",
            "33:14: error: sensors.\"tower/hands\".hold_while: only a sensor of quantity contact can hold its zone; expected quantity = \
             \"contact\", or take the key out",
        ),
        (
            "quantity = 'contact'\ninput = 'board:uno/6'\nhold_while = 'open'\n",
            "31:14: error: sensors.\"tower/hands\".hold_while: never stale, so nobody would be told that the switch is gone; set interval \
             of the sensor, such as \"1s\"",
        ),
        (
            "quantity = 'contact'\ninput = 'board:uno/6'\nstale_after = '1m'\nhold_while = 'open'\n",
            "32:14: warning: sensors.\"tower/hands\".hold_while: nothing says how soon after the switch the hold would come; expected an \
             interval of 2s or less, here and in agent.toml",
        ),
        (
            "quantity = 'contact'\ninput = 'board:uno/6'\ninterval = '10s'\nhold_while = 'open'\n",
            "31:12: warning: sensors.\"tower/hands\".interval: the hold would come up to 10s after the switch; expected an interval of 2s \
             or less, here and in agent.toml",
        ),
        (
            "quantity = 'contact'\nzone = 'yard'\ninput = 'board:uno/6'\ninterval = '1s'\nhold_while = 'open'\n",
            "28:10: warning: sensors.\"tower/hands\".hold_while: no actuator is in zone yard, so this switch holds nothing; set zone of the \
             sensor to that of the actuators",
        ),
    ] {
        assert_eq!(switch(keys), [format!("config.d/farm.toml:{expected}")]);
    }
}

/// People who are told later, each once, and no person's number in a message.
#[test]
fn a_modem_has_numbers_by_severity() {
    let modem = "[notifications.sms]\nkind = 'modem'\nport = '/dev/ttyUSB2'\nnumbers = ['+4915112345678']\n\
                 critical_numbers = ['+49 151 87654321', '+4915112345678']\nurgent_numbers = ['+4915155555555']\n";
    let farm = FARM.replace("channels = ['log', 'siren']", "channels = ['log', 'siren', 'sms']") + modem;
    let loaded = load(AGENT_TOML, &farm);
    let sms = loaded.channels.iter().find(|(id, _)| id.as_str() == "sms").map(|(_, channel)| &channel.target);
    let Some(Target::Modem { numbers, .. }) = sms else { panic!("{:?}", loaded.diagnostics) };
    let told: Vec<String> = numbers.iter().map(|(from, number)| format!("{from} {number}")).collect();
    assert_eq!(told, ["preventive +4915112345678", "critical +4915187654321", "urgent +4915155555555"]);
    let wrong = said(AGENT_TOML, &farm.replace("+4915155555555", "0151 55555555"));
    assert!(
        wrong.len() == 1 && wrong[0].contains("urgent_numbers: one of the numbers is no phone number"),
        "{wrong:?}"
    );
    assert!(!wrong[0].contains("5555"), "{wrong:?}");
}
