//! Values that sensors want and no line has, and what is said of them.

use tilth_core::id::Id;

use super::{Decoder, input};

/// What is said of the first want after these lines.
fn said(inputs: &[&str], lines: &str) -> Option<String> {
    let mut decoder = Decoder::new(inputs.iter().map(|text| input(text)).collect(), None);
    decoder.push(b"\n", |_| {});
    decoder.push(lines.as_bytes(), |_| {});
    let missing = decoder.missing(&Id::new("air").unwrap());
    missing.get(&input(inputs[0]).sensor).map(ToString::to_string)
}

#[test]
fn a_name_that_no_line_has_is_said_with_those_that_lines_have() {
    let none = "no line of air has";
    for (inputs, lines, expected) in [
        (&["Humidty"][..], "Temp=21 Humidity=55\n", "\"Humidty\"; it has Humidity, Temp"),
        (&["Humidty", "Temp"], "Temp=21 Humidity=55\n", "\"Humidty\"; it has Humidity"),
        (&["hum", "temp"], "temp=21\n", "\"hum\"; all names that it has are read by other sensors"),
        (&["Feuchte"], "21.5,55\n", "\"Feuchte\"; the last was not used (columns without a header): 21.5,55"),
        (&["Feuchte"], "t,h\n21.5,55\n", "\"Feuchte\"; it has h, t"),
        (&["ph"], "{\"tank\":{\"acidity\":6.1}}\n", "\"ph\"; it has tank.acidity"),
        (&["temp?node=33", "temp?node=1"], "node=1 temp=20\n", "\"temp\" with node=33 beside it; others have it"),
        (&["z"], "a=1 b=1 c=1 d=1 e=1 f=1 g=1\n", "\"z\"; it has a, b, c, d, e and 2 more"),
    ] {
        assert_eq!(said(inputs, lines), Some(format!("{none} {expected}")), "{lines:?}");
    }
    assert_eq!(said(&["temp"], ""), None, "no line came");
    assert_eq!(said(&["temp"], "temp=21\nhum=55\n"), None, "it comes in every other line");
    assert_eq!(said(&["temp"], "temp=nan\n"), None, "the board says that there is no value");
}

#[test]
fn a_name_that_is_not_printed_any_more_is_said() {
    let renamed = |times: usize| format!("temp=21\n{}", "temq=21\n".repeat(times));
    assert_eq!(said(&["temp"], &renamed(12)), None, "it may come again");
    let expected = "no line of air has \"temp\" any more; it has temq";
    assert_eq!(said(&["temp"], &renamed(13)).as_deref(), Some(expected));
    assert_eq!(said(&["temp"], &format!("{}temp=21\n", renamed(13))), None, "it is back");
}
