//! Any CSV: of every recording what can be read is read, what cannot is counted and shown, and neither needs more memory for more of it.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use tilth_tests::agent::{Farm, NEW_YEAR_MS, Summary, peak_memory_kb};
use tilth_tests::random::Random;

const FARM: &str = r#"
[sensors."t/a"]
quantity = "count"
resolution = 0.001
range = [-1e6, 1e6]
max_rate = 1e6
[sensors."t/b"]
quantity = "count"

[rules.high]
sensor = "t/a"
above = 10
clear = 8
for = "90s"
cooldown = "0s"
"#;

/// What the summary must say of a recording.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    readings: u64,
    missing: u64,
    /// Older than what came before of the same sensor.
    late: u64,
    bad_lines: u64,
    bad_cells: u64,
    /// Taken, and ending before the last column.
    short_lines: u64,
}

impl Counts {
    fn of(summary: &Summary) -> Counts {
        let Summary { readings, missing, late, bad_lines, bad_cells, short_lines, .. } = *summary;
        Counts { readings, missing, late, bad_lines, bad_cells, short_lines }
    }
}

/// A recording, what is counted, and how each of its bad lines is shown.
struct Case {
    name: &'static str,
    recording: Vec<u8>,
    counts: Counts,
    shown: &'static [&'static str],
}

