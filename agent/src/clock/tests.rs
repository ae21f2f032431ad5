use super::*;
use std::time::Instant;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn sources_are_named_as_they_are_written() {
    use ClockMode::{EventTime, Scaled, System};
    for (text, source) in [("system", System), ("x60", Scaled(60)), ("input", EventTime)] {
        assert_eq!(text.parse(), Ok(source));
        assert_eq!(source.to_string(), text);
    }
    for text in ["", "x", "x0", "x-1", "x1.5", "x1000000", "60", "System"] {
        assert!(text.parse::<ClockMode>().is_err(), "{text:?}");
    }
}

#[test]
fn uptime_is_the_machines_and_goes_on_over_a_restart() {
    let proc: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    let first = Clock::new(ClockMode::System);
    assert!((first.uptime().0 as f64 - proc * 1000.0).abs() < 500.0);
    let scaled = Clock::new(ClockMode::Scaled(60)).uptime();
    let again = Clock::new(ClockMode::Scaled(60));
    assert!(again.uptime() >= scaled && (again.uptime() - scaled) < Span::from_secs(60));
    let ids = [first, again].map(|clock| clock.boot_id().unwrap());
    assert_ne!(ids[0], ids[1], "a clock that counts otherwise begins another boot");
}

#[test]
fn the_time_of_day_is_there_once_it_is_trusted() {
    let clock = Clock::new(ClockMode::System);
    let was_trusted = clock.now().1.is_some();
    assert_eq!(was_trusted, synchronised().is_some());
    clock.trust(Anchor { offset_ms: 1_000_000, trust: Trust::Stated, error: None });
    let (now, wall) = clock.now();
    if !was_trusted {
        assert_eq!(wall, Some(WallTime(now.0 + 1_000_000)));
        assert_eq!(clock.uptime_at(WallTime(999_999)), Some(Uptime(-1)));
    }
    assert_eq!(clock.uptime_at(wall.unwrap()).map(|at| (at - now).0.abs() < 50), Some(true));
}

#[test]
fn a_scaled_clock_runs_as_fast_in_both_times() {
    block_on(async {
        let clock = Clock::new(ClockMode::Scaled(1000));
        let (start, wall) = clock.now();
        assert!((wall.unwrap().0 - machine_wall_ms()).abs() < 5000);
        let before = Instant::now();
        clock.sleep_until(start + Span::from_secs(100)).await;
        let took = before.elapsed();
        assert!((95..2000).contains(&took.as_millis()), "{took:?}");
        let (later, later_wall) = clock.now();
        assert!(later >= start + Span::from_secs(100));
        assert_eq!(later_wall.unwrap() - wall.unwrap(), later - start);
    });
}

#[test]
fn an_event_time_clock_is_where_the_greatest_stamp_is() {
    block_on(async {
        let clock = Clock::new(ClockMode::EventTime);
        assert_eq!(clock.now(), (Uptime(0), None));
        clock.observe(WallTime(5000));
        clock.observe(WallTime(4000));
        assert_eq!(clock.now(), (Uptime(5000), Some(WallTime(5000))));
        clock.started().await;
        clock.sleep_until(Uptime(5000)).await;
        let other = clock.clone();
        let wait = tokio::time::timeout(Duration::from_secs(5), clock.sleep_until(Uptime(6000)));
        let (reached, ()) = tokio::join!(wait, async { other.observe(WallTime(6001)) });
        reached.unwrap();
        assert_eq!(clock.uptime_at(WallTime(1)), Some(Uptime(1)));
    });
}

#[test]
fn a_sleep_ends_when_it_should() {
    block_on(async {
        let clock = Clock::new(ClockMode::System);
        let due = clock.uptime() + Span(30);
        clock.sleep_until(due).await;
        assert!(clock.uptime() >= due && clock.uptime() < due + Span(1000));
        clock.sleep_until(due - Span(1000)).await;
    });
}
