//! NMEA 0183 sentences such as `$WIMDA,29.4473,I,..*3E`: checksums, and fields of fixed places. Pure.

/// Wrong lines in a row with one checksum after which the board is taken to print it on all lines.
const CONSTANT: u32 = 5;

/// Sentences whose fields are known by their places: `WIMDA 5` is the air temperature of the first.
const NUMBERED: [&str; 14] =
    ["MDA", "MWV", "MWD", "VWR", "VWT", "VPW", "DBT", "DPT", "HDT", "VTG", "RMC", "GGA", "GLL", "ZDA"];

/// Whether the checksums of a bus are real. One that is right and changes is: from then on a wrong one is a broken line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Checksums {
    right: Option<u8>,
    /// Two lines with different sums were right.
    is_sure: bool,
    /// The sum of the last wrong line, and how many wrong ones had it in a row.
    wrong: Option<(u8, u32)>,
}

impl Checksums {
    /// Whether a line counts.
    pub(super) fn check(&mut self, body: &str, stated: u8) -> bool {
        if stated == body.bytes().fold(0, |sum, byte| sum ^ byte) {
            let is_constant = self.right.is_none() && self.wrong.is_some_and(|(wrong, _)| wrong == stated);
            if !is_constant {
                self.is_sure |= self.right.is_some_and(|right| right != stated);
                self.right = Some(stated);
                self.wrong = None;
            }
            return true;
        }
        let before = self.wrong;
        let count = before.filter(|(wrong, _)| *wrong == stated).map_or(1, |(_, count)| count + 1);
        self.wrong = Some((stated, count));
        if !self.is_sure && self.right == Some(stated) && count >= CONSTANT {
            self.right = None;
        }
        // Without any right one the first line counts, and then those with the sum of the line before.
        self.right.is_none() && (before.is_none() || count > 1)
    }
}

/// The part of a sentence before its sum, and the sum; none where it has none.
pub(super) fn with_sum(sentence: &str) -> Option<(&str, u8)> {
    let (body, sum) = sentence.rsplit_once('*')?;
    let sum = Some(sum.trim()).filter(|sum| sum.len() == 2)?;
    Some((body, u8::from_str_radix(sum, 16).ok()?))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentenceField<'t> {
    pub(super) label: String,
    pub(super) value: &'t str,
    pub(super) unit: &'static str,
}

/// The fields of a sentence whose places are fixed; none where it is another.
pub(super) fn fields(body: &str) -> Option<Vec<SentenceField<'_>>> {
    let cells: Vec<&str> = body.split(',').collect();
    let text = |at: usize| cells.get(at).map_or("", |cell| cell.trim());
    let name = text(0);
    let kind = (name.len() == 5 && name.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| &name[2..])?;
    if kind == "XDR" {
        let field = |at: usize| {
            let label = if text(at + 3).is_empty() { format!("{name} {}", text(at)) } else { text(at + 3).to_owned() };
            SentenceField { label, value: cells[at + 1], unit: unit(text(at), text(at + 2)) }
        };
        return Some((1..cells.len()).step_by(4).filter(|at| !text(at + 1).is_empty()).map(field).collect());
    }
    let is_number = |at: &usize| text(*at).parse::<f64>().is_ok_and(f64::is_finite);
    let field =
        |at: usize| SentenceField { label: format!("{name} {at}"), value: cells[at], unit: unit("", text(at + 1)) };
    NUMBERED.contains(&kind).then(|| (1..cells.len()).filter(is_number).map(field).collect())
}

/// What a letter after a value means; `kind` is the letter of a transducer, which stands before it.
fn unit(kind: &str, letter: &str) -> &'static str {
    match (kind, letter) {
        ("H", _) => "%",
        ("P", "P") => "Pa",
        (_, "B") => "bar",
        (_, "C") => "C",
        ("", "F") => "F",
        ("", "I") => "inHg",
        ("", "K") => "km/h",
        ("", "N") => "kn",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(body: &str) -> u8 {
        body.bytes().fold(0, |sum, byte| sum ^ byte)
    }

    #[test]
    fn a_wrong_sum_counts_only_where_sums_say_nothing() {
        let (a, b, c) = ("PH,6.85", "PH,6.86", "PH,9.99");
        let taken = |lines: &[(&str, u8)]| {
            let mut sums = Checksums::default();
            lines.iter().map(|(body, sum)| sums.check(body, *sum)).collect::<Vec<_>>()
        };
        assert_eq!(
            taken(&[(a, sum(a)), (c, sum(a)), (b, sum(b)), (c, sum(b)), (c, 0)]),
            [true, false, true, false, false]
        );
        // The same on every line, once right by chance.
        assert_eq!(taken(&[(a, 0x5a), (b, 0x5a), (c, 0x5a)]), [true; 3]);
        assert_eq!(taken(&[(a, sum(b)), (b, sum(b)), (c, sum(b))]), [true; 3]);
        assert_eq!(
            taken(&[(b, sum(b)), (a, sum(b)), (a, sum(b)), (a, sum(b)), (a, sum(b)), (a, sum(b)), (c, sum(b))])[4..],
            [false, true, true]
        );
        // Checksums that change and are never right: another way of counting, or noise.
        assert_eq!(taken(&[(a, 1), (b, 2), (c, 3)]), [true, false, false]);
        assert_eq!(taken(&[(a, 1), (b, 0x5a), (c, 0x5a)]), [true, false, true]);
    }

    #[test]
    fn sentences_have_fields_by_place_or_by_name() {
        let found = |body: &str| {
            let fields = fields(body)?;
            Some(
                fields
                    .iter()
                    .map(|field| format!("{}={}{}", field.label, field.value, field.unit))
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        for (body, expected) in [
            (
                "WIMDA,29.4473,I,0.9972,B,17.2,C,,,40.2",
                Some("WIMDA 1=29.4473inHg WIMDA 3=0.9972bar WIMDA 5=17.2C WIMDA 9=40.2"),
            ),
            ("WIMWV,344.0,R,005.9,N,A", Some("WIMWV 1=344.0 WIMWV 3=005.9kn")),
            ("WIXDR,C,+023.0,C,TEMP,P,1.0199,B,PRESS,H,039.6,P,RH", Some("TEMP=+023.0C PRESS=1.0199bar RH=039.6%")),
            ("WIXDR,C,026.0,C,,", Some("WIXDR C=026.0C")),
            ("WIMTW,17.9,C", None),
            ("PH,6.85", None),
        ] {
            assert_eq!(found(body).as_deref(), expected, "{body}");
        }
        assert_eq!(with_sum("PH,6.85*5A"), Some(("PH,6.85", 0x5a)));
        assert_eq!((with_sum("PH,6.85"), with_sum("PH*6"), with_sum("a*zz")), (None, None, None));
    }
}
