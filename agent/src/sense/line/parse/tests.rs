//! Lines as sketches print them, and lines as a bad cable makes them.

use proptest::prelude::*;
use tilth_config::LineName;
use tilth_core::id::SensorId;
use tilth_core::quantity::Quantity;
use tilth_core::time::WallTime;
use tilth_core::unit::Unit;

use super::super::lines::MAX_LINE;
use super::{Decoder, LineInput, reasons};
use crate::sense::bus::health::Reason;

mod attributes;
mod blocks;
mod kinds;
mod missing;

const WANTED: [&str; 4] = ["temp", "hum", "tank.ph", "ec"];

/// A want of `NAME`, `NAME?node=1` or either with its quantity and unit after: `Temp/temperature`, `Temp/temperature/F`.
fn input(text: &str) -> LineInput {
    let mut parts = text.split('/');
    let (label, selectors) = parts.next().map(|name| name.split_once('?').unwrap_or((name, ""))).unwrap();
    let selectors = selectors.split('&').filter_map(|part| part.split_once('='));
    let selectors = selectors.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let quantity = parts.next().map_or(Quantity::Count, |name| Quantity::from_name(name).unwrap());
    let sensor = SensorId::new(&format!("a/{}", text.len())).unwrap();
    let unit = parts.next().and_then(Unit::of);
    LineInput { name: LineName { label: label.to_owned(), selectors }, sensor, quantity, unit }
}

fn inputs() -> Vec<LineInput> {
    WANTED.iter().map(|name| input(name)).collect()
}

impl Decoder {
    fn new(inputs: Vec<LineInput>, columns: Option<Vec<String>>) -> Decoder {
        let mut decoder = Decoder::default();
        decoder.set_inputs(inputs, columns);
        decoder
    }
}

/// What came out, as text: `temp=21.5 hum=nan @1396522800000` a line.
fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    decoder.push(bytes, |decoded| {
        let mut line: Vec<String> =
            decoded.values.iter().map(|(field, value)| format!("{}={value}", WANTED[*field])).collect();
        line.extend(decoded.time.map(|WallTime(ms)| format!("@{ms}")));
        if !decoded.values.is_empty() {
            found.push(line.join(" "));
        }
    });
    found
}

/// A decoder that is past its first line.
fn decoder() -> Decoder {
    let mut decoder = Decoder::new(inputs(), None);
    decoder.push(b"\n", |_| {});
    decoder
}

fn check(lines: &str, expected: &[&str]) {
    let mut decoder = decoder();
    assert_eq!(decode(&mut decoder, lines.as_bytes()), expected, "{lines:?}: {:?}", decoder.messages());
}

/// What one line is ignored for.
fn check_ignored(line: &[u8], reason: Reason) {
    let mut decoder = decoder();
    let mut bytes = line.to_vec();
    bytes.push(b'\n');
    assert_eq!(decode(&mut decoder, &bytes), [""; 0], "{:?}", line.escape_ascii().to_string());
    let messages = decoder.messages();
    assert_eq!(messages.last_ignored.as_ref().map(|last| last.reason), Some(reason), "{}", line.escape_ascii());
    assert_eq!((messages.count(reason), messages.matched), (1, 0));
}

#[test]
fn pairs_give_values() {
    check("temp=21.5 hum=55\n", &["temp=21.5 hum=55"]);
    check("temp=21.5C hum=55%\n", &["temp=21.5 hum=55"]);
    check("temp: 21.5, hum: nan\n", &["temp=21.5 hum=NaN"]);
    check("ts=1396522800 temp=21.5\n", &["temp=21.5 @1396522800000"]);
    check("millis=4711 temp=21.5\n", &["temp=21.5"]);
    check("time=soon temp=21.5\n", &["temp=21.5"]);
    check("\u{1b}[32mtemp\u{1b}[0m=\u{1b}[1;31m21.5\u{1b}[0m\n", &["temp=21.5"]);
    check("temp=21.5\rhum=55\r\n\r\n", &["temp=21.5", "hum=55"]);
    check("temp=21.5 hum=wet\n", &["temp=21.5"]);
    check("other=1\n", &[]);
}

