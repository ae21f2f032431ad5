use super::*;

#[test]
fn days_until_something_goes() {
    let rates = Rates { raw: 60.0, minutes: 30.0, quarters: 5.0, events: 5.0 };
    assert_eq!(
        forecast(1000, 500, &rates),
        Forecast { raw_goes: Some(5.0), minutes_go: Some(25.0), loss: Some(100.0) }
    );
    assert_eq!(forecast(1000, 2000, &rates).raw_goes, Some(0.0));
    let nothing = Forecast { raw_goes: None, minutes_go: None, loss: None };
    assert_eq!(forecast(1000, 500, &Rates::default()), nothing);
}

#[test]
fn what_happens_at_a_start_is_not_taken_for_the_rate_of_a_day() {
    let events = |is_full, to| Newest { is_full, bytes: 1000.0, from: Uptime(0), to: Uptime(to) };
    let half_an_hour = LEAST_SPAN.0;
    assert_eq!(events(false, 5).a_day(Uptime(5)), OVERHEAD * 1000.0 * 48.0);
    assert_eq!(events(false, 5).a_day(Uptime(2 * half_an_hour)), OVERHEAD * 1000.0 * 24.0);
    assert_eq!(events(true, half_an_hour / 2).a_day(Uptime(half_an_hour / 2)), OVERHEAD * 1000.0 * 96.0);
    let nothing = Newest { is_full: false, bytes: 0.0, from: Uptime(i64::MAX), to: Uptime(i64::MIN) };
    assert_eq!((nothing.span(Uptime(5)), nothing.a_day(Uptime(5))), (Span::ZERO, 0.0));
}

#[test]
fn bytes_a_day_are_of_the_last_day() {
    let (hour, mut meter) = (Span::from_mins(60), Meter::default());
    meter.note(Uptime(0), 1_000_000);
    assert_eq!(meter.a_day(), None);
    let mut now = Uptime(0);
    for n in 1..=48 {
        now = now + hour;
        // A busy first day, a quiet second.
        meter.note(now, 1_000_000 + if n <= 24 { 500 * n } else { 500 * 24 + 10 * (n - 24) });
    }
    assert_eq!(meter.a_day(), Some(240.0));
}
