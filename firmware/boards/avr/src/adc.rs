//! Analog converter: 10 bits against the supply voltage, 104 us a conversion (section 28).

use crate::chip::ADC;

/// Reference AVcc (table 28-3).
const REFERENCE_AVCC: u8 = 0b01 << 6;

/// The converter. A conversion is started and polled.
pub struct Adc(ADC);

impl Adc {
    /// Turns the converter on, at 125 kHz.
    pub fn start(adc: ADC) -> Self {
        adc.adcsra().write(|w| w.aden().set_bit().adps().prescaler_128());
        Self(adc)
    }

    /// Begins a conversion of analog input `input`: 0 to 7, on the ATmega2560 0 to 15.
    pub fn convert(&mut self, input: u8) {
        // SAFETY: reference and input are in range.
        self.0.admux().write(|w| unsafe { w.bits(REFERENCE_AVCC | (input & 0x07)) });
        #[cfg(feature = "atmega2560")]
        self.0.adcsrb().write(|w| w.mux5().bit(input & 0x08 != 0));
        self.0.adcsra().modify(|_, w| w.adsc().set_bit());
    }

    /// The conversion's value, 0 to 1,023, once it is there.
    pub fn poll(&mut self) -> Option<u16> {
        self.0.adcsra().read().adsc().bit_is_clear().then(|| self.0.adc().read().bits())
    }
}
