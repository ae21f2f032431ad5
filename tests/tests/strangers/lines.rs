//! Lines as other people's sketches print them, on serial ports: what each sensor reads of them.
//!
//! One agent reads all cases, each on a bus and a zone of its own. The sensors of a case are `c0/NAME`, `c1/NAME` and so on.

use std::fmt::Write as _;

use serde_json::Value;
use tilth_tests::live::board::Board;
use tilth_tests::live::farm::Farm;

/// What a board prints, who wants what of it, and what they read in the end.
struct Case {
    /// Further keys of its bus.
    bus: &'static str,
    /// Name, quantity, name in the input, and further keys.
    sensors: &'static [(&'static str, &'static str, &'static str, &'static str)],
    says: &'static [u8],
    reads: &'static [(&'static str, Reads)],
}

/// What a sensor reads in the end.
#[derive(Debug, Clone, Copy)]
enum Reads {
    Good(f64),
    /// A fault, for which these words are among the reasons.
    Fault(&'static [&'static str]),
    Nothing,
}

use Reads::{Fault, Good, Nothing};

const TEMPERATURE: &str = "temperature";

const CASES: &[Case] = &[
    // Two labels fit one name, in one line and in lines one after the other.
    Case {
        bus: "",
        sensors: &[
            ("t", TEMPERATURE, "Temp", ""),
            ("air", TEMPERATURE, "Air Temp", ""),
            ("water", "water_temperature", "water_temp", ""),
        ],
        says: b"Air Temp: 22.0 C  Water Temp: 26.0 C\r\nAir Temp: 22.5 C\r\n",
        reads: &[("t", Fault(&["Air Temp", "Water Temp"])), ("air", Good(22.5)), ("water", Good(26.0))],
    },
    Case {
        bus: "",
        sensors: &[("ph", "ph", "pH", "")],
        says: b"Tank 1 pH: 6.10\nTank 2 pH: 6.90\nTank 1 pH: 6.11\n",
        reads: &[("ph", Fault(&["Tank 1 pH", "Tank 2 pH"]))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temp", "")],
        says:
            b"servo box: temp=20.0\nNode 7 | Temp: 21.5C | Batt: 88% | RSSI: -70dBm\nNode 8 | Temp: 22.5C | Batt: 80%\n",
        reads: &[("t", Fault(&["servo box temp", "Node 7 Temp"]))],
    },
    // Units that the end of a label or a field beside the value says.
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temp", ""), ("ec", "ec", "ec", ""), ("w", "wind", "windspeedmph", "")],
        says: b"{\"temp_f\":70.7,\"ec_us\":1800,\"windspeedmph\":10}\n",
        reads: &[("t", Good(21.5)), ("ec", Good(1.8)), ("w", Good(4.5))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temp", ""), ("v", TEMPERATURE, "water.value", "")],
        says: b"{\"temp\":70.7,\"temp_unit\":\"F\",\"water\":{\"value\":68,\"unit\":\"\xc2\xb0F\"}}\n",
        reads: &[("t", Good(21.5)), ("v", Good(20.0))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temp", "")],
        says: b"{\"temp\":70,\"units\":\"imperial\"}\n",
        reads: &[("t", Fault(&["70 imperial", "C, F, K"]))],
    },
    // A node that stands behind its values.
    Case {
        bus: "",
        sensors: &[("one", TEMPERATURE, "temp?node=1", ""), ("two", TEMPERATURE, "temp?node=2", "")],
        says: b"temp=20 node=1 temp=30 node=2\n",
        reads: &[("one", Good(20.0)), ("two", Good(30.0))],
    },
    // Two values under one label in one line.
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temp", ""), ("h", "humidity", "hum", "")],
        says: b"{\"temp\":21.5,\"hum\":55,\"temp\":85}\n",
        reads: &[("t", Fault(&["temp", "twice"])), ("h", Good(55.0))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temp", "")],
        says: b"time,temp,temp\n1000,21.5,30.0\n",
        reads: &[("t", Fault(&["temp", "twice"]))],
    },
    // Many nodes on one line of a gateway.
    Case {
        bus: "",
        sensors: &[
            ("one", TEMPERATURE, "temp?node=1", ""),
            ("two", TEMPERATURE, "temp?node=2", ""),
            ("nine", TEMPERATURE, "temp?node=9", ""),
        ],
        says: b"node=1 temp=21.5 hum=50\n{\"node\":2,\"temp\":22.5}\nNode 3 | Temp: 30.0\n",
        reads: &[("one", Good(21.5)), ("two", Good(22.5)), ("nine", Nothing)],
    },
    Case {
        bus: "",
        sensors: &[("a", TEMPERATURE, "temp?id=a", ""), ("b", TEMPERATURE, "probes.temp?id=b", "")],
        says: b"{\"probes\":[{\"id\":\"b\",\"temp\":22.5},{\"id\":\"a\",\"temp\":21.5}]}\n",
        reads: &[("a", Good(21.5)), ("b", Good(22.5))],
    },
    // Labels of several words, with digits, brackets, units and signs.
    Case {
        bus: "",
        sensors: &[
            ("one", "percent", "Sensor 1", ""),
            ("two", "percent", "sensor_2", ""),
            ("co2", "co2", "CO2 concentration", ""),
            ("raw", "count", "#1", ""),
        ],
        says: b"Sensor 1: 43 Sensor 2: 71\nCO2 concentration [ppm]: 612\n#1: 512 #2: 300\n",
        reads: &[("one", Good(43.0)), ("two", Good(71.0)), ("co2", Good(612.0)), ("raw", Good(512.0))],
    },
    // The tester of the DHT library, with its second unit and its heat index.
    Case {
        bus: "",
        sensors: &[
            ("t", TEMPERATURE, "Temperature", ""),
            ("h", "humidity", "Humidity", ""),
            ("i", TEMPERATURE, "heat_index", ""),
        ],
        says: "Humidity: 55.00%  Temperature: 24.30°C 75.74°F  Heat index: 24.05°C 75.29°F\r\n".as_bytes(),
        reads: &[("t", Good(24.3)), ("h", Good(55.0)), ("i", Good(24.05))],
    },
    // DallasTemperature's examples, with probes by number.
    Case {
        bus: "",
        sensors: &[("t", "water_temperature", "Temperature for the device 1 (index 0) is", "")],
        says: b"Requesting temperatures...DONE\r\nTemperature for the device 1 (index 0) is: 24.31\r\n",
        reads: &[("t", Good(24.31))],
    },
    // What runs into the next label, and a value with a word in brackets.
    Case {
        bus: "",
        sensors: &[
            ("m", "count", "Soil Moisture", ""),
            ("t", TEMPERATURE, "Temperature", ""),
            ("h", "humidity", "Humidity", ""),
        ],
        says: b"Soil Moisture : 512Temperature : 24.30    Humidity : 55.00\r\n",
        reads: &[("m", Good(512.0)), ("t", Good(24.3)), ("h", Good(55.0))],
    },
    // Headers of words with units; a comment; blanks; double tabs; a separator at the end.
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "Temperature", ""), ("h", "humidity", "Humidity", "")],
        says: b"Time (ms),Temperature (C),Humidity (%)\n1000,24.5,55.1,\n",
        reads: &[("t", Good(24.5)), ("h", Good(55.1))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temp", ""), ("h", "humidity", "hum", "")],
        says: b"# time;temp;hum\n5;70.7F;55\n",
        reads: &[("t", Good(21.5)), ("h", Good(55.0))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "Air Temp", ""), ("h", "humidity", "Humidity", "")],
        says: b"Time\t\tAir Temp\t\tHumidity\n1\t\t24.5\t\t55.1\n",
        reads: &[("t", Good(24.5)), ("h", Good(55.1))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "Temp", ""), ("h", "humidity", "Hum", "")],
        says: b"Temp Hum CO2\n24.5 55.1 612\n",
        reads: &[("t", Good(24.5)), ("h", Good(55.1))],
    },
    // Lines without a header.
    Case {
        bus: "columns = ['temp', 'humidity', 'co2']",
        sensors: &[("t", TEMPERATURE, "temp", ""), ("h", "humidity", "humidity", ""), ("c", "co2", "co2", "")],
        says: b"24.5,55.1,612\r\n",
        reads: &[("t", Good(24.5)), ("h", Good(55.1)), ("c", Good(612.0))],
    },
    // Probes of Atlas Scientific: a bare number, and the four values of an EC circuit.
    Case { bus: "", sensors: &[("ph", "ph", "value", "")], says: b"*OK\r6.85\r", reads: &[("ph", Good(6.85))] },
    Case {
        bus: "columns = ['ec', 'tds', 'salinity', 'gravity']",
        sensors: &[("ec", "ec", "ec", "unit = 'uS/cm'"), ("tds", "tds", "tds", "")],
        says: b"1800,900,0.90,1.001\r*ER\r",
        reads: &[("ec", Good(1.8)), ("tds", Good(900.0))],
    },
    // Label and value in turn, a sentence with a sum, a tab.
    Case {
        bus: "",
        sensors: &[("ph", "ph", "PH", ""), ("ec", "ec", "EC", ""), ("t", TEMPERATURE, "TEMP", "")],
        says: b"$PH,6.85,EC,1.80*30\n$PH,9.85,EC,1.80*30\nTEMP\t21.5\n",
        reads: &[("ph", Good(6.85)), ("ec", Good(1.8)), ("t", Good(21.5))],
    },
    // Signs behind numbers, in old encodings as well.
    Case {
        bus: "",
        sensors: &[
            ("t", TEMPERATURE, "t1", ""),
            ("u", TEMPERATURE, "t2", ""),
            ("v", TEMPERATURE, "t3", ""),
            ("w", TEMPERATURE, "t4", ""),
            ("l", "water_level", "dist", ""),
        ],
        says: b"t1: 25.0^C t2: 24.3*C\nt3: 22.5\xdfC\nt4: 23.5\xf8C\ndist: 30cm.\n",
        reads: &[("t", Good(25.0)), ("u", Good(24.3)), ("v", Good(22.5)), ("w", Good(23.5)), ("l", Good(30.0))],
    },
    // Units that are said, and one that measures something else.
    Case {
        bus: "",
        sensors: &[
            ("ec", "ec", "EC", ""),
            ("t", TEMPERATURE, "Temp", ""),
            ("p", "pressure", "Pressure", ""),
            ("w", "wind", "Wind", ""),
            ("d", "wind_direction", "Dir", ""),
            ("s", "tds", "TDS", ""),
            ("x", "ec", "Salts", ""),
        ],
        says:
            "EC: 1800µS/cm Temp: 70.7 F\nPressure: 29.92 inHg  Wind: 36 km/h  Dir: 225 deg\nTDS: 900ppm Salts: 900ppm\n"
                .as_bytes(),
        reads: &[
            ("ec", Good(1.8)),
            ("t", Good(21.5)),
            ("p", Good(1013.2)),
            ("w", Good(10.0)),
            ("d", Good(225.0)),
            ("s", Good(900.0)),
            ("x", Fault(&["Salts", "900 ppm", "ec"])),
        ],
    },
    Case {
        bus: "",
        sensors: &[
            ("f", TEMPERATURE, "temp", "unit = 'F'"),
            ("r", "radiation", "Solar", ""),
            ("m", "soil_moisture", "VWC", ""),
        ],
        says: b"temp=70.7\nSolar: 512 W/m^2\nVWC: 0.31 m3/m3\n",
        reads: &[("f", Good(21.5)), ("r", Good(512.0)), ("m", Good(31.0))],
    },
    // A heading over a block, in the forms that sketches give it.
    Case {
        bus: "",
        sensors: &[("ph", "ph", "pH", ""), ("one", "ph", "Tank 1 pH", ""), ("two", "ph", "pH?tank=2", "")],
        says: b"pH: 6.95\n=== Tank 1 ===\npH: 6.10\n=== Tank 2 ===\npH: 6.90\n",
        reads: &[("ph", Fault(&["Tank 1 pH", "Tank 2 pH"])), ("one", Good(6.1)), ("two", Good(6.9))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "Temperature", ""), ("w", TEMPERATURE, "Water Temperature", "")],
        says: b"AIR\nTemperature: 21.5\nWATER\nTemperature: 18.0\n",
        reads: &[("t", Fault(&["AIR Temperature", "WATER Temperature"])), ("w", Good(18.0))],
    },
    Case {
        bus: "",
        sensors: &[("three", TEMPERATURE, "Temp?node=3", ""), ("four", TEMPERATURE, "Temp?node=4", "")],
        says: b"Node: 3\nTemp: 21.5\nNode: 4\nTemp: 22.5\n",
        reads: &[("three", Good(21.5)), ("four", Good(22.5))],
    },
    // A label and its value with a line each, and a banner that is no heading.
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "Temperature", ""), ("h", "humidity", "HUMIDITY", ""), ("v", "count", "value", "")],
        says: b"----------\nTemperature:\n24.5\nHumidity:\n55\n=== Sensor readings ===\nTemperature: 24.6\n",
        reads: &[("t", Good(24.6)), ("h", Good(55.0)), ("v", Nothing)],
    },
    // JSON over several lines; units in fields of their own and at the end of names; a decoder's payload beside the device.
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "AM2301.Temperature", ""), ("h", "humidity", "Humidity", "")],
        says: b"{\r\n  \"AM2301\": {\r\n    \"Temperature\": 70.7,\r\n    \"Humidity\": 55\r\n  },\r\n  \"PressureUnit\": \"mmHg\", \"TempUnit\": \"F\"\r\n}\r\n",
        reads: &[("t", Good(21.5)), ("h", Good(55.0))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "temperature_F?id=2453", ""), ("w", "wind", "wind_avg_km_h", "")],
        says: b"{\"model\":\"A\",\"id\":2453,\"temperature_F\":70.7}\n{\"model\":\"W\",\"id\":1,\"wind_avg_km_h\":36,\"temperature_F\":32}\n",
        reads: &[("t", Good(21.5)), ("w", Good(10.0))],
    },
    Case {
        bus: "",
        sensors: &[("one", TEMPERATURE, "temp?device_id=bed-1", ""), ("v", TEMPERATURE, "value?type=temp", "")],
        says: b"{\"end_device_ids\":{\"device_id\":\"bed-1\"},\"uplink\":{\"temp\":21.5}}\n{\"type\":\"temp\",\"value\":70.7,\"unit\":\"F\"}\n",
        reads: &[("one", Good(21.5)), ("v", Good(21.5))],
    },
    // Weather stations, a log, label and number in turn, signs around a line.
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "TEMP", ""), ("p", "pressure", "PRESS", ""), ("a", TEMPERATURE, "WIMDA 5", "")],
        says: b"$WIXDR,C,+023.0,C,TEMP,P,1.0199,B,PRESS,H,039.6,P,RH*33\n$WIMDA,29.4473,I,0.9972,B,17.2,C,,,,,,,,,,,,,,*3E\n",
        reads: &[("t", Good(23.0)), ("p", Good(1019.9)), ("a", Good(17.2))],
    },
    Case {
        bus: "",
        sensors: &[("t", TEMPERATURE, "DHT22 Temperature", ""), ("u", TEMPERATURE, "t", ""), ("f", "flow", "Flow_rate", "")],
        says:
            "[D][sensor:094]: 'DHT22 Temperature': Sending state 21.60000 °C with 2 decimals of accuracy\n<t:−5.2>\nPH 6.85  Flow_rate 1.5L/min\n"
                .as_bytes(),
        reads: &[("t", Good(21.6)), ("u", Good(-5.2)), ("f", Good(1.5))],
    },
    Case {
        bus: "columns = ['address', 'vwc', 't']",
        sensors: &[("m", "soil_moisture", "vwc", ""), ("t", TEMPERATURE, "t", "")],
        says: b"0+43.1-3.2\r\n",
        reads: &[("m", Good(43.1)), ("t", Good(-3.2))],
    },
    // The same sum on every line says nothing; one that changes does.
    Case {
        bus: "",
        sensors: &[("ph", "ph", "PH", ""), ("ec", "ec", "EC", "")],
        says: b"$PH,6.85,EC,1.80*5A\n$PH,6.86,EC,1.80*5A\n",
        reads: &[("ph", Good(6.86)), ("ec", Good(1.8))],
    },
    // What stands behind a number is a unit, or the number is none.
    Case {
        bus: "",
        sensors: &[("w", "wind", "wind", ""), ("t", TEMPERATURE, "t", ""), ("n", "count", "n", ""), ("e", "count", "e", "")],
        says: b"wind: 5 Beaufort\nt: 1.234,5\nn: 3 of 5\ne: ERR: 3\n",
        reads: &[("w", Fault(&["wind", "5 Beaufort"])), ("t", Nothing), ("n", Nothing), ("e", Nothing)],
    },
    // No numbers: none of these is taken.
    Case {
        bus: "",
        sensors: &[
            ("a", TEMPERATURE, "a", ""),
            ("b", TEMPERATURE, "b", ""),
            ("c", TEMPERATURE, "c", ""),
            ("d", TEMPERATURE, "d", ""),
            ("e", TEMPERATURE, "e", ""),
            ("ok", TEMPERATURE, "ok", ""),
        ],
        says: b"a: 21.5.3\nb: 12:30\nc: 1,5\nd: 1e\ne: 6 1\nok: 5\n",
        reads: &[("a", Nothing), ("b", Nothing), ("c", Nothing), ("d", Nothing), ("e", Nothing), ("ok", Good(5.0))],
    },
];

