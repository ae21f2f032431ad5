//! Tables through one check function each, and what must hold for any bytes.

use std::error;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::columns::Measurement;
use super::fields::Fields;
use super::lines::MAX_LINE_BYTES;
use super::numbers::{self, DecimalMark, parse_value};
use super::series::{MAX_NAME_BYTES, MAX_NAMES, SeriesNames};
use super::time_column::{END_MS, iso8601, parse_time};
use super::*;
use memchr::memchr_iter;

const LONG: &str = "time,sensor,value\n";
const T0: i64 = 1_735_689_600_000; // 2025-01-01T00:00:00Z

fn open(bytes: impl Into<Vec<u8>>) -> Result<Readings, ReadingsError> {
    Readings::from_source("farm.csv", io::Cursor::new(bytes.into()), &ReadOptions::default(), || None::<File>)
}

/// Reads to the end or to an error.
fn read_all(readings: &mut Readings) -> (Vec<Row>, Option<ReadingsError>) {
    let mut rows = Vec::new();
    loop {
        match readings.next_row() {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => return (rows, None),
            Err(error) => return (rows, Some(error)),
        }
    }
}

/// Reads what must have a good header and a good end.
fn read(bytes: impl Into<Vec<u8>>) -> (Vec<Row>, Readings) {
    read_opened(open(bytes).expect("a good header"))
}

fn read_opened(mut readings: Readings) -> (Vec<Row>, Readings) {
    let (rows, error) = read_all(&mut readings);
    assert!(error.is_none(), "{error:?}");
    (rows, readings)
}

/// A recording as text: a line for each row, then each bad line, then the counts.
fn told(bytes: &[u8]) -> Vec<String> {
    let (rows, readings) = read(bytes);
    let mut told = Vec::new();
    for row in rows {
        let seconds = (row.at_ms - T0) as f64 / 1e3;
        let Some(sensor) = row.sensor else {
            told.push(format!("{}: +{seconds} time alone", row.line));
            continue;
        };
        let value = row.value.map_or("missing".to_owned(), |value| value.to_string());
        told.push(format!("{}: {} +{seconds} {value}", row.line, readings.names()[sensor]));
    }
    let report = readings.report();
    told.extend(report.shown.iter().map(ToString::to_string));
    let Report { lines, blank, held, values, missing, bad_lines, bad_cells, bad_columns, short_lines, .. } = report;
    told.push(format!("{lines} {blank} {held} / {values} {missing} / {bad_lines} {bad_cells}"));
    if bad_columns + short_lines > 0 {
        told.push(format!("{bad_columns} bad columns, {short_lines} short lines"));
    }
    told
}

#[track_caller]
fn check(bytes: &[u8], expected: &[&str]) {
    assert_eq!(told(bytes), expected, "\n{}", String::from_utf8_lossy(bytes));
}

#[test]
fn long_layout() {
    let rows = ["2: a +0 1", "3: b +1 missing", "3 0 2 / 1 1 / 0 0"];
    for file in [
        "time,sensor,value\n2025-01-01T00:00:00Z,a,1\n2025-01-01T00:00:01Z,b,\n",
        "time,sensor,value\n2025-01-01T00:00:00Z,a,1\n2025-01-01T00:00:01Z,b,nan",
        "\u{feff}time,sensor,value\r\n2025-01-01T00:00:00Z,a,1\r\n2025-01-01T00:00:01Z,b,\r\n",
        " Value , TIME,Sensor \n1.0,1735689600000, a\n -NaN ,1735689601000,b \n",
        "note,time,sensor,unit,value,more\nx,1735689600000,a,C,1,y\n,1735689601000,b,,\n",
        "\"time\",\"sensor\",\"value\"\n\"1735689600000\",\"a\",\"1\"\n 1735689601000 , \"b\" ,\"\"\n",
    ] {
        check(file.as_bytes(), &rows);
    }
}

