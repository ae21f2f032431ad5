//! Pages that a channel does not take: told later where that helps, and by another channel where it does not.

use crate::receiver::Receiver;
use crate::room::{Agent, Board, FARM, Room};

/// A room at 31.5 for longer than its rule waits; its people are told by a phone alone. A minute is a second.
fn too_high(name: &str, phone: &Receiver) -> (Room, Board, Agent) {
    let farm = FARM.replace("stamp = 'source'", "")
        + &format!(
            "[notifications.phone]\nkind = 'ntfy'\nurl = '{}'\ntopic = 'farm'\n\
            [escalation.default.warning]\nwait = '2h'\nchannels = ['phone']\n",
            phone.url
        );
    let room = Room::new(name, &farm);
    let mut board = room.plug_in();
    let agent = room.start("x60");
    room.wait_for_bus("up");
    board.say("{\"level\":31.5}\n");
    (room, board, agent)
}

/// Guards against: a server that answers 400, a page that is dropped for good, and only `status` says so.
#[test]
fn a_page_that_a_server_always_refuses_is_told_by_another_channel_and_is_an_event() {
    let phone = Receiver::start();
    phone.answer("400 Bad Request");
    let (room, mut board, agent) = too_high("undelivered", &phone);
    let told = agent.wait_for_told(1);
    let page = phone.heard()[0].header("x-tilth-notification").to_owned();
    assert!(page.starts_with("pi-7-1-1-"), "{page}");
    let instead = format!("notify {page}-instead-of-phone: Warning: level 31.5 in room, limit 30 (");
    assert!(told[0].starts_with(&instead), "{told:?}");
    assert!(told[0].contains("Channel phone could not deliver this: answered 400 Bad Request"), "{told:?}");
    let tries = phone.heard().len();
    assert!(tries > 1, "it might have been taken later");
    assert!(phone.heard().iter().all(|heard| heard.header("x-tilth-notification") == page));
    agent.wait_for_log(&format!(
        "tilth-agent: notify phone: notification {page} given up after 6 attempts (answered 400 Bad Request); channel log \
         sends it instead\n"
    ));
    room.wait_for_bytes(&["data/tilth.db", "data/tilth.db-wal"], b"undelivered");
    phone.answer("200 OK");
    board.say("{\"level\":20}\n");
    let told = agent.wait_for_told(2);
    assert!(told[1].starts_with("notify pi-7-1-resolved-"), "{told:?}");
    assert!(phone.wait_for(tries + 1)[tries].header("title").starts_with("Resolved: "));
}

#[test]
fn a_page_that_a_server_refuses_for_a_while_is_told_when_it_takes_it() {
    for (number, status) in [
        "400 Bad Request",
        "413 Content Too Large\r\nRetry-After: 30",
        "429 Too Many Requests\r\nRetry-After: 60",
        "404 Not Found",
        "308 Permanent Redirect\r\nLocation: http://127.0.0.1:9/",
    ]
    .into_iter()
    .enumerate()
    {
        let phone = Receiver::start();
        phone.answer(status);
        let (_room, _board, agent) = too_high(&format!("refused-{number}"), &phone);
        phone.wait_for(1);
        phone.answer("200 OK");
        let heard = phone.wait_for(2);
        assert!(heard[1].header("title").ends_with("Warning: level 31.5 in room, limit 30"), "{status}: {heard:#?}");
        assert!(heard[1].body.contains("level-high, room/level"), "{status}: {heard:#?}");
        assert_eq!(agent.told(), Vec::<String>::new(), "{status}");
    }
}
