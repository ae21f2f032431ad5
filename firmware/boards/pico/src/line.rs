//! The serial line to the agent: USB while a program has the port open there, the pins of UART 0 otherwise.
//!
//! Sending never waits: the loop asks whether the line takes a byte, and gives it one if so.

use rp2040_hal::usb::UsbBus;
use usb_device::bus::UsbBusAllocator;
use usb_device::device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbDeviceState, UsbVidPid};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

use crate::uart::Uart;

/// Identification that the makers of V-USB give away for serial ports, which are then told apart by their names.
const FREE_FOR_SERIAL_PORTS: UsbVidPid = UsbVidPid(0x16C0, 0x27DD);

/// Both lines.
pub(crate) struct Line<'bus> {
    uart: Uart,
    device: UsbDevice<'bus, UsbBus>,
    port: SerialPort<'bus, UsbBus>,
    /// A byte for USB that found no room yet.
    unsent: Option<u8>,
}

impl<'bus> Line<'bus> {
    /// Joins the UART and USB, where the board is a serial port.
    pub(crate) fn start(uart: Uart, bus: &'bus UsbBusAllocator<UsbBus>) -> Self {
        let port = SerialPort::new(bus);
        let names = StringDescriptors::default().manufacturer("Tilth").product("Pico");
        let builder = UsbDeviceBuilder::new(bus, FREE_FOR_SERIAL_PORTS).device_class(USB_CLASS_CDC);
        // There is room for one set of names, and 64 bytes are a size that exists: both cannot fail.
        let builder = builder.strings(&[names]).and_then(|builder| builder.max_packet_size_0(64));
        let Ok(builder) = builder else { unreachable!() };
        Self { uart, device: builder.build(), port, unsent: None }
    }

    /// Does what is due on USB; once in a round of the loop.
    pub(crate) fn poll(&mut self) {
        self.device.poll(&mut [&mut self.port]);
    }

    /// The oldest byte that came.
    pub(crate) fn receive(&mut self) -> Option<u8> {
        if !self.is_usb() {
            return self.uart.receive();
        }
        let mut byte = [0];
        matches!(self.port.read(&mut byte), Ok(1)).then_some(byte[0])
    }

    /// Whether the line takes a byte.
    pub(crate) fn can_send(&mut self) -> bool {
        if !self.is_usb() {
            self.unsent = None;
            return self.uart.can_send();
        }
        if let Some(byte) = self.unsent.take() {
            self.send_usb(byte);
        }
        self.unsent.is_none()
    }

    /// Sends a byte, which the line must take.
    pub(crate) fn send(&mut self, byte: u8) {
        if self.is_usb() {
            self.send_usb(byte);
        } else {
            self.uart.send(byte);
        }
    }

    fn send_usb(&mut self, byte: u8) {
        if self.port.write(&[byte]).is_err() {
            self.unsent = Some(byte);
        }
    }

    /// Whether a program at the other end of USB has the port open, which it says by DTR.
    fn is_usb(&self) -> bool {
        self.device.state() == UsbDeviceState::Configured && self.port.dtr()
    }
}
