//! Settings and identity: what the agent sets, what a board keeps, and how a board begins.

use std::vec::Vec;

use tilth_wire::{BoardId, ChannelKind, Refusal, ResetCause, Sample, SetChannel, SetRelay, ToBoard};

use super::{BenchNode, PUMP, Rig, Said};
use crate::{BoardTime, Input, RECORD_LEN, Record};

fn set_channel(command: u32, channel: u8, kind: ChannelKind, interval: u32, oversampling: u8) -> ToBoard {
    ToBoard::SetChannel(SetChannel { command, channel, kind, interval, oversampling })
}

fn records(rig: &mut Rig) -> Vec<Record> {
    let mut record = Record::EMPTY;
    let next = || {
        rig.node.next_record(&mut record).then(|| {
            rig.node.kept(record.slot);
            record.clone()
        })
    };
    core::iter::from_fn(next).collect()
}

/// A board that restarts with what was kept.
fn restarted(records: &[Record]) -> Rig {
    let kept: Vec<_> = records.iter().map(|record| record.bytes).collect();
    Rig::started(0, &kept, Some(Sample::Value(7)))
}

#[test]
fn a_board_says_hello_every_second_until_the_agent_speaks() {
    let mut rig = Rig::slow();
    rig.at(3_000);
    let hellos = |rig: &mut Rig| rig.said().iter().filter(|said| matches!(said, Said::Hello { .. })).count();
    assert_eq!(hellos(&mut rig), 1, "one at a time");
    rig.at(4_001);
    assert_eq!(hellos(&mut rig), 1);
    rig.heartbeat().at(10_000);
    let said = rig.said();
    assert!(said.iter().any(|said| matches!(said, Said::Heartbeat(_))), "{said:?}");
    assert!(!said.iter().any(|said| matches!(said, Said::Hello { .. })), "{said:?}");
}

#[test]
fn an_id_is_set_once() {
    let mut rig = Rig::new();
    rig.said();
    rig.send(ToBoard::SetId(BoardId([1; 8])));
    let id = |rig: &mut Rig| match &rig.said()[0] {
        Said::Hello { id, .. } => *id,
        other => panic!("expected a Hello, not {other:?}"),
    };
    assert_eq!(id(&mut rig), Some([1; 8]));
    rig.send(ToBoard::SetId(BoardId([2; 8])));
    assert_eq!(id(&mut rig), Some([1; 8]));
    let mut rig = restarted(&records(&mut rig));
    rig.send(ToBoard::Identify);
    assert_eq!(id(&mut rig), Some([1; 8]));
}

#[test]
fn settings_of_channels_are_kept_over_a_restart() {
    let mut rig = Rig::new();
    rig.send(set_channel(1, 2, ChannelKind::Ds18b20, 2_000, 0)).send(set_channel(2, 0, ChannelKind::Off, 100, 0));
    assert_eq!(rig.answers(), [(1, Ok(false)), (2, Ok(false))]);
    let records = records(&mut rig);
    assert_eq!(records.iter().map(|record| record.slot).collect::<Vec<_>>(), [1, 3]);
    let mut rig = restarted(&records);
    rig.at(9_500).send(ToBoard::Identify);
    let said = rig.said();
    let kinds = [ChannelKind::Off, ChannelKind::Analog, ChannelKind::Ds18b20, ChannelKind::Off];
    assert!(said.iter().any(|said| matches!(said, Said::Hello { kinds: named, .. } if *named == kinds)), "{said:?}");
    let readings: Vec<_> = said
        .into_iter()
        .flat_map(|said| if let Said::Readings(readings) = said { readings } else { Vec::new() })
        .map(|reading| (reading.at / 1_000, reading.channel))
        .collect();
    assert_eq!(readings, [(0, 1), (0, 2), (2, 2), (4, 2), (6, 2), (8, 2)]);
    assert_eq!(self::records(&mut rig), [], "what was kept is not kept again");
}

