//! Timelines of several channels side by side.

use tilth_config::{SecretName, Target};
use tilth_core::escalate::Cause;
use tilth_core::plan::Severity;
use tilth_notify::message::{Failure, Item, Retry};

use super::super::tests::{page, resolved};
use super::*;

/// A channel without a cap to a server of its own.
fn remote(name: &str) -> (Id, Channel) {
    let target = Target::Webhook { url: format!("https://{name}.example") };
    (id(name), Channel { target, secret: SecretName::new("hook"), max_per_hour: None, blocked: None })
}

fn id(name: &str) -> Id {
    Id::new(name).unwrap()
}

fn words(effect: &queue::Effect) -> String {
    match effect {
        queue::Effect::Send(message) => {
            let item = |item: &Item| {
                let repeat = if item.repeat { " repeat" } else { "" };
                let earlier = if item.earlier > 0 { format!(" +{}", item.earlier) } else { String::new() };
                format!("{}{earlier}{repeat}", item.notification.id)
            };
            let items: Vec<String> = message.items.iter().map(item).collect();
            let untold =
                if message.undelivered > 0 { format!(" untold {}", message.undelivered) } else { String::new() };
            format!("send {}{untold}", items.join(", "))
        }
        queue::Effect::Outcome(outcome) | queue::Effect::GivenUp(_, outcome) => {
            let instead = outcome.instead.as_ref().map_or(String::new(), |channel| format!(", {channel} instead"));
            format!("{} {}{instead}", outcome.notification, outcome.status.name())
        }
    }
}

#[test]
fn one_channel_that_is_down_delays_no_other_and_those_who_were_paged_hear_the_end() {
    let mut dispatch = Dispatch::default();
    let mut step = |secs: i64, input| -> Vec<String> {
        dispatch.handle(Uptime(secs * 1000), input);
        std::iter::from_fn(|| dispatch.poll())
            .map(|(channel, effect)| format!("{channel} {}", words(&effect)))
            .collect()
    };
    let sent = |channel| Input::Channel(id(channel), queue::Input::Sent);
    let with = |names: &[&str]| {
        Input::Request(Request::Channels(names.iter().copied().map(remote).collect(), ChannelsByAlert::default()))
    };
    let page_by = |page, channels| Input::Request(Request::Page(Box::new(page), channels));
    let resolved = |alert| Input::Request(Request::Resolved(Box::new(resolved(alert))));
    step(0, with(&["log", "phone", "unused"]));
    let first = page(1, 1, Severity::Urgent, Cause::Fired);
    let down =
        Failure { reason: "down".to_owned(), retry: Retry::UntilExpired, retry_after: None, may_have_arrived: false };
    assert_eq!(step(0, page_by(first, vec![id("log"), id("phone")])), ["log send pi-1-1", "phone send pi-1-1"]);
    assert_eq!(step(0, Input::Channel(id("phone"), queue::Input::Failed(down))), ["phone pi-1-1 retrying"]);
    assert_eq!(step(1, sent("log")), ["log pi-1-1 sent"]);
    let second = page(2, 1, Severity::Urgent, Cause::Fired);
    assert_eq!(
        step(2, page_by(second, vec![id("log"), id("gone")])),
        ["gone pi-2-1 failed, log instead", "log send pi-2-1", "log pi-2-1-instead-of-gone replaced"]
    );
    assert_eq!(step(3, sent("log")), ["log pi-2-1 sent"]);
    assert_eq!(step(4, resolved(1)), ["log send pi-1-resolved", "phone pi-1-1 withdrawn"]);
    assert_eq!(step(5, Input::Tick), ["phone send pi-1-resolved +1"]);
    assert_eq!(step(6, resolved(7)), [""; 0], "nobody was told");
    step(7, Input::Request(Request::Paged(AlertId(8), vec![id("unused")])));
    assert_eq!(step(8, resolved(8)), ["unused send pi-8-resolved"], "told before the restart");
    assert_eq!(step(9, with(&["log"])), [""; 0], "what is under way is awaited");
}

/// Several channels, each of which fails or is taken away.
struct House {
    dispatch: Dispatch,
    blocked: BTreeSet<Id>,
}

impl House {
    fn new(channels: &[&str]) -> House {
        let mut house = House { dispatch: Dispatch::default(), blocked: BTreeSet::new() };
        house.set(channels, &[]);
        house
    }

    fn set(&mut self, channels: &[&str], level_of_1: &[&str]) -> Vec<String> {
        let channels = channels.iter().copied().map(remote).map(|(id, channel)| {
            let blocked = self.blocked.contains(&id).then(|| "its secret goes elsewhere".to_owned());
            (id, Channel { blocked, ..channel })
        });
        let channels_by_alert = BTreeMap::from([(AlertId(1), level_of_1.iter().copied().map(id).collect())]);
        self.step(Input::Request(Request::Channels(channels.collect(), channels_by_alert)))
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        self.dispatch.handle(Uptime(0), input);
        let said = std::iter::from_fn(|| self.dispatch.poll());
        said.map(|(channel, effect)| format!("{channel} {}", words(&effect))).collect()
    }

