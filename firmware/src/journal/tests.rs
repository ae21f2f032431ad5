use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Flash as a chip has it: erasing sets bits, programming clears them.
struct Flash([u8; 2 * SECTOR_LEN]);

impl Flash {
    fn new() -> Self {
        Self([BLANK; 2 * SECTOR_LEN])
    }

    fn journal(&self) -> Journal<'_> {
        Journal::new(&self.0)
    }

    fn take(&mut self, step: &Step) {
        self.take_until(step, usize::MAX, 0);
    }

    /// A step in which the power is cut: what it does to the first `done` bytes is done, the next one is left with the bits of `bits`.
    fn take_until(&mut self, step: &Step, done: usize, bits: u8) {
        match step {
            Step::Erase { sector } => {
                for (at, byte) in self.0[sector * SECTOR_LEN..][..SECTOR_LEN].iter_mut().enumerate() {
                    *byte |= if at < done { 0xFF } else { bits };
                }
            }
            Step::Program { at, bytes: wanted } => {
                let places = self.0[*at..].iter_mut().zip(wanted).enumerate();
                for (at, (byte, wanted)) in places.take_while(|(at, _)| *at <= done) {
                    *byte &= if at < done { *wanted } else { *wanted | bits };
                }
            }
        }
    }

    /// Keeps a record; how many steps that took.
    fn keep(&mut self, record: &Record) -> usize {
        for steps in 0..200 {
            let Some(step) = self.journal().next_step(record) else { return steps };
            self.take(&step);
        }
        panic!("never kept: {record:?}");
    }
}

fn record(slot: u8, value: u8) -> Record {
    Record { slot, bytes: [value; RECORD_LEN] }
}

#[test]
fn an_empty_flash_keeps_nothing() {
    assert_eq!(Flash::new().journal().kept(3), [BLANK; RECORD_LEN]);
}

#[test]
fn a_record_is_kept_once() {
    let mut flash = Flash::new();
    assert_eq!(flash.keep(&record(3, 7)), 2, "a record and the head of the sector");
    assert_eq!(flash.keep(&record(3, 7)), 0, "it is there already");
    assert_eq!(flash.keep(&record(3, 8)), 1);
    assert_eq!(flash.keep(&record(3, 7)), 1, "the older one does not count");
    assert_eq!(flash.journal().kept(3), [7; RECORD_LEN]);
    assert_eq!(flash.journal().kept(4), [BLANK; RECORD_LEN]);
}

#[test]
fn a_sector_is_erased_once_in_a_hundred_changes() {
    let mut flash = Flash::new();
    let mut erased = 0;
    for change in 0..1_000_u32 {
        let record = record((change % 17) as u8, (change % 251) as u8);
        while let Some(step) = flash.journal().next_step(&record) {
            erased += usize::from(matches!(step, Step::Erase { .. }));
            flash.take(&step);
        }
    }
    assert!((1..=10).contains(&erased), "expected at most 10 erased sectors, got {erased}");
}

#[test]
fn flash_with_anything_in_it_comes_into_use() {
    for old in [0x00, 0x55, HEAD] {
        let mut flash = Flash([old; 2 * SECTOR_LEN]);
        flash.keep(&record(1, 9));
        assert_eq!(flash.journal().kept(1), [9; RECORD_LEN], "over bytes of {old:#04X}");
    }
}

proptest! {
    /// Whenever the power is cut, each slot keeps what it kept before, or the record that was being kept; and goes on from there.
    #[test]
    fn a_power_cut_loses_at_most_the_newest_record(
        changes in vec((0..SLOTS, any::<u8>(), any::<bool>(), 0_usize..8, 0_usize..80, any::<u8>()), 1..300),
    ) {
        let mut flash = Flash::new();
        let mut expected = BTreeMap::new();
        for (slot, value, is_cut, steps, done, bits) in changes {
            let record = record(slot, value);
            if !is_cut {
                flash.keep(&record);
                expected.insert(slot, record.bytes);
            } else {
                for at in 0..=steps {
                    let Some(step) = flash.journal().next_step(&record) else { break };
                    if at < steps { flash.take(&step) } else { flash.take_until(&step, done * 64, bits) }
                }
                let kept = flash.journal().kept(slot);
                let before = expected.get(&slot).copied().unwrap_or([BLANK; RECORD_LEN]);
                prop_assert!(kept == before || kept == record.bytes, "slot {} keeps {:?}", slot, kept);
                expected.insert(slot, kept);
            }
            let all: Vec<_> = (0..SLOTS).map(|slot| flash.journal().kept(slot)).collect();
            let wanted: Vec<_> = (0..SLOTS).map(|slot| expected.get(&slot).copied().unwrap_or([BLANK; RECORD_LEN])).collect();
            prop_assert_eq!(all, wanted);
        }
    }
}
