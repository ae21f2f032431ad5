use super::*;

fn survey(bytes: &[u8]) -> Survey {
    Survey::of(&[Chunk { at: Duration::ZERO, bytes: bytes.to_vec() }], None)
}

#[test]
fn a_unit_narrows_what_a_value_can_be_of() {
    let Survey { values, whole, .. } = survey(b"\nA0: 21.5 C\nA1: 7\nA0: 21.6 C\nA1: 8\n");
    let found: Vec<(&str, bool, u32)> =
        values.iter().map(|value| (value.name.label.as_str(), value.has_unit, value.count)).collect();
    assert_eq!((found, whole), (vec![("A0", true, 2), ("A1", false, 2)], 4));
    let of = |ix: usize| values[ix].readable.iter().map(|(quantity, _)| quantity.name()).collect::<Vec<_>>();
    assert_eq!(of(0), ["temperature", "water_temperature", "dew_point", "count"]);
    assert_eq!(of(1).len(), Quantity::ALL.len() - 1, "a number alone can be anything but a contact");
}

#[test]
fn more_values_are_found_than_a_bus_remembers_unmatched_labels() {
    let line: String = (0..40).map(|ix| format!("probe{ix}=1.5 ")).collect();
    let lines = format!("\n{line}\n").repeat(3);
    assert_eq!(survey(lines.as_bytes()).values.len(), 40);
    let line: String = (0..90).map(|ix| format!("probe{ix}=1.5 ")).collect();
    assert_eq!(survey(format!("\n{line}\n").as_bytes()).values.len(), MAX_VALUES);
}

#[test]
fn noise_has_no_values() {
    let noise: Vec<u8> = (0..4000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let Survey { values, whole, .. } = survey(&noise);
    assert!(values.is_empty() && whole < 3, "{values:?}");
}
