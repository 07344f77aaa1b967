//! What a standard allows of TLS. It is enforced last, whatever users and the mesh say.
//!
//! Source: Istio `pkg/model/fips.go`; `shared/spec/security.md` 6.6; Envoy `TlsParameters.compliance_policies`.

use envoy::extensions::transport_sockets::tls::v3::TlsParameters;
use envoy::extensions::transport_sockets::tls::v3::tls_parameters::{CompliancePolicy, TlsProtocol};
use model::mesh::Compliance;

/// The cipher suites of TLS 1.2 that FIPS 140 allows.
const CIPHER_SUITES: [&str; 4] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

/// The key exchange that withstands quantum computers.
const HYBRID: &str = "X25519MLKEM768";

/// Holds parameters to a standard; without one they stay as they are.
pub(crate) fn enforce(standard: Compliance, parameters: Option<TlsParameters>) -> Option<TlsParameters> {
    if standard == Compliance::None {
        return parameters;
    }
    let mut held = parameters.unwrap_or_default();
    match standard {
        Compliance::None => {}
        Compliance::Fips1402 => {
            held.tls_minimum_protocol_version = TlsProtocol::TlSv12.into();
            held.tls_maximum_protocol_version = TlsProtocol::TlSv12.into();
            held.ecdh_curves.clear();
            // If nothing that was named is allowed, what is left must not be all that Envoy has.
            if !held.cipher_suites.is_empty() {
                held.cipher_suites.retain(|suite| CIPHER_SUITES.contains(&suite.as_str()));
                if held.cipher_suites.is_empty() {
                    held.cipher_suites = CIPHER_SUITES.map(str::to_owned).to_vec();
                }
            }
        }
        Compliance::Fips1403 => held.compliance_policies = vec![CompliancePolicy::Fips202205.into()],
        Compliance::Pqc => {
            held.tls_minimum_protocol_version = TlsProtocol::TlSv13.into();
            // Envoy refuses a maximum below the minimum.
            if held.tls_maximum_protocol_version != i32::from(TlsProtocol::TlsAuto) {
                held.tls_maximum_protocol_version = TlsProtocol::TlSv13.into();
            }
            held.cipher_suites = CIPHER_SUITES.map(str::to_owned).to_vec();
            held.ecdh_curves = vec![HYBRID.to_owned()];
        }
    }
    Some(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> TlsParameters {
        TlsParameters {
            tls_minimum_protocol_version: TlsProtocol::TlSv10.into(),
            cipher_suites: vec!["AES128-SHA".to_owned(), "ECDHE-RSA-AES256-GCM-SHA384".to_owned()],
            ecdh_curves: vec!["P-521".to_owned()],
            ..TlsParameters::default()
        }
    }

    #[test]
    fn without_a_standard_nothing_changes() {
        assert_eq!(enforce(Compliance::None, Some(asked())), Some(asked()));
        assert_eq!(enforce(Compliance::None, None), None);
    }

    #[test]
    fn the_older_fips_is_tls_1_2_with_four_suites() {
        let held = enforce(Compliance::Fips1402, Some(asked())).expect("parameters");
        let versions = (held.tls_minimum_protocol_version(), held.tls_maximum_protocol_version());
        assert_eq!(versions, (TlsProtocol::TlSv12, TlsProtocol::TlSv12));
        assert_eq!(held.cipher_suites, ["ECDHE-RSA-AES256-GCM-SHA384"]);
        assert!(held.ecdh_curves.is_empty());
        let weak = TlsParameters { cipher_suites: vec!["AES128-SHA".to_owned()], ..TlsParameters::default() };
        let held = enforce(Compliance::Fips1402, Some(weak)).expect("parameters");
        assert_eq!(held.cipher_suites, CIPHER_SUITES);
        assert!(enforce(Compliance::Fips1402, None).expect("parameters").cipher_suites.is_empty());
    }

    #[test]
    fn the_newer_fips_is_envoys_own_policy() {
        let held = enforce(Compliance::Fips1403, None).expect("parameters");
        assert_eq!(held.compliance_policies, [i32::from(CompliancePolicy::Fips202205)]);
    }

    #[test]
    fn quantum_computers_are_withstood_by_tls_1_3_and_one_key_exchange() {
        let held = enforce(Compliance::Pqc, Some(asked())).expect("parameters");
        assert_eq!(held.tls_minimum_protocol_version(), TlsProtocol::TlSv13);
        assert_eq!((held.ecdh_curves, held.cipher_suites.len()), (vec![HYBRID.to_owned()], 4));
    }
}
