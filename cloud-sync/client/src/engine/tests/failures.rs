//! What goes wrong, as tables: what the engine does about it and when it tries again.

use tilth_core::time::Span;
use tilth_protocol::{Batch, ErrorCode, Lane, RejectedRow};

use super::bench::*;
use crate::engine::StateName::{BackingOff, Conflict, Fetching, Offline, Rejected, Sending};
use crate::engine::*;
use crate::transport::{Exchange, TransportErrorKind};

fn waiting(exchange: Exchange, wait: Span) -> Exchange {
    let outcome = exchange.outcome.map(|mut reply| {
        reply.retry_after = Some(wait);
        reply
    });
    Exchange { outcome, ..exchange }
}

#[test]
fn every_failure_has_its_state_and_its_wait() {
    const HOUR: i64 = 3_600_000;
    for (what, exchange, state, least, most) in [
        ("401", refusal(ErrorCode::UnknownKey), Rejected, 901_000, 902_000),
        ("403", refusal(ErrorCode::Forbidden), Rejected, 901_000, 902_000),
        ("403 of a proxy", reply(403, "<html>"), Rejected, 901_000, 902_000),
        ("404", refusal(ErrorCode::NotFound), BackingOff, 1000, 2000),
        ("409", refusal(ErrorCode::StreamConflict), Conflict, 30_000, 30_000),
        ("409 of a proxy", reply(409, ""), BackingOff, 1000, 2000),
        ("413", refusal(ErrorCode::TooLarge), Fetching, 30_000, 30_000),
        ("400", refusal(ErrorCode::BadRequest), Sending, 75_000, 75_000),
        ("429", refusal(ErrorCode::TooMany), BackingOff, 1000, 2000),
        ("429, 20 s", waiting(refusal(ErrorCode::TooMany), Span(20_000)), BackingOff, 21_000, 22_000),
        ("429, a year", waiting(refusal(ErrorCode::TooMany), Span(8760 * HOUR)), BackingOff, HOUR + 1000, HOUR + 2000),
        ("429, in the past", waiting(refusal(ErrorCode::TooMany), Span(-5)), BackingOff, 1000, 2000),
        ("500", refusal(ErrorCode::Internal), BackingOff, 1000, 2000),
        ("503, 60 s", waiting(reply(503, "later"), Span(60_000)), BackingOff, 61_000, 62_000),
        ("302", reply(302, ""), BackingOff, 1000, 2000),
        ("200, no JSON", reply(200, "fine"), BackingOff, 1000, 2000),
        ("200, a captive portal", reply(200, "<!DOCTYPE html><html>"), BackingOff, 1000, 2000),
        ("200, half an answer", reply(200, r#"{"epoch":"0000000000000"#), BackingOff, 1000, 2000),
        ("200, wrong types", reply(200, r#"{"epoch":7,"confirmed":[],"now":0}"#), BackingOff, 1000, 2000),
        ("refused connection", broken(TransportErrorKind::NoConnection), Offline, 1000, 2000),
        ("certificate", broken(TransportErrorKind::Untrusted), BackingOff, 1000, 2000),
        ("time-out", broken(TransportErrorKind::TimedOut), BackingOff, 1000, 2000),
        ("cut off", broken(TransportErrorKind::CutOff), BackingOff, 1000, 2000),
        ("too long", broken(TransportErrorKind::TooLong), BackingOff, 1000, 2000),
        ("garbled", broken(TransportErrorKind::Garbled), BackingOff, 1000, 2000),
    ] {
        let mut bench = Bench::new(&outbox(10, 0));
        let (request, _) = bench.until_sent();
        bench.answered(request, exchange);
        assert_eq!(bench.state(), state, "{what}");
        let until = bench.engine.state.until().unwrap() - bench.now;
        assert!((least..=most).contains(&until.0), "{what}: {until}");
        assert!(
            !bench.did.iter().any(|effect| matches!(effect, Effect::Store(StoreCommand::Confirm { .. }))),
            "{what}"
        );
        if matches!(state, BackingOff | Rejected | Offline) {
            // After every failure the same rows come again, and are accepted.
            let (mut request, mut batch) = bench.until_sent();
            if batch.lanes.events.is_none() {
                bench.answered(request, answer(EPOCH, &[], Vec::new()));
                (request, batch) = bench.until_sent();
            }
            assert_eq!(batch.lanes.events.map(|extent| (extent.first, extent.last)), Some((1, 10)), "{what}");
            bench.answered(request, answer(EPOCH, &[(Lane::Events, 10)], Vec::new()));
            assert!(bench.did.contains(&confirm(Lane::Events, 10)), "{what}");
        }
    }
}

#[test]
fn waits_grow_to_their_bound_and_start_over_after_a_success() {
    for (exchange, bound) in
        [(refusal(ErrorCode::Internal), 300_000), (broken(TransportErrorKind::NoConnection), 60_000)]
    {
        let mut bench = Bench::new(&outbox(10, 0));
        let mut longest = 0;
        for _ in 0..20 {
            let (request, _) = bench.until_sent();
            bench.answered(request, exchange.clone());
            longest = longest.max((bench.engine.state.until().unwrap() - bench.now).0);
        }
        assert!(longest <= bound && longest > bound / 2, "{longest}");
        let (request, _) = bench.until_sent();
        bench.answered(request, answer(EPOCH, &[(Lane::Events, 10)], Vec::new()));
        bench.waiting(Lane::Events, 11);
        let (request, _) = bench.until_sent();
        bench.answered(request, exchange);
        assert!((bench.engine.state.until().unwrap() - bench.now).0 <= 2000);
    }
}

/// A bench whose ten events the hub has confirmed.
fn ten_confirmed() -> Bench {
    let mut bench = Bench::new(&outbox(10, 0));
    let (request, _) = bench.until_sent();
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 10)], Vec::new()));
    bench
}

