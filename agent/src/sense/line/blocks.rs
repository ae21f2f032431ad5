//! Lines that belong together: a heading over a block (`Tank 1:` above `pH: 6.1` makes it `Tank 1 pH`), a label above its value, JSON
//! over several lines. Pure.

use std::sync::Arc;

use super::json;
use super::lines::MAX_LINE;
use super::number::{self, Parsed};
use super::pairs;
use super::words;

/// The longest heading; what is longer is a sentence.
const MAX_HEADING: usize = 40;

/// What a line is to those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineRole<'t> {
    /// A heading, or the end of one where it is empty.
    Heading(&'t str),
    /// A label whose value may follow, or else a heading.
    Label(&'t str),
    /// Decoration alone, such as a row of dashes.
    Underline,
    None,
}

#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The heading above; empty where there is none.
    pub(super) heading: Arc<str>,
    /// A line came below it.
    has_lines: bool,
    /// The label of the line before, whose value may be this line.
    pub(super) label: String,
    /// JSON whose end has not come yet.
    json: String,
}

impl Blocks {
    /// Takes a line that only says something of those below it; false where it has a value of its own.
    pub(super) fn apply(&mut self, role: LineRole<'_>) -> bool {
        match role {
            LineRole::Heading(heading) => self.begin(heading),
            LineRole::Label(label) => label.clone_into(&mut self.label),
            // Right below a heading it is an underline.
            LineRole::Underline if self.has_lines => self.begin(""),
            LineRole::Underline => {}
            LineRole::None => {
                self.has_lines = true;
                return false;
            }
        }
        true
    }

    /// A heading comes above what follows.
    pub(super) fn begin(&mut self, heading: &str) {
        let is_general = heading.split_whitespace().all(|word| words::GENERAL.has(word));
        let is_place = !is_general && !words::STATES.has(heading);
        self.heading = if is_place { pairs::without_count(heading).into() } else { Arc::default() };
        self.has_lines = false;
    }

    /// The object of JSON that ends with this line; none while more is to come, and an error where it is none.
    pub(super) fn json(&mut self, text: &str) -> Result<Option<String>, ()> {
        if json::is_object(text) {
            self.json.clear();
            return Ok(Some(text.to_owned()));
        }
        let is_begin = text.starts_with('{');
        if is_begin {
            self.json.clear();
        }
        let may_go_on = !is_begin || text.ends_with(['{', '[', ',']);
        if !may_go_on || self.json.len() + text.len() >= MAX_LINE {
            self.json.clear();
            return Err(());
        }
        self.json.push_str(text);
        self.json.push('\n');
        match json::depth(&self.json) {
            1.. => Ok(None),
            _ => Some(std::mem::take(&mut self.json)).filter(|json| json::is_object(json)).map(Some).ok_or(()),
        }
    }

    /// Whether a line goes on with the JSON before it.
    pub(super) fn goes_on(&mut self, text: &str) -> bool {
        let is_json = text.starts_with(['"', '{', '}', '[', ']', '-'])
            || text.starts_with(|c: char| c.is_ascii_digit())
            || ["true", "false", "null"].iter().any(|word| text.starts_with(word));
        if !is_json {
            self.json.clear();
        }
        !self.json.is_empty()
    }
}

pub(super) fn role(text: &str) -> LineRole<'_> {
    let is_decoration = |c: char| "=-*#~_+<>[]| ".contains(c);
    if text.len() > MAX_HEADING + 20 || text.contains([',', ';', '"']) {
        return LineRole::None;
    }
    let bare = text.trim_matches(is_decoration).trim_end_matches(':').trim_end();
    if bare.is_empty() {
        return if text.len() >= 3 { LineRole::Underline } else { LineRole::None };
    }
    let is_heading =
        |text: &str| text.len() <= MAX_HEADING && pairs::is_name(text) && number::parsed(text) == Parsed::Text;
    if text.starts_with(is_decoration) && text.ends_with(is_decoration) && is_heading(bare) {
        return LineRole::Heading(bare);
    }
    if let Some(label) = text.strip_suffix(pairs::is_assignment).map(str::trim_end).filter(|label| is_heading(label)) {
        return LineRole::Label(label);
    }
    if is_heading(text) && is_place(text) { LineRole::Heading(text) } else { LineRole::None }
}

