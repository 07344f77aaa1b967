//! The little of DER (X.690) that a certificate is written with.

/// Universal tags that certificates need.
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
}

/// One value: its tag, its length in the shortest form, and its parts one after the other.
pub(crate) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
            // A length of a `usize` has eight bytes at most.
            out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(8));
            out.extend(bytes);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A number that is not negative, from its bytes, the highest first.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    let digits = bytes.get(start..).unwrap_or_default();
    match digits.first() {
        Some(high) if high & 0x80 == 0 => value(tag::INTEGER, &[digits]),
        // The highest bit is the sign, so a zero goes before it; zero itself has one byte.
        _ => value(tag::INTEGER, &[&[0], digits]),
    }
}

/// A string of whole bytes as bits.
pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    value(tag::BIT_STRING, &[&[0], bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_their_shortest_form() {
        for (length, head) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (255, vec![4, 0x81, 255]),
            (256, vec![4, 0x82, 1, 0]),
            (65_536, vec![4, 0x83, 1, 0, 0]),
        ] {
            let content = vec![7; length];
            let made = value(tag::OCTET_STRING, &[&content]);
            assert_eq!(made[..made.len() - length], head, "{length}");
        }
    }

    #[test]
    fn numbers_are_never_negative_and_have_no_idle_zeros() {
        for (bytes, made) in [
            (&[][..], vec![2, 1, 0]),
            (&[0, 0], vec![2, 1, 0]),
            (&[0, 0x7f], vec![2, 1, 0x7f]),
            (&[0x80], vec![2, 2, 0, 0x80]),
            (&[0, 0xff, 0], vec![2, 3, 0, 0xff, 0]),
        ] {
            assert_eq!(unsigned(bytes), made, "{bytes:?}");
        }
    }
}
