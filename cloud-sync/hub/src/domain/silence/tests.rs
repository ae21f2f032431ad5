use super::*;

const LIMIT: Span = Span::from_mins(15);

fn at(minute: i64) -> WallTime {
    WallTime(minute * 60_000)
}

fn device(last_heard: i64, silence: Option<Silence>) -> Contact {
    Contact { last_heard: at(last_heard), limit: LIMIT, recent_pages: 0, silence }
}

fn silence(since: i64, is_paged: bool) -> Silence {
    Silence { number: 1, since: at(since), ended: None, is_paged, is_end_paged: false }
}

/// A hub that has looked every ten seconds from one minute to another.
fn monitor(from: i64, until: i64) -> Monitor {
    let mut monitor = Monitor::new(at(from));
    (from * 6..=until * 6).for_each(|tens| monitor.tick(WallTime(tens * 10_000), true));
    monitor
}

#[test]
fn a_device_is_paged_once_and_once_when_it_is_back() {
    let none = HashSet::new();
    let hub = monitor(0, 115);
    assert_eq!(hub.check(&device(100, None), &none, WallTime(at(115).0 - 1)), None);
    assert_eq!(hub.check(&device(100, None), &none, at(115)), Some(Finding::Silent { since: at(100) }));
    let paged = silence(100, true);
    assert_eq!(hub.check(&device(100, Some(paged)), &none, at(300)), None, "also after a restart");
    assert_eq!(hub.check(&device(301, Some(paged)), &none, at(301)), Some(Finding::Ended(paged)));
    let over = Silence { ended: Some(at(301)), ..paged };
    assert_eq!(hub.check(&device(301, Some(over)), &none, at(302)), Some(Finding::EndUnsent(over)));
    assert_eq!(
        hub.check(&device(301, Some(over)), &HashSet::from([(1, SilenceStep::EndPaged)]), at(302)),
        None,
        "it is on its way"
    );
    let told = Silence { is_end_paged: true, ..over };
    assert_eq!(hub.check(&device(301, Some(told)), &none, at(302)), None);
    assert_eq!(hub.check(&device(301, Some(told)), &none, at(316)), Some(Finding::Silent { since: at(301) }));
}

#[test]
fn a_hub_that_was_away_does_not_page_for_that() {
    let none = HashSet::new();
    let heard_long_ago = device(100, None);
    let mut hub = Monitor::new(at(500));
    assert_eq!(hub.check(&heard_long_ago, &none, at(500)), None, "it was off");
    hub = monitor(500, 515);
    assert_eq!(hub.check(&heard_long_ago, &none, at(515)), Some(Finding::Silent { since: at(100) }));
    hub.tick(at(600), true);
    assert_eq!(hub.check(&heard_long_ago, &none, at(600)), None, "it was suspended");
    let mut hub = monitor(500, 515);
    hub.tick(at(515), false);
    assert_eq!(hub.check(&heard_long_ago, &none, at(515)), None, "its disk was full");
    let mut hub = monitor(500, 515);
    hub.tick(at(514), true);
    assert_eq!(hub.check(&heard_long_ago, &none, at(514)), None, "its clock was set back");
}

#[test]
fn a_page_that_may_not_have_been_sent_goes_again_if_the_device_is_still_silent() {
    let unsent = silence(100, false);
    let none = HashSet::new();
    let hub = Monitor::new(at(116));
    assert_eq!(hub.check(&device(100, Some(unsent)), &none, at(116)), None, "the hub has just started");
    let hub = monitor(116, 131);
    assert_eq!(hub.check(&device(100, Some(unsent)), &none, at(131)), Some(Finding::PageUnsent(unsent)));
    assert_eq!(hub.check(&device(100, Some(unsent)), &HashSet::from([(1, SilenceStep::Paged)]), at(131)), None);
}

#[test]
fn a_link_that_comes_and_goes_pages_a_few_times_an_hour() {
    let hub = monitor(0, 115);
    let often = Contact { recent_pages: MAX_PER_HOUR, ..device(100, None) };
    assert_eq!(hub.check(&often, &HashSet::new(), at(115)), None);
    let less = Contact { recent_pages: MAX_PER_HOUR - 1, ..often };
    assert_eq!(hub.check(&less, &HashSet::new(), at(115)), Some(Finding::Silent { since: at(100) }));
}
