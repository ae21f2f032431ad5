//! The last two sectors of the flash, which keep settings over power loss (sections 2.6.3 and 2.8.3.1.3).
//!
//! The program runs from the same flash, which cannot be read while it is erased or programmed: functions of the boot ROM do that, called from
//! memory, with interrupts off. A page takes about 1 ms. A sector takes 45 ms, at most 400, once in a hundred changes.

use rp2040_hal::rom_data;
use tilth_firmware::journal::{Journal, SECTOR_LEN, Step};

/// First address of the flash for the processor.
const FLASH: usize = 0x1000_0000;

/// Offset of the two sectors in the flash, as memory.x leaves them free.
const KEPT: u32 = 2 * 1024 * 1024 - 2 * SECTOR_LEN as u32;

/// What the flash programs at once.
const PAGE_LEN: usize = 256;

/// Command that erases 64 KiB at once, of which the ROM makes use for that many only.
const BLOCK_ERASE: (u32, u8) = (64 * 1024, 0xD8);

/// The settings as the flash holds them.
pub(crate) fn journal() -> Journal<'static> {
    let kept = core::hint::black_box(FLASH + KEPT as usize);
    // SAFETY: flash that nothing but `take` changes, while no journal is held.
    Journal::new(unsafe { &*(kept as *const [u8; 2 * SECTOR_LEN]) })
}

/// Takes a step, after which a new journal must be asked for.
pub(crate) fn take(step: &Step) {
    match step {
        Step::Erase { sector } => change(KEPT + (sector * SECTOR_LEN) as u32, None),
        Step::Program { at, bytes } => {
            // Bytes of ones leave the rest of the page as it is.
            let mut page = [0xFF; PAGE_LEN];
            page[at % PAGE_LEN..][..bytes.len()].copy_from_slice(bytes);
            change(KEPT + (at - at % PAGE_LEN) as u32, Some(&page));
        }
    }
}

/// Functions of the boot ROM, and the second stage of the boot, which makes the flash readable again.
struct Rom {
    connect: unsafe extern "C" fn(),
    stop_reading: unsafe extern "C" fn(),
    erase: unsafe extern "C" fn(u32, usize, u32, u8),
    program: unsafe extern "C" fn(u32, *const u8, usize),
    flush: unsafe extern "C" fn(),
    boot: [u32; PAGE_LEN / 4],
}

/// Programs a page at an offset, or erases the sector there.
fn change(at: u32, page: Option<&[u8; PAGE_LEN]>) {
    let rom = Rom {
        connect: rom_data::connect_internal_flash::ptr(),
        stop_reading: rom_data::flash_exit_xip::ptr(),
        erase: rom_data::flash_range_erase::ptr(),
        program: rom_data::flash_range_program::ptr(),
        flush: rom_data::flash_flush_cache::ptr(),
        // SAFETY: the first page of the flash is the second stage.
        boot: unsafe { *(FLASH as *const [u32; PAGE_LEN / 4]) },
    };
    let page = page.map_or(core::ptr::null(), |page| page.as_ptr());
    // SAFETY: interrupts are off, there is one core and no DMA, and the offset is that of a page or sector of settings.
    cortex_m::interrupt::free(|_| unsafe { change_from_memory(&rom, at, page) });
}

/// In memory, and calls nothing that is in flash.
///
/// # Safety
/// Nothing else may read the flash meanwhile. `page` is null, or a page.
#[inline(never)]
#[unsafe(link_section = ".data.change_from_memory")]
unsafe fn change_from_memory(rom: &Rom, at: u32, page: *const u8) {
    // SAFETY: as the caller says; the second stage is code for any place, and returns to a caller that is not 0.
    unsafe {
        (rom.connect)();
        (rom.stop_reading)();
        if page.is_null() {
            (rom.erase)(at, SECTOR_LEN, BLOCK_ERASE.0, BLOCK_ERASE.1);
        } else {
            (rom.program)(at, page, PAGE_LEN);
        }
        (rom.flush)();
        let thumb = rom.boot.as_ptr() as usize | 1;
        core::mem::transmute::<usize, unsafe extern "C" fn()>(thumb)();
    }
}
