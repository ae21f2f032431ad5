// A board: chip, flash, EEPROM and the sensors around it, in virtual time. A reset builds the chip anew, because avr8js keeps the
// registers of peripherals over its own reset; memory, EEPROM and sensors outlive it as on a real board.
import {
  AVRADC, AVRClock, AVREEPROM, AVRIOPort, AVRTimer, AVRTWI, AVRUSART, AVRWatchdog, CPU, EEPROMMemoryBackend, PinState, avrInstruction,
} from 'avr8js';
import { chips } from './chips.mjs';
import { readImage } from './image.mjs';
import { nextStop } from './stops.mjs';
import { Bme280 } from './models/bme280.mjs';
import { Dht22 } from './models/dht22.mjs';
import { Ds18b20 } from './models/ds18b20.mjs';
import { Sht3x } from './models/sht3x.mjs';

const HZ = 16_000_000;
const I2C_BYTE_US = 90;
const MCUSR = 0x54;
const SMCR = 0x53;
const SLEEP_ENABLE = 1;
const SLEEP = 0x9588;
const RJMP_TO_ITSELF = 0xcfff;
// What memory holds at power-on: the deepest reach of the stack is where this begins to be missing.
const PAINT = 0xc5;

export const resetFlags = { powerOn: 1, external: 2, brownOut: 4, watchdog: 8 };

export class Board {
  #image;
  #chip;
  #ports = {};
  #spent = 0;
  #toReceive = [];
  #levels = {};
  #listeners = {};

