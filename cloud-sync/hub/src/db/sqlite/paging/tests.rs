use super::*;
use crate::db::sqlite::tests::in_memory;
use crate::db::sqlite::{devices, keys};

fn at(minute: i64) -> WallTime {
    WallTime(minute * 60_000)
}

#[test]
fn devices_that_may_speak_are_watched_with_their_limit_and_newest_silence() {
    let connection = in_memory();
    let id = |name: &str| Id::new(name).unwrap();
    let tenant = devices::add_tenant(&connection, &id("acme"), at(0)).unwrap().unwrap();
    let device = devices::add(&connection, tenant, &id("pi-7"), at(0)).unwrap().unwrap();
    keys::add(&connection, "k", b"hash", (tenant, Some(device)), at(0)).unwrap();
    let only = |now: i64| -> Option<MonitoredDevice> {
        let mut tenants = monitored(&connection, at(now)).unwrap();
        tenants.pop().and_then(|mut tenant| tenant.devices.pop())
    };
    let paging = Paging { channel: Some("{}".to_owned()), silent_after: None };
    set(&connection, tenant, &paging).unwrap();
    assert_eq!(only(0), None, "never heard");
    devices::heard(&connection, device, None, at(1)).unwrap();
    let contact = Contact { last_heard: at(1), limit: DEFAULT_LIMIT, recent_pages: 0, silence: None };
    let monitored = only(2).unwrap();
    assert_eq!((monitored.context.id(), monitored.context.name(), monitored.contact), (device, &id("pi-7"), contact));
    assert_eq!((monitored.context.tenant().id(), monitored.context.tenant().client()), (tenant, &id("acme")));

    set(&connection, tenant, &Paging { silent_after: Some(Span::from_mins(30)), ..paging.clone() }).unwrap();
    assert_eq!(only(2).unwrap().contact.limit, Span::from_mins(30));
    set_limit(&connection, device, Span::from_mins(60)).unwrap();
    assert_eq!(only(2).unwrap().contact.limit, Span::from_mins(60));

    let number = begin(&connection, device, at(1), at(61)).unwrap();
    let other = devices::add(&connection, tenant, &id("pi-8"), at(0)).unwrap().unwrap();
    note(&connection, (other, number), SilenceStep::Ended, at(62)).unwrap();
    note(&connection, (device, number), SilenceStep::Paged, at(62)).unwrap();
    let mut silence = Silence { number, since: at(1), ended: None, is_paged: true, is_end_paged: false };
    assert_eq!(only(62).unwrap().contact.silence, Some(silence), "another device ends no silence of this one");
    note(&connection, (device, number), SilenceStep::Ended, at(70)).unwrap();
    note(&connection, (device, number), SilenceStep::Ended, at(71)).unwrap();
    silence.ended = Some(at(70));
    let contact = only(120).unwrap().contact;
    assert_eq!((contact.silence, contact.recent_pages), (Some(silence), 1), "the first time stays");
    assert_eq!(only(122).unwrap().contact.recent_pages, 0, "an hour later");

    for minute in 200..200 + MAX_KEPT {
        begin(&connection, device, at(minute), at(minute)).unwrap();
    }
    let kept: i64 = connection.query_row("SELECT count(*) FROM silences", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, MAX_KEPT);
    keys::revoke(&connection, device, at(400)).unwrap();
    assert_eq!(only(401), None, "its keys are revoked");
    set(&connection, tenant, &Paging::default()).unwrap();
    assert_eq!(of_tenant(&connection, tenant).unwrap(), Paging::default());
}
