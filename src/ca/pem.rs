//! PEM files of others: is this a certificate chain with its key, are these trust anchors?

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::Pem;

use crate::{Error, PrivateKey};

/// Checks that `chain` holds certificates and that `key` is the private key of the first of them.
///
/// Envoy refuses a pair that does not fit, so this is asked before a pair is served.
///
/// # Errors
/// [`Error::Refused`] naming `certificate chain` or `private key`; nothing of the key is in the text.
pub fn check_key_pair(chain: &[u8], key: &[u8]) -> Result<(), Error> {
    let key = std::str::from_utf8(key).map_err(|_| Error::refused("private key", "is not PEM text"))?;
    check_key_of(chain, &PrivateKey::from_pem(key)?)
}

/// Checks that `chain` holds certificates and that `key` is that of the first of them.
///
/// # Errors
/// As [`check_key_pair`].
pub(crate) fn check_key_of(chain: &[u8], key: &PrivateKey) -> Result<(), Error> {
    let certificates = certificates("certificate chain", chain)?;
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

pub(crate) fn certificates(field: &'static str, text: &[u8]) -> Result<Vec<Pem>, Error> {
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

/// Writes a block of PEM (RFC 7468): lines of 64 characters, each ended by one `\n`.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 36);
    let _ = writeln!(out, "-----BEGIN {label}-----");
    let mut rest = body.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    let _ = writeln!(out, "-----END {label}-----");
    out
}

#[cfg(test)]
mod tests;
