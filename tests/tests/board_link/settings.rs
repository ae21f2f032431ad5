//! Settings of channels and relays: the configuration states them, the agent sends them, the board keeps them.

use std::fs;
use std::path::Path;

use tilth_firmware::RECORD_LEN;
use tilth_wire::{ChannelKind, Decoder, MAX_FRAME_TO_BOARD, SetChannel, SetRelay, ToBoard, UNLIMITED};

use super::*;

/// A sensor on channel 7, which nothing is wired to at first.
const WATER: &str = "[sensors.'room/water']\nquantity = 'water_temperature'\ninput = 'board:one/7'\nmax_rate = 1000\n";

/// What a board keeps, in the order of its slots.
fn kept(settings: &Path) -> Vec<ToBoard> {
    let bytes = fs::read(settings).unwrap_or_default();
    let message = |record: &[u8]| {
        let mut decoder: Decoder<MAX_FRAME_TO_BOARD> = Decoder::new();
        record.iter().find_map(|byte| decoder.push(*byte)?.ok().map(ToBoard::decode)?.ok())
    };
    bytes.chunks(RECORD_LEN).filter_map(message).collect()
}

/// What a board keeps of a channel: kind, milliseconds, and oversampling.
fn channel(settings: &Path, number: u8) -> Option<(ChannelKind, u32, u8)> {
    kept(settings).into_iter().find_map(|kept| match kept {
        ToBoard::SetChannel(SetChannel { channel, kind, interval, oversampling, .. }) if channel == number => {
            Some((kind, interval, oversampling))
        }
        _ => None,
    })
}

fn relays(settings: &Path) -> Vec<SetRelay> {
    let relays = kept(settings).into_iter();
    relays.filter_map(|kept| if let ToBoard::SetRelay(set) = kept { Some(set) } else { None }).collect()
}

fn wired(kind: &str, interval: &str) -> String {
    format!("[bus.one.channels.7]\nkind = '{kind}'\ninterval = '{interval}'")
}

#[test]
fn what_a_channel_measures_and_how_often_changes_with_the_file_and_stays_with_the_board() {
    let mut farm = farm("board-settings", [("board-one", ""), ("board-two", "")]);
    farm.folder.write("etc/config.d/water.toml", WATER);
    let settings = path(&farm, "one");
    let mut one = HostBoard::start(&text(&farm, "board-one"), &settings);
    one.command("value 7 18000");
    farm.launch();
    until_shown(&mut farm, "room/temp", 21.5);
    farm.until("the channel is said to be off", |farm| farm.log().contains("channel 7 of the board is off"));

    write_buses(&farm, [("board-one", &wired("ds18b20", "1h")), ("board-two", "")]);
    until_shown(&mut farm, "room/water", 18.0);
    assert_eq!(channel(&settings, 7), Some((ChannelKind::Ds18b20, 3_600_000, 6)));
    // The next measurement is an hour away, until the interval is another one.
    one.command("value 7 19000");
    write_buses(&farm, [("board-one", &wired("ds18b20", "1s")), ("board-two", "")]);
    until_shown(&mut farm, "room/water", 19.0);
    assert_eq!(channel(&settings, 7), Some((ChannelKind::Ds18b20, 1_000, 6)));
    let of_board = bus(&farm, "one");
    assert_eq!((&of_board["opened"], &of_board["failures"]), (&1.into(), &0.into()), "expected the bus to stay open");
    assert_eq!((&of_board["board"]["restarts"], &of_board["board"]["unanswered"]), (&0.into(), &0.into()));

    // Without the table, another agent and a board that lost its power: the board has kept it.
    farm.stop();
    drop(one);
    let _ = fs::remove_file(path(&farm, "board-one"));
    write_buses(&farm, [("board-one", ""), ("board-two", "")]);
    let mut one = HostBoard::start(&text(&farm, "board-one"), &settings);
    one.command("value 7 20000");
    farm.launch();
    until_shown(&mut farm, "room/water", 20.0);
}

