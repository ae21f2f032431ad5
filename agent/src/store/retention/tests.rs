use super::*;

const POLICY: Policy =
    Policy { keep_days: 7, has_hub: true, most_bytes: 1000, least_free_bytes: 50, events_bytes: 100 };

/// Every row that can be deleted for room, with so many bytes used.
fn plenty(used_bytes: u64) -> Usage {
    Usage { used_bytes, free_bytes: Some(1 << 30), possible: FOR_ROOM.to_vec(), ..Usage::default() }
}

#[test]
fn at_the_cap_things_go_in_order_until_nothing_is_left() {
    let mut usage = plenty(1001);
    for step in FOR_ROOM {
        assert_eq!(next_step(&POLICY, &usage), step);
        usage.possible.retain(|possible| *possible != step);
    }
    assert_eq!(next_step(&POLICY, &usage), Step::Rest);
}

#[test]
fn steps() {
    let table: [(&str, Usage, Step); 7] = [
        ("room enough", plenty(1000), Step::Rest),
        (
            "outdated rows go with room enough",
            Usage { outdated: Some(RowKind::Minutes), ..plenty(5) },
            Step::Outdated(RowKind::Minutes),
        ),
        ("events over their share collapse first", Usage { can_collapse: true, ..plenty(2000) }, Step::Collapse),
        ("a disk nearly full", Usage { free_bytes: Some(49), ..plenty(5) }, Step::Confirmed(RowKind::Raw)),
        (
            "a disk nearly full, and empty pages to use",
            Usage { free_bytes: Some(49), spare_bytes: SPARE_BYTES, ..plenty(5) },
            Step::Rest,
        ),
        (
            "a disk nearly full costs no events and no diagnostics",
            Usage {
                free_bytes: Some(49),
                possible: vec![Step::Lose(RowKind::Diagnostics), Step::Lose(RowKind::Events)],
                ..Usage::default()
            },
            Step::Rest,
        ),
        ("a disk that cannot be measured", Usage { free_bytes: None, ..plenty(5) }, Step::Rest),
    ];
    for (what, usage, step) in table {
        assert_eq!(next_step(&POLICY, &usage), step, "{what}");
    }
}
