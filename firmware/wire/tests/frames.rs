//! Frames against other people's vectors, and the decoder against any bytes.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use proptest::collection::vec;
use proptest::prelude::*;
use tilth_wire::{Decoder, FrameError, FromBoard, MAX_FRAME, Reading, Sample, ToBoard, crc16};

type Bodies = Vec<Result<Vec<u8>, FrameError>>;

/// What a decoder for the longest frames of a board makes of `bytes`.
fn decoded(bytes: &[u8]) -> Bodies {
    let mut decoder = Decoder::<{ MAX_FRAME - 1 }>::new();
    bytes.iter().filter_map(|byte| decoder.push(*byte).map(|body| body.map(<[u8]>::to_vec))).collect()
}

fn with_checksum(body: &[u8]) -> Vec<u8> {
    [body, &crc16(body).to_le_bytes()].concat()
}

/// A frame as the `cobs` crate stuffs it, closing zero included.
fn frame(body: &[u8]) -> Vec<u8> {
    let raw = with_checksum(body);
    let mut out = vec![0; cobs::max_encoding_length(raw.len())];
    let length = cobs::encode(&raw, &mut out);
    out.truncate(length);
    out.push(0);
    out
}

/// A file of data from elsewhere; on a clone without it the test is skipped aloud.
fn shared(file: &str, test: &str, cases: usize) -> Option<String> {
    let folder = env::var_os("TILTH_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join("wire").join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        let skipped = format!("skipped: {test} ({cases} cases): no shared data at {}", path.display());
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{skipped}");
        // Not by println, which a test that passes keeps to itself.
        let _ = writeln!(io::stderr().lock(), "\n{skipped}");
        return None;
    };
    Some(text)
}

#[test]
fn the_checksum_is_the_one_of_the_catalogue() {
    assert_eq!(crc16(b"123456789"), 0x29B1);
    assert_eq!(crc16(b""), 0xFFFF);
    let Some(catalogue) = shared("crc_catalogue.csv", "the_checksum_is_the_one_of_the_catalogue", 1) else { return };
    let row = catalogue.lines().find(|row| row.starts_with("CRC_16_IBM_3740,")).unwrap();
    assert_eq!(row, "CRC_16_IBM_3740,16,0x1021,0xffff,false,false,0x0,0x29b1,0x0");
}

#[test]
fn stuffing_follows_the_published_vectors() {
    let Some(vectors) = shared("cobs_vectors.json", "stuffing_follows_the_published_vectors", 10) else { return };
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
    // A vector carries no checksum: it is a frame without its closing zero, and decodes to what the vector says or fails by checksum.
    for vector in vectors["encode"].as_array().unwrap() {
        let (raw, mut encoded) = (bytes(&vector["raw"]), bytes(&vector["encoded"]));
        let mut out = vec![0; cobs::max_encoding_length(raw.len()).max(1)];
        let length = cobs::encode(&raw, &mut out);
        assert_eq!(out[..length], encoded, "{vector}");
        encoded.push(0);
        let expected = if raw.len() < 3 { FrameError::Malformed } else { FrameError::Checksum };
        assert_eq!(decoded(&encoded), [Err(expected)], "{vector}");
        if !raw.is_empty() {
            assert_eq!(decoded(&frame(&raw)), [Ok(raw)], "{vector}");
        }
    }
    for vector in vectors["decode_errors"].as_array().unwrap() {
        let mut line = bytes(vector);
        line.push(0);
        assert!(decoded(&line).iter().all(Result::is_err), "{vector}");
    }
}

