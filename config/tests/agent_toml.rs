//! `agent.toml`: what is taken and what is refused.

use std::collections::BTreeMap;

use tilth_config::{
    BoardChannel, Bus, BusAddress, BusKind, ClockTrust, Document, Layer, Loaded, Parity, Purpose, Serial, base,
    load_documents,
};

fn load(text: &str) -> Loaded {
    let mut documents = base();
    documents.agent_toml = Some(Document::agent_toml(text));
    load_documents(documents, Purpose::Replay)
}

fn said(loaded: &Loaded) -> Vec<String> {
    let said = loaded.diagnostics.iter().map(ToString::to_string);
    said.filter(|line| !line.contains("no sensor is configured")).collect()
}

#[test]
fn a_hub_is_reached_by_https_or_on_this_machine() {
    for (url, expected) in [
        ("https://hub.example", Some("https://hub.example")),
        ("https://hub.example:8443/", Some("https://hub.example:8443")),
        ("https://[2001:db8::1]:443", Some("https://[2001:db8::1]:443")),
        ("http://localhost:8080", Some("http://localhost:8080")),
        ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
        ("http://[::1]:8080", Some("http://[::1]:8080")),
        ("http://hub.example", None),
        ("http://127.0.0.1.example", None),
        ("http://localhost@hub.example", None),
        ("https://user:word@hub.example", None),
        ("https://hub.example/path", None),
        ("https://hub.example:0", None),
        ("https://", None),
        ("hub.example", None),
        ("ftp://hub.example", None),
    ] {
        let loaded = load(&format!(
            "device = {{ id = 'pi-7', client = 'acme' }}\nhub = {{ url = '{url}', signing_key = 'a', key_file = 'b' }}"
        ));
        let hub = loaded.agent_toml.as_ref().and_then(|agent_toml| agent_toml.hub.as_ref());
        assert_eq!(hub.map(|hub| hub.url.as_str()), expected, "{url}");
        assert_eq!(said(&loaded).is_empty(), expected.is_some(), "{url}: {:?}", said(&loaded));
    }
}

#[test]
fn each_kind_of_bus_has_its_link() {
    let serial =
        |baud, parity, stop_bits| BusAddress::Serial(Serial { port: "/dev/ttyS0".into(), baud, parity, stop_bits });
    for (text, kind, address) in [
        ("kind = 'line'\nport = '/dev/ttyS0'", BusKind::Line, serial(115_200, Parity::None, 1)),
        ("kind = 'board'\nport = '/dev/ttyS0'", BusKind::Board, serial(115_200, Parity::None, 1)),
        (
            "kind = 'modbus'\nport = '/dev/ttyS0'\nparity = 'even'\nstop_bits = 2",
            BusKind::Modbus,
            serial(9600, Parity::Even, 2),
        ),
        ("kind = 'sdi12'\nport = '/dev/ttyS0'", BusKind::Sdi12, serial(1200, Parity::None, 1)),
        ("kind = 'i2c'", BusKind::I2c, BusAddress::Port("/dev/i2c-1".into())),
        ("kind = 'w1'", BusKind::W1, BusAddress::Port("/sys/bus/w1/devices".into())),
        ("kind = 'gpio'\nport = '/dev/gpiochip4'", BusKind::Gpio, BusAddress::Port("/dev/gpiochip4".into())),
        ("kind = 'mqtt'\nurl = 'mqtts://b:8883'", BusKind::Mqtt, BusAddress::Broker { url: "mqtts://b:8883".into() }),
    ] {
        let loaded = load(&format!("[bus.b]\n{text}"));
        assert_eq!(said(&loaded), Vec::<String>::new(), "{text}");
        assert_eq!(
            loaded.agent_toml.unwrap().buses.get("b"),
            Some(&Bus { kind, address, columns: None, board: None, model: None, channels: BTreeMap::new() }),
            "{text}"
        );
    }
}