#[test]
fn columns_need_a_header_which_may_come_again() {
    check("temp,hum\n21.5,55\n22,nan\nnan,nan\n", &["temp=21.5 hum=55", "temp=22 hum=NaN", "temp=NaN hum=NaN"]);
    check("time;temp\n2014-04-03T11:00:00Z;21.5\n", &["temp=21.5 @1396522800000"]);
    check("time,temp\n2014-04-03T11:00:00Z,\n", &["temp=NaN @1396522800000"]);
    check("\"temp\"\t\"co2\"\n21.5\t400\n", &["temp=21.5"]);
    check("temp,hum\n1,2\nhum,temp\n1,2\n", &["temp=1 hum=2", "hum=1 temp=2"]);
    check("temp,hum\n1,2\nHello, world\n1,2\n", &["temp=1 hum=2", "temp=1 hum=2"]);
    check("Hello, world\ntemp,hum\n1,2\n", &["temp=1 hum=2"]);
    check("temp,hum\n1,2,3\n1,2\n", &["temp=1 hum=2"]);
    check("temp,hum\ntemp: 3, hum: 4\n1,2\n", &["temp=3 hum=4", "temp=1 hum=2"]);
}

#[test]
fn json_gives_values() {
    check("{\"temp\":21.5,\"tank\":{\"ph\":6.1}}\n", &["temp=21.5 tank.ph=6.1"]);
    check("{\"temp\":null,\"hum\":nan,\"ec\":\"1.8 mS/cm\"}\n", &["temp=NaN hum=NaN ec=1.8"]);
    check("{\"temp\":true,\"time\":\"2014-04-03T11:00:00Z\"}\n", &["temp=1 @1396522800000"]);
    check("{\"temp\":1,\"ts\":1396522800000}\n", &["temp=1 @1396522800000"]);
}

#[test]
fn everything_else_is_counted_by_its_reason() {
    check_ignored(b"Sensor ready", reasons::UNKNOWN);
    check_ignored(b"a == b", reasons::UNKNOWN);
    check_ignored(b"1,2", reasons::NO_HEADER);
    check_ignored(b"{\"temp\":21.5", reasons::NOT_JSON);
    check_ignored(b"temp=2\x001.5", reasons::NOT_TEXT);
    check_ignored(b"te\xffmp=21.5", reasons::NOT_TEXT);
    check_ignored(b"temp=2\xff1.5", reasons::NOT_TEXT);
    check_ignored(b"temp=2#1.5", reasons::NOT_A_NUMBER);
    check_ignored(&[b'x'; MAX_LINE + 1], reasons::TOO_LONG);
    let mut decoder = decoder();
    decode(&mut decoder, b"temp,hum\n1,2,3\n");
    assert_eq!(decoder.messages().count(reasons::WIDTH), 1);
    decode(&mut decoder, b"temp=1 time=noon\n");
    let last = decoder.messages().last_ignored.clone().unwrap();
    assert_eq!((last.reason, last.excerpt.as_str()), (reasons::BAD_TIME, "temp=1 time=noon"));
}

#[test]
fn signs_that_old_sketches_write_are_known() {
    let mut decoder = decoder();
    assert_eq!(decode(&mut decoder, b"temp=21.5\xb0C ec=3 \xb5S\n"), ["temp=21.5 ec=3"]);
}

#[test]
fn half_a_line_after_opening_is_dropped() {
    let mut decoder = Decoder::new(inputs(), None);
    assert_eq!(decode(&mut decoder, b"temp=21.5\ntemp=22\n"), ["temp=22"]);
    decode(&mut decoder, b"temp=2");
    decoder.reopen();
    assert_eq!(decode(&mut decoder, b"1.5\ntemp=23\n"), ["temp=23"]);
    assert_eq!(decoder.messages().count(reasons::PARTIAL), 2);
    assert_eq!(decoder.messages().received, 4);
}

