//! Recordings as other tools export them, given to `replay`.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write as _;

use tilth_tests::agent::{Farm, Run, Transition};

/// A minute of the day's first hours: `2026-03-01T00:07:00Z` is 7.
fn stamp(minute: u32) -> String {
    format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60)
}

fn events(run: &Run, event: &str) -> usize {
    run.transitions().iter().filter(|transition| transition.event == event).count()
}

const SILENCE: &str = "[sensors.'a/t']\nquantity = 'temperature'\n";

#[test]
fn time_passes_in_rows_without_a_value() {
    let farm = Farm::new("empty-rows", SILENCE);
    for empty in ["", ",", ",NaN", ",  ", ",\"\""] {
        let mut wide = "time,a/t\n".to_owned();
        for minute in 0..60 {
            let cell = if minute < 3 { ",21.5" } else { empty };
            writeln!(wide, "{}{cell}", stamp(minute)).unwrap();
        }
        let run = farm.replay(&wide, &["--json"]);
        assert_eq!(run.code, Some(0), "{empty:?}: {}", run.err);
        let fired: Vec<String> =
            run.transitions().iter().filter(|one| one.event == "firing").map(Transition::brief).collect();
        assert_eq!(fired, ["2026-03-01T00:17:00Z firing"], "{empty:?}: {}", run.err);
        let summary = run.summary();
        assert_eq!((summary.readings, summary.missing, summary.bad_lines), (3, 57, 0), "{empty:?}: {}", run.err);
    }
}

#[test]
fn rows_before_the_first_value_and_after_the_last_are_time_too() {
    let farm = Farm::new("empty-ends", SILENCE);
    let wide = "time,a/t,b\n2026-03-01T00:00:00Z,,\n2026-03-01T01:00:00Z,20,\n2026-03-01T02:00:00Z,,\n";
    let run = farm.replay(wide, &[]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("1 of 2 sensors, 2026-03-01 00:00:00 UTC to 2026-03-01 02:00:00 UTC (2h)"), "{}", run.err);
    assert!(run.out.contains("2026-03-01 01:15:00 UTC"), "{}", run.out);
}

#[test]
fn a_recording_coarser_than_the_sensor_is_said_once() {
    let fast = "[sensors.'a/t']\nquantity = 'temperature'\ninterval = '2s'\n[sensors.'b/t']\nquantity = 'temperature'\n\
                interval = '2s'\n[rules.warm]\nsensor = 'a/t'\nabove = 30\nclear = 28\nfor = '5m'\n";
    let (mut wide, mut long) = ("time,a/t,b/t\n".to_owned(), "time,sensor,value\n".to_owned());
    for minute in 0..120 {
        let (at, value) = (stamp(minute), if minute < 60 { 25 } else { 31 });
        writeln!(wide, "{at},{value},{value}").unwrap();
        writeln!(long, "{at},a/t,{value}\n{at},b/t,{value}").unwrap();
    }
    let farm = Farm::new("coarse", fast);
    for recording in [&wide, &long] {
        let run = farm.replay(recording, &["--json"]);
        assert_eq!((run.code, events(&run, "fault")), (Some(0), 0), "{}", run.out);
        assert!(run.transitions().iter().any(|one| one.is("warm", "firing")), "{}", run.out);
        let people = farm.replay(recording, &[]);
        let said = people.err.lines().filter(|line| line.contains("set interval = \"1m\"")).count();
        assert_eq!(said, 1, "{}", people.err);
        assert!(people.err.contains("a/t, b/t have a reading every 1m"), "{}", people.err);
    }
    // What is as fine as configured is judged as configured: a gap is a fault, and nothing is said of the distance.
    let minutes = Farm::new("fine", &fast.replace("2s", "1m"));
    let gap: String = wide
        .lines()
        .enumerate()
        .filter(|(at, _)| !(30..50).contains(at))
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    let run = minutes.replay(&gap, &["--json"]);
    assert_eq!((run.code, events(&run, "fault")), (Some(0), 2), "{}", run.out);
    assert!(!run.err.contains("set interval"), "{}", run.err);
    // Nor does a coarse recording hide that a sensor falls silent.
    let run = farm.replay(&gap, &["--json"]);
    assert_eq!((run.code, events(&run, "fault")), (Some(0), 2), "{}", run.out);
}

