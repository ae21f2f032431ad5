//! Units in headings, in cells and beside them.

use std::fs::File;
use std::io;

use super::super::sensors::{KnownSensor, ReadOptions};
use super::super::{Readings, ReadingsError};
use super::*;
use crate::cli::{Map, ReadArgs};

/// The values of `room/x` in a file, and what was bad.
fn values(quantity: Quantity, map: &str, text: &str) -> Result<String, ReadingsError> {
    let map = (!map.is_empty()).then(|| Map { name: map.to_owned(), sensor: "room/x".to_owned() });
    let sensors = ["room/x", "room/t_f"].map(|id| KnownSensor { id: id.into(), quantity, unit: None }).to_vec();
    let options = ReadOptions {
        args: ReadArgs { map: map.into_iter().collect(), ..ReadArgs::default() },
        sensors,
        ..ReadOptions::default()
    };
    let source = io::Cursor::new(text.to_owned());
    let mut readings = Readings::from_source("farm.csv", source, &options, || None::<File>)?;
    let mut found = Vec::new();
    while let Some(row) = readings.next_row()? {
        let name = row.sensor.map(|sensor| readings.names()[sensor].to_string());
        if name.is_some_and(|name| name.starts_with("room/")) {
            found.extend(row.value.map(|value| ((value * 1e6).round() / 1e6).to_string()));
        }
    }
    found.extend(readings.report().reasons.iter().map(|(reason, _)| reason.to_string()));
    Ok(found.join(" "))
}

#[test]
fn units_are_those_that_live_lines_say() {
    use Quantity::{Ec, Rain, Temperature, WaterLevel, Wind};
    let wrong = "unit is not one of what the sensor measures";
    for (quantity, map, head, row, expected) in [
        (Temperature, "temp", "temp_f", "70.7", "21.5"),
        (Temperature, "Temp", "Temp F", "70.7", "21.5"),
        (Temperature, "tempf", "tempf", "70.7", "21.5"),
        (Temperature, "temp_f", "tempF", "70.7", "21.5"),
        (Temperature, "temp", "temp_in", "21.5", "21.5"),
        (Temperature, "Temp F", "Temp A,Temp F", "20,21.5", "21.5"),
        (Ec, "ec_us", "ec_us", "1800", "1.8"),
        (Wind, "windspeedmph", "windspeedmph,tempf", "10,70.7", "4.4704"),
        (Rain, "rain_in", "rain_in", "1", "25.4"),
        (WaterLevel, "level_in", "level_in", "20", "20"),
        (WaterLevel, "depth_in", "depth_in", "10", "25.4"),
        (Temperature, "Probe F", "Probe F", "21.5", "21.5"),
        (Quantity::Contact, "door", "door", "true", "1"),
        (Temperature, "temp", "temp,n", "true,1", "expected a decimal number, nothing or NaN"),
        (WaterLevel, "level", "level", "1m 20cm", "120"),
        (WaterLevel, "level", "level,n", "1 m 20,1", "expected a decimal number, nothing or NaN"),
        // A unit in a column of its own.
        (Temperature, "temp", "temp,unit", "70.7,F", "21.5"),
        (Temperature, "temp", "temp,temp_unit,hum,hum_unit", "70.7,°F,50,%", "21.5"),
        (Temperature, "temp", "temp,unit,hum,unit", "70.7,F,50,%", "21.5"),
        (Temperature, "temp", "unit,temp,hum", "F,70.7,50", "21.5"),
        (Temperature, "temp", "temp,hum,unit", "21.5,50,%", "21.5"),
        (Temperature, "temp", "temp,unit", "101.3,kPa", wrong),
        (Temperature, "temp", "temp,unit", "70,foo", "unit is not known"),
        // The ids of the farm's own recordings say no unit.
        (Temperature, "", "room/t_f", "21.5", "21.5"),
    ] {
        let rows = [0, 1, 2].map(|minute| format!("2025-01-01T00:0{minute}:00Z,{row}\n")).concat();
        let all = [expected; 3].join(" ");
        let is_bad = expected.starts_with(|c: char| c.is_alphabetic());
        let expected = if is_bad { expected } else { &all };
        assert_eq!(values(quantity, map, &format!("time,{head}\n{rows}")).unwrap(), expected, "{head}: {row}");
    }
    let long = "time,sensor,value,unit\n2025-01-01T00:00:00Z,room/x,70.7,F\n2025-01-01T00:01:00Z,room/x,70,foo\n";
    assert_eq!(values(Temperature, "", long).unwrap(), "21.5 unit is not known");
    let own = "time,sensor,value\n2025-01-01T00:00:00Z,room/t_f,21.5\n";
    assert_eq!(values(Temperature, "", own).unwrap(), "21.5");
}