#[test]
fn wide_layout() {
    check(
        b"time,a,b,c\n1735689600000,1,,3\n1735689601000,NaN,2\n1735689602000,4,x,5,,\nnever,1,2,3\n",
        &[
            "2: a +0 1",
            "2: c +0 3",
            "3: b +1 2",
            "4: a +2 4",
            "4: c +2 5",
            "line 4, column 3: expected a decimal number, nothing or NaN: x",
            "line 5: expected RFC 3339 with an offset, or epoch milliseconds: never,1,2,3",
            "5 0 3 / 5 3 / 1 1",
            "0 bad columns, 1 short lines",
        ],
    );
    check(
        b"\"a, \"\"b\"\"\",Time\n\"1\",1735689600000\n\"2\n3,1735689601000\n",
        &[
            "2: a, \"b\" +0 1",
            "4: a, \"b\" +1 3",
            "line 3: quoted field does not end on its line: \"2",
            "4 0 2 / 2 0 / 1 0",
        ],
    );
}

#[test]
fn more_cells_than_the_header_has_are_no_reading() {
    let comma = "4 cells where the header has 3; a decimal comma? write 7.4, or quote the cell";
    check(
        b"time,sensor,value\n1735689600000,a,7,4\n1735689600000,a,7.4\n1735689600000,a,\"7,4\"\n\"1735689600000\",a,7,4\n",
        &[
            "3: a +0 7.4",
            &format!("line 2: {comma}: 1735689600000,a,7,4"),
            "line 4: expected a decimal number, nothing or NaN: 1735689600000,a,\"7,4\"",
            &format!("line 5: {comma}: \"1735689600000\",a,7,4"),
            "5 0 1 / 1 0 / 3 0",
        ],
    );
    check(
        b"time,a,b,\n1735689600000,1,2,,, \t,\n1735689600000,1,2,\" \",\n1735689600000,1,5,2\n1735689600000,1,,5,,2,\n",
        &[
            "2: a +0 1",
            "2: b +0 2",
            "3: a +0 1",
            "3: b +0 2",
            &format!("line 4: {comma}: 1735689600000,1,5,2"),
            &format!("line 5: 6 {}: 1735689600000,1,,5,,2,", &comma[2..]),
            "5 0 2 / 4 0 / 2 0",
        ],
    );
    let (_, readings) = read(format!("{LONG}1,a,1,1\n1,a,1,1,1\n"));
    assert_eq!(readings.report().reasons, [(Reason::TooManyCells(None), 2)]);
}

#[test]
fn a_short_line_has_what_it_has() {
    check(
        b"time,a,b,c\n1735689600000,1\n1735689601000\n1735689602000,1,2,\n",
        &[
            "2: a +0 1",
            "3: +1 time alone",
            "4: a +2 1",
            "4: b +2 2",
            "4 0 3 / 3 6 / 0 0",
            "0 bad columns, 2 short lines",
        ],
    );
}

#[test]
fn headings_that_name_no_sensor_lose_only_their_own_cells() {
    check(
        b"time,a,,a,\xff,b\n1735689600000,1,,,,2\n1735689600000,1,9,8,7,2\n1735689600000,,,8,7\n",
        &[
            "2: a +0 1",
            "2: b +0 2",
            "3: a +0 1",
            "3: b +0 2",
            "4: +0 time alone",
            "line 1, column 4: sensor has another column before this one; this one is left out: a",
            "line 1, column 5: sensor name is not UTF-8 text: \u{fffd}",
            "line 3, column 3: sensor has no name: 9",
            "4 0 3 / 4 2 / 0 1",
            "2 bad columns, 1 short lines",
        ],
    );
}

#[test]
fn bad_lines_hurt_only_themselves() {
    let bad = [
        ("1735689600000,a", "too few columns"),
        (",a,1", "expected RFC 3339 with an offset, or epoch milliseconds"),
        ("-1,a,1", "time outside the years 1970 to 2199"),
        ("1735689600000,a,wet", "expected a decimal number, nothing or NaN"),
        ("1735689600000,a,1 2", "expected a decimal number, nothing or NaN"),
        ("1735689600000,a,-inf", "value is infinite"),
        ("1735689600000,a,1e999", "value is infinite"),
        ("1735689600000, ,1", "sensor has no name"),
        ("1735689600000,\"a,1", "quoted field does not end on its line"),
        ("1735689600000,a,1,\"note", "quoted field does not end on its line"),
        ("1735689600000,\"a\"b,1", "text after a closing quote"),
    ];
    for (line, reason) in bad {
        let file = format!("{LONG}{line}\n");
        check(file.as_bytes(), &[&format!("line 2: {reason}: {line}"), "2 0 0 / 0 0 / 1 0"]);
        let file = format!("{LONG}1735689600000,a,1\n{line}\n1735689600000,a,2\n");
        let shown = format!("line 3: {reason}: {line}");
        check(file.as_bytes(), &["2: a +0 1", "4: a +0 2", &shown, "4 0 2 / 2 0 / 1 0"]);
    }
}

