//! Lines of pairs, cut as sketches print them.

use super::*;

/// The pairs of a line as `label=value unit`, what is no number in quotes, headings as `label/`.
fn pairs(text: &str) -> String {
    let mut found = Vec::new();
    cut(text, &mut found, |label, _| if label() == "node" { Allowed::Word } else { Allowed::Any });
    let gaps: Vec<Gap> = found
        .iter()
        .enumerate()
        .map(|(ix, pair)| {
            let after = match ix.checked_sub(1).map(|before| found[before].kind) {
                None => Preceding::Start,
                Some(Kind::Number) => Preceding::Number,
                Some(_) => Preceding::Other,
            };
            gap(&text[pair.gap.clone()], after, ix + 1 == found.len(), |label| ["C temp"].contains(&label))
        })
        .collect();
    let one = |(ix, pair): (usize, &Pair)| {
        let (label, value, next) = (&gaps[ix].label, &text[pair.value.clone()], &gaps[ix + 1]);
        let unit = if next.unit.is_empty() { String::new() } else { format!(" {}", next.unit) };
        match pair.kind {
            _ if label.is_empty() => None,
            Kind::Heading => Some(format!("{label}/")),
            Kind::Number if !next.is_broken => Some(format!("{label}={value}{unit}")),
            _ => Some(format!("{label}={value:?}")),
        }
    };
    found[..found.len() - 1].iter().enumerate().filter_map(one).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(pairs(text), *expected, "{text:?}");
    }
}

#[test]
fn pairs_are_found_however_they_are_parted() {
    check(&[
        ("temp=21.5 hum=55", "temp=21.5, hum=55"),
        ("temp=21.5,hum=55;ec=1.2", "temp=21.5, hum=55, ec=1.2"),
        ("Temp: 21.5 C, Hum: 55 %", "Temp=21.5 C, Hum=55 %"),
        ("temp = 21.5 C | hum : 55 %", "temp=21.5 C, hum=55 %"),
        ("a: 1\tb: 2", "a=1, b=2"),
        ("INFO: temp=21.5", "INFO/, temp=21.5"),
        ("[12:30:01] temp=21.5", "12=\"30:01]\", temp=21.5"),
        ("12:34:56.789 -> Air Temp: 21", "12=\"34:56.789\", Air Temp=21"),
        ("12345 temp=21.5", "temp=21.5"),
        ("[1234.5] temp=21.5", "temp=21.5"),
        (">temp:21.5", "temp=21.5"),
        ("temp := 21.5", "temp=21.5"),
        ("temp => 21.5", "temp=21.5"),
        ("name=\"two words\" temp=1", "name=\"two words\", temp=1"),
        ("temp=21,5 hum=55", "temp=\"21,5\", hum=55"),
        ("temp=21,hum=55,2", "temp=21, hum=\"55,2\""),
        ("temp=21.5,55", "temp=21.5"),
        ("temp=", "temp=\"\""),
        ("temp=nan hum=-", "temp=\"nan\", hum=\"-\""),
        ("=5 == : ::", ""),
        ("hello world", ""),
        ("", ""),
    ]);
}

