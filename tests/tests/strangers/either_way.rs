//! Dates and numbers of other tools' files that could be read in two ways.

use tilth_tests::agent::Farm;

const TENT: &str = "[sensors.'tent/temp']\nquantity = 'temperature'\n[sensors.'tent/co2']\nquantity = 'co2'\n\
                    [sensors.'tent/light']\nquantity = 'light'\n";

/// AM and PM are of those who write the month first, also where the time of day has a column of its own.
#[test]
fn a_half_of_the_day_beside_a_date_puts_the_month_first() {
    let farm = Farm::new("halves", TENT);
    let new_york = &["--tz", "America/New_York"][..];
    let (date_first, time_first) = (
        &["--tz", "America/New_York", "--time-column", "Date", "--time-column", "Time"][..],
        &["--tz", "America/New_York", "--time-column", "Time", "--time-column", "Date"][..],
    );
    for (what, recording, options) in [
        ("one column", "Date,tent/temp\n3/1/2026 12:00 AM,20\n3/1/2026 12:10 AM,21\n", new_york),
        ("two columns", "Date,Time,tent/temp\n3/1/2026,12:00 AM,20\n3/1/2026,12:10 AM,21\n", new_york),
        ("tabs", "Date\tTime\ttent/temp\n3/1/2026\t12:00:00 AM\t20\n3/1/2026\t12:10:00 AM\t21\n", new_york),
        ("in one word", "Date;Time;tent/temp\n3/1/2026;12:00AM;20\n3/1/2026;12:10AM;21\n", new_york),
        ("with points", "Date,Time,tent/temp\n3/1/2026,12:00 a.m.,20\n3/1/2026,12:10 a.m.,21\n", new_york),
        ("the time first", "Time,Date,tent/temp\n12:00 AM,3/1/2026,20\n12:10 AM,3/1/2026,21\n", new_york),
        ("others between them", "Date,n,Time,tent/temp\n3/1/2026,1,12:00 AM,20\n3/1/2026,2,12:10 AM,21\n", date_first),
        (
            "named, the time first",
            "Date,n,Time,tent/temp\n3/1/2026,1,12:00 AM,20\n3/1/2026,2,12:10 AM,21\n",
            time_first,
        ),
        ("with a row number", "#,Date,Time,tent/temp\n1,03-01-26,12:00 AM,20\n2,03-01-26,12:10 AM,21\n", new_york),
    ] {
        let run = farm.replay(recording, options);
        assert_eq!(run.code, Some(0), "{what}: {}", run.err);
        assert!(run.err.contains("2026-03-01 05:00:00 UTC to 2026-03-01 05:10:00 UTC"), "{what}: {}", run.err);
        assert!(run.err.contains("--date-order dmy"), "{what}: that is said: {}", run.err);
    }
    for (recording, options) in [
        ("Date,Time,tent/temp\n3/1/2026,00:00,20\n3/1/2026,00:10,21\n", &["--tz", "UTC"][..]),
        ("Date,Time,tent/temp\n3/1/2026,12:00 AM,20\n", &["--tz", "UTC", "--date-order", "dmy"]),
    ] {
        let run = farm.replay(recording, options);
        assert!(run.err.contains("2026-01-03 00:00:00 UTC"), "{recording}: {}", run.err);
    }
}

/// Points and commas part thousands as well as decimals: where nothing in a file tells which, no number is taken for another
/// unsaid.
#[test]
fn marks_before_three_digits_are_not_taken_for_decimals_unsaid() {
    let farm = Farm::new("thousands", TENT);
    let file = |separator: char, cells: [&str; 4]| {
        let rows = (0..).zip(cells).map(|(n, cell)| format!("01.03.2026 00:0{n}{separator}{cell}\n"));
        format!("Zeit{separator}tent/co2\n{}", rows.collect::<String>())
    };
    let replay = |recording: &str| {
        let run = farm.replay(recording, &["--tz", "UTC", "--json"]);
        assert_eq!(run.code, Some(0), "{recording}: {}", run.err);
        (run.summary(), run.err)
    };
    for (separator, cells) in [
        (';', ["1.012", "1.013", "998", "997"]),
        (';', ["1,012", "1,013", "998", "997"]),
        ('\t', ["998", "997", "1.012", "1.013"]),
        ('\t', ["998", "997", "1,012 ppm", "1,013 ppm"]),
        ('|', ["998", "NA", "1.012", "12.013"]),
        (',', ["998", "997", "1.012", "1.013"]),
    ] {
        let (summary, err) = replay(&file(separator, cells));
        assert_eq!(summary.bad_cells, 2, "{cells:?}: {err}");
        assert!(err.contains("may part thousands or decimals"), "{cells:?}: {err}");
    }
    // A number of five hundred lines further down.
    let mut late = file(';', ["998", "997", "996", "995"]);
    for minute in 10..1000 {
        late += &format!(
            "01.03.2026 {:02}:{:02};{}\n",
            minute / 60,
            minute % 60,
            if minute < 900 { "996" } else { "1.002" }
        );
    }
    assert_eq!(replay(&late).0.bad_cells, 100, "beyond what is looked at first");
    // Each name of a long file stands in one column.
    let long = "Zeit;entity_id;state\n01.03.2026 00:00;tent/co2;998\n01.03.2026 00:01;tent/co2;1.012\n";
    let run = farm.replay(long, &["--tz", "UTC"]);
    assert!(run.err.contains("may part thousands or decimals"), "{}", run.err);
    // If all numbers look alike they are decimals, which is said.
    let (summary, err) = replay(&file(';', ["1.234", "1.250", "2.125", "3.000"]));
    assert_eq!((summary.bad_cells, summary.readings), (0, 4), "{err}");
    assert!(err.contains("\\\"1.234\\\" under \\\"tent/co2\\\" is taken as a number with three decimals"), "{err}");
    // One number tells it for all.
    for cells in
        [["998", "1.012", "1.012,5", "997"], ["998", "1.012", "21,5", "997"], ["998", "1.012", "1013.5", "997"]]
    {
        let (summary, err) = replay(&file(';', cells));
        assert_eq!((summary.bad_cells, summary.readings), (0, 4), "{cells:?}: {err}");
        assert!(!err.contains("three decimals"), "{cells:?}: {err}");
    }
    // A recording of our own has decimal points.
    let own = "time,tent/co2\n2026-03-01T00:00:00Z,998\n2026-03-01T00:01:00Z,1.012\n";
    assert_eq!(farm.replay(own, &["--json"]).summary().bad_cells, 0);
}