#[test]
fn odd_bytes_and_blank_lines() {
    check(
        b"\n \r\ntime,sensor,value\n\n1735689600000,a,1\n\0\n1735689600000,\xff\xfe,1\n1735689600000,a\0,1\n \t\n1735689600000,a,1\x1b[2J",
        &[
            "5: a +0 1",
            "line 6: expected RFC 3339 with an offset, or epoch milliseconds: \\u{0}",
            "line 7: sensor name is not UTF-8 text: 1735689600000,\u{fffd}\u{fffd},1",
            "line 8: sensor name is not UTF-8 text: 1735689600000,a\\u{0},1",
            "line 10: expected a decimal number, nothing or NaN: 1735689600000,a,1\\u{1b}[2J",
            "10 4 1 / 1 0 / 4 0",
        ],
    );
}

#[test]
fn order_and_repetition_pass_through() {
    check(
        b"time,sensor,value\n1735689602000,a,1\n1735689601000,a,2\n1735689601000,a,2\n1735689601000,a,3\n",
        &["2: a +2 1", "3: a +1 2", "4: a +1 2", "5: a +1 3", "5 0 4 / 4 0 / 0 0"],
    );
}

#[test]
fn the_first_ten_bad_lines_are_shown_and_all_counted() {
    let (rows, readings) = read(format!("{LONG}{}{}", "1735689600000,a\n".repeat(25), "1735689600000,a,x\n".repeat(5)));
    let report = readings.report();
    assert_eq!((rows.len(), report.bad_lines, report.shown.len()), (0, 30, 10));
    assert_eq!(report.reasons, [(Reason::TooFewColumns, 25), (Reason::ValueForm, 5)]);
    let last = report.shown.last().map(|bad| (bad.line, bad.reason));
    assert_eq!(last, Some((27, Reason::ValueForm)), "the first of each kind is shown");
}

#[test]
fn excerpts_are_short() {
    for (text, expected) in [
        ("short".to_owned(), "short".to_owned()),
        ("é".repeat(60), "é".repeat(60)),
        ("é".repeat(61), format!("{}…", "é".repeat(60))),
        ("🌱".repeat(61), format!("{}…", "🌱".repeat(60))),
        ("x".repeat(1000), format!("{}…", "x".repeat(60))),
    ] {
        assert_eq!(excerpt(text.as_bytes()), expected);
    }
}

#[test]
fn headers_that_fit_neither_layout() {
    let long_heading = "x".repeat(100);
    for (file, expected) in [
        ("", "farm.csv, line 1: found nothing, "),
        ("\u{feff}", "farm.csv, line 1: found nothing, "),
        ("\n \n", "farm.csv, line 1: found nothing, "),
        ("time", "farm.csv, line 1: found \"time\", "),
        ("time,\n", "farm.csv, line 1: found \"time,\", "),
        ("\ntimestamp,a", "farm.csv, line 2: found \"timestamp,a\", "),
        ("time,time,a\n", "farm.csv, line 1: found \"time,time,a\", "),
        ("time,\"a\n", "farm.csv, line 1: found \"time,\"a\", "),
        ("2025-01-01T00:00:00Z,a,1\n", "farm.csv, line 1: found \"2025-01-01T00:00:00Z,a,1\", "),
        (&long_heading, &format!("farm.csv, line 1: found \"{}…\", ", "x".repeat(60))),
    ] {
        let Err(error) = open(file) else { panic!("{file:?} has a header") };
        assert_eq!(error.to_string(), format!("{expected}{EXPECTED}"));
    }
    let endless = vec![b'x'; MAX_LINE_BYTES + 1];
    let error = open(endless).err().unwrap().to_string();
    assert_eq!(error, format!("farm.csv, line 1: found \"{}…\", longer than 1 MiB; {EXPECTED}", "x".repeat(60)));
}

