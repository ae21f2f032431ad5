use super::*;

#[test]
fn a_time_is_shown_by_the_farms_clock_and_what_is_none_as_it_is() {
    let asked = |timezone: Option<&str>| Answer::<()> {
        at: Some("2026-03-01T12:00:00.5Z".to_owned()),
        timezone: timezone.map(str::to_owned),
        trouble: None,
        rows: Vec::new(),
    };
    let (utc, here) = (Times::of(&asked(None)), Times::of(&asked(Some("Asia/Kolkata"))));
    let history = "history from 2026-03-01T06:30:00Z to 2026-03-01T06:31:00.25Z, at 3.5 %: none";
    for (times, text, shown) in [
        (&utc, "2026-03-01T06:30:00.25Z", "06:30 UTC"),
        (&here, "2026-03-01T06:30:00.25Z", "12:00"),
        (&here, "2026-02-28T06:30:00Z", "2026-02-28 12:00"),
        (&here, "soon", "soon"),
    ] {
        assert_eq!(times.minute(Some(&text.to_owned())).as_deref(), Some(shown), "{text}");
    }
    assert_eq!(here.second("2026-03-01T06:30:00.25Z"), "2026-03-01 12:00:00");
    assert_eq!(here.within(history), "history from 2026-03-01 12:00:00 to 2026-03-01 12:01:00, at 3.5 %: none");
}
