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