#[test]
fn a_header_or_json_right_after_opening_is_whole() {
    let mut decoder = Decoder::new(inputs(), None);
    assert_eq!(decode(&mut decoder, b"temp,hum\n1,2\n"), ["temp=1 hum=2"]);
    decoder.reopen();
    assert_eq!(decode(&mut decoder, b"3,4\n5,6\n"), ["temp=5 hum=6"], "the header stays, half a row goes");
    decoder.reopen();
    assert_eq!(decode(&mut decoder, b"{\"temp\":1}\n"), ["temp=1"]);
    decoder.reopen();
    assert_eq!(decode(&mut decoder, b"\"temp\":1}\n"), [""; 0]);
}

#[test]
fn other_fields_are_found_under_the_same_header() {
    let mut decoder = decoder();
    assert_eq!(decode(&mut decoder, b"temp,hum,co2\n1,2,3\n4,"), ["temp=1 hum=2"]);
    decoder.set_inputs(vec![input("co2"), input("hum")], None);
    assert_eq!(decode(&mut decoder, b"5,6\n"), ["hum=5 temp=6"], "by place: hum is the second, co2 the first");
}

#[test]
fn after_a_line_that_never_ends_the_next_one_is_read() {
    let mut decoder = decoder();
    for _ in 0..1000 {
        decode(&mut decoder, &[b'7'; 100]);
    }
    assert_eq!(decode(&mut decoder, b" temp=1\ntemp=2\n"), ["temp=2"]);
    assert_eq!(decoder.messages().count(reasons::TOO_LONG), 1);
    let excerpt = decoder.messages().last_ignored.clone().unwrap().excerpt;
    assert_eq!(excerpt, "7".repeat(80));
}

#[test]
fn what_is_shown_can_be_printed_and_has_an_end() {
    let mut decoder = decoder();
    for name in 0..100 {
        decode(&mut decoder, format!("name{name}=1\n").as_bytes());
    }
    assert_eq!(decoder.messages().unmatched_labels.len(), 16);
    decode(&mut decoder, b"\x07\x1b]0;title\x07 \xff\xfe evil\n");
    let excerpt = decoder.messages().last_ignored.clone().unwrap().excerpt;
    assert!(excerpt.chars().all(|c| !c.is_control()), "{excerpt:?}");
}

#[test]
fn what_is_wanted_and_on_no_line_is_known() {
    let mut decoder = decoder();
    let missing_names =
        |decoder: &Decoder| decoder.messages().missing_names.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(missing_names(&decoder), "ec hum tank.ph temp");
    decode(&mut decoder, b"hello\n");
    assert_eq!(missing_names(&decoder), "ec hum tank.ph temp");
    decode(&mut decoder, b"temp=warm humidity=55\n");
    assert_eq!(missing_names(&decoder), "ec hum tank.ph", "no number, but there");
    // What was seen stays so; what is new was not looked for before.
    decoder.set_inputs(vec![input("humidity"), input("temp")], None);
    assert_eq!(missing_names(&decoder), "humidity");
    decode(&mut decoder, b"{\"humidity\":null}\n");
    assert_eq!(missing_names(&decoder), "");
}

/// What becomes of lines for one list of wants: `0=21.5` for a value, `0! why` for a fault, `0? text` for what is no number.
#[track_caller]
fn check_all(inputs: &[&str], columns: Option<&[&str]>, lines: &[&str], expected: &[&str]) {
    let columns = columns.map(|columns| columns.iter().map(|name| (*name).to_owned()).collect());
    let mut decoder = Decoder::new(inputs.iter().map(|text| input(text)).collect(), columns);
    decoder.push(b"\n", |_| {});
    let found: Vec<String> = lines
        .iter()
        .map(|line| {
            let mut found = Vec::new();
            decoder.push(format!("{line}\n").as_bytes(), |decoded| {
                found.extend(decoded.values.iter().map(|(input, value)| format!("{input}={value}")));
                found.extend(decoded.faults.iter().map(|(input, why)| format!("{input}! {why}")));
                found.extend(
                    decoded
                        .not_numbers
                        .iter()
                        .map(|(input, value)| format!("{input}? {} {:?}", value.field, value.text)),
                );
            });
            found.join("; ")
        })
        .collect();
    assert_eq!(found, expected, "{lines:?}: {:?}", decoder.messages());
}