#[test]
fn a_board_is_at_a_port_or_an_address_and_may_be_known_by_its_id() {
    let board = |text: &str| {
        let loaded = load(&format!("[bus.b]\nkind = 'board'\n{text}"));
        let bus = loaded.agent_toml.as_ref().and_then(|agent_toml| agent_toml.buses.values().next().cloned());
        (bus.map(|bus| (bus.address, bus.board)), said(&loaded).join("\n"))
    };
    let tcp = BusAddress::Tcp { address: "10.0.0.5:4001".into() };
    assert_eq!(board("port = 'tcp://10.0.0.5:4001'"), (Some((tcp.clone(), None)), String::new()));
    let id = Some([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xFF]);
    assert_eq!(board("port = 'tcp://10.0.0.5:4001'\nboard = '00112233445566fF'"), (Some((tcp, id)), String::new()));
    for (text, problem) in [
        ("port = 'tcp://10.0.0.5'", "expected a host and a port"),
        ("port = 'tcp://:4001'", "expected a host and a port"),
        ("port = '/dev/ttyS0'\nboard = '0011'", "16 hexadecimal digits"),
        ("port = '/dev/ttyS0'\nboard = '00112233445566+f'", "16 hexadecimal digits"),
    ] {
        let (_, said) = board(text);
        assert!(said.contains(problem), "{text}: {said}");
    }
    let twice = load(
        "[bus.a]\nkind = 'board'\nport = 'a'\nboard = '00112233445566ff'\n\
         [bus.b]\nkind = 'board'\nport = 'b'\nboard = '00112233445566FF'",
    );
    assert!(said(&twice)[0].contains("this board belongs to bus a already"), "{:?}", said(&twice));
}

#[test]
fn a_channel_of_a_board_says_what_is_wired_to_it_and_how_often_it_is_measured() {
    let channels = |text: &str| {
        let loaded = load(&format!("[bus.b]\nkind = 'board'\nport = 'a'\n{text}"));
        let buses = loaded.agent_toml.as_ref().map(|agent_toml| &agent_toml.buses);
        let channels = buses.and_then(|buses| buses.values().next()).map(|bus| bus.channels.clone());
        let shown =
            channels.into_iter().flatten().map(|(number, BoardChannel { kind, interval, oversampling, pulses })| {
                let each = pulses.map(|scale| format!(", {} {}", scale.quantity, scale.value(10, 1_000)));
                format!("{number}: {kind} every {interval}, 2^{oversampling}{}", each.unwrap_or_default())
            });
        (shown.collect::<Vec<_>>(), said(&loaded))
    };
    let (shown, said) = channels(
        "[bus.b.channels.0]\nkind = 'analog'\noversampling = 16\ninterval = '500ms'\n\
         [bus.b.channels.15]\nkind = 'ds18b20'\n[bus.b.channels.4]\nkind = 'off'\n\
         [bus.b.channels.5]\nkind = 'pulses'\npulses_per_litre = 400\n[bus.b.channels.6]\nkind = 'pulses'\nmm_per_pulse = 0.5\n\
         [bus.b.channels.7]\nkind = 'pulses'\nm_per_pulse = 0.75",
    );
    let expected = [
        "0: analog every 500ms, 2^4",
        "4: off every 10s, 2^6",
        "5: pulses every 10s, 2^6, flow 1.5",
        "6: pulses every 10s, 2^6, rain 5",
        "7: pulses every 10s, 2^6, wind 7.5",
        "15: ds18b20 every 10s, 2^6",
    ];
    assert_eq!(shown, expected);
    assert_eq!(said, Vec::<String>::new());
    for (text, problem) in [
        (
            "[bus.b.channels.16]\nkind = 'analog'",
            "bus.b.channels.16: \"16\" is no number of a channel; expected 0 to 15",
        ),
        ("[bus.b.channels.04]\nkind = 'analog'", "\"04\" is no number of a channel"),
        ("[bus.b.channels.4]\ninterval = '1s'", "bus.b.channels.4: kind is missing"),
        ("[bus.b.channels.4]\nkind = 'ds18b2'", "did you mean \"ds18b20\"?"),
        (
            "[bus.b.channels.4]\nkind = 'dht22-humidity'\ninterval = '1s'",
            "1s is no interval of dht22-humidity; expected \"2s\" to \"1d\"",
        ),
        (
            "[bus.b.channels.4]\nkind = 'contact'\ninterval = '99ms'",
            "99ms is no interval of contact; expected \"100ms\"",
        ),
        ("[bus.b.channels.4]\nkind = 'analog'\noversampling = 12", "expected a power of two"),
        ("[bus.b.channels.4]\nkind = 'ds18b20'\noversampling = 4", "only a channel of kind analog has oversampling"),
        ("[bus.b.channels.4]\nkind = 'contact'\nmm_per_pulse = 1", "only a channel of kind pulses has mm_per_pulse"),
        ("[bus.b.channels.4]\nkind = 'pulses'\nmm_per_pulse = 0", "expected a number above 0"),
        (
            "[bus.b.channels.4]\nkind = 'pulses'\nmm_per_pulse = 1\npulses_per_litre = 450",
            "a pulse stands for one thing: keep pulses_per_litre or mm_per_pulse",
        ),
        ("[bus.b.channels.4]\nkind = 'analog'\nintervall = '1s'", "did you mean \"interval\"?"),
        ("channels = 4", "bus.b.channels: expected a table"),
    ] {
        let (_, said) = channels(text);
        assert!(said.len() == 1 && said[0].contains(problem), "{text}: {said:?}");
    }
    let line = load("[bus.b]\nkind = 'line'\nport = 'a'\n[bus.b.channels.4]\nkind = 'analog'");
    assert!(line.diagnostics.iter().any(|found| found.path == "bus.b.channels"), "{:?}", self::said(&line));
}

