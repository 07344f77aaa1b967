//! TLS where this process is the client: of API servers, and of those who tell keys and roots. A standard may hold all of it.
//!
//! kube's client takes what is set for the whole process, so that is where the standard is set.

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// What the standard leaves, for messages.
static LEFT: OnceLock<String> = OnceLock::new();

/// From now on this process speaks no other TLS, as a client, than this. `left` says what that is, and by whose word. To be
/// called before the first connection; later calls change nothing.
pub fn hold(provider: CryptoProvider, left: String) {
    if provider.install_default().is_ok() {
        let _ = LEFT.set(left);
    }
}

/// The cryptography of TLS.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// The functions of a verifier of certificates that check the signatures of handshakes: with these algorithms
/// (`WebPkiSupportedAlgorithms`), as they may be had from the verifier.
#[macro_export]
macro_rules! checks_signatures {
    ($this:ident => $algorithms:expr) => {
        fn verify_tls12_signature(
            &$this,
            message: &[u8],
            certificate: &::rustls::pki_types::CertificateDer<'_>,
            signature: &::rustls::DigitallySignedStruct,
        ) -> Result<::rustls::client::danger::HandshakeSignatureValid, ::rustls::Error> {
            ::rustls::crypto::verify_tls12_signature(message, certificate, signature, $algorithms)
        }

        fn verify_tls13_signature(
            &$this,
            message: &[u8],
            certificate: &::rustls::pki_types::CertificateDer<'_>,
            signature: &::rustls::DigitallySignedStruct,
        ) -> Result<::rustls::client::danger::HandshakeSignatureValid, ::rustls::Error> {
            ::rustls::crypto::verify_tls13_signature(message, certificate, signature, $algorithms)
        }

        fn supported_verify_schemes(&$this) -> Vec<::rustls::SignatureScheme> {
            $algorithms.supported_schemes()
        }
    };
}

/// What is told of a connection that failed: if a standard may be the reason, it is named.
pub(crate) fn told(error: String) -> String {
    match LEFT.get() {
        Some(left) if is_of_handshake(&error) => format!("{error}; the server may not offer what {left}"),
        _ => error,
    }
}

/// Whether the server and this client could not agree. By the time that errors are told they are text.
fn is_of_handshake(error: &str) -> bool {
    [
        "received fatal alert: HandshakeFailure",
        "received fatal alert: ProtocolVersion",
        "peer is incompatible",
    ]
    .iter()
    .any(|words| error.contains(words))
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, Error, PeerIncompatible};

    use super::*;

    #[test]
    fn the_words_of_the_library_are_known() {
        for error in [
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::AlertReceived(AlertDescription::ProtocolVersion),
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
        ] {
            assert!(is_of_handshake(&format!("TLS: {error}")), "{error}");
        }
        for error in [Error::AlertReceived(AlertDescription::UnknownCA), Error::HandshakeNotComplete] {
            assert!(!is_of_handshake(&error.to_string()), "{error}");
        }
    }

    #[test]
    fn without_a_standard_nothing_is_added() {
        assert_eq!(told("peer is incompatible".to_owned()), "peer is incompatible");
    }
}
