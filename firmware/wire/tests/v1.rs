//! Version 1, frozen: each message with the bytes of its frame. A change here is a new version, in a file of its own.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use tilth_wire::{
    Ack, Batch, BatchFrame, BoardId, BoardKind, ChannelKind, CommandError, Decoder, Fault, FromBoard, Heartbeat, Hello,
    MAX_FRAME, OffReason, Reading, Refusal, ResetCause, Sample, SetChannel, SetRelay, Switch, Switched, ToBoard,
    UNLIMITED, Unit, version,
};

const CHANNELS: [u8; 6] = [1, 0, 2, 1, 11, 5];

fn hello(id: Option<BoardId>) -> FromBoard<'static> {
    FromBoard::Hello(Hello {
        protocol: 1,
        kind: BoardKind::Uno,
        firmware: [0, 1, 0],
        id,
        reset: ResetCause::Watchdog,
        at: 1_234,
        next: 0,
        relays: 2,
        channels: &CHANNELS,
    })
}

fn from_board() -> [(FromBoard<'static>, &'static str); 12] {
    let reading = |seq, sample| FromBoard::Reading(Reading { seq, at: 5_000, channel: 3, sample });
    let switched = |off| FromBoard::Switched(Switched { at: 9_000, relay: 1, command: 77, off });
    [
        (hello(None), "010201010201010403d209040206010702010b05e8c800"),
        (
            hello(Some(BoardId([1, 2, 3, 4, 5, 6, 7, 8]))),
            "0102010102010d01010203040506070803d209040206010702010b051c1e00",
        ),
        (reading(0, Sample::Value(21_375)), "02010488270306fecd02876000"),
        (reading(300, Sample::Value(-5)), "0701ac0288270304092ee400"),
        (reading(u32::MAX, Sample::Fault(Fault::PowerOn)), "0e01ffffffff0f8827030102ff1500"),
        (FromBoard::Batch(BATCH), "0702ac02882710010103800803010103904e0106dfc50857d800"),
        (FromBoard::Ack(Ack { command: 77, limited: true }), "06034d017dfe00"),
        (FromBoard::Error(CommandError { command: 78, reason: Refusal::LinkLost }), "06044e07784e00"),
        (FromBoard::Error(CommandError { command: 0, reason: Refusal::NotUnderstood }), "020401035c1000"),
        (switched(None), "0605a846014d03fd6000"),
        (switched(Some(OffReason::MaxOn)), "0a05a846014d0101b6b200"),
        (
            FromBoard::Heartbeat(Heartbeat {
                at: 86_400_000,
                next: 1_000,
                oldest: 990,
                lost: 3,
                bad_frames: 65_535,
                on: 2,
            }),
            "110680b89929e807de0703ffff0302d34800",
        ),
    ]
}

const TO_BOARD: [(ToBoard, &str); 8] = [
    (ToBoard::Identify, "0103f0e100"),
    (ToBoard::SetId(BoardId([1, 2, 3, 4, 5, 6, 7, 8])), "0c010102030405060708fd8500"),
    (ToBoard::Heartbeat { heard: 86_400_000 }, "080280b89929d1c800"),
    (ToBoard::Received { through: 300 }, "0603ac029ded00"),
    (ToBoard::Switch(Switch { command: 77, relay: 1, on_for: 2_000, expires: 95_000 }), "0b044d01d00f98e605309400"),
    (ToBoard::Switch(Switch { command: 79, relay: 1, on_for: 0, expires: 0 }), "04044f010103481500"),
    (
        ToBoard::SetChannel(SetChannel {
            command: 80,
            channel: 2,
            kind: ChannelKind::Ds18b20,
            interval: 10_000,
            oversampling: 0,
        }),
        "0705500209904e03f31900",
    ),
    (
        ToBoard::SetRelay(SetRelay {
            command: 81,
            relay: 0,
            max_on: UNLIMITED,
            min_off: 600_000,
            link_timeout: 30_000,
            excludes: 0b10,
        }),
        "0306510fffffffff0fc0cf24b0ea010245bb00",
    ),
];

const BATCH: Batch<'_> =
    Batch { first: 300, at: 5_000, items: &[0, 0, 0, 0x80, 0x08, 0, 1, 1, 0, 0x90, 0x4E, 0, 0, 0xDF, 0xC5, 0x08] };

