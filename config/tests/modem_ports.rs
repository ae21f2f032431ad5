//! A modem has a port of its own.

use tilth_config::{Document, Documents, Layer, Purpose, base, load_documents};

const AGENT_TOML: &str = "\
[device]
id = 'pi'
[bus.gateway]
kind = 'line'
port = '/dev/ttyUSB0'
[bus.far]
kind = 'board'
port = 'tcp://10.0.0.5:4001'
";

/// Errors of a farm with these modems, as people read them.
fn errors(modems: &str) -> Vec<String> {
    let farm = "sensors.'room/temp' = { quantity = 'temperature', input = 'line:gateway/temp' }\n";
    let named: Vec<&str> =
        ["sms", "one", "two"].into_iter().filter(|name| modems.contains(&format!("notifications.{name} "))).collect();
    let policy = format!("escalation.default.urgent = {{ wait = '15m', channels = {named:?} }}\n");
    let Documents { mut layers, .. } = base();
    layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &format!("{farm}{modems}{policy}")));
    let documents = Documents { layers, agent_toml: Some(Document::agent_toml(AGENT_TOML)) };
    load_documents(documents, Purpose::Check).diagnostics.iter().map(ToString::to_string).collect()
}

fn modem(name: &str, port: &str) -> String {
    format!("notifications.{name} = {{ kind = 'modem', port = '{port}', numbers = ['+4915112345678'] }}\n")
}

#[test]
fn a_port_that_a_bus_or_another_modem_has_as_well_is_an_error_with_both_places() {
    let wrong = |line: u32, column: u32, path: &str, port: &str, of: &str| {
        vec![format!(
            "config.d/farm.toml:{line}:{column}: error: {path}: {port} is the port of {of}; expected a port of its own for each \
             bus and each modem"
        )]
    };
    assert_eq!(
        errors(&modem("sms", "/dev//ttyUSB0")),
        wrong(2, 46, "notifications.sms.port", "/dev//ttyUSB0", "bus gateway already (agent.toml:5)")
    );
    assert_eq!(
        errors(&modem("sms", "tcp://10.0.0.5:4001")),
        wrong(2, 46, "notifications.sms.port", "tcp://10.0.0.5:4001", "bus far already (agent.toml:8)")
    );
    assert_eq!(
        errors(&(modem("one", "/dev/ttyUSB2") + &modem("two", "/dev/ttyUSB2"))),
        wrong(3, 46, "notifications.two.port", "/dev/ttyUSB2", "channel one already (config.d/farm.toml:2)")
    );
}

#[test]
fn modems_with_ports_of_their_own_are_fine_also_where_a_zone_says_more_of_one() {
    let zone = "zones.room.notifications.one = { port = '/dev/ttyUSB2', max_per_hour = 3 }\n";
    let fine = modem("one", "/dev/ttyUSB2") + &modem("two", "/dev/ttyUSB3") + zone;
    assert_eq!(errors(&fine), Vec::<String>::new());
}