#[test]
fn a_header_that_is_too_long_is_not_cut_short() {
    let mut header = "\ntime".to_owned();
    (0..60_000).for_each(|column| header.push_str(&format!(",tower-{column:05}/temperature")));
    let error = open(format!("{header}\n1,2,3\n")).err().unwrap().to_string();
    assert!(error.contains(", line 2: found \"time,tower-00000/temperature,"), "{error}");
    assert!(error.contains("longer than 1 MiB; expected a header with"), "{error}");
}

#[test]
fn a_line_may_have_a_mebibyte_and_not_a_byte_more() {
    for (extra, good) in [(0, true), (1, false), (3 * MAX_LINE_BYTES, false)] {
        for end in ["\n1735689600000,b,2\n", "\n1735689600000,b,2", ""] {
            let start = "1735689600000,a,1,";
            let long = "x".repeat(MAX_LINE_BYTES - start.len() + extra);
            let (rows, readings) = read(format!("time,sensor,value,note\n{start}{long}{end}"));
            let expected = usize::from(good) + usize::from(!end.is_empty());
            assert_eq!(rows.len(), expected, "{extra} {end:?}");
            assert_eq!(readings.report().bad_lines, u64::from(!good), "{extra} {end:?}");
            assert_eq!(readings.report().lines, 2 + u64::from(!end.is_empty()));
        }
    }
}

#[test]
fn a_thousand_columns() {
    let headings: String = (0..1000).map(|column| format!(",s{column}")).collect();
    let cells: String = (0..1000).map(|column| format!(",{column}")).collect();
    let (rows, readings) = read(format!("time{headings}\n{T0}{cells}\n{T0}{cells}\n"));
    assert_eq!((rows.len(), readings.names().len()), (2000, 1000));
    for row in rows {
        let sensor = row.sensor.expect("a sensor");
        assert_eq!(&*readings.names()[sensor], &format!("s{}", row.value.expect("a value")));
    }
}

#[test]
fn names_are_bounded_in_number_and_length() {
    let lines: String = (0..MAX_NAMES + 5).map(|name| format!("{T0},n{name},1\n")).collect();
    let (rows, readings) = read(format!("{LONG}{lines}{T0},n0,2\n{T0},{},1\n", "x".repeat(MAX_NAME_BYTES + 1)));
    assert_eq!((rows.len(), readings.names().len()), (MAX_NAMES + 1, MAX_NAMES));
    assert_eq!(readings.report().reasons, [(Reason::TooManyNames, 5), (Reason::NameTooLong, 1)]);

    let many: String = (0..MAX_NAMES + 5).map(|name| format!(",{name}")).collect();
    let (rows, readings) = read(format!("time{many}\n{T0}{many}\n"));
    assert_eq!((rows.len(), readings.report().bad_columns), (MAX_NAMES, 5));
}

#[test]
fn names_keep_their_place_in_any_order() {
    let mut names = SeriesNames::default();
    for name in ["a", "b", "c", "a", "b", "c", "c", "a", "c", "b", "a", "d", "a"] {
        let place =
            names.intern(name.as_bytes(), |name| Ok((name.into(), Measurement::default()))).expect("a good name");
        assert_eq!(&*names.list[place], name);
    }
    assert_eq!(names.list, ["a", "b", "c", "d"].map(Arc::from));
}

#[track_caller]
fn check_time(text: &str, expected: Result<i64, Reason>) {
    assert_eq!(parse_time(text.as_bytes()), expected, "{text}");
}

#[test]
fn times() {
    for (text, expected) in [
        ("2025-01-01T00:00:00Z", T0),
        ("2025-01-01 00:00:00z", T0),
        ("2025-01-01t00:00:00+00:00", T0),
        ("2025-01-01T05:30:00+05:30", T0),
        ("2024-12-31T16:00:00-08:00", T0),
        ("2025-01-01T00:00:00-00:00", T0),
        ("2025-01-01T00:00:00.5Z", T0 + 500),
        ("2025-01-01T00:00:00.05Z", T0 + 50),
        ("2025-01-01T00:00:00.0059Z", T0 + 5),
        ("2025-01-01T00:00:00.123456789012345678901234567890Z", T0 + 123),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000 - 1),
        ("2016-12-31T23:59:60.9Z", 1_483_228_800_000 - 1),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("1970-01-01T00:00:00Z", 0),
        ("2199-12-31T23:59:59.999Z", END_MS - 1),
        ("2025-01-01T00:00Z", T0),
        ("2025-01-01T01:00:00+0100", T0),
        ("2025-01-01T01:00:00+01", T0),
        ("1735689600000", T0),
        ("+0001735689600000", T0),
        ("946684800000", 946_684_800_000),
        ("1999-12-31T23:59:59.999Z", 946_684_799_999),
    ] {
        check_time(text, Ok(expected));
    }
}

