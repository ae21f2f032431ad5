//! Lines as other people's sketches print them, on a serial port.
