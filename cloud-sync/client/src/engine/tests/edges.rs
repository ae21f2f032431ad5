//! Every edge of the chart above `State`, walked.

use std::collections::BTreeSet;

use tilth_core::time::Span;
use tilth_protocol::{Epoch, ErrorCode, Lane, Stream};

use super::desk::*;
use crate::engine::StateName::{BackingOff, Conflict, Fetching, Gathering, Idle, Offline, Refused, Sending};
use crate::engine::pace::{CONFLICT_AGAIN, REFUSED_WAIT, REQUEST_TIMEOUT, STORE_TIMEOUT};
use crate::engine::*;
use crate::transport::Broken;

/// Brings a desk into a state.
fn desk_in(state: StateName) -> Desk {
    let mut desk = Desk::new(&outbox(0, 0));
    let (request, _) = desk.until_sent();
    desk.answered(request, answer(EPOCH, &[], Vec::new()));
    assert_eq!(desk.state(), Idle);
    if state == Idle {
        return desk;
    }
    desk.waiting(Lane::Events, 3);
    if state == Gathering {
        return desk;
    }
    desk.take();
    if state == Fetching {
        desk.next();
        return desk;
    }
    let (request, _) = desk.until_sent();
    let exchange = match state {
        Sending => return desk,
        BackingOff => refusal(ErrorCode::Internal),
        Refused => refusal(ErrorCode::UnknownKey),
        Conflict => refusal(ErrorCode::StreamConflict),
        Offline => broken(Broken::NoConnection),
        Idle | Gathering | Fetching => unreachable!("handled above"),
    };
    desk.answered(request, exchange);
    desk
}

fn request_of(desk: &Desk) -> u64 {
    desk.did
        .iter()
        .rev()
        .find_map(|effect| if let Effect::Send { request, .. } = effect { Some(*request) } else { None })
        .unwrap_or(desk.engine.last_number)
}

