//! Analog converter: 12 bits against 3.3 V, 2 us a conversion (section 4.9).

use rp2040_hal::pac::ADC;

use crate::pin::Pin;

/// Analog input 0 is GPIO 26; there are three on a Pico.
const FIRST_PIN: u8 = 26;
const INPUTS: u8 = 3;

/// The converter. A conversion is started and polled.
pub(crate) struct Adc(ADC);

impl Adc {
    /// Turns the converter on, which has come out of reset.
    pub(crate) fn start(adc: ADC) -> Self {
        (0..INPUTS).for_each(|input| Pin::new(FIRST_PIN + input).make_analog());
        adc.cs().write(|w| w.en().set_bit());
        Self(adc)
    }

    /// Begins a conversion of analog input `input`, 0 to 2.
    pub(crate) fn convert(&mut self, input: u8) {
        // SAFETY: the three bits of the field hold no input that does not exist.
        self.0.cs().write(|w| unsafe { w.en().set_bit().ainsel().bits(input & 0x03).start_once().set_bit() });
    }

    /// The conversion's value, 0 to 1,023 (the upper 10 bits of 12), once it is there.
    pub(crate) fn poll(&mut self) -> Option<u16> {
        let is_ready = self.0.cs().read().ready().bit_is_set();
        is_ready.then(|| self.0.result().read().result().bits() >> 2)
    }
}
