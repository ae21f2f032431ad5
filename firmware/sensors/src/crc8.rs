//! The two CRC-8 checksums of the sensors here, bit by bit: a table of 256 bytes would stand in an AVR's memory.

/// CRC-8 of Sensirion's sensors: polynomial x8 + x5 + x4 + 1, most significant bit first, initial value 0xFF
/// (datasheet SHT3x-DIS, section 4.12, CRC-8/NRSC-5 of the catalogue).
pub fn sensirion(bytes: &[u8]) -> u8 {
    let mut crc = 0xFF;
    for byte in bytes {
        crc ^= byte;
        for _ in 0..8_u8 {
            crc = if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ 0x31 };
        }
    }
    crc
}

/// CRC-8 of 1-Wire devices with one more byte: polynomial x8 + x5 + x4 + 1, least significant bit first, initial value 0
/// (Maxim application note 27, CRC-8/MAXIM-DOW of the catalogue). Over bytes and their own checksum it is 0.
pub fn one_wire(crc: u8, byte: u8) -> u8 {
    let mut crc = crc ^ byte;
    for _ in 0..8_u8 {
        crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x8C };
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensirion_has_the_value_of_the_datasheet_and_of_the_catalogue() {
        assert_eq!(sensirion(&[0xBE, 0xEF]), 0x92);
        assert_eq!(sensirion(b"123456789"), 0xF7);
    }

    #[test]
    fn one_wire_has_the_value_of_the_application_note_and_of_the_catalogue() {
        let of = |bytes: &[u8]| bytes.iter().fold(0, |crc, byte| one_wire(crc, *byte));
        assert_eq!(of(&[0x02, 0x1C, 0xB8, 0x01, 0x00, 0x00, 0x00]), 0xA2);
        assert_eq!(of(b"123456789"), 0xA1);
        assert_eq!(of(&[0x02, 0x1C, 0xB8, 0x01, 0x00, 0x00, 0x00, 0xA2]), 0);
    }
}