type Walk = (StateName, &'static str, fn(&mut Desk), StateName);

const WALKS: &[Walk] = &[
    (Idle, "rows come", |desk| desk.waiting(Lane::Events, 1), Gathering),
    (
        Idle,
        "live due",
        |desk| {
            desk.engine.setup.pace.live = Some(Span::from_secs(10));
            desk.next();
        },
        Fetching,
    ),
    (
        Idle,
        "sign of life",
        |desk| {
            desk.engine.setup.pace.live = None;
            while desk.state() == Idle {
                desk.next();
            }
        },
        Sending,
    ),
    (
        Gathering,
        "all is there",
        |desk| {
            desk.input(Input::Stream(outbox(0, 0)));
        },
        Idle,
    ),
    (
        Gathering,
        "due",
        |desk| {
            desk.next();
        },
        Fetching,
    ),
    (
        Fetching,
        "rows",
        |desk| {
            let ask = desk.until_asked();
            let haul = desk.haul(&ask);
            desk.input(Input::Fetched(haul));
        },
        Sending,
    ),
    (
        Fetching,
        "store silent",
        |desk| {
            assert_eq!(desk.next(), STORE_TIMEOUT);
        },
        BackingOff,
    ),
    (
        Fetching,
        "store fails",
        |desk| {
            let id = desk.until_asked().id;
            desk.input(Input::FetchFailed { id, why: "disk".to_owned() });
        },
        BackingOff,
    ),
    (
        Fetching,
        "store gives what was not wanted",
        |desk| {
            let id = desk.until_asked().id;
            desk.input(Input::Fetched(nothing(id)));
        },
        BackingOff,
    ),
    (Fetching, "new stream", |desk| desk.input(Input::Stream(outbox(2, 0))), Gathering),
    (
        Sending,
        "taken, nothing left",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
        },
        Idle,
    ),
    (
        Sending,
        "taken, more came",
        |desk| {
            let request = request_of(desk);
            desk.waiting(Lane::Events, 4);
            desk.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
        },
        Gathering,
    ),
    (
        Sending,
        "400",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, refusal(ErrorCode::BadRequest));
        },
        Sending,
    ), // The control question leaves at once.
    (
        Sending,
        "413",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, refusal(ErrorCode::TooLarge));
        },
        Fetching,
    ), // Half of it at once.
    (
        Sending,
        "429",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, refusal(ErrorCode::TooMany));
        },
        BackingOff,
    ),
    (
        Sending,
        "no answer",
        |desk| {
            let request = request_of(desk);
            desk.take();
            desk.now = desk.now + REQUEST_TIMEOUT;
            desk.tick();
            assert!(desk.did.contains(&Effect::Abandon { request }));
        },
        BackingOff,
    ),
    (
        Sending,
        "stuck",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, answer(EPOCH, &[(Lane::Events, 0)], Vec::new()));
        },
        BackingOff,
    ),
    (
        Sending,
        "no way there",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, broken(Broken::NoConnection));
        },
        Offline,
    ),
    (
        Sending,
        "401",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, refusal(ErrorCode::UnknownKey));
        },
        Refused,
    ),
    (
        Sending,
        "409",
        |desk| {
            let request = request_of(desk);
            desk.answered(request, refusal(ErrorCode::StreamConflict));
        },
        Conflict,
    ),
    (
        Sending,
        "new stream",
        |desk| {
            let request = request_of(desk);
            desk.input(Input::Stream(outbox(2, 0)));
            assert!(desk.did.contains(&Effect::Abandon { request }));
        },
        Gathering,
    ),
    (
        Sending,
        "a new key comes: the same rows again, and the old key's refusal says nothing",
        |desk| {
            let old = request_of(desk);
            desk.take();
            desk.input(Input::WayChanged);
            assert!(desk.did.contains(&Effect::Abandon { request: old }));
            let (request, batch) = desk.until_sent();
            assert!(request > old);
            assert_eq!(batch.lanes.events.map(|events| (events.first, events.last)), Some((1, 3)));
            desk.answered(old, refusal(ErrorCode::UnknownKey));
            desk.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
            assert!(!desk.did.iter().any(|effect| matches!(effect, Effect::LocalAlert(_))));
        },
        Idle,
    ),
    (Fetching, "a new key comes: the rows leave with it", |desk| desk.input(Input::WayChanged), Fetching),
    (Conflict, "new stream", |desk| desk.input(Input::Stream(outbox(2, 0))), Gathering),
    (
        Conflict,
        "silent",
        |desk| {
            assert_eq!(desk.next(), STORE_TIMEOUT);
        },
        BackingOff,
    ),
    (
        Conflict,
        "409 again",
        |desk| {
            desk.input(Input::Stream(Outbox { stream: Stream(2), ..outbox(2, 0) }));
            let (request, batch) = desk.until_sent();
            assert_eq!(batch.stream, Stream(2));
            desk.answered(request, refusal(ErrorCode::StreamConflict));
        },
        Refused,
    ),
    (
        BackingOff,
        "due",
        |desk| {
            desk.next();
        },
        Fetching,
    ),
    (BackingOff, "a new key comes", |desk| desk.input(Input::WayChanged), Fetching),
    (BackingOff, "network up changes nothing", |desk| desk.input(Input::NetworkUp), BackingOff),
    (
        Offline,
        "due",
        |desk| {
            desk.next();
        },
        Fetching,
    ),
    (Offline, "a new key comes", |desk| desk.input(Input::WayChanged), Fetching),
    (
        Offline,
        "network up",
        |desk| {
            desk.input(Input::NetworkUp);
            desk.tick();
        },
        Fetching,
    ),
    (
        Refused,
        "due: a probe without rows",
        |desk| {
            desk.take();
            assert!(desk.next() > REFUSED_WAIT);
            let (request, batch) = desk.until_sent();
            assert_eq!((batch.lanes, batch.live), Default::default());
            desk.answered(request, answer(EPOCH, &[], Vec::new()));
            assert!(desk.did.contains(&Effect::AllClear(AlertKind::KeyRefused)));
        },
        Gathering,
    ),
    (
        Refused,
        "a new key comes: a probe without rows, at once",
        |desk| {
            desk.take();
            let before = desk.now;
            desk.input(Input::WayChanged);
            let (request, batch) = desk.until_sent();
            assert_eq!((desk.now, batch.lanes, batch.live), (before, Default::default(), Vec::new()));
            desk.answered(request, answer(EPOCH, &[], Vec::new()));
            assert!(desk.did.contains(&Effect::AllClear(AlertKind::KeyRefused)));
        },
        Gathering,
    ),
    (
        Refused,
        "refused again",
        |desk| {
            desk.take();
            desk.next();
            let (request, _) = desk.until_sent();
            desk.answered(request, refusal(ErrorCode::Forbidden));
            assert_eq!(desk.take(), [], "the alert is not repeated");
        },
        Refused,
    ),
];

#[test]
fn every_edge_of_the_chart_is_walked() {
    for (from, what, walk, to) in WALKS {
        let mut desk = desk_in(*from);
        assert_eq!(desk.state(), *from, "before {what}");
        walk(&mut desk);
        assert_eq!(desk.state(), *to, "{from:?}: {what}: {:?}", desk.engine.status());
    }
    let states = |of: fn(&Walk) -> StateName| WALKS.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!((states(|walk| walk.0), states(|walk| walk.3)), (8, 8), "a state is not in the table");
}