#[test]
fn a_setting_that_the_board_refuses_is_said_with_what_to_do_and_others_hold() {
    let channels = "[bus.one.channels.9]\nkind = 'analog'\n[bus.one.channels.7]\nkind = 'ds18b20'\ninterval = '1s'";
    let mut farm = farm("board-refused", [("board-one", channels), ("board-two", "")]);
    farm.folder.write(
        "etc/config.d/water.toml",
        format!("{WATER}[sensors.'room/ph']\nquantity = 'ph'\ninput = 'board:one/9'"),
    );
    let mut one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    one.command("value 7 18000");
    farm.launch();
    until_shown(&mut farm, "room/water", 18.0);
    farm.until("the refusal is shown", |farm| !bus(farm, "one")["board"]["refused"][0].is_null());
    let refusal =
        "the board refuses channel 9 as analog every 10s: it has no such channel; correct the number in agent.toml";
    assert!(bus(&farm, "one")["board"]["refused"][0].as_str().unwrap().starts_with(refusal), "{}", bus(&farm, "one"));
    assert!(farm.log().contains(refusal) && farm.shown().contains(refusal), "{}\n{}", farm.log(), farm.shown());
    assert!(farm.log().contains("room/ph") && farm.log().contains("the board has no channel 9"), "{}", farm.log());
}

#[test]
fn the_limits_of_actuators_are_those_of_their_relays_on_the_board() {
    let mut farm = farm("board-limits", [("board-one", ""), ("board-two", "")]);
    let actuators = |max_on| {
        format!(
            "[actuators.acid]\nzone = 'room'\noutput = 'board:one/relay-0'\nmax_on = '{max_on}'\nmin_off = '10m'\n\
             [actuators.siren]\nzone = 'room'\noutput = 'board:one/relay-2'\nnormally_energised = true\n\
             [notifications.siren]\nkind = 'siren'\nactuator = 'siren'\n"
        )
    };
    farm.folder.write("etc/config.d/actuators.toml", actuators("3s"));
    let settings = path(&farm, "one");
    let mut one = HostBoard::start(&text(&farm, "board-one"), &settings);
    farm.launch();
    assert_eq!(one.switched(), (2, true), "expected the siren's relay to rest energised");
    let is_kept = |max_on| {
        // The board insists on a little less of the pause, for its clock may be slow; relay 0 excludes relay 1 by its wiring.
        let pump = SetRelay { command: 0, relay: 0, max_on, min_off: 588_000, link_timeout: 10_000, excludes: 0b10 };
        move |settings: &Path| relays(settings).contains(&pump)
    };
    farm.until("the board has the limits of the pump", |_| is_kept(3_000)(&settings));
    farm.folder.write("etc/config.d/actuators.toml", actuators("5s"));
    farm.until("the board has the limits of the changed file", |_| is_kept(5_000)(&settings));
    assert!(relays(&settings).iter().all(|set| set.relay != 2 || set.max_on == UNLIMITED), "{:?}", relays(&settings));
}

/// A flow meter of 450 pulses per litre, read once a minute.
#[test]
fn pulses_of_a_flow_meter_are_litres_per_minute() {
    let channel = "[bus.one.channels.5]\nkind = 'pulses'\npulses_per_litre = 450\ninterval = '1m'";
    let mut farm = farm("board-flow", [("board-one", channel), ("board-two", "")]);
    farm.folder.write("etc/config.d/flow.toml", "[sensors.'room/flow']\nquantity = 'flow'\ninput = 'board:one/5'\n");
    let mut one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    one.command("value 5 100000");
    farm.launch();
    until_shown(&mut farm, "room/flow", 0.0);
    one.command("value 5 100900");
    until_shown(&mut farm, "room/flow", 2.0);
    until_shown(&mut farm, "room/flow", 0.0);
}
