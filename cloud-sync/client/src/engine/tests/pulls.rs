//! Configuration: when it is asked for, what is given on, what a failure does.

use tilth_core::time::{Span, Uptime};
use tilth_protocol::ErrorCode;

use super::bench::*;
use crate::engine::limits::{PULL_PERIOD, REJECTED_WAIT, REQUEST_TIMEOUT};
use crate::engine::*;
use crate::transport::{Exchange, TransportErrorKind};

struct Puller {
    engine: SyncEngine,
    now: Uptime,
}

impl Puller {
    fn new() -> Puller {
        let setup = Setup {
            intervals: limits::Intervals { live: None, heartbeat: Span::from_mins(600), ..setup().intervals },
            ..setup()
        };
        let mut engine =
            SyncEngine::new(Uptime(0), setup, &outbox(0, 0), NewestBundle { version: 3, etag: Some("v3".to_owned()) });
        engine.handle(Uptime(0), SyncInput::Tick);
        let Some(Effect::Send { request, .. }) = engine.poll() else { panic!("expected a heartbeat first") };
        assert_eq!(engine.poll(), None, "one request at a time");
        let exchange = answer(EPOCH, &[], Vec::new());
        engine.handle(Uptime(0), SyncInput::Answered { request, exchange });
        let mut puller = Puller { engine, now: Uptime(0) };
        while !matches!(puller.engine.effects.front(), Some(Effect::PullBundle { .. })) {
            assert!(puller.engine.poll().is_some());
        }
        puller.now = Uptime(0);
        puller
    }

    fn asked(&mut self) -> (u64, NewestBundle) {
        loop {
            match self.engine.poll() {
                Some(Effect::PullBundle { request, newest }) => return (request, newest),
                Some(_) => {}
                None => {
                    self.now = self.engine.deadline().unwrap().max(self.now);
                    self.engine.handle(self.now, SyncInput::Tick);
                }
            }
        }
    }

    fn answered(&mut self, request: u64, exchange: Exchange) -> Vec<Effect> {
        self.engine.handle(self.now, SyncInput::Pulled { request, exchange });
        std::iter::from_fn(|| self.engine.poll()).collect()
    }
}

fn bundle() -> Exchange {
    reply(200, "signed bytes")
}

#[test]
fn every_answer_to_a_pull_has_its_wait() {
    for (what, exchange, least, most, gives) in [
        ("304", reply(304, ""), PULL_PERIOD.0, PULL_PERIOD.0, false),
        ("404", refusal(ErrorCode::NotFound), PULL_PERIOD.0, PULL_PERIOD.0, false),
        ("200", bundle(), PULL_PERIOD.0, PULL_PERIOD.0, true),
        ("200, nothing", reply(200, ""), 1000, 2000, false),
        ("200, a page", reply(200, " <html>"), 1000, 2000, false),
        ("401", refusal(ErrorCode::UnknownKey), REJECTED_WAIT.0 + 1000, REJECTED_WAIT.0 + 2000, false),
        ("429", refusal(ErrorCode::TooMany), 1000, 2000, false),
        ("500", refusal(ErrorCode::Internal), 1000, 2000, false),
        ("cut off", broken(TransportErrorKind::CutOff), 1000, 2000, false),
    ] {
        let mut puller = Puller::new();
        let (request, held) = puller.asked();
        assert_eq!(held, NewestBundle { version: 3, etag: Some("v3".to_owned()) });
        let effects = puller.answered(request, exchange);
        let given = effects.iter().any(|effect| matches!(effect, Effect::Report(Report::Bundle(_))));
        assert_eq!(given, gives, "{what}");
        let wait = puller.engine.status().config.next_try.unwrap() - puller.now;
        assert!((least..=most).contains(&wait.0), "{what}: {wait}");
        assert_eq!(puller.engine.status().state, StateName::Idle, "{what}");
    }
}

#[test]
fn the_same_bundle_is_given_once_unless_asked_for_anew() {
    let mut puller = Puller::new();
    let again = Some(NewestBundle { version: 3, etag: None });
    for (held, bytes, expected) in
        [(None, "damaged", 1), (None, "damaged", 0), (None, "good", 1), (None, "good", 0), (again, "good", 1)]
    {
        if let Some(held) = held {
            puller.engine.handle(puller.now, SyncInput::NewestBundle(held));
        }
        let (request, _) = puller.asked();
        assert_eq!(puller.answered(request, reply(200, bytes)).len(), expected, "{bytes}");
        // A bundle that comes again is of no use to the agent: it is seldom asked for.
        let wait = puller.engine.status().config.next_try.unwrap() - puller.now;
        assert_eq!(wait, if expected > 0 { PULL_PERIOD } else { REJECTED_WAIT }, "{bytes}");
    }
}

#[test]
fn a_new_way_ends_the_wait_after_a_refusal() {
    let mut puller = Puller::new();
    let (request, _) = puller.asked();
    puller.answered(request, refusal(ErrorCode::UnknownKey));
    puller.engine.handle(puller.now, SyncInput::HubLinkChanged);
    let before = puller.now;
    puller.asked();
    assert_eq!(puller.now, before);
}

#[test]
fn a_new_way_does_not_wait_for_what_the_old_one_is_told() {
    let mut puller = Puller::new();
    let (old, _) = puller.asked();
    let before = puller.now;
    puller.engine.handle(puller.now, SyncInput::HubLinkChanged);
    assert_eq!(puller.engine.poll(), Some(Effect::Abandon { request: old }));
    let (request, _) = puller.asked();
    assert_eq!(puller.answered(old, refusal(ErrorCode::UnknownKey)), []);
    assert_eq!((puller.now, puller.engine.status().config.state.as_str()), (before, "asking"));
    assert_eq!(puller.answered(request, bundle()).len(), 1);
}

#[test]
fn a_hint_hurries_once_for_each_version() {
    let mut puller = Puller::new();
    let (request, _) = puller.asked();
    puller.answered(request, reply(304, ""));
    puller.now = puller.now + Span(1000);
    for (version, expected) in [(3, false), (4, true), (4, false), (5, true)] {
        puller.engine.pull.hint(puller.now, version);
        assert_eq!(puller.engine.deadline() == Some(puller.now), expected, "{version}");
        if expected {
            let (request, _) = puller.asked();
            puller.answered(request, reply(304, ""));
        }
    }
}

#[test]
fn a_pull_that_is_never_answered_is_given_up_and_batches_wait_for_it() {
    let mut puller = Puller::new();
    let (request, _) = puller.asked();
    let lanes = [(tilth_protocol::Lane::Events, 1)].into();
    puller.engine.handle(puller.now, SyncInput::Committed(Heads { stream: STREAM, lanes }));
    assert_eq!(puller.engine.deadline(), Some(puller.now + REQUEST_TIMEOUT));
    puller.engine.handle(puller.now + REQUEST_TIMEOUT, SyncInput::Tick);
    assert_eq!(puller.engine.poll(), Some(Effect::Abandon { request }));
    assert!(matches!(puller.engine.poll(), Some(Effect::Fetch(_))));
}
