//! Secrets as Envoy reads them.

use api::mesh_config::{KeyAccelerator, PrivateKeyProvider as Provider};
use envoy::config::core::v3::DataSource;
use envoy::config::core::v3::data_source::Specifier;
use envoy::extensions::transport_sockets::tls::v3::private_key_provider::ConfigType;
use envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, PrivateKeyProvider, Secret, TlsCertificate,
};
use envoy::google::protobuf::{Any, Duration};
use model::credential::{KeyPair, Roots};
use prost::Message as _;

use super::{Content, SecretKey};
use crate::listeners::shape;
use crate::output::Built;

/// The messages of both kinds of hardware, which Envoy keeps apart from its own and which are alike
/// (envoyproxy/envoy: `api/contrib/envoy/extensions/private_key_providers`).
#[derive(Clone, PartialEq, prost::Message)]
struct KeyMethod {
    #[prost(message, optional, tag = "1")]
    private_key: Option<DataSource>,
    #[prost(message, optional, tag = "2")]
    poll_delay: Option<Duration>,
}

/// Builds a Secret.
pub fn build(key: &SecretKey) -> Built<Secret> {
    let content = match &key.content {
        Content::Pair(pair, provider) => Type::TlsCertificate(certificate(pair, provider.as_ref())),
        Content::Roots(roots) => Type::ValidationContext(validation(roots)),
    };
    let secret = Secret { name: key.name.to_string(), r#type: Some(content) };
    Built::new(secret, vec![key.source().clone()])
}

fn certificate(pair: &KeyPair, provider: Option<&Provider>) -> TlsCertificate {
    let chain = Some(inline(&pair.chain));
    let key = inline(pair.key.expose());
    let chosen = provider.and_then(|p| {
        let cryptomb = p.cryptomb.as_ref().map(|a| ("cryptomb", "CryptoMbPrivateKeyMethodConfig", a));
        cryptomb.or_else(|| p.qat.as_ref().map(|a| ("qat", "QatPrivateKeyMethodConfig", a)))
    });
    match chosen {
        Some((name, message, accelerator)) => TlsCertificate {
            certificate_chain: chain,
            private_key_provider: Some(accelerated(name, message, accelerator, key)),
            ..TlsCertificate::default()
        },
        None => TlsCertificate {
            certificate_chain: chain,
            private_key: Some(key),
            ocsp_staple: pair.staple.as_deref().map(inline),
            ..TlsCertificate::default()
        },
    }
}

fn accelerated(
    name: &str,
    message: &str,
    accelerator: &KeyAccelerator,
    key: DataSource,
) -> PrivateKeyProvider {
    let method =
        KeyMethod { private_key: Some(key), poll_delay: accelerator.poll_delay.map(shape::duration) };
    let package = format!("envoy.extensions.private_key_providers.{name}.v3alpha");
    PrivateKeyProvider {
        provider_name: name.to_owned(),
        fallback: accelerator.fallback.unwrap_or_default(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: format!("type.googleapis.com/{package}.{message}"),
            value: method.encode_to_vec().into(),
        })),
    }
}

fn validation(roots: &Roots) -> CertificateValidationContext {
    CertificateValidationContext {
        trusted_ca: Some(inline(&roots.certificates)),
        crl: roots.crl.as_deref().map(inline),
        ..CertificateValidationContext::default()
    }
}

fn inline(bytes: &[u8]) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(bytes.to_vec())), ..DataSource::default() }
}
