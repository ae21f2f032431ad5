//! Peripherals of the ATmega328P and the ATmega2560 at 16 MHz, as far as Tilth's boards use them.
//!
//! Section numbers are of the datasheet ATmega48A/PA/88A/PA/168A/PA/328/P (DS40002061B); the ATmega2560 has the same peripherals
//! at the same addresses. Interrupts only move bytes, count milliseconds and count pulses: everything else runs in the board's
//! loop, which is why a pin or a register that is changed there needs no critical section.
#![no_std]
#![feature(abi_avr_interrupt, asm_experimental_arch)]

#[cfg(not(any(feature = "atmega328p", feature = "atmega2560")))]
compile_error!("expected the feature atmega328p or atmega2560");

#[cfg(feature = "atmega328p")]
pub use avr_device::atmega328p as chip;
#[cfg(feature = "atmega2560")]
pub use avr_device::atmega2560 as chip;
pub use avr_device::{entry, interrupt};

mod adc;
mod clock;
mod delay;
mod eeprom;
mod flash;
mod pin;
mod pulse;
pub mod reset;
mod serial;
mod station;
mod twi;
mod watchdog;

pub use adc::Adc;
pub use clock::Clock;
pub use delay::Delay;
pub use eeprom::Eeprom;
pub use flash::Flash;
pub use pin::{OpenDrain, Pin, Port};
pub use serial::Serial;
pub use station::{Channel, Relay, Station, Wired};
pub use tilth_firmware::Connection;
pub use twi::{BusError, Twi};
pub use watchdog::Watchdog;

/// Frequency of the processor: the crystal on every board here.
pub const CPU_HZ: u32 = 16_000_000;

/// Sleeps until the next interrupt, at most a millisecond; at once if bytes wait to be read. Peripherals keep running.
fn idle(processor: &chip::CPU, serial: &Serial) {
    interrupt::disable();
    let bytes_wait = serial.has_received();
    if !bytes_wait {
        // Idle mode is 0, after a reset as well (section 14.11.1).
        processor.smcr().write(|w| w.se().set_bit());
    }
    // SAFETY: interrupts were on, and no critical section is left open. The instruction after `sei` runs before any interrupt
    // (section 7.7), so that none gets in between the check and the sleep.
    unsafe { interrupt::enable() };
    if !bytes_wait {
        avr_device::asm::sleep();
    }
}
