//! Every edge of the chart above `State`, walked.

use std::collections::BTreeSet;

use tilth_core::time::Span;
use tilth_protocol::{Epoch, ErrorCode, Lane, Stream};

use super::bench::*;
use crate::engine::StateName::{BackingOff, Conflict, Fetching, Gathering, Idle, Offline, Rejected, Sending};
use crate::engine::limits::{CONFLICT_AGAIN, REJECTED_WAIT, REQUEST_TIMEOUT, STORE_TIMEOUT};
use crate::engine::*;
use crate::transport::TransportErrorKind;

/// Brings a bench into a state.
fn bench_in(state: StateName) -> Bench {
    let mut bench = Bench::new(&outbox(0, 0));
    let (request, _) = bench.until_sent();
    bench.answered(request, answer(EPOCH, &[], Vec::new()));
    assert_eq!(bench.state(), Idle);
    if state == Idle {
        return bench;
    }
    bench.waiting(Lane::Events, 3);
    if state == Gathering {
        return bench;
    }
    bench.take();
    if state == Fetching {
        bench.next();
        return bench;
    }
    let (request, _) = bench.until_sent();
    let exchange = match state {
        Sending => return bench,
        BackingOff => refusal(ErrorCode::Internal),
        Rejected => refusal(ErrorCode::UnknownKey),
        Conflict => refusal(ErrorCode::StreamConflict),
        Offline => broken(TransportErrorKind::NoConnection),
        Idle | Gathering | Fetching => unreachable!("handled above"),
    };
    bench.answered(request, exchange);
    bench
}

fn request_of(bench: &Bench) -> u64 {
    bench
        .did
        .iter()
        .rev()
        .find_map(|effect| if let Effect::Send { request, .. } = effect { Some(*request) } else { None })
        .unwrap_or(bench.engine.last_request)
}

