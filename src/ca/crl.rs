//! Revocation lists of plugged-in CAs (RFC 5280 5): Envoy wants one of each CA of a chain, or refuses all of its certificates.

use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::bundle::name;
use crate::key::Kind;
use crate::signature::verify;

/// Checks that the lists hold one by each of the certificates (spec security.md 1.4, trap 13).
///
/// # Errors
/// Which list cannot be read, or which certificates have none.
pub(crate) fn check(lists: &str, chain: &[X509Certificate<'_>]) -> Result<(), String> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(lists.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| format!("cannot be read as PEM: {e}"))?;
    let mut read = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let (_, list) = CertificateRevocationList::from_der(&block.contents)
            .map_err(|e| format!("holds a block {} that is no revocation list: {e}", at + 1))?;
        read.push(list);
    }
    let without = |issuer: &&X509Certificate<'_>| !read.iter().any(|list| is_by(list, issuer));
    let missing: Vec<String> = chain.iter().filter(without).map(name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("has no revocation list that is signed by {}", missing.join("; ")))
}

fn is_by(list: &CertificateRevocationList<'_>, issuer: &X509Certificate<'_>) -> bool {
    let key = issuer.public_key();
    list.issuer().as_raw() == issuer.subject().as_raw()
        && Kind::of(key).is_ok_and(|kind| {
            let text = list.tbs_cert_list.as_ref();
            verify(key, kind, &list.signature_algorithm, &list.signature_value, text).is_ok()
        })
}