/// The first and last event of a batch.
fn events_of(batch: Batch) -> Option<(u64, u64)> {
    batch.lanes.events.map(|events| (events.first, events.last))
}

#[test]
fn a_late_confirmation_is_ignored_and_its_batch_goes_again() {
    let mut bench = ten_confirmed();
    bench.waiting(Lane::Events, 20);
    let (request, _) = bench.until_sent();
    bench.take();
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 5)], Vec::new()));
    let status = bench.engine.status();
    assert_eq!((status.counts.strange_confirmations, status.confirmed[&Lane::Events]), (1, 10));
    assert_eq!((bench.take(), bench.state()), (Vec::new(), BackingOff));
    let (_, batch) = bench.until_sent();
    assert_eq!(events_of(batch), Some((11, 20)));
}

/// A database of which a part was lost, or which is an older copy, gives out numbers again under which the hub has other rows.
/// What was never sent is not confirmed, whatever the hub states, so that it goes to the hub, which compares it.
#[test]
fn what_was_committed_while_the_answer_was_on_its_way_is_not_confirmed_by_it() {
    let mut bench = ten_confirmed();
    bench.waiting(Lane::Windows, 3);
    let (request, _) = bench.until_sent();
    bench.waiting(Lane::Events, 20);
    bench.take();
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 15), (Lane::Windows, 3)], Vec::new()));
    assert_eq!(bench.engine.status().confirmed[&Lane::Events], 10);
    assert_eq!(bench.take(), [confirm(Lane::Windows, 3)]);
    let (_, batch) = bench.until_sent();
    assert_eq!(events_of(batch), Some((11, 20)));
}

/// Neither a process that was killed nor a batch without an answer proves that the hub has these rows and no others.
#[test]
fn what_may_have_reached_the_hub_before_is_sent_once_more() {
    let mut bench = Bench::new(&outbox(0, 40));
    let (request, batch) = bench.until_sent();
    assert_eq!(batch.lanes.windows.map(|windows| (windows.first, windows.last)), Some((1, 40)));
    bench.answered(request, broken(TransportErrorKind::CutOff));
    bench.engine.probe = true;
    let (request, batch) = bench.until_sent();
    assert_eq!(batch.lanes.windows, None);
    bench.answered(request, answer(EPOCH, &[(Lane::Windows, 40)], Vec::new()));
    assert_eq!(bench.engine.status().confirmed[&Lane::Windows], 0);
    let (request, _) = bench.until_sent();
    bench.answered(request, answer(EPOCH, &[(Lane::Windows, 40)], Vec::new()));
    assert_eq!(bench.engine.status().confirmed[&Lane::Windows], 40);
}