/// In texts, `@` stands for the first digits of milliseconds since 1970: `@01000` is a second after the year began.
fn case(name: &'static str, recording: &str, counts: Counts, shown: &'static [&'static str]) -> Case {
    Case { name, recording: at_new_year(recording).into(), counts, shown }
}

fn at_new_year(text: &str) -> String {
    text.replace('@', "17672256")
}

fn cases() -> Vec<Case> {
    let long_line = format!("time,sensor,value\n@01000,t/a,{}\n@02000,t/a,1\n", "9".repeat(3 << 20));
    vec![
        case(
            "byte order mark, line ends of two bytes, none at the end",
            "\u{feff}time,sensor,value\r\n2026-01-01T00:00:00Z,t/a,1\r\n\r\n2026-01-01T01:01:00+01:00,t/b,2",
            Counts { readings: 2, ..Counts::default() },
            &[],
        ),
        case(
            "quotes, blanks around fields, other columns in another order",
            "note,Value, TIME ,sensor\n\"a, \"\"b\"\"\",\"1.5\",@01000,\"t/a\"\nx, 2 , @02000 , t/a \n",
            Counts { readings: 2, ..Counts::default() },
            &[],
        ),
        case(
            "ragged lines",
            "time,sensor,value\n@01000,t/a\n@02000,t/a,1,extra,more\n@03000\n@04000,t/a,2,,\n",
            Counts { readings: 1, bad_lines: 3, ..Counts::default() },
            &[
                "line 2: too few columns: @01000,t/a",
                "line 3: 5 cells where the header has 3; ",
                "line 4: too few columns: @03000",
            ],
        ),
        case(
            "missing values",
            "time,sensor,value\n@01000,t/a,\n@02000,t/a,NaN\n@03000,t/a,nan\n@04000,t/a,5\n",
            Counts { readings: 1, missing: 3, ..Counts::default() },
            &[],
        ),
        case(
            "numbers that are seconds, and commas in numbers",
            "time,sensor,value\n1767225601,t/a,1\n@01000,t/a,7,4\n@02000,t/a,1\n",
            Counts { readings: 1, bad_lines: 2, ..Counts::default() },
            &[
                "line 2: times look like seconds; expected milliseconds since 1970: 1767225601,t/a,1",
                "line 3: 4 cells where the header has 3; a decimal comma? write 7.4, or quote the cell: @01000,t/a,7,4",
            ],
        ),
        case(
            "values that are none",
            "time,sensor,value\n@01000,t/a,x\n@02000,t/a,inf\n@03000,,1\n@06000,t/a,1\n",
            Counts { readings: 1, bad_lines: 3, ..Counts::default() },
            &["line 2: ", "line 3: value is infinite", "line 4: sensor has no name"],
        ),
        case(
            "times that are none",
            "time,sensor,value\nsoon,t/a,1\n2026-01-01 00:00:00,t/a,1\n-5,t/a,1\n@06000,t/a,1\n",
            Counts { readings: 1, bad_lines: 3, ..Counts::default() },
            &["line 2: ", "line 3: ", "line 4: "],
        ),
        case(
            "an open quote hurts its line alone",
            "time,sensor,value\n@01000,\"t/a,1\n@02000,t/a,1\n@03000,\"t/a\"x,1\n",
            Counts { readings: 1, bad_lines: 2, ..Counts::default() },
            &["line 2: quoted field does not end on its line", "line 4: text after a closing quote"],
        ),
        Case {
            name: "bytes that are no text",
            recording:
                b"time,sensor,value\n\xff\xfe\x00\x01,\x1b[31m,\x07\n1767225601000,t/a\xc3\x28,1\n1767225602000,t/a,1\n"
                    .to_vec(),
            counts: Counts { readings: 1, bad_lines: 2, ..Counts::default() },
            shown: &["line 2: ", "line 3: sensor name is not UTF-8 text"],
        },
        case(
            "a line that never ends",
            &long_line,
            Counts { readings: 1, bad_lines: 1, ..Counts::default() },
            &["line 2: line longer than 1 MiB: @01000,t/a,999"],
        ),
        case(
            "out of order",
            "time,sensor,value\n@05000,t/a,1\n@01000,t/a,2\n@01000,t/b,3\n@06000,t/a,4\n@05500,t/a,5\n",
            Counts { readings: 5, late: 2, ..Counts::default() },
            &[],
        ),
        case(
            "the same twice, and two at one instant",
            "time,sensor,value\n@01000,t/a,1\n@01000,t/a,1\n@01000,t/a,2\n",
            Counts { readings: 3, ..Counts::default() },
            &[],
        ),
        thousand_columns(),
    ]
}

/// A thousand columns; one line is short, one longer than the header, and one has a cell that is no number.
fn thousand_columns() -> Case {
    let mut recording = "time,t/a".to_owned();
    for column in 1..1000 {
        write!(recording, ",t/c{column}").unwrap();
    }
    for (minute, cells) in [(1, 1000), (2, 400), (3, 1003), (4, 1000)] {
        write!(recording, "\n{}", NEW_YEAR_MS + minute * 60_000).unwrap();
        for cell in 0..cells {
            let bad = minute == 4 && cell == 499;
            recording.push_str(if bad { ",oops" } else { ",1.25" });
        }
    }
    let counts =
        Counts { readings: 1000 + 400 + 999, missing: 600, bad_lines: 1, bad_cells: 1, late: 0, short_lines: 1 };
    let shown = &["line 4: 1004 cells where the header has 1001; ", "line 5, column 501: "];
    case("a thousand columns", &recording, counts, shown)
}

#[test]
fn what_can_be_read_is_read_and_the_rest_is_counted_and_shown() {
    let farm = Farm::new("any-csv", FARM);
    for Case { name, recording, counts, shown } in cases() {
        let run = farm.replay(&recording, &["--json"]);
        assert_eq!(run.code, Some(0), "{name}: {}", run.err);
        let summary = run.summary();
        assert_eq!(Counts::of(&summary), counts, "{name}: {}", run.err);
        let reasons: u64 = summary.bad.iter().map(|bad| bad.count).sum();
        assert_eq!(reasons, counts.bad_lines + counts.bad_cells, "{name}: {}", run.err);
        assert_eq!(summary.bad_shown.len(), shown.len(), "{name}: {}", run.err);
        for (found, line) in summary.bad_shown.iter().zip(shown) {
            assert!(found.starts_with(&at_new_year(line)), "{name}: {found} is not {line}");
        }
        let for_people = farm.replay(&recording, &[]);
        assert_eq!(for_people.code, Some(0), "{name}: {}", for_people.err);
        assert!(summary.bad_shown.iter().all(|line| for_people.err.contains(line)), "{name}: {}", for_people.err);
        assert!(!for_people.err.contains(['\x1b', '\x07']), "{name}: upsets a terminal: {:?}", for_people.err);
    }
}

#[test]
fn what_is_no_recording_fails_and_says_why() {
    let farm = Farm::new("no-csv", FARM);
    let expected = "expected a header with the columns time, sensor and value";
    for (recording, said) in [
        ("", &["found nothing", expected][..]),
        ("\n\n", &["found nothing", expected]),
        ("when,what\n1,2\n", &["found \"when,what\"", expected]),
        ("time,sensor,value\n", &["no readings"]),
        ("time,sensor,value\nsoon,t/a,1\n", &["no readings", "line 2: "]),
    ] {
        let run = farm.replay(recording, &["--json"]);
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{recording:?}: {}", run.err);
        assert!(said.iter().all(|words| run.err.contains(words)), "{recording:?}: {}", run.err);
    }
    let run = farm.replay_file(Path::new("there-is-no-such-file.csv"), &[]);
    assert!(run.code == Some(1) && run.err.contains("there-is-no-such-file.csv"), "{}", run.err);
}

#[test]
fn a_packed_recording_that_breaks_off_is_read_until_there() {
    let farm = Farm::new("broken-gzip", FARM);
    let mut recording = "time,sensor,value\n".to_owned();
    for second in 0..20_000 {
        writeln!(recording, "{},t/a,{}", NEW_YEAR_MS + second * 1000, second % 7).unwrap();
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(recording.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let run = farm.replay(&packed[..packed.len() / 2], &["--json"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    let summary = run.summary();
    assert!(summary.readings > 1000 && summary.bad_lines == 0, "{}", run.err);
    assert!(summary.failure.is_some_and(|failure| failure.contains("cannot be read further")), "{}", run.err);
}

/// Lines that are no readings, each bad in its own way.
const GARBAGE: [&str; 6] = ["%PDF-1.4", "\"", "1767225601000,t/a", "#,#,#", "2026-13-45T99:99:99Z,t/a,1", "1e3,t/a,1"];

#[test]
fn garbage_between_the_lines_changes_no_transition() {
    let random = &mut Random::new(7);
    let (mut clean, mut littered, mut bad) = ("time,sensor,value\n".to_owned(), "time,sensor,value\n".to_owned(), 0);
    for minute in 0..3000 {
        let line = format!("{},t/a,{}\n", NEW_YEAR_MS + minute * 60_000, 9 + random.below(4));
        clean.push_str(&line);
        littered.push_str(&line);
        if random.one_in(3) {
            bad += 1;
            littered.push_str(GARBAGE[random.below(6) as usize]);
            littered.push('\n');
        }
    }
    let farm = Farm::new("garbage", FARM);
    let [clean, littered] = [clean, littered].map(|recording| farm.replay(recording, &["--json", "--digest"]));
    assert!(clean.out.lines().count() > 100, "{}", clean.out);
    assert!(clean.out == littered.out, "other transitions");
    let summary = littered.summary();
    assert_eq!((summary.bad_lines, summary.bad_shown.len()), (bad, 10), "{}", littered.err);
    assert_eq!(summary.bad.iter().map(|bad| bad.count).sum::<u64>(), bad, "{}", littered.err);
}

/// Feeds a recording of so many rounds through a pipe; returns the most memory that the program held.
fn peak_kb(farm: &Farm, rounds: i64) -> u64 {
    let mut child = farm
        .command(Path::new("-"), &["--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"time,sensor,value\n").unwrap();
    let mut block = String::new();
    for round in 0..rounds {
        block.clear();
        // Readings that alert, unknown sensors, and garbage; no line is there twice.
        for row in round * 500..(round + 1) * 500 {
            let at = NEW_YEAR_MS + row * 1000;
            writeln!(block, "{at},t/a,{}\n{at},u/c{},{row}\ngarbage {row}", row / 7 % 20, row % 300).unwrap();
        }
        stdin.write_all(block.as_bytes()).unwrap();
    }
    // The rest that the pipe still holds is less than a round.
    let peak = peak_memory_kb(child.id()).unwrap();
    drop(stdin);
    assert!(child.wait_with_output().unwrap().status.success());
    peak
}

/// `tests/evidence replay` does the same with half a gigabyte.
#[test]
fn more_of_it_takes_no_more_memory() {
    let farm = Farm::new("flat-memory", FARM);
    let (short, long) = thread::scope(|scope| {
        let short = scope.spawn(|| peak_kb(&farm, 20));
        (short.join().unwrap(), peak_kb(&farm, 1000))
    });
    println!("{short} KB for 0.6 MB, {long} KB for 30 MB");
    assert!(long < short + 3000, "{short} KB for a short recording, {long} KB for one 50 times as long");
}
