use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn lists_come_back(numbers: Vec<i64>, small in proptest::collection::vec(-3i64..3, 0..40)) {
        for numbers in [numbers, small] {
            let mut out = Vec::new();
            put_packed(&mut out, numbers.iter().copied());
            let mut cursor = Cursor(&out);
            let read: Vec<i64> = cursor.packed(numbers.len()).unwrap().collect();
            prop_assert_eq!(read, numbers);
            prop_assert!(cursor.0.is_empty());
        }
    }

    #[test]
    fn numbers_come_back(wide: u128, number: u64, signed: i64) {
        let mut out = Vec::new();
        put_wide(&mut out, wide);
        put(&mut out, number);
        put_signed(&mut out, signed);
        let mut cursor = Cursor(&out);
        prop_assert_eq!(cursor.wide(), Some(wide));
        prop_assert_eq!(cursor.number(), Some(number));
        prop_assert_eq!(cursor.signed(), Some(signed));
        prop_assert!(cursor.0.is_empty());
    }
}

#[test]
fn small_numbers_take_one_byte() {
    for number in [0, 1, -1, 63, -64] {
        let mut out = Vec::new();
        put_signed(&mut out, number);
        assert_eq!(out.len(), 1, "{number}");
    }
}