/// A copy of an SD card that is some weeks old, at a hub of the same epoch and at one that was restored meanwhile.
#[test]
fn a_new_stream_begins_where_the_hub_states_twice_more_than_was_made() {
    for epoch in [EPOCH, Epoch(8)] {
        let mut bench = ten_confirmed();
        bench.waiting(Lane::Events, 20);
        let (request, _) = bench.until_sent();
        bench.take();
        let too_much = answer(epoch, &[(Lane::Events, 21)], Vec::new());
        bench.answered(request, too_much.clone());
        let (request, batch) = bench.until_sent();
        assert_eq!((batch.lanes, batch.live), Default::default());
        bench.answered(request, too_much.clone());
        let why = "the hub has events 21 of this device, which has made 20".to_owned();
        let did = bench.take();
        assert!(did.contains(&Effect::NewStream { reason: why.clone() }), "{did:?}");
        let told = SyncProblem { kind: ProblemKind::StreamConflict, reason: format!("{why}; a new stream begins") };
        assert!(did.contains(&Effect::Report(Report::Problem(told))), "{did:?}");
        assert_eq!((bench.state(), bench.engine.progress.events.confirmed()), (StateName::Conflict, 10));

        // Nobody else can have numbered rows under the new stream.
        bench.input(SyncInput::Stream(Outbox { stream: Stream(2), ..outbox(10, 0) }));
        for _ in 0..5 {
            let (request, batch) = bench.until_sent();
            assert_eq!(events_of(batch), Some((1, 10)));
            bench.answered(request, too_much.clone());
            assert_eq!(bench.state(), BackingOff);
            assert!(!bench.take().iter().any(|effect| matches!(effect, Effect::NewStream { .. })));
        }
    }
}

/// A proxy that is out of step gives a device the answer for another one.
#[test]
fn one_answer_that_states_too_much_changes_nothing() {
    let mut bench = Bench::new(&outbox(10, 0));
    let (request, _) = bench.until_sent();
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 999)], Vec::new()));
    for rows in [0, 10] {
        let (request, batch) = bench.until_sent();
        assert_eq!(batch.lanes.events.map_or(0, |events| events.rows.len()), rows);
        bench.answered(request, answer(EPOCH, &[(Lane::Events, 10)], Vec::new()));
    }
    assert_eq!((bench.take(), bench.state()), (vec![confirm(Lane::Events, 10)], StateName::Idle));
    assert_eq!(bench.engine.status().counts.strange_confirmations, 1);
    // Nor do two of which the second came over another link, or from a hub in another epoch.
    for between in [Some(SyncInput::HubLinkChanged), None] {
        bench.waiting(Lane::Events, bench.engine.progress.events.head() + 1);
        let (request, _) = bench.until_sent();
        bench.answered(request, answer(EPOCH, &[(Lane::Events, 999)], Vec::new()));
        let epoch = if between.is_some() { EPOCH } else { Epoch(8) };
        between.into_iter().for_each(|input| bench.input(input));
        let (request, _) = bench.until_sent();
        bench.answered(request, answer(epoch, &[(Lane::Events, 999)], Vec::new()));
        let (request, _) = bench.until_sent();
        bench.answered(request, answer(EPOCH, &[(Lane::Events, 10)], Vec::new()));
        assert!(!bench.did.iter().any(|effect| matches!(effect, Effect::NewStream { .. })), "{:?}", bench.did);
    }
}

/// Two hubs at one address, both with more than was made: the agent does not ask them as fast as they answer.
#[test]
fn doubts_that_go_on_back_off() {
    let mut bench = Bench::new(&outbox(10, 0));
    for number in 0..20 {
        let (request, _) = bench.until_sent();
        bench.answered(request, answer(Epoch(number % 2), &[(Lane::Events, 999)], Vec::new()));
        assert_eq!(bench.state() == BackingOff, number > 0, "{number}");
    }
    assert!(bench.now.0 > 60_000, "{:?}", bench.now);
}

/// A hub that was restored has rows under sequences that this database gave out again.
#[test]
fn a_new_epoch_confirms_nothing_that_was_not_confirmed_before() {
    let mut bench = ten_confirmed();
    bench.waiting(Lane::Windows, 1);
    let (request, _) = bench.until_sent();
    bench.waiting(Lane::Events, 20);
    bench.take();
    bench.answered(request, answer(Epoch(8), &[(Lane::Events, 15), (Lane::Windows, 1)], Vec::new()));
    let rewound = bench.did.iter().find_map(|effect| match effect {
        Effect::Store(StoreCommand::Rewind { confirmed, .. }) => confirmed.get(&Lane::Events),
        _ => None,
    });
    assert_eq!(rewound, Some(&10));
    let (_, batch) = bench.until_sent();
    assert_eq!(events_of(batch), Some((11, 20)));
}

#[test]
fn a_lane_that_nobody_knows_does_no_harm() {
    let mut bench = Bench::new(&outbox(10, 0));
    let (request, _) = bench.until_sent();
    let body = r#"{"epoch":"00000000000000000000000000000007","confirmed":{"events":10,"raw":4},"now":1}"#;
    bench.answered(request, reply(200, body));
    let status = bench.engine.status();
    assert_eq!((status.confirmed[&Lane::Events], status.counts.strange_confirmations), (10, 1));
}

