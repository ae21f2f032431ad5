//! USART 0 at 115,200 baud, 8 data bits, no parity, 1 stop bit (section 24): received bytes wait in a ring that an interrupt fills.
//!
//! Sending never waits: the loop asks whether the transmitter has room, and gives it a byte if so.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::chip::{Peripherals, USART0};

/// Bytes that wait are one fewer. On an Uno the most that the agent says at once, a heartbeat, a confirmation and a command: they come in
/// 4.1 ms, and between two times that the loop takes bytes lie less. Reading a BME280 or DHT22 takes up to 6 ms, and what is confirmed may
/// be most of the Mega's queue.
const RING: u8 = if cfg!(feature = "atmega2560") {
    255
} else if cfg!(feature = "all-sensors") {
    96
} else {
    48
};

/// At double speed: 16 MHz / 8 / 17 = 117,647 baud, 2.1 % above 115,200 (table 24-9).
const DIVIDER: u16 = 16;

/// One writer (the interrupt) and one reader (the loop), each with its own index.
struct Ring {
    bytes: UnsafeCell<[u8; RING as usize]>,
    written: AtomicU8,
    read: AtomicU8,
}

// SAFETY: the interrupt writes only to places between `written` and `read`, the loop reads only from the others, and each moves
// only its own index, which is one byte and so changes at once.
unsafe impl Sync for Ring {}

static RECEIVED: Ring =
    Ring { bytes: UnsafeCell::new([0; RING as usize]), written: AtomicU8::new(0), read: AtomicU8::new(0) };

impl Ring {
    /// Adds a byte. A byte that finds no room is dropped: its frame's checksum then fails.
    #[inline(always)]
    fn put(&self, byte: u8) {
        let at = self.written.load(Ordering::Relaxed);
        let next = after(at);
        if next != self.read.load(Ordering::Relaxed) {
            // SAFETY: see `Sync`; `at` is below RING.
            unsafe { self.bytes.get().cast::<u8>().add(usize::from(at)).write(byte) };
            self.written.store(next, Ordering::Release);
        }
    }

    fn take(&self) -> Option<u8> {
        let at = self.read.load(Ordering::Relaxed);
        if at == self.written.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: see `Sync`; `at` is below RING.
        let byte = unsafe { self.bytes.get().cast::<u8>().add(usize::from(at)).read() };
        self.read.store(after(at), Ordering::Release);
        Some(byte)
    }
}

/// The place behind another one.
#[inline(always)]
fn after(at: u8) -> u8 {
    if at == RING - 1 { 0 } else { at + 1 }
}

/// The serial line to the agent.
pub struct Serial(USART0);

impl Serial {
    /// Starts receiver and transmitter. Bytes are received once interrupts are on.
    pub fn start(usart: USART0) -> Self {
        // SAFETY: every value of the divider is valid.
        usart.ubrr0().write(|w| unsafe { w.bits(DIVIDER) });
        usart.ucsr0a().write(|w| w.u2x0().set_bit());
        usart.ucsr0c().write(|w| w.ucsz0().chr8());
        usart.ucsr0b().write(|w| w.txen0().set_bit().rxen0().set_bit().rxcie0().set_bit());
        Self(usart)
    }

    /// The oldest byte that was received.
    pub fn receive(&mut self) -> Option<u8> {
        RECEIVED.take()
    }

    /// Whether a received byte waits.
    pub fn has_received(&self) -> bool {
        RECEIVED.read.load(Ordering::Relaxed) != RECEIVED.written.load(Ordering::Relaxed)
    }

    /// Whether the transmitter has room for a byte.
    pub fn can_send(&self) -> bool {
        self.0.ucsr0a().read().udre0().bit_is_set()
    }

    /// Sends a byte, for which the transmitter must have room.
    pub fn send(&mut self, byte: u8) {
        // SAFETY: every byte may be sent.
        self.0.udr0().write(|w| unsafe { w.bits(byte) });
    }
}

#[inline(always)]
fn receive() {
    // SAFETY: reading the data register takes the byte, which only this interrupt does.
    let byte = unsafe { Peripherals::steal() }.USART0.udr0().read().bits();
    RECEIVED.put(byte);
}

#[cfg(feature = "atmega328p")]
#[avr_device::interrupt(atmega328p)]
fn USART_RX() {
    receive();
}

#[cfg(feature = "atmega2560")]
#[avr_device::interrupt(atmega2560)]
fn USART0_RX() {
    receive();
}
