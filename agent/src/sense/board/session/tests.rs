//! Timelines of a board and its line: each edge of the chart, and what lines and boards do wrong.

mod restarts;

use tilth_core::actuator::Output;
use tilth_core::id::Id;
use tilth_core::time::Span;
use tilth_wire::{
    Ack, Batch, BoardKind, ChannelKind, CommandError, Reading, Refusal, ResetCause, SetChannel, SetRelay, Switch,
    UNLIMITED, Unit,
};

use super::*;

const ID: BoardId = BoardId([1, 2, 3, 4, 5, 6, 7, 8]);
const CHANNELS: &[u8] = &[1, 0, 2, 1];

fn hello(at: u32, next: u32) -> FromBoard<'static> {
    FromBoard::Hello(Hello {
        protocol: 1,
        kind: BoardKind::Uno,
        firmware: [0, 1, 0],
        id: Some(ID),
        reset: ResetCause::PowerOn,
        at,
        next,
        relays: 2,
        channels: CHANNELS,
    })
}

fn heartbeat(at: u32, oldest: u32, next: u32) -> FromBoard<'static> {
    FromBoard::Heartbeat(Heartbeat { at, next, oldest, lost: 0, bad_frames: 0, on: 0 })
}

fn reading(seq: u32, at: u32, value: i32) -> FromBoard<'static> {
    FromBoard::Reading(Reading { seq, at, channel: 0, sample: Sample::Value(value) })
}

fn frame(message: &FromBoard<'_>) -> Vec<u8> {
    let mut out = [0; MAX_FRAME];
    message.encode(&mut out).unwrap().to_vec()
}

fn stored(through: u64) -> Input<'static> {
    Input::Stored(StoreProgress { stored: Some(through), dropped: 0 })
}

/// A session, and what it did last, a word each.
struct Timeline(Session);

impl Timeline {
    fn new() -> Timeline {
        let mut timeline = Timeline(Session::new(ID, None, 0));
        assert_eq!(timeline.input(0, Input::Opened), ["identify"]);
        timeline
    }

    /// A timeline whose board started at uptime 1,000 ms and is connected.
    fn connected() -> Timeline {
        let mut timeline = Timeline::new();
        assert_eq!(timeline.receive(1_000, &hello(0, 0)), ["heard 0", "connected"]);
        timeline
    }

    fn input(&mut self, now: i64, input: Input<'_>) -> Vec<String> {
        self.0.handle(Uptime(now), input);
        let word = |effect| match effect {
            Effect::Send(ToBoard::Identify) => "identify".to_owned(),
            Effect::Send(ToBoard::Heartbeat { heard }) => format!("heard {heard}"),
            Effect::Send(ToBoard::Received { through }) => format!("received {through}"),
            Effect::Send(ToBoard::SetId(_)) => "set id".to_owned(),
            Effect::Send(ToBoard::SetChannel(set)) => format!("set channel {} ({})", set.channel, set.command),
            Effect::Send(ToBoard::SetRelay(set)) => format!("set relay {} ({})", set.relay, set.command),
            Effect::Send(other) => format!("{other:?}"),
            Effect::Connected => "connected".to_owned(),
            Effect::Reading(ChannelReading { at, sample: Sample::Value(value), .. }) => format!("{value} at {}", at.0),
            Effect::Reading(ChannelReading { at, sample: Sample::Fault(fault), .. }) => {
                format!("{fault:?} at {}", at.0)
            }
            Effect::RequestAck(through, _) => format!("through {}:{}", through >> 32, through as u32),
            Effect::Outcome(outcome) => format!("{outcome:?}"),
            Effect::Log(Topic::Danger, text) => format!("logs danger: {text}"),
            Effect::Log(Topic::Loss, text) => format!("logs loss: {text}"),
            Effect::Log(Topic::State, text) => format!("logs {text}"),
            Effect::RefusalsChanged => "refusals".to_owned(),
            Effect::Down(why) => format!("down: {why}"),
            Effect::OtherBoard => "other board".to_owned(),
        };
        std::iter::from_fn(|| self.0.poll()).map(word).collect()
    }

    fn receive(&mut self, now: i64, message: &FromBoard<'_>) -> Vec<String> {
        self.input(now, Input::Bytes(&frame(message)))
    }

    fn second(&mut self, now: i64) -> Vec<String> {
        self.input(now, Input::Second)
    }
}

