//! Certificates of other authorities that peers are to trust beside the mesh's own roots: each is read for itself, and one
//! that vouches for nothing harms no other.
//!
//! Source: spec security.md 1.6.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;

use crate::bundle::{check_ca, name};
use crate::pem::encode;
use crate::signer::ends;

/// A certificate of a CA that was read and can be trusted. Equal ones are equal whatever they were read from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    pem: Arc<str>,
    name: String,
    not_after: SystemTime,
}

impl Anchor {
    /// The certificates of a text of PEM in their order, or what is wrong with one of them. There is always at least one:
    /// a text without any says so.
    #[must_use]
    pub fn read(text: &str) -> Vec<Result<Self, String>> {
        let mut found = Vec::new();
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            match block {
                Ok(block) if block.label == "CERTIFICATE" => {
                    let number = found.len() + 1;
                    found.push(Self::of(&block.contents).map_err(|e| format!("certificate {number}: {e}")));
                }
                Ok(_) => {}
                Err(error) => {
                    // Where the next block begins is not known.
                    found.push(Err(format!("cannot be read as PEM: {error}")));
                    return found;
                }
            }
        }
        if found.is_empty() {
            found.push(Err("has no CERTIFICATE block".to_owned()));
        }
        found
    }

    /// A certificate in DER.
    ///
    /// # Errors
    /// It cannot be read, something follows it, or it is none of a CA that may sign certificates.
    pub fn of(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate): (_, X509Certificate<'_>) =
            parse_x509_certificate(der).map_err(|error| format!("cannot be read: {error}"))?;
        if !rest.is_empty() {
            return Err("is followed by something else".to_owned());
        }
        check_ca(&certificate)?;
        Ok(Self {
            pem: encode("CERTIFICATE", der).into(),
            name: name(&certificate),
            not_after: ends(&certificate),
        })
    }

    /// All certificates of these texts that can be trusted, one block of PEM each, sorted, none twice: equal sets are equal
    /// lists, in whatever order they come.
    #[must_use]
    pub fn merged<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
        let all: BTreeSet<Arc<str>> = texts.flat_map(Self::read).flatten().map(|anchor| anchor.pem).collect();
        all.into_iter().collect()
    }

    /// One block of PEM.
    #[must_use]
    pub fn pem(&self) -> &Arc<str> {
        &self.pem
    }

    /// Its subject.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it ends.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchor").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};

    use super::*;
    use crate::Root;

    fn root(name: &str) -> Root {
        Root::generate(name, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000)).unwrap()
    }

    fn made(change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::default();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn each_certificate_counts_for_itself() {
        let (a, b, leaf) = (root("a"), root("b"), made(|_| {}));
        let text = format!("words\n{}{leaf}{}", a.cert_pem(), b.cert_pem());
        let found = Anchor::read(&text);
        let names: Vec<_> = found.iter().map(|one| one.as_ref().map(Anchor::name)).collect();
        assert_eq!((names[0], names[2]), (Ok("O=a"), Ok("O=b")));
        let problem = names[1].unwrap_err();
        assert!(problem.starts_with("certificate 2: ") && problem.contains("is not a CA's"), "{problem}");
        assert_eq!(&**found[0].as_ref().unwrap().pem(), a.cert_pem());
    }

    #[test]
    fn what_may_not_sign_certificates_or_is_none_is_set_aside() {
        let lists_only = made(|params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
        });
        for (text, words) in [
            (lists_only.as_str(), "keyCertSign"),
            ("", "no CERTIFICATE block"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no CERTIFICATE block"),
        ] {
            let problem = Anchor::read(text).remove(0).unwrap_err();
            assert!(problem.contains(words), "{words}: {problem}");
        }
        let der = [
            crate::pem::certificates("", root("a").cert_pem().as_bytes()).unwrap().remove(0).contents,
            vec![0],
        ];
        assert!(Anchor::of(&der.concat()).unwrap_err().contains("followed"));
    }

    #[test]
    fn equal_sets_are_equal_lists() {
        let (a, b) = (root("a"), root("b"));
        let one = format!("{}\n\n{}", a.cert_pem(), b.cert_pem());
        let two = [b.cert_pem(), "nonsense", a.cert_pem(), a.cert_pem()];
        let merged = Anchor::merged([one.as_str()].into_iter());
        assert_eq!(merged.len(), 2);
        assert!(merged.is_sorted());
        assert_eq!(merged, Anchor::merged(two.into_iter()));
    }
}