#[test]
fn a_refused_key_is_told_once_and_stops_nothing_else() {
    let desk = desk_in(Refused);
    let alerts: Vec<_> = desk.did.iter().filter(|effect| matches!(effect, Effect::LocalAlert(_))).collect();
    let [Effect::LocalAlert(alert)] = alerts[..] else { panic!("{alerts:?}") };
    assert_eq!(alert.kind, AlertKind::KeyRefused);
    assert!(alert.reason.contains("401") && alert.reason.contains("15m"), "{}", alert.reason);
    let status = desk.engine.status();
    assert!(status.next_try > Some(desk.now + REFUSED_WAIT));
    assert!(status.why.unwrap().contains("because"));
}

#[test]
fn a_conflict_is_over_when_batches_are_taken_long_after() {
    let mut desk = desk_in(Conflict);
    assert!(desk.did.iter().any(|effect| matches!(effect, Effect::NewStream { .. })));
    desk.input(Input::Stream(Outbox { stream: Stream(2), epoch: Some(EPOCH), lanes: outbox(3, 0).lanes }));
    let (request, _) = desk.until_sent();
    desk.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
    assert!(!desk.did.contains(&Effect::AllClear(AlertKind::StreamConflict)));
    desk.now = desk.now + CONFLICT_AGAIN;
    desk.waiting(Lane::Events, 4);
    for (_, last) in [(); 3].iter().zip([3, 4, 4]) {
        let (request, _) = desk.until_sent();
        desk.answered(request, answer(EPOCH, &[(Lane::Events, last)], Vec::new()));
        if desk.did.contains(&Effect::AllClear(AlertKind::StreamConflict)) {
            return;
        }
    }
    panic!("the alert never ends");
}

#[test]
fn a_new_epoch_rewinds_and_a_flapping_one_slows_down() {
    let mut desk = desk_in(Sending);
    let request = request_of(&desk);
    desk.answered(request, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
    desk.take();
    for (epoch, expected) in [(Epoch(8), Gathering), (Epoch(9), BackingOff), (Epoch(10), BackingOff)] {
        let (request, _) = desk.until_sent();
        desk.answered(request, answer(epoch, &[(Lane::Events, 1)], Vec::new()));
        let confirmed = Lane::ALL.map(|lane| (lane, u64::from(lane == Lane::Events))).into();
        assert!(desk.did.contains(&Effect::Rewind { stream: STREAM, epoch, confirmed }), "{:?}", desk.did);
        assert_eq!(desk.state(), expected);
        desk.pass(Span(1));
    }
}

#[test]
fn what_nobody_waits_for_is_counted_and_ignored() {
    for state in [Idle, Gathering, Fetching, Sending, BackingOff, Refused, Conflict, Offline] {
        let mut desk = desk_in(state);
        desk.take();
        desk.input(Input::Fetched(nothing(999)));
        desk.input(Input::FetchFailed { id: 999, why: "late".to_owned() });
        desk.answered(999, answer(EPOCH, &[(Lane::Events, 3)], Vec::new()));
        desk.input(Input::Pulled { request: 999, exchange: reply(200, "bundle") });
        assert_eq!(desk.state(), state);
        assert_eq!(desk.take(), []);
        assert_eq!(desk.engine.status().counts.stray_answers, 4);
    }
}

#[test]
fn what_belongs_to_another_stream_moves_nothing() {
    let mut desk = desk_in(Idle);
    let lanes = [(Lane::Events, 50)].into();
    desk.input(Input::Waiting(Heads { stream: Stream(2), lanes }));
    assert_eq!((desk.state(), desk.engine.status().waiting[&Lane::Events]), (Idle, 0));

    // A store that began a new stream by itself and answers before it says so: nothing of it leaves under the old name.
    let mut desk = desk_in(Fetching);
    let ask = desk.until_asked();
    let haul = Haul { stream: Stream(2), ..desk.haul(&ask) };
    desk.input(Input::Fetched(haul));
    assert_eq!(desk.state(), BackingOff);
    assert!(!desk.did.iter().any(|effect| matches!(effect, Effect::Send { .. })));
    desk.input(Input::Stream(Outbox { stream: Stream(2), ..outbox(2, 0) }));
    let (_, batch) = desk.until_sent();
    assert_eq!(batch.stream, Stream(2));
}
