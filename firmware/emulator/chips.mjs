// The two chips: sizes, and where they differ from avr8js's configurations, which are those of the ATmega328P. Registers that the
// firmware uses have the same addresses on both; interrupt vectors differ (datasheet ATmega2560, table 14-1; a vector is two words).
import {
  ADCMuxInputType, adcConfig, clockConfig, eepromConfig, portAConfig, portBConfig, portCConfig, portDConfig, portEConfig, portFConfig,
  portGConfig, portHConfig, portJConfig, portKConfig, portLConfig, timer0Config, twiConfig, usart0Config, watchdogConfig,
} from 'avr8js';

const vector = (number) => 2 * number;

const analogInputs = Object.fromEntries(
  Array.from({ length: 16 }, (_, channel) => [
    channel < 8 ? channel : 0x20 + channel - 8,
    { type: ADCMuxInputType.SingleEnded, channel },
  ]),
);

// Pin-change interrupts of avr8js's port configurations are those of the ATmega328P.
const withoutPinChange = ({ pinChange: _, ...port }) => ({ ...port, externalInterrupts: [] });

export const chips = {
  atmega328p: {
    flash: 32 * 1024,
    memoryStart: 0x100,
    memory: 2 * 1024,
    eepromSize: 1024,
    ports: { B: portBConfig, C: portCConfig, D: portDConfig },
    adc: adcConfig,
    clock: clockConfig,
    eeprom: eepromConfig,
    timer0: timer0Config,
    twi: twiConfig,
    usart0: usart0Config,
    watchdog: watchdogConfig,
  },
  atmega2560: {
    flash: 256 * 1024,
    memoryStart: 0x200,
    memory: 8 * 1024,
    eepromSize: 4096,
    ports: Object.fromEntries(
      Object.entries({
        A: portAConfig, B: portBConfig, C: portCConfig, D: portDConfig, E: portEConfig, F: portFConfig,
        G: portGConfig, H: portHConfig, J: portJConfig, K: portKConfig, L: portLConfig,
      }).map(([letter, port]) => [letter, withoutPinChange(port)]),
    ),
    adc: { ...adcConfig, adcInterrupt: vector(29), numChannels: 16, muxInputMask: 0x3f, muxChannels: analogInputs },
    clock: clockConfig,
    eeprom: { ...eepromConfig, eepromReadyInterrupt: vector(30) },
    timer0: { ...timer0Config, compAInterrupt: vector(21), compBInterrupt: vector(22), ovfInterrupt: vector(23) },
    twi: { ...twiConfig, twiInterrupt: vector(39) },
    usart0: {
      ...usart0Config,
      rxCompleteInterrupt: vector(25),
      dataRegisterEmptyInterrupt: vector(26),
      txCompleteInterrupt: vector(27),
    },
    watchdog: { ...watchdogConfig, watchdogInterrupt: vector(12) },
  },
};