#[test]
fn a_sensor_that_its_channel_cannot_show_is_warned_of() {
    for (channel, sensor, problem) in [
        ("kind = 'ds18b20'", "quantity = 'water_temperature'\ninterval = '10s'", None),
        ("kind = 'analog'", "quantity = 'ph'\ncalibration = { gain = 0.0001 }", None),
        ("kind = 'off'", "quantity = 'ph'", Some("agent.toml turns this channel off ([bus.b.channels.4])")),
        (
            "kind = 'ds18b20'",
            "quantity = 'ph'",
            Some("ds18b20 of [bus.b.channels.4] in agent.toml is no ph; expected analog, pulses or contact"),
        ),
        ("kind = 'pulses'\npulses_per_litre = 450", "quantity = 'flow'", None),
        ("kind = 'pulses'\npulses_per_litre = 450", "quantity = 'count'", None),
        (
            "kind = 'pulses'\npulses_per_litre = 450",
            "quantity = 'rain'",
            Some("does not say what a pulse is of a rain; expected mm_per_pulse there"),
        ),
        (
            "kind = 'analog'\ninterval = '1m'",
            "quantity = 'ph'\ninterval = '10s'",
            Some("measures every 1m; expected the same interval in both"),
        ),
    ] {
        let mut documents = base();
        let agent_toml =
            format!("[device]\nid = 'pi'\n[bus.b]\nkind = 'board'\nport = 'a'\n[bus.b.channels.4]\n{channel}");
        documents.agent_toml = Some(Document::agent_toml(&agent_toml));
        let farm = format!("[sensors.'a/b']\ninput = 'board:b/4'\n{sensor}");
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &farm));
        let loaded = load_documents(documents, Purpose::Run);
        let said = said(&loaded);
        assert!(!loaded.has_errors(), "{said:?}");
        assert_eq!(said.len(), usize::from(problem.is_some()), "{said:?}");
        assert!(
            problem.is_none_or(|problem| said[0].contains("sensors.\"a/b\".input") && said[0].contains(problem)),
            "{said:?}"
        );
    }
}