/// A hub that reads everything but the given rows of the windows lane, in the given way.
fn run_with_rejected(bad: &[u64], bad_live: bool, status: ErrorCode, heads: u64) -> (Vec<u64>, Bench, Vec<u64>) {
    let mut bench = Bench::new(&outbox(0, heads));
    let (mut aside, mut held, mut effects) = (Vec::new(), std::collections::BTreeSet::new(), Vec::new());
    for _ in 0..400 {
        if held.len() as u64 == heads && bench.engine.status().unconfirmed[&Lane::Windows] == 0 {
            break;
        }
        if bench.state() == BackingOff {
            bench.next();
        }
        let Some((request, batch)) = sent(&mut bench, &aside, &mut effects) else { continue };
        for effect in effects.drain(..) {
            if let Effect::Store(StoreCommand::Quarantine { rows, .. }) = effect {
                aside.extend(rows.iter().filter(|row| row.lane == Lane::Windows).map(|row| row.seq));
            }
        }
        let rows = batch.lanes.windows.iter().flat_map(|extent| &extent.rows).map(|row| row.seq);
        if rows.clone().any(|seq| bad.contains(&seq)) || bad_live && !batch.live.is_empty() {
            bench.answered(request, refusal(status));
        } else {
            held.extend(batch.lanes.windows.iter().flat_map(|extent| extent.first..=extent.last));
            let prefix = (1..).find(|seq| !held.contains(seq)).unwrap() - 1;
            bench.answered(request, answer(EPOCH, &[(Lane::Windows, prefix)], Vec::new()));
        }
        for effect in bench.take() {
            match effect {
                Effect::Store(StoreCommand::Quarantine { rows, .. }) => aside.extend(rows.iter().map(|row| row.seq)),
                effect => bench.did.push(effect),
            }
        }
    }
    (aside, bench, held.into_iter().collect())
}

/// Until a batch leaves, with a store that states what was set aside as gaps.
fn sent(bench: &mut Bench, aside: &[u64], effects: &mut Vec<Effect>) -> Option<(u64, Batch)> {
    for _ in 0..50 {
        for effect in bench.take() {
            match effect {
                Effect::Send { request, body, .. } => return Some((request, serde_json::from_slice(&body).unwrap())),
                Effect::Fetch(ask) => {
                    let mut rows = bench.rows(&ask);
                    if let Some(extent) = &mut rows.lanes.windows {
                        extent.rows.retain(|row| !aside.contains(&row.seq));
                        let inside = |seq: &&u64| (extent.first..=extent.last).contains(*seq);
                        let mut seqs: Vec<u64> = aside.iter().filter(inside).copied().collect();
                        seqs.sort_unstable();
                        extent.gaps = seqs
                            .into_iter()
                            .map(|seq| tilth_protocol::Gap {
                                first: seq,
                                last: seq,
                                kind: tilth_protocol::GapKind::Quarantined,
                                reason: "broken".to_owned(),
                            })
                            .collect();
                    }
                    bench.input(SyncInput::Fetched(rows));
                }
                effect => effects.push(effect),
            }
        }
        if bench.did.is_empty() {
            bench.next();
        }
    }
    None
}

#[test]
fn one_rejected_row_is_found_quarantined_and_blocks_nothing() {
    for (what, status) in [("cannot be read", ErrorCode::BadRequest), ("too large alone", ErrorCode::TooLarge)] {
        for bad in [&[][..], &[1], &[500], &[1000], &[17, 18, 900]] {
            let (mut aside, bench, held) = run_with_rejected(bad, false, status, 1000);
            aside.sort_unstable();
            assert_eq!(aside, bad, "{what}");
            assert_eq!(held, (1..=1000).collect::<Vec<_>>(), "{what} {bad:?}: {:?}", bench.engine.status());
            assert_eq!(bench.engine.status().counts.quarantined, bad.len() as u64);
        }
    }
}

#[test]
fn live_values_that_cannot_be_read_stay_at_home_for_a_while() {
    for status in [ErrorCode::BadRequest, ErrorCode::TooLarge] {
        let (aside, _, held) = run_with_rejected(&[], true, status, 20);
        assert_eq!((aside.len(), held.len()), (0, 20));
    }
}

