use super::*;

#[test]
fn lengths_and_sizes_are_said_shortly() {
    for (seconds, said) in [(0.4, "0s"), (59.6, "1m"), (90.0, "1m30s"), (3723.0, "1h2m"), (-5.0, "-5s")] {
        assert_eq!(for_long(seconds), said);
    }
    for (bytes, said) in [(0.0, "0 B"), (2048.0, "2.0 KiB"), (5e9, "4.7 GiB"), (5e13, "46566.1 GiB")] {
        assert_eq!(size(bytes), said);
    }
}

#[test]
fn columns_are_as_wide_as_their_widest() {
    let rows = [["1".to_owned(), "é".to_owned()], ["23456".to_owned(), "long".to_owned()]];
    assert_eq!(table(["NO", "WHAT"], rows.into_iter()), ["NO     WHAT", "1      é", "23456  long"]);
}
