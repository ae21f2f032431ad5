//! Headings and the sensors that they mean.

use super::*;

fn sensors(maps: &[(&str, &str)]) -> Sensors {
    let known = ["tower-1/ph", "tower-1/air", "tower-2/air"];
    let map = |(name, sensor): &(&str, &str)| Map { name: (*name).to_owned(), sensor: (*sensor).to_owned() };
    Sensors::new(&ReadOptions {
        sensors: known.map(|id| KnownSensor { id: id.into(), quantity: Quantity::Temperature, unit: None }).to_vec(),
        args: ReadArgs { map: maps.iter().map(map).collect(), ..ReadArgs::default() },
        ..ReadOptions::default()
    })
}

fn found(sensors: &mut Sensors, name: &str) -> Option<String> {
    sensors.find(name).unwrap().map(|place| sensors.known[place].id.to_string())
}

#[test]
fn a_name_is_a_sensor_by_its_id_or_by_a_map() {
    let maps = &[("Air Temp", "tower-1/air"), ("Temp, °C", "tower-2/air")];
    for (name, expected) in [
        ("tower-1/ph", Some("tower-1/ph")),
        ("Tower 1/pH", Some("tower-1/ph")),
        ("air_temp (°C)", Some("tower-1/air")),
        ("Temp, °C (LGR S/N: 10, SEN S/N: 11)", Some("tower-2/air")),
        ("ph", None),
        ("Humidity", None),
    ] {
        assert_eq!(found(&mut sensors(maps), name).as_deref(), expected, "{name}");
    }
    let part = &mut sensors(&[("greenhouse temperature", "tower-1/air")]);
    assert_eq!(found(part, "sensor.greenhouse_temperature").as_deref(), Some("tower-1/air"));
    assert!(part.find("sensor.greenhouse_temperature_2").is_err(), "the short form fits two");
    let whole = &mut sensors(&[("sensor.t", "tower-1/air")]);
    assert_eq!(found(whole, "sensor.t").as_deref(), Some("tower-1/air"));
    assert_eq!(found(whole, "sensor.t_2"), None, "what is a whole name is no part of another");
}

#[test]
fn what_a_map_names_and_no_file_has_is_known() {
    let mut sensors = sensors(&[("a", "tower-1/air"), ("b", "tower-1/ph")]);
    assert_eq!(found(&mut sensors, "a").as_deref(), Some("tower-1/air"));
    assert_eq!(sensors.unmet().map(|map| map.name.as_str()).collect::<Vec<_>>(), ["b"]);
}
