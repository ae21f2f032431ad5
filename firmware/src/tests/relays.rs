//! Relays: every edge of their chart, and the agent at the other end of the line.

use std::vec;

use tilth_wire::{ChannelKind, OffReason, Refusal, SetChannel, SetRelay, Switch, Switched, ToBoard, UNLIMITED};

use super::{DOSER, PUMP, Rig, SIREN, Said};

fn switched(at: u32, relay: u8, command: u32, off: Option<OffReason>) -> Said {
    Said::Switched(Switched { at, relay, command, off })
}

#[test]
fn every_output_is_set_off_at_the_start() {
    assert_eq!(Rig::new().outputs, [false; 3]);
}

#[test]
fn a_relay_is_on_for_the_time_asked() {
    let mut rig = Rig::linked();
    rig.switch(1, DOSER, 2_000);
    assert!(rig.outputs[0]);
    assert_eq!(rig.said(), [Said::Answer(1, Ok(false)), switched(25_000, DOSER, 1, None)]);
    rig.at(26_999);
    assert!(rig.outputs[0]);
    rig.at(27_000);
    assert!(!rig.outputs[0]);
    assert!(rig.said().contains(&switched(27_000, DOSER, 1, Some(OffReason::Done))));
}

#[test]
fn a_relay_is_on_for_its_maximum_at_most() {
    let mut rig = Rig::linked();
    rig.switch(1, DOSER, 3_600_000);
    assert_eq!(rig.answers(), [(1, Ok(true))]);
    rig.linked_to(29_999);
    assert!(rig.outputs[0]);
    rig.linked_to(30_000);
    assert!(!rig.outputs[0]);
    assert!(rig.said().contains(&switched(30_000, DOSER, 1, Some(OffReason::MaxOn))));
}

#[test]
fn commands_that_repeat_do_not_extend_the_time() {
    let mut rig = Rig::linked();
    rig.switch(1, DOSER, 5_000);
    for second in 1..5 {
        rig.linked_to(25_000 + 1_000 * second).switch(1 + second, DOSER, 5_000);
    }
    let refused = |command| (command, Err(Refusal::AlreadyOn));
    assert_eq!(rig.answers(), [(1, Ok(false)), refused(2), refused(3), refused(4), refused(5)][1..]);
    rig.at(30_000);
    assert!(!rig.outputs[0], "expected off after 5 s for any order");
}

#[test]
fn a_command_is_done_once_and_answered_each_time() {
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 500);
    assert_eq!(rig.answers(), [(1, Ok(false))]);
    rig.linked_to(27_000).switch(1, PUMP, 500);
    assert!(!rig.outputs[1], "expected off: command 1 was done at 25 s");
    assert_eq!(rig.answers(), [(1, Ok(false))]);
}

/// Guards against: a second dose by a command that is repeated because its answer was lost, once the board has forgotten that answer.
#[test]
fn a_command_that_is_repeated_after_many_others_gives_no_second_dose() {
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 500).linked_to(27_000);
    for command in 2..=20 {
        rig.send(ToBoard::SetChannel(SetChannel {
            command,
            channel: 0,
            kind: ChannelKind::Analog,
            interval: 10_000,
            oversampling: 4,
        }));
    }
    rig.said();
    rig.switch(1, PUMP, 500);
    assert!(!rig.outputs[1], "expected off: command 1 was done at 25 s");
    assert_eq!(rig.answers(), [(1, Ok(false))]);
    rig.switch(21, PUMP, 500);
    assert!(rig.outputs[1], "expected on by another command");
}

#[test]
fn a_relay_rests_after_it_was_on_and_after_a_start() {
    let mut rig = Rig::new();
    rig.linked_to(19_999).switch(1, DOSER, 1_000);
    assert_eq!(rig.answers(), [(1, Err(Refusal::TooSoon))]);
    rig.linked_to(20_000).switch(2, DOSER, 1_000);
    assert_eq!(rig.answers(), [(2, Ok(false))]);
    rig.linked_to(40_999).switch(3, DOSER, 1_000);
    rig.linked_to(41_000).switch(4, DOSER, 1_000);
    assert_eq!(rig.answers(), [(3, Err(Refusal::TooSoon)), (4, Ok(false))]);
}

#[test]
fn a_relay_goes_off_by_command_whatever_its_expiry() {
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 60_000).linked_to(30_000);
    rig.said();
    rig.send(ToBoard::Switch(Switch { command: 2, relay: PUMP, on_for: 0, expires: 0 }));
    assert!(!rig.outputs[1]);
    assert_eq!(rig.said(), [Said::Answer(2, Ok(false)), switched(30_000, PUMP, 1, Some(OffReason::Command))]);
    rig.switch(3, PUMP, 0);
    assert_eq!(rig.said(), [Said::Answer(3, Ok(false))], "expected no report: it was off");
}

