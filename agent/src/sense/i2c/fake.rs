//! Chips as their registers behave on the bus, for tests: they can be absent, lose power and answer with errors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use super::chip::{Driver, Step, Values};
use super::chip_io::{ChipIo, Fault, crc8};

/// A chip on the fake bus. Each method answers whether the chip acknowledges.
pub(super) trait FakeChip: Send {
    fn write(&mut self, bytes: &[u8]) -> bool;
    fn read(&mut self, bytes: &mut [u8]) -> bool;
}

/// A bus whose chips a test keeps at hand. Clones are of the same bus.
#[derive(Clone, Default)]
pub(super) struct FakeBus(Arc<Mutex<FakeState>>);

#[derive(Default)]
pub(super) struct FakeState {
    pub(super) chips: BTreeMap<u8, Box<dyn FakeChip>>,
    /// The data line is held low.
    pub(super) is_held: bool,
}

impl FakeBus {
    pub(super) fn with(address: u8, chip: impl FakeChip + 'static) -> FakeBus {
        let bus = FakeBus::default();
        bus.add(address, chip);
        bus
    }

    pub(super) fn add(&self, address: u8, chip: impl FakeChip + 'static) {
        self.lock().chips.insert(address, Box::new(chip));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap()
    }
}

impl ErrorType for FakeBus {
    type Error = ErrorKind;
}

impl I2c for FakeBus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let mut state = self.lock();
        if state.is_held {
            return Err(ErrorKind::Bus);
        }
        let absent = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        let chip = state.chips.get_mut(&address).ok_or(absent)?;
        for operation in operations {
            let is_acknowledged = match operation {
                Operation::Write(bytes) => chip.write(bytes),
                Operation::Read(bytes) => chip.read(bytes),
            };
            if !is_acknowledged {
                return Err(absent);
            }
        }
        Ok(())
    }
}

/// One reading without the waits.
pub(super) fn reading(driver: &mut Driver, bus: &mut FakeBus, address: u8) -> Result<Values, Fault> {
    for _ in 0..200 {
        if let Step::Done(values) = driver.step(&mut ChipIo::new(bus, address))? {
            return Ok(values);
        }
    }
    panic!("no reading in 200 steps: {driver:?}");
}

/// The next step without its wait.
pub(super) fn step(driver: &mut Driver, bus: &mut FakeBus, address: u8) -> Result<Step, Fault> {
    driver.step(&mut ChipIo::new(bus, address))
}

/// A chip with registers, each of a byte.
pub(super) struct Registers {
    pub(super) values: [u8; 256],
    pointer: u8,
    /// What a write of a byte does besides.
    pub(super) written: fn(&mut [u8; 256], u8),
}

impl Registers {
    pub(super) fn new(values: [u8; 256], written: fn(&mut [u8; 256], u8)) -> Registers {
        Registers { values, pointer: 0, written }
    }
}

impl FakeChip for Registers {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.pointer = bytes[0];
        for byte in &bytes[1..] {
            self.values[usize::from(self.pointer)] = *byte;
            (self.written)(&mut self.values, self.pointer);
            self.pointer += 1;
        }
        true
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        let from = usize::from(self.pointer);
        bytes.copy_from_slice(&self.values[from..from + bytes.len()]);
        true
    }
}

/// A chip that answers commands of its own, such as Sensirion's; a command that it does not know is not acknowledged.
pub(super) struct Commands {
    /// Answers by command; `None` for a read that is not acknowledged.
    pub(super) answers: BTreeMap<Vec<u8>, Vec<u8>>,
    asked: Option<Vec<u8>>,
}

impl Commands {
    pub(super) fn new<const N: usize>(answers: [(&[u8], Vec<u8>); N]) -> Commands {
        Commands {
            answers: answers.into_iter().map(|(command, answer)| (command.to_vec(), answer)).collect(),
            asked: None,
        }
    }
}

impl FakeChip for Commands {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.asked = Some(bytes.to_vec());
        self.answers.contains_key(bytes)
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        let Some(answer) = self.asked.take().and_then(|asked| self.answers.get(&asked)) else { return false };
        bytes.iter_mut().zip(answer.iter().copied().chain(std::iter::repeat(0xff))).for_each(|(to, from)| *to = from);
        true
    }
}

/// Words as Sensirion's chips send them.
pub(super) fn words<const N: usize>(words: [u16; N]) -> Vec<u8> {
    let group = |word: u16| {
        let [high, low] = word.to_be_bytes();
        [high, low, crc8([high, low])]
    };
    words.into_iter().flat_map(group).collect()
}