/// What the files beside this one measured.
const TENT: &str = "
[sensors]
'tent-1/temperature' = { quantity = 'temperature', resolution = 0.01 }
'tent-1/humidity' = { quantity = 'humidity' }
'tent-1/co2' = { quantity = 'co2', resolution = 0.01 }
'tent-1/outside' = { quantity = 'temperature' }
'tent-2/temperature' = { quantity = 'temperature' }
'tower-1/ph' = { quantity = 'ph' }
'tower-1/ec' = { quantity = 'ec' }
'tower-2/ph' = { quantity = 'ph' }
'tower-2/ec' = { quantity = 'ec' }
";

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strangers/files");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

/// An export of another tool, and the recording of our own that has the same readings.
struct Export {
    name: &'static str,
    options: &'static [&'static str],
    /// What the summary says of how the file was read.
    said: &'static [&'static str],
    /// `time,sensor,value`, of 2026-03-01 in UTC where the time has no date.
    same: &'static str,
}

const TEMPERATURE: &str = "Temperature=tent-1/temperature";

const EXPORTS: &[Export] = &[
    Export {
        name: "home-assistant.csv",
        options: &["--map", "sensor.tent_temperature=tent-1/temperature", "--map", "tent_humidity=tent-1/humidity"],
        said: &["read as Home Assistant history", "sensor.tent_temperature_min", "without numbers and not used: \"binary_sensor.tent_door\"", "0 bad"],
        same: "06:00,tent-1/temperature,24.1;06:00:00.123,tent-1/humidity,55;06:01:02.581,tent-1/temperature,24.3;
               06:02,tent-1/temperature,;06:03:04.009,tent-1/temperature,31.4;06:03:30,nobody/here,1;06:04,tent-1/humidity,;
               06:05:04,tent-1/temperature,31.6",
    },
    Export {
        name: "influx-annotated.csv",
        options: &["--map", "temperature=tent-1/temperature", "--map", "humidity=tent-1/humidity", "--map", "co2=tent-1/co2"],
        said: &["read as an InfluxDB export", "names in \"_field\""],
        same: "06:00,tent-1/temperature,24.1;06:01:00.5,tent-1/temperature,24.3;06:00,tent-1/humidity,55;06:00,tent-1/co2,612",
    },
    Export {
        // One `_field` of two places: what says the place is part of the name, and here that is the sensor's id.
        name: "influx-two-places.csv",
        options: &[],
        said: &["read as an InfluxDB export", "names begin with what \"location\" says", "they were sorted by it"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3;06:00,tent-2/temperature,19.1;
               06:01,tent-2/temperature,19.2",
    },
    Export {
        name: "influx-command-line.csv",
        options: &["--map", "temperature=tent-1/temperature", "--map", "humidity=tent-1/humidity"],
        said: &["read as an InfluxDB export", "in nanoseconds since 1970", "without numbers and not used: \"name\""],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-1/humidity,55;06:01,tent-1/temperature,24.3;06:01,tent-1/humidity,54;
               06:02,tent-1/humidity,53",
    },
    Export {
        name: "grafana.csv",
        options: &["--tz", "Europe/Amsterdam", "--map", TEMPERATURE, "--map", "{location=\"tent-1\", unit=\"%\"}=tent-1/humidity"],
        said: &["read as a Grafana export: times in \"Time\" of Europe/Amsterdam"],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-1/humidity,55;06:01,tent-1/temperature,24.3;06:01,tent-1/humidity,54;
               06:02,tent-1/humidity,53",
    },
    Export {
        name: "grafana-series.csv",
        options: &["--map", TEMPERATURE, "--map", "Humidity=tent-1/humidity"],
        said: &["read as a Grafana export", "semicolons between the cells"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,;06:00,tent-1/humidity,55",
    },
    Export {
        name: "thingspeak.csv",
        options: &["--map", "field1=tent-1/temperature", "--map", "field2=tent-1/humidity"],
        said: &["read as a ThingSpeak feed", "times in \"created_at\""],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-1/humidity,55;06:01,tent-1/temperature,24.3;06:02,tent-1/temperature,24.4;
               06:02,tent-1/humidity,53",
    },
    Export {
        name: "excel-german.csv",
        options: &["--tz", "Europe/Berlin", "--map", "Temperatur=tent-1/temperature", "--map", "Außentemperatur=tent-1/outside",
                   "--map", "Luftfeuchte=tent-1/humidity"],
        said: &["semicolons between the cells, decimal commas, times in \"Datum\", \"Uhrzeit\" of Europe/Berlin",
                "without numbers and not used: \"Bemerkung\"", "Mittelwert"],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-1/outside,3.5;06:00,tent-1/humidity,55;06:01,tent-1/temperature,24.3;
               06:01,tent-1/humidity,54.5;06:02,tent-1/temperature,24.4;06:02,tent-1/outside,3.6",
    },
    Export {
        name: "excel-french.csv",
        options: &["--tz", "+01:00", "--map", "Température=tent-1/co2", "--map", "Humidité=tent-1/humidity"],
        said: &["tabs between the cells, decimal commas", "unit is not one of what the sensor measures"],
        same: "2026-03-01T06:00,tent-1/humidity,55;2026-03-13T06:00,tent-1/humidity,54;2026-03-14T06:00,tent-1/humidity,53",
    },
    Export {
        name: "us-loggers.csv",
        options: &["--tz", "UTC", "--map", TEMPERATURE, "--map", "Relative Humidity=tent-1/humidity"],
        said: &["times in \"Timestamp\" of UTC", "taken with the month first, since the dates follow one another only so"],
        same: "2026-03-01T23:58,tent-1/temperature,24.1;2026-03-01T23:58,tent-1/humidity,55.1;
               2026-03-01T23:59,tent-1/temperature,24.3;2026-03-01T23:59,tent-1/humidity,55.3;
               2026-03-02T00:00,tent-1/temperature,24.4;2026-03-02T00:00,tent-1/humidity,55.2;
               2026-03-02T00:01,tent-1/temperature,579.944444444444;2026-03-02T00:01,tent-1/humidity,55.2",
    },
    Export {
        name: "hobo.csv",
        options: &["--map", "Temp=tent-1/temperature", "--map", "RH=tent-1/humidity"],
        said: &["read as a HOBO export", "of +01:00, as the heading says", "which nothing in the file decides"],
        same: "2026-03-01T06:00,tent-1/temperature,24.1;2026-03-01T06:00,tent-1/humidity,55.1;2026-03-01T06:01,tent-1/temperature,24.3;
               2026-03-01T06:01,tent-1/humidity,55.3;2026-03-01T06:02,tent-1/temperature,24.4;2026-03-01T06:02,tent-1/humidity,55.2;
               2026-03-01T06:02:10,nobody/here,1",
    },
    Export {
        name: "toa5.dat",
        options: &["--tz", "Etc/GMT-1", "--map", "AirTC_Avg=tent-1/temperature", "--map", "RH=tent-1/humidity"],
        said: &["read as a Campbell TOA5 table"],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-1/humidity,55.1;06:01,tent-1/humidity,55.3;06:02,tent-1/temperature,24.4",
    },
    Export {
        name: "several-devices.csv",
        options: &[],
        said: &["names begin with what \"device\" says"],
        same: "06:00,tower-1/ph,6.1;06:00,tower-1/ec,1.8;06:00:05,tower-2/ph,6.9;06:00:05,tower-2/ec,1.9;06:01,tower-1/ph,6.2;
               06:01,tower-1/ec,1.81;06:01:05,tower-2/ph,6.8;06:01:05,tower-2/ec,1.905",
    },
    Export {
        name: "r-row-numbers.txt",
        options: &["--tz", "Europe/Brussels", "--map", TEMPERATURE, "--map", "humidity=tent-1/humidity", "--map", "CO2=tent-1/co2"],
        said: &["a row number before the first heading"],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-1/humidity,55;06:00,tent-1/co2,612.5;06:01,tent-1/temperature,24.3;
               06:01,tent-1/humidity,54;06:01,tent-1/co2,613;06:02,tent-1/temperature,24.4;06:02,tent-1/humidity,53;
               06:02,tent-1/co2,614.25",
    },
    Export {
        name: "clock-change.csv",
        options: &["--tz", "Europe/Berlin", "--map", "Temperatur=tent-1/temperature"],
        said: &["the clocks were set back: 4 times were shown twice", "from line 5 on the second"],
        same: "2026-10-24T23:30,tent-1/temperature,10.1;2026-10-25T00:00,tent-1/temperature,10.2;
               2026-10-25T00:30,tent-1/temperature,10.3;2026-10-25T01:00,tent-1/temperature,10.4;
               2026-10-25T01:30,tent-1/temperature,10.5;2026-10-25T02:00,tent-1/temperature,10.6",
    },
    Export {
        // Each device has an order of its own.
        name: "clock-change-devices.csv",
        options: &["--tz", "Europe/Berlin", "--map", "one/temperature=tent-1/temperature", "--map", "two/temperature=tower-1/ec"],
        said: &["the clocks were set back: 9 times were shown twice", "from line 11 on the second"],
        same: "2026-10-24T23:40,tent-1/temperature,10.1;2026-10-24T23:40:20,tower-1/ec,20.1;
               2026-10-25T00:20,tent-1/temperature,10.2;2026-10-25T00:20:20,tower-1/ec,20.2;
               2026-10-25T00:50,tent-1/temperature,10.3;2026-10-25T00:50:20,tower-1/ec,20.3;
               2026-10-25T01:10,tent-1/temperature,10.4;2026-10-25T01:10:20,tower-1/ec,20.4;
               2026-10-25T02:00,tent-1/temperature,10.5;2026-10-25T02:00:20,tower-1/ec,20.5",
    },
    Export {
        name: "clock-forward.csv",
        options: &["--tz", "Europe/Berlin", "--map", "temperature=tent-1/temperature"],
        said: &["line 3: no such time: the clocks were set forward"],
        same: "2026-03-29T00:30,tent-1/temperature,10.1;2026-03-29T01:30,tent-1/temperature,10.3",
    },
    Export {
        name: "sketch.csv",
        options: &["--map", "temp=tent-1/temperature", "--map", "hum=tent-1/humidity"],
        said: &["in seconds since 1970", "0 bad"],
        same: "06:00:00.25,tent-1/temperature,24.1;06:00:00.25,tent-1/humidity,55;06:01:00.5,tent-1/temperature,24.3;
               06:01:00.5,tent-1/humidity,54;06:02,tent-1/humidity,53",
    },
    Export {
        name: "aranet.csv",
        options: &["--tz", "UTC", "--map", "Carbon dioxide=tent-1/co2", "--map", TEMPERATURE],
        said: &["\"Temperature(°F)\" is converted from F to C", "times in \"Time(dd/mm/yyyy)\" of UTC"],
        same: "2026-10-05T13:38:35,tent-1/co2,721;2026-10-05T13:38:35,tent-1/temperature,24.1;2026-10-05T13:39:35,tent-1/co2,704;
               2026-10-05T13:39:35,tent-1/temperature,24.3;2026-10-05T13:40:35,tent-1/co2,681;
               2026-10-05T13:40:35,tent-1/temperature,24.4",
    },
    Export {
        name: "govee.csv",
        options: &["--tz", "+01:00", "--map", "Temperature_Fahrenheit=tent-1/temperature"],
        said: &["\"Temperature_Fahrenheit\" is converted from F to C"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3;06:02,tent-1/temperature,24.4",
    },
    Export {
        name: "netatmo.csv",
        options: &["--map", TEMPERATURE],
        said: &["times in \"Timestamp\" in seconds since 1970"],
        same: "06:00,tent-1/temperature,24.1;06:05,tent-1/temperature,24.3",
    },
    Export {
        name: "davis-weatherlink.txt",
        options: &["--tz", "+01:00", "--map", "Temp=tent-1/temperature"],
        said: &["tabs between the cells, times in \"Date\", \"Time\" of +01:00", "1 missing value"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3;2026-03-13T18:02,nobody/here,1",
    },
    Export {
        name: "weatherlink-com.csv",
        options: &["--tz", "+01:00", "--map", "Temp=tent-1/temperature"],
        said: &["\"Temp - °F\" is converted from F to C", "--date-order dmy"],
        same: "06:00,tent-1/temperature,24.1;06:05,tent-1/temperature,24.3",
    },
    Export {
        // The newest line is the first.
        name: "ambient-weather.csv",
        options: &["--map", "Outdoor Temperature=tent-1/temperature"],
        said: &["times in \"Date\"", "not used: \"Simple Date\"", "0 late for their sensor", "sorted"],
        same: "06:00,tent-1/temperature,24.1;06:05,tent-1/temperature,24.3",
    },
    Export {
        name: "prtg.csv",
        options: &["--tz", "UTC", "--map", "Temperature(RAW)=tent-1/temperature"],
        said: &["times in \"Date Time(RAW)\" as a spreadsheet's days of UTC", "Averages (of 2 values)"],
        same: "07:00,tent-1/temperature,24.1;07:05,tent-1/temperature,24.3",
    },
    Export {
        name: "zabbix.csv",
        options: &["--map", "value=tent-1/temperature"],
        said: &["times in \"clock\" in seconds since 1970"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "numbered-items.csv",
        options: &["--name-column", "Messpunkt", "--map", "7/wert=tent-1/temperature", "--map", "9/wert=tent-2/temperature"],
        said: &["names begin with what \"messpunkt\" says"],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-2/temperature,19.1;06:01,tent-1/temperature,24.3;06:01,tent-2/temperature,19.2",
    },
    Export {
        name: "adafruit-io.csv",
        options: &["--map", "value=tent-1/temperature"],
        said: &["times in \"created_at\"", "not used: \"id\""],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "ecowitt.csv",
        options: &["--tz", "+01:00", "--map", "Indoor Temperature=tent-1/temperature"],
        said: &["1 missing value, 0 bad"],
        same: "06:00,tent-1/temperature,24.1;06:05,tent-1/temperature,24.3",
    },
    Export {
        name: "cayenne.csv",
        options: &["--map", TEMPERATURE, "--map", "Humidity=tent-1/humidity"],
        said: &["names in \"Sensor Name\", values in \"Values\"", "the unit \"p\" is not known"],
        same: "06:00,tent-1/temperature,24.1;06:00,tent-1/humidity,55;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "sensorpush.csv",
        options: &["--tz", "+01:00", "--map", "Tent 1 Temperature=tent-1/temperature"],
        said: &["is converted from F to C"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "testo.csv",
        options: &["--tz", "+01:00", "--map", "Kanal 1 Temperatur=tent-1/temperature"],
        said: &["decimal commas, times in \"Datum\", \"Uhrzeit\""],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "thingsboard.csv",
        options: &["--tz", "+01:00", "--map", "temperature=tent-1/temperature"],
        said: &["semicolons between the cells"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "psql.txt",
        options: &[],
        said: &["bars between the cells", "(2 rows)"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "elitech.csv",
        options: &["--tz", "+01:00", "--map", TEMPERATURE],
        said: &["times in \"Time\" of +01:00"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
    Export {
        name: "noaa-units-row.csv",
        options: &["--map", "air_temperature=tent-1/temperature"],
        said: &["\"air_temperature (degree F)\" is converted from F to C", "0 bad"],
        same: "06:00,tent-1/temperature,24.1;06:01,tent-1/temperature,24.3",
    },
];

/// `time,sensor,value` from the short form of an [`Export`], in the order of time.
fn recording(same: &str) -> String {
    let row = |row: &str| {
        let (time, rest) = row.trim().split_once(',').unwrap();
        let day = if time.contains('T') { "" } else { "2026-03-01T" };
        let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
        let time: jiff::Timestamp = format!("{day}{time}{seconds}Z").parse().unwrap();
        (time, rest.to_owned())
    };
    let mut rows: Vec<(jiff::Timestamp, String)> = same.split(';').map(row).collect();
    rows.sort_by_key(|(time, _)| *time);
    rows.iter().fold("time,sensor,value\n".to_owned(), |csv, (time, rest)| csv + &format!("{time},{rest}\n"))
}

/// The readings and alerts of a run, as one number; and which there were.
fn digest(run: &Run) -> String {
    let last = run.out.lines().last().unwrap_or_default();
    let digest: serde_json::Value = serde_json::from_str(last).unwrap_or_default();
    format!("{}\n{}", digest["readings"], run.out.lines().rev().skip(1).collect::<Vec<_>>().join("\n"))
}

#[test]
fn exports_of_other_tools_are_the_recordings_that_they_stand_for() {
    let farm = Farm::new("exports", TENT);
    for Export { name, options, said, same } in EXPORTS {
        let run = farm.replay_file(&farm.folder.write(name, file(name)), &[&["--json", "--digest"], *options].concat());
        assert_eq!(run.code, Some(0), "{name}: {}", run.err);
        let own = farm.replay(recording(same), &["--json", "--digest"]);
        assert_eq!(own.code, Some(0), "{name}: {}", own.err);
        assert_eq!(digest(&run), digest(&own), "{name}: {}", run.err);
        let people = farm.replay(file(name), options);
        assert_eq!(people.code, Some(0), "{name} from a pipe: {}", people.err);
        for said in *said {
            assert!(people.err.contains(said), "{name}: expected {said:?} in\n{}", people.err);
        }
    }
}

#[test]
fn encodings_change_nothing() {
    let farm = Farm::new("encodings", TENT);
    let export = EXPORTS.iter().find(|export| export.name == "excel-german.csv").unwrap();
    let text = String::from_utf8(file(export.name)).unwrap();
    let options = [&["--json", "--digest"], export.options].concat();
    let plain = farm.replay(&text, &options);
    let windows: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    let utf16 = |bytes: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
        format!("{mark}{text}").encode_utf16().flat_map(bytes).collect()
    };
    for (name, bytes) in [
        ("a byte order mark", format!("\u{feff}{text}").into_bytes()),
        ("Windows-1252", windows),
        ("UTF-16, low byte first", utf16(u16::to_le_bytes, "\u{feff}")),
        ("UTF-16, high byte first", utf16(u16::to_be_bytes, "\u{feff}")),
        ("UTF-16 without a mark", utf16(u16::to_le_bytes, "")),
    ] {
        let run = farm.replay(&bytes, &options);
        assert_eq!((run.code, digest(&run)), (Some(0), digest(&plain)), "{name}: {}", run.err);
        if name.contains("UTF-16") {
            assert!(run.err.contains("the text is UTF-16"), "{name}: {}", run.err);
        }
    }
}

/// A recording, what is typed, and what standard error must say: nothing is guessed, and what to do is said.
const REFUSED: &[(&str, &[&str], &[&str])] = &[
    (
        "when,temp\n2026-03-01 07:00:00,24\n",
        &[],
        &["line 2: the times have no offset (\"2026-03-01 07:00:00\")", "--tz Europe/Amsterdam"],
    ),
    ("a,b\n2026-03-01T07:00:00Z,2026-03-01T07:00:01Z\n", &[], &["\"a\", \"b\" hold times", "--time-column \"a\""]),
    (
        "a,b\n2026-03-01T07:00:00Z,1\n",
        &["--time-column", "c"],
        &["--time-column \"c\": there is no such heading; found \"a\", \"b\""],
    ),
    ("a,b\n2026-03-01T07:00:00Z,1\n", &["--time-column", "b"], &["--time-column \"b\": \"1\" is no time"]),
    (
        "when,Temp (C)\n2026-03-01T07:00:00Z,24\n",
        &[],
        &["no reading is of a sensor", "Temp (C)", "--map \"Temp (C)=tent-1/"],
    ),
    (
        "when,Temp\n2026-03-01T07:00:00Z,24\n",
        &["--map", "Tmp=tent-1/temperature"],
        &["--map \"Tmp=tent-1/temperature\": there is no such heading; found \"when\", \"Temp\""],
    ),
    (
        "time,sensor,value\n2026-03-01T07:00:00Z,a,24\n",
        &["--map", "b=tent-1/temperature"],
        &["--map \"b=tent-1/temperature\": the recording has no such name; found a"],
    ),
    (
        "when,Air Temp,Water Temp\n2026-03-01T07:00:00Z,24,20\n",
        &["--map", "Temp=tent-1/temperature"],
        &["fits \"Air Temp\" and \"Water Temp\""],
    ),
    (
        "when,Tent-1/Temperature,tent_1/temperature\n2026-03-01T07:00:00Z,24,20\n",
        &[],
        &["would both be tent-1/temperature"],
    ),
    (
        "when,t\n13/02/2026 07:00,24\n02/14/2026 07:00,24\n",
        &["--tz", "UTC"],
        &["has its day first, and \"02/14/2026 07:00\" in line 3 its month", "--date-order"],
    ),
    (
        "Date,t\n2026-03-01,24\n2026-03-01,25\n",
        &["--tz", "UTC"],
        &["\"Date\" holds dates alone, and several lines have the same"],
    ),
    ("PK\u{3}\u{4}\u{14}\0\0\0\u{8}\0readings.csv", &[], &["a zip archive", "unzip -p"]),
];

#[test]
fn what_could_mean_two_things_is_refused_with_the_words_to_say() {
    let farm = Farm::new("refused", TENT);
    for (recording, options, said) in REFUSED {
        let run = farm.replay(recording, options);
        assert_eq!(run.code, Some(1), "{recording:?}: {}", run.err);
        for said in *said {
            assert!(run.err.contains(said), "{recording:?}: expected {said:?} in\n{}", run.err);
        }
    }
    let xz = farm.replay(b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0!\x01\x16\0\0\0t/\xe5\xa3", &[]);
    assert!(xz.code == Some(1) && xz.err.contains("an xz file; unpack it: xz -dc"), "{}", xz.err);
    for (options, said) in [
        (
            &["--map", "a=tent-1/temprature"][..],
            "the configuration has no such sensor; did you mean tent-1/temperature?",
        ),
        (&["--map", "a"], "expected NAME=zone/sensor"),
        (&["--tz", "Mars/Olympus"], "expected a zone such as Europe/Amsterdam"),
    ] {
        let run = farm.replay("time,sensor,value\n", options);
        assert!(run.code == Some(2) && run.err.contains(said), "{options:?}: {}", run.err);
    }
}
