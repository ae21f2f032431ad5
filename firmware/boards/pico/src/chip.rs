//! The RP2040 from its start on: watchdog, clocks, and the peripherals that the board uses.

use rp2040_hal::clocks::init_clocks_and_plls;
use rp2040_hal::fugit::MicrosDurationU32;
use rp2040_hal::pac::Peripherals;
use rp2040_hal::usb::UsbBus;
use rp2040_hal::{Timer, Watchdog};
use tilth_wire::ResetCause;
use usb_device::bus::UsbBusAllocator;

use crate::CRYSTAL_HZ;
use crate::adc::Adc;
use crate::clock::Clock;
use crate::i2c::I2c;
use crate::reset::{self, Peripheral};
use crate::uart::Uart;

/// The watchdog resets a board whose loop makes no progress for a second. After a reset all pins are inputs with pull-downs, and relays
/// fall.
const WATCHDOG: MicrosDurationU32 = MicrosDurationU32::secs(1);

/// What the board uses of the chip.
pub(crate) struct Chip {
    pub(crate) watchdog: Watchdog,
    pub(crate) clock: Clock,
    pub(crate) uart: Uart,
    pub(crate) adc: Adc,
    pub(crate) i2c: I2c,
}

impl Chip {
    /// Starts the chip; also its USB, and why the board started.
    pub(crate) fn start() -> (Self, UsbBusAllocator<UsbBus>, ResetCause) {
        // SAFETY: this comes once, and nothing else takes peripherals.
        let (mut chip, core) = unsafe { (Peripherals::steal(), cortex_m::Peripherals::steal()) };
        let cause = reset::cause(&chip.WATCHDOG, &chip.VREG_AND_CHIP_RESET);
        let mut watchdog = Watchdog::new(chip.WATCHDOG);
        watchdog.enable_tick_generation((CRYSTAL_HZ / 1_000_000) as u8);
        watchdog.start(WATCHDOG);
        // If the crystal does not start, the watchdog tries again.
        let clocks = init_clocks_and_plls(
            CRYSTAL_HZ,
            chip.XOSC,
            chip.CLOCKS,
            chip.PLL_SYS,
            chip.PLL_USB,
            &mut chip.RESETS,
            &mut watchdog,
        );
        let Ok(clocks) = clocks else { panic!("clocks out of range") };
        for peripheral in [Peripheral::Pins, Peripheral::Pads, Peripheral::Adc, Peripheral::Uart0] {
            reset::restart(peripheral);
        }
        let timer = Timer::new(chip.TIMER, &mut chip.RESETS, &clocks);
        let usb = UsbBus::new(chip.USBCTRL_REGS, chip.USBCTRL_DPRAM, clocks.usb_clock, true, &mut chip.RESETS);
        let this = Self {
            watchdog,
            uart: Uart::start(chip.UART0),
            adc: Adc::start(chip.ADC),
            i2c: I2c::start(chip.I2C0),
            clock: Clock::start(timer, core.SYST),
        };
        (this, UsbBusAllocator::new(usb), cause)
    }
}
