// A Raspberry Pi Pico: the RP2040, its flash and the sensors around it, in virtual time. A reset builds the chip anew; memory, flash and
// sensors outlive it as on a real board.
//
// Supplied here, because rp2040js has them not: the cause of the last reset, the functions of the boot ROM that an image calls (rom.mjs), a
// USB host that keeps to the times of USB. Left out: the second stage of the boot at the start, the time that a sent byte takes on the
// UART, the pull of pins (inputs have the level that they are given), brown-out, and what the flash needs to be read fast.
import { GPIOPinState, Simulator, USBCDC } from 'rp2040js';
import { readImage } from './image.mjs';
import { Bme280 } from './models/bme280.mjs';
import { Dht22 } from './models/dht22.mjs';
import { Ds18b20 } from './models/ds18b20.mjs';
import { Sht3x } from './models/sht3x.mjs';
import { installRom } from './rom.mjs';
import { nextStop } from './stops.mjs';

const FLASH_START = 0x10000000;
const MEMORY_START = 0x20000000;
const VECTORS = 0x100;
const FLASH = 2 * 1024 * 1024;
const CYCLE_NS = 8;
const I2C_BYTE_US = 90;
const UART_BYTE_US = 86.8;
const WATCHDOG = 0x40058;
const CHIP_RESET = 0x40064;
const SYSINFO = 0x40000;
// Revision B2, which has none of the USB errata of the one before that rp2040js is.
const CHIP_ID = 0x20002927;
const BRANCH_TO_ITSELF = 0xe7fe;
const VOLTS = 3.3;
const PINS = 30;
const USB_PACKET = 64;
// USB 2.0, section 9.2.6.3.
const USB_RECOVERY_US = 2_000;
// USB class PSTN 1.2, section 6.3.12.
const SET_DTR_AND_RTS = Uint8Array.of(0x21, 0x22, 3, 0, 0, 0, 0, 0);
// What memory holds at power-on: the deepest reach of the stack is where this begins to be missing.
const PAINT = 0xc5;

/// Flags of the register CHIP_RESET; the watchdog has its own register.
export const picoResetFlags = { powerOn: 1 << 8, external: 1 << 16 };

export class Pico {
  #image;
  #chip;
  #spent = 0;
  #toReceive = [];
  #receiving = false;
  #levels = {};
  #listeners = {};
  #pins = [];
  #volts = new Array(5).fill(0);

