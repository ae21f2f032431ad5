// BME280 on the I2C bus: registers, and a measurement of given raw counts in forced mode (datasheet BST-BME280-DS002, section 5).
const CALIBRATION_LOW = Buffer.from('706b436718fc7d8e43d6d00b270b8c00f9ff8c3cf8c67017', 'hex');
const CALIBRATION_HIGH = Buffer.from('6a01001329031e', 'hex');
const NOT_MEASURED = [0x80, 0, 0, 0x80, 0, 0, 0x80, 0];

export class Bme280 {
  present = false;
  pressure = 415_148;
  temperature = 519_888;
  humidity = 30_000;

  #registers = new Uint8Array(256);
  #pointer = 0;
  #written = 0;

  constructor() {
    this.powerOn();
  }

  powerOn() {
    this.#registers.fill(0);
    this.#registers[0xd0] = 0x60;
    this.#registers.set(CALIBRATION_LOW, 0x88);
    this.#registers[0xa1] = 75;
    this.#registers.set(CALIBRATION_HIGH, 0xe1);
    this.#registers.set(NOT_MEASURED, 0xf7);
  }

  connect() {
    this.#written = 0;
    return this.present;
  }

  // Pairs of register and value; the last lone byte is where reading begins.
  write(byte) {
    if (this.#written++ % 2 === 0) this.#pointer = byte;
    else this.#set(this.#pointer, byte);
    return true;
  }

  read() {
    return this.#registers[this.#pointer++ & 0xff];
  }

  #set(register, value) {
    this.#registers[register] = value;
    if (register !== 0xf4 || (value & 3) !== 1) return;
    const twentyBits = (raw) => [raw >> 12, (raw >> 4) & 0xff, (raw << 4) & 0xf0];
    const measured = [...twentyBits(this.pressure), ...twentyBits(this.temperature), this.humidity >> 8, this.humidity & 0xff];
    this.#registers.set(measured, 0xf7);
    this.#registers[0xf4] = value & ~3;
  }
}