#[test]
fn bad_times() {
    for text in [
        "",
        "-",
        "1.5",
        "1e12",
        "2025-01-01",
        "2025-01-01T00:00:00",
        "2025-01-01 00:00:00",
        "2025-01-01T00:00:00.Z",
        "2025-01-01T00:00:00.123",
        "2025-01-01T00:00:00 Z",
        "2025-01-01T00:00:00+1",
        "2025-01-01T00:00:00+24:00x",
        "2025-01-01T00:60:00Z",
        "2025-01-01T24:00:00Z",
        "2025-01-01T00:00:61Z",
        "2025-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2025-00-01T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-01-00T00:00:00Z",
        "2025-04-31T00:00:00Z",
        "2025-01-01T00:00:0:Z",
        "01/02/2025 00:00",
    ] {
        check_time(text, Err(Reason::TimeForm));
    }
    for text in [
        "-1",
        "7258118400000",
        "99999999999999999999999999",
        "-99999999999999999999999999",
        "1969-12-31T23:59:59.9999Z",
        "1970-01-01T00:00:00+00:01",
        "2200-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.9999+0000",
    ] {
        check_time(text, Err(Reason::TimeRange));
    }
    for text in ["0", "1735689600", "946684799999"] {
        check_time(text, Err(Reason::TimeSeconds));
    }
}

#[test]
fn values() {
    for (text, expected) in [
        ("", Ok(None)),
        ("NaN", Ok(None)),
        ("nAn", Ok(None)),
        ("-nan", Ok(None)),
        ("21.53", Ok(Some(21.53))),
        ("-21.53", Ok(Some(-21.53))),
        ("+5", Ok(Some(5.0))),
        ("1e3", Ok(Some(1000.0))),
        ("1.5E-3", Ok(Some(0.0015))),
        (".5", Ok(Some(0.5))),
        ("5.", Ok(Some(5.0))),
        ("1e-999", Ok(Some(0.0))),
        ("12345678901234567890.123456789", Ok(Some(12_345_678_901_234_567_000.0))),
        ("inf", Err(Reason::ValueInfinite)),
        ("-Infinity", Err(Reason::ValueInfinite)),
        ("1e999", Err(Reason::ValueInfinite)),
        (".", Err(Reason::ValueForm)),
        ("-", Err(Reason::ValueForm)),
        ("--1", Err(Reason::ValueForm)),
        ("1.2.3", Err(Reason::ValueForm)),
        ("0x10", Err(Reason::ValueForm)),
        ("1_000", Err(Reason::ValueForm)),
        ("null", Err(Reason::ValueForm)),
        ("NA", Err(Reason::ValueForm)),
    ] {
        assert_eq!(parse_value(text.as_bytes()), expected, "{text}");
    }
    let zero = parse_value(b"-0").expect("a number").expect("a value");
    assert_eq!(zero.to_bits(), (-0.0_f64).to_bits());
}

/// Readings of ever other text, so that they pack badly.
fn recording(lines: u32) -> String {
    let line = |at: u32| format!("{},s{},{}\n", T0 + i64::from(at), at % 7, at.wrapping_mul(2_654_435_761));
    LONG.to_owned() + &(0..lines).map(line).collect::<String>()
}