  /// `report(event)` hears of pins, resets and writes to the flash, `transmit(byte)` gets what the board sends; with `usb` that is over
  /// USB in place of the UART.
  constructor(path, { oneWirePin, dhtPin, usb, report, transmit }) {
    this.report = report;
    this.transmit = transmit;
    this.usb = usb;
    this.i2cHeld = false;
    this.#image = readImage(path, { flash: FLASH, flashAt: FLASH_START, dataAt: MEMORY_START });
    this.sht3x = new Sht3x(this);
    this.bme280 = new Bme280();
    this.ds18b20 = new Ds18b20(this, this.#line(oneWirePin));
    this.dht22 = new Dht22(this, this.#line(dhtPin));
    this.#listeners = { [oneWirePin]: this.ds18b20, [dhtPin]: this.dht22 };
    this.i2c = { 0x44: this.sht3x, 0x76: this.bme280 };
    this.powerCycle();
  }

  milliseconds() {
    return this.microseconds() / 1_000;
  }

  microseconds() {
    return this.#now() / 1_000;
  }

  after(microseconds, action) {
    this.#chip.clock.createAlarm(action).schedule(microseconds * 1_000);
  }

  powerCycle() {
    this.#boot({ chipReset: picoResetFlags.powerOn, memory: null });
    for (const sensor of [this.sht3x, this.bme280, this.ds18b20, this.dht22]) sensor.powerOn();
  }

  reset(flag) {
    this.#boot({ chipReset: flag, memory: this.#chip.rp2040.sram });
  }

  /// Bytes on the line to the board, one after the other at its speed.
  send(bytes) {
    this.#toReceive.push(...bytes);
    this.#feed();
  }

  setAnalog(input, volts) {
    this.#volts[input] = volts;
    this.#chip.rp2040.adc.channelValues[input] = conversion(volts);
  }

  /// Sets the level at an input pin, such as "GP8".
  setPin(name, level) {
    this.#levels[name] = level;
    this.#chip?.rp2040.gpio[number(name)].setInputValue(level === 1);
  }

  /// Makes the firmware hang somewhere in its work; a reset brings the program back.
  hang() {
    this.#goOn(nextStop());
    const { rp2040 } = this.#chip;
    rp2040.flash16[(rp2040.core.PC - FLASH_START) >> 1] = BRANCH_TO_ITSELF;
  }

  /// Goes on in the firmware's panic handler, from somewhere in its work.
  panic() {
    this.#goOn(nextStop());
    const { core } = this.#chip.rp2040;
    core.PC = this.#image.panicHandler & ~1;
    core.waiting = false;
  }

  /// Bytes between static memory and the deepest reach of the stack since power-on.
  stackFree() {
    const memory = this.#chip.rp2040.sram;
    let at = this.#image.staticEnd;
    while (at < memory.length && memory[at] === PAINT) at++;
    return at - this.#image.staticEnd;
  }

  run(milliseconds) {
    const end = this.#now() + milliseconds * 1e6;
    while (this.#now() < end) {
      this.#runChip(end - this.#spent);
      const { watchdogReset, rp2040 } = this.#chip;
      if (watchdogReset) {
        this.report({ reset: 'watchdog', ms: this.milliseconds() });
        this.#boot({ chipReset: 0, memory: rp2040.sram, watchdog: rp2040.peripherals[WATCHDOG] });
      }
    }
  }

  #now() {
    return this.#spent + (this.#chip?.clock.nanos ?? 0);
  }

  // Until an instant of this chip's clock, or its reset. All the time goes here. A core that waits, or is at a branch to itself, does nothing
  // until an interrupt: time goes from one alarm to the next.
  #runChip(end) {
    const { clock, rp2040 } = this.#chip;
    const { core } = rp2040;
    let isStill = core.waiting;
    while (clock.nanos < end && !this.#chip.watchdogReset) {
      if (isStill && !core.interruptsUpdated) {
        clock.tick(Math.max(Math.min(clock.nanosToNextAlarm, end - clock.nanos), CYCLE_NS));
      } else {
        const before = core.PC;
        clock.tick(core.executeInstruction() * CYCLE_NS);
        isStill = core.waiting || core.PC === before;
      }
    }
  }

