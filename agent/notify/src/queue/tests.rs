//! Timelines of one channel's queue.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tilth_core::escalate::Cause;
use tilth_core::plan::Severity;

use super::*;
use crate::message::REFUSED_TRIES;
use crate::notification::samples::{page, resolved};

const REMOTE: Limits = Limits { max_per_hour: Some(4), expiry: Some(EXPIRY) };
const NO_CAP: Limits = Limits { max_per_hour: None, expiry: Some(EXPIRY) };

/// A queue on its own clock, in seconds.
struct Line {
    queue: Queue,
    now: i64,
}

impl Line {
    fn new(limits: Limits) -> Line {
        Line { queue: Queue::new(limits), now: 0 }
    }

    /// Lets time pass, deadline by deadline; returns all that happened as `SECONDS what`.
    fn until(&mut self, secs: i64) -> Vec<String> {
        let mut said = self.drain();
        while let Some(due) = self.queue.deadline().filter(|due| due.0 <= secs * 1000) {
            self.now = self.now.max(due.0);
            self.queue.handle(Uptime(self.now), Input::Tick);
            said.extend(self.drain());
        }
        self.now = secs * 1000;
        said
    }

    fn handle(&mut self, input: Input) -> Vec<String> {
        self.queue.handle(Uptime(self.now), input);
        self.drain()
    }

    fn page(&mut self, alert: u64, page_number: u32, severity: Severity) -> Vec<String> {
        self.handle(Input::Notification(Arc::new(page(alert, page_number, severity, Cause::Fired))))
    }

    fn drain(&mut self) -> Vec<String> {
        let second = self.now / 1000;
        let effects: Vec<Effect> = std::iter::from_fn(|| self.queue.poll()).collect();
        effects.iter().map(|effect| format!("{second} {}", words(effect))).collect()
    }
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::Send(message) => {
            let item = |item: &Item| {
                let repeat = if item.repeat { " repeat" } else { "" };
                let earlier = if item.earlier > 0 { format!(" +{}", item.earlier) } else { String::new() };
                format!("{}{earlier}{repeat}", item.notification.id)
            };
            let items: Vec<String> = message.items.iter().map(item).collect();
            let undelivered =
                if message.undelivered > 0 { format!(" untold {}", message.undelivered) } else { String::new() };
            format!("send {}{undelivered}", items.join(", "))
        }
        Effect::Outcome(outcome) | Effect::GivenUp(_, outcome) => {
            let instead = outcome.instead.as_ref().map_or(String::new(), |channel| format!(", {channel} instead"));
            format!("{} {}{instead}", outcome.notification, outcome.status.name())
        }
    }
}

fn failure(retry: bool, retry_after: Option<Span>, may_have_arrived: bool) -> Input {
    let retry = if retry { Retry::UntilExpired } else { Retry::Never };
    Input::Failed(Failure { reason: "down".to_owned(), retry, retry_after, may_have_arrived })
}

fn refused() -> Input {
    Input::Failed(Failure {
        reason: "answered 400".to_owned(),
        retry: Retry::Few,
        retry_after: None,
        may_have_arrived: false,
    })
}

fn down() -> Input {
    failure(true, None, false)
}

#[test]
fn one_at_a_time_the_worst_first() {
    let mut line = Line::new(NO_CAP);
    assert_eq!(line.page(1, 1, Severity::Warning), ["0 send pi-1-1"]);
    assert_eq!(line.page(2, 1, Severity::Preventive), [""; 0]);
    assert_eq!(line.handle(Input::Notification(Arc::new(resolved(9)))), [""; 0]);
    assert_eq!(line.page(3, 1, Severity::Urgent), [""; 0]);
    assert_eq!(line.page(4, 1, Severity::Urgent), [""; 0]);
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.extend(line.handle(Input::Sent).into_iter().filter(|said| said.contains("send")));
    }
    assert_eq!(sent, ["0 send pi-3-1", "0 send pi-4-1", "0 send pi-2-1", "0 send pi-9-resolved"]);
    assert_eq!(line.queue.deadline(), None);
}