/// All cases as one configuration.
fn config() -> String {
    let mut config = "
        [agent.sensor_fault]
        for = '1s'
        [rules.sensor-silent]
        enabled = false
        "
    .to_owned();
    for (ix, case) in CASES.iter().enumerate() {
        for (name, quantity, input, more) in case.sensors {
            let sensor = format!("[sensors.'c{ix}/{name}']\nquantity = '{quantity}'\nmax_rate = 1000000\n");
            writeln!(config, "{sensor}input = 'line:c{ix}/{input}'\n{more}").expect("a text");
        }
    }
    config
}

/// Whether a sensor reads what is expected; nothing is what an untouched one reads.
fn is_so(row: &Value, reads: Reads) -> bool {
    let why = row["why"].as_str().unwrap_or_default();
    match reads {
        Good(value) => row["quality"] == "good" && row["value"].as_f64() == Some(value),
        Fault(words) => row["quality"] == "fault" && words.iter().all(|word| why.contains(word)),
        Nothing => row["quality"].is_null() && row["value"].is_null(),
    }
}

fn rows(farm: &Farm) -> Vec<Value> {
    farm.ask(&["sensors", "--json"]).out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What does not read as it should.
fn wrong(farm: &Farm) -> Vec<String> {
    let rows = rows(farm);
    let mut wrong = Vec::new();
    for (ix, case) in CASES.iter().enumerate() {
        for (name, reads) in case.reads {
            let id = format!("c{ix}/{name}");
            let row = rows.iter().find(|row| row["sensor"] == *id).cloned().unwrap_or_default();
            if !is_so(&row, *reads) {
                wrong.push(format!(
                    "{id}: expected {reads:?}, found {} {} {}",
                    row["value"], row["quality"], row["why"]
                ));
            }
        }
    }
    wrong
}

#[test]
fn each_sensor_reads_what_its_name_means_and_nothing_else() {
    let mut farm = Farm::alone("strangers-lines", &config());
    farm.clock = "system";
    let mut buses = String::new();
    let mut boards: Vec<Board> = (0..CASES.len())
        .map(|ix| {
            let link = farm.folder.path().join(format!("board-{ix}"));
            let (link_text, bus) = (link.display(), CASES[ix].bus);
            writeln!(buses, "[bus.c{ix}]\nkind = 'line'\nport = '{link_text}'\n{bus}").expect("a text");
            Board::plug_in(&link)
        })
        .collect();
    farm.write_site(&buses);
    farm.launch();
    let are_up = |farm: &Farm| {
        let buses = farm.status().map(|status| status["buses"].as_array().cloned().unwrap_or_default());
        buses.is_some_and(|buses| buses.len() > CASES.len() && buses.iter().all(|bus| bus["state"] == "up"))
    };
    farm.until("all lines are up", are_up);
    for (board, case) in boards.iter_mut().zip(CASES) {
        // A program that opens a line comes upon it in the middle of something.
        board.say([b"\n", case.says].concat()).expect("it takes bytes");
    }
    farm.until("all is read", |farm| {
        let status = farm.status().unwrap_or_default();
        let bytes = |bus: &Value| bus["bytes"].as_u64().unwrap_or(0);
        let said = |ix: usize| CASES[ix].says.len() as u64 + 1;
        let bus = |ix: usize| status["buses"].as_array()?.iter().find(|bus| bus["bus"] == format!("c{ix}"));
        (0..CASES.len()).all(|ix| bus(ix).is_some_and(|bus| bytes(bus) == said(ix)))
    });
    farm.until(&format!("each reads as it should: {:#?}", wrong(&farm)), |farm| wrong(farm).is_empty());
    people_are_told_why(&mut farm);
    what_is_no_number_is_named(&farm);
}

/// Status, alerts and log name both labels of a name that fits two.
fn people_are_told_why(farm: &mut Farm) {
    let names_both = |text: &str| text.contains("Air Temp") && text.contains("Water Temp");
    farm.until("the fault is an alert", |farm| {
        let alerts = farm.ask(&["alerts"]).out;
        alerts.lines().any(|line| line.contains("c0/t") && names_both(line))
    });
    let shown = farm.shown();
    assert!(shown.lines().any(|line| line.contains("c0/t reads a fault") && names_both(line)), "{shown}");
    farm.until("the log says so, and the page", |farm| {
        let log = farm.log();
        let fault = log.lines().any(|line| line.contains("c0/t: fault:") && names_both(line));
        fault && log.lines().any(|line| line.starts_with("notify ") && line.contains("c0/t"))
    });
}

/// The last case: status and log say which field it was, what stood there and who wants it.
fn what_is_no_number_is_named(farm: &Farm) {
    let last = format!("c{}", CASES.len() - 1);
    let status = farm.status().expect("it can be asked");
    let bus =
        status["buses"].as_array().and_then(|buses| buses.iter().find(|bus| bus["bus"] == *last)).expect("the bus");
    assert_eq!(bus["ignored"]["not_a_number"], 5, "{bus:#}");
    let ignored = &bus["last_ignored"];
    assert_eq!((&ignored["field"], &ignored["text"]), (&"e".into(), &"6 1".into()), "{ignored:#}");
    assert_eq!(ignored["sensor"], format!("{last}/e"));
    let log = farm.log();
    for (field, text) in [("a", "21.5.3"), ("b", "12:30"), ("c", "1,5"), ("d", "1e"), ("e", "6 1")] {
        let words = format!("bus {last}: {field} is no number: \"{text}\" (wanted by {last}/{field})");
        assert!(log.contains(&words), "{words}\n{log}");
    }
}