    fn page(&mut self, channels: &[&str], others: &[&str]) -> Vec<String> {
        let ids = |names: &[&str]| names.iter().map(|name| id(name)).collect::<Vec<_>>();
        let page = Notification { others: ids(others), ..page(1, 1, Severity::Urgent, Cause::Fired) };
        self.step(Input::Request(Request::Page(Box::new(page), ids(channels))))
    }

    fn fails(&mut self, channel: &str) -> Vec<String> {
        let retry = Retry::Never;
        let failure = Failure { reason: "answered 400".to_owned(), retry, retry_after: None, may_have_arrived: false };
        self.step(Input::Channel(id(channel), queue::Input::Failed(failure)))
    }
}

#[test]
fn what_a_channel_gives_up_each_other_is_asked_to_tell_once_and_then_nobody_is() {
    let mut house = House::new(&["any", "level", "phone", "policy"]);
    assert_eq!(house.page(&["phone"], &["phone", "level", "policy"]), ["phone send pi-1-1"]);
    assert_eq!(house.fails("phone"), ["phone pi-1-1 failed, level instead", "level send pi-1-1-instead-of-phone"]);
    assert_eq!(
        house.fails("level"),
        ["level pi-1-1-instead-of-phone failed, policy instead", "policy send pi-1-1-instead-of-level"]
    );
    assert_eq!(
        house.fails("policy"),
        ["policy pi-1-1-instead-of-level failed, any instead", "any send pi-1-1-instead-of-policy"]
    );
    assert_eq!(house.fails("any"), ["any pi-1-1-instead-of-policy failed"]);
}

#[test]
fn in_place_of_a_channel_one_tells_that_works_and_none_that_may_not() {
    let mut house = House::new(&["a", "b", "log", "phone"]);
    house.blocked = BTreeSet::from([id("a")]);
    house.set(&["a", "b", "log", "phone"], &[]);
    // The second has failed before, and what it has to tell waits.
    let failing = page(9, 1, Severity::Urgent, Cause::Fired);
    house.step(Input::Request(Request::Page(Box::new(failing), vec![id("b")])));
    let down =
        Failure { reason: "down".to_owned(), retry: Retry::UntilExpired, retry_after: None, may_have_arrived: false };
    house.step(Input::Channel(id("b"), queue::Input::Failed(down)));
    house.page(&["phone"], &["phone"]);
    assert_eq!(house.fails("phone"), ["phone pi-1-1 failed, log instead", "log send pi-1-1-instead-of-phone"]);
    // With no other that works, the one that is tried again; never the one that may not.
    house.set(&["a", "b", "phone"], &[]);
    assert_eq!(house.fails("log"), ["log pi-1-1-instead-of-phone failed, b instead"]);
    let mut house = House::new(&["a", "phone"]);
    house.blocked = BTreeSet::from([id("a")]);
    house.set(&["a", "phone"], &[]);
    house.page(&["phone"], &[]);
    assert_eq!(house.fails("phone"), ["phone pi-1-1 failed"]);
}

#[test]
fn what_waits_or_is_under_way_on_a_channel_that_goes_is_told_by_the_level_of_now() {
    let mut house = House::new(&["log", "phone"]);
    house.page(&["phone"], &[]);
    // Under way: it may still arrive.
    assert_eq!(house.set(&["log", "mobile"], &["mobile"]), [""; 0]);
    assert_eq!(house.fails("phone"), ["phone pi-1-1 failed, mobile instead", "mobile send pi-1-1-instead-of-phone"]);
    house.step(Input::Channel(id("mobile"), queue::Input::Sent));
    assert_eq!(house.step(Input::Request(Request::Resolved(Box::new(resolved(1))))), ["mobile send pi-1-resolved"]);

    let mut house = House::new(&["log", "phone"]);
    house.page(&["phone"], &[]);
    house.step(Input::Channel(id("phone"), queue::Input::Sent));
    house.set(&["log", "mobile"], &["mobile"]);
    assert_eq!(
        house.step(Input::Request(Request::Resolved(Box::new(resolved(1))))),
        ["mobile send pi-1-resolved"],
        "who told is gone"
    );
}

#[test]
fn a_page_that_arrived_nowhere_after_all_is_sent_by_another_channel() {
    let mut house = House::new(&["phone", "sms"]);
    house.page(&["sms"], &["sms", "phone"]);
    assert_eq!(house.step(Input::Channel(id("sms"), queue::Input::Sent)), ["sms pi-1-1 sent"]);
    let lost = Input::Channel(id("sms"), queue::Input::Lost("pi-1-1".to_owned(), "SMS did not arrive".to_owned()));
    assert_eq!(house.step(lost), ["sms pi-1-1 failed, phone instead", "phone send pi-1-1-instead-of-sms"]);
}