#[test]
fn a_board_is_asked_each_second_until_it_answers_and_then_told_each_second_that_it_is_heard() {
    let mut timeline = Timeline::new();
    assert_eq!(timeline.second(1_000), ["identify"]);
    assert_eq!(timeline.receive(1_100, &hello(50, 0)), ["heard 50", "connected"]);
    assert_eq!(timeline.receive(1_200, &reading(0, 10, 7)), ["7 at 1060", "through 0:0"]);
    assert_eq!(timeline.second(2_000), Vec::<String>::new(), "expected the Heartbeat after the Hello to be enough");
    assert_eq!(timeline.second(3_000), ["heard 50"]);
    assert_eq!(timeline.receive(3_100, &heartbeat(2_050, 0, 1)), ["heard 2050"]);
}

#[test]
fn readings_are_confirmed_once_they_are_stored_and_again_if_the_board_did_not_hear_it() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 90, 1));
    assert_eq!(timeline.receive(1_200, &reading(1, 190, 2)), ["2 at 1190", "through 0:1"]);
    assert_eq!(timeline.input(31_000, stored(1)), ["received 1"]);
    assert_eq!(timeline.receive(31_500, &heartbeat(30_500, 0, 2)), ["heard 30500", "received 1"]);
    assert_eq!(timeline.receive(32_500, &heartbeat(31_500, 2, 2)), ["heard 31500"]);
    assert_eq!(timeline.input(33_000, stored(7 << 32)), Vec::<String>::new(), "expected no through of another start");
}

/// Guards against: readings that the board forgets though they were never stored, without a word.
#[test]
fn values_that_the_store_dropped_are_said_and_confirmed_only_with_what_is_stored_after_them() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 90, 1));
    let told = timeline.input(31_000, Input::Stored(StoreProgress { stored: None, dropped: 1 }));
    assert_eq!(
        told,
        ["logs loss: 1 values lost: the store dropped them before they were written; rules and windows had them"]
    );
    timeline.receive(1_200, &reading(1, 190, 2));
    let told = timeline.input(61_000, Input::Stored(StoreProgress { stored: Some(1), dropped: 1 }));
    assert_eq!((told, timeline.0.counts.dropped), (vec!["received 1".to_owned()], 1));
}

#[test]
fn a_lost_frame_is_asked_for_once_and_what_came_before_is_not_taken_twice() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 1));
    assert_eq!(timeline.receive(1_300, &reading(2, 300, 3)), ["identify"]);
    assert_eq!(timeline.receive(1_400, &reading(3, 400, 4)), Vec::<String>::new(), "expected one question");
    // 100 ms after each other, channel 0, the values 1 to 4 in zigzag.
    let items = [0, 0, 0, 2, 100, 0, 0, 4, 100, 0, 0, 6, 100, 0, 0, 8];
    let again = timeline.receive(1_500, &FromBoard::Batch(Batch { first: 0, at: 100, items: &items }));
    assert_eq!(again, ["2 at 1200", "3 at 1300", "4 at 1400", "through 0:3"]);
    assert_eq!(timeline.0.counts.ignored, BTreeMap::from([(texts::REPEATED, 1)]));
}

#[test]
fn the_last_frame_before_a_pause_is_missed_by_what_heartbeats_say() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 1));
    assert_eq!(timeline.receive(2_000, &heartbeat(1_000, 0, 2)), ["heard 1000"], "expected it to be on its way");
    assert_eq!(timeline.receive(3_000, &heartbeat(2_000, 0, 2)), ["heard 2000", "identify"]);
}

#[test]
fn an_agent_that_starts_beside_a_running_board_takes_what_the_board_holds_in_order() {
    let mut timeline = Timeline::new();
    assert_eq!(timeline.receive(500_000, &hello(90_000, 40)), ["heard 90000", "connected"]);
    assert_eq!(timeline.receive(500_010, &reading(33, 70_000, 33)), Vec::<String>::new(), "expected the oldest first");
    assert_eq!(timeline.receive(500_500, &heartbeat(90_500, 32, 40)), ["heard 90500", "identify"]);
    assert_eq!(timeline.receive(500_600, &reading(32, 60_000, 32)), ["32 at 470000", "through 0:32"]);
    assert_eq!(timeline.0.counts.lost, 0);
}

#[test]
fn what_the_board_could_not_hold_is_counted_and_said() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 1));
    let said = timeline.receive(301_000, &heartbeat(300_000, 21, 30));
    assert!(said[1].starts_with("logs loss: 20 readings lost"), "{said:?}");
    assert_eq!(timeline.receive(301_100, &reading(21, 200_000, 5)), ["5 at 201000", "through 0:21"]);
    assert_eq!(timeline.0.counts.lost, 20);
}

