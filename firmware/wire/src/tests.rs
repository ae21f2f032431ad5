//! Every message against postcard itself, which documents the format of the bodies.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::vec::Vec;

use crate::body::{Reader, Writer};
use crate::*;

fn one_of<T: Copy + core::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

/// Numbers of every length as a varint.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..300, Just(UNLIMITED), any::<u32>()]
}

fn sample() -> impl Strategy<Value = Sample> {
    let value = prop_oneof![-300_i32..300, Just(i32::MIN), Just(i32::MAX), any::<i32>()];
    prop_oneof![value.prop_map(Sample::Value), one_of(Fault::ALL).prop_map(Sample::Fault)]
}

fn board_id() -> impl Strategy<Value = BoardId> {
    any::<[u8; 8]>().prop_map(BoardId)
}

/// A message of a board; `channels` are what a Hello borrows, `items` what a batch borrows.
fn from_board<'a>(channels: &'a [u8], items: &'a [u8]) -> impl Strategy<Value = FromBoard<'a>> {
    let hello = (one_of(BoardKind::ALL), any::<[u8; 3]>(), option::of(board_id()), one_of(ResetCause::ALL))
        .prop_flat_map(move |(kind, firmware, id, reset)| {
            (number(), number(), any::<u8>()).prop_map(move |(at, next, relays)| {
                let protocol = version::CURRENT;
                FromBoard::Hello(Hello { protocol, kind, firmware, id, reset, at, next, relays, channels })
            })
        });
    let reading = (number(), number(), any::<u8>(), sample())
        .prop_map(|(seq, at, channel, sample)| FromBoard::Reading(Reading { seq, at, channel, sample }));
    let batch = (number(), number()).prop_map(move |(first, at)| FromBoard::Batch(Batch { first, at, items }));
    let ack = (number(), any::<bool>()).prop_map(|(command, limited)| FromBoard::Ack(Ack { command, limited }));
    let error = (number(), one_of(Refusal::ALL))
        .prop_map(|(command, reason)| FromBoard::Error(CommandError { command, reason }));
    let switched = (number(), any::<u8>(), number(), option::of(one_of(OffReason::ALL)))
        .prop_map(|(at, relay, command, off)| FromBoard::Switched(Switched { at, relay, command, off }));
    let heartbeat = (number(), number(), number(), number(), any::<u16>(), any::<u8>()).prop_map(
        |(at, next, oldest, lost, bad_frames, on)| {
            FromBoard::Heartbeat(Heartbeat { at, next, oldest, lost, bad_frames, on })
        },
    );
    prop_oneof![hello, reading, batch, ack, error, switched, heartbeat]
}

fn to_board() -> impl Strategy<Value = ToBoard> {
    let switch = (number(), any::<u8>(), number(), number())
        .prop_map(|(command, relay, on_for, expires)| ToBoard::Switch(Switch { command, relay, on_for, expires }));
    let channel = (number(), any::<u8>(), one_of(ChannelKind::ALL), number(), any::<u8>()).prop_map(
        |(command, channel, kind, interval, oversampling)| {
            ToBoard::SetChannel(SetChannel { command, channel, kind, interval, oversampling })
        },
    );
    let relay = (number(), any::<u8>(), number(), number(), number(), any::<u8>()).prop_map(
        |(command, relay, max_on, min_off, link_timeout, excludes)| {
            ToBoard::SetRelay(SetRelay { command, relay, max_on, min_off, link_timeout, excludes })
        },
    );
    prop_oneof![
        Just(ToBoard::Identify),
        board_id().prop_map(ToBoard::SetId),
        number().prop_map(|heard| ToBoard::Heartbeat { heard }),
        number().prop_map(|through| ToBoard::Received { through }),
        switch,
        channel,
        relay,
    ]
}

/// Readings as a board packs them: the first of those given, as many as fit, and the bytes of their items.
fn packed(first: u32, start: u32, samples: Vec<(u32, u8, Sample)>) -> (Vec<Reading>, Vec<u8>) {
    let mut frame = [0; MAX_FRAME];
    let mut batch = BatchFrame::new(&mut frame, first, start);
    let mut at = start;
    let mut readings = Vec::new();
    for (index, (after, channel, sample)) in samples.into_iter().enumerate() {
        at = at.wrapping_add(if index == 0 { 0 } else { after });
        if !batch.push(at, channel, sample) {
            break;
        }
        readings.push(Reading { seq: first.wrapping_add(readings.len() as u32), at, channel, sample });
    }
    let mut decoder = Decoder::<{ MAX_FRAME - 1 }>::new();
    let body = batch.finish().iter().find_map(|byte| decoder.push(*byte).map(|body| body.unwrap().to_vec())).unwrap();
    let FromBoard::Batch(batch) = FromBoard::decode(&body).unwrap() else { panic!("expected a batch") };
    assert_eq!(batch.readings().collect::<Vec<_>>(), readings);
    (readings, batch.items.to_vec())
}

fn body(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = [0; MAX_BODY];
    let mut body = Writer::new(&mut out);
    write(&mut body);
    body.finish().unwrap().to_vec()
}

proptest! {
    #[test]
    fn a_body_of_a_board_is_what_postcard_writes_and_reads(
        channels in vec(any::<[u8; 2]>(), 0..=MAX_CHANNELS),
        samples in vec((0_u32..20_000, 0_u8..16, sample()), 1..20),
    ) {
        let channels: Vec<u8> = channels.concat();
        let (_, items) = packed(0, 0, samples);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 8, ..ProptestConfig::default() });
        runner.run(&from_board(&channels, &items), |message| {
            let bytes = body(|body| message.write(body));
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&message).unwrap());
            prop_assert_eq!(FromBoard::decode(&bytes), Ok(message));
            prop_assert_eq!(postcard::from_bytes::<FromBoard<'_>>(&bytes).unwrap(), message);
            Ok(())
        }).unwrap();
    }

    #[test]
    fn a_body_of_the_agent_is_what_postcard_writes_and_reads(message in to_board()) {
        let bytes = body(|body| message.write(body));
        prop_assert_eq!(&bytes, &postcard::to_stdvec(&message).unwrap());
        prop_assert_eq!(ToBoard::decode(&bytes), Ok(message));
        prop_assert!(bytes.len() <= MAX_BODY_TO_BOARD, "{} bytes", bytes.len());
    }

    #[test]
    fn any_body_is_read_as_postcard_reads_it(bytes in vec(any::<u8>(), 0..40), tag in 0_u8..8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = tag;
        }
        let ours = ToBoard::decode(&bytes).ok();
        let theirs = postcard::take_from_bytes(&bytes).ok().and_then(|(message, rest)| rest.is_empty().then_some(message));
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_batch_unpacks_to_what_was_packed(
        first in any::<u32>(),
        start in any::<u32>(),
        samples in vec((0_u32..100_000, any::<u8>(), sample()), 1..20),
    ) {
        let given = samples.len();
        let (readings, items) = packed(first, start, samples);
        prop_assert!(readings.len() == given || items.len() > ITEMS_LEN - 12, "{} of {given} readings", readings.len());
    }

    #[test]
    fn a_reader_of_any_bytes_ends(bytes in vec(any::<u8>(), 0..100)) {
        let mut reader = Reader::new(&bytes);
        let _ = (reader.u32(), reader.bytes(), reader.array::<8>(), reader.i32(), reader.bool(), reader.u16());
        let _ = reader.rest();
    }
}