#[test]
fn a_relay_goes_off_when_the_agent_falls_silent() {
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 60_000).at(34_999);
    assert!(rig.outputs[1]);
    rig.at(35_000);
    assert!(!rig.outputs[1]);
    assert!(rig.said().contains(&switched(35_000, PUMP, 1, Some(OffReason::LinkLost))));
    rig.at(50_000).switch(2, PUMP, 1_000);
    assert_eq!(rig.answers(), [(2, Err(Refusal::LinkLost))]);
}

#[test]
fn other_messages_than_heartbeats_do_not_hold_a_relay_on() {
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 60_000);
    for at in 26..=35 {
        rig.at(1_000 * at).send(ToBoard::Identify).send(ToBoard::Received { through: 0 });
    }
    assert!(!rig.outputs[1]);
}

#[test]
fn an_agent_that_hears_nothing_does_not_hold_a_relay_on() {
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 60_000);
    for at in 26..=45 {
        rig.at(1_000 * at).send(ToBoard::Heartbeat { heard: 25_000 });
    }
    assert!(!rig.outputs[1], "expected off: the agent last heard the board 20 s ago");
}

#[test]
fn an_agent_that_speaks_to_the_board_of_before_its_restart_is_not_heard() {
    let mut rig = Rig::new();
    rig.at(20_000).send(ToBoard::Heartbeat { heard: 500_000 });
    rig.send(ToBoard::Switch(Switch { command: 1, relay: DOSER, on_for: 1_000, expires: 25_000 }));
    assert_eq!(rig.answers(), [(1, Err(Refusal::LinkLost))]);
    rig.heartbeat();
    rig.send(ToBoard::Switch(Switch { command: 2, relay: DOSER, on_for: 1_000, expires: 505_000 }));
    assert_eq!(rig.answers(), [(2, Err(Refusal::Expired))], "expiry in the time of before the restart");
}

#[test]
fn a_command_expires() {
    let mut rig = Rig::linked();
    let switch = |command, expires| ToBoard::Switch(Switch { command, relay: PUMP, on_for: 1_000, expires });
    rig.send(switch(1, 25_000)).send(switch(2, 24_999)).send(switch(3, 85_001));
    let expired = |command| (command, Err(Refusal::Expired));
    assert_eq!(rig.answers(), [expired(1), expired(2), expired(3)]);
    assert!(!rig.outputs[1]);
    rig.send(switch(4, 85_000));
    assert_eq!(rig.answers(), [(4, Ok(false))]);
}

#[test]
fn relays_exclude_each_other_whichever_says_so() {
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 10_000).switch(2, DOSER, 1_000);
    assert_eq!(rig.answers(), [(1, Ok(false)), (2, Err(Refusal::Excluded))]);
    rig.switch(3, PUMP, 0).switch(4, DOSER, 1_000).linked_to(25_500).switch(5, PUMP, 1_000);
    assert_eq!(rig.answers(), [(3, Ok(false)), (4, Ok(false)), (5, Err(Refusal::Excluded))]);
    assert_eq!(rig.outputs, [true, false, false]);
}

#[test]
fn a_siren_is_held_on_until_it_is_switched_off_or_the_link_falls() {
    let mut rig = Rig::linked();
    rig.switch(1, SIREN, UNLIMITED).linked_to(600_000).switch(2, SIREN, UNLIMITED);
    assert!(rig.outputs[2]);
    assert_eq!(rig.answers(), [(1, Ok(false)), (2, Ok(false))]);
    rig.at(659_999);
    assert!(rig.outputs[2], "an agent may restart within the link timeout");
    rig.at(660_000);
    assert!(!rig.outputs[2]);
    assert!(rig.said().contains(&switched(660_000, SIREN, 1, Some(OffReason::LinkLost))));
    rig.heartbeat().switch(3, SIREN, UNLIMITED).switch(4, SIREN, 0);
    assert!(!rig.outputs[2]);
}

#[test]
fn a_relay_with_a_maximum_is_not_held_on() {
    let mut rig = Rig::linked();
    rig.switch(1, DOSER, UNLIMITED);
    assert_eq!(rig.answers(), [(1, Ok(true))]);
    rig.linked_to(30_000);
    assert!(!rig.outputs[0]);
}

