//! The certificate service of the control plane, asked for one certificate at a time.
//!
//! Source: `shared/spec/security.md` 2, 5.1.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ca::{PrivateKey, SpiffeId};
use envoy::google::protobuf::value::Kind;
use envoy::google::protobuf::{Struct, Value};
use envoy::istio::v1::auth::IstioCertificateRequest;
use envoy::istio::v1::auth::istio_certificate_service_client::IstioCertificateServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tonic::codegen::http::Uri;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::service_fn;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use super::store::Entry;
use crate::bootstrap::Address;

/// The last line of a certificate.
const END: &str = "-----END CERTIFICATE-----";

/// What names a signer in a request.
const SIGNER: &str = "CertSigner";

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take: the control plane may wait a minute for somebody else who signs.
const ANSWER: Duration = Duration::from_secs(70);

/// Who issues certificates, and what is shown there.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The port of the control plane with TLS.
    pub address: Address,
    /// The name that its certificate must be for; it is the SNI as well.
    pub server_name: String,
    /// The file of roots that its certificate is checked against, PEM. It is read for each request, and followed.
    pub roots: PathBuf,
    /// The file with the workload's token, read for each request: it is replaced before it ends. None is shown if it is
    /// not there.
    pub token: PathBuf,
    /// The cluster whose token it is; not told if empty.
    pub cluster: String,
    /// The signer of Kubernetes that is to sign; whoever usually does if empty.
    pub signer: String,
}

/// A fresh certificate.
#[derive(Debug)]
pub(super) struct Issued {
    /// The secrets by name.
    pub(super) secrets: Vec<(String, Entry)>,
    /// What peers are verified by, PEM.
    pub(super) roots: String,
    /// What the control plane is verified by, PEM: those of the roots that are the mesh's own.
    pub(super) own: String,
    /// When the certificate ends.
    pub(super) not_after: SystemTime,
}

impl Issuer {
    /// Asks for a certificate of `identity`, with a new key; `learned` are the mesh's own roots that the last answer
    /// brought.
    ///
    /// # Errors
    /// What went wrong and what to look at, for the log.
    pub(super) async fn issue(
        &self,
        identity: &SpiffeId,
        lifetime: Duration,
        learned: Option<&str>,
    ) -> Result<Issued, String> {
        let key = PrivateKey::generate().map_err(|error| error.to_string())?;
        let csr = key.request(identity).map_err(|error| error.to_string())?;
        let validity_duration = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let message = IstioCertificateRequest { csr, validity_duration, metadata: self.metadata() };
        let mut request = Request::new(message);
        self.show_credentials(request.metadata_mut()).await?;
        let channel = self.connect(learned).await?;
        let answer = IstioCertificateServiceClient::new(channel).create_certificate(request).await;
        let answer = answer.map_err(|status| refused(&status))?;
        let own = answer.metadata().get(ca::OWN_ROOTS).and_then(|count| count.to_str().ok()?.parse().ok());
        accept(answer.into_inner().cert_chain, own, &key, identity)
    }

    /// What is asked for beside the certificate.
    fn metadata(&self) -> Option<Struct> {
        let value = || Value { kind: Some(Kind::StringValue(self.signer.clone())) };
        (!self.signer.is_empty()).then(|| Struct { fields: [(SIGNER.to_owned(), value())].into() })
    }

    async fn show_credentials(&self, metadata: &mut MetadataMap) -> Result<(), String> {
        let token = match load(&self.token).await {
            Ok(token) => Some(token),
            // Somebody else may know us, such as a gateway on the way; if not, the answer says so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(file = %self.token.display(), "there is no token to show to the control plane");
                None
            }
            Err(error) => return Err(format!("cannot read the token {}: {error}", self.token.display())),
        };
        let mut put = |name: &'static str, value: String| {
            let value = AsciiMetadataValue::try_from(value);
            let mut value =
                value.map_err(|_| format!("{name}: what is to be sent there is no line of text"))?;
            value.set_sensitive(true);
            metadata.insert(name, value);
            Ok::<_, String>(())
        };
        if let Some(token) = token {
            put("authorization", format!("Bearer {}", token.trim()))?;
        }
        if !self.cluster.is_empty() {
            put("clusterid", self.cluster.clone())?;
        }
        Ok(())
    }

    async fn connect(&self, learned: Option<&str>) -> Result<Channel, String> {
        let given = read(&self.roots).await?;
        // A root may be replaced faster than its file here.
        let client = client([&*given, learned.unwrap_or_default()]).map_err(|error| error.to_string())?;
        let (host, port) = self.host()?;
        let at = format!("{host}:{port}");
        let failed = |error: &dyn Error| {
            format!("no connection to the control plane at {at} as {:?}: {}", self.server_name, whole(error))
        };
        let name = ServerName::try_from(self.server_name.clone()).map_err(|error| failed(&error))?;
        let connector = service_fn(move |_: Uri| {
            let (client, name, host) = (client.clone(), name.clone(), host.clone());
            async move {
                let socket = TcpStream::connect((host, port)).await?;
                client.connect(name, socket).await.map(TokioIo::new)
            }
        });
        // TLS is the connector's; the name is for the log of whoever answers.
        let endpoint = Endpoint::from_static("http://certificates").timeout(ANSWER);
        match timeout(CONNECT, endpoint.connect_with_connector(connector)).await {
            Ok(connected) => connected.map_err(|error| failed(&error)),
            Err(_) => Err(format!("no connection to the control plane at {at}: it does not answer")),
        }
    }

    fn host(&self) -> Result<(String, u16), String> {
        match &self.address {
            Address::Ip(ip, port) => Ok((ip.to_string(), *port)),
            Address::Name(name, port) => Ok((name.clone(), *port)),
            Address::Unix(path) => {
                Err(format!("{} is a socket; certificates are asked for over TCP", path.display()))
            }
        }
    }
}