#[test]
fn limits_of_relays_are_kept_over_a_restart() {
    let mut rig = Rig::linked();
    let set = SetRelay { command: 1, relay: PUMP, max_on: 700, min_off: 1_000, link_timeout: 10_000, excludes: 0 };
    rig.send(ToBoard::SetRelay(set));
    let mut rig = restarted(&records(&mut rig));
    rig.linked_to(25_000).switch(1, PUMP, 60_000).at(25_700);
    assert_eq!(rig.answers(), [(1, Ok(true))]);
    assert!(!rig.outputs[1]);
}

/// Guards against: a sensor that is asked more often than it may be, by a setting, by a change of it, or by a start.
#[test]
fn a_dht22_is_read_every_two_seconds_at_most() {
    let mut rig = Rig::new();
    rig.at(1_500).send(set_channel(1, 2, ChannelKind::Dht22Humidity, 1_000, 0));
    let began = |rig: &mut Rig| -> Vec<_> {
        rig.readings().iter().filter(|reading| reading.channel == 2).map(|reading| reading.at).collect()
    };
    assert_eq!(began(rig.at(9_000)), [4_000, 6_000, 8_000], "expected a rest after the heartbeat at 2 s");
    rig.send(set_channel(2, 2, ChannelKind::Dht22Humidity, 2_500, 0));
    assert_eq!(began(rig.at(14_900)), [12_000, 14_500], "expected a rest after the heartbeat at 10 s");
    rig.send(set_channel(3, 2, ChannelKind::Dht22Humidity, 100, 0));
    let mut rig = restarted(&records(&mut rig));
    assert_eq!(began(rig.at(5_000)), [2_000, 4_000], "expected a rest after the start");
}

/// Guards against: channels that a technician sets one after the other, and that share no time with the others until the board starts anew.
/// The queue then holds fewer readings.
#[test]
fn channels_that_are_set_seconds_apart_are_measured_in_one_round() {
    let mut rig = Rig::new();
    rig.at(3_300).send(set_channel(1, 2, ChannelKind::Analog, 10_000, 4));
    rig.at(6_700).send(set_channel(2, 3, ChannelKind::Analog, 10_000, 4));
    let began: Vec<_> = rig.at(30_000).readings().iter().map(|reading| (reading.at, reading.channel)).collect();
    let round = |at| (0..4).map(move |channel| (at, channel));
    let expected: Vec<_> = [(0, 0), (0, 1)]
        .into_iter()
        .chain((0..3).map(|channel| (4_000, channel)))
        .chain(round(7_000))
        .chain(round(17_000))
        .chain(round(27_000))
        .collect();
    assert_eq!(began, expected);
}

/// Guards against: a pin whose pulses are counted for ever, so that no counter is free for another one.
#[test]
fn a_board_is_told_once_of_a_channel_that_is_off_and_no_reading_comes_of_it() {
    let mut rig = Rig::slow();
    rig.at(1_000).released.clear();
    rig.send(set_channel(1, 0, ChannelKind::Off, 10_000, 0)).at(60_000);
    assert_eq!(rig.released, [0, 2, 3]);
    rig.input(Input::Measured { channel: 0, sample: Sample::Value(7) });
    rig.at(70_000).send(ToBoard::Identify);
    assert!(rig.readings().iter().all(|reading| reading.channel == 1), "a reading of a channel that is off");
}