#[test]
fn a_board_that_is_silent_is_said_to_be_and_asked_again() {
    let mut timeline = Timeline::connected();
    let said: Vec<Vec<String>> = (1..=8).map(|second| timeline.second(1_000 + second * 1_000)).collect();
    assert_eq!(said[5], ["down: the board has said nothing for 5 s", "identify"]);
    assert_eq!(said[6], ["identify"]);
    assert_eq!(timeline.receive(10_000, &hello(9_000, 0)), ["heard 9000", "connected"]);

    let mut timeline = Timeline::new();
    let said: Vec<String> = (1..=6).flat_map(|second| timeline.second(second * 1_000)).collect();
    assert_eq!(said.iter().filter(|said| said.starts_with("down")).count(), 1, "{said:?}");
}

#[test]
fn the_older_side_is_named_when_versions_differ_and_the_board_hears_nothing_but_identify() {
    for (version, older) in [(2, "the agent is the older one"), (0, "the board is the older one")] {
        let mut timeline = Timeline::new();
        // The Hello of another version: the version is at the same place, and the rest may be anything.
        let mut noise = [0; MAX_FRAME];
        let mut body = vec![0, version, 9, 9, 9];
        body.extend(tilth_wire::crc16(&body).to_le_bytes());
        let framed = cobs(&body, &mut noise);
        let said = timeline.input(1_000, Input::Bytes(framed));
        assert!(said[0].starts_with("down: the board speaks protocol version") && said[0].contains(older), "{said:?}");
        assert_eq!(timeline.second(2_000), ["identify"]);
        assert_eq!(timeline.receive(2_100, &reading(0, 1, 1)), Vec::<String>::new());
    }
}

/// Consistent overhead byte stuffing of a body with its checksum, closing zero included.
fn cobs<'out>(body: &[u8], out: &'out mut [u8; MAX_FRAME]) -> &'out [u8] {
    let mut code_at = 0;
    for (at, byte) in (1..).zip(body.iter().chain([&0])) {
        out[at] = *byte;
        if *byte == 0 {
            out[code_at] = (at - code_at) as u8;
            code_at = at;
        }
    }
    &out[..body.len() + 2]
}

#[test]
fn noise_between_frames_is_counted_by_its_kind_and_costs_no_reading() {
    let mut timeline = Timeline::connected();
    let mut bytes = vec![0xFF; 200];
    bytes.push(0);
    bytes.extend([9, 9, 9, 0]);
    let mut broken = frame(&reading(0, 100, 1));
    broken[3] ^= 0x10;
    bytes.extend(&broken);
    bytes.extend(frame(&reading(0, 100, 1)));
    assert_eq!(timeline.input(1_200, Input::Bytes(&bytes)), ["1 at 1100", "through 0:0"]);
    let expected = [texts::TOO_LONG, texts::MALFORMED, texts::CHECKSUM].map(|reason| (reason, 1));
    assert_eq!(timeline.0.counts.ignored, BTreeMap::from(expected));
}

#[test]
fn another_board_on_the_line_is_no_board_of_this_session() {
    let mut timeline = Timeline::connected();
    let FromBoard::Hello(hello) = hello(5, 0) else { unreachable!() };
    let other = FromBoard::Hello(Hello { id: Some(BoardId([9; 8])), ..hello });
    assert_eq!(timeline.receive(2_000, &other), ["other board"]);
    let blank = FromBoard::Hello(Hello { id: None, ..hello });
    assert_eq!(timeline.receive(2_000, &blank), ["set id"]);
}

const WATER: Setting = Setting::Channel(SetChannel {
    command: 0,
    channel: 0,
    kind: ChannelKind::Ds18b20,
    interval: 1_000,
    oversampling: 6,
});

fn pump() -> Setting {
    let set = SetRelay { command: 0, relay: 1, max_on: 3_000, min_off: 0, link_timeout: 600_000, excludes: 0 };
    Setting::Relay(set)
}

/// The order 7: the pump at relay 1 on for 2 s.
fn pump_on() -> SwitchOrder {
    let output = Output::Board { bus: Id::new("one").unwrap(), channel: Id::new("relay-1").unwrap() };
    let actuator = Id::new("pump").unwrap();
    SwitchOrder { order: 7, actuator, output, normally_energised: false, on: true, at_most: Some(Span(2_000)) }
}

/// A Heartbeat of a board without readings, whose relays are on as these bits say.
fn relays_on(at: u32, on: u8) -> FromBoard<'static> {
    FromBoard::Heartbeat(Heartbeat { at, next: 0, oldest: 0, lost: 0, bad_frames: 0, on })
}

