//! Analog channels: the mean of several conversions of a 10-bit converter, in counts of 65,535 at full scale.

/// Conversions of one reading, at most: 2 to this power, whose sum fits 16 bits.
pub const MAX_OVERSAMPLING: u8 = 6;

/// A reading that is being taken, of `2^oversampling` conversions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mean {
    sum: u16,
    left: u8,
    oversampling: u8,
}

impl Mean {
    /// A reading without conversions yet. More than [`MAX_OVERSAMPLING`] counts as that.
    pub fn new(oversampling: u8) -> Self {
        let oversampling = oversampling.min(MAX_OVERSAMPLING);
        Self { sum: 0, left: 1 << oversampling, oversampling }
    }

    /// Adds a conversion, 0 to 1,023; after the last one, the reading: 0 to 65,535.
    pub fn add(&mut self, conversion: u16) -> Option<u16> {
        self.sum += conversion.min(1_023);
        self.left -= 1;
        // The sum of all is now in units of 1/64 of a count: full scale is 1,023 * 64 = 65,472, which the last term stretches.
        let scaled = self.sum << (MAX_OVERSAMPLING - self.oversampling);
        (self.left == 0).then_some(scaled + (scaled >> 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(oversampling: u8, conversions: impl IntoIterator<Item = u16>) -> Option<u16> {
        let mut mean = Mean::new(oversampling);
        conversions.into_iter().find_map(|conversion| mean.add(conversion))
    }

    #[test]
    fn ends_of_the_scale_are_reached_at_every_oversampling() {
        for oversampling in 0..=MAX_OVERSAMPLING {
            assert_eq!(read(oversampling, [0; 64]), Some(0), "oversampling {oversampling}");
            assert_eq!(read(oversampling, [1_023; 64]), Some(65_535), "oversampling {oversampling}");
        }
    }

    #[test]
    fn the_mean_resolves_less_than_one_conversion() {
        let between = read(6, (0..64).map(|n| 500 + n % 2)).unwrap();
        let (below, above) = (read(0, [500]).unwrap(), read(0, [501]).unwrap());
        assert!(below < between && between < above, "expected {between} between {below} and {above}");
    }

    #[test]
    fn a_reading_takes_all_its_conversions() {
        assert_eq!(read(3, [7; 7]), None);
        assert!(read(3, [7; 8]).is_some());
        assert!(read(200, [7; 64]).is_some());
    }
}
