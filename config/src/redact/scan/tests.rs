use super::*;
use crate::redact::masked;

#[test]
fn what_is_hidden_of_a_line() {
    for (text, shown) in [
        ("token = \"abc\"", "token = *****"),
        ("token = \"secret:phone\" # the phone's", "token = \"secret:phone\" # the phone's"),
        ("token = abc # old", "token = *********"),
        ("{ token = \"abc\", url = \"x\" }", "{ token = *****, url = \"x\" }"),
        ("token = \"abc\" ,def", "token = **********"),
        ("priority = 5 # token: abc", "priority = 5 # token: ***"),
        ("[secrets.ntfy]\nhosts = [\"a\"]\nvalue = 5", "[secrets.ntfy]\nhosts = [\"a\"]\nvalue = *"),
        ("[rules.token-lost]\nabove = 5", "[rules.token-lost]\nabove = 5"),
        ("token = [\n1,\n2]\nx = 1", "token = *\n**\n**\nx = 1"),
        ("token = \"a\nb\"\nx = 1", "token = **\n**\nx = 1"),
        ("token =\nabc\nx = 1", "token =\n***\nx = 1"),
        ("message = \"the token is lost\"", "message = \"the token is lost\""),
        ("url = u:p@host", "url =****@host"),
        ("url = 'hooks.example/a b' # x", "url = 'hooks.example/********"),
        ("url = https://hooks.example/a b", "url = https://hooks.example/***"),
        ("url = 'https://hooks.example/a' # mine", "url = 'https://hooks.example/*********"),
        ("input = 'host:cpu_temp' # a/b", "input = 'host:cpu_temp' # a/b"),
        ("topic = 'farm' # a topic for all", "topic = ****** # a topic for all"),
        ("input = 'mqtt:b/topic#a.b'", "input = 'mqtt:b/topic#a.b'"),
        ("# the token ,abc", "# the token*****"),
        ("# the token, that is", "# the token, that is"),
        ("# mail a@b.example", "# mail a@b.example"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
}

#[test]
fn comments_are_told_from_texts() {
    for (text, shown) in [
        ("a = 1 # b\nc = '#' # d", "a = 1    \nc = '#'    "),
        ("a = \"\\\"#\" # b", "a = \"\\\"#\"    "),
        ("a = \"\"\"\n# b\n\"\"\"\"# c\n# d", "a = \"\"\"\n# b\n\"\"\"\"   \n   "),
        ("a = '''#'''#", "a = '''#''' "),
    ] {
        assert_eq!(crate::redact::without_comments(text), shown, "{text}");
    }
}

#[test]
fn a_place_touches_what_it_shares_a_byte_with() {
    let hidden = SecretSpans(vec![4..8, 12..13]);
    for (span, expected) in [(0..4, false), (0..5, true), (7..9, true), (8..12, false), (12..12, true), (13..20, false)]
    {
        assert_eq!(hidden.touches(&span), expected, "{span:?}");
    }
}