#[test]
fn what_waits_is_tried_at_once_where_the_channel_leads_now() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    assert_eq!(line.queue.next(), Some(Next::UnderWay));
    line.handle(failure(true, Some(Span::from_mins(60)), false));
    assert_eq!(line.queue.next(), Some(Next::At(Uptime(3_600_000))));
    line.queue.redirect(Uptime(line.now));
    assert_eq!(line.drain(), ["0 send pi-1-1"]);
    // Under way to where it led before: its result says nothing of where the channel leads now.
    line.queue.redirect(Uptime(line.now));
    assert_eq!(line.drain(), [""; 0]);
    assert_eq!(line.handle(failure(true, Some(Span::from_mins(60)), false)), ["0 pi-1-1 retrying", "0 send pi-1-1"]);
    line.handle(down());
    assert_eq!(line.queue.next(), Some(Next::At(Uptime(5_000))));
    line.until(5);
    assert_eq!(line.handle(Input::Sent), ["5 pi-1-1 sent"]);
    assert_eq!(line.queue.next(), None);
    line.queue.redirect(Uptime(line.now));
    assert_eq!(line.drain(), [""; 0]);
}

#[test]
fn what_failed_is_tried_again_later_and_later() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    let mut tries = Vec::new();
    for _ in 0..9 {
        assert_eq!(line.handle(down()), [format!("{} pi-1-1 retrying", line.now / 1000)]);
        let due = line.queue.deadline().unwrap();
        assert_eq!(line.until(due.0 / 1000), [format!("{} send pi-1-1", due.0 / 1000)]);
        tries.push(due.0 / 1000);
    }
    assert_eq!(tries, [5, 15, 35, 75, 155, 315, 615, 915, 1215]);
    assert_eq!(line.handle(Input::Sent), ["1215 pi-1-1 sent"]);
    line.page(2, 1, Severity::Warning);
    line.handle(down());
    assert_eq!(line.queue.deadline(), Some(Uptime(1_220_000)), "a success resets the wait");
}

#[test]
fn news_is_tried_soon_unless_the_other_side_asked_for_patience() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    for _ in 0..8 {
        line.handle(down());
        line.until(line.queue.deadline().unwrap().0 / 1000);
    }
    line.handle(down());
    let failed_at = line.now / 1000;
    assert_eq!(line.until(failed_at + 10), [""; 0]);
    line.page(2, 1, Severity::Urgent);
    assert_eq!(line.until(failed_at + 60), [format!("{} send pi-2-1", failed_at + 30)]);
    line.handle(failure(true, Some(Span::from_mins(10)), false));
    let asked_at = line.now / 1000;
    assert_eq!(line.page(3, 1, Severity::Urgent), [""; 0]);
    assert_eq!(line.until(asked_at + 700)[0], format!("{} send pi-2-1", asked_at + 600));
}

#[test]
fn a_page_is_tried_within_the_hour_and_a_critical_one_sooner_whatever_the_other_side_asks_for() {
    let asks = [Span::from_mins(30), Span::from_mins(61), Span::from_secs(4_294_967_295), Span(i64::MAX)];
    for (severity, longest) in
        [(Severity::Preventive, 3600), (Severity::Warning, 3600), (Severity::Critical, 900), (Severity::Urgent, 900)]
    {
        for (asked, limits) in asks.iter().flat_map(|asked| [(*asked, NO_CAP), (*asked, REMOTE)]) {
            let mut line = Line::new(limits);
            line.page(1, 1, severity);
            let mut at = 0;
            for _ in 0..3 {
                line.handle(failure(true, Some(asked), false));
                at += longest.min(asked.0 / 1000);
                assert_eq!(line.until(at - 1), [""; 0], "{severity:?} asked for {asked}");
                assert_eq!(line.until(at), [format!("{at} send pi-1-1")], "{severity:?} asked for {asked}");
            }
        }
    }
    // What is no better goes with the hour; a critical page that comes meanwhile goes as soon as if it had waited.
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    line.handle(failure(true, Some(Span(i64::MAX)), false));
    line.until(120);
    assert_eq!(line.page(2, 1, Severity::Critical), [""; 0]);
    assert_eq!(line.queue.next(), Some(Next::At(Uptime(900_000))));
    assert_eq!(line.until(900), ["900 send pi-2-1"]);
    assert_eq!(line.handle(Input::Sent), ["900 pi-2-1 sent", "900 send pi-1-1"]);
}