/// What the batch holds.
fn batched() -> [Reading; 3] {
    let reading = |seq, at, channel, sample| Reading { seq, at, channel, sample };
    [
        reading(300, 5_000, 0, Sample::Value(512)),
        reading(301, 5_000, 1, Sample::Fault(Fault::Absent)),
        reading(302, 15_000, 0, Sample::Value(-70_000)),
    ]
}

/// The body of the one frame in `bytes`.
fn body(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::<MAX_FRAME>::new();
    let mut bodies = bytes.iter().filter_map(|byte| decoder.push(*byte).map(|body| body.unwrap().to_vec()));
    bodies.next().expect("a whole frame")
}

#[test]
fn messages_of_a_board_have_the_bytes_of_version_1() {
    for (message, expected) in from_board() {
        let mut out = [0; MAX_FRAME];
        let frame = message.encode(&mut out).unwrap();
        assert_eq!(hex::encode(frame), expected, "{message:?}");
        assert_eq!(FromBoard::decode(&body(frame)), Ok(message));
    }
}

#[test]
fn messages_of_the_agent_have_the_bytes_of_version_1() {
    for (message, expected) in TO_BOARD {
        let mut out = [0; MAX_FRAME];
        let frame = message.encode(&mut out).unwrap();
        assert_eq!(hex::encode(frame), expected, "{message:?}");
        assert_eq!(ToBoard::decode(&body(frame)), Ok(message));
    }
}

#[test]
fn the_page_about_the_protocol_shows_these_frames() {
    let page = include_str!("../../../docs/wire-protocol.md");
    let frames = from_board().map(|(_, frame)| frame).into_iter().chain(TO_BOARD.map(|(_, frame)| frame));
    for frame in frames {
        assert!(page.contains(&format!("`{frame}`")), "docs/wire-protocol.md: expected an example {frame}");
    }
}

#[test]
fn numbers_of_enumerations_are_those_of_version_1() {
    assert_eq!(BoardKind::ALL.len(), 4);
    assert_eq!(ChannelKind::ALL.len(), 12);
    assert_eq!(ResetCause::ALL.len(), 5);
    assert_eq!(Unit::ALL.len(), 6);
    assert_eq!(Fault::ALL.len(), 6);
    assert_eq!(Refusal::ALL.len(), 8);
    assert_eq!(OffReason::ALL.len(), 5);
    assert_eq!((ChannelKind::Contact.number(), ChannelKind::Contact.unit()), (11, Unit::State));
}

#[test]
fn a_hello_names_its_channels() {
    let FromBoard::Hello(hello) = hello(None) else { unreachable!() };
    let channels: Vec<_> = hello.channels().collect();
    let expected = [
        (ChannelKind::Analog, Unit::Raw),
        (ChannelKind::Sht3xTemperature, Unit::MilliCelsius),
        (ChannelKind::Contact, Unit::State),
    ];
    assert_eq!(channels, expected.map(Some));
    let unknown = Hello { channels: &[12, 0, 1, 6], ..hello };
    assert_eq!(unknown.channels().collect::<Vec<_>>(), [None, None]);
}

#[test]
fn a_batch_unpacks_with_sequence_and_time_and_packs_to_the_same_frame() {
    assert_eq!(BATCH.readings().collect::<Vec<_>>(), batched());
    let mut out = [0; MAX_FRAME];
    let mut frame = BatchFrame::new(&mut out, BATCH.first, BATCH.at);
    for Reading { at, channel, sample, .. } in batched() {
        assert!(frame.push(at, channel, sample));
    }
    assert_eq!(frame.finish(), FromBoard::Batch(BATCH).encode(&mut [0; MAX_FRAME]).unwrap());
}

#[test]
fn a_hello_of_another_version_is_named() {
    use tilth_wire::DecodeError::{Message, Version};
    let mut out = [0; MAX_FRAME];
    let body = body(hello(None).encode(&mut out).unwrap());
    assert_eq!(version::of_hello(&body), Some(1));
    for (version, expected) in [(0, Version(0)), (2, Version(2)), (255, Version(255))] {
        let mut other = body.clone();
        other[1] = version;
        other.extend([1, 2, 3]);
        assert_eq!(FromBoard::decode(&other), Err(expected));
    }
    let mut longer = body.clone();
    longer.push(0);
    assert_eq!(FromBoard::decode(&longer), Err(Message));
    assert_eq!(version::of_hello(&[1, 9]), None);
}