type Walk = (StateName, &'static str, fn(&mut Bench), StateName);

const WALKS: &[Walk] = &[
    (Idle, "rows come", |bench| bench.waiting(Lane::Events, 1), Gathering),
    (
        Idle,
        "live due",
        |bench| {
            bench.engine.setup.intervals.live = Some(Span::from_secs(10));
            bench.next();
        },
        Fetching,
    ),
    (
        Idle,
        "heartbeat",
        |bench| {
            bench.engine.setup.intervals.live = None;
            while bench.state() == Idle {
                bench.next();
            }
        },
        Sending,
    ),
    (
        Gathering,
        "all is there",
        |bench| {
            bench.input(SyncInput::Stream(outbox(0, 0)));
        },
        Idle,
    ),
    (
        Gathering,
        "due",
        |bench| {
            bench.next();
        },
        Fetching,
    ),
    (
        Fetching,
        "rows",
        |bench| {
            let ask = bench.until_asked();
            let rows = bench.rows(&ask);
            bench.input(SyncInput::Fetched(rows));
        },
        Sending,
    ),
    (
        Fetching,
        "store silent",
        |bench| {
            assert_eq!(bench.next(), STORE_TIMEOUT);
        },
        BackingOff,
    ),
    (
        Fetching,
        "store fails",
        |bench| {
            let id = bench.until_asked().id;
            bench.input(SyncInput::FetchFailed { id, why: "disk".to_owned() });
        },
        BackingOff,
    ),
    (
        Fetching,
        "store gives what was not wanted",
        |bench| {
            let id = bench.until_asked().id;
            bench.input(SyncInput::Fetched(nothing(id)));
        },
        BackingOff,
    ),
    (Fetching, "new stream", |bench| bench.input(SyncInput::Stream(outbox(2, 0))), Gathering),
    (
        Sending,
        "accepted, nothing left",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
        },
        Idle,
    ),
    (
        Sending,
        "accepted, more came",
        |bench| {
            let request = request_of(bench);
            bench.waiting(Lane::Events, 4);
            bench.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
        },
        Gathering,
    ),
    (
        Sending,
        "400",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, refusal(ErrorCode::BadRequest));
        },
        Sending,
    ), // The control question leaves at once.
    (
        Sending,
        "413",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, refusal(ErrorCode::TooLarge));
        },
        Fetching,
    ), // Half of it at once.
    (
        Sending,
        "429",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, refusal(ErrorCode::TooMany));
        },
        BackingOff,
    ),
    (
        Sending,
        "no answer",
        |bench| {
            let request = request_of(bench);
            bench.take();
            bench.now = bench.now + REQUEST_TIMEOUT;
            bench.tick();
            assert!(bench.did.contains(&Effect::Abandon { request }));
        },
        BackingOff,
    ),
    (
        Sending,
        "stuck",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, answer(EPOCH, &[(Lane::Events, 0)], Vec::new()));
        },
        BackingOff,
    ),
    (
        Sending,
        "no way there",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, broken(TransportErrorKind::NoConnection));
        },
        Offline,
    ),
    (
        Sending,
        "401",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, refusal(ErrorCode::UnknownKey));
        },
        Rejected,
    ),
    (
        Sending,
        "409",
        |bench| {
            let request = request_of(bench);
            bench.answered(request, refusal(ErrorCode::StreamConflict));
        },
        Conflict,
    ),
    (
        Sending,
        "the hub has what was never made, and says so again",
        |bench| {
            for _ in 0..2 {
                let request = request_of(bench);
                bench.answered(request, answer(EPOCH, &[(Lane::Windows, 1)], Vec::new()));
            }
        },
        Conflict,
    ),
    (
        Sending,
        "new stream",
        |bench| {
            let request = request_of(bench);
            bench.input(SyncInput::Stream(outbox(2, 0)));
            assert!(bench.did.contains(&Effect::Abandon { request }));
        },
        Gathering,
    ),
    (
        Sending,
        "a new key comes: the same rows again, and the old key's refusal says nothing",
        |bench| {
            let old = request_of(bench);
            bench.take();
            bench.input(SyncInput::HubLinkChanged);
            assert!(bench.did.contains(&Effect::Abandon { request: old }));
            let (request, batch) = bench.until_sent();
            assert!(request > old);
            assert_eq!(batch.lanes.events.map(|events| (events.first, events.last)), Some((1, 3)));
            bench.answered(old, refusal(ErrorCode::UnknownKey));
            bench.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
            assert!(!bench.did.iter().any(|effect| matches!(effect, Effect::Report(Report::Problem(_)))));
        },
        Idle,
    ),
    (Fetching, "a new key comes: the rows leave with it", |bench| bench.input(SyncInput::HubLinkChanged), Fetching),
    (Conflict, "new stream", |bench| bench.input(SyncInput::Stream(outbox(2, 0))), Gathering),
    (
        Conflict,
        "silent",
        |bench| {
            assert_eq!(bench.next(), STORE_TIMEOUT);
        },
        BackingOff,
    ),
    (
        Conflict,
        "409 again",
        |bench| {
            bench.input(SyncInput::Stream(Outbox { stream: Stream(2), ..outbox(2, 0) }));
            let (request, batch) = bench.until_sent();
            assert_eq!(batch.stream, Stream(2));
            bench.answered(request, refusal(ErrorCode::StreamConflict));
        },
        Rejected,
    ),
    (
        BackingOff,
        "due",
        |bench| {
            bench.next();
        },
        Fetching,
    ),
    (BackingOff, "a new key comes", |bench| bench.input(SyncInput::HubLinkChanged), Fetching),
    (
        Offline,
        "due",
        |bench| {
            bench.next();
        },
        Fetching,
    ),
    (Offline, "a new key comes", |bench| bench.input(SyncInput::HubLinkChanged), Fetching),
    (
        Rejected,
        "due: a probe without rows",
        |bench| {
            bench.take();
            assert!(bench.next() > REJECTED_WAIT);
            let (request, batch) = bench.until_sent();
            assert_eq!((batch.lanes, batch.live), Default::default());
            bench.answered(request, answer(EPOCH, &[], Vec::new()));
            assert!(bench.did.contains(&Effect::Report(Report::ProblemOver(ProblemKind::KeyRejected))));
        },
        Gathering,
    ),
    (
        Rejected,
        "a new key comes: a probe without rows, at once",
        |bench| {
            bench.take();
            let before = bench.now;
            bench.input(SyncInput::HubLinkChanged);
            let (request, batch) = bench.until_sent();
            assert_eq!((bench.now, batch.lanes, batch.live), (before, Default::default(), Vec::new()));
            bench.answered(request, answer(EPOCH, &[], Vec::new()));
            assert!(bench.did.contains(&Effect::Report(Report::ProblemOver(ProblemKind::KeyRejected))));
        },
        Gathering,
    ),
    (
        Rejected,
        "rejected again",
        |bench| {
            bench.take();
            bench.next();
            let (request, _) = bench.until_sent();
            bench.answered(request, refusal(ErrorCode::Forbidden));
            assert_eq!(bench.take(), [], "the problem is not reported again");
        },
        Rejected,
    ),
];