#[test]
fn edges_of_frames() {
    let longest = [7; MAX_FRAME - 4];
    for (what, line, expected) in [
        ("nothing", vec![], vec![]),
        ("zeros", vec![0, 0, 0], vec![]),
        ("an empty body", frame(&[]), vec![Err(FrameError::Malformed)]),
        ("one byte", frame(&[1]), vec![Ok(vec![1])]),
        ("zeros in the body", frame(&[0, 0, 0]), vec![Ok(vec![0, 0, 0])]),
        ("the longest body", frame(&longest), vec![Ok(longest.to_vec())]),
        ("a longer one", frame(&[7; MAX_FRAME - 3]), vec![Err(FrameError::TooLong)]),
        ("a code past the end", vec![9, 1, 2, 0], vec![Err(FrameError::Malformed)]),
        ("a wrong checksum", vec![5, 1, 2, 3, 4, 0], vec![Err(FrameError::Checksum)]),
        ("endless noise, then a frame", [vec![0x55; 100_000], vec![0], frame(&[1])].concat(), {
            vec![Err(FrameError::TooLong), Ok(vec![1])]
        }),
    ] {
        assert_eq!(decoded(&line), expected, "{what}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_the_next_frame_decodes(noise in vec(any::<u8>(), 0..400), body in vec(any::<u8>(), 1..60)) {
        let line = [&noise[..], &[0], &frame(&body)].concat();
        let bodies = decoded(&line);
        prop_assert_eq!(bodies.last(), Some(&Ok(body)));
        for body in bodies.into_iter().flatten() {
            let _ = (FromBoard::decode(&body), ToBoard::decode(&body));
        }
    }

    #[test]
    fn frames_are_stuffed_as_the_cobs_crate_does(seq in any::<u32>(), at in any::<u32>(), value in any::<i32>()) {
        let message = FromBoard::Reading(Reading { seq, at, channel: 0, sample: Sample::Value(value) });
        let mut out = [0; MAX_FRAME];
        let encoded = message.encode(&mut out).unwrap();
        let body = decoded(encoded).pop().unwrap().unwrap();
        prop_assert_eq!(encoded, frame(&body));
    }
}

/// Pseudo-random numbers (Marsaglia, "Xorshift RNGs", 2003): the same frames in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// A frame on the line: random bytes, or a message of either side with some bytes flipped, dropped or doubled.
fn damaged(random: &mut Random) -> Vec<u8> {
    if random.below(2) == 0 {
        return (0..random.below(120)).map(|_| random.byte()).collect();
    }
    let mut out = [0; MAX_FRAME];
    let number = random.below(1 << 32) as u32;
    let mut line = if random.below(2) == 0 {
        let sample = Sample::Value(number as i32);
        FromBoard::Reading(Reading { seq: number, at: number, channel: 1, sample }).encode(&mut out)
    } else {
        ToBoard::Received { through: number }.encode(&mut out)
    }
    .unwrap()
    .to_vec();
    for _ in 0..random.below(4) {
        let at = random.below(line.len());
        match random.below(3) {
            0 => line[at] ^= 1 << random.below(8),
            1 => drop(line.remove(at)),
            _ => line.insert(at, random.byte()),
        }
        if line.is_empty() {
            break;
        }
    }
    line
}

/// `TILTH_FRAMES` sets how many frames; a million take some seconds.
#[test]
fn damaged_frames_never_hide_the_next_good_one() {
    let frames: usize = env::var("TILTH_FRAMES").map_or(20_000, |frames| frames.parse().unwrap());
    let mut random = Random(0x7117_0009);
    let mut decoder = Decoder::<{ MAX_FRAME - 1 }>::new();
    let mut out = [0; MAX_FRAME];
    for seq in 0..frames as u32 {
        let mut line = damaged(&mut random);
        line.push(0);
        line.extend(ToBoard::Received { through: seq }.encode(&mut out).unwrap());
        let mut newest = None;
        for byte in line {
            if let Some(Ok(body)) = decoder.push(byte) {
                let _ = FromBoard::decode(body).map(|message| match message {
                    FromBoard::Batch(batch) => batch.readings().count(),
                    _ => 0,
                });
                newest = ToBoard::decode(body).ok();
            }
        }
        assert_eq!(newest, Some(ToBoard::Received { through: seq }), "after {seq} frames");
    }
}
