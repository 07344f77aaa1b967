//! Certificates that a server accepts beyond their chain: hashes of certificates and of their public keys.
//!
//! Envoy refuses a whole listener for one value of a wrong form. Source: Envoy `CertificateValidationContext`.

/// Digits of a SHA-256, in hexadecimal.
const HASH_DIGITS: usize = 64;
/// Characters of a SHA-256 in base64, the padding included.
const SPKI_CHARACTERS: usize = 44;

/// A hash that no certificate has.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// A hash that no public key has.
pub(super) const NO_SPKI: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Whether a text is the SHA-256 of a certificate: hexadecimal digits, perhaps with a colon between each two.
pub(super) fn is_hash(text: &str) -> bool {
    let hexadecimal = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    if text.contains(':') {
        let pairs = text.split(':');
        return pairs.clone().count() == HASH_DIGITS / 2
            && pairs.clone().all(|p| p.len() == 2 && hexadecimal(p));
    }
    text.len() == HASH_DIGITS && hexadecimal(text)
}

/// Whether a text is the SHA-256 of a public key in base64.
pub(super) fn is_spki(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    text.len() == SPKI_CHARACTERS && text.strip_suffix('=').is_some_and(|d| d.bytes().all(digit))
}

/// The values of the right form and those of a wrong one. If none is right, one stands for them that nothing has:
/// what was meant to let few in must not let all in.
pub(super) fn settled<'a>(
    asked: &'a [String],
    right: fn(&str) -> bool,
    nothing: &str,
) -> (Vec<String>, Vec<&'a String>) {
    let (good, wrong): (Vec<&String>, Vec<&String>) = asked.iter().partition(|text| right(text));
    if good.is_empty() && !wrong.is_empty() {
        return (vec![nothing.to_owned()], wrong);
    }
    (good.into_iter().cloned().collect(), wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_that_envoy_takes() {
        assert!(is_hash(NO_HASH) && is_hash(&vec!["aF"; 32].join(":")));
        assert!(!is_hash("00") && !is_hash(&"g".repeat(64)) && !is_hash(&vec!["aF"; 31].join(":")));
        assert!(is_spki(NO_SPKI) && is_spki("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="));
        assert!(!is_spki("A") && !is_spki(&"A".repeat(44)));
    }

    #[test]
    fn wrong_values_never_let_more_in() {
        let asked = [NO_HASH.replace('0', "1"), "x".to_owned()];
        let (good, wrong) = settled(&asked, is_hash, NO_HASH);
        assert_eq!((good.len(), wrong.len()), (1, 1));
        let (good, _) = settled(&["x".to_owned()], is_hash, NO_HASH);
        assert_eq!(good, [NO_HASH]);
        assert_eq!(settled(&[], is_hash, NO_HASH).0, Vec::<String>::new());
    }
}
