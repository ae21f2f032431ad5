//! Files that are no text: archives and other programs' own formats, each named with what to do about it.

/// Kind of a file, with its article, and the command that gives its text on standard output, up to the file's name; none where a program
/// must save it in another format.
type Packed = (&'static str, Option<&'static str>);

/// The first bytes of each kind.
const KINDS: &[(&[u8], Packed)] = &[
    (b"\xfd7zXZ\0", ("an xz file", Some("xz -dc"))),
    (b"BZh", ("a bzip2 file", Some("bzip2 -dc"))),
    (b"\x28\xb5\x2f\xfd", ("a zstd file", Some("zstd -dc"))),
    (b"\x04\x22\x4d\x18", ("an lz4 file", Some("lz4 -dc"))),
    (b"7z\xbc\xaf\x27\x1c", ("a 7z archive", Some("7z x -so"))),
    (b"Rar!", ("a rar archive", Some("unrar p -inul"))),
    (b"\xd0\xcf\x11\xe0", ("an old Excel workbook", None)),
    (b"SQLite format 3\0", ("an SQLite database", None)),
    (b"PAR1", ("a Parquet file", None)),
    (b"%PDF-", ("a PDF", None)),
];

/// What a file is that begins with these bytes, and what to do about it, where it is no text.
pub(super) fn advice(head: &[u8], file: &str) -> Option<String> {
    Some(match of(head)? {
        (what, Some(command)) => format!("{what}; unpack it: {command} {file} | tilth-agent replay --input - .."),
        (what, None) => format!("{what}; export it as CSV"),
    })
}

fn of(head: &[u8]) -> Option<Packed> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(zipped(head));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", Some("tar -xOf")));
    }
    // Text may begin like an archive's letters; a zero or a control byte soon after tells.
    let is_binary = |(what, _): &Packed| *what != "a bzip2 file" || head.get(3).is_some_and(u8::is_ascii_digit);
    KINDS.iter().find(|(magic, packed)| head.starts_with(magic) && is_binary(packed)).map(|(_, packed)| *packed)
}

/// Workbooks are zip archives too; their first entry tells.
fn zipped(head: &[u8]) -> Packed {
    let begins = &head[..head.len().min(4096)];
    let has = |name: &[u8]| begins.windows(name.len()).any(|window| window == name);
    if has(b"xl/") || has(b"[Content_Types].xml") {
        ("an Excel workbook", None)
    } else if has(b"opendocument.spreadsheet") {
        ("an OpenDocument spreadsheet", None)
    } else {
        ("a zip archive", Some("unzip -p"))
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
            assert_eq!(of(head).map(|(what, _)| what), what, "{head:?}");
        }
    }
}