  /// `report(event)` hears of pins and resets, `transmit(byte)` gets what the board sends.
  constructor(path, { chip, oneWirePin, dhtPin, report, transmit }) {
    this.chip = chips[chip];
    if (!this.chip) throw new Error(`no chip "${chip}": expected ${Object.keys(chips).join(' or ')}`);
    this.report = report;
    this.transmit = transmit;
    this.volts = new Array(16).fill(0);
    this.i2cHeld = false;
    this.#image = readImage(path, { flash: this.chip.flash });
    this.eeprom = new EEPROMMemoryBackend(this.chip.eepromSize);
    this.sht3x = new Sht3x(this);
    this.bme280 = new Bme280();
    this.ds18b20 = new Ds18b20(this, this.#line(oneWirePin));
    this.dht22 = new Dht22(this, this.#line(dhtPin));
    this.#listeners = { [oneWirePin]: this.ds18b20, [dhtPin]: this.dht22 };
    this.i2c = { 0x44: this.sht3x, 0x76: this.bme280 };
    this.powerCycle();
  }

  get #cpu() {
    return this.#chip.cpu;
  }

  milliseconds() {
    return this.microseconds() / 1_000;
  }

  microseconds() {
    return ((this.#spent + (this.#chip ? this.#cpu.cycles : 0)) / HZ) * 1e6;
  }

  after(microseconds, action) {
    this.#cpu.addClockEvent(action, Math.round((microseconds * HZ) / 1e6));
  }

  powerCycle() {
    this.#boot(resetFlags.powerOn, null);
    for (const sensor of [this.sht3x, this.bme280, this.ds18b20, this.dht22]) sensor.powerOn();
  }

  reset(flag) {
    this.#boot(flag, this.#cpu.data.slice(this.chip.memoryStart));
  }

  /// Bytes on the line to the board, one after the other at its speed.
  send(bytes) {
    this.#toReceive.push(...bytes);
    this.#feed();
  }

  setAnalog(input, volts) {
    this.volts[input] = volts;
    this.#chip.adc.channelValues[input] = volts;
  }

  /// Sets the level at an input pin, such as "D3".
  setPin(name, level) {
    this.#levels[name] = level;
    this.#ports[name[0]]?.setPin(Number(name.slice(1)), level);
  }

  /// Makes the firmware hang somewhere in its work; a reset brings the program back.
  hang() {
    this.#goOn(nextStop());
    this.#cpu.progMem[this.#cpu.pc] = RJMP_TO_ITSELF;
  }

  /// Goes on in the firmware's panic handler, from somewhere in its work.
  panic() {
    this.#goOn(nextStop());
    this.#cpu.pc = this.#image.panicHandler >> 1;
  }

  /// Bytes between static memory and the deepest reach of the stack since power-on.
  stackFree() {
    const memory = this.#cpu.data;
    let at = this.#image.staticEnd;
    while (at < memory.length && memory[at] === PAINT) at++;
    return at - this.#image.staticEnd;
  }

  run(milliseconds) {
    const end = this.#spent + this.#cpu.cycles + (milliseconds * HZ) / 1_000;
    while (this.#spent + this.#cpu.cycles < end) {
      this.#runChip(end - this.#spent);
      if (this.#chip.resetBy !== null) {
        this.report({ reset: 'watchdog', ms: this.milliseconds() });
        this.reset(this.#chip.resetBy);
      }
    }
  }

  // Until a number of cycles of this chip, or its reset. All the time goes here.
  #runChip(end) {
    const chip = this.#chip;
    const { cpu } = chip;
    while (cpu.cycles < end && chip.resetBy === null) {
      if (isAsleep(cpu)) {
        sleep(chip, end);
      } else {
        avrInstruction(cpu);
        cpu.tick();
      }
    }
  }

  // For a number of instructions.
  #goOn(instructions) {
    const { cpu } = this.#chip;
    for (let left = instructions; left > 0; left--) {
      while (isAsleep(cpu)) sleep(this.#chip, Infinity);
      avrInstruction(cpu);
      cpu.tick();
    }
  }

  #boot(flag, memory) {
    if (this.#chip) this.#spent += this.#cpu.cycles;
    const { chip } = this;
    const program = new Uint16Array(this.#image.program.slice().buffer);
    const cpu = new CPU(program, chip.memoryStart - 0x100 + chip.memory);
    cpu.data.fill(PAINT, chip.memoryStart);
    if (memory) cpu.data.set(memory, chip.memoryStart);
    const usart = new AVRUSART(cpu, chip.usart0, HZ);
    const adc = new AVRADC(cpu, chip.adc);
    const twi = new AVRTWI(cpu, chip.twi, HZ);
    new AVRTimer(cpu, chip.timer0);
    new AVREEPROM(cpu, this.eeprom, chip.eeprom);
    new AVRWatchdog(cpu, chip.watchdog, new AVRClock(cpu, HZ, chip.clock));
    const built = { cpu, usart, adc, twi, resetBy: null };
    this.#chip = built;
    cpu.data[MCUSR] = flag;
    cpu.reset = () => {
      built.resetBy = resetFlags.watchdog;
    };
    adc.channelValues = [...this.volts];
    usart.onByteTransmit = (byte) => this.transmit(byte);
    usart.onRxComplete = () => this.#feed();
    this.#joinI2c(twi);
    this.#joinPorts(cpu);
    this.#feed();
  }

  #feed() {
    const { usart } = this.#chip;
    while (this.#toReceive.length > 0 && !usart.rxBusy && usart.writeByte(this.#toReceive[0])) this.#toReceive.shift();
    // A receiver that is not on yet loses nothing here: what was sent meanwhile comes once it is.
    if (this.#toReceive.length > 0 && !usart.rxBusy) this.after(100, () => this.#feed());
  }

  #joinI2c(twi) {
    let device = null;
    const later = (action) => this.after(I2C_BYTE_US, action);
    twi.eventHandler = {
      start: () => {
        // A held bus never comes to its start; `busy` belongs to avr8js and would last for good.
        if (this.i2cHeld) twi.busy = false;
        else this.after(10, () => twi.completeStart());
      },
      stop: () => {
        device = null;
        if (this.i2cHeld) twi.busy = false;
        else twi.completeStop();
      },
      connectToSlave: (address, write) => {
        const found = this.i2c[address];
        device = found?.connect(write) ? found : null;
        later(() => twi.completeConnect(device !== null));
      },
      writeByte: (byte) => {
        const acknowledged = device?.write(byte) ?? false;
        later(() => twi.completeWrite(acknowledged));
      },
      readByte: () => {
        const byte = device?.read() ?? 0xff;
        later(() => twi.completeRead(byte));
      },
    };
  }

  #joinPorts(cpu) {
    for (const [letter, config] of Object.entries(this.chip.ports)) {
      const port = new AVRIOPort(cpu, config);
      const before = new Array(8).fill(PinState.Input);
      // What was an output is an input after a reset: a relay falls.
      for (let bit = 0; bit < 8; bit++) {
        const name = letter + bit;
        if (this.#ports[letter]?.pinState(bit) === PinState.High) this.report({ pin: name, level: 0, ms: this.milliseconds() });
        port.setPin(bit, this.#levels[name] ?? 1);
      }
      port.addListener(() => this.#pinsChanged(letter, port, before));
      this.#ports[letter] = port;
    }
  }

  #pinsChanged(letter, port, before) {
    for (let bit = 0; bit < 8; bit++) {
      const state = port.pinState(bit);
      if (state === before[bit]) continue;
      const was = before[bit];
      before[bit] = state;
      const name = letter + bit;
      if (this.#listeners[name]) this.#listeners[name].driven(state === PinState.Low);
      else if (state === PinState.High) this.report({ pin: name, level: 1, ms: this.milliseconds() });
      else if (was === PinState.High) this.report({ pin: name, level: 0, ms: this.milliseconds() });
    }
  }

  // The line at a pin that a resistor pulls up and a sensor may hold down.
  #line(name) {
    return { hold: (low) => this.setPin(name, low ? 0 : 1) };
  }
}

// Without its flag the instruction does nothing.
const isAsleep = (cpu) => cpu.progMem[cpu.pc] === SLEEP && (cpu.data[SMCR] & SLEEP_ENABLE) !== 0 && !(cpu.interruptsEnabled && cpu.nextInterrupt >= 0);

// Asleep until an interrupt, which is taken behind SLEEP, or until a number of cycles; avr8js itself does not sleep. Time goes from one
// event of a peripheral to the next. While interrupts are off nothing wakes a chip but a reset.
function sleep(chip, end) {
  const { cpu } = chip;
  const behind = cpu.pc + 1;
  cpu.pc = behind;
  do {
    cpu.cycles = Math.max(cpu.cycles, Math.min(cpu.nextClockEvent?.cycles ?? end, end));
    cpu.tick();
  } while (cpu.pc === behind && cpu.cycles < end && chip.resetBy === null);
  if (cpu.pc === behind) cpu.pc = behind - 1;
  else cpu.cycles++;
}