#[test]
fn an_answer_that_was_lost_makes_a_repeat_with_the_same_id() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    line.handle(failure(true, None, true));
    assert_eq!(line.until(5), ["5 send pi-1-1 repeat"]);
    let mut after_crash = page(2, 3, Severity::Warning, Cause::Escalated);
    after_crash.repeat = true;
    line.handle(Input::Sent);
    assert_eq!(line.handle(Input::Notification(Arc::new(after_crash))), ["5 send pi-2-3 repeat"]);
}

#[test]
fn a_later_page_of_an_alert_takes_the_place_of_those_that_wait() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    assert_eq!(line.handle(down()), ["0 pi-1-1 retrying"]);
    assert_eq!(line.page(1, 2, Severity::Critical), ["0 pi-1-1 replaced"]);
    assert_eq!(line.page(1, 3, Severity::Urgent), ["0 pi-1-2 replaced"]);
    assert_eq!(line.until(60), ["5 send pi-1-3 +2"]);
}

#[test]
fn a_resolved_or_acknowledged_alert_does_not_page() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    line.handle(down());
    assert_eq!(line.handle(Input::Notification(Arc::new(resolved(1)))), ["0 pi-1-1 withdrawn"]);
    assert_eq!(line.until(60), ["5 send pi-1-resolved +1"]);
    assert_eq!(line.handle(Input::Sent), ["60 pi-1-resolved sent"]);

    line.page(2, 1, Severity::Warning);
    assert_eq!(line.handle(Input::Acknowledged(AlertId(2))), [""; 0], "it is under way");
    assert_eq!(line.handle(down()), ["60 pi-2-1 withdrawn"]);
    assert_eq!(line.queue.deadline(), None);
    line.page(3, 1, Severity::Warning);
    line.page(4, 1, Severity::Warning);
    assert_eq!(line.handle(Input::Acknowledged(AlertId(4))), ["60 pi-4-1 withdrawn"]);
}

#[test]
fn what_waits_too_long_is_counted_in_what_is_told_next() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    line.handle(failure(true, Some(Span::from_mins(60)), false));
    for _ in 0..11 {
        line.until(line.queue.deadline().unwrap().0 / 1000);
        line.handle(failure(true, Some(Span::from_mins(60)), false));
    }
    assert_eq!(line.until(12 * 3600 + 10), ["43200 pi-1-1 expired"]);
    assert_eq!(line.page(2, 1, Severity::Warning), ["43210 send pi-2-1 untold 1"]);
    line.handle(Input::Sent);
    assert_eq!(line.page(3, 1, Severity::Warning), ["43210 send pi-3-1"]);
}

#[test]
fn what_cannot_be_told_at_all_does_not_hold_up_the_rest() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    line.page(2, 1, Severity::Warning);
    assert_eq!(line.handle(failure(false, None, false)), ["0 pi-1-1 failed"]);
    assert_eq!(line.until(5), ["5 send pi-2-1 untold 1"]);
}

