//! Trusted roots of different keys that have one name: whether certificates tell which of them signed.
//!
//! Envoy (BoringSSL) looks for an issuer by its name and the key identifiers alone, takes the first that these do not rule
//! out, and never tries another when the signature does not verify. OpenSSL does so, too; rustls and Go try all.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use crate::bundle::name;
use crate::key::Kind;
use crate::signature::verify;
use crate::signer::{Signer, subject_key_id};

/// How a certificate names its issuer.
struct Link<'a> {
    /// The certificate, for messages.
    what: String,
    issuer: &'a [u8],
    key_id: Option<&'a [u8]>,
    serial: Option<&'a [u8]>,
    /// What operators can do if that is not enough.
    cure: &'static str,
}

const SIGN_AGAIN: &str = "sign it again, for the same key, with authorityKeyIdentifier=keyid, and have the root carry a \
                          subjectKeyIdentifier; or give one of the roots another name";
const OTHER_NAME: &str =
    "give one of the roots another name, or a subjectKeyIdentifier to each of them that has none";

impl<'a> Link<'a> {
    fn of(certificate: &'a X509Certificate<'a>) -> Self {
        let id = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => Some(id),
            _ => None,
        });
        Self {
            what: format!("the certificate {:?} does", name(certificate)),
            issuer: certificate.issuer().as_raw(),
            key_id: id.and_then(|id| id.key_identifier.as_ref()).map(|id| id.0),
            serial: id.and_then(|id| id.authority_cert_serial),
            cure: SIGN_AGAIN,
        }
    }

    /// Whether peers may take a certificate for the issuer's by what they compare before the signature.
    fn fits(&self, root: &X509Certificate<'_>) -> bool {
        let other_key = self.key_id.zip(subject_key_id(root)).is_some_and(|(wanted, found)| wanted != found);
        let other_serial = self.serial.is_some_and(|serial| serial != root.raw_serial());
        !other_key && !other_serial
    }

    /// What is wrong if one of the roots has signed and another one may be taken for it.
    fn problem(
        &self,
        roots: &[X509Certificate<'_>],
        signed: impl Fn(&X509Certificate<'_>) -> bool,
    ) -> Option<String> {
        let named = roots.iter().filter(|root| root.subject().as_raw() == self.issuer);
        let (right, wrong): (Vec<_>, Vec<_>) = named.partition(|root| signed(root));
        let (right, _) = right.first().zip(wrong.iter().find(|root| self.fits(root)))?;
        let Self { what, cure, .. } = self;
        Some(format!(
            "trusted roots of different keys have one name, {:?}, and {what} not say by key identifiers which of them signed: \
             Envoy takes the first that it finds, and refuses the connection if another one signed; {cure}",
            name(right)
        ))
    }
}

/// What is wrong with the way from what `signer` signs, through the chain, to the roots, a line each.
pub(crate) fn problems(
    signer: &Signer,
    chain: &[X509Certificate<'_>],
    roots: &[X509Certificate<'_>],
) -> Vec<String> {
    let leaf = Link {
        what: "certificates of workloads do".to_owned(),
        issuer: signer.name(),
        key_id: signer.subject_key_id(),
        serial: None,
        cure: OTHER_NAME,
    };
    let own = signer.key().public_key().ok();
    let by_signer =
        |root: &X509Certificate<'_>| own.as_ref().is_some_and(|own| own.der() == root.public_key().raw);
    // Peers that find an issuer among the roots look no further: roots that the chain holds do not matter.
    let between = chain.iter().filter(|one| roots.iter().all(|root| root.as_raw() != one.as_raw()));
    let above = between.filter_map(|one| Link::of(one).problem(roots, |root| has_signed(root, one)));
    leaf.problem(roots, by_signer).into_iter().chain(above).collect()
}

fn has_signed(root: &X509Certificate<'_>, certificate: &X509Certificate<'_>) -> bool {
    let (algorithm, signature) = (&certificate.signature_algorithm, &certificate.signature_value);
    let text = certificate.tbs_certificate.as_ref();
    Kind::of(root.public_key())
        .is_ok_and(|kind| verify(root.public_key(), kind, algorithm, signature, text).is_ok())
}
