//! Enumerations that stand in a body as one byte, their number.

/// Defines an enumeration whose variants are numbered from 0 in their order.
macro_rules! numbered {
    ($(#[$attributes:meta])* $name:ident { $($(#[$docs:meta])* $variant:ident,)+ }) => {
        $(#[$attributes])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
        #[repr(u8)]
        pub enum $name { $($(#[$docs])* $variant,)+ }

        impl $name {
            /// Every variant, at the place of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The variant's number, as it stands in a body.
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The variant of this number. Compared one by one: a table would take memory on an AVR.
            pub const fn from_number(number: u8) -> Option<Self> {
                $(if number == Self::$variant as u8 {
                    return Some(Self::$variant);
                })+
                None
            }

            #[allow(dead_code, reason = "some enumerations only stand in options")]
            pub(crate) fn read(body: &mut crate::body::Reader<'_>) -> Self {
                Self::from_number(body.byte()).unwrap_or_else(|| {
                    body.fail();
                    Self::ALL[0]
                })
            }
        }
    };
}