fn ack(command: u32) -> FromBoard<'static> {
    FromBoard::Ack(Ack { command, limited: false })
}

/// A Hello whose channel 0 is a thermometer.
fn hello_of_water(at: u32, next: u32) -> FromBoard<'static> {
    let FromBoard::Hello(hello) = hello(at, next) else { unreachable!() };
    FromBoard::Hello(Hello { channels: &[9, 1, 2, 1], ..hello })
}

#[test]
fn settings_go_out_after_each_hello_one_at_a_time_and_when_the_configuration_changes() {
    let mut timeline = Timeline::new();
    assert_eq!(timeline.input(0, Input::Settings(vec![pump()])), Vec::<String>::new(), "expected a handshake first");
    assert_eq!(timeline.receive(1_000, &hello(0, 0)), ["heard 0", "connected", "set relay 1 (1)"]);
    assert_eq!(timeline.second(1_100), Vec::<String>::new());
    assert_eq!(timeline.second(2_100), ["heard 0", "set relay 1 (1)"]);
    assert_eq!(timeline.input(2_200, Input::Settings(vec![pump(), WATER])), Vec::<String>::new());
    assert_eq!(timeline.receive(2_300, &ack(1)), ["set channel 0 (2)"]);
    assert_eq!(timeline.receive(2_400, &ack(1)), Vec::<String>::new(), "expected the answer to the repeated command");
    assert_eq!(timeline.receive(2_500, &ack(2)), ["identify"]);
    assert_eq!(timeline.receive(2_600, &hello_of_water(1_600, 0)), ["heard 1600", "connected"]);
    assert_eq!(timeline.0.settings.unanswered(), 0);

    timeline.receive(9_000, &heartbeat(8_000, 0, 0));
    let said = timeline.receive(10_000, &hello_of_water(0, 0));
    assert_eq!(said, ["logs the board restarted: power on", "heard 0", "connected", "set relay 1 (3)"]);
    assert_eq!(timeline.receive(10_100, &ack(3)), ["set channel 0 (4)"]);
    assert_eq!(timeline.receive(10_200, &ack(4)), Vec::<String>::new(), "expected nothing to ask: it is as it was");
}

/// 32,768 of an analog pin would be 32.8 C.
#[test]
fn readings_from_before_a_channel_was_set_are_confirmed_and_not_taken_for_what_it_measures_now() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 32_768));
    assert_eq!(timeline.input(1_200, Input::Settings(vec![WATER])), ["set channel 0 (1)"]);
    assert_eq!(timeline.receive(1_300, &ack(1)), ["identify"]);
    assert_eq!(timeline.receive(1_400, &hello_of_water(400, 2)), ["heard 400", "connected"]);
    assert_eq!(timeline.receive(1_500, &reading(1, 200, 32_768)), ["through 0:1"]);
    timeline.0.handle(Uptime(1_600), Input::Bytes(&frame(&reading(2, 600, 19_000))));
    let channel_type = Some((ChannelKind::Ds18b20, Unit::MilliCelsius));
    let value =
        ChannelReading { channel: 0, channel_type, at: Uptime(1_600), sample: Sample::Value(19_000), pulses: None };
    assert_eq!(timeline.0.poll(), Some(Effect::Reading(value)));
}

#[test]
fn a_setting_that_the_board_refuses_is_said_once_and_holds_up_no_other() {
    let mut timeline = Timeline::connected();
    assert_eq!(timeline.input(1_100, Input::Settings(vec![WATER, pump()])), ["set channel 0 (1)"]);
    let refuse = |command| FromBoard::Error(CommandError { command, reason: Refusal::NotPossible });
    let said = timeline.receive(1_200, &refuse(1));
    assert!(
        said[0].starts_with("logs the board refuses channel 0 as ds18b20 every 1s: its pin or its image"),
        "{said:?}"
    );
    assert_eq!(said[1..], ["refusals", "set relay 1 (2)"]);
    timeline.receive(1_300, &ack(2));
    timeline.input(9_000, Input::Opened);
    assert_eq!(timeline.receive(9_100, &hello(8_100, 0))[2..], ["set channel 0 (3)"]);
    assert_eq!(timeline.receive(9_200, &refuse(3)), ["set relay 1 (4)"]);
    assert_eq!(timeline.0.settings.refused().count(), 1);
}

