//! What sketches print, and the configuration that is drafted for it.

use super::super::check;
use super::*;
use crate::sense::line::survey::Chunk;

fn survey(lines: &str, columns: Option<&[String]>) -> Survey {
    // The first line after opening may be half of one.
    let chunk = |(second, bytes): (usize, &str)| Chunk {
        at: Duration::from_secs(2 * second as u64),
        bytes: bytes.as_bytes().to_vec(),
    };
    let chunks: Vec<Chunk> =
        ["half of a line\n"].into_iter().chain(lines.split_inclusive('\n')).enumerate().map(chunk).collect();
    Survey::of(&chunks, columns)
}

fn draft(lines: &str, columns: &[&str]) -> Draft {
    let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
    let (bus, zone) = (Id::new("gateway").unwrap(), Id::new("room").unwrap());
    let survey = survey(lines, Some(&columns[..]).filter(|columns| !columns.is_empty()));
    let draft = Draft::of_lines(bus, &zone, "/dev/ttyUSB0".to_owned(), Some(9600), columns, &survey);
    check(&draft).unwrap();
    draft
}

/// Each sensor as `name quantity input`, with its unit where it has one.
fn drafted(lines: &str) -> Vec<String> {
    let draft = draft(lines, &[]);
    let text = |sensor: &DraftSensor| {
        let quantity = sensor.quantity.map_or("?", Quantity::name);
        let unit = sensor.unit.map_or(String::new(), |unit| format!(" in {unit}"));
        format!("{} {quantity} {}{unit}", sensor.sensor.as_str(), sensor.input)
    };
    draft.sensors.iter().map(text).collect()
}

#[test]
fn what_sketches_print_becomes_sensors() {
    for (lines, expected) in [
        (
            "Temp: 21.5 C, Hum: 55.0 %\r\n",
            &["room/hum humidity line:gateway/Hum", "room/temp temperature line:gateway/Temp"][..],
        ),
        (
            "Humidity: 45.00%  Temperature: 23.00°C 73.40°F  Heat index: 22.65°C 72.77°F\n",
            &[
                "room/heat-index temperature line:gateway/Heat index",
                "room/humidity humidity line:gateway/Humidity",
                "room/temperature temperature line:gateway/Temperature",
            ],
        ),
        (
            "temperature,humidity,ph\n21.5,55,6.1\n21.6,54,6.1\n",
            &[
                "room/humidity humidity line:gateway/humidity",
                "room/ph ph line:gateway/ph",
                "room/temperature temperature line:gateway/temperature",
            ],
        ),
        (
            "{\"temp\":21.5,\"hum\":55,\"tank\":{\"ph\":6.1,\"ec\":1.8}}\n",
            &[
                "room/hum humidity line:gateway/hum",
                "room/tank-ec ec line:gateway/tank.ec",
                "room/tank-ph ph line:gateway/tank.ph",
                "room/temp temperature line:gateway/temp",
            ],
        ),
        (
            "pH:6.85 EC:1413 foo:7\n",
            &["room/ec ec line:gateway/EC in uS/cm", "room/foo ? line:gateway/foo", "room/ph ph line:gateway/pH"],
        ),
        (
            "node=1 temp=21.5\nnode=2 temp=19.0\nnode=1 temp=21.6\n",
            &["room/temp-1 temperature line:gateway/temp?node=1", "room/temp-2 temperature line:gateway/temp?node=2"],
        ),
        (
            "T=21.5 H=55 L=320\n",
            &["room/h humidity line:gateway/H", "room/l ? line:gateway/L", "room/t temperature line:gateway/T"],
        ),
        (
            "Moisture: 512\nDoor: open\n",
            &["room/door contact line:gateway/Door", "room/moisture ? line:gateway/Moisture"],
        ),
        ("$PH,6.85,EC,1.80*30\n", &["room/ec ec line:gateway/EC", "room/ph ph line:gateway/PH"]),
        (
            "Water Temp (F): 68.2\nLight: 320 lx\n",
            &["room/light light line:gateway/Light", "room/water-temp-f water_temperature line:gateway/Water Temp (F)"],
        ),
        (
            "--- Tank 1 ---\npH: 6.1\n--- Tank 2 ---\npH: 5.9\n",
            &["room/tank-1-ph ph line:gateway/Tank 1 pH", "room/tank-2-ph ph line:gateway/Tank 2 pH"],
        ),
        ("starting up\nready\n", &[]),
    ] {
        assert_eq!(drafted(&lines.repeat(3)), expected, "{lines}");
    }
}

#[test]
fn bare_numbers_get_columns_to_be_named() {
    let draft = draft(&"512,300,21.5\n".repeat(4), &["column 1", "column 2", "column 3"]);
    assert!(
        draft.agent_toml().contains("columns = [\"column 1\", \"column 2\", \"column 3\"]   # name them"),
        "{}",
        draft.agent_toml()
    );
    assert!(draft.sensors.len() == 3 && draft.sensors.iter().all(|sensor| sensor.quantity.is_none()));
    assert!(
        draft.config_d().lines().filter(|line| !line.is_empty()).all(|line| line.starts_with("# ")),
        "{}",
        draft.config_d()
    );
}

#[test]
fn a_file_says_how_often_values_come_and_what_they_are_now() {
    let draft = draft(&"EC: 1413\n".repeat(5), &[]);
    let expected = "[sensors.\"room/ec\"]\nquantity = \"ec\"   # 1.413 mS/cm now\ninput = \"line:gateway/EC\"\nunit = \"uS/cm\"   # the lines \
                    say none; check this\ninterval = \"2s\"";
    assert_eq!(draft.config_d(), expected);
    assert_eq!(draft.agent_toml(), "[bus.gateway]\nkind = \"line\"\nport = \"/dev/ttyUSB0\"\nbaud = 9600\n");
}

#[test]
fn names_are_ids_and_none_is_taken_twice() {
    let (zone, mut taken) = (Id::new("room").unwrap(), BTreeSet::new());
    let mut named = |label: &str| name(&zone, label, &mut taken).unwrap().to_string();
    assert_eq!(named("Temp (°C)"), "room/temp-c");
    assert_eq!(named("temp_c"), "room/temp-c-2");
    assert_eq!(named("°"), "room/value");
    assert_eq!(named(&"x".repeat(90)).len(), "room/".len() + MAX_NAME);
    assert!(named(&"x".repeat(90)).ends_with("x-2"));
}
