//! Drivers of the sensors that a board reads: integer code over embedded-hal 1.0, without floating point and without a heap.
//!
//! A sensor that takes longer than a bus transaction has two halves: `start` begins a measurement, and after the driver's
//! `..._MS` the second half fetches it. Nothing here waits in between. Values are in thousandths of the unit, a fault is
//! always a [`Fault`], and no driver keeps state that a sensor which lost its power in the middle could make wrong.
#![no_std]

#[cfg(test)]
extern crate std;

mod fault;

pub mod analog;
pub mod bme280;
pub mod contact;
pub mod crc8;
pub mod dht22;
pub mod ds18b20;
pub mod one_wire;
pub mod pulse;
pub mod sht3x;

pub use fault::Fault;
