// SHT3x on the I2C bus: single shot without clock stretching (datasheet SHT3x-DIS, section 4).
const MEASUREMENT_US = 15_000;

export class Sht3x {
  temperature = 21.5;
  humidity = 55;
  present = true;
  badChecksum = false;

  #command = [];
  #answer = [];
  #readyAt = null;

  constructor(clock) {
    this.clock = clock;
  }

  powerOn() {
    this.#readyAt = null;
  }

  connect(write) {
    if (!this.present) return false;
    if (write) {
      this.#command = [];
      return true;
    }
    if (this.#readyAt === null || this.clock.microseconds() < this.#readyAt) return false;
    this.#readyAt = null;
    this.#answer = [
      ...word(((this.temperature + 45) / 175) * 65_535, this.badChecksum),
      ...word((this.humidity / 100) * 65_535, false),
    ];
    return true;
  }

  write(byte) {
    this.#command.push(byte);
    if (this.#command.length === 2) this.#readyAt = this.clock.microseconds() + MEASUREMENT_US;
    return true;
  }

  read() {
    return this.#answer.shift() ?? 0xff;
  }
}

function word(value, spoilt) {
  const raw = Math.max(0, Math.min(65_535, Math.round(value)));
  const bytes = [raw >> 8, raw & 0xff];
  return [...bytes, crc8(bytes) ^ (spoilt ? 1 : 0)];
}

function crc8(bytes) {
  let crc = 0xff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 0x31) & 0xff : (crc << 1) & 0xff;
  }
  return crc;
}