  // For a number of instructions, to one in flash.
  #goOn(instructions) {
    const { clock, rp2040 } = this.#chip;
    const { core } = rp2040;
    const isInFlash = () => core.PC >= FLASH_START && core.PC < FLASH_START + FLASH;
    for (let left = instructions; left > 0 || !isInFlash(); left--) {
      while (core.waiting && !core.interruptsUpdated) clock.tick(Math.max(clock.nanosToNextAlarm, CYCLE_NS));
      clock.tick(core.executeInstruction() * CYCLE_NS);
    }
  }

  #boot({ chipReset, memory, watchdog }) {
    const before = this.#chip;
    if (before) this.#spent += before.clock.nanos;
    const { clock, rp2040 } = new Simulator();
    this.#chip = { clock, rp2040, watchdogReset: false };
    rp2040.logger = { debug() {}, info() {}, warn() {}, error: (component, message) => this.report({ chip: component, message }) };
    if (before) rp2040.flash.set(before.rp2040.flash.subarray(0, FLASH));
    rp2040.flash.set(this.#image.program.subarray(0, this.#image.programEnd));
    if (memory) rp2040.sram.set(memory);
    else rp2040.sram.fill(PAINT);
    installRom(rp2040, {
      pass: (microseconds) => clock.tick(microseconds * 1_000),
      written: (address) => this.report({ written: address, ms: this.milliseconds() }),
    });
    this.#joinReset(rp2040, chipReset, watchdog);
    this.#joinLine(rp2040);
    this.#joinI2c(rp2040.i2c[0]);
    this.#joinPins(rp2040);
    rp2040.adc.channelValues = this.#volts.map(conversion);
    rp2040.core.VTOR = FLASH_START + VECTORS;
    rp2040.core.reset();
    this.#receiving = false;
    this.#feed();
  }

  #joinReset(rp2040, chipReset, watchdog) {
    const own = rp2040.peripherals[WATCHDOG];
    // The watchdog's own registers outlive its reset, and no other.
    if (watchdog) {
      own.scratchData.set(watchdog.scratchData);
      own.reason = watchdog.reason;
    }
    own.onWatchdogTrigger = () => {
      // It would come again and again at this instant.
      own.alarm.enable = false;
      this.#chip.watchdogReset = true;
    };
    rp2040.peripherals[CHIP_RESET] = register(8, chipReset);
    rp2040.peripherals[SYSINFO] = register(0, CHIP_ID);
  }

  #joinLine(rp2040) {
    if (!this.usb) {
      rp2040.uart[0].onByte = (byte) => this.transmit(byte);
      return;
    }
    const { usbCtrl } = rp2040;
    const host = new USBCDC(usbCtrl);
    // A host leaves a device its time after each request; rp2040js leaves none.
    const request = usbCtrl.sendSetupPacket.bind(usbCtrl);
    usbCtrl.sendSetupPacket = (packet) => this.after(USB_RECOVERY_US, () => request(packet));
    // To the interface; rp2040js says it to the device, which is not defined. The endpoint waits already, since the reset of the bus.
    host.cdcSetControlLineState = () => {
      usbCtrl.sendSetupPacket(SET_DTR_AND_RTS);
      usbCtrl.onEndpointRead(host.outEndpoint, USB_PACKET);
      host.initialized = true;
    };
    host.onSerialData = (bytes) => bytes.forEach((byte) => this.transmit(byte));
    this.#chip.host = host;
  }

  // One byte at a time; a receiver that is not on yet loses nothing here: what was sent meanwhile comes once it is.
  #feed() {
    if (this.#receiving || this.#toReceive.length === 0) return;
    const { rp2040, host } = this.#chip;
    const uart = rp2040.uart[0];
    if (host ? host.initialized && !host.txFIFO.full : uart.enabled) {
      const byte = this.#toReceive.shift();
      if (host) host.sendSerialByte(byte);
      else if (!uart.rxFIFO.full) uart.feedByte(byte);
    }
    this.#receiving = true;
    this.after(UART_BYTE_US, () => {
      this.#receiving = false;
      this.#feed();
    });
  }

  #joinI2c(i2c) {
    let device = null;
    const later = (action) => this.after(I2C_BYTE_US, action);
    i2c.onStart = () => {
      // A held bus never comes to its start; the controller's state belongs to rp2040js and would last for good.
      if (this.i2cHeld) {
        i2c.state = 0;
        i2c.busy = false;
        i2c.txFIFO.reset();
      } else {
        this.after(10, () => i2c.completeStart());
      }
    };
    i2c.onStop = () => {
      device = null;
      i2c.completeStop();
    };
    i2c.onConnect = (address, mode) => {
      const found = this.i2c[address];
      device = found?.connect(mode === 0) ? found : null;
      later(() => i2c.completeConnect(device !== null));
    };
    i2c.onWriteByte = (byte) => {
      const acknowledged = device?.write(byte) ?? false;
      later(() => i2c.completeWrite(acknowledged));
    };
    i2c.onReadByte = () => {
      const byte = device?.read() ?? 0xff;
      later(() => i2c.completeRead(byte));
    };
  }

  #joinPins(rp2040) {
    const before = this.#pins;
    this.#pins = rp2040.gpio.slice(0, PINS);
    this.#pins.forEach((pin, at) => {
      const name = `GP${at}`;
      // What was an output is an input after a reset: a relay falls.
      if (before[at]?.value === GPIOPinState.High) this.report({ pin: name, level: 0, ms: this.milliseconds() });
      pin.setInputValue((this.#levels[name] ?? 1) === 1);
      pin.addListener((state, was) => this.#pinChanged(name, state, was));
    });
  }

  #pinChanged(name, state, was) {
    if (this.#listeners[name]) this.#listeners[name].driven(state === GPIOPinState.Low);
    else if (state === GPIOPinState.High) this.report({ pin: name, level: 1, ms: this.milliseconds() });
    else if (was === GPIOPinState.High) this.report({ pin: name, level: 0, ms: this.milliseconds() });
  }

  // The line at a pin that a resistor pulls up and a sensor may hold down.
  #line(name) {
    return { hold: (low) => this.setPin(name, low ? 0 : 1) };
  }
}

// A peripheral of one register, which is only read.
const register = (at, value) => ({ readUint32: (offset) => (offset === at ? value : 0), writeUint32Atomic() {} });

const number = (name) => Number(name.slice(2));

const conversion = (volts) => Math.round((Math.min(volts, VOLTS) / VOLTS) * 4_095);
