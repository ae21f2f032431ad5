//! What several lines say together, and what fields say of others beside them.

use super::check_all;

const PH: &str = "0! \"pH\" fits \"Tank 1 pH\" and \"Tank 2 pH\"; name the whole label in its input";

#[test]
fn a_heading_is_part_of_the_labels_below_it() {
    for (one, two) in [
        ("Tank 1:", "Tank 2:"),
        ("=== Tank 1 ===", "=== Tank 2 ==="),
        ("[Tank 1]", "[Tank 2]"),
        ("Tank 1", "Tank 2"),
        ("Tank: 1", "Tank: 2"),
        ("Tank 1 Address: 28FF4A", "Tank 2 Address: 28FF4B"),
    ] {
        let lines = [one, "pH: 6.1", two, "pH: 6.9", one, "pH 6.2"];
        check_all(&["pH"], None, &lines[..4], &["", "0=6.1", "", PH]);
        check_all(&["Tank 1 pH", "pH?tank=2"], None, &lines[..4], &["", "0=6.1", "", "1=6.9"]);
        check_all(&["Tank 1 pH"], None, &lines, &["", "0=6.1", "", "", "", "0=6.2"]);
    }
    // What came before the first heading may be the end of a block.
    check_all(&["pH"], None, &["pH: 6.9", "Tank 1:", "pH: 6.1", "Tank 2:", "pH: 6.9"], &["0=6.9", "", "0=6.1", "", PH]);
    let general = ["=== Sensor readings ===", "pH: 6.1", "Reading 7:", "pH: 6.2", "WiFi:", "RSSI: -70", "pH: 6.3"];
    check_all(&["pH"], None, &general, &["", "0=6.1", "", "0=6.2", "", "", "0=6.3"]);
    check_all(&["pH"], None, &["pH: 6", "Boot:", "pH: 6.1", "pH: 6.2"], &["0=6", "", "0=6.1", "0=6.2"]);
    check_all(&["T?node=3", "T?node=4"], None, &["[Node 3] T=21", "(Node 4) T=22"], &["0=21", "1=22"]);
    check_all(&["t"], None, &["[INFO] t: 1", "[WARN] t: 2"], &["0=1", "0=2"]);
}

#[test]
fn a_label_and_its_value_may_have_a_line_each() {
    check_all(&["Temp", "Hum", "value"], None, &["Temp:", "21.5", "Hum:", "55 %"], &["", "0=21.5", "", "1=55"]);
    check_all(&["co2 level", "value"], None, &["co2 level", " 612ppm", "613"], &["", "0=612", "1=613"]);
    check_all(
        &["Temp", "Hum"],
        None,
        &["Temp:", "Hum: 55", "Temp:", "ERR"],
        &["", "0=NaN; 1=55", "", "0? Temp \"ERR\""],
    );
}

#[test]
fn an_object_may_take_several_lines() {
    let lines = ["{", "  \"air\": {", "\"temp\": 21.5", "},", "\"on\": true", "}", "{\"air\":{\"temp\":22}}"];
    check_all(&["temp"], None, &lines, &["", "", "", "", "", "0=21.5", "0=22"]);
    // One whose end was lost takes nothing from the next, nor from lines of another form.
    let lost = ["{\"temp\":1,", "{\"temp\":2}", "{\"a\":[", "temp=3", "\"temp\":4}"];
    check_all(&["temp"], None, &lost, &["", "0=2", "", "0=3", "0=4"]);
    check_all(&["v?n=t"], None, &["[{\"n\":\"t\",\"v\":1},{\"n\":\"h\",\"v\":2}]"], &["0=1"]);
    let far = "{\"device\":{\"id\":\"a\"},\"data\":{\"t\":1}}";
    check_all(&["t?id=a", "t?id=b"], None, &[far], &["0=1"]);
}

#[test]
fn a_field_may_say_the_unit_of_others() {
    let inputs = &["value/temperature", "Temperature/temperature", "Pressure/pressure", "Humidity/humidity"];
    for (line, expected) in [
        (r#"{"value":70.7,"unit":"F"}"#, "0=21.5"),
        (r#"{"value":70.7,"unit":"F","more":{"unit":"C"}}"#, "0=21.5"),
        (r#"{"value":7,"unit":"bar"}"#, "0! \"value\" says 7 bar: temperature is read in C, F, K"),
        (r#"{"A":{"Temperature":70.7,"Humidity":55},"TempUnit":"F"}"#, "1=21.5; 3=55"),
        (r#"{"Pressure":1,"Humidity":55,"unit":"bar"}"#, "2=1000; 3=55"),
        (r#"{"value":21.5,"unit":3}"#, "0=21.5"),
    ] {
        check_all(inputs, None, &[line], &[expected]);
    }
    check_all(&["value?name=t/temperature"], None, &["name,value,unit", "t,70.7,F"], &["", "0=21.5"]);
    check_all(
        &["temperature_F/temperature", "wind_avg_km_h/wind", "Probe F/temperature"],
        None,
        &["temperature_F=70.7 wind_avg_km_h=36", "Probe F: 21"],
        &["0=21.5; 1=10", "2=21"],
    );
}

#[test]
fn what_stands_behind_a_number_is_its_unit_or_makes_it_none() {
    for (line, expected) in [
        ("Temp: 5 Beaufort", "0! \"Temp\" says 5 Beaufort: temperature is read in C, F, K"),
        ("Temp: 5 good", "0=5"),
        ("Temp: 3 of 5", "0? Temp \"3 of\""),
        ("Temp: 1.234,5", "0? Temp \"1.234,5\""),
        ("Temp: ERR: 3", "0? Temp \"ERR: 3\""),
        ("Temp: (21.5)", "0=21.5"),
        ("<Temp:21.5>", "0=21.5"),
        ("Temp: −5.2", "0=-5.2"),
        ("Temp 21.5 C  Hum 55 %", "0=21.5"),
        ("'Temp': 21.5", "0=21.5"),
        ("[D][sensor:094]: 'Temp': Sending state 21.60000 °C with 2 decimals of accuracy", "0=21.6"),
    ] {
        check_all(&["Temp/temperature"], None, &[line], &[expected]);
    }
    check_all(&["door/contact", "t"], None, &["door: open, t: open", "door=closed"], &["0=1; 1? t \"open\"", "0=0"]);
    check_all(&["PH", "EC"], None, &["PH,ERR,EC,1.8"], &["1=1.8; 0? PH \"ERR\""]);
    check_all(&["t", "u"], Some(&["address", "t", "u"]), &["0+21.5-3.2", "0 +21.5   -3.2"], &["0=21.5; 1=-3.2"; 2]);
    check_all(
        &["WIMDA 5/temperature", "PRESS/pressure"],
        None,
        &["$WIMDA,29.44,I,1,B,17.2,C*31", "$WIXDR,P,1.02,B,PRESS"],
        &["0=17.2", "1=1020"],
    );
}
