//! Secrets as they may be shown: names, certificates and roots stay, private keys do not.
//!
//! Source: `shared/spec/operations.md` 1.3 (config_dump), trap 27.

use api::envoy::config::core::v3::DataSource;
use api::envoy::config::core::v3::data_source::Specifier;
use api::envoy::extensions::transport_sockets::tls::v3::Secret;
use api::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use prost::Message as _;

/// What stands in the place of a private key.
const REDACTED: &[u8] = b"[redacted]";

/// An encoded Secret without its private key; nothing at all of one that cannot be read.
pub(crate) fn secret(body: &[u8]) -> Vec<u8> {
    let Ok(secret) = Secret::decode(body) else { return Vec::new() };
    let shown = match secret.r#type {
        Some(Type::TlsCertificate(mut certificate)) => {
            let redacted = || DataSource {
                specifier: Some(Specifier::InlineBytes(REDACTED.into())),
                ..DataSource::default()
            };
            certificate.private_key = certificate.private_key.map(|_| redacted());
            certificate.password = certificate.password.map(|_| redacted());
            certificate.pkcs12 = certificate.pkcs12.map(|_| redacted());
            if let Some(provider) = &mut certificate.private_key_provider {
                provider.config_type = None;
            }
            Some(Type::TlsCertificate(certificate))
        }
        Some(Type::ValidationContext(roots)) => Some(Type::ValidationContext(roots)),
        // What else a Secret may hold is secret as a whole.
        Some(Type::GenericSecret(_) | Type::SessionTicketKeys(_)) | None => None,
    };
    Secret { name: secret.name, r#type: shown }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use api::envoy::extensions::transport_sockets::tls::v3::private_key_provider::ConfigType;
    use api::envoy::extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, PrivateKeyProvider, TlsCertificate, TlsSessionTicketKeys,
    };
    use api::envoy::google::protobuf::Any;

    use super::*;

    const KEY: &[u8] = b"VERY-PRIVATE";

    fn inline(bytes: &'static [u8]) -> Option<DataSource> {
        Some(DataSource { specifier: Some(Specifier::InlineBytes(bytes.into())), ..DataSource::default() })
    }

    fn shown(content: Type) -> Vec<u8> {
        let bytes = Secret { name: "kubernetes://tls".to_owned(), r#type: Some(content) }.encode_to_vec();
        secret(&bytes)
    }

    fn holds(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn keys_are_not_shown_wherever_they_stand() {
        let provider = PrivateKeyProvider {
            provider_name: "cryptomb".to_owned(),
            config_type: Some(ConfigType::TypedConfig(Any { value: KEY.into(), ..Any::default() })),
            ..PrivateKeyProvider::default()
        };
        let plain = TlsCertificate {
            certificate_chain: inline(b"CHAIN"),
            private_key: inline(KEY),
            ..TlsCertificate::default()
        };
        let bytes = shown(Type::TlsCertificate(plain));
        assert!(holds(&bytes, b"CHAIN") && holds(&bytes, b"kubernetes://tls") && holds(&bytes, REDACTED));
        assert!(!holds(&bytes, KEY));
        let accelerated =
            TlsCertificate { private_key_provider: Some(provider), ..TlsCertificate::default() };
        let bytes = shown(Type::TlsCertificate(accelerated));
        assert!(holds(&bytes, b"cryptomb") && !holds(&bytes, KEY));
        let tickets = TlsSessionTicketKeys { keys: inline(KEY).into_iter().collect() };
        assert!(!holds(&shown(Type::SessionTicketKeys(tickets)), KEY));
        assert!(secret(b"\xff\xff").is_empty());
    }

    #[test]
    fn roots_are_shown() {
        let roots = CertificateValidationContext { trusted_ca: inline(b"ROOTS"), ..Default::default() };
        assert!(holds(&shown(Type::ValidationContext(roots)), b"ROOTS"));
    }
}
