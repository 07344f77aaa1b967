//! The cryptographic module of the build, as clients of the control plane meet it: what the module of FIPS 140 does not have
//! is refused, and nothing else is.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Mesh, world};
use tokio_rustls::rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider, kx_group as group};
use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion,
};

/// What a client offers, and nothing else.
struct Offer {
    what: &'static str,
    version: &'static SupportedProtocolVersion,
    suite: SupportedCipherSuite,
    group: &'static dyn SupportedKxGroup,
    /// Whether FIPS 140 approves of it.
    approved: bool,
}

const OFFERS: [Offer; 7] = [
    Offer {
        what: "TLS 1.2 with AES-GCM over P-256",
        version: &TLS12,
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        group: group::SECP256R1,
        approved: true,
    },
    Offer {
        what: "TLS 1.2 with ChaCha20-Poly1305 over P-256",
        version: &TLS12,
        suite: suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        group: group::SECP256R1,
        approved: false,
    },
    Offer {
        what: "TLS 1.2 with AES-GCM over X25519",
        version: &TLS12,
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        group: group::X25519,
        approved: false,
    },
    Offer {
        what: "TLS 1.3 with AES-GCM over P-384",
        version: &TLS13,
        suite: suite::TLS13_AES_256_GCM_SHA384,
        group: group::SECP384R1,
        approved: true,
    },
    Offer {
        what: "TLS 1.3 with ChaCha20-Poly1305 over P-256",
        version: &TLS13,
        suite: suite::TLS13_CHACHA20_POLY1305_SHA256,
        group: group::SECP256R1,
        approved: false,
    },
    Offer {
        what: "TLS 1.3 with AES-GCM over X25519 and ML-KEM together",
        version: &TLS13,
        suite: suite::TLS13_AES_128_GCM_SHA256,
        group: group::X25519MLKEM768,
        approved: true,
    },
    Offer {
        what: "TLS 1.3 with AES-GCM over X25519",
        version: &TLS13,
        suite: suite::TLS13_AES_256_GCM_SHA384,
        group: group::X25519,
        approved: false,
    },
];

/// A handshake at the port where certificates are issued.
fn handshake(mesh: &Mesh<'_>, offer: &Offer) -> Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(mesh.state("root-cert.pem")?.as_bytes())?)?;
    let provider = CryptoProvider {
        cipher_suites: vec![offer.suite],
        kx_groups: vec![offer.group],
        ..default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[offer.version])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("istiod.istio-system.svc")?;
    let mut connection = ClientConnection::new(Arc::new(config), name)?;
    let mut socket = TcpStream::connect(mesh.secure_discovery())?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(())
}

#[test]
fn what_the_module_does_not_approve_of_is_refused() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        let fips = mesh.version()?.contains("FIPS");
        for offer in OFFERS {
            let answer = handshake(&mesh, &offer);
            if offer.approved || !fips {
                answer.with_context(|| format!("{} is refused", offer.what))?;
                continue;
            }
            let refusal = answer.err().with_context(|| format!("{} is taken", offer.what))?.to_string();
            ensure!(refusal.contains("HandshakeFailure"), "{}: {refusal}", offer.what);
        }
        Ok(())
    });
}
