//! Recordings without a header, with several lines of headings, in other people's ways to write times, and with words as values.

use std::fmt::Write as _;

use tilth_tests::agent::Farm;

/// What comes of a recording: a sensor, and its first value at eight o'clock in Amsterdam; or words of the refusal.
enum Comes {
    First(&'static str, f64),
    Refused(&'static [&'static str]),
}

use Comes::{First, Refused};

struct Case {
    name: &'static str,
    /// What stands above the rows, and a row with `MM` for its minute.
    above: &'static str,
    row: &'static str,
    options: &'static [&'static str],
    comes: Comes,
}

const CONFIG: &str = "
    [agent]
    timezone = 'Europe/Amsterdam'
    [rules.sensor-silent]
    enabled = false
    [rules.any]
    sensor = 'a/*'
    above = 0.01
    clear = 0.001
    [sensors.'a/t']
    quantity = 'temperature'
    [sensors.'a/f']
    quantity = 'temperature'
    unit = 'F'
    input = 'line:g/f'
    [sensors.'a/m']
    quantity = 'soil_moisture'
    [sensors.'a/n']
    quantity = 'count'
    [sensors.'a/door']
    quantity = 'contact'
    ";

const CASES: &[Case] = &[
    Case {
        name: "no header, a sensor in each line",
        above: "",
        row: "2026-03-01T07:MM:00Z,a/t,21.5",
        options: &[],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "no header, a column a sensor",
        above: "",
        row: "2026-03-01 08:MM:00;55;21,5",
        options: &["--map", "column 3=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "formats of date and time among the units",
        above: "Datum,Tijd,Kas temp,Kas RV\n[dd-mm-jjjj],[uu:mm],[°C],[%]",
        row: "01-03-2026,08:MM,21.5,55",
        options: &["--map", "Kas temp=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "groups above the headings",
        above: ";;Kas 1;;Kas 2\nDatum;Tijd;Temp;RV;Temp",
        row: "01-03-2026;08:MM;30,0;55;21,5",
        options: &["--map", "Kas 2 Temp=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "groups above the headings, and a heading of two groups",
        above: ";;Kas 1;;Kas 2\nDatum;Tijd;Temp;RV;Temp",
        row: "01-03-2026;08:MM;30,0;55;21,5",
        options: &["--map", "Temp=a/t"],
        comes: Refused(&["Kas 1 Temp", "Kas 2 Temp"]),
    },
    Case {
        name: "units before the names",
        above: "z6,Port 1,Port 1\nRecords: 9,TEROS 12,TEROS 12\nTimestamps, m³/m³ Water Content, °C Soil Temperature",
        row: "3/1/2026 8:MM AM,0.31,21.5",
        options: &["--map", "Water Content=a/m", "--date-order", "mdy"],
        comes: First("a/m", 31.0),
    },
    Case {
        name: "devices by id and model",
        above: "time,model,id,temperature_F",
        row: "2026-03-01 08:MM:00,Acurite,2453,70.7\n2026-03-01 08:MM:00,Acurite,2454,90",
        options: &["--map", "2453/temperature_F=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "devices by id, and a heading of both",
        above: "time,model,id,temperature_F",
        row: "2026-03-01 08:MM:00,Acurite,2453,70.7\n2026-03-01 08:MM:00,Acurite,2454,90",
        options: &["--map", "temperature_F=a/t"],
        comes: Refused(&["2453/temperature_F", "2454/temperature_F"]),
    },
    Case {
        name: "the unit of a sensor for a heading without one",
        above: "time,Air",
        row: "2026-03-01T07:MM:00Z,70.7",
        options: &["--map", "Air=a/f"],
        comes: First("a/f", 21.5),
    },
    Case {
        name: "words of a door",
        above: "entity_id,state,last_changed",
        row: "binary_sensor.door,on,2026-03-01T07:MM:00.000Z\nsensor.other,unavailable,2026-03-01T07:MM:00.000Z",
        options: &["--map", "binary_sensor.door=a/door"],
        comes: First("a/door", 1.0),
    },
    Case {
        name: "truths with capitals",
        above: "time,Pump",
        row: "2026-03-01T07:MM:00Z,True",
        options: &["--map", "Pump=a/n"],
        comes: First("a/n", 1.0),
    },
    Case {
        name: "points between hours and minutes",
        above: "Data e ora;Temperatura",
        row: "13/02/2026 08.MM.00;20,0\n01/03/2026 08.MM.00;21,5",
        options: &["--map", "Temperatura=a/t"],
        comes: First("a/t", 20.0),
    },
    Case {
        name: "a day and its hour in ten digits are no seconds since 1970",
        above: "STATIONS_ID;MESS_DATUM;TT_TU;eor",
        row: "1048;20260301MM;21.5;eor",
        options: &["--map", "TT_TU=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "a table as mysql draws it",
        above: "+---------------------+-------+\n| ts                  | temp  |\n+---------------------+-------+",
        row: "| 2026-03-01 08:MM:00 |  21.5 |",
        options: &["--map", "temp=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "a table of markdown",
        above: "| time | temp |\n|---|---|",
        row: "| 2026-03-01 08:MM | 21.5 |",
        options: &["--map", "temp=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "blanks between the columns",
        above: "date        time      temp  hum",
        row: "2026-03-01  08:MM:00  21.5  55",
        options: &["--map", "temp=a/t"],
        comes: First("a/t", 21.5),
    },
    Case {
        name: "lines of JSON",
        above: "{\"time\":\"2026-03-01T06:59:00Z\",\"temp\":21.5}",
        row: "{\"time\":\"2026-03-01T07:MM:00Z\",\"temp\":21.5}",
        options: &["--map", "temp=a/t"],
        comes: Refused(&["lines of JSON", "CSV"]),
    },
];

#[test]
fn recordings_of_other_layouts_are_read_or_refused_with_a_word() {
    let farm = Farm::new("layouts", CONFIG);
    for Case { name, above, row, options, comes } in CASES {
        let mut text = if above.is_empty() { String::new() } else { format!("{above}\n") };
        for minute in 0..8 {
            writeln!(text, "{}", row.replace("MM", &format!("{minute:02}"))).unwrap();
        }
        let options = [&["--json", "--tz", "Europe/Amsterdam"], *options].concat();
        let run = farm.replay(&text, &options);
        match comes {
            First(sensor, value) => {
                assert_eq!(run.code, Some(0), "{name}: {}", run.err);
                let transitions = run.transitions();
                let first =
                    transitions.iter().find(|one| one.event == "firing" && one.sensor.as_deref() == Some(*sensor));
                let first = first.unwrap_or_else(|| panic!("{name}: {}\n{}", run.out, run.err));
                assert_eq!(first.value, Some(*value), "{name}: {}", run.err);
            }
            Refused(words) => {
                assert_eq!(run.code, Some(1), "{name}: {}", run.err);
                assert!(words.iter().all(|word| run.err.contains(word)), "{name}: {}", run.err);
            }
        }
    }
}
