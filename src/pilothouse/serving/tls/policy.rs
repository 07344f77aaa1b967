//! Versions and ciphers of TLS, as `--tls-min-version` and `--tls-cipher-suites` say and as a standard allows.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result};
use model::mesh::Compliance;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ProtocolVersion, ServerConfig, SupportedCipherSuite};

use super::clients::Clients;
use super::shown::Shown;
use super::standard;
use crate::authority::root::Settings;
use crate::authority::trust::Trust;

/// What is offered to clients.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    /// The least version.
    pub(crate) least: Version,
    /// Ciphers of TLS 1.2 by their registered names; all that are safe if empty. Those of TLS 1.3 cannot be chosen.
    pub(crate) ciphers: Vec<String>,
    /// The standard that both are held to.
    pub(crate) standard: Compliance,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Version {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "1.2" | "TLSv1_2" | "TLSV1_2" | "VersionTLS12" => Ok(Self::Tls12),
            "1.3" | "TLSv1_3" | "TLSV1_3" | "VersionTLS13" => Ok(Self::Tls13),
            _ => Err("write 1.2 or 1.3".to_owned()),
        }
    }
}

/// A name of a cipher suite.
pub(crate) fn cipher(text: &str) -> Result<String, String> {
    let text = text.trim();
    let known = text.starts_with("TLS_");
    if known {
        Ok(text.to_owned())
    } else {
        Err("write a name such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned())
    }
}

impl Policy {
    /// How a server that shows this certificate talks TLS.
    ///
    /// # Errors
    /// Nothing is left to be offered.
    pub(crate) fn config(&self, shown: Arc<Shown>) -> Result<ServerConfig> {
        self.config_with(|_| Arc::new(NoClientAuth), shown, &[b"h2", b"http/1.1"])
    }

    /// How one talks TLS that speaks gRPC and asks its clients for certificates.
    ///
    /// # Errors
    /// Nothing is left to be offered.
    pub(crate) fn config_for_clients(
        &self,
        shown: Arc<Shown>,
        trust: Trust,
        settings: Settings,
    ) -> Result<ServerConfig> {
        self.config_with(|provider| Arc::new(Clients::new(trust, settings, provider)), shown, &[b"h2"])
    }

    fn config_with(
        &self,
        clients: impl FnOnce(Arc<CryptoProvider>) -> Arc<dyn ClientCertVerifier>,
        shown: Arc<Shown>,
        protocols: &[&[u8]],
    ) -> Result<ServerConfig> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.ciphers.is_empty() {
            self.tell_unknown(&provider);
            provider.cipher_suites.retain(|suite| self.takes(suite));
        }
        standard::hold(self.standard, &mut provider);
        let versions = standard::versions(self.standard, self.least, &provider);
        let provider = Arc::new(provider);
        let clients = clients(Arc::clone(&provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .context("--tls-min-version and --tls-cipher-suites leave nothing to offer")?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(shown);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }

    fn takes(&self, suite: &SupportedCipherSuite) -> bool {
        suite.version().version == ProtocolVersion::TLSv1_3
            || self.ciphers.iter().any(|name| *name == named(suite))
    }

    /// Suites that are known elsewhere are not offered here, which may lock clients out.
    fn tell_unknown(&self, provider: &CryptoProvider) {
        for name in &self.ciphers {
            if !provider.cipher_suites.iter().any(|suite| named(suite) == *name) {
                tracing::warn!(
                    cipher = name,
                    "--tls-cipher-suites: this cipher is not offered: it is unsafe or unknown"
                );
            }
        }
    }
}

/// The registered name; those of TLS 1.3 have another prefix in the library.
fn named(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

#[cfg(test)]
mod unit {
    use super::*;

    fn offered(least: Version, ciphers: &[&str]) -> Vec<String> {
        let ciphers = ciphers.iter().map(|&name| name.to_owned()).collect();
        let (_, mut suites, _) = held(Compliance::None, least, ciphers);
        suites.retain(|name| name.contains("_ECDHE_"));
        suites
    }

    /// Versions, suites and key exchanges.
    fn held(
        standard: Compliance,
        least: Version,
        ciphers: Vec<String>,
    ) -> (Vec<ProtocolVersion>, Vec<String>, Vec<rustls::NamedGroup>) {
        let policy = Policy { least, ciphers, standard };
        let config = policy.config(Arc::new(Shown::default())).expect("a configuration");
        let provider = config.crypto_provider();
        let suites = provider.cipher_suites.iter().map(named).collect();
        let groups = provider.kx_groups.iter().map(|group| group.name()).collect();
        let versions = standard::versions(standard, least, provider);
        (versions.iter().map(|version| version.version).collect(), suites, groups)
    }

    #[test]
    fn ciphers_of_the_older_version_can_be_chosen() {
        let one = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
        assert_eq!(offered(Version::Tls12, &[one, "TLS_RSA_WITH_RC4_128_SHA"]), [one]);
        assert_eq!(offered(Version::Tls12, &[]).len(), 6);
        // What only unsafe ciphers are asked for still serves clients of the newer version.
        assert_eq!(offered(Version::Tls12, &["TLS_RSA_WITH_RC4_128_SHA"]), [""; 0]);
        assert!(cipher("RC4").is_err());
    }

    #[test]
    fn a_standard_has_the_last_word() {
        use rustls::NamedGroup::{X25519MLKEM768, secp256r1, secp384r1};
        use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
        let weak = || vec!["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256".to_owned()];
        for ciphers in [Vec::new(), weak()] {
            for least in [Version::Tls12, Version::Tls13] {
                let (versions, suites, groups) = held(Compliance::Fips1402, least, ciphers.clone());
                assert_eq!((versions, groups), (vec![TLSv1_2], vec![secp256r1]));
                assert_eq!(suites.iter().filter(|name| name.contains("_ECDHE_")).count(), 4, "{suites:?}");
                let (versions, suites, groups) = held(Compliance::Pqc, least, ciphers.clone());
                assert_eq!((versions, groups), (vec![TLSv1_3], vec![X25519MLKEM768]));
                assert!(suites.iter().all(|name| name.contains("AES")), "{suites:?}");
            }
        }
        let (versions, suites, groups) = held(Compliance::Fips1403, Version::Tls12, Vec::new());
        assert_eq!((versions, groups), (vec![TLSv1_3, TLSv1_2], vec![secp256r1, secp384r1]));
        assert_eq!(suites.len(), 6, "{suites:?}");
        assert!(suites.iter().all(|name| name.contains("AES_") && name.contains("GCM")), "{suites:?}");
        assert_eq!(held(Compliance::Fips1403, Version::Tls13, Vec::new()).0, [TLSv1_3]);
        assert_eq!(held(Compliance::Fips1403, Version::Tls12, weak()).0, [TLSv1_3]);
    }

    #[test]
    fn versions_are_read_as_the_reference_and_as_go_write_them() {
        assert_eq!("1.3".parse(), Ok(Version::Tls13));
        assert_eq!("TLSV1_2".parse(), Ok(Version::Tls12));
        assert!("1.1".parse::<Version>().is_err());
    }
}
