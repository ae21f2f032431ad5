use super::*;
use crate::namespaces::{BUS, SENSOR, Value};

#[test]
fn each_kind_has_its_form() {
    for text in [
        "board:uno/15",
        "modbus:rs485/1/0x0010",
        "modbus:rs485/247/65535",
        "i2c:main/bme280@0x76/temperature",
        "w1:28-0316a2794aff",
        "gpio:17",
        "mqtt:broker/greenhouse/1/ph",
        "mqtt:broker/zigbee2mqtt/probe#data.ph",
        "sdi12:soil/0/1",
        "line:gateway/ph",
        "line:gateway/Temp (C)",
        "line:gateway/#1",
        "line:gateway/28:ff:64",
        "line:gateway/temp?node=1",
        "line:gateway/nodes.temp?id=a b&row=2",
        "http:esp-1/ph",
        "host:memory_used",
        "derived:vpd(a/temp, a/rh)",
        "sim:ramp",
    ] {
        let (kind, rest) = text.split_once(':').unwrap();
        let input = parse(kind, rest).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(input.kind(), kind);
    }
}

#[test]
fn each_kind_of_bus_has_its_input_and_editors_know_each_kind_of_input() {
    let kinds = FORMS.map(|(kind, _)| kind);
    for kind in BusKind::ALL {
        assert!(kinds.contains(&kind.name()), "{kind}: expected its line in FORMS");
    }
    let pattern = SENSOR.get("input").map(|key| match &key.value {
        Value::Text(form) => form.pattern,
        other => panic!("{other:?}"),
    });
    assert_eq!(pattern, Some(format!("^({}):.+$", kinds.join("|")).as_str()));
    let help = BUS.get("kind").unwrap().help;
    for kind in BusKind::ALL {
        assert_eq!(help.contains(&format!("`\"{kind}\"`")), kind.is_read(), "{kind}: {help}");
    }
}

#[test]
fn a_name_that_no_line_can_carry_is_refused_and_how_it_would_be_read_is_said() {
    for (name, expected) in [
        ("temp=", "in a line it would be read as \"temp\"; expected that name alone"),
        ("Air Temp: ", "in a line it would be read as \"Air Temp\"; expected that name alone"),
        ("temp,hum", "in a line it would be read as \"temp\"; expected that name alone"),
        ("=5", "expected a name as the board prints it, such as \"Air Temp\""),
        ("(C)", "a unit in brackets is no part of a name: name the words before it"),
    ] {
        let problem = check_line_name(name).unwrap_err();
        assert_eq!(problem.help_text(), Some(expected), "{name:?}");
    }
    for name in ["temp", "Temp (C)", "#1", "a:b", "temp?node=1", "CO2 concentration [ppm]"] {
        assert!(check_line_name(name).is_ok(), "{name:?}");
    }
}

#[test]
fn inputs_that_mean_one_value_are_the_same() {
    let same = |one: &str, other: &str| {
        let read = |text: &str| on_bus("line", Id::new("g").unwrap(), text).unwrap();
        read(one).comparable() == read(other).comparable()
    };
    assert!(same("Air Temp", "air_temp (C)") && same("temp?node=A", "Temp?Node=a"));
    assert!(!same("temp", "temp?node=1") && !same("temp?node=1", "temp?node=2") && !same("temp", "hum"));
}

#[test]
fn other_forms_are_refused() {
    for text in [
        "board:uno",
        "board:UNO/0",
        "board:uno/a0",
        "board:uno/16",
        "modbus:rs485/0/1",
        "modbus:rs485/248/1",
        "modbus:rs485/1/65536",
        "i2c:main/bme280/temperature",
        "i2c:main/bme280@0x78/temperature",
        "i2c:main/bme280@0x44/temperature",
        "i2c:main/bme280@0x76/co2",
        "i2c:main/bme280@0x76/temperature?rtd=0x66",
        "i2c:main/ezo_ph@0x63/ph?rtd=0x80",
        "w1:28",
        "w1:28-0316a2794afg",
        "gpio:x",
        "mqtt:broker/a/+/b",
        "mqtt:broker/a#b#c..d",
        "sdi12:soil/01/1",
        "line:gateway/",
        "line:gateway/a\nb",
        "line:gateway/ - ",
        "line:gateway/temp?",
        "line:gateway/temp?node",
        "line:gateway/temp?node=1&",
        "line:gateway/?node=1",
        "host:fan",
        "derived:vpd",
        "derived:sum(a/b)",
        "derived:vpd(a)",
        "sim:",
        "other:x",
    ] {
        let (kind, rest) = text.split_once(':').unwrap();
        assert_eq!(parse(kind, rest), None, "{text}");
    }
}
