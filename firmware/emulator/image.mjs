// The image of a board, from an ELF file: program memory, where its static memory ends, and where it goes when it panics.
import { readFileSync } from 'node:fs';

// AVR-GCC places data memory at this offset of the address space of an ELF file.
const AVR_DATA = 0x800000;
const SECTION_ALLOC = 2;
const SEGMENT_LOAD = 1;
const SECTION_SYMBOLS = 2;
const PANIC_HANDLER = 'rust_begin_unwind';

/// The image for a chip that has `flash` bytes of flash from address `flashAt` on, and its data memory from `dataAt` on:
/// { program: Uint8Array of `flash` bytes, programEnd: offset behind its last byte, staticEnd: first offset in data memory after all
/// static memory, panicHandler: its address in bytes, or undefined }
export function readImage(path, { flash, flashAt = 0, dataAt = AVR_DATA }) {
  const elf = readFileSync(path);
  if (elf.readUInt32BE(0) !== 0x7f454c46) throw new Error(`${path}: not an ELF file`);
  const program = new Uint8Array(flash).fill(0xff);
  let programEnd = 0;
  for (const segment of table(elf, 28, 42)) {
    const [type, offset, , physical, size] = words(elf, segment, 5);
    // Memory that a start leaves as it is, .noinit, has an address in data memory and is not programmed.
    if (type !== SEGMENT_LOAD || size === 0 || physical >= dataAt) continue;
    const at = physical - flashAt;
    if (at < 0 || at + size > flash) throw new Error(`${path}: does not fit into ${flash} bytes of flash`);
    program.set(elf.subarray(offset, offset + size), at);
    programEnd = Math.max(programEnd, at + size);
  }
  let staticEnd = 0;
  for (const section of table(elf, 32, 46)) {
    const [, , flags, address, , size] = words(elf, section, 6);
    if (flags & SECTION_ALLOC && address >= dataAt) staticEnd = Math.max(staticEnd, address - dataAt + size);
  }
  return { program, programEnd, staticEnd, panicHandler: addressOf(elf, PANIC_HANDLER) };
}

// Address of the symbol whose name ends so.
function addressOf(elf, name) {
  const sections = table(elf, 32, 46);
  for (const section of sections) {
    const [, type, , , offset, size, link] = words(elf, section, 7);
    if (type !== SECTION_SYMBOLS) continue;
    const [, , , , strings] = words(elf, sections[link], 5);
    for (let symbol = offset; symbol < offset + size; symbol += 16) {
      const [nameAt, address] = words(elf, symbol, 2);
      const end = elf.indexOf(0, strings + nameAt);
      if (elf.toString('latin1', strings + nameAt, end).endsWith(name)) return address;
    }
  }
  return undefined;
}

// Offsets of the entries of a table whose offset and entry size stand in the header.
function table(elf, offsetAt, sizeAt) {
  const offset = elf.readUInt32LE(offsetAt);
  const size = elf.readUInt16LE(sizeAt);
  const count = elf.readUInt16LE(sizeAt + 2);
  return Array.from({ length: count }, (_, index) => offset + index * size);
}

function words(elf, at, count) {
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(at + 4 * index));
}
