//! Certificates of CAs that operators bring: read, and followed from the one that signs to one that peers trust.

use std::collections::BTreeSet;
use std::time::SystemTime;

use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

use crate::Error;
use crate::key::Kind;
use crate::pem::{certificates, encode};
use crate::signature::verify;
use crate::signer::{begins, ends};

/// How many certificates may stand between the one that signs and one that is trusted.
const MAX_DEPTH: usize = 10;
/// How many signatures are checked at most while a way is looked for: files of others must not keep us busy.
const MAX_CHECKS: usize = 200;

/// The DER of each certificate of a bundle. Blocks of other kinds, their order and the text around do not matter.
pub(crate) fn set(field: &'static str, pem: &str) -> Result<BTreeSet<Vec<u8>>, Error> {
    Ok(certificates(field, pem.as_bytes())?.into_iter().map(|block| block.contents).collect())
}

/// The certificates of `bundles` that `first` does not hold, PEM, each once, in their order.
pub(crate) fn without<'a>(first: &str, bundles: impl Iterator<Item = &'a str>) -> Result<String, Error> {
    let mut known = set("root certificate", first)?;
    let mut text = String::new();
    for bundle in bundles {
        for block in certificates("trust anchors", bundle.as_bytes())? {
            if known.insert(block.contents.clone()) {
                text.push_str(&encode("CERTIFICATE", &block.contents));
            }
        }
    }
    Ok(text)
}

/// The certificates of these blocks.
pub(crate) fn parsed<'a>(field: &'static str, blocks: &'a [Pem]) -> Result<Vec<X509Certificate<'a>>, Error> {
    blocks.iter().map(|block| block.parse_x509().map_err(|e| Error::refused(field, e.to_string()))).collect()
}

/// The subject as text, for messages.
pub(crate) fn name(certificate: &X509Certificate<'_>) -> String {
    match certificate.subject().to_string() {
        empty if empty.is_empty() => "(no subject)".to_owned(),
        name => name,
    }
}

/// Looks for a way from a certificate through others to one that is trusted.
pub(crate) struct Search<'a> {
    pub(crate) between: &'a [X509Certificate<'a>],
    pub(crate) roots: &'a [X509Certificate<'a>],
    pub(crate) now: SystemTime,
}

impl Search<'_> {
    /// Whether a certificate leads to one that is trusted, all of them valid now.
    ///
    /// # Errors
    /// Why not, of the attempt that came closest.
    pub(crate) fn lead(&self, certificate: &X509Certificate<'_>) -> Result<(), String> {
        let mut checks = 0;
        self.step(certificate, &mut Vec::new(), &mut checks)
    }

    fn step<'b>(
        &'b self,
        certificate: &X509Certificate<'b>,
        path: &mut Vec<&'b [u8]>,
        checks: &mut usize,
    ) -> Result<(), String> {
        self.in_time(certificate)?;
        if self.roots.iter().any(|root| root.as_raw() == certificate.as_raw()) {
            return Ok(());
        }
        let name = name(certificate);
        let mut problem = format!("no certificate is there that issued {name:?}");
        let issuers = self.roots.iter().map(|root| (root, true));
        for (issuer, trusted) in issuers.chain(self.between.iter().map(|other| (other, false))) {
            if issuer.subject().as_raw() != certificate.issuer().as_raw() || path.contains(&issuer.as_raw()) {
                continue;
            }
            *checks += 1;
            if *checks > MAX_CHECKS || path.len() > MAX_DEPTH {
                return Err("has too many certificates above it".to_owned());
            }
            let found = issued(issuer, certificate, path.len() + 1).and_then(|()| {
                if trusted {
                    return self.in_time(issuer);
                }
                path.push(issuer.as_raw());
                let found = self.step(issuer, path, checks);
                path.pop();
                found
            });
            match found {
                Ok(()) => return Ok(()),
                Err(other) => problem = other,
            }
        }
        Err(problem)
    }

    fn in_time(&self, certificate: &X509Certificate<'_>) -> Result<(), String> {
        let validity = certificate.validity();
        if ends(certificate) <= self.now {
            return Err(format!("{:?} expired at {}", name(certificate), validity.not_after));
        }
        if begins(certificate) > self.now {
            return Err(format!("{:?} is not valid before {}", name(certificate), validity.not_before));
        }
        Ok(())
    }
}

/// Whether `issuer` may have issued `certificate`, which has `below - 1` CAs below it, and did so.
fn issued(
    issuer: &X509Certificate<'_>,
    certificate: &X509Certificate<'_>,
    below: usize,
) -> Result<(), String> {
    check_ca(issuer)?;
    let constraints = issuer.basic_constraints().ok().flatten();
    let most = constraints.and_then(|constraints| constraints.value.path_len_constraint);
    if most.is_some_and(|most| usize::try_from(most).is_ok_and(|most| most < below)) {
        let name = name(issuer);
        return Err(format!("{name:?} allows fewer CAs below it (pathLenConstraint) than there are"));
    }
    let key = issuer.public_key();
    Kind::of(key)
        .map_err(|error| error.to_string())
        .and_then(|kind| {
            let (algorithm, signature) = (&certificate.signature_algorithm, &certificate.signature_value);
            verify(key, kind, algorithm, signature, certificate.tbs_certificate.as_ref())
        })
        .map_err(|problem| format!("{:?}, which {:?} issued: {problem}", name(certificate), name(issuer)))
}

/// Whether a certificate is one of a CA that may sign certificates.
///
/// # Errors
/// Why not.
pub(crate) fn check_ca(certificate: &X509Certificate<'_>) -> Result<(), String> {
    if !certificate.is_ca() {
        return Err(format!("{:?} is not a CA's certificate (basicConstraints CA:TRUE)", name(certificate)));
    }
    let usage = certificate.key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(format!("{:?} may not sign certificates (keyUsage keyCertSign)", name(certificate)));
    }
    Ok(())
}