/// The client's side of TLS, which trusts these roots (PEM) and shows no certificate: the token says who it is.
fn client(roots: [&str; 2]) -> Result<TlsConnector, rustls::Error> {
    let mut store = RootCertStore::empty();
    for certificate in roots.into_iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes())) {
        store.add(certificate.map_err(|error| rustls::Error::General(error.to_string()))?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A file of trust anchors that can be read.
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) async fn read(roots: &Path) -> Result<String, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("the roots {}: {error}", roots.display());
    let text = load(roots).await.map_err(|error| wrong(&error))?;
    ca::check_roots(text.as_bytes()).map_err(|error| wrong(&error))?;
    Ok(text)
}

/// The text of a file.
async fn load(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    let read = spawn_blocking(move || std::fs::read_to_string(path)).await;
    read.map_err(io::Error::other)?
}

/// What an answer is worth: it must be about our key and about us, with roots at its end (trap 1), of which so many are the
/// mesh's own; all if that is not said.
fn accept(
    mut chain: Vec<String>,
    own: Option<usize>,
    key: &PrivateKey,
    identity: &SpiffeId,
) -> Result<Issued, String> {
    let wrong = |words: String| format!("the control plane's answer cannot be used: {words}");
    let roots = chain.pop().filter(|_| !chain.is_empty());
    let roots = roots.ok_or_else(|| wrong("it has less than two parts".to_owned()))?;
    let chain: String = chain.iter().map(|part| format!("{}\n", part.trim_end())).collect();
    let pem = key.expose_pem();
    ca::check_key_pair(chain.as_bytes(), pem.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    ca::check_roots(roots.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let not_after = examine(&chain, identity).map_err(wrong)?;
    let certificate = Entry::certificate("default", chain.into_bytes(), pem.as_bytes().to_vec());
    let trusted = Entry::trusted_ca("ROOTCA", roots.clone().into_bytes());
    let secrets = vec![("default".to_owned(), certificate), ("ROOTCA".to_owned(), trusted)];
    let own = own.map_or(roots.as_str(), |count| first(&roots, count)).to_owned();
    Ok(Issued { secrets, roots, own, not_after })
}

/// The text as far as the end of so many certificates.
fn first(roots: &str, count: usize) -> &str {
    let Some(last) = count.checked_sub(1) else { return "" };
    let end = roots.match_indices(END).nth(last).map(|(at, end)| at + end.len());
    end.and_then(|end| roots.get(..end)).unwrap_or(roots)
}

/// When the first certificate ends, if it is of `identity`: a proxy that shows another is refused by all others.
fn examine(chain: &str, identity: &SpiffeId) -> Result<SystemTime, String> {
    let (_, block) = parse_x509_pem(chain.as_bytes()).map_err(|error| error.to_string())?;
    let leaf = block.parse_x509().map_err(|error| error.to_string())?;
    let names = leaf.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let wanted = identity.to_string();
    if !names.iter().any(|name| matches!(name, GeneralName::URI(uri) if *uri == wanted)) {
        return Err(format!(
            "it is of {names:?}, not of {wanted}; is the token that of another service account, or the trust domain another?"
        ));
    }
    let ends = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(ends))
}

fn refused(status: &Status) -> String {
    let hint = match status.code() {
        Code::Unauthenticated => {
            "; is the token of this mesh, for its audience, and not too old? Its log says more"
        }
        Code::InvalidArgument => "; the lifetime may be longer than it allows",
        _ => "",
    };
    format!("the control plane refuses ({:?}): {}{hint}", status.code(), status.message())
}

/// An error with all that caused it: its own words say only that something went wrong.
fn whole(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(words, ": {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_certificates_are_taken_as_they_stand() {
        let [a, b] = ["a", "b"].map(|name| format!("-----BEGIN CERTIFICATE-----\n{name}\n{END}\n"));
        let both = format!("{a}{b}");
        assert_eq!(first(&both, 0), "");
        assert_eq!(first(&both, 1), a.trim_end());
        assert_eq!(first(&both, 2), both.trim_end());
        assert_eq!(first(&both, 3), both, "there are no more");
    }
}
