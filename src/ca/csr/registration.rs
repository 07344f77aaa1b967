//! What a request must be that is passed on to somebody else who signs what stands in it.
//!
//! Source: `shared/spec/security.md` 1.8, trap 4; Istio `security/pkg/pki/ra/common.go`.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::der_parser::asn1_rs::oid;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::refused;
use crate::Error;

/// The DER of a subject of which nothing is said.
const EMPTY: &[u8] = b"\x30\x00";

/// Checks that a request asks for this identity and for nothing else: signers may take from it whatever stands in it.
///
/// # Errors
/// [`Error::Refused`] naming `csr`.
pub(super) fn check(request: &X509CertificationRequest<'_>, identity: &str) -> Result<(), Error> {
    let info = &request.certification_request_info;
    if info.subject.as_raw() != EMPTY && !is_empty_organization(info) {
        return Err(refused(format!("its subject {:?} is not empty", info.subject.to_string())));
    }
    let mut names = Vec::new();
    for attribute in info.attributes() {
        let ParsedCriAttribute::ExtensionRequest(extensions) = attribute.parsed_attribute() else {
            return Err(refused(format!("has the attribute {}; only extensions are taken", attribute.oid)));
        };
        for extension in &extensions.extensions {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(found) => names.extend(&found.general_names),
                _ => {
                    let problem = "the only one that is taken is the alternative name";
                    return Err(refused(format!("asks for the extension {}; {problem}", extension.oid)));
                }
            }
        }
    }
    match names.as_slice() {
        [GeneralName::URI(uri)] if *uri == identity => Ok(()),
        [] => Err(refused(format!("has no alternative name; it needs {identity}"))),
        other => Err(refused(format!("asks for the names {other:?}; the caller may have {identity} only"))),
    }
}

/// As agents of the reference send it: an organization that has no name.
fn is_empty_organization(
    info: &x509_parser::certification_request::X509CertificationRequestInfo<'_>,
) -> bool {
    let attributes: Vec<_> = info.subject.iter_attributes().collect();
    match attributes.as_slice() {
        [one] => *one.attr_type() == oid!(2.5.4.10) && one.attr_value().data.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        Attribute, BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
        ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    };

    use crate::{Csr, PrivateKey, SpiffeId};

    const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

    fn uri(uri: &str) -> SanType {
        SanType::URI(uri.try_into().unwrap())
    }

    fn of(change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(WEB)];
        change(&mut params);
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    fn check(csr: &str) -> Result<(), String> {
        let web = WEB.parse::<SpiffeId>().unwrap();
        Csr::for_others(csr, &web).map(drop).map_err(|error| error.to_string())
    }

    fn named(kind: DnType, name: &str) -> impl FnOnce(&mut CertificateParams) {
        move |params| params.distinguished_name.push(kind, name)
    }

    #[test]
    fn requests_of_both_agents_are_passed_on() {
        assert_eq!(check(&of(|_| {})), Ok(()));
        assert_eq!(check(&of(named(DnType::OrganizationName, ""))), Ok(()));
        let own = PrivateKey::generate().unwrap().request(&WEB.parse().unwrap()).unwrap();
        assert_eq!(check(&own), Ok(()));
    }

    #[test]
    fn what_signers_could_take_from_a_request_is_not_passed_on() {
        let names = |names: Vec<SanType>| of(move |params| params.subject_alt_names = names);
        let dns = || SanType::DnsName("istiod.istio-system.svc".try_into().unwrap());
        let mail = SanType::Rfc822Name("a@b".try_into().unwrap());
        let address = SanType::IpAddress("10.0.0.1".parse().unwrap());
        let extension = CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
        for (bad, reason) in [
            (of(named(DnType::CommonName, "admin")), "its subject \"CN=admin\" is not empty"),
            (of(named(DnType::OrganizationName, "system:masters")), "is not empty"),
            (names(vec![]), "has no alternative name"),
            (names(vec![uri("spiffe://cluster.local/ns/istio-system/sa/admin")]), "asks for the names"),
            (names(vec![uri(WEB), uri("spiffe://cluster.local/ns/a/sa/b")]), "asks for the names"),
            (names(vec![uri(WEB), uri(WEB)]), "asks for the names"),
            (names(vec![uri(WEB), dns()]), "asks for the names"),
            (names(vec![uri(WEB), mail]), "asks for the names"),
            (names(vec![uri(WEB), address]), "asks for the names"),
            (names(vec![dns()]), "asks for the names"),
            (of(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "asks for the extension 2.5.29.19"),
            (of(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]), "asks for the extension"),
            (of(|p| p.custom_extensions = vec![extension]), "asks for the extension 1.2.3"),
        ] {
            let problem = check(&bad).expect_err(reason);
            assert!(problem.starts_with("csr: ") && problem.contains(reason), "{reason}: {problem}");
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(WEB)];
        // A challenge password.
        let password =
            Attribute { oid: &[1, 2, 840, 113_549, 1, 9, 7], values: b"\x31\x03\x0c\x01a".to_vec() };
        let key = KeyPair::generate().unwrap();
        let with = params.serialize_request_with_attributes(&key, vec![password]).unwrap().pem().unwrap();
        assert!(check(&with).unwrap_err().contains("has the attribute 1.2.840.113549.1.9.7"));
        assert!(check(&of(|_| {}).replace("-----END", "")).is_err());
    }
}
