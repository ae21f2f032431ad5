// The image of a board: program memory, and where its static memory ends, from an ELF file.
import { readFileSync } from 'node:fs';

// AVR-GCC places data memory at this offset of the address space of an ELF file.
const DATA = 0x800000;
const SECTION_ALLOC = 2;
const SEGMENT_LOAD = 1;

/// { program: Uint8Array of `flash` bytes, staticEnd: first data address after .data, .bss and .noinit }
export function readImage(path, flash) {
  const elf = readFileSync(path);
  if (elf.readUInt32BE(0) !== 0x7f454c46) throw new Error(`${path}: not an ELF file`);
  const program = new Uint8Array(flash).fill(0xff);
  for (const segment of table(elf, 28, 42)) {
    const [type, offset, , physical, size] = words(elf, segment, 5);
    // Memory that a start leaves as it is, .noinit, has an address in data memory and is not programmed.
    if (type !== SEGMENT_LOAD || size === 0 || physical >= DATA) continue;
    if (physical + size > flash) throw new Error(`${path}: does not fit into ${flash} bytes of flash`);
    program.set(elf.subarray(offset, offset + size), physical);
  }
  let staticEnd = 0;
  for (const section of table(elf, 32, 46)) {
    const [, , flags, address, , size] = words(elf, section, 6);
    if (flags & SECTION_ALLOC && address >= DATA) staticEnd = Math.max(staticEnd, address - DATA + size);
  }
  return { program, staticEnd };
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
