//! The connection to the API server: from a kubeconfig or, in a pod, from the service account.
//!
//! Source: `shared/spec/kubernetes.md` 1.9, trap 48; Istio `pkg/kube/util.go`.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

/// A connection that is not made within this is given up.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection on which nothing is said is probed after this.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Time between such probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// So many probes without an answer end the connection, and the watch on it.
const KEEPALIVE_RETRIES: u32 = 3;

/// Where the credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A kubeconfig, in its current context.
    File(PathBuf),
    /// The service account of the pod that this process runs in.
    ServiceAccount,
}

/// Why there is no connection to be had.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// There is no service account.
    #[error("no kubeconfig is given and this is no pod of a cluster: {0}")]
    ServiceAccount(#[from] InClusterError),
    /// TLS cannot be set up from what they say.
    #[error("credentials of the API server: {0}")]
    Tls(#[source] Box<kube::Error>),
}

/// A client of the API server. Nothing is asked of it yet: that it is away is no error.
///
/// # Errors
///
/// The credentials are not there or cannot be used.
pub async fn connect(credentials: &Credentials) -> Result<Client, ClientError> {
    let config = match credentials {
        Credentials::File(path) => {
            let failed = |source| ClientError::File { path: path.clone(), source };
            let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?
        }
        Credentials::ServiceAccount => Config::incluster()?,
    };
    client(config).map_err(|error| ClientError::Tls(Box::new(error)))
}

/// kube's own stack, but for its logging of every failed try and its retries, and with a limit to how long a peer that
/// vanished without a word is listened to.
pub(crate) fn client(config: Config) -> kube::Result<Client> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    http.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    let https = config.rustls_https_connector_with_connector(http)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https));
    Ok(Client::new(service, config.default_namespace))
}