/// Guards against: a siren that sounds for ever, because its relay was refused so soon after the board's start.
#[test]
fn a_relay_that_should_rest_energised_is_raised_until_it_is() {
    let mut timeline = Timeline::connected();
    let output = Output::Board { bus: Id::new("one").unwrap(), channel: Id::new("relay-1").unwrap() };
    let actuator = Id::new("siren").unwrap();
    let siren = SwitchOrder { order: 1, actuator, output, normally_energised: true, on: false, at_most: None };
    let switch = |command| {
        let expires = 30_000;
        format!("{:?}", ToBoard::Switch(Switch { command, relay: 1, on_for: UNLIMITED, expires }))
    };
    assert_eq!(timeline.input(1_100, Input::Order(siren)), [switch(1)]);
    let too_soon = FromBoard::Error(CommandError { command: 1, reason: Refusal::TooSoon });
    timeline.receive(1_200, &too_soon);
    let said = timeline.receive(2_000, &heartbeat(0, 0, 0));
    assert_eq!(said, ["heard 0".to_owned(), switch(2)]);
    let limited = timeline.receive(2_100, &FromBoard::Ack(Ack { command: 2, limited: true }));
    assert!(limited[0].starts_with("logs relay 1 of the board has a maximum on-time"), "{limited:?}");
    assert_eq!(timeline.receive(3_000, &relays_on(0, 0b10)), ["heard 0"]);
}

/// Guards against: an outcome that is lost, because the board says it once and the line lost it.
#[test]
fn a_heartbeat_makes_up_for_a_switched_that_was_lost() {
    let mut timeline = Timeline::connected();
    let on = ToBoard::Switch(Switch { command: 1, relay: 1, on_for: 1_980, expires: 30_000 });
    assert_eq!(timeline.input(1_100, Input::Order(pump_on())), [format!("{on:?}")], "expected 1 % less of an Uno");
    timeline.receive(1_200, &ack(1));
    assert_eq!(timeline.receive(2_000, &relays_on(1_000, 0b10)), ["heard 1000"]);
    let off = format!("{:?}", ActuatorInput::Switched { order: 7, on: false, why: None });
    assert_eq!(timeline.receive(5_000, &relays_on(4_000, 0)), ["heard 4000".to_owned(), off]);
    let said = timeline.receive(6_000, &relays_on(5_000, 0b10));
    assert_eq!(said[1], "logs danger: relay 1 of the board is on though pump is off: switching it off");
    let release = ToBoard::Switch(Switch { command: 2, relay: 1, on_for: 0, expires: 35_000 });
    assert_eq!(said[2..], [format!("{release:?}")]);
}

/// Guards against: limits that a board never gets, because it does not answer an order to switch off.
#[test]
fn settings_do_not_wait_for_an_answer_to_switching_off() {
    let mut timeline = Timeline::connected();
    timeline.input(1_100, Input::Order(SwitchOrder { on: false, at_most: None, ..pump_on() }));
    assert_eq!(timeline.input(1_200, Input::Settings(vec![pump()])), ["set relay 1 (2)"]);
}

/// Guards against: a dose that runs twice, for its command is repeated after settings made the board forget that it did it.
#[test]
fn settings_wait_while_an_order_is_under_way() {
    let mut timeline = Timeline::connected();
    timeline.input(1_100, Input::Order(pump_on()));
    assert_eq!(timeline.input(1_200, Input::Settings(vec![pump(), WATER])), Vec::<String>::new());
    assert_eq!(timeline.second(2_100).len(), 1, "expected the order alone to be repeated");
    assert_eq!(timeline.receive(2_200, &ack(1))[1..], ["set relay 1 (2)"]);
    timeline.input(2_300, Input::Order(pump_on()));
    assert_eq!(timeline.receive(2_400, &ack(2)), Vec::<String>::new());
    let said: Vec<String> = (3..8).flat_map(|second| timeline.second(second * 1_000)).collect();
    assert_eq!(said.iter().filter(|said| said.starts_with("set channel 0")).count(), 2, "{said:?}");
    assert!(said.iter().position(|said| said.contains("Lost")) < said.iter().position(|said| said.starts_with("set")));
}

/// Any bytes at all: no panic, and the next whole frame is taken.
#[test]
fn any_bytes_are_survived() {
    use proptest::prelude::*;
    proptest!(|(noise in proptest::collection::vec(any::<u8>(), 0..600))| {
        let mut timeline = Timeline::new();
        timeline.input(1_000, Input::Bytes(&noise));
        timeline.input(1_000, Input::Bytes(&[0]));
        timeline.receive(1_000, &hello(0, 0));
        prop_assert!(timeline.0.identity.is_some());
    });
}
