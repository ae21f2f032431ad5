use super::*;

#[test]
fn a_burst_then_a_steady_rate() {
    let mut buckets = Buckets::new(Rate { per_second: 2, burst: 3 });
    for (at_ms, expected) in [
        (0, Ok(())),
        (0, Ok(())),
        (0, Ok(())),
        (0, Err(500)),
        (499, Err(1)),
        (500, Ok(())),
        (500, Err(500)),
        // Time that goes back gives nothing.
        (0, Err(500)),
        (60_000, Ok(())),
        (60_000, Ok(())),
        (60_000, Ok(())),
        (60_000, Err(500)),
    ] {
        let taken = buckets.take("key", 1, Duration::from_millis(at_ms));
        assert_eq!(taken, expected.map_err(Duration::from_millis), "at {at_ms}");
    }
    assert_eq!(buckets.take("another key", 1, Duration::from_millis(60_000)), Ok(()));
}

#[test]
fn a_token_that_is_given_back_can_be_taken_again() {
    let mut buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
    buckets.give_back(&"key");
    for _ in 0..3 {
        assert_eq!(buckets.take("key", 1, Duration::ZERO), Ok(()));
        buckets.give_back(&"key");
        buckets.give_back(&"key");
    }
    assert_eq!(buckets.take("key", 1, Duration::ZERO), Ok(()));
    assert!(buckets.take("key", 1, Duration::ZERO).is_err());
}

#[test]
fn many_tokens_at_once() {
    let mut buckets = Buckets::new(Rate { per_second: 10, burst: 100 });
    for (at_ms, tokens, expected) in
        [(0, 100, Ok(())), (0, 0, Ok(())), (0, 50, Err(5_000)), (4_999, 50, Err(1)), (5_000, 50, Ok(()))]
    {
        let taken = buckets.take("key", tokens, Duration::from_millis(at_ms));
        assert_eq!(taken, expected.map_err(Duration::from_millis), "{tokens} at {at_ms}");
    }
}

#[test]
fn many_callers_take_bounded_room() {
    let mut buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
    for caller in 0..5 * MAX_BUCKETS {
        assert_eq!(buckets.take(caller, 1, Duration::from_secs(caller as u64 * 2)), Ok(()));
    }
    assert!(buckets.buckets.len() <= MAX_BUCKETS);
    for caller in 0..5 * MAX_BUCKETS {
        assert_eq!(buckets.take(caller, 1, Duration::from_secs(1_000_000)), Ok(()));
    }
    assert!(buckets.buckets.len() <= MAX_BUCKETS);
}
