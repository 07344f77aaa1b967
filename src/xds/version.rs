//! The version of a resource: a hash of what is sent, the same in every process.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The version of one resource: equal versions mean equal bytes. Printed as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u128);

impl Version {
    /// Length of the printed form, in bytes.
    pub const PRINTED: usize = 32;

    /// The version of a body of the given fragment hashes, in order.
    ///
    /// Splitting a body into other fragments gives another version; the splitting is a function of the key.
    pub fn of_hashes(hashes: impl IntoIterator<Item = u128>) -> Self {
        let mut hasher = Xxh3::new();
        for hash in hashes {
            hasher.update(&hash.to_le_bytes());
        }
        Self(hasher.digest128())
    }

    /// The printed form, in ASCII: what goes out with every resource, so it is written without the formatter.
    pub fn digits(self) -> [u8; Self::PRINTED] {
        std::array::from_fn(|at| match (self.0 >> (4 * (Self::PRINTED - 1 - at))) as u8 & 0xf {
            digit @ 0..=9 => b'0' + digit,
            digit => b'a' + (digit - 10),
        })
    }

    /// The version of a body of one fragment.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_hashes([xxh3_128(bytes)])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 hex digits, so this server did not make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a resource version: 32 lower-case hex digits expected")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(NotAVersion);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| NotAVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::{NotAVersion, Version};

    #[test]
    fn the_text_form_reads_back_and_nothing_else_does() {
        let version = Version(0x00ff_0000_0000_0000_0000_0000_0000_0abc);
        assert_eq!(version.to_string(), "00ff0000000000000000000000000abc");
        assert_eq!(version.to_string().parse(), Ok(version));
        assert_eq!(version.digits(), *b"00ff0000000000000000000000000abc");
        for text in ["", "1", "00FF0000000000000000000000000abc", "+0ff0000000000000000000000000abc", "v"] {
            assert_eq!(text.parse::<Version>(), Err(NotAVersion), "{text}");
        }
    }

    #[test]
    fn versions_are_the_same_in_every_process() {
        assert_eq!(Version::of_bytes(b"pilothouse").to_string(), "788c6cb57ae5f58d1a9ea72823666a25");
        assert_ne!(Version::of_hashes([1, 2]), Version::of_hashes([2, 1]));
    }
}
