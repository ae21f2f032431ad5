use super::*;

#[test]
fn a_key_that_is_there_twice_names_the_line_of_the_first() {
    for (text, expected) in [
        ("a = 1\nb = 2\na = 3\n", Some(1)),
        ("[x]\na = 1\n[y]\na = 1 # one\n\n\"a\" = 3\n", Some(4)),
        ("[sensors.\"tank/ph\"]\nquantity = 'ph'\n\n[rules.r]\n[ sensors.'tank/ph' ]\n", Some(1)),
        ("[x.y]\n[x]\ny = 1\n", None),
    ] {
        let (_, errors) = toml::de::DeTable::parse_recoverable(text);
        let error = errors.iter().find(|error| error.message() == DUPLICATE);
        let at = error.and_then(toml::de::Error::span).unwrap_or_else(|| panic!("{text}: {errors:?}")).start;
        assert_eq!(line_of_first(text, at), expected, "{text}");
    }
}

#[test]
fn slips_are_told_in_words_of_a_farm() {
    for (line, expected) in [
        ("enabled = no", "the words are true and false: write enabled = false"),
        ("enabled = True  # at last", "the words are true and false: write enabled = true"),
        ("[sensors.tower-1/ec]", "a name with / needs quotes: [sensors.\"tower-1/ec\"]"),
        ("tower-1/ec = { quantity = \"ec\" }", "a name with / needs quotes: \"tower-1/ec\" = .."),
        ("above = 6,8", "a decimal point is a point: write above = 6.8"),
        ("above = -0,5 # falls", "a decimal point is a point: write above = -0.5"),
        ("above = .5", "a number has this form: write above = 0.5"),
        ("above = 06", "a number has this form: write above = 6"),
        ("above = 6.8,", "nothing follows a value: write above = 6.8"),
        ("above = 35 C", "a number comes without its unit: write above = 35"),
        ("quantity = \u{201c}ph\u{201d}", "only the plain quotes \" and ' are quotes"),
        ("above: 6.8", "= comes before a value: write above = 6.8"),
        ("bob:hunter2secret", "= comes before a value: write bob = \"..\""),
        ("root:*:20200:0:99999:7:::", "= comes before a value: write root = \"..\""),
        ("  for : 5m,", "= comes before a value: write for = \"5m\""),
        ("for = 5m", "a duration needs quotes: write for = \"5m\""),
        ("quantity = ph", "a text needs quotes: write quantity = \"ph\""),
        ("quantity = \"ph", "a quote is missing: write quantity = \"ph\""),
    ] {
        assert_eq!(mistake(line).map(Mistake::help).as_deref(), Some(expected), "{line}");
    }
    for line in ["", "[rules", "x", "days = [sat, sun]", "a = { b = 1"] {
        assert_eq!(mistake(line), None, "{line}");
    }
}