#[test]
fn settings_that_are_not_possible_are_refused() {
    let mut rig = Rig::new();
    for (set, reason) in [
        (set_channel(1, 4, ChannelKind::Analog, 1_000, 0), Refusal::NoSuchNumber),
        (set_channel(2, 255, ChannelKind::Analog, 1_000, 0), Refusal::NoSuchNumber),
        (set_channel(3, 0, ChannelKind::Pulse, 1_000, 0), Refusal::NotPossible),
        (set_channel(4, 0, ChannelKind::Analog, 99, 0), Refusal::NotPossible),
        (set_channel(5, 0, ChannelKind::Analog, 86_400_001, 0), Refusal::NotPossible),
        (set_channel(6, 0, ChannelKind::Analog, 1_000, 7), Refusal::NotPossible),
    ] {
        rig.send(set);
        let ToBoard::SetChannel(set) = set else { unreachable!() };
        assert_eq!(rig.answers(), [(set.command, Err(reason))]);
    }
    assert_eq!(records(&mut rig), []);
}

#[test]
fn the_same_setting_again_writes_nothing_and_keeps_the_schedule() {
    let mut rig = Rig::new();
    rig.at(9_000).said();
    rig.send(set_channel(1, 0, ChannelKind::Analog, 10_000, 4));
    assert_eq!(rig.answers(), [(1, Ok(false))]);
    assert_eq!(records(&mut rig), []);
    assert_eq!(rig.readings(), []);
    rig.at(10_000);
    assert_eq!(rig.readings().len(), 2);
}

#[test]
fn records_that_are_empty_or_damaged_are_left_out() {
    let mut rig = Rig::new();
    rig.send(set_channel(1, 1, ChannelKind::Off, 1_000, 0)).send(ToBoard::SetId(BoardId([9; 8])));
    let good = records(&mut rig);
    for (slot, record) in (0..).zip(&good) {
        let end = record.bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for bit in 8..end * 8 {
            let mut damaged = record.clone();
            damaged.bytes[bit / 8] ^= 1 << (bit % 8);
            let mut rig = restarted(&[damaged]);
            rig.send(ToBoard::Identify);
            let said = rig.said();
            let Said::Hello { id: None, kinds, .. } = &said[0] else { panic!("{slot} {bit}: {said:?}") };
            assert_eq!(kinds[1], ChannelKind::Analog, "slot {slot}, bit {bit}");
        }
    }
    for empty in [[0; RECORD_LEN], [0xFF; RECORD_LEN]] {
        let blank: Vec<_> = (0..20).map(|slot| Record { slot, bytes: empty }).collect();
        let mut rig = restarted(&blank);
        rig.linked_to(2_000);
        let said = rig.said();
        let untouched = |said: &Said| matches!(said, Said::Heartbeat(heartbeat) if heartbeat.bad_frames == 0);
        assert!(said.iter().any(untouched), "{said:?}");
    }
}

#[test]
fn what_is_no_message_is_answered_and_what_is_no_frame_is_counted() {
    let mut rig = Rig::linked();
    rig.bytes(&[3, 1, 2, 0, 0, 9, 0]);
    rig.bytes(&[7; 300]);
    rig.bytes(&[0]);
    assert_eq!(rig.answers(), []);
    // A frame of a later version: tag 9.
    let checksum = tilth_wire::crc16(&[9]).to_le_bytes();
    rig.bytes(&[4, 9, checksum[0], checksum[1], 0]);
    assert_eq!(rig.answers(), [(0, Err(Refusal::NotUnderstood))]);
    rig.at(26_001);
    let said = rig.said();
    let counted = |said: &Said| matches!(said, Said::Heartbeat(heartbeat) if heartbeat.bad_frames == 3);
    assert!(said.iter().any(counted), "{said:?}");
}

#[test]
fn progress_takes_time_and_a_whole_round() {
    let mut node = BenchNode::new(BoardTime::from_millis(0), ResetCause::PowerOn);
    let tick = |node: &mut BenchNode, now| node.handle(BoardTime::from_millis(now), crate::Input::Tick);
    tick(&mut node, 0);
    while node.poll().is_some() {}
    assert!(!node.take_progress(), "the clock stands still");
    tick(&mut node, 1);
    assert!(!node.take_progress(), "effects are not taken");
    while node.poll().is_some() {}
    assert!(node.take_progress());
    assert!(!node.take_progress(), "once");
}