#[test]
fn what_is_refused_is_tried_a_few_times_beside_the_others_and_then_given_up() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Urgent);
    assert_eq!(line.handle(refused()), ["0 pi-1-1 retrying"]);
    line.page(2, 1, Severity::Warning);
    assert_eq!(line.until(5), ["5 send pi-2-1"], "it waits for no other");
    assert_eq!(line.handle(Input::Sent), ["5 pi-2-1 sent", "5 send pi-1-1"]);
    let mut tries = Vec::new();
    for _ in 2..REFUSED_TRIES {
        assert_eq!(line.handle(refused()), [format!("{} pi-1-1 retrying", line.now / 1000)]);
        let due = line.queue.deadline().unwrap().0 / 1000;
        assert_eq!(line.until(due), [format!("{due} send pi-1-1")]);
        tries.push(due);
    }
    assert_eq!(tries, [15, 35, 75, 155]);
    assert_eq!(line.handle(refused()), ["155 pi-1-1 failed"]);
    assert_eq!(line.page(3, 1, Severity::Warning), [""; 0]);
    assert_eq!(line.until(200), ["160 send pi-3-1 untold 1"]);
}

#[test]
fn a_digest_that_is_refused_is_taken_apart() {
    let mut line = Line::new(Limits { max_per_hour: Some(8), ..REMOTE });
    for alert in 1..=9 {
        line.page(alert, 1, Severity::Warning);
    }
    for _ in 0..2 {
        line.handle(Input::Sent);
    }
    let digest = line.handle(Input::Sent);
    assert_eq!(digest, ["0 pi-3-1 sent", "0 send pi-4-1, pi-5-1, pi-6-1, pi-7-1, pi-8-1, pi-9-1"]);
    line.handle(refused());
    assert_eq!(line.until(5), ["5 send pi-4-1, pi-5-1, pi-6-1, pi-7-1, pi-8-1, pi-9-1"]);
    line.handle(refused());
    assert_eq!(line.until(15), ["15 send pi-4-1"], "the fault may be one's alone");
}

#[test]
fn past_the_cap_the_rest_becomes_a_digest() {
    let mut line = Line::new(REMOTE);
    let mut sent = Vec::new();
    for alert in 1..=6 {
        sent.extend(line.page(alert, 1, Severity::Warning));
    }
    assert_eq!(sent, ["0 send pi-1-1"]);
    assert_eq!(
        line.handle(Input::Sent),
        ["0 pi-1-1 sent", "0 send pi-2-1, pi-3-1, pi-4-1, pi-5-1, pi-6-1"],
        "half of four at once, the last of them with all that waits"
    );
    assert_eq!(line.handle(Input::Sent).len(), 5);
    line.page(7, 1, Severity::Preventive);
    line.page(8, 1, Severity::Urgent);
    assert_eq!(line.until(3600), ["1800 send pi-8-1, pi-7-1"]);
}

#[test]
fn too_many_waiting_lose_the_least_and_say_so() {
    let mut line = Line::new(NO_CAP);
    line.page(1, 1, Severity::Warning);
    let mut dropped = Vec::new();
    for alert in 2..300 {
        let severity = if alert % 2 == 0 { Severity::Critical } else { Severity::Preventive };
        dropped.extend(line.page(alert, 1, severity));
    }
    assert_eq!(dropped.len(), 298 - MAX_WAITING);
    assert!(dropped.iter().all(|said| said.ends_with("dropped")) && dropped[0] == "0 pi-3-1 dropped", "{dropped:?}");
    assert_eq!(line.handle(Input::Sent)[1], format!("0 send pi-2-1 untold {}", dropped.len()));
}

