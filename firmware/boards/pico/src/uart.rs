//! UART 0 at 115,200 baud, 8 data bits, no parity, 1 stop bit, on GPIO 0 and 1 (section 4.2).
//!
//! Received bytes wait in the chip's FIFO of 32, which the tick of the clock empties into a ring every millisecond: 12 bytes of a full line.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, Ordering};

use rp2040_hal::pac::UART0;
use rp2040_hal::pac::io_bank0::gpio::gpio_ctrl::FUNCSEL_A;

use crate::pin::Pin;

const TRANSMIT: Pin = Pin::new(0);
const RECEIVE: Pin = Pin::new(1);

/// Divider for 115,200 baud in 1/64: 125 MHz / (16 * 115,200) = 67.82 (section 4.2.7.1).
const DIVIDER: u32 = (crate::CPU_HZ * 4 + 115_200 / 2) / 115_200;

/// Bytes that wait at most, 22 ms of a full line. Indices of one byte wrap by themselves.
const RING: usize = 256;

/// One writer (the tick) and one reader (the loop), each with its own index.
struct Ring {
    bytes: UnsafeCell<[u8; RING]>,
    written: AtomicU8,
    read: AtomicU8,
}

// SAFETY: the tick writes only to places between `written` and `read`, the loop reads only from the others, and each moves only its
// own index, which is one byte and so changes at once.
unsafe impl Sync for Ring {}

static RECEIVED: Ring = Ring { bytes: UnsafeCell::new([0; RING]), written: AtomicU8::new(0), read: AtomicU8::new(0) };

impl Ring {
    /// Adds a byte. A byte that finds no room is dropped: its frame's checksum then fails.
    fn put(&self, byte: u8) {
        let at = self.written.load(Ordering::Relaxed);
        let next = at.wrapping_add(1);
        if next != self.read.load(Ordering::Relaxed) {
            // SAFETY: see `Sync`; every index of one byte is below RING.
            unsafe { self.bytes.get().cast::<u8>().add(usize::from(at)).write(byte) };
            self.written.store(next, Ordering::Release);
        }
    }

    fn take(&self) -> Option<u8> {
        let at = self.read.load(Ordering::Relaxed);
        if at == self.written.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: see `Sync`; every index of one byte is below RING.
        let byte = unsafe { self.bytes.get().cast::<u8>().add(usize::from(at)).read() };
        self.read.store(at.wrapping_add(1), Ordering::Release);
        Some(byte)
    }
}

/// Takes what the FIFO holds; once a millisecond. Before the start of the UART its FIFO is empty.
pub(crate) fn take_received() {
    // SAFETY: reading the data register takes a byte, which only this does.
    let uart = unsafe { &*UART0::ptr() };
    while uart.uartfr().read().rxfe().bit_is_clear() {
        RECEIVED.put(uart.uartdr().read().data().bits());
    }
}

/// The serial line on two pins.
pub(crate) struct Uart(UART0);

impl Uart {
    /// Starts receiver and transmitter of a UART that has come out of reset.
    pub(crate) fn start(uart: UART0) -> Self {
        // SAFETY: every value of the divider is valid.
        uart.uartibrd().write(|w| unsafe { w.bits(DIVIDER / 64) });
        // SAFETY: as above.
        uart.uartfbrd().write(|w| unsafe { w.bits(DIVIDER % 64) });
        // SAFETY: 3 stands for eight bits.
        uart.uartlcr_h().write(|w| unsafe { w.wlen().bits(3).fen().set_bit() });
        uart.uartcr().write(|w| w.uarten().set_bit().txe().set_bit().rxe().set_bit());
        TRANSMIT.set_function(FUNCSEL_A::UART, false);
        // Without a connected line the pull-up keeps noise out.
        RECEIVE.set_function(FUNCSEL_A::UART, true);
        Self(uart)
    }

    /// The oldest byte that was received.
    pub(crate) fn receive(&mut self) -> Option<u8> {
        RECEIVED.take()
    }

    /// Whether the transmitter has room for a byte.
    pub(crate) fn can_send(&self) -> bool {
        self.0.uartfr().read().txff().bit_is_clear()
    }

    /// Sends a byte, for which the transmitter must have room.
    pub(crate) fn send(&mut self, byte: u8) {
        // SAFETY: every byte may be sent.
        self.0.uartdr().write(|w| unsafe { w.data().bits(byte) });
    }
}