fn pack(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[test]
fn gzip_of_one_or_more_members() {
    let text = recording(10_000);
    let (plain, _) = read(text.as_str());
    assert_eq!(plain.len(), 10_000);
    assert_eq!(read(pack(&text)).0, plain);
    let (one, two) = text.split_at(text.len() / 2);
    assert_eq!(read([pack(one), pack(two)].concat()).0, plain);
}

/// A broken stream gives the whole lines that can still be unpacked, then one error, then nothing.
#[track_caller]
fn check_broken(packed: Vec<u8>, plain: &[Row], at_least: usize) {
    let mut readings = open(packed).expect("a good header");
    let (rows, error) = read_all(&mut readings);
    assert!(rows.len() >= at_least, "{} rows", rows.len());
    assert_eq!(rows[..at_least], plain[..at_least]);
    let report = readings.report();
    assert_eq!(report.lines, 1 + report.held + report.bad_lines + report.blank);
    let message = format!("farm.csv: cannot be read further, after {} lines", report.lines);
    assert_eq!(error.expect("an error").to_string(), message);
    assert!(matches!(readings.next_row(), Ok(None)));
}

#[test]
fn broken_gzip() {
    let text = recording(50_000);
    let (plain, _) = read(text.as_str());
    let packed = pack(&text);
    check_broken(packed[..packed.len() / 2].to_vec(), &plain, 24_000);
    check_broken(packed[..packed.len() - 1].to_vec(), &plain, 50_000);
    check_broken([&packed[..], b"rubbish"].concat(), &plain, 50_000);

    // Stored blocks, so that the place of the fault is known: a header that is none after all the lines.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.flush().expect("memory takes it");
    let packed = encoder.get_ref().clone();
    check_broken([&packed[..], &[0xff; 100]].concat(), &plain, 50_000);

    let wrong_sum = [&packed[..], &[1, 0, 0, 0xff, 0xff], &[0; 8]].concat();
    check_broken(wrong_sum, &plain, 50_000);
}

#[test]
fn gzip_broken_before_its_header() {
    for bytes in [&b"\x1f\x8b"[..], &b"\x1f\x8b\x08rubbish"[..], &pack(LONG)[..12]] {
        assert!(matches!(open(bytes), Err(ReadingsError::Read { lines: 0, .. })), "{bytes:?}");
    }
}

/// A source that gives a byte at a time, with interruptions, as a slow pipe may.
struct Dribble(io::Cursor<Vec<u8>>, bool);

impl Read for Dribble {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = out.len().min(1);
        self.0.read(&mut out[..length])
    }
}

#[test]
fn a_slow_pipe_reads_the_same() {
    let text = recording(300);
    let (plain, _) = read(text.as_str());
    for bytes in [text.clone().into_bytes(), pack(&text)] {
        let source = Dribble(io::Cursor::new(bytes), false);
        let mut readings =
            Readings::from_source("pipe", source, &ReadOptions::default(), || None::<File>).expect("a good header");
        assert_eq!(read_all(&mut readings).0, plain);
    }
}

/// Some text, then a failure.
struct Failing(io::Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::other("the cable is out")),
            length => Ok(length),
        }
    }
}

#[test]
fn a_failing_source_gives_whole_lines_then_its_error() {
    for piece in ["", "1,a,2", &"x".repeat(2 * MAX_LINE_BYTES)] {
        let source = Failing(io::Cursor::new(format!("{LONG}{T0},a,1\n{piece}").into()));
        let mut readings =
            Readings::from_source("pipe", source, &ReadOptions::default(), || None::<File>).expect("a good header");
        let (rows, error) = read_all(&mut readings);
        let error = error.expect("an error");
        assert_eq!((rows.len(), readings.report().lines, readings.report().bad_lines), (1, 2, 0));
        assert_eq!(error.to_string(), "pipe: cannot be read further, after 2 lines");
        assert_eq!(error::Error::source(&error).expect("a cause").to_string(), "the cable is out");
        assert!(matches!(readings.next_row(), Ok(None)));
    }
}

#[test]
fn files() {
    let Err(error) = Readings::open(Path::new("no/such.csv"), &ReadOptions::default()) else { panic!("it is there") };
    assert_eq!(error.to_string(), "no/such.csv: cannot be opened");
    assert!(
        matches!(Readings::open(Path::new("."), &ReadOptions::default()), Err(ReadingsError::Open { .. })),
        "a folder"
    );
}

#[test]
fn a_reader_can_move_to_another_thread() {
    fn check<T: Send>() {}
    check::<Readings>();
}

/// A byte that is likely to matter, or any.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => prop::sample::select(b"\n\n\r,,\"\" \t.-+:TZ0123456789aeinNf\0\xff".as_slice()),
        1 => any::<u8>(),
    ]
}

