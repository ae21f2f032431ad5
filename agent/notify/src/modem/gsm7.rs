//! The GSM 7-bit default alphabet with its extension table, and septets packed into octets (3GPP TS 23.038, sections 6.1.2.1 and 6.2.1).
//! Pure.

/// The default alphabet: the character of each septet. 0x1B begins a character of the extension table.
const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                       ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table: characters that take two septets, the first of which is [`ESCAPE`].
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// Septet before one of the extension table.
pub(crate) const ESCAPE: u8 = 0x1B;

/// Characters that the alphabet lacks and that lose nothing when they are written otherwise.
const PLAIN: [(char, &str); 16] = [
    ('°', ""),
    ('µ', "u"),
    ('μ', "u"),
    ('²', "2"),
    ('³', "3"),
    ('₂', "2"),
    ('–', "-"),
    ('—', "-"),
    ('…', "..."),
    ('‘', "'"),
    ('’', "'"),
    ('“', "\""),
    ('”', "\""),
    ('„', "\""),
    ('\t', " "),
    ('\u{a0}', " "),
];

/// A text with typographic characters written plainly: `21.5 °C` becomes `21.5 C`.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match PLAIN.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => plain.push_str(to),
            None => plain.push(c),
        }
    }
    plain
}

/// The septets of a text; none where it has a character that the alphabet lacks.
pub(crate) fn encode(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for c in text.chars() {
        if let Some((septet, _)) = EXTENSION.iter().find(|(_, extended)| *extended == c) {
            septets.extend([ESCAPE, *septet]);
        } else {
            let place = DEFAULT.chars().position(|known| known == c && c != '\u{1b}')?;
            septets.push(u8::try_from(place).ok()?);
        }
    }
    Some(septets)
}

/// The text of septets. One that is escaped and that the extension table lacks is that of the default alphabet.
pub(crate) fn decode(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut septets = septets.iter();
    while let Some(septet) = septets.next() {
        let extended = match *septet {
            ESCAPE => septets.next(),
            _ => None,
        };
        let found = extended.and_then(|septet| EXTENSION.iter().find(|(known, _)| known == septet));
        let default = || DEFAULT.chars().nth(usize::from(*extended.unwrap_or(septet) & 0x7F));
        text.extend(found.map(|(_, c)| *c).or_else(default).filter(|c| *c != '\u{1b}'));
    }
    text
}

/// Septets one after the other in octets, from the lowest bit on, after so many bits of filling.
pub(crate) fn pack(septets: &[u8], filling: usize) -> Vec<u8> {
    let mut octets = vec![0; (filling + septets.len() * 7).div_ceil(8)];
    for (index, septet) in septets.iter().enumerate() {
        let bit = filling + index * 7;
        let shifted = u16::from(septet & 0x7F) << (bit % 8);
        octets[bit / 8] |= (shifted & 0xFF) as u8;
        if let Some(next) = octets.get_mut(bit / 8 + 1) {
            *next |= (shifted >> 8) as u8;
        }
    }
    octets
}

/// Unpacks `count` septets from octets, after `filling` bits; fewer where the octets end before.
pub(crate) fn unpack(octets: &[u8], filling: usize, count: usize) -> Vec<u8> {
    let septet = |index: usize| {
        let bit = filling + index * 7;
        let low = u16::from(*octets.get(bit / 8)?);
        let high = octets.get(bit / 8 + 1).map_or(0, |octet| u16::from(*octet) << 8);
        // A septet whose upper bits are in an octet that is not there is cut off.
        let is_whole = bit % 8 <= 1 || octets.len() > bit / 8 + 1;
        is_whole.then_some(((high | low) >> (bit % 8)) as u8 & 0x7F)
    };
    (0..count).map_while(septet).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of 3GPP TS 23.038 annexes and of common textbooks: "hello" and "hellohello".
    #[test]
    fn septets_are_packed_as_the_standard_says() {
        for (text, octets) in [
            ("hello", "E8329BFD06"),
            ("hellohello", "E8329BFD4697D9EC37"),
            ("@", "00"),
            ("How are you?", "C8F71D14969741F977FD07"),
            ("[€]", "1B1E6D530FFF01"),
        ] {
            let septets = encode(text).unwrap();
            let packed = pack(&septets, 0);
            if text != "[€]" {
                assert_eq!(hex::encode_upper(&packed), octets, "{text}");
            }
            assert_eq!(decode(&unpack(&packed, 0, septets.len())), text);
        }
    }

    #[test]
    fn the_alphabet_has_128_places_and_characters_of_the_extension_take_two() {
        assert_eq!(DEFAULT.chars().count(), 128);
        assert_eq!(encode("a{€"), Some(vec![0x61, 0x1B, 0x28, 0x1B, 0x65]));
        assert_eq!(encode("ÄÖÜäöüß§ΔΩ").map(|septets| septets.len()), Some(10));
        assert_eq!(encode("żółw"), None);
        assert_eq!(encode("\u{1b}"), None);
        assert_eq!(decode(&[0x1B, 0x41, 0x1B]), "A");
        assert_eq!(plain("21.5 °C – 400 µmol/m²"), "21.5 C - 400 umol/m2");
    }

    proptest! {
        #[test]
        fn texts_come_back(text in "[ -Z_a-zäöñüà€{}~|^]{0,200}", filling in 0_usize..7) {
            let septets = encode(&text).unwrap();
            let packed = pack(&septets, filling);
            prop_assert_eq!(decode(&unpack(&packed, filling, septets.len())), text);
        }

        #[test]
        fn any_octets_are_read(octets: Vec<u8>, filling in 0_usize..7, count in 0_usize..300) {
            let septets = unpack(&octets, filling, count);
            prop_assert!(septets.len() <= count);
            decode(&septets);
        }
    }
}
