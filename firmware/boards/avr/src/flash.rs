//! Tables that stay in flash: constants of a program stand in memory on an AVR, which has little of it.

/// A table in flash. Its static is in the section `.progmem.data`.
pub struct Flash<T>(T);

// SAFETY: never changes.
unsafe impl<T> Sync for Flash<T> {}

impl<T: Copy, const N: usize> Flash<[T; N]> {
    /// A table of these rows.
    ///
    /// # Safety
    /// Only for a static in the section `.progmem.data`, which lies in the first 64 KiB of the flash.
    pub const unsafe fn new(rows: [T; N]) -> Self {
        Self(rows)
    }

    /// A row, copied to memory; the last one for a number beyond it.
    #[inline(always)]
    pub fn row(&self, number: u8) -> T {
        let mut row = core::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the row has as many bytes, here and there.
        unsafe { copy(self.0.as_ptr().cast(), number.min(N as u8 - 1), size_of::<T>() as u8, row.as_mut_ptr().cast()) };
        // SAFETY: all bytes of the row were copied.
        unsafe { row.assume_init() }
    }
}

/// Copies a row of a table in flash to memory, of so many bytes.
///
/// # Safety
/// As many bytes may be written at `into`.
#[inline(never)]
unsafe fn copy(table: *const u8, row: u8, length: u8, into: *mut u8) {
    let from = table.wrapping_add(usize::from(row) * usize::from(length));
    for at in 0..usize::from(length) {
        // SAFETY: the caller's.
        unsafe { into.add(at).write(load(from.wrapping_add(at))) };
    }
}

/// Reads a byte of the flash.
#[inline(always)]
fn load(address: *const u8) -> u8 {
    let byte;
    // SAFETY: reading flash has no effect.
    unsafe {
        core::arch::asm!("lpm {}, Z", out(reg) byte, in("Z") address, options(pure, readonly, nostack, preserves_flags))
    };
    byte
}
