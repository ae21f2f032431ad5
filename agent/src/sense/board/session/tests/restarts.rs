//! Timelines of boards that restart, and of those that only seem to.

use super::*;

#[test]
fn a_reset_in_the_middle_begins_anew_and_nothing_of_before_confirms_anything_after() {
    let mut timeline = Timeline::connected();
    for seq in 0..5 {
        timeline.receive(1_100, &reading(seq, 100, 1));
    }
    timeline.receive(10_000, &heartbeat(9_000, 0, 5));
    let said = timeline.receive(20_000, &hello(0, 0));
    assert_eq!(said, ["logs the board restarted: power on", "heard 0", "connected"]);
    assert_eq!(timeline.receive(20_600, &reading(0, 500, 9)), ["9 at 20500", "through 1:0"]);
    assert_eq!(timeline.input(30_000, stored(4)), Vec::<String>::new());
    assert_eq!(timeline.input(30_000, stored(1 << 32)), ["received 0"]);

    // The Hello is lost, and the board's clock or numbers say it.
    timeline.receive(31_000, &heartbeat(11_000, 1, 1));
    assert_eq!(timeline.receive(40_000, &heartbeat(500, 0, 1)), ["identify"]);
    assert_eq!(timeline.receive(40_100, &reading(0, 550, 1)), Vec::<String>::new());
    assert_eq!(timeline.receive(40_200, &hello(700, 1))[0], "logs the board restarted: power on");
    assert_eq!(timeline.0.counts.restarts, 2);
}

/// Guards against: readings that a board is told to forget, though they have only the numbers of those that are stored.
#[test]
fn a_board_that_has_been_up_for_longer_than_before_is_found_out_by_the_readings_it_sends_again() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 1));
    timeline.receive(1_200, &reading(1, 200, 2));
    timeline.receive(11_000, &heartbeat(10_000, 0, 2));
    assert_eq!(timeline.input(200_000, Input::Opened), ["identify"]);
    assert_eq!(timeline.input(200_000, stored(1)), Vec::<String>::new());
    // Beyond the last time and number: nothing that it says of itself has gone back.
    assert_eq!(timeline.receive(200_100, &hello(139_000, 12)), ["heard 139000", "connected"]);
    assert_eq!(
        timeline.receive(200_200, &heartbeat(139_100, 0, 12)),
        ["heard 139100"],
        "expected nothing to be confirmed"
    );
    let said = timeline.receive(200_300, &reading(0, 101, 1));
    assert_eq!(said, ["logs the board restarted: power on", "identify"]);
    assert_eq!(timeline.receive(200_310, &reading(1, 201, 2)), Vec::<String>::new());
    timeline.receive(200_400, &hello(139_300, 12));
    assert_eq!(timeline.receive(200_500, &reading(0, 101, 1)), ["1 at 61201", "through 1:0"]);

    let mut timeline = Timeline::connected();
    timeline.receive(11_000, &heartbeat(10_000, 0, 0));
    let FromBoard::Hello(other) = hello(20_000, 0) else { unreachable!() };
    let said = timeline.receive(21_000, &FromBoard::Hello(Hello { reset: ResetCause::Watchdog, ..other }));
    assert_eq!(said[0], "logs the board restarted: watchdog: the firmware made no progress");
}

/// Guards against: a pump that counts as off while it runs, and is switched off in the middle of its dose.
#[test]
fn a_restart_that_is_found_out_late_says_nothing_of_relays_that_were_ordered_on_since() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 1));
    timeline.receive(11_000, &heartbeat(10_000, 0, 1));
    timeline.input(200_000, Input::Opened);
    timeline.receive(200_100, &hello(139_000, 12));
    timeline.input(200_200, Input::Order(pump_on()));
    timeline.receive(200_250, &ack(1));
    let said = timeline.receive(200_300, &reading(0, 101, 1));
    assert_eq!(said, ["logs the board restarted: power on", "identify"]);
    timeline.receive(200_400, &hello(139_300, 12));
    assert_eq!(timeline.receive(200_500, &relays_on(139_400, 0b10)), ["heard 139400"]);
    let off = format!("{:?}", ActuatorInput::Switched { order: 7, on: false, why: None });
    assert_eq!(timeline.receive(202_500, &relays_on(141_400, 0)), ["heard 141400".to_owned(), off]);
}

/// Guards against: a restart that is made up, with every reading twice and relays that are taken for off.
#[test]
fn a_line_that_stalls_is_no_restart_and_what_was_taken_before_is_confirmed() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 1));
    timeline.receive(11_000, &heartbeat(10_000, 0, 1));
    for second in 12..22 {
        timeline.second(second * 1_000);
    }
    timeline.input(21_500, stored(0));
    // Eleven seconds later all of it comes at once: what was said in time, and the answers to what was asked.
    timeline.receive(22_000, &heartbeat(11_000, 0, 1));
    assert_eq!(timeline.receive(22_000, &hello(11_100, 2)), ["heard 11100", "connected"]);
    assert_eq!(timeline.receive(22_000, &reading(0, 100, 1)), Vec::<String>::new());
    let said = timeline.receive(22_000, &reading(1, 11_050, 2));
    assert_eq!(said, ["2 at 12050", "through 0:1"]);
    assert_eq!(timeline.receive(22_100, &heartbeat(21_050, 0, 2)), ["heard 21050", "received 0"]);
    assert_eq!((timeline.0.counts.restarts, timeline.0.counts.ignored[&texts::REPEATED]), (0, 1));
}