/// A field that is likely to be good.
fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::sample::select(vec!["1735689600000", "2025-01-01T00:00:00Z", "a", "b", "21.5", "NaN", "", "\"1\"", "\"a,\"\"b\""])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(byte(), 0..12),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::collection::vec(field(), 0..5).prop_map(|fields| fields.join(&b','));
    let ends = prop::sample::select(vec![&b"\n"[..], b"\r\n"]);
    let lines = prop::collection::vec((line, ends).prop_map(|(line, end)| [&line, end].concat()), 0..20);
    (lines, any::<bool>()).prop_map(|(lines, cut)| {
        let mut body = lines.concat();
        if cut {
            body.pop();
        }
        body
    })
}

fn physical_lines(bytes: &[u8]) -> u64 {
    let ends = memchr_iter(b'\n', bytes).count() as u64;
    ends + u64::from(!bytes.is_empty() && !bytes.ends_with(b"\n"))
}

/// Leaves out a file whose first time is by chance a day without an offset.
fn read_by_chance(file: Vec<u8>) -> Result<(Vec<Row>, Readings), TestCaseError> {
    let opened = open(file);
    prop_assume!(!matches!(&opened, Err(error) if error.to_string().contains("have no offset")));
    Ok(read_opened(opened.expect("a good header")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(byte(), 0..400)) {
        if let Ok(mut readings) = open(bytes) {
            read_all(&mut readings);
        }
    }

    #[test]
    fn any_bytes_called_gzip_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        at in 10..200_usize,
    ) {
        let mut packed = pack(&recording(40));
        let at = at.min(packed.len());
        packed.splice(at..(at + bytes.len()).min(packed.len()), bytes);
        if let Ok(mut readings) = open(packed) {
            read_all(&mut readings);
        }
    }

    #[test]
    fn every_long_line_is_accounted_for(body in body()) {
        let file = [LONG.as_bytes(), &body].concat();
        let lines = physical_lines(&file);
        let (rows, readings) = read_by_chance(file)?;
        let report = readings.report();
        prop_assert_eq!(report.lines, lines);
        prop_assert_eq!(lines, 1 + report.blank + report.values + report.missing + report.bad_lines);
        prop_assert_eq!(report.held, report.values + report.missing);
        prop_assert_eq!(rows.len() as u64, report.held);
        prop_assert_eq!(report.bad_cells, 0);
        prop_assert_eq!(report.reasons.iter().map(|(_, count)| count).sum::<u64>(), report.bad_lines);
        prop_assert!(rows.iter().all(|row| row.value.is_none_or(f64::is_finite)));
        prop_assert!(rows.iter().all(|row| (0..END_MS).contains(&row.at_ms)));
        prop_assert!(rows.is_sorted_by(|one, next| one.line < next.line));
    }

    #[test]
    fn every_wide_line_and_cell_is_accounted_for(body in body()) {
        let file = [b"time,a,b,c\n", body.as_slice()].concat();
        let lines = physical_lines(&file);
        let (rows, readings) = read_by_chance(file)?;
        let report = readings.report();
        prop_assert_eq!(report.lines, lines);
        prop_assert_eq!(lines, 1 + report.blank + report.held + report.bad_lines);
        // A column without a single number is left out, and said; so is one whose heading is bad.
        let columns = 3 - report.texts.len() as u64 - report.bad_columns;
        prop_assert_eq!(columns * report.held, report.values + report.missing + report.bad_cells);
        prop_assert_eq!(rows.iter().filter(|row| row.value.is_some()).count() as u64, report.values);
        prop_assert!(rows.iter().all(|row| row.sensor.is_some() == row.value.is_some()));
        let with_rows = rows.chunk_by(|one, next| one.line == next.line).count();
        prop_assert_eq!(with_rows as u64, report.held, "each held line moves the clock");
        prop_assert_eq!(report.reasons.iter().map(|(_, count)| count).sum::<u64>(), report.bad());
    }

    #[test]
    fn quoting_changes_nothing(fields in prop::collection::vec("[^\r\n]{0,12}", 3)) {
        let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        let mut found = Fields::of(b',');
        let line = quoted.join(",");
        found.split(line.as_bytes(), 3).expect("good quotes");
        for (place, field) in fields.iter().enumerate() {
            prop_assert_eq!(found.get(line.as_bytes(), place), Some(field.as_bytes().trim_ascii()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_short_decimal_is_what_std_reads(text in "[+-]?[0-9]{0,17}[.]?[0-9]{0,17}") {
        if let Ok(expected) = text.parse::<f64>() {
            let read = numbers::read(text.as_bytes(), DecimalMark::Point).expect("we read what std reads");
            prop_assert_eq!(read.map(|(value, _)| value.to_bits()), Some(expected.to_bits()));
        }
    }

    #[test]
    fn a_usual_value_is_what_std_reads(whole in 0..100_000_u32, part in 0..10_000_u32, minus in any::<bool>()) {
        let text = format!("{}{whole}.{part:04}", if minus { "-" } else { "" });
        let expected: f64 = text.parse().expect("a number");
        let read = numbers::read(text.as_bytes(), DecimalMark::Point).expect("a number");
        prop_assert_eq!(read.map(|(value, _)| value.to_bits()), Some(expected.to_bits()));
    }

    #[test]
    fn a_value_is_what_std_reads(text in "[+-]?[0-9.]{0,8}(e[+-]?[0-9]{1,3})?|[a-z0-9+.-]{0,6}") {
        let expected = text.parse::<f64>().ok().filter(|value| value.is_finite());
        let value = parse_value(text.as_bytes()).ok().flatten();
        prop_assert_eq!(value.map(f64::to_bits), expected.map(f64::to_bits));
    }

    #[test]
    fn any_instant_is_read_back(at_ms in 0..END_MS, digits in 3..9_usize) {
        let time = jiff::Timestamp::from_millisecond(at_ms).expect("in range");
        prop_assert_eq!(iso8601(format!("{time:.digits$}").as_bytes()), Some(at_ms));
    }

    #[test]
    fn a_time_is_what_jiff_reads(
        date in "[012][0-9]{3}-[01][0-9]-[0-3][0-9]",
        clock in "[T ][012][0-9]:[0-6][0-9]:[0-6][0-9]([.][0-9]{1,9})?",
        zone in "Z|z|[+-][012][0-9]:[0-6][0-9]",
    ) {
        let text = format!("{date}{clock}{zone}");
        // The two differ on purpose in a leap second.
        prop_assume!(clock.get(7..9) != Some("60"));
        let read = text.parse::<jiff::Timestamp>().ok().map(|time| time.as_nanosecond().div_euclid(1_000_000));
        prop_assert_eq!(iso8601(text.as_bytes()).map(i128::from), read, "{}", text);
    }
}

/// The unit column of an export names the unit of every quantity, and values from a calibration stay out of rules.
#[test]
fn a_file_of_export_has_its_values_as_they_are() {
    use tilth_core::quantity::Quantity;
    for quantity in Quantity::ALL {
        let known = KnownSensor { id: "z/s".into(), quantity, unit: None };
        let options = ReadOptions { sensors: vec![known], ..ReadOptions::default() };
        let unit = quantity.unit();
        let text = format!(
            "time,sensor,value,unit,quality,before_calibration,boot,uptime_s\r\n\
             2026-06-01T00:00:00.250Z,z/s,7.5,{unit},good,3,1,9.25\r\n\
             ,z/s,7,{unit},good,,2,1\r\n\
             2026-06-01T00:00:01.000Z,z/s,8,{unit},calibrating,,1,10\r\n\
             2026-06-01T00:00:02.000Z,z/s,9,{unit},fault,,1,11\r\n"
        );
        let source = io::Cursor::new(text.into_bytes());
        let mut readings = Readings::from_source("e.csv", source, &options, || None::<File>).expect("a good header");
        let (rows, _) = read_all(&mut readings);
        let found: Vec<_> = rows.iter().map(|row| (row.value, row.quality)).collect();
        let good = |value| (Some(value), Quality::Good);
        assert_eq!(
            found,
            [good(7.5), (Some(8.0), Quality::Calibrating), good(9.0)],
            "{quantity:?} {:?}",
            readings.report()
        );
        assert_eq!((rows[0].at_ms, readings.report().bad_lines), (1_780_272_000_250, 1));
        assert!(readings.is_export());
    }
    assert!(!open("time,sensor,value,quality\n").expect("a good header").is_export());
}