#[test]
fn a_hub_that_takes_nothing_makes_us_blame_no_row() {
    for (code, is_told) in [(ErrorCode::BadRequest, true), (ErrorCode::TooLarge, false)] {
        let mut bench = Bench::new(&outbox(10, 0));
        let mut slow = 0;
        for _ in 0..40 {
            let (request, _) = bench.until_sent();
            bench.answered(request, refusal(code));
            slow += u32::from(bench.state() == BackingOff);
        }
        assert_eq!(bench.engine.status().counts.quarantined, 0);
        assert!(slow > 10, "{slow} waits");
        assert_eq!(bench.engine.problems.contains(&ProblemKind::NotUnderstood), is_told);
        for _ in 0..10 {
            let (request, batch) = bench.until_sent();
            let events = batch.lanes.events.map(|extent| (Lane::Events, extent.last));
            bench.answered(request, answer(EPOCH, events.as_slice(), Vec::new()));
        }
        assert_eq!(bench.engine.status().confirmed[&Lane::Events], 10);
        assert!(bench.engine.problems.is_empty());
    }
}

#[test]
fn rows_without_end_are_quarantined_slowly() {
    let all: Vec<u64> = (1..=40).collect();
    let (aside, bench, _) = run_with_rejected(&all, false, ErrorCode::BadRequest, 40);
    assert_eq!(aside.len(), 40);
    assert!(bench.now.0 > 3 * 300_000, "{}", bench.now.0);
}

#[test]
fn rows_that_the_hub_rejects_are_quarantined_once_and_the_rest_is_held() {
    let mut bench = Bench::new(&outbox(10, 0));
    let (request, _) = bench.until_sent();
    let rejected = |seq| RejectedRow { lane: Lane::Events, seq, reason: "a time in the year 9999".to_owned() };
    let named = vec![rejected(4), rejected(7), rejected(99)];
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 3)], named));
    let aside: Vec<u64> = bench
        .did
        .iter()
        .filter_map(
            |effect| if let Effect::Store(StoreCommand::Quarantine { rows, .. }) = effect { Some(rows) } else { None },
        )
        .flatten()
        .map(|row| row.seq)
        .collect();
    assert_eq!(aside, [4, 7], "99 was not in the batch");
    let ask = bench.until_asked();
    assert_eq!((ask.lanes[0].first, ask.lanes[0].last), (4, 4), "only what is not accounted for");
    // A store that does not heed it makes us slow down, not run in circles.
    let rows = bench.rows(&ask);
    bench.input(SyncInput::Fetched(rows));
    let (request, _) = bench.until_sent();
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 3)], vec![rejected(4)]));
    assert_eq!(bench.state(), BackingOff);
}

#[test]
fn rows_that_the_store_got_wrong_never_leave() {
    for (what, spoil) in [
        (
            "a sequence missing",
            (|rows: &mut Rows| drop(rows.lanes.events.as_mut().unwrap().rows.remove(2))) as fn(&mut Rows),
        ),
        ("rows swapped", |rows: &mut Rows| rows.lanes.events.as_mut().unwrap().rows.swap(2, 3)),
    ] {
        let mut bench = Bench::new(&outbox(10, 0));
        let ask = bench.until_asked();
        let mut rows = bench.rows(&ask);
        spoil(&mut rows);
        bench.input(SyncInput::Fetched(rows));
        let quarantined = bench.did.iter().any(|effect| {
            matches!(effect, Effect::Store(StoreCommand::Quarantine { rows, .. }) if rows.iter().any(|row| row.seq == 3))
        });
        assert!(quarantined, "{what}: {:?}", bench.did);
        assert!(!bench.did.iter().any(|effect| matches!(effect, Effect::Send { .. })), "{what}");
    }
}

#[test]
fn values_that_are_no_numbers_do_not_spoil_a_batch() {
    let mut bench = Bench::new(&outbox(0, 0));
    let ask = bench.until_asked();
    let mut rows = bench.rows(&ask);
    rows.live.push(tilth_protocol::Live { value: f64::NAN, ..rows.live[0].clone() });
    bench.input(SyncInput::Fetched(rows));
    let (_, batch) = bench.until_sent();
    assert_eq!(batch.live.len(), 1);
}

#[test]
fn bytes_are_counted_by_purpose_also_of_batches_that_fail() {
    let mut bench = Bench::new(&outbox(10, 50));
    let (request, batch) = bench.until_sent();
    assert!(batch.lanes.events.is_some() && batch.lanes.windows.is_some() && batch.live.len() == 1);
    bench.answered(request, refusal(ErrorCode::Internal));
    let traffic = bench.engine.status().traffic;
    for purpose in [TrafficKind::Events, TrafficKind::Live, TrafficKind::Windows] {
        assert!(traffic.of(purpose).up > 0, "{purpose:?}");
    }
    use TrafficKind::{Backlog, Events, Heartbeat, Live, Windows};
    assert_eq!(
        [Backlog, Events, Heartbeat, Live, Windows].map(|purpose| traffic.of(purpose).up).iter().sum::<u64>(),
        100
    );
}
