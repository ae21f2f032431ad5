//! Lines as sketches print them, and lines as a bad cable makes them.

use proptest::prelude::*;
use tilth_core::time::WallTime;

use super::super::lines::MAX_LINE;
use super::{Decoder, Reason};

const WANTED: [&str; 4] = ["temp", "hum", "tank.ph", "ec"];

/// What came out, as text: `temp=21.5 hum=nan @1396522800000` a line.
fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    decoder.push(bytes, |decoded| {
        let mut line: Vec<String> =
            decoded.values.iter().map(|(field, value)| format!("{}={value}", WANTED[*field])).collect();
        line.extend(decoded.time.map(|WallTime(ms)| format!("@{ms}")));
        found.push(line.join(" "));
    });
    found
}

/// A decoder that is past its first line.
fn decoder() -> Decoder {
    let mut decoder = Decoder::new(WANTED.map(str::to_owned).to_vec());
    decoder.push(b"\n", |_| {});
    decoder
}

fn check(lines: &str, expected: &[&str]) {
    let mut decoder = decoder();
    assert_eq!(decode(&mut decoder, lines.as_bytes()), expected, "{lines:?}: {:?}", decoder.tally());
}

/// What one line is ignored for.
fn check_ignored(line: &[u8], reason: Reason) {
    let mut decoder = decoder();
    let mut bytes = line.to_vec();
    bytes.push(b'\n');
    assert_eq!(decode(&mut decoder, &bytes), [""; 0], "{:?}", line.escape_ascii().to_string());
    let tally = decoder.tally();
    assert_eq!(tally.last.as_ref().map(|last| last.0), Some(reason), "{}", line.escape_ascii());
    assert_eq!((tally.count(reason), tally.used), (1, 0));
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
    check("{\"temp\":21.5,\"tank\":{\"ph\":6.1}}\n", &["tank.ph=6.1 temp=21.5"]);
    check("{\"temp\":null,\"hum\":nan,\"ec\":\"1.8 mS/cm\"}\n", &["ec=1.8 hum=NaN temp=NaN"]);
    check("{\"temp\":true,\"time\":\"2014-04-03T11:00:00Z\"}\n", &["temp=1 @1396522800000"]);
    check("{\"temp\":1,\"ts\":1396522800000}\n", &["temp=1 @1396522800000"]);
}

#[test]
fn everything_else_is_counted_by_its_reason() {
    check_ignored(b"Sensor ready", Reason::Unknown);
    check_ignored(b"a == b", Reason::Unknown);
    check_ignored(b"1,2", Reason::NoHeader);
    check_ignored(b"{\"temp\":21.5", Reason::NotJson);
    check_ignored(b"temp=2\x001.5", Reason::NotText);
    check_ignored(b"te\xffmp=21.5", Reason::NotText);
    check_ignored(b"temp=2\xff1.5", Reason::NotText);
    check_ignored(b"temp=2#1.5", Reason::NotANumber);
    check_ignored(&[b'x'; MAX_LINE + 1], Reason::TooLong);
    let mut decoder = decoder();
    decode(&mut decoder, b"temp,hum\n1,2,3\n");
    assert_eq!(decoder.tally().count(Reason::Width), 1);
    decode(&mut decoder, b"temp=1 time=noon\n");
    assert_eq!(decoder.tally().last, Some((Reason::BadTime, "temp=1 time=noon".to_owned())));
}

#[test]
fn signs_that_old_sketches_write_are_known() {
    let mut decoder = decoder();
    assert_eq!(decode(&mut decoder, b"temp=21.5\xb0C ec=3 \xb5S\n"), ["temp=21.5 ec=3"]);
}

#[test]
fn half_a_line_after_opening_is_dropped() {
    let mut decoder = Decoder::new(WANTED.map(str::to_owned).to_vec());
    assert_eq!(decode(&mut decoder, b"temp=21.5\ntemp=22\n"), ["temp=22"]);
    decode(&mut decoder, b"temp=2");
    decoder.reopen();
    assert_eq!(decode(&mut decoder, b"1.5\ntemp=23\n"), ["temp=23"]);
    assert_eq!(decoder.tally().count(Reason::Partial), 2);
    assert_eq!(decoder.tally().lines, 4);
}

#[test]
fn a_header_or_json_right_after_opening_is_whole() {
    let mut decoder = Decoder::new(WANTED.map(str::to_owned).to_vec());
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
    decoder.set_wanted(vec!["co2".to_owned(), "hum".to_owned()]);
    assert_eq!(decode(&mut decoder, b"5,6\n"), ["hum=5 temp=6"], "by place: hum is the second, co2 the first");
}

#[test]
fn after_a_line_that_never_ends_the_next_one_is_read() {
    let mut decoder = decoder();
    for _ in 0..1000 {
        decode(&mut decoder, &[b'7'; 100]);
    }
    assert_eq!(decode(&mut decoder, b" temp=1\ntemp=2\n"), ["temp=2"]);
    assert_eq!(decoder.tally().count(Reason::TooLong), 1);
    let (_, excerpt) = decoder.tally().last.clone().unwrap();
    assert_eq!(excerpt, "7".repeat(80));
}

#[test]
fn what_is_shown_can_be_printed_and_has_an_end() {
    let mut decoder = decoder();
    for name in 0..100 {
        decode(&mut decoder, format!("name{name}=1\n").as_bytes());
    }
    assert_eq!(decoder.tally().unused.len(), 16);
    decode(&mut decoder, b"\x07\x1b]0;title\x07 \xff\xfe evil\n");
    let (_, excerpt) = decoder.tally().last.clone().unwrap();
    assert!(excerpt.chars().all(|c| !c.is_control()), "{excerpt:?}");
}

#[test]
fn what_is_wanted_and_on_no_line_is_known() {
    let mut decoder = decoder();
    let unseen = |decoder: &Decoder| decoder.tally().unseen.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!((unseen(&decoder).as_str(), decoder.tally().has_names()), ("ec hum tank.ph temp", false));
    decode(&mut decoder, b"hello\n");
    assert!(!decoder.tally().has_names());
    decode(&mut decoder, b"temp=warm humidity=55\n");
    assert_eq!(
        (unseen(&decoder).as_str(), decoder.tally().has_names()),
        ("ec hum tank.ph", true),
        "no number, but there"
    );
    // What was seen stays so; what is new was not looked for before.
    decoder.set_wanted(vec!["humidity".to_owned(), "temp".to_owned()]);
    assert_eq!(unseen(&decoder), "humidity");
    decode(&mut decoder, b"{\"humidity\":null}\n");
    assert_eq!(unseen(&decoder), "");
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
        prop_assert_eq!(cut.tally(), whole.tally());
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
