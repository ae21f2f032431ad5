//! The text of an alert: a template checked once, filled in when there is something to say.

use std::fmt::{self, Write as _};

/// A message with places for what is known when the alert speaks: `pH {value} in {zone}, limit {limit}`.
///
/// Doubled braces stand for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// What a template can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The value that was compared.
    Value,
    /// The limit it was compared with.
    Limit,
    /// The unit of the value.
    Unit,
    /// The sensor's id.
    Sensor,
    /// The part of the sensor's id after the zone.
    Name,
    /// The zone.
    Zone,
    /// The rule's name.
    Rule,
    /// The alert's severity.
    Severity,
    /// The value of the sensor that it was compared with.
    Other,
    /// The id of that sensor.
    OtherSensor,
}

/// Why a text is no template, with the character where it went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("a brace at character {at} has no partner; write {{{{ or }}}} for the character itself")]
    Brace {
        /// How many characters stand before it.
        at: usize,
    },
    /// A name that no place has.
    #[error(
        "{{{name}}} is not known; expected {{value}}, {{limit}}, {{unit}}, {{sensor}}, {{name}}, {{zone}}, {{rule}}, \
         {{severity}}, or with differs_from {{other}} or {{other_sensor}}"
    )]
    Unknown {
        /// What stands between the braces.
        name: String,
        /// How many characters stand before it.
        at: usize,
    },
}

impl Placeholder {
    const ALL: [(Placeholder, &str); 10] = [
        (Placeholder::Value, "value"),
        (Placeholder::Limit, "limit"),
        (Placeholder::Unit, "unit"),
        (Placeholder::Sensor, "sensor"),
        (Placeholder::Name, "name"),
        (Placeholder::Zone, "zone"),
        (Placeholder::Rule, "rule"),
        (Placeholder::Severity, "severity"),
        (Placeholder::Other, "other"),
        (Placeholder::OtherSensor, "other_sensor"),
    ];
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] for a lone brace or an unknown place.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(found) = rest.find(['{', '}']) {
            plain.push_str(&rest[..found]);
            let at = text[..text.len() - rest.len() + found].chars().count();
            let (brace, after) = rest[found..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = match (brace, after.split_once('}')) {
                ("{", Some(pair)) => pair,
                _ => return Err(TemplateError::Brace { at }),
            };
            let place = Placeholder::ALL.into_iter().find(|(_, known)| *known == name);
            let (place, _) = place.ok_or_else(|| TemplateError::Unknown { name: name.to_owned(), at })?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Placeholder(place));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template(parts))
    }

    /// Whether it asks for the sensor that another one is compared with, or for its value.
    #[must_use]
    pub fn is_about_another(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Placeholder(Placeholder::Other | Placeholder::OtherSensor)))
    }

    /// The text with every place filled by `fill`.
    pub fn render(&self, mut fill: impl FnMut(Placeholder, &mut String) -> fmt::Result) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Placeholder(place) => {
                    if fill(*place, &mut out).is_err() {
                        // Writing into a String cannot fail; a Display that reports an error leaves a mark, not a hole.
                        let _ = out.write_char('?');
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, TemplateError> {
        Template::parse(text).map(|template| template.render(|place, out| write!(out, "<{place:?}>")))
    }

    #[test]
    fn places_are_filled_and_mistakes_are_placed() {
        for (text, expected) in [
            ("pH {value} in {zone}, limit {limit}", "pH <Value> in <Zone>, limit <Limit>"),
            ("{{as is}} {rule}", "{as is} <Rule>"),
            ("", ""),
            ("{sensor}{name}{unit}{severity}", "<Sensor><Name><Unit><Severity>"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text:?}");
        }
        for (text, expected) in [
            ("ab {value", TemplateError::Brace { at: 3 }),
            ("ab }", TemplateError::Brace { at: 3 }),
            ("ä {level} b", TemplateError::Unknown { name: "level".into(), at: 2 }),
        ] {
            assert_eq!(filled(text), Err(expected), "{text:?}");
        }
    }
}
