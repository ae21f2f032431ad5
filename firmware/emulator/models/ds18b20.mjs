// DS18B20 alone on its pin (datasheet DS18B20, revision 6; figures 13 to 16 for the slots). Times in microseconds.
const PRESENCE_AFTER = 30;
const PRESENCE_FOR = 120;
const ZERO_FOR = 30;
const RESET = 480;
const CONVERSION = 750_000;
const POWER_ON = [0x50, 0x05, 0x4b, 0x46, 0x7f, 0xff, 0x0c, 0x10];

export class Ds18b20 {
  present = true;
  temperature = 18.5;
  badChecksum = false;
  shorted = false;

  #scratchpad = POWER_ON;
  #pulledAt = null;
  #received = [];
  #sending = [];

  constructor(clock, line) {
    this.clock = clock;
    this.line = line;
  }

  powerOn() {
    this.#scratchpad = POWER_ON;
    this.#received = [];
    this.#sending = [];
    this.#pulledAt = null;
    this.line.hold(false);
  }

  // The board pulls the line down, or releases it.
  driven(low) {
    if (!this.present) return;
    if (low) this.#pulled();
    else if (this.#pulledAt !== null) this.#released(this.clock.microseconds() - this.#pulledAt);
  }

  changed() {
    this.line.hold(this.shorted);
  }

  #pulled() {
    this.#pulledAt = this.clock.microseconds();
    if (this.#sending.length > 0 && !this.#sending.shift()) this.#holdFor(ZERO_FOR);
  }

  #released(lowFor) {
    this.#pulledAt = null;
    if (lowFor >= RESET) {
      this.#received = [];
      this.#sending = [];
      this.clock.after(PRESENCE_AFTER, () => this.#holdFor(PRESENCE_FOR));
    } else if (this.#received.length < 16) {
      this.#received.push(lowFor <= 15 ? 1 : 0);
      if (this.#received.length === 16) this.#command(byteOf(this.#received.slice(0, 8)), byteOf(this.#received.slice(8)));
    }
  }

  #command(first, second) {
    if (first !== 0xcc) return;
    if (second === 0x44) this.clock.after(CONVERSION, () => this.#convert());
    if (second === 0xbe) {
      const crc = this.#scratchpad.reduce(crc8, 0) ^ (this.badChecksum ? 1 : 0);
      this.#sending = [...this.#scratchpad, crc].flatMap((byte) => Array.from({ length: 8 }, (_, bit) => (byte >> bit) & 1));
    }
  }

  #convert() {
    const raw = Math.round(this.temperature * 16) & 0xffff;
    this.#scratchpad = [raw & 0xff, raw >> 8, 0x4b, 0x46, 0x7f, 0xff, 0x10 - (raw & 0xf), 0x10];
  }

  #holdFor(microseconds) {
    this.line.hold(true);
    this.clock.after(microseconds, () => this.line.hold(this.shorted));
  }
}

const byteOf = (bits) => bits.reduce((byte, bit, index) => byte | (bit << index), 0);

function crc8(crc, byte) {
  crc ^= byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0x8c : crc >> 1;
  return crc;
}