/// Guards against: a restart that is made up after a month, with every pulse since the board's start counted once more.
#[test]
fn a_board_that_nobody_heard_for_half_a_turn_of_its_clock_did_not_restart() {
    let mut timeline = Timeline::connected();
    timeline.receive(1_100, &reading(0, 100, 1));
    timeline.receive(11_000, &heartbeat(10_000, 0, 1));
    let month = 30 * 86_400_000_i64;
    timeline.input(month, Input::Opened);
    let at = (month - 1_000) as u32;
    assert_eq!(timeline.receive(month, &hello(at, 2_000)), [format!("heard {at}"), "connected".to_owned()]);
    timeline.receive(month + 1_000, &heartbeat(at + 1_000, 1_900, 2_000));
    let said = timeline.receive(month + 1_100, &reading(1_900, at - 5_000, 7));
    assert_eq!(said, [format!("7 at {}", month - 5_000), "through 0:1900".to_owned()]);
    assert_eq!((timeline.0.counts.restarts, timeline.0.counts.lost), (0, 1_899));
}

/// A board whose channel 0 counts pulses: the flow that the agent makes of what a Heartbeat and a reading say after it was away.
fn pulses_after(lost: u32) -> Option<Pulses> {
    let FromBoard::Hello(hello) = hello(0, 0) else { unreachable!() };
    let hello = |at, next| FromBoard::Hello(Hello { channels: &[10, 4], at, next, ..hello });
    let mut timeline = Timeline::new();
    timeline.receive(1_000, &hello(0, 0));
    timeline.receive(11_000, &reading(0, 10_000, 500));
    timeline.input(600_000, Input::Opened);
    timeline.receive(600_000, &hello(400_000, 40));
    let FromBoard::Heartbeat(heartbeat) = heartbeat(400_100, 30, 40) else { unreachable!() };
    timeline.receive(600_100, &FromBoard::Heartbeat(Heartbeat { lost, ..heartbeat }));
    timeline.0.handle(Uptime(600_200), Input::Bytes(&frame(&reading(30, 310_000, 620))));
    let pulses = std::iter::from_fn(|| timeline.0.poll()).find_map(|effect| match effect {
        Effect::Reading(value) => Some(value.pulses),
        _ => None,
    });
    assert_eq!((timeline.0.counts.restarts, timeline.0.counts.lost), (0, 29));
    pulses.flatten()
}

/// Guards against: rain that fell after a restart that nothing else shows, less what was counted before it.
#[test]
fn pulses_of_a_board_that_was_never_confirmed_anything_are_counted_from_its_start() {
    assert_eq!(pulses_after(29), Some(Pulses { count: 120, millis: 300_000 }));
    assert_eq!(pulses_after(30), Some(Pulses { count: 620, millis: 310_000 }));
}

/// Guards against: readings that were stored in the moment of a kill, before the board was told so, and come again.
#[test]
fn a_new_run_of_the_agent_begins_after_what_is_stored() {
    let mut timeline = Timeline::connected();
    for seq in 0..3 {
        timeline.receive(1_100 + i64::from(seq), &reading(seq, 100 + seq, 1));
    }
    timeline.0.handle(Uptime(1_200), Input::Bytes(&frame(&reading(3, 110, 1))));
    let position = std::iter::from_fn(|| timeline.0.poll()).find_map(|effect| match effect {
        Effect::RequestAck(_, position) => Some(position),
        _ => None,
    });
    let again = || Timeline(Session::new(ID, position.clone(), 0));
    let mut timeline = again();
    timeline.input(0, Input::Opened);
    assert_eq!(timeline.receive(100, &hello(20_000, 5)), ["heard 20000", "connected"]);
    assert_eq!(
        [0, 1, 2].map(|seq| timeline.receive(110, &reading(seq, 100 + seq, 1))),
        [const { Vec::<String>::new() }; 3]
    );
    assert_eq!(timeline.receive(110, &reading(3, 110, 1)), Vec::<String>::new());
    assert_eq!(timeline.receive(120, &reading(4, 19_000, 5)), ["5 at -900", "through 0:4"]);

    let mut timeline = again();
    timeline.input(0, Input::Opened);
    assert_eq!(timeline.receive(100, &hello(20_000, 3))[0], "logs the board restarted: power on");
    assert_eq!(timeline.receive(110, &reading(0, 100, 1)), ["1 at -19800", "through 1:0"]);
}

/// Guards against: a through of a reading that a board never made, which no later through passes, so that nothing is confirmed any more.
#[test]
fn readings_before_a_restart_that_comes_with_them_are_of_the_start_before() {
    let mut timeline = Timeline::connected();
    timeline.receive(5_000, &heartbeat(4_000, 0, 0));
    let bytes = [frame(&reading(0, 3_900, 1)), frame(&hello(10, 0))].concat();
    assert_eq!(timeline.input(6_000, Input::Bytes(&bytes))[..2], ["1 at 4900", "through 0:0"]);
    assert_eq!(timeline.receive(6_100, &reading(0, 50, 1)), ["1 at 6040", "through 1:0"]);
}
