//! Client certificates: which identity a verified one is of.

use ca::SpiffeId;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::{Caller, Credentials, Domains, Refused, Settings};

/// The one identity that a certificate (DER) is of, whether its signature is good or not.
///
/// # Errors
/// It cannot be read, or has not exactly one URI among its names, or that is no identity of a workload
/// (X.509-SVID 2: "exactly one URI SAN").
pub fn identity(der: &[u8]) -> Result<SpiffeId, Refused> {
    let refused = |reason: String| Refused::new(format!("client certificate: {reason}"));
    let (_, certificate) = parse_x509_certificate(der).map_err(|error| refused(error.to_string()))?;
    let names = certificate.subject_alternative_name().map_err(|error| refused(error.to_string()))?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse().map_err(|error: ca::Error| refused(error.to_string())),
        (None, _) => Err(refused("has no URI among its names".to_owned())),
        (Some(_), Some(_)) => Err(refused("has several URIs among its names".to_owned())),
    }
}

/// Who showed the certificate that the handshake verified; none if there was none.
pub(crate) fn authenticate(
    credentials: &Credentials,
    settings: &Settings,
) -> Option<Result<Caller, Refused>> {
    let shown = credentials.certificate.first()?;
    Some(Domains::now(settings).and_then(|domains| {
        let identity = shown.parse().map_err(|error: ca::Error| Refused::new(error.to_string()))?;
        // Domains may have changed since the handshake.
        let means = domains.means(&identity)?;
        Ok(Caller { identity, means, pod: None })
    }))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn of(uris: &[&str]) -> Result<SpiffeId, Refused> {
        let mut params = CertificateParams::default();
        let dns = SanType::DnsName("web.shop".try_into().unwrap());
        params.subject_alt_names =
            uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).chain([dns]).collect();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        identity(certificate.der())
    }

    #[test]
    fn there_is_exactly_one() {
        let web = "spiffe://cluster.local/ns/shop/sa/web";
        assert_eq!(of(&[web]).unwrap().to_string(), web);
        for (uris, reason) in [
            (vec![], "no URI"),
            (vec![web, "spiffe://cluster.local/ns/shop/sa/other"], "several URIs"),
            (vec!["https://example.com"], "identity"),
        ] {
            let refused = of(&uris).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
        assert!(identity(b"nonsense").is_err());
    }
}
