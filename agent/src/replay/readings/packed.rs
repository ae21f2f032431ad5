//! Files that are no text: archives and other programs' own formats, each named with what to do about it.

/// A kind of file that is not read, and how to make one of it that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    /// What it is, with its article.
    pub(crate) what: &'static str,
    /// The command that gives its text on standard output, up to the file's name; none where a program must save it anew.
    pub(crate) command: Option<&'static str>,
}

impl Packed {
    /// What a file is, and what to do about it.
    pub(super) fn advice(self, file: &str) -> String {
        match self {
            Packed { what, command: Some(command) } => {
                format!("{what}; unpack it: {command} {file} | tilth-agent replay --input - ..")
            }
            Packed { what, command: None } => format!("{what}; export it as CSV"),
        }
    }
}

/// The first bytes of each kind.
const KINDS: &[(&[u8], Packed)] = &[
    (b"\xfd7zXZ\0", Packed { what: "an xz file", command: Some("xz -dc") }),
    (b"BZh", Packed { what: "a bzip2 file", command: Some("bzip2 -dc") }),
    (b"\x28\xb5\x2f\xfd", Packed { what: "a zstd file", command: Some("zstd -dc") }),
    (b"\x04\x22\x4d\x18", Packed { what: "an lz4 file", command: Some("lz4 -dc") }),
    (b"7z\xbc\xaf\x27\x1c", Packed { what: "a 7z archive", command: Some("7z x -so") }),
    (b"Rar!", Packed { what: "a rar archive", command: Some("unrar p -inul") }),
    (b"\xd0\xcf\x11\xe0", Packed { what: "an old Excel workbook", command: None }),
    (b"SQLite format 3\0", Packed { what: "an SQLite database", command: None }),
    (b"PAR1", Packed { what: "a Parquet file", command: None }),
    (b"%PDF-", Packed { what: "a PDF", command: None }),
];

/// What a file is that begins with these bytes, where it is no text.
pub(super) fn of(head: &[u8]) -> Option<Packed> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(zipped(head));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(Packed { what: "a tar archive", command: Some("tar -xOf") });
    }
    // Text may begin like an archive's letters; a zero or a control byte soon after tells.
    let is_binary = |packed: &Packed| packed.what != "a bzip2 file" || head.get(3).is_some_and(u8::is_ascii_digit);
    KINDS.iter().find(|(magic, packed)| head.starts_with(magic) && is_binary(packed)).map(|(_, packed)| *packed)
}

/// Workbooks are zip archives too; their first entry tells.
fn zipped(head: &[u8]) -> Packed {
    let begins = &head[..head.len().min(4096)];
    let has = |name: &[u8]| begins.windows(name.len()).any(|window| window == name);
    if has(b"xl/") || has(b"[Content_Types].xml") {
        Packed { what: "an Excel workbook", command: None }
    } else if has(b"opendocument.spreadsheet") {
        Packed { what: "an OpenDocument spreadsheet", command: None }
    } else {
        Packed { what: "a zip archive", command: Some("unzip -p") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_known_by_their_first_bytes() {
        for (head, what) in [
            (&b"PK\x03\x04\x14\0\0\0\x08\0readings.csv"[..], Some("a zip archive")),
            (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml", Some("an Excel workbook")),
            (b"\xfd7zXZ\0\0\x04", Some("an xz file")),
            (b"BZh91AY&SY", Some("a bzip2 file")),
            (b"BZhh,time", None),
            (b"time,sensor,value\n", None),
            (b"", None),
        ] {
            assert_eq!(of(head).map(|packed| packed.what), what, "{head:?}");
        }
    }
}
