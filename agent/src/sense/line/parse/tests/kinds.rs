//! Values that are almost one: lengths in two units, truths, empty cells, ids of nodes, and labels of something else.

use super::super::Decoder;
use super::{check_all, input};

#[test]
fn a_length_in_two_units_is_one_or_none() {
    for (line, expected) in [
        ("Level: 1m 20cm", "0=120"),
        ("Level: 1 m 20 cm, Temp: 5", "0=120"),
        ("Level: 1m20cm Temp: 5", "0=120"),
        ("Level=2m 5mm", "0=200.5"),
        ("Level: 5ft 3in", "0=160.02"),
        ("Level: 5'3\" Temp: 5", "0=160.02"),
        (r#"{"level":"1m 20cm"}"#, "0=120"),
        ("Level 1m 20cm", "0=120"),
        ("Level: 5 ft 3", "0? Level \"5 ft 3\""),
        ("Level: 5'", "0? Level \"5'\""),
        ("Level: 3 1/2 in", "0? Level \"3 1/2\""),
        // The same once more.
        ("Level: 120 cm 1.2 m", "0=120"),
        ("Level: 1 m 100 cm", "0=100"),
        ("Level: 1.2 m 120 cm", "0=120"),
        ("Level: 1 m Temp: 20", "0=100"),
        ("Level: 1 m 2: 20", "0=100"),
        ("packet 'level=5' with 20", "0=5"),
    ] {
        check_all(&["level/water_level"], None, &[line], &[expected]);
    }
    check_all(&["level/water_level"], None, &["level,temp", "1m 20cm,5"], &["", "0=120"]);
    check_all(
        &["temp/temperature"],
        None,
        &["Temp: 24.3C/75.7F, Hum: 5", "Temp: 24.4 C / 75.8 F"],
        &["0=24.3", "0=24.4"],
    );
    check_all(&["t/temperature", "h/humidity"], None, &["t=21.5&h=55", "t=21.5C&h=55%"], &["0=21.5; 1=55"; 2]);
}

#[test]
fn a_tab_at_an_end_is_an_empty_cell() {
    let inputs = &["Temp", "Hum", "value"];
    check_all(
        inputs,
        None,
        &["Temp\tHum", "21.5\t", "\t55", "22\t56\t", "22\t56\r", "21.5"],
        &["", "0=21.5; 1=NaN", "0=NaN; 1=55", "0=22; 1=56", "0=22; 1=56", "2=21.5"],
    );
    check_all(
        inputs,
        None,
        &["Temp\tHum\tCO2", "21.5\t\t", "21.5\t", "\t\t612"],
        &["", "0=21.5; 1=NaN", "", "0=NaN; 1=NaN"],
    );
    check_all(inputs, Some(&["Temp", "Hum", "CO2"]), &["21.5\t55\t", "\t55\t612"], &["0=21.5; 1=55", "0=NaN; 1=55"]);
    check_all(inputs, None, &["Time\t\tTemp\t\tHum", "5\t\t21\t\t"], &["", "0=21; 1=NaN"]);
    check_all(
        inputs,
        None,
        &["Temp=21.5\t", "\tTemp: 22\t", "21.5\t", "{\"Temp\":23}\t"],
        &["0=21.5", "0=22", "2=21.5", "0=23"],
    );
}

#[test]
fn a_node_has_any_name() {
    for (name, line, expected) in [
        ("temp?mac=AA:BB", "mac=AA:BB temp=20", "0=20"),
        ("temp?mac=AA:BB", "mac=AA:BC temp=20", ""),
        ("temp?mac=5C:CF:7F:01:02:03", "mac: 5C:CF:7F:01:02:03, temp: 20", "0=20"),
        ("temp?mac=24:0A:C4:01:02:03", "MAC=24:0a:c4:01:02:03 temp=20", "0=20"),
        ("temp?id=28ff64", "id=28FF64 temp=20", "0=20"),
        ("temp?id=1A", "id=1A temp=20", "0=20"),
        ("temp?id=28AB", "id=28AC temp=20", ""),
        ("temp?id=28", "id=28AC temp=20", ""),
        ("temp?id=bed:3", "id=bed:3 temp=20", "0=20"),
        ("temp?addr=fe80::1", "addr=fe80::1 temp=20", "0=20"),
        ("temp?eui=70-B3-D5-01", "eui=70-B3-D5-01 temp=20", "0=20"),
        ("temp?mac=AA:BB", r#"{"mac":"AA:BB","temp":20}"#, "0=20"),
        ("temp?mac=AA:BB", "[mac=AA:BB] temp=20", "0=20"),
        ("temp?node=2", "[node=2] temp=20", "0=20"),
        ("temp?node=2", "[node 2] temp=20", "0=20"),
        ("temp?node=2", "[node: 2] temp: 20", "0=20"),
        ("temp?node=2", "node[2]: temp=20", "0=20"),
        ("temp?node=2", "node(2): temp=20", "0=20"),
        ("temp?node=Tank A", "node: Tank A, temp: 20", "0=20"),
        ("temp?depth=10", "depth: 10 cm, temp: 20", "0=20"),
        ("temp?node=2", r#"[{"node":1,"temp":19},{"node":2,"temp":20}]"#, "0=20"),
        ("temp?node=2", r#"nodes: [{"node":1,"temp":19},{"node":2,"temp":20}]"#, "0=20"),
        ("temp?id=00E1", r#"{"id":"00E2","temp":20}"#, ""),
        ("temp?id=8103000000000000001", r#"{"id":8103000000000000000,"temp":20}"#, ""),
        ("temp?id=8103000000000000001", r#"{"id":8103000000000000001,"temp":20}"#, "0=20"),
        ("temp?on=1", r#"{"on":true,"temp":20}"#, "0=20"),
    ] {
        check_all(&[name], None, &[line], &[expected]);
    }
    // If no input asks for the address it is a word and no heading.
    check_all(&["temp"], None, &["mac=AA:BB temp=20", "mac=AA:CC temp=21"], &["0=20", "0=21"]);
}

#[test]
fn a_sensor_that_several_nodes_feed_is_said() {
    let mixed = |name: &str, lines: &[&str]| {
        let mut decoder = Decoder::new(vec![input(name)], None);
        decoder.push(b"\n", |_| {});
        lines.iter().for_each(|line| decoder.push(format!("{line}\n").as_bytes(), |_| {}));
        decoder.assigner.mixed.values().cloned().collect::<Vec<_>>().join("; ")
    };
    let said = |label: &str, last: &str, text: &str| {
        format!("\"{label}\" says {last} and {text}; say which one in its input: temp?{label}={text}")
    };
    for (label, lines) in [
        ("id", [r#"{"id":"a","temp":21}"#, r#"{"id":"b","temp":25}"#]),
        ("id", [r#"{"id":"a","values":{"temp":21}}"#, r#"{"id":"b","values":{"temp":25}}"#]),
        ("node", ["node=a temp=21", "node=b temp=25"]),
        ("device", ["device: a, temp: 21", "device: b, temp: 25"]),
    ] {
        assert_eq!(mixed("temp", &[lines[0], lines[1], lines[0]]), said(label, "b", "a"), "{lines:?}");
        assert_eq!(mixed("temp", &[lines[0], lines[0], lines[1], lines[1]]), "", "a node may be replaced");
        assert_eq!(mixed(&format!("temp?{label}=a"), &[lines[0], lines[1], lines[0]]), "");
    }
    assert_eq!(mixed("temp", &["sensor,temp", "a,21", "b,25", "a,21"]), said("sensor", "b", "a"));
    let counted: Vec<String> = (0..100).map(|id| format!("id={id} temp=21")).collect();
    assert_eq!(mixed("temp", &counted.iter().map(String::as_str).collect::<Vec<_>>()), "", "a count is no node");
}

#[test]
fn truths_are_values_of_contacts_and_counts() {
    for line in [r#"{"x":true}"#, r#"{"x":"true"}"#, "x=true", "x: true, y: 5"] {
        check_all(&["x/contact"], None, &[line], &["0=1"]);
        check_all(&["x/count"], None, &[line], &["0=1"]);
        check_all(&["x/ph"], None, &[line], &["0? x \"true\""]);
    }
    check_all(&["x/temperature"], None, &["x,y", "false,5"], &["", "0? x \"false\""]);
    let wrong = "0! \"x\" says 21500 mC: temperature is read in C, F, K";
    check_all(&["x/temperature"], None, &["x: 21500 mC", "x=21500mC", r#"{"x":"21500 mC"}"#], &[wrong; 3]);
}

#[test]
fn a_partial_match_takes_no_errors_limits_and_devices() {
    for (name, lines) in [
        (
            "temp/temperature",
            &[
                "Temp error: 3",
                "Temp retries: 5",
                "Temp count: 40",
                "Temp setpoint: 25",
                "Set temp: 25",
                "Temp (set): 25",
                "Temp [raw]: 51",
                "temp_max=30",
                r#"{"temp":{"target":25,"error":0}}"#,
                "temp adc,hum",
            ][..],
        ),
        ("ph/ph", &["pH target: 5.8", "pH pump: 1", "pH cal point: 4.0", "pH voltage: 2.5", "pH temp: 12", "pH mV: 3"]),
    ] {
        for line in lines {
            check_all(&[name], None, &[line, "1,2"], &["", ""]);
        }
    }
    for (name, line) in [
        ("temp/temperature", "Water temp: 21"),
        ("temp/temperature", "Pump temp: 21"),
        ("battery/voltage", "Battery voltage: 21"),
        ("setpoint/temperature", "Temp setpoint: 21"),
        ("Temp error/count", "Temp error: 21"),
        ("soil/soil_moisture", "Soil moisture: 21"),
        ("pulse/count", "pulse count: 21"),
    ] {
        check_all(&[name], None, &[line], &["0=21"]);
    }
    // Nor do they make it ambiguous.
    check_all(&["temp/temperature"], None, &["Air Temp: 21 Max Temp: 25 Temp errors: 2"], &["0=21"]);
}

#[test]
fn a_contact_is_0_or_1_or_a_word_for_either() {
    let fault = |text: &str| format!("0! \"door\" says {text}: a contact is 0 or 1, or a word such as open or closed");
    for (line, expected) in [
        ("door=0", "0=0".to_owned()),
        ("door=1", "0=1".to_owned()),
        ("door=1.0", "0=1".to_owned()),
        ("door=open", "0=1".to_owned()),
        ("door=false", "0=0".to_owned()),
        ("door=nan", "0=NaN".to_owned()),
        ("door=0.5", fault("0.5")),
        ("door=0.999", fault("0.999")),
        ("door=2", fault("2")),
        ("door=-1", fault("-1")),
        ("door=1023", fault("1023")),
        (r#"{"door":0.4}"#, fault("0.4")),
        (r#"{"door":"0.5"}"#, fault("0.5")),
        ("door,0.7", fault("0.7")),
    ] {
        check_all(&["door/contact"], None, &[line], &[&expected]);
    }
    // Counts are of anything, halves too.
    check_all(&["level/count"], None, &["level=0.5", "level=-3"], &["0=0.5", "0=-3"]);
}

#[test]
fn an_arrow_stands_apart_and_a_greater_sign_is_of_the_value() {
    check_all(
        &["temp"],
        None,
        &["temp => 21", "temp=> 21", "temp =>21", "temp=>21", "temp=<5", "temp=>=21"],
        &["0=21", "0=21", "0=21", "0? temp \">21\"", "0? temp \"<5\"", ""],
    );
}

#[test]
fn litres_a_minute_are_written_in_many_ways() {
    for unit in ["l/m", "L/m", "lpm", "LPM", "l/min", "L/Min", "L/minute", "litres/min", "ltr/min"] {
        check_all(
            &["flow/flow"],
            None,
            &[&format!("flow: 2.5 {unit}"), &format!("flow=2.5{unit} x=1"), &format!(r#"{{"flow":"2.5 {unit}"}}"#)],
            &["0=2.5", "0=2.5", "0=2.5"],
        );
    }
    check_all(&["flow/flow"], None, &["flow: 250 ml/m"], &["0=0.25"]);
}

#[test]
fn the_unit_of_a_senml_record_is_in_its_u() {
    for (line, expected) in [
        (r#"[{"n":"temp","u":"K","v":294.15}]"#, "0=21"),
        (r#"[{"n":"temp","v":294.15,"u":"K"}]"#, "0=21"),
        (r#"{"n":"temp","u":"Cel","v":21}"#, "0=21"),
        (r#"[{"n":"hum","u":"%RH","v":55},{"n":"temp","u":"K","v":294.15}]"#, "0=21"),
        (r#"[{"bn":"bed-1/","n":"temp","u":"F","v":69.8}]"#, "0=21"),
        (r#"{"n":"temp","v":21}"#, "0=21"),
        (r#"{"n":"temp","u":3.5,"v":21}"#, "0=21"),
    ] {
        let name = "v?n=temp/temperature";
        let mut decoder = Decoder::new(vec![input(name)], None);
        decoder.push(b"\n", |_| {});
        let mut found = Vec::new();
        decoder.push(format!("{line}\n").as_bytes(), |decoded| {
            found.extend(
                decoded.values.iter().map(|(input, value)| format!("{input}={}", (value * 100.0).round() / 100.0)),
            );
        });
        assert_eq!(found, [expected], "{line}: {:?}", decoder.messages());
    }
    // A unit of something else is a fault, and one without a `v` says nothing.
    let wrong = "0! \"0.v\" says 294 ppm: temperature is read in C, F, K";
    check_all(&["v?n=temp/temperature"], None, &[r#"[{"n":"temp","u":"ppm","v":294}]"#], &[wrong]);
    check_all(&["temp/temperature"], None, &[r#"{"u":"F","temp":21}"#], &["0=21"]);
}

#[test]
fn a_word_in_front_of_columns_says_only_what_the_line_is() {
    let columns = Some(&["temp", "hum", "co2"][..]);
    let names = ["temp", "hum", "co2"];
    let all = "0=24.5; 1=55.1; 2=612";
    for line in
        ["DATA 24.5 55.1 612", "DATA: 24.5 55.1 612", "DATA,24.5,55.1,612", "R1\t24.5\t55.1\t612", "S 24.5 55.1 612"]
    {
        check_all(&names, columns, &[line, line], &[all, all]);
    }
    check_all(
        &names,
        columns,
        &[
            "DATA 24.5 55.1 612",
            "MAX 30 60 900",
            "CFG 30 60 900",
            "DATA 24.5 55.1",
            "DATA,24.5,55.1",
            "DATA 24.5 nan 612",
        ],
        &[all, "", "", "", "", "0=24.5; 1=NaN; 2=612"],
    );
    check_all(&names, columns, &["24.5 55.1 612", "CFG 30 60 900"], &[all, ""]);
    check_all(&names, columns, &["AVG 30 60 900", "ERR 1 2 3", "SET 25 60 800"], &["", "", ""]);
}
