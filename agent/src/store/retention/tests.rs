use super::*;

const POLICY: Policy =
    Policy { keep_days: 7, has_hub: true, most_bytes: 1000, least_free_bytes: 50, events_bytes: 100 };

/// Everything that could be given up, with so many bytes used.
fn plenty(used_bytes: u64) -> Usage {
    Usage {
        used_bytes,
        free_bytes: Some(1 << 30),
        can_collapse: true,
        confirmed_raw: true,
        raw: true,
        confirmed_minutes: true,
        confirmed_quarters: true,
        can_thin: true,
        diagnostics: true,
        quarters: true,
        closed_events: true,
        ..Usage::default()
    }
}

#[test]
fn at_the_cap_things_go_in_order_until_nothing_is_left() {
    let mut usage = plenty(1001);
    type Gone = fn(&mut Usage);
    let order: [(Step, Gone); 8] = [
        (Step::ConfirmedRaw, |usage| usage.confirmed_raw = false),
        (Step::Raw, |usage| usage.raw = false),
        (Step::ConfirmedMinutes, |usage| usage.confirmed_minutes = false),
        (Step::ConfirmedQuarters, |usage| usage.confirmed_quarters = false),
        (Step::Thin, |usage| usage.can_thin = false),
        (Step::LoseDiagnostics, |usage| usage.diagnostics = false),
        (Step::LoseQuarters, |usage| usage.quarters = false),
        (Step::LoseEvents, |usage| usage.closed_events = false),
    ];
    for (step, gone) in order {
        assert_eq!(next_step(&POLICY, &usage), step);
        gone(&mut usage);
    }
    assert_eq!(next_step(&POLICY, &usage), Step::Rest);
}

#[test]
fn steps() {
    let table: [(&str, Usage, Step); 8] = [
        ("room enough", plenty(1000), Step::Rest),
        (
            "outdated rows go with room enough",
            Usage { outdated: vec![RowKind::Minutes], ..plenty(5) },
            Step::Outdated(RowKind::Minutes),
        ),
        ("events over their share collapse first", Usage { events_bytes: 101, ..plenty(2000) }, Step::Collapse),
        (
            "events over their share with no repeats stay",
            Usage { events_bytes: 101, can_collapse: false, ..plenty(5) },
            Step::Rest,
        ),
        ("a disk nearly full", Usage { free_bytes: Some(49), ..plenty(5) }, Step::ConfirmedRaw),
        (
            "a disk nearly full, and empty pages to use",
            Usage { free_bytes: Some(49), spare_bytes: SPARE_BYTES, ..plenty(5) },
            Step::Rest,
        ),
        (
            "a disk nearly full costs no events and no diagnostics",
            Usage { free_bytes: Some(49), closed_events: true, diagnostics: true, ..Usage::default() },
            Step::Rest,
        ),
        ("a disk nobody can measure", Usage { free_bytes: None, ..plenty(5) }, Step::Rest),
    ];
    for (what, usage, step) in table {
        assert_eq!(next_step(&POLICY, &usage), step, "{what}");
    }
}