#[test]
fn labels_have_several_words_digits_brackets_and_signs() {
    check(&[
        ("Air Temp: 22.0 C  Water Temp: 26.0 C", "Air Temp=22.0 C, Water Temp=26.0 C"),
        ("Sensor 1: 43 Sensor 2: 71", "Sensor 1=43, Sensor 2=71"),
        ("Temperature (C): 24.3", "Temperature (C)=24.3"),
        ("CO2 concentration [ppm]: 612", "CO2 concentration [ppm]=612"),
        ("#1: 512 #2: 300", "#1=512, #2=300"),
        ("1: 43 2: 71 3: 50", "1=43, 2=71, 3=50"),
        ("1:43,2:71,3:50", "1=43, 2=71, 3=50"),
        ("10cm: 33 20cm: 44", "10cm=33, 20cm=44"),
        ("Tank 1 pH: 6.10  Tank 2 pH: 6.90", "Tank 1 pH=6.10, Tank 2 pH=6.90"),
        ("A temp: 20 B temp: 21 C temp: 22", "A temp=20, B temp=21, C temp=22"),
        (
            "Humidity: 55.00%  Temperature: 24.30°C 75.74°F  Heat index: 24.05°C 75.29°F",
            "Humidity=55.00 %, Temperature=24.30 C, Heat index=24.05 C",
        ),
        (
            "Humidity: 55.00 %\tTemperature: 24.30 *C 75.74 *F\tHeat index: 24.05 *C",
            "Humidity=55.00 %, Temperature=24.30 C, Heat index=24.05 C",
        ),
        ("Temp: 24.3*C / 75.7*F, Hum: 55%", "Temp=24.3 C, Hum=55 %"),
        ("A0: 512 (2.50V) A1: 300 (1.46V)", "A0=512, A1=300"),
        ("CO2: 612 ppm (good) Temp: 21", "CO2=612 ppm, Temp=21"),
        ("Temp: 21.5 [C]", "Temp=21.5 C"),
        ("Sensor 1: Temp: 21 Hum: 50 Sensor 2: Temp: 22", "Sensor 1/, Temp=21, Hum=50, Sensor 2/, Temp=22"),
        ("Tank A: pH=6.1 EC=1.8", "Tank A/, pH=6.1, EC=1.8"),
        ("DHT22: Air Temp: 21", "DHT22/, Air Temp=21"),
        ("device=esp1 temp=21.5", "device=\"esp1\", temp=21.5"),
        ("device:esp1 temp:21.5", "device=\"esp1\", temp=21.5"),
        ("node: A temp: 21.5", "node=\"A\", temp=21.5"),
        ("pump: on temp: 21", "pump=\"on\", temp=21"),
        ("pump: error, temp: 21", "pump=\"error\", temp=21"),
        ("Sensor[0] = 23.5", "Sensor[0]=23.5"),
        ("DHT(temp=21.5, hum=55)", "temp=21.5, hum=55"),
        ("Temp: 21.5 - Hum: 55", "Temp=21.5, Hum=55"),
        ("UV - A: 5", "UV - A=5"),
        ("Packet 17 temp=21.5", "temp=21.5"),
        ("[Packet #17] temp=21.5", "temp=21.5"),
        ("Soil Moisture : 512Temperature : 24.3    Humidity : 55", "Soil Moisture=512, Temperature=24.3, Humidity=55"),
        ("Wind direction: 225 (degree)", "Wind direction=225 degree"),
        ("Soil moisture: 45 (ANOMALY)%, Temperature: 24.3°C", "Soil moisture=45, Temperature=24.3 C"),
        ("servo0 -> rads:1.57        deg:90", "rads=1.57, deg=90"),
        ("Max Temp: 25.0 Min Temp: 12.0", "Max Temp=25.0, Min Temp=12.0"),
        ("In Temp: 21 Out Temp: 22 In Hum: 55", "In Temp=21, Out Temp=22, In Hum=55"),
        ("Temp: sensor not found, Hum: 55", "Temp=\"sensor not found\", Hum=55"),
        ("Temp.: 21.5 Hum.: 55", "Temp.=21.5, Hum.=55"),
        ("T21.5H:55", "T21.5H=55"),
    ]);
}

#[test]
fn units_are_told_from_words_and_broken_numbers_from_units() {
    check(&[
        ("temp: 25.0^C", "temp=25.0 C"),
        ("temp: 24.5℃ hum: 55%", "temp=24.5 C, hum=55 %"),
        ("dist: 30cm.", "dist=30 cm"),
        ("Temperature is: 21.5 degrees Celsius.", "Temperature is=21.5 C"),
        ("ec: 1800uS/cm temp: 70.7 F", "ec=1800 uS/cm, temp=70.7 F"),
        ("par: 400 umol m-2 s-1", "par=400 umol/m2/s"),
        ("flow: 3 foo/bar", "flow=3 foo/bar"),
        ("temp: 21.5 OK", "temp=21.5"),
        ("temp: 21.5foo", "temp=21.5 foo"),
        ("temp: 21.5.3 hum: 5", "temp=\"21.5.3\", hum=5"),
        ("temp: 12:30", "temp=\"12:30\""),
        ("temp: 6 1", "temp=\"6\""),
        ("temp: 6 1 hum: 5", "temp=\"6\", hum=5"),
        ("temp: 1e hum: 5", "temp=\"1\", hum=5"),
        ("temp: 0x10", "temp=\"0\""),
        ("temp=2#1.5", "temp=\"2#1.5\""),
        ("temp=5V3", "temp=\"5\""),
    ]);
}
