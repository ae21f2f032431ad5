//! Places for what lives as long as the program: in static memory, whose use the linker counts.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

/// A place that is filled once.
pub struct Place<T> {
    value: UnsafeCell<MaybeUninit<T>>,
    is_taken: AtomicBool,
}

// SAFETY: the value is given out once, and only that reference reaches it.
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    /// An empty place.
    pub const fn new() -> Self {
        Self { value: UnsafeCell::new(MaybeUninit::uninit()), is_taken: AtomicBool::new(false) }
    }

    /// Fills the place.
    ///
    /// # Panics
    /// The second time.
    #[inline(always)]
    pub fn fill(&'static self, value: impl FnOnce() -> T) -> &'static mut T {
        // Single bytes are read and written at once; interrupts fill no places.
        assert!(!self.is_taken.load(Ordering::Relaxed));
        self.is_taken.store(true, Ordering::Relaxed);
        // SAFETY: nobody else has a reference, see above.
        unsafe { (*self.value.get()).write(value()) }
    }
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self::new()
    }
}