#[test]
fn new_limits_switch_off_and_are_never_wider_than_the_wiring() {
    let set = |command, max_on, link_timeout| {
        ToBoard::SetRelay(SetRelay { command, relay: DOSER, max_on, min_off: 0, link_timeout, excludes: 0 })
    };
    let mut rig = Rig::linked();
    rig.switch(1, DOSER, 5_000).send(set(2, 1_000, 5_000));
    assert!(!rig.outputs[0], "expected off: its limits changed");
    assert!(rig.said().contains(&switched(25_000, DOSER, 1, Some(OffReason::Settings))));
    rig.linked_to(45_000).switch(3, DOSER, 5_000);
    assert_eq!(rig.answers(), [(3, Ok(true))]);
    rig.at(46_000);
    assert!(!rig.outputs[0], "expected off after 1 s");
    rig.send(set(4, 3_600_000, 3_600_000)).linked_to(66_000).switch(5, DOSER, 60_000).at(71_000);
    assert!(!rig.outputs[0], "expected off after 5 s, the wiring's limit");
    assert_eq!(rig.answers(), [(4, Ok(true)), (5, Ok(true))]);
}

/// Guards against: a pause that is made longer and does not count until the relay was on once more.
#[test]
fn a_longer_pause_counts_at_once_for_a_relay_that_is_off() {
    let set = |command, max_on, min_off| {
        ToBoard::SetRelay(SetRelay { command, relay: PUMP, max_on, min_off, link_timeout: 10_000, excludes: 0 })
    };
    let mut rig = Rig::linked();
    rig.switch(1, PUMP, 500).linked_to(28_000).said();
    rig.send(set(2, 60_000, 5_000)).switch(3, PUMP, 500);
    assert_eq!(rig.answers(), [(2, Ok(false)), (3, Err(Refusal::TooSoon))], "expected off from 25.5 s to 30.5 s");
    rig.linked_to(30_499).switch(4, PUMP, 500).linked_to(30_500).switch(5, PUMP, 500);
    assert_eq!(rig.answers(), [(4, Err(Refusal::TooSoon)), (5, Ok(false))]);
    rig.linked_to(36_000).send(set(6, 30_000, 5_000)).switch(7, PUMP, 500);
    assert_eq!(rig.answers(), [(6, Ok(false)), (7, Ok(false))], "expected no pause from a limit on the time on");
}

#[test]
fn a_relay_whose_maximum_is_0_does_not_go_on() {
    let set = SetRelay { command: 1, relay: PUMP, max_on: 0, min_off: 0, link_timeout: 10_000, excludes: 0 };
    let mut rig = Rig::linked();
    rig.send(ToBoard::SetRelay(set)).switch(2, PUMP, 500);
    assert!(!rig.outputs[1]);
    assert_eq!(rig.answers(), [(1, Ok(true)), (2, Err(Refusal::NotPossible))]);
}

#[test]
fn the_same_limits_again_change_nothing() {
    let set = |command| {
        let (max_on, min_off, link_timeout, excludes) = (5_000, 20_000, 10_000, 1 << PUMP);
        ToBoard::SetRelay(SetRelay { command, relay: DOSER, max_on, min_off, link_timeout, excludes })
    };
    let mut rig = Rig::linked();
    rig.switch(1, DOSER, 5_000).send(set(2));
    assert!(rig.outputs[0]);
    assert_eq!(rig.answers(), [(1, Ok(false)), (2, Ok(false))]);
    assert!(!rig.node.next_record(&mut crate::Record::EMPTY.clone()));
}

#[test]
fn a_relay_that_does_not_exist_is_refused() {
    let mut rig = Rig::linked();
    let mut expected = vec![];
    for (command, relay) in (1..).zip([3, 7, 8, 255]) {
        rig.switch(command, relay, 1_000);
        expected.push((command, Err(Refusal::NoSuchNumber)));
    }
    assert_eq!(rig.answers(), expected);
    assert_eq!(rig.outputs, [false; 3]);
}

#[test]
fn a_storm_of_commands_keeps_the_limits() {
    let mut rig = Rig::linked();
    let mut on = 0;
    for command in 1..=20_000 {
        rig.switch(command, DOSER, 5_000);
        if command % 20 == 0 {
            rig.at(rig.now + 100).heartbeat();
            on += u32::from(rig.outputs[0]);
        }
    }
    // 100 s, of which 5 of each 25 may be on-time.
    assert!((180..=200).contains(&on), "on for {on} tenths of a second");
}

#[test]
fn the_clock_may_wrap_while_a_relay_is_on() {
    let mut rig = Rig::started(u32::MAX - 30_000, &[], None);
    for _ in 0..28 {
        let next = rig.now.wrapping_add(1_000);
        rig.at(next).heartbeat();
    }
    rig.switch(1, DOSER, 4_000);
    assert_eq!(rig.answers(), [(1, Ok(false))]);
    rig.at(1_998);
    assert!(rig.outputs[0]);
    rig.at(1_999);
    assert!(!rig.outputs[0]);
}
