// The boot ROM of an RP2040 as far as an image calls it: the lookup of functions, and those that erase and program the flash (RP2040
// datasheet, section 2.8.3). rp2040js has no ROM. Each function is a breakpoint, at which its work is done here, and a return. A program
// that calls one of the latter from the flash, which cannot be read meanwhile, or with interrupts on, is an error.
const FUNCTION_TABLE = 0x14;
const LOOKUP = 0x18;
const CODE = 0x100;
const BKPT = 0xbe00;
const BX_LR = 0x4770;
const THUMB = 1;
const FLASH_START = 0x10000000;
const MEMORY_START = 0x20000000;

// Times of a W25Q16JV (its datasheet, section 9.6): a sector of 4,096 bytes is erased, a page of 256 bytes is programmed.
const SECTOR_US = 45_000;
const PAGE_US = 700;

/// `pass(microseconds)` lets time go on while the flash is busy; `written(address)` hears of each page or sector.
export function installRom(rp2040, { pass, written }) {
  const { flash, core } = rp2040;
  const functions = {
    IF: () => {},
    EX: () => {},
    FC: () => {},
    CX: () => {},
    RE: (address, count) => {
      flash.fill(0xff, address, address + count);
      written(FLASH_START + address);
      pass((SECTOR_US * count) / 4_096);
    },
    RP: (address, data, count) => {
      // Programming only clears bits.
      for (let at = 0; at < count; at++) flash[address + at] &= rp2040.readUint8(data + at);
      written(FLASH_START + address);
      pass((PAGE_US * count) / 256);
    },
  };
  const names = Object.keys(functions);
  const address = (number) => CODE + 4 * number;
  const lookup = (_table, tag) => {
    const number = names.indexOf(String.fromCharCode(tag & 0xff, tag >> 8));
    return number < 0 ? 0 : address(number + 1) | THUMB;
  };
  const rom = new DataView(rp2040.bootrom.buffer);
  rom.setUint16(FUNCTION_TABLE, CODE, true);
  rom.setUint16(LOOKUP, address(0) | THUMB, true);
  for (let number = 0; number <= names.length; number++) {
    rom.setUint16(address(number), BKPT | number, true);
    rom.setUint16(address(number) + 2, BX_LR, true);
  }
  rp2040.onBreak = (number) => {
    const call = number === 0 ? lookup : functions[names[number - 1]];
    if (!call) throw new Error(`breakpoint ${number} at ${core.PC.toString(16)}`);
    if (number > 0 && (core.LR < MEMORY_START || !core.PM)) throw new Error(`${names[number - 1]} called from ${core.LR.toString(16)}`);
    const [r0, r1, r2, r3] = core.registers;
    core.registers[0] = call(r0, r1, r2, r3) ?? 0;
  };
}