/// Guards against: 59 pages given up, since all of them together were too large.
#[test]
fn what_is_too_large_together_goes_in_smaller_digests_and_alone() {
    let mut line = Line::new(REMOTE);
    for alert in 1..=60 {
        line.page(alert, 1, Severity::Warning);
    }
    let (mut sent, mut said, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    while line.now < 20 * 3_600_000 && sent.len() < 60 {
        let in_flight = line.queue.in_flight.as_ref().map(|in_flight| in_flight.message.items.clone());
        match in_flight {
            // The other side takes eight at once.
            Some(items) if items.len() > 8 => said.extend(line.handle(failure(false, None, false))),
            Some(items) => {
                sizes.push(items.len());
                sent.extend(items.iter().map(|item| item.notification.id.clone()));
                said.extend(line.handle(Input::Sent));
            }
            None => {
                let due = line.queue.deadline().expect("it comes again").0 / 1000 + 1;
                said.extend(line.until(due));
            }
        }
    }
    assert_eq!(sent.len(), 60, "{sizes:?}");
    assert!(!said.iter().any(|said| said.ends_with("failed") || said.ends_with("expired")), "{said:?}");
    assert!(sizes.iter().any(|size| *size > 1), "{sizes:?}");
    // A message that is too large by itself is given up.
    let mut line = Line::new(REMOTE);
    line.page(1, 1, Severity::Warning);
    assert_eq!(line.handle(failure(false, None, false)), ["0 pi-1-1 failed"]);
}

proptest! {
    /// In every order of events each notice has one end, and each parcel goes alone.
    #[test]
    fn every_notice_comes_to_one_end(
        steps in prop::collection::vec((0..7u8, 0..400i64, 1..6u64), 1..120),
        cap in prop::option::of(1..20u32),
    ) {
        let mut queue = Queue::new(Limits { max_per_hour: cap, expiry: Some(Span::from_mins(20)) });
        let (mut now, mut in_flight, mut pages) = (0, false, BTreeMap::new());
        let mut open: BTreeMap<String, u32> = BTreeMap::new();
        let mut sends: Vec<i64> = Vec::new();
        for (what, wait, alert) in steps {
            now += wait * 1000;
            let input = match what {
                0 | 1 => {
                    let number = pages.entry(alert).and_modify(|number| *number += 1).or_insert(1_u32);
                    let notification = page(alert, *number, Severity::ALL[alert as usize % 4], Cause::Fired);
                    open.insert(notification.id.clone(), 0);
                    Input::Notification(Arc::new(notification))
                }
                2 => Input::Acknowledged(AlertId(alert)),
                3 if in_flight => down(),
                4 if in_flight => failure(false, None, false),
                6 if in_flight => refused(),
                5 if in_flight => { sends.push(now); Input::Sent }
                _ => Input::Tick,
            };
            if matches!(input, Input::Sent | Input::Failed(_)) {
                in_flight = false;
            }
            queue.handle(Uptime(now), input);
            while let Some(effect) = queue.poll() {
                match effect {
                    Effect::Send(message) => {
                        prop_assert!(!in_flight && !message.items.is_empty());
                        in_flight = true;
                    }
                    Effect::Outcome(outcome) | Effect::GivenUp(_, outcome) if outcome.status.is_final() => {
                        *open.get_mut(&outcome.notification).unwrap() += 1;
                    }
                    Effect::Outcome(_) | Effect::GivenUp(..) => {}
                }
            }
            prop_assert!(open.values().all(|ends| *ends <= 1), "{open:?}");
            let unfinished = open.values().filter(|ends| **ends == 0).count();
            prop_assert_eq!(unfinished, queue.waiting());
        }
        if let Some(cap) = cap {
            for from in &sends {
                let in_hour = sends.iter().filter(|at| (*from..from + 3_600_000).contains(*at)).count();
                prop_assert!(in_hour <= cap as usize + 1, "one of them may have left before the hour");
            }
        }
    }
}

#[test]
fn a_message_that_did_not_arrive_is_given_up_unless_the_alert_has_gone_on_since() {
    let mut line = Line::new(NO_CAP);
    let lost = |line: &mut Line, id: &str| line.handle(Input::Lost(id.to_owned(), "no phone has it".to_owned()));
    for alert in 1..=2 {
        line.page(alert, 1, Severity::Urgent);
        line.handle(Input::Sent);
    }
    assert_eq!(lost(&mut line, "pi-1-1"), ["0 pi-1-1 failed"]);
    assert_eq!(lost(&mut line, "pi-1-1"), [""; 0], "once");
    line.handle(Input::Acknowledged(AlertId(2)));
    assert_eq!(lost(&mut line, "pi-2-1"), [""; 0], "somebody took it on");
    assert_eq!(line.page(3, 1, Severity::Urgent), ["0 send pi-3-1 untold 1"]);
}