#[test]
fn a_device_is_needed_to_run_and_its_client_with_a_hub() {
    let mut documents = base();
    documents.agent_toml = Some(Document::agent_toml(""));
    let first = |purpose| {
        let loaded = load_documents(documents.clone(), purpose);
        loaded.diagnostics.first().map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(first(Purpose::Run), "agent.toml:1:1: error: device: the table device is missing");
    assert_eq!(
        first(Purpose::Check),
        "agent.toml:1:1: error: device: the table device is missing",
        "a check is as a run"
    );
    let hub = "hub = { url = 'https://hub.example', signing_key = 'a', key_file = 'b' }\ndevice.id = 'pi-7'";
    assert_eq!(
        said(&load(hub)),
        ["agent.toml:2:1: error: device: client is missing; a hub knows a device by client and id"]
    );
}

/// Guards against: two buses of one adapter, each of which gets half of the lines.
#[test]
fn a_port_is_of_one_bus() {
    let a = "[bus.tank]\nkind = 'line'\nport = '/dev/ttyUSB0'\n";
    for (text, expected) in [
        ("[bus.air]\nkind = 'line'\nport = '/dev/ttyUSB1'\n", None),
        (
            "[bus.air]\nkind = 'modbus'\nport = '/dev//ttyUSB0'\n",
            Some("agent.toml:6:8: error: bus.air.port: /dev//ttyUSB0 is the port of bus tank already (agent.toml:3)"),
        ),
        (
            "[bus.one]\nkind = 'i2c'\n[bus.two]\nkind = 'i2c'\nport = '/dev/i2c-1'\n",
            Some("agent.toml:8:8: error: bus.two.port: /dev/i2c-1 is the port of bus one already (agent.toml:5)"),
        ),
    ] {
        let said = said(&load(&format!("{a}{text}")));
        let expected: Vec<String> =
            expected.map(|line| format!("{line}; expected a port of its own for each bus")).into_iter().collect();
        assert_eq!(said, expected, "{text}");
    }
}

#[test]
fn a_misspelt_key_is_named_with_the_one_that_was_meant() {
    let sensor = "[sensors.'a/ph']\nquantity = 'ph'\ninput = 'line:tank/ph'\n";
    for (text, expected) in [
        (
            "device.id = 'pi'\nbus.tank = { knid = 'line', port = '/dev/ttyS0' }",
            vec![
                "agent.toml:2:5: error: bus.tank: kind is missing",
                "agent.toml:2:14: error: bus.tank.knid: unknown key; did you mean \"kind\"? expected one of kind, port, baud, \
                 parity, stop_bits, url, columns, board, model, channels",
            ],
        ),
        (
            "device.id = 'pi'\nbus.tank = { kind = 'lien', prot = '/dev/ttyS0' }",
            vec![
                "agent.toml:2:21: error: bus.tank.kind: expected one of line, board, modbus, i2c, mqtt, w1, gpio, sdi12, \
                 found \"lien\"; did you mean \"line\"?",
                "agent.toml:2:29: error: bus.tank.prot: unknown key; did you mean \"port\"? expected one of kind, port, baud, \
                 parity, stop_bits, url, columns, board, model, channels",
            ],
        ),
        (
            "device.id = 'pi'\nbus.tank = { kind = 'line', prot = '/dev/ttyS0' }",
            vec![
                "agent.toml:2:5: error: bus.tank: port is missing",
                "agent.toml:2:29: error: bus.tank.prot: unknown key; did you mean \"port\"? expected one of kind, port, baud, columns",
            ],
        ),
        (
            "device.id = 'pi'\n[buss.tank]\nkind = 'line'\nport = '/dev/ttyS0'",
            vec![
                "agent.toml:2:2: error: buss: unknown key; did you mean \"bus\"? expected one of device, hub, bus, secrets",
                "config.d/farm.toml:3:9: error: sensors.\"a/ph\".input: agent.toml names no bus tank; expected [bus.tank] \
                 there, with kind = \"line\"",
            ],
        ),
        (
            "device.di = 'pi'\nbus.tank = { kind = 'line', port = '/dev/ttyS0' }",
            vec![
                "agent.toml:1:1: error: device: id is missing",
                "agent.toml:1:8: error: device.di: unknown key; did you mean \"id\"? expected one of id, client, clock",
            ],
        ),
    ] {
        let mut documents = base();
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", sensor));
        documents.agent_toml = Some(Document::agent_toml(text));
        assert_eq!(said(&load_documents(documents, Purpose::Run)), expected, "{text}");
    }
}

#[test]
fn what_makes_the_clock_right_is_said_under_device() {
    let agent_toml = |text: &str| {
        let mut documents = base();
        documents.agent_toml = Some(Document::agent_toml(text));
        load_documents(documents, Purpose::Run)
    };
    for (text, clock) in [
        ("device.id = 'pi'", ClockTrust::Ntp),
        ("device = { id = 'pi', clock = 'ntp' }", ClockTrust::Ntp),
        ("device = { id = 'pi', clock = 'rtc' }", ClockTrust::Rtc),
    ] {
        let device = agent_toml(text).agent_toml.and_then(|agent_toml| agent_toml.device).expect("a device");
        assert_eq!(device.clock, clock, "{text}");
    }
    for (text, wrong) in [
        ("device = { id = 'pi', clock = 'gps' }", "device.clock: expected one of ntp, rtc, found \"gps\""),
        ("clock = 'rtc'\ndevice.id = 'pi'", "clock: clock belongs under [device]"),
    ] {
        let said = said(&agent_toml(text)).join("\n");
        assert!(said.contains(wrong), "{text}: {said}");
    }
}
