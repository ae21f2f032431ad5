//! What the words of a label and the fields beside a value say of it: its unit, its node.

use super::check_all;

#[test]
fn a_unit_that_ends_a_label_is_heard() {
    for (inputs, line, expected) in [
        ("temp/temperature", r#"{"temp_f":70.7}"#, "0=21.5"),
        ("temp_f/temperature", r#"{"temp_f":70.7}"#, "0=21.5"),
        ("Temp/temperature", "Temp F: 70.7", "0=21.5"),
        ("Temp/temperature", "Temp F=70.7 Hum=50", "0=21.5"),
        ("Temp F/temperature", "Temp F: 70.7", "0=21.5"),
        ("temp.f/temperature", r#"{"temp":{"c":21.5,"f":70.7}}"#, "0=21.5"),
        ("temp/temperature", r#"{"temp":{"f":70.7}}"#, "0=21.5"),
        ("tempF/temperature", "tempF=70.7", "0=21.5"),
        ("tempf/temperature", "humidity=50,tempf=70.7,windspeedmph=0", "0=21.5"),
        ("temp_f/temperature", "tempf=70.7", "0=21.5"),
        ("F/temperature", r#"{"C":21.5,"F":70.7}"#, "0=21.5"),
        ("f/temperature", "t=21.5 h=50 f=70.7", "0=21.5"),
        ("Temp (F)/temperature", "Temp: 70.7", "0=21.5"),
        ("ec_us/ec", r#"{"ec_us":1800}"#, "0=1.8"),
        ("ec/ec", r#"{"ec_us_cm":1800}"#, "0=1.8"),
        ("windspeedmph/wind", "windspeedmph=10,tempf=70.7", "0=4.4704"),
        ("rain_in/rain", "rain_in=1", "0=25.4"),
        ("pressure_pa/pressure", "pressure_pa=101300", "0=1013"),
        ("batt_mv/voltage", "batt_mv=3300", "0=3.3"),
        ("level_mm/water_level", "level_mm=300", "0=30"),
        ("power/power", r#"{"power_mw":250}"#, "0=0.25"),
        // The unit after the number goes first, and the sensor's before one that may be a word.
        ("temp_f/temperature", "temp_f=21.5C", "0=21.5"),
        ("temp_f/temperature/C", "temp_f=21.5", "0=21.5"),
        // Words, and letters that tell probes apart.
        ("temp_in/temperature", "temp_in=21.5 temp_out=12", "0=21.5"),
        ("level_in/water_level", "level_in=20", "0=20"),
        ("depth_in/water_level", "depth_in=10", "0=25.4"),
        ("Probe F/temperature", "Probe F: 21.5", "0=21.5"),
        ("Temp F/temperature", "Temp A: 20 Temp B: 21 Temp C: 22 Temp F: 21.5", "0=21.5"),
        ("temp_min/temperature", "temp_min=12", "0=12"),
        ("temp_f/count", "temp_f=70.7", "0=70.7"),
    ] {
        check_all(&[inputs], None, &[line], &[expected]);
    }
    check_all(&["temp/temperature"], None, &["time,temp_f,hum", "5,70.7,50"], &["", "0=21.5"]);
    check_all(&["temp/temperature"], None, &["temp_f,70.7,hum,50"], &["0=21.5"]);
    check_all(
        &["temp/temperature"],
        None,
        &["temp,hum", "F,%", "70.7,50", "temp,hum", "F,%", "32,50"],
        &["", "", "0=21.5", "", "", "0=0"],
    );
    check_all(&["temp/temperature"], None, &["temp_f 70.7  hum 50.0"], &["0=21.5"]);
    check_all(
        &["Temp/temperature"],
        None,
        &["Temp C: 21.5 Temp F: 70.7"],
        &["0! \"Temp\" fits \"Temp C\" and \"Temp F\"; name the whole label in its input"],
    );
    // Probes that come a line each are known by what is wanted.
    check_all(
        &["Temp A/temperature", "Temp F/temperature"],
        None,
        &["Temp F: 21.5", "Temp A: 20"],
        &["1=21.5", "0=20"],
    );
}

#[test]
fn a_unit_in_a_field_of_its_own_is_heard() {
    let wrong = |field: &str, text: &str| format!("0! \"{field}\" says {text}: temperature is read in C, F, K");
    for (inputs, line, expected) in [
        ("temp", r#"{"temp":70.7,"unit":"F"}"#, "0=21.5".to_owned()),
        ("temp", r#"{"unit":"°F","temp":70.7,"hum":50}"#, "0=21.5".to_owned()),
        ("temperature.value", r#"{"temperature":{"value":70.7,"unit":"F"}}"#, "0=21.5".to_owned()),
        ("temperature", r#"{"temperature":{"value":70.7,"unit":"F"}}"#, "0=21.5".to_owned()),
        ("temp", r#"{"temp":70.7,"temp_unit":"F","hum":50,"hum_unit":"%"}"#, "0=21.5".to_owned()),
        ("temp", r#"{"temp":70.7,"tempUnit":"Fahrenheit"}"#, "0=21.5".to_owned()),
        ("temp", r#"{"temp":70.7,"units":{"temp":"F"}}"#, "0=21.5".to_owned()),
        ("current.temp", r#"{"current_units":{"temp":"°F"},"current":{"temp":70.7}}"#, "0=21.5".to_owned()),
        ("temperature", r#"{"temperature":70.7,"temp_unit":"F"}"#, "0=21.5".to_owned()),
        ("state", r#"{"state":"70.7","attributes":{"unit_of_measurement":"°F"}}"#, "0=21.5".to_owned()),
        (
            "value?name=t",
            r#"{"s":[{"name":"h","value":50,"unit":"%"},{"name":"t","value":70.7,"unit":"F"}]}"#,
            "0=21.5".to_owned(),
        ),
        ("temp", r#"{"temp":[70.7,"F"]}"#, "0=21.5".to_owned()),
        ("temp.0", r#"{"temp":[70.7,"F"]}"#, "0=21.5".to_owned()),
        ("value?name=temp", r#"{"name":"temp","value":70.7,"unit":"F"}"#, "0=21.5".to_owned()),
        ("Temp", "Temp/F: 70.7", "0=21.5".to_owned()),
        ("temp", "temp=70.7 unit=F", "0=21.5".to_owned()),
        ("temp", "temp,70.7,unit,F", "0=21.5".to_owned()),
        ("temp", "unit=F temp=70.7", "0=21.5".to_owned()),
        ("Temp", "Temp: 70.7, Unit: F", "0=21.5".to_owned()),
        ("Temp", "Temp: 70.7 Unit: F Hum: 50 Unit: %", "0=21.5".to_owned()),
        ("Temp", "Unit: % Hum: 50 Unit: F Temp: 70.7", "0=21.5".to_owned()),
        // The unit is of something else, or is not known.
        ("temp", r#"{"temp":101.3,"unit":"kPa"}"#, wrong("temp", "101.3 kPa")),
        ("temp", r#"{"temp":70,"hum":50,"units":"imperial"}"#, wrong("temp", "70 imperial")),
        ("temp", r#"{"temp":70.7,"unit":"foo"}"#, wrong("temp", "70.7 foo")),
        ("temp", "temp=70 unit=F hum=5 unit=% ec=2", wrong("temp", "70 of one of several units")),
        // Another number's, or no unit at all.
        ("temp", r#"{"temp":21.5,"pressure":101.3,"unit":"kPa"}"#, "0=21.5".to_owned()),
        ("temp", r#"{"temp":21.5,"ec":1800,"ec_unit":"uS/cm"}"#, "0=21.5".to_owned()),
        ("temp", r#"{"temp":21.5,"units":"metric"}"#, "0=21.5".to_owned()),
        ("temp", r#"{"temp":21.5,"unit":null}"#, "0=21.5".to_owned()),
        ("temp", r#"{"unit":3,"temp":21.5}"#, "0=21.5".to_owned()),
        ("temp", r#"{"unit":"rack-3","temp":21.5}"#, "0=21.5".to_owned()),
        ("temp", "cooling_unit=off temp=21.5", "0=21.5".to_owned()),
        ("temp?unit=north", "unit=north temp=21.5", "0=21.5".to_owned()),
        ("temp//C", "unit=north temp=21.5", "0=21.5".to_owned()),
        ("temp", r#"{"temp":"21.5 C","unit":"F"}"#, "0=21.5".to_owned()),
        ("Temp", "Unit 1 Temp: 21.5", "0=21.5".to_owned()),
    ] {
        let inputs = match inputs.split_once("//") {
            Some((name, unit)) => format!("{name}/temperature/{unit}"),
            None => format!("{inputs}/temperature"),
        };
        check_all(&[&inputs], None, &[line], &[&expected]);
    }
    check_all(
        &["temp/temperature", "hum/humidity"],
        None,
        &["temp,hum,unit", "70.7,50,F", "21.5,50,C"],
        &["", "0=21.5; 1=50", "0=21.5; 1=50"],
    );
    check_all(&["temp/temperature"], None, &["temp;unit;hum;unit", "70.7;F;50;%"], &["", "0=21.5"]);
    let (sensor, of_ph) = ("value?sensor=t/temperature", "value?sensor=ph/ph");
    check_all(&[sensor, of_ph], None, &["sensor,value,unit", "t,70.7,F", "ph,6.1,pH"], &["", "0=21.5", "1=6.1"]);
}

#[test]
fn a_node_stands_before_its_values_or_behind_them() {
    let (one, two) = ("temp?node=1", "temp?node=2");
    let unclear = "\"temp\" could be of the node before it and of the one behind it";
    for (line, expected) in [
        ("node=1 temp=20 node=2 temp=30", "0=20; 1=30".to_owned()),
        ("temp=20 node=1 temp=30 node=2", "0=20; 1=30".to_owned()),
        ("temp=20,node=1;temp=30,node=2", "0=20; 1=30".to_owned()),
        ("temp=20 hum=5 node=1 temp=30 hum=6 node=2", "0=20; 1=30".to_owned()),
        ("Temp: 20 C, Node: 1 | Temp: 30 C, Node: 2", "0=20; 1=30".to_owned()),
        ("time=5 temp=20 node=1 temp=30 node=2", "0=20; 1=30".to_owned()),
        ("seq=5 node=1 temp=20 node=2 temp=30", "0=20; 1=30".to_owned()),
        ("temp=20 node=1 temp=30 node=2 rssi=-70", "0=20; 1=30".to_owned()),
        ("node=1 temp=20 node=2", "0=20".to_owned()),
        ("temp=20 node=2", "1=20".to_owned()),
        ("hum=5 node=1 temp=20 hum=6 node=2", format!("0! {unclear}; 1! {unclear}")),
        ("temp=19 node=1 temp=20 node=2 temp=30", format!("0! {unclear}; 1! {unclear}")),
        ("temp=19 node=3 temp=20 node=4 temp=30", String::new()),
        (r#"{"nodes":[{"temp":20,"node":1},{"temp":30,"node":2}]}"#, "0=20; 1=30".to_owned()),
    ] {
        check_all(&[one, two], None, &[line], &[&expected]);
    }
    check_all(&[one, two], None, &["temp,node,temp,node", "20,1,30,2"], &["", "0=20; 1=30"]);
}
