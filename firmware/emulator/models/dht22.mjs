// DHT22 on its pin (Aosong datasheet AM2302): answers a pull of at least 0.8 ms with 40 bits. Times in microseconds.
const WAKE = 800;

export class Dht22 {
  present = true;
  temperature = 23.4;
  humidity = 61.2;
  badChecksum = false;

  #pulledAt = null;

  constructor(clock, line) {
    this.clock = clock;
    this.line = line;
  }

  powerOn() {
    this.#pulledAt = null;
    this.line.hold(false);
  }

  changed() {}

  driven(low) {
    if (low) {
      this.#pulledAt = this.clock.microseconds();
    } else if (this.#pulledAt !== null) {
      const lowFor = this.clock.microseconds() - this.#pulledAt;
      this.#pulledAt = null;
      if (this.present && lowFor >= WAKE) this.#answer();
    }
  }

  #answer() {
    const bits = this.#bytes().flatMap((byte) => Array.from({ length: 8 }, (_, bit) => (byte >> (7 - bit)) & 1));
    const pulses = [[80, 80], ...bits.map((bit) => [50, bit ? 70 : 27]), [50, 0]];
    let at = 30;
    for (const [low, high] of pulses) {
      this.clock.after(at, () => this.line.hold(true));
      this.clock.after(at + low, () => this.line.hold(false));
      at += low + high;
    }
  }

  #bytes() {
    const humidity = Math.round(this.humidity * 10);
    const temperature = Math.round(Math.abs(this.temperature) * 10) | (this.temperature < 0 ? 0x8000 : 0);
    const bytes = [humidity >> 8, humidity & 0xff, temperature >> 8, temperature & 0xff];
    const sum = bytes.reduce((total, byte) => total + byte, 0) + (this.badChecksum ? 1 : 0);
    return [...bytes, sum & 0xff];
  }
}
