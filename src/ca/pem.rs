//! PEM files of others: is this a certificate chain with its key, are these trust anchors?

use x509_parser::pem::Pem;

use crate::{Error, PrivateKey};

/// Checks that `chain` holds certificates and that `key` is the private key of the first of them.
///
/// Envoy refuses a pair that does not fit, so this is asked before a pair is served.
///
/// # Errors
/// [`Error::Refused`] naming `certificate chain` or `private key`; nothing of the key is in the text.
pub fn check_key_pair(chain: &[u8], key: &[u8]) -> Result<(), Error> {
    let certificates = certificates("certificate chain", chain)?;
    let key = std::str::from_utf8(key).map_err(|_| Error::refused("private key", "is not PEM text"))?;
    let key = PrivateKey::from_pem(key)?;
    let Some(leaf) = certificates.first() else {
        return Err(Error::refused("certificate chain", "has no CERTIFICATE block"));
    };
    let parsed = leaf.parse_x509().map_err(|e| Error::refused("certificate chain", e.to_string()))?;
    if parsed.public_key().raw == key.public_key_der() {
        Ok(())
    } else {
        Err(Error::refused("private key", "is not the key of the first certificate of the chain"))
    }
}

/// Checks that `roots` holds at least one certificate and that all of them can be read.
///
/// # Errors
/// [`Error::Refused`] naming `trust anchors`.
pub fn check_roots(roots: &[u8]) -> Result<(), Error> {
    if certificates("trust anchors", roots)?.is_empty() {
        return Err(Error::refused("trust anchors", "have no CERTIFICATE block"));
    }
    Ok(())
}

fn certificates(field: &'static str, text: &[u8]) -> Result<Vec<Pem>, Error> {
    let mut out = Vec::new();
    for block in Pem::iter_from_buffer(text) {
        let block = block.map_err(|e| Error::refused(field, format!("cannot be read as PEM: {e}")))?;
        if block.label == "CERTIFICATE" {
            block
                .parse_x509()
                .map_err(|e| Error::refused(field, format!("certificate {}: {e}", out.len() + 1)))?;
            out.push(block);
        }
    }
    Ok(out)
}

#[cfg(test)]
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = String::new();
    for chunk in der.chunks(3) {
        let n = chunk.iter().enumerate().fold(0_usize, |n, (i, &b)| n | usize::from(b) << (16 - 8 * i));
        for i in 0..4 {
            body.push(if i <= chunk.len() { char::from(LETTERS[n >> (18 - 6 * i) & 63]) } else { '=' });
        }
    }
    let lines: Vec<String> =
        body.as_bytes().chunks(64).map(|l| String::from_utf8_lossy(l).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests;