const BOTH: &str = "0! \"Temp\" fits \"Air Temp\" and \"Water Temp\"; name the whole label in its input";

#[test]
fn a_name_that_fits_two_labels_is_a_fault_until_the_configuration_changes() {
    let air_and_water = "Air Temp: 22.0 C  Water Temp: 26.0 C";
    check_all(&["Temp"], None, &[air_and_water, "Air Temp: 22.5 C"], &[BOTH, BOTH]);
    check_all(&["Temp"], None, &["Air Temp: 22", "Water Temp: 26", "Air Temp: 23"], &["0=22", BOTH, BOTH]);
    check_all(&["Air Temp", "water_temp"], None, &[air_and_water], &["0=22; 1=26"]);
    check_all(&["Temp"], None, &["Air Temp: 22", "Hum: 5", "Air Temp: 23"], &["0=22", "", "0=23"]);
    // A label that is the name beats any that only has it.
    check_all(&["Temp"], None, &[air_and_water, "Temp: 24", air_and_water], &[BOTH, "0=24", ""]);
    check_all(
        &["pH"],
        None,
        &["Tank 1 pH: 6.10  Tank 2 pH: 6.90"],
        &["0! \"pH\" fits \"Tank 1 pH\" and \"Tank 2 pH\"; name the whole label in its input"],
    );
    check_all(
        &["temp"],
        None,
        &["Air Temp,Water Temp", "22,26"],
        &["", "0! \"temp\" fits \"Air Temp\" and \"Water Temp\"; name the whole label in its input"],
    );
    check_all(
        &["temp"],
        None,
        &[r#"{"air":{"temp":22},"water":{"temp":26}}"#],
        &["0! \"temp\" fits \"air.temp\" and \"water.temp\"; name the whole label in its input"],
    );
    check_all(
        &["Temp"],
        None,
        &["Tank 1: Temp: 22", "Tank 2: Temp: 26"],
        &["0=22", "0! \"Temp\" fits \"Tank 1 Temp\" and \"Tank 2 Temp\"; name the whole label in its input"],
    );
    let tanks = "0! \"pH\" fits \"Tank A pH\" and \"Tank B pH\"; name the whole label in its input";
    check_all(&["pH"], None, &["Tank A: pH=6.1", "Tank B: pH=6.9"], &["0=6.1", tanks]);
    check_all(&["Tank 2 Temp"], None, &["Tank 1: Temp: 22 Hum: 5", "Tank 2: Temp: 26"], &["", "0=26"]);
    check_all(
        &["temp"],
        None,
        &["INFO: temp=22", "WARN: temp=26", "I (312) dht: temp=5", "I (99) dht: temp=6"],
        &["0=22", "0=26", "0=5", "0=6"],
    );

    let mut decoder = Decoder::new(vec![input("Temp")], None);
    decoder.push(format!("\n{air_and_water}\n").as_bytes(), |_| {});
    decoder.set_inputs(vec![input("Air Temp")], None);
    decoder.push(format!("{air_and_water}\n").as_bytes(), |decoded| assert_eq!(decoded.values, [(0, 22.0)]));
}

#[test]
fn two_values_of_one_line_reach_no_sensor() {
    let twice = "0! \"temp\" comes twice in one line";
    let beside = "1=5; 0! \"temp\" comes twice in one line";
    check_all(&["temp", "hum"], None, &["temp=21 hum=5 temp=22", "temp=21"], &[beside, "0=21"]);
    check_all(&["temp"], None, &[r#"{"temp":21,"temp":22}"#], &[twice]);
    check_all(&["temp"], None, &["temp,temp", "21,22"], &["", twice]);
    check_all(
        &["temp"],
        None,
        &["temp=21 Temp=22"],
        &["0! \"temp\" and \"Temp\" come in one line, and \"temp\" means both"],
    );
    check_all(&["Temp"], None, &["Temp: 24.3 C  Temp: 75.7 F"], &["0! \"Temp\" comes twice in one line"]);
    check_all(
        &["Air Temp"],
        None,
        &["Air Temp,air_temp", "21,22"],
        &["", "0! \"Air Temp\" and \"air_temp\" come in one line, and \"Air Temp\" means both"],
    );
}

#[test]
fn a_field_beside_it_selects_a_value() {
    let (one, two) = ("temp?node=1", "temp?node=2");
    let expected = ["0=21", "1=22", ""];
    check_all(&[one, two], None, &["node=1 temp=21 hum=5", "node=2 temp=22", "node=3 temp=23"], &expected);
    check_all(&[one, two], None, &[r#"{"node":1,"data":{"temp":21}}"#, r#"{"node":"2","temp":22}"#, "{}"], &expected);
    check_all(&[one, two], None, &["node,temp,hum", "1,21,5", "02,22,6"], &["", "0=21", "1=22"]);
    check_all(&[one, two], None, &["node=1 temp=21 hum=5 node=2 temp=22"], &["0=21; 1=22"]);
    check_all(
        &["temp?id=a&row=2"],
        None,
        &["id=a row=1 temp=21", "id=A row=2 temp=22", "id=b row=2 temp=23"],
        &["", "0=22", ""],
    );
    check_all(&["temp?node=esp1"], None, &["node: esp1 temp: 21", "node: esp2 temp: 22"], &["0=21", ""]);
    check_all(&["temp"], None, &["node=1 temp=21"], &["0=21"]);
    check_all(
        &["temp?node=7"],
        None,
        &["Node 7 | Temp: 21.5C | Batt: 88%", "Node 8 | Temp: 22C | Batt: 88%", "Node 7: temp=23"],
        &["0=21.5", "", "0=23"],
    );
    check_all(&["Node 7 Temp"], None, &["Node 7 | Temp: 21.5C | Batt: 88%", "Node 8 | Temp: 22C"], &["0=21.5", ""]);
    check_all(
        &["Temp"],
        None,
        &["Node 7 | Temp: 21.5C", "Node 8 | Temp: 22C"],
        &["0=21.5", "0! \"Temp\" fits \"Node 7 Temp\" and \"Node 8 Temp\"; name the whole label in its input"],
    );
    check_all(
        &["Temp"],
        None,
        &["Packet 7 | Temp: 21.5C", "Packet 8: Temp: 22C", "12:30:01, Temp: 23"],
        &["0=21.5", "0=22", "0=23"],
    );
    let list = r#"{"nodes":[{"id":2,"temp":22},{"id":1,"temp":21}]}"#;
    check_all(&["temp?id=1", "nodes.temp?id=2", "nodes.0.temp"], None, &[list], &["1=22; 2=22; 0=21"]);
    check_all(&["value?sensor=PH"], None, &["sensor,value", "PH,6.85", "EC,1.80"], &["", "0=6.85", ""]);
}

#[test]
fn labels_and_headings_are_of_several_words_with_digits_brackets_and_units() {
    check_all(&["Sensor 1", "sensor_2"], None, &["Sensor 1: 43 Sensor 2: 71"], &["0=43; 1=71"]);
    check_all(&["Temperature"], None, &["Temperature (C): 24.3"], &["0=24.3"]);
    check_all(&["CO2 concentration", "#1"], None, &["CO2 concentration [ppm]: 612", "#1: 512"], &["0=612", "1=512"]);
    check_all(
        &["Temperature", "humidity"],
        None,
        &["Time (ms),Temperature (C),Humidity (%)", "1000,24.5,55.1"],
        &["", "0=24.5; 1=55.1"],
    );
    check_all(&["temp", "hum"], None, &["# time,temp,hum", "5,24.5,55.1,"], &["", "0=24.5; 1=55.1"]);
    check_all(
        &["temp", "hum"],
        None,
        &["temp,hum,", "24.5,55.1,", "24.5,55.1"],
        &["", "0=24.5; 1=55.1", "0=24.5; 1=55.1"],
    );
    check_all(
        &["Air Temp", "Hum"],
        None,
        &["Time\t\tAir Temp\t\tHum", "5\t21\t55", "5\t\t22\t\t56"],
        &["", "0=21; 1=55", "0=22; 1=56"],
    );
    check_all(&["Air Temp", "Hum"], None, &["Air Temp   Hum", "21.0  55.0"], &["", "0=21; 1=55"]);
    check_all(
        &["Temp", "Hum"],
        None,
        &["Temp Hum", "21.0 55.0", "Pump on", "22 56"],
        &["", "0=21; 1=55", "", "0=22; 1=56"],
    );
    check_all(&["temp", "hum"], None, &["temp|hum", "21|55"], &["", "0=21; 1=55"]);
    check_all(
        &["temp"],
        None,
        &["MQT: tele/SENSOR = {\"Time\":\"2026-01-01T00:00:00\",\"DHT22\":{\"temp\":21.5}}"],
        &["0=21.5"],
    );
    check_all(
        &["temp"],
        None,
        &["Temp failed: timeout", "temp: 21", "Temp high, Hum low", "temp: 22"],
        &["", "0=21", "", "0=22"],
    );
    // Words that only look like a header do not take its place.
    check_all(
        &["Temp", "Hum"],
        None,
        &["Temp,Hum", "21,55", "Hum low, Temp high", "22,56"],
        &["", "0=21; 1=55", "", "0=22; 1=56"],
    );
}

#[test]
fn columns_can_be_named_by_the_configuration_and_values_can_stand_alone() {
    let columns = Some(&["temp", "humidity", "co2"][..]);
    let (row, all) = (["temp", "humidity"], "0=24.5; 1=55.1");
    check_all(
        &row,
        columns,
        &["24.5,55.1,612", "24.5;55.1;612", "24.5 55.1 612", "24.5\t55.1\t612,", "a,b,c"],
        &[all, all, all, all, ""],
    );
    check_all(&["temp"], columns, &["temp=5", "1,2"], &["0=5", ""]);
    check_all(&["temp"], Some(&["temp"]), &["21.5", "22 C", "x"], &["0=21.5", "0=22", ""]);
    check_all(
        &["value"],
        None,
        &["21.5", "612 ppm", "*OK", "21.5.3", "12:30", "1,5", "6 1"],
        &["0=21.5", "0=612", "", "", "", "", ""],
    );
    check_all(
        &["PH", "ec"],
        None,
        &["PH,6.85", "PH;6.85;EC;1.80", "PH\t6.9", "ec,1.8,mS/cm,PH,6"],
        &["0=6.85", "0=6.85; 1=1.8", "0=6.9", "1=1.8; 0=6"],
    );
    let all = "0=6.85; 1=1.8";
    let (right, wrong, bare) = ("$PH,6.85,EC,1.80*30", "$PH,6.85,EC,1.80*5A", "$PH,6.85,EC,1.80");
    check_all(&["PH", "EC"], None, &[right, wrong, bare], &[all, "", all]);
    // A board whose sums were never right says nothing by them.
    check_all(&["PH", "EC"], None, &[wrong, right, wrong], &[all, all, ""]);
    check_all(
        &["pH", "Soil moisture"],
        None,
        &["pH 6.85", "Soil moisture 43 %", "Tank 1 pH 6.9", "pH 7 done"],
        &["0=6.85", "1=43", "", ""],
    );
}

#[test]
fn units_that_are_said_are_converted_or_the_value_is_not_taken() {
    let wrong =
        |text: &str, quantity: &str, known: &str| format!("0! \"x\" says {text}: {quantity} is read in {known}");
    for (inputs, line, expected) in [
        ("x/ec", "x: 1800uS/cm", "0=1.8".to_owned()),
        ("x/ec", "x: 1800 µS/cm", "0=1.8".to_owned()),
        ("x/temperature", "x: 70.7 F", "0=21.5".to_owned()),
        ("x/temperature", "x=70.7*F", "0=21.5".to_owned()),
        ("x/temperature", "x: 25.0^C", "0=25".to_owned()),
        ("x/temperature", "x: 24.5℃", "0=24.5".to_owned()),
        ("x/temperature", "x (°F): 70.7", "0=21.5".to_owned()),
        ("x/temperature", "x °F: 70.7", "0=21.5".to_owned()),
        ("x/temperature/F", "x: 70.7", "0=21.5".to_owned()),
        ("x/temperature/F", "x: 21.5 C", "0=21.5".to_owned()),
        ("x/water_level", "x: 30cm.", "0=30".to_owned()),
        ("x/water_level", "x: 300mm", "0=30".to_owned()),
        ("x/wind", "x: 36 km/h, gust: 5", "0=10".to_owned()),
        ("x/count", "x: 5 pulses", "0=5".to_owned()),
        ("x/humidity", "x: 55 %RH", "0=55".to_owned()),
        ("x/temperature", "x: 101.3 kPa", wrong("101.3 kPa", "temperature", "C, F, K")),
        ("x/ec", "x: 900ppm", wrong("900 ppm", "ec", "mS/cm, uS/cm, mS/m, S/m, CF, ppm500, ppm640, ppm700")),
        ("x/tds", "x: 1800 uS/cm", wrong("1800 uS/cm", "tds", "ppm, mg/L, g/L, ppt")),
        ("x/temperature", "x (kPa): 101.3", wrong("101.3 kPa", "temperature", "C, F, K").replace("x", "x (kPa)")),
    ] {
        check_all(&[inputs], None, &[line], &[&expected]);
    }
    check_all(&["x/temperature"], None, &["x (F),y", "70.7,5"], &["", "0=21.5"]);
    check_all(&["x/temperature"], None, &[r#"{"x":"70.7 F"}"#], &["0=21.5"]);
}

#[test]
fn a_wanted_field_that_is_no_number_is_named_with_its_text() {
    for (line, expected) in [
        ("temp: warm hum: 5", "0? temp \"warm\""),
        ("Temp: sensor not found, hum: 5", "0? Temp \"sensor not found\""),
        ("temp=21.5.3", "0? temp \"21.5.3\""),
        ("temp: 12:30", "0? temp \"12:30\""),
        ("temp=1,5", "0? temp \"1,5\""),
        ("temp: 1,5", "0? temp \"1,5\""),
        ("temp=1e", "0? temp \"1e\""),
        ("temp=6 1", "0? temp \"6 1\""),
        (r#"{"temp":"ERR"}"#, "0? temp \"ERR\""),
    ] {
        check_all(&["temp"], None, &[line], &[expected]);
    }
    let mut decoder = decoder();
    decode(&mut decoder, b"temp=warm\n");
    let value = decoder.messages().last_ignored.clone().unwrap().value.unwrap();
    assert_eq!((value.field.as_str(), value.text.as_str(), value.sensor.as_str()), ("temp", "warm", "a/4"));
}

/// Bytes that are lines more often than chance would make them.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::sample::select(vec![
            &b"temp=21.5"[..],
            b"hum",
            b",",
            b"\n",
            b"\r\n",
            b"{\"temp\":",
            b"1}",
            b"nan",
            b"\x1b[",
            b"\x00",
            b"temp,hum\n",
            b"1,2\n",
            b"time=2014-04-03T11:00:00Z ",
            b"\xf0\x9f",
            b"1e999",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_cut_anywhere_give_the_same(bytes in noise(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let mut whole = decoder();
        let expected = decode(&mut whole, &bytes);
        let mut cut = decoder();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.sort_unstable();
        places.insert(0, 0);
        places.push(bytes.len());
        let found: Vec<String> =
            places.windows(2).flat_map(|place| decode(&mut cut, &bytes[place[0]..place[1]])).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(cut.messages(), whole.messages());
    }

    #[test]
    fn what_was_printed_is_what_is_read(temp in -1e6..1e6f64, hum in any::<f32>()) {
        let expected = [format!("temp={temp} hum={}", if hum.is_finite() { f64::from(hum) } else { f64::NAN })];
        let hum_text = if hum.is_finite() { f64::from(hum).to_string() } else { "nan".to_owned() };
        for line in [
            format!("temp={temp} hum={hum_text}\n"),
            format!("temp: {temp} C, hum: {hum_text} %\n"),
            format!("temp,hum\n{temp},{hum_text}\n"),
        ] {
            prop_assert_eq!(decode(&mut decoder(), line.as_bytes()), &expected, "{}", line);
        }
    }
}