#[test]
fn every_edge_of_the_chart_is_walked() {
    for (from, what, walk, to) in WALKS {
        let mut bench = bench_in(*from);
        assert_eq!(bench.state(), *from, "before {what}");
        walk(&mut bench);
        assert_eq!(bench.state(), *to, "{from:?}: {what}: {:?}", bench.engine.status());
    }
    let states = |of: fn(&Walk) -> StateName| WALKS.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!((states(|walk| walk.0), states(|walk| walk.3)), (8, 8), "a state is not in the table");
}

#[test]
fn a_rejected_key_is_reported_once_and_stops_nothing_else() {
    let bench = bench_in(Rejected);
    let problems: Vec<_> =
        bench.did.iter().filter(|effect| matches!(effect, Effect::Report(Report::Problem(_)))).collect();
    let [Effect::Report(Report::Problem(problem))] = problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.kind, ProblemKind::KeyRejected);
    assert!(problem.reason.contains("401") && problem.reason.contains("15m"), "{}", problem.reason);
    let status = bench.engine.status();
    assert!(status.next_try > Some(bench.now + REJECTED_WAIT));
    assert!(status.why.unwrap().contains("because"));
}

#[test]
fn a_conflict_is_over_when_batches_are_taken_long_after() {
    let mut bench = bench_in(Conflict);
    assert!(bench.did.iter().any(|effect| matches!(effect, Effect::NewStream { .. })));
    bench.input(SyncInput::Stream(Outbox { stream: Stream(2), epoch: Some(EPOCH), lanes: outbox(3, 0).lanes }));
    let (request, _) = bench.until_sent();
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
    assert!(!bench.did.contains(&Effect::Report(Report::ProblemOver(ProblemKind::StreamConflict))));
    bench.now = bench.now + CONFLICT_AGAIN;
    bench.waiting(Lane::Events, 4);
    for (_, last) in [(); 3].iter().zip([3, 4, 4]) {
        let (request, _) = bench.until_sent();
        bench.answered(request, answer(EPOCH, &[(Lane::Events, last)], Vec::new()));
        if bench.did.contains(&Effect::Report(Report::ProblemOver(ProblemKind::StreamConflict))) {
            return;
        }
    }
    panic!("the problem is never over");
}

#[test]
fn a_new_epoch_rewinds_and_a_flapping_one_slows_down() {
    let mut bench = bench_in(Sending);
    let request = request_of(&bench);
    bench.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
    bench.take();
    for (epoch, expected) in [(Epoch(8), Gathering), (Epoch(9), BackingOff), (Epoch(10), BackingOff)] {
        let (request, _) = bench.until_sent();
        bench.answered(request, answer(epoch, &[(Lane::Events, 1)], Vec::new()));
        let confirmed = Lane::ALL.map(|lane| (lane, u64::from(lane == Lane::Events))).into();
        assert!(
            bench.did.contains(&Effect::Store(StoreCommand::Rewind { stream: STREAM, epoch, confirmed })),
            "{:?}",
            bench.did
        );
        assert_eq!(bench.state(), expected);
        bench.pass(Span(1));
    }
}

#[test]
fn what_nobody_waits_for_is_counted_and_ignored() {
    for state in [Idle, Gathering, Fetching, Sending, BackingOff, Rejected, Conflict, Offline] {
        let mut bench = bench_in(state);
        bench.take();
        bench.input(SyncInput::Fetched(nothing(999)));
        bench.input(SyncInput::FetchFailed { id: 999, why: "late".to_owned() });
        bench.answered(999, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
        bench.input(SyncInput::Pulled { request: 999, exchange: reply(200, "bundle") });
        assert_eq!(bench.state(), state);
        assert_eq!(bench.take(), []);
        assert_eq!(bench.engine.status().counts.stray_answers, 4);
    }
}

#[test]
fn what_belongs_to_another_stream_moves_nothing() {
    let mut bench = bench_in(Idle);
    let lanes = [(Lane::Events, 50)].into();
    bench.input(SyncInput::Committed(Heads { stream: Stream(2), lanes }));
    assert_eq!((bench.state(), bench.engine.status().unconfirmed[&Lane::Events]), (Idle, 0));

    // A store that began a new stream by itself and answers before it says so: nothing of it leaves under the old name.
    let mut bench = bench_in(Fetching);
    let ask = bench.until_asked();
    let rows = Rows { stream: Stream(2), ..bench.rows(&ask) };
    bench.input(SyncInput::Fetched(rows));
    assert_eq!(bench.state(), BackingOff);
    assert!(!bench.did.iter().any(|effect| matches!(effect, Effect::Send { .. })));
    bench.input(SyncInput::Stream(Outbox { stream: Stream(2), ..outbox(2, 0) }));
    let (_, batch) = bench.until_sent();
    assert_eq!(batch.stream, Stream(2));
}
