//! Rounding to steps, against the exact decimals.

use proptest::prelude::*;

use super::*;

fn resolution(number: f64) -> Resolution {
    Resolution::new(number).unwrap()
}

#[test]
fn a_resolution_is_the_decimal_that_was_written() {
    for (number, mantissa, decimals) in [(0.01, 1, 2), (0.0625, 625, 4), (5.0, 5, 0), (0.1, 1, 1), (1000.0, 1000, 0)] {
        assert_eq!(resolution(number), Resolution { mantissa, decimals });
    }
    for number in [0.0, -0.1, f64::NAN, f64::INFINITY, 1e-12, 1e7, 0.123_456_789_12] {
        assert_eq!(Resolution::new(number), Err(ResolutionError), "{number}");
    }
}

#[test]
fn numbers_round_to_steps_and_print_as_decimals() {
    for (number, step, steps, text) in [
        (6.849, 0.01, 685, "6.85"),
        (-0.004, 0.01, 0, "0.00"),
        (-0.5, 1.0, -1, "-1"),
        (23.187, 0.0625, 371, "23.1875"),
        (-0.0625, 0.0625, -1, "-0.0625"),
        (412.75, 0.25, 1651, "412.75"),
    ] {
        let value = Value { steps: resolution(step).nearest(number).unwrap(), resolution: resolution(step) };
        assert_eq!((value.steps.0, value.to_string().as_str()), (steps, text), "{number} at {step}");
    }
    for number in [f64::INFINITY, -1e300] {
        assert!(resolution(0.01).nearest(number).unwrap().0.abs() > Steps::MAX.0);
    }
    assert_eq!(resolution(0.01).nearest(f64::NAN), None);
}

#[test]
fn limits_on_the_grid_stay_on_it() {
    // 0.07 / 0.01 is 7.000000000000001 in binary; the limit is still the seventh step.
    for (number, step, floor, ceil) in
        [(0.07, 0.01, 7, 7), (6.805, 0.01, 680, 681), (-6.805, 0.01, -681, -680), (30.0, 0.1, 300, 300)]
    {
        assert_eq!((resolution(step).floor(number).0, resolution(step).ceil(number).0), (floor, ceil), "{number}");
    }
    assert!(resolution(0.01).floor(1e300).0 > MAX_STEPS);
}

#[test]
fn halves_of_a_step_go_away_from_zero_as_they_are_written() {
    // Some of these binary fractions lie below the half that was written, some above it.
    for (number, step, text) in [
        (20.025, 0.01, "20.03"),
        (21.865, 0.01, "21.87"),
        (-20.025, 0.01, "-20.03"),
        (1.005, 0.01, "1.01"),
        (8.345, 0.01, "8.35"),
        (0.285, 0.01, "0.29"),
        (20.25, 0.1, "20.3"),
        (0.5, 1.0, "1"),
        (2.5, 5.0, "5"),
        (0.03125, 0.0625, "0.0625"),
        (20.024_999_999_999_995, 0.01, "20.02"),
        (20.025_000_000_000_002, 0.01, "20.03"),
        (1_099_511_627.775_5, 0.001, "1099511627.776"),
    ] {
        let value = Value { steps: resolution(step).nearest(number).unwrap(), resolution: resolution(step) };
        assert_eq!(value.to_string(), text, "{number} at {step}");
    }
}

/// The nearest step of the decimal that `{}` prints, by whole numbers alone.
fn by_digits(number: f64, resolution: Resolution) -> i64 {
    let text = format!("{}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().unwrap();
    // steps = digits / 10^fraction * 10^decimals / mantissa
    let over = 10_i128.pow(fraction.len() as u32) * i128::from(resolution.mantissa);
    let steps = (2 * digits * i128::from(ten_to(resolution.decimals)) + over) / (2 * over);
    steps.min(i128::from(MAX_STEPS) + 1) as i64 * if number < 0.0 { -1 } else { 1 }
}

/// Resolutions as sensors have them, and odd ones.
fn any_resolution() -> impl Strategy<Value = Resolution> {
    prop_oneof![
        (0..=6u8).prop_map(|decimals| Resolution { mantissa: 1, decimals }),
        (1..=9_999u32, 0..=6u8).prop_map(|(mantissa, decimals)| Resolution { mantissa, decimals }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_nearest_step_is_that_of_the_written_decimal(
        resolution in any_resolution(),
        half_steps in -2_000_000_000..2_000_000_000_i64,
        off_by in -3..=3i64,
    ) {
        // Half a step away from a whole number, and the binary fractions beside it.
        let half = half_steps as f64 * resolution.half_above(0);
        let number = if half == 0.0 { 0.0 } else { f64::from_bits(half.to_bits().wrapping_add_signed(off_by)) };
        prop_assert_eq!(resolution.nearest(number), Some(Steps(by_digits(number, resolution))), "{}", number);
    }

    #[test]
    fn so_is_that_of_any_number(resolution in any_resolution(), digits in -99_999_999..99_999_999i64, decimals in 0..=9u32) {
        let number = format!("{digits}e-{decimals}").parse().unwrap();
        prop_assert_eq!(resolution.nearest(number), Some(Steps(by_digits(number, resolution))), "{}", number);
    }
}