/// `Node: 3` or `Device 0 Address: 28FF`, alone in its line, as the heading that it is.
pub(super) fn numbered(text: &str) -> Option<String> {
    let (name, number) = text.split_once(pairs::is_assignment)?;
    let (name, number) = (name.trim(), number.trim());
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && words::THINGS.has(name) {
        return Some(format!("{name} {number}"));
    }
    // `Device 0 Address: 28FF..`: what is said of the thing itself.
    let words: Vec<&str> = name.split_whitespace().collect();
    match words[..] {
        [thing, which, what] if words::THINGS.has(thing) && words::IDENTITIES.has(what) => {
            which.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{thing} {which}"))
        }
        _ => None,
    }
}

/// Whether all words are of places, the last perhaps a number or a letter: `WATER`, `Tank 1`, `Root zone`, `Bed A`.
fn is_place(text: &str) -> bool {
    let mut words = text.split_whitespace().collect::<Vec<_>>();
    let is_index = |word: &&str| {
        word.len() == 1 && word.starts_with(char::is_alphanumeric)
            || word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'#')
    };
    if words.len() > 1 && words.last().is_some_and(is_index) {
        words.pop();
    }
    words.len() <= 2 && words.iter().all(|word| words::PLACES.has(word) || words::THINGS.has(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_be_a_heading_a_label_or_an_underline() {
        for (text, expected) in [
            ("Tank 1:", LineRole::Label("Tank 1")),
            ("Temperature =", LineRole::Label("Temperature")),
            ("=== Tank 1 ===", LineRole::Heading("Tank 1")),
            ("--- Air: ---", LineRole::Heading("Air")),
            ("[Bed A]", LineRole::Heading("Bed A")),
            ("WATER", LineRole::Heading("WATER")),
            ("Node #3", LineRole::Heading("Node #3")),
            ("------", LineRole::Underline),
            ("Reading sensors", LineRole::None),
            ("pH: 6.1", LineRole::None),
            ("21.5", LineRole::None),
            ("- 5 -", LineRole::None),
            ("# time,temp", LineRole::None),
            ("*OK", LineRole::None),
            ("Temp", LineRole::None),
        ] {
            assert_eq!(role(text), expected, "{text:?}");
        }
        assert_eq!(numbered("Node: 3").as_deref(), Some("Node 3"));
        assert_eq!(numbered("Device 0 Address: 28FF4A").as_deref(), Some("Device 0"));
        for text in
            ["Zone 1 valve: open", "Tank 1 level: 50", "Water: 5", "Sensor: 5", "Temp: 3", "Node: 3.5", "Node: 21 C"]
        {
            assert_eq!(numbered(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_heading_lasts_until_the_next_one_or_an_underline() {
        let mut blocks = Blocks::default();
        for (text, heading) in [
            ("=== Tank 1 ===", "Tank 1"),
            ("-----", "Tank 1"),
            ("pH: 6.1", "Tank 1"),
            ("=== Tank 2 ===", "Tank 2"),
            ("pH: 6.9", "Tank 2"),
            ("=====", ""),
            ("[Bed A]", "Bed A"),
            ("=== Sensor readings ===", ""),
            ("--- Reading 7 ---", ""),
        ] {
            blocks.apply(role(text));
            assert_eq!(*blocks.heading, *heading, "{text:?}");
        }
    }

    #[test]
    fn json_may_take_several_lines() {
        let mut blocks = Blocks::default();
        let mut read = |text: &str| blocks.json(text).map(|json| json.map(|json| json.replace('\n', "")));
        assert_eq!(read("{"), Ok(None));
        assert_eq!(read("\"a\": {\"b\": 1,"), Ok(None));
        assert_eq!(read("\"c\": \"}\"}"), Ok(None));
        assert_eq!(read("}").unwrap().unwrap(), "{\"a\": {\"b\": 1,\"c\": \"}\"}}");
        assert_eq!(read("{\"a\":1,"), Ok(None));
        assert_eq!(read("{\"a\":2}").unwrap().unwrap(), "{\"a\":2}", "a line whose end was lost ends with the next");
        assert_eq!(read("{\"a\":"), Err(()));
    }
}
