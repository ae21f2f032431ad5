//! Measurements, the send queue, and what the agent confirms.

use std::vec::Vec;

use tilth_wire::{ChannelKind, Fault, Heartbeat, Reading, Sample, SetChannel, ToBoard};

use super::{Rig, Said};
use crate::Input;

fn seqs(readings: &[Reading]) -> Vec<u32> {
    readings.iter().map(|reading| reading.seq).collect()
}

fn newest_heartbeat(rig: &mut Rig) -> Heartbeat {
    let heartbeat = |said| match said {
        Said::Heartbeat(heartbeat) => Some(heartbeat),
        _ => None,
    };
    rig.said().into_iter().filter_map(heartbeat).next_back().expect("a heartbeat")
}

#[test]
fn channels_are_measured_at_their_interval() {
    let mut rig = Rig::new();
    rig.at(25_000);
    let readings = rig.readings();
    let expected = [(0, 0), (0, 1), (10_000, 0), (10_000, 1), (20_000, 0), (20_000, 1)];
    assert_eq!(readings.iter().map(|reading| (reading.at, reading.channel)).collect::<Vec<_>>(), expected);
    assert_eq!(seqs(&readings), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_measurement_takes_time_and_counts_from_its_beginning() {
    let mut rig = Rig::slow();
    rig.at(750).input(Input::Measured { channel: 1, sample: Sample::Value(21_000) });
    let reading = Reading { seq: 0, at: 0, channel: 1, sample: Sample::Value(21_000) };
    assert_eq!(rig.readings(), [reading]);
    rig.at(9_999);
    assert_eq!(rig.measuring, [0, 1]);
    rig.at(10_000);
    assert_eq!(rig.measuring, [0, 1, 0, 1], "the next one is due 10 s after the beginning");
}

#[test]
fn a_measurement_that_does_not_end_is_a_fault_and_the_next_one_begins() {
    let mut rig = Rig::slow();
    assert_eq!(rig.measuring, [0, 1]);
    rig.at(4_999);
    assert_eq!(rig.readings(), []);
    rig.at(5_000);
    let timeout = |channel: u8| Reading { seq: channel.into(), at: 0, channel, sample: Sample::Fault(Fault::Timeout) };
    assert_eq!(rig.readings(), [timeout(0)]);
    rig.at(5_001);
    assert_eq!(rig.readings(), [timeout(1)], "one at a time");
    rig.input(Input::Measured { channel: 0, sample: Sample::Value(1) });
    assert_eq!(rig.readings(), [], "a sample after the timeout is left out");
    rig.at(10_001);
    assert_eq!(rig.measuring, [0, 1, 0, 1]);
}

#[test]
fn new_settings_end_a_measurement_and_begin_one_within_a_second() {
    let mut rig = Rig::slow();
    rig.at(200);
    let (kind, interval, oversampling) = (ChannelKind::Ds18b20, 2_000, 0);
    rig.send(ToBoard::SetChannel(SetChannel { command: 1, channel: 0, kind, interval, oversampling }));
    rig.input(Input::Measured { channel: 0, sample: Sample::Value(1) });
    assert_eq!(rig.readings(), [], "the sample of the settings before is left out");
    rig.at(999);
    assert_eq!(rig.measuring, [0, 1]);
    rig.at(1_000);
    assert_eq!(rig.measuring, [0, 1, 0, 1], "all begin anew with it");
    rig.input(Input::Measured { channel: 0, sample: Sample::Value(2) });
    assert_eq!(rig.readings(), [Reading { seq: 0, at: 1_000, channel: 0, sample: Sample::Value(2) }]);
}

#[test]
fn what_is_not_confirmed_is_kept_and_sent_again_when_asked() {
    let mut rig = Rig::linked();
    rig.linked_to(40_000);
    rig.said();
    rig.send(ToBoard::Received { through: 4 }).send(ToBoard::Identify);
    let said = rig.said();
    assert!(matches!(said[0], Said::Hello { next: 10, at: 40_000, .. }), "{said:?}");
    let Said::Readings(readings) = &said[1] else { panic!("expected readings: {said:?}") };
    assert_eq!(seqs(readings), [5, 6, 7, 8, 9]);
    rig.send(ToBoard::Received { through: 9 }).send(ToBoard::Identify);
    assert_eq!(rig.readings(), []);
}

#[test]
fn confirmations_that_are_old_repeated_or_of_the_future_change_nothing() {
    let mut rig = Rig::linked();
    rig.send(ToBoard::Received { through: 2 });
    for through in [2, 0, 6, 1_000, u32::MAX, 1 << 31] {
        rig.send(ToBoard::Received { through });
    }
    rig.send(ToBoard::Identify);
    assert_eq!(seqs(&rig.readings()), [3, 4, 5]);
}

#[test]
fn an_agent_that_was_away_gets_everything_it_missed() {
    let mut rig = Rig::linked();
    rig.send(ToBoard::Received { through: 5 }).at(25_000 + 180_000);
    rig.said();
    rig.heartbeat();
    let readings = rig.readings();
    assert_eq!(seqs(&readings), (6..42).collect::<Vec<_>>());
    assert_eq!((readings[0].at / 1_000, readings[35].at / 1_000), (30, 200));
    rig.at(206_000).heartbeat();
    assert_eq!(rig.readings(), [], "expected no more: the agent was not silent");
}

/// The queue of the Uno: 256 bytes. Values wander as those of a room, the pH probe's raw counts by one count of its converter.
#[test]
fn four_channels_at_ten_seconds_are_held_for_three_minutes() {
    let mut rig = Rig::new();
    for (command, channel) in (1..).zip(2..4) {
        let (kind, interval, oversampling) = (ChannelKind::Analog, 10_000, 4);
        rig.send(ToBoard::SetChannel(SetChannel { command, channel, kind, interval, oversampling }));
    }
    rig.at(1_000).heartbeat();
    rig.send(ToBoard::Received { through: 8 });
    rig.sample = None;
    for round in 0..18 {
        rig.at(10_000 * round + 10_500);
        for (channel, base, step) in [(0, 30_000, 640), (1, 21_500, 180), (2, 65_000, 250), (3, 41_000, 640)] {
            let value = base + step * ((round as i32 * 7 + channel as i32 * 3) % 5 - 2);
            rig.input(Input::Measured { channel, sample: Sample::Value(value) });
        }
    }
    let heartbeat = newest_heartbeat(&mut rig);
    assert_eq!((heartbeat.lost, heartbeat.oldest, heartbeat.next), (0, 9, 81));
}

#[test]
fn a_full_queue_drops_the_oldest_and_says_how_many() {
    let mut rig = Rig::linked();
    rig.linked_to(3_600_000);
    let heartbeat = newest_heartbeat(&mut rig);
    assert_eq!(heartbeat.next, 722);
    assert_eq!(heartbeat.lost, heartbeat.oldest, "everything before the oldest was dropped");
    assert!(heartbeat.next - heartbeat.oldest > 80, "{heartbeat:?}");
    rig.send(ToBoard::Identify);
    assert_eq!(seqs(&rig.readings()), (heartbeat.oldest..722).collect::<Vec<_>>());
}

#[test]
fn readings_go_out_alone_as_they_come_and_together_when_they_gathered() {
    let mut rig = Rig::linked();
    rig.sample = None;
    rig.at(30_000).said();
    rig.input(Input::Measured { channel: 1, sample: Sample::Value(5) });
    let reading = |seq, channel, sample| Reading { seq, at: 30_000, channel, sample };
    assert_eq!(rig.said(), [Said::Readings([reading(6, 1, Sample::Value(5))].to_vec())]);
    rig.input(Input::Measured { channel: 0, sample: Sample::Fault(Fault::Bus) });
    assert_eq!(rig.said(), [Said::Readings([reading(7, 0, Sample::Fault(Fault::Bus))].to_vec())]);
}

/// Four channels at 10 s whose values move by `step` from reading to reading. The agent confirms what it has at 20 s, would do so again at
/// 50 s, and is gone from then on. Readings that are lost when it is back after `absence` seconds.
fn lost_after(absence: u32, step: i32) -> u32 {
    let mut rig = Rig::slow();
    for channel in 0..4 {
        let (command, kind, interval) = (1 + u32::from(channel), ChannelKind::Analog, 10_000);
        rig.send(ToBoard::SetChannel(SetChannel { command, channel, kind, interval, oversampling: 0 }));
    }
    let mut through = 0;
    for round in 0..6 + absence / 10 {
        rig.at(10_000 * round + 1_000);
        for channel in core::mem::take(&mut rig.measuring) {
            let value = if round % 2 == 0 { 30_000 } else { 30_000 + step };
            rig.input(Input::Measured { channel, sample: Sample::Value(value) });
        }
        if round == 2 {
            through = *seqs(&rig.readings()).last().expect("readings");
            rig.send(ToBoard::Received { through });
        }
    }
    rig.readings();
    rig.send(ToBoard::Identify);
    let held = seqs(&rig.readings());
    assert!(held.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in {held:?}");
    held[0] - (through + 1)
}

/// What the agent has not stored for up to 30 s is in the queue already when it goes.
#[test]
fn the_queue_of_an_uno_holds_180_seconds_of_four_channels_beside_those_before() {
    // Three bytes a reading: the most of a channel that jumps by less than a quarter of the scale.
    assert_eq!(lost_after(180, 16_383), 0);
    assert_eq!(lost_after(190, 16_383), 3, "252 of 256 bytes were in use");
    // Two bytes: two counts of a converter of 10 bits, 0.127 degrees, 0.127 %.
    assert_eq!(lost_after(290, 127), 0);
    assert_eq!(lost_after(300, 127), 4);
}
