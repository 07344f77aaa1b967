//! What a standard allows of TLS at our own ports and where we are the client. It is enforced last, whatever flags say
//! (`COMPLIANCE_POLICY`).
//!
//! Source: Istio `pkg/model/fips.go` (`EnforceGoCompliance`); `shared/spec/security.md` 6.6.

use model::mesh::Compliance;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

use super::Version;

/// The suites of TLS 1.2 that FIPS 140 allows.
const OLDER: [SupportedCipherSuite; 4] = [
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

/// Those of TLS 1.3.
const NEWER: [SupportedCipherSuite; 2] = [suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_AES_128_GCM_SHA256];

/// Holds suites and key exchanges to a standard; without one they stay as they are.
pub(super) fn hold(standard: Compliance, provider: &mut CryptoProvider) {
    let groups: &[&'static dyn SupportedKxGroup] = match standard {
        Compliance::None => return,
        Compliance::Fips1402 => &[kx_group::SECP256R1],
        Compliance::Fips1403 => &[kx_group::SECP256R1, kx_group::SECP384R1],
        Compliance::Pqc => &[kx_group::X25519MLKEM768],
    };
    provider.kx_groups = groups.to_vec();
    // Clients offer the versions for which there are suites.
    let allowed = |suite: &SupportedCipherSuite| match standard {
        Compliance::Fips1402 => OLDER.contains(suite),
        Compliance::Pqc => NEWER.contains(suite),
        Compliance::None | Compliance::Fips1403 => OLDER.contains(suite) || NEWER.contains(suite),
    };
    provider.cipher_suites.retain(allowed);
    let older = provider.cipher_suites.iter().any(is_older);
    // If nothing that flags name is allowed, something must still be offered.
    if standard == Compliance::Fips1402 && !older {
        provider.cipher_suites.extend(OLDER);
    }
}

/// The versions that are offered, of which flags name the least.
pub(super) fn versions(
    standard: Compliance,
    least: Version,
    provider: &CryptoProvider,
) -> Vec<&'static SupportedProtocolVersion> {
    let older = || provider.cipher_suites.iter().any(is_older);
    match (standard, least) {
        (Compliance::Fips1402, _) => vec![&TLS12],
        (Compliance::Pqc, _) | (_, Version::Tls13) => vec![&TLS13],
        (Compliance::None | Compliance::Fips1403, Version::Tls12) if older() => vec![&TLS13, &TLS12],
        (Compliance::None | Compliance::Fips1403, Version::Tls12) => vec![&TLS13],
    }
}

fn is_older(suite: &SupportedCipherSuite) -> bool {
    suite.version().version == ProtocolVersion::TLSv1_2
}

/// Holds the TLS of this whole process, where it is the client, to a standard. To be called before the first connection.
pub(crate) fn hold_clients(standard: Compliance) {
    let left = match standard {
        Compliance::None => return,
        Compliance::Fips1402 => "fips-140-2 leaves: TLS 1.2 with AES-GCM and P-256",
        Compliance::Fips1403 => "fips-140-3 leaves: TLS 1.2 or 1.3 with AES-GCM and P-256 or P-384",
        Compliance::Pqc => "pqc leaves: TLS 1.3 with AES-GCM and X25519MLKEM768",
    };
    let mut provider = default_provider();
    hold(standard, &mut provider);
    sources::tls::hold(provider, format!("COMPLIANCE_POLICY={left}"));
}

/// Tells that a standard is asked for whose validated module this build does not have.
pub(super) fn tell(standard: Compliance) {
    let wants = matches!(standard, Compliance::Fips1402 | Compliance::Fips1403);
    if wants && !default_provider().fips() {
        tracing::warn!(
            "COMPLIANCE_POLICY: TLS keeps to it, but this build has no validated cryptographic module: build with --features fips"
        );
    }
}
