//! The webhooks' port: what the API server asks, over TLS, opened when the first mesh is there; and what leads there.
//!
//! Source: `shared/spec/kubernetes.md` 1.1, 1.6, 1.7.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use axum::Router;
use controllers::webhooks::{Metrics, Validating};
use controllers::write::Writer;
use debug::Ready;
use inject::admission::{Admission, ready};
use model::Mesh;
use prometheus::Registry;
use sources::kube::Connection;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::flags::{Discovery, path};
use crate::root::Roots;
use crate::tls::{Certificate, Files, Policy, TlsListener, names};
use crate::{features, ports};

/// How long the port may keep the control plane from being ready: proxies are served without it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the certificate of the port comes from.
#[derive(Clone, Debug)]
enum Origin {
    /// Files of somebody else's.
    Files(Files),
    /// The mesh's root.
    Root(Roots),
}

/// The cluster whose API server asks.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    connection: Connection,
    writer: Writer,
    metrics: Metrics,
}

impl Asking {
    /// Over this connection; `writer` is that of the entries which lead to the webhooks.
    ///
    /// # Errors
    /// The name of a metric is taken.
    pub(crate) fn new(connection: &Connection, writer: Writer, registry: &Registry) -> Result<Self> {
        Ok(Self { connection: connection.clone(), writer, metrics: Metrics::register(registry)? })
    }
}

/// What is served where.
#[derive(Debug)]
pub(crate) struct Webhooks {
    admission: Admission,
    address: String,
    /// None if there is no port of its own.
    origin: Option<Origin>,
    policy: Policy,
    namespace: String,
    revision: String,
    asking: Option<Asking>,
}

/// Serves until the process ends.
type Serving = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl Webhooks {
    /// As flags say; nothing is opened yet. In a cluster, or with a state folder, `roots` sign the certificate; a root that
    /// is only in memory is of no use to anybody.
    ///
    /// # Errors
    /// The flags of the certificate do not fit together.
    pub(crate) fn new(
        flags: &Discovery,
        admission: Admission,
        roots: Roots,
        asking: Option<Asking>,
    ) -> Result<Self> {
        let [certificate, key, trusted] =
            [&flags.tls_cert_file, &flags.tls_key_file, &flags.ca_cert_file].map(|flag| path(flag.as_ref()));
        let files = Files::of(certificate, key, trusted)?.map(Origin::Files);
        let kept = asking.is_some() || flags.state.is_some();
        let origin = files.or_else(|| kept.then_some(Origin::Root(roots)));
        let wanted = !flags.https_addr.is_empty();
        if wanted && origin.is_none() {
            tracing::info!(
                address = flags.https_addr,
                "no certificate for webhooks, nothing listens there: give --state, or --tlsCertFile and --tlsKeyFile"
            );
        }
        Ok(Self {
            admission,
            address: flags.https_addr.clone(),
            origin: origin.filter(|_| wanted),
            policy: Policy { least: flags.tls_min_version, ciphers: flags.tls_cipher_suites.clone() },
            namespace: flags.namespace.clone(),
            revision: flags.revision.clone(),
            asking: asking.filter(|_| features::validation()),
        })
    }

    /// What the HTTP port has of them: all of it if `--httpsAddr` is empty.
    pub(crate) fn on_http(&self) -> Router {
        if self.address.is_empty() { self.admission.routes() } else { Router::new() }
    }

    /// Waits for the first mesh, opens the port, then says that the control plane is ready, and serves. Ends with an error
    /// only.
    ///
    /// # Errors
    /// There is no certificate to be had, or the port is taken.
    pub(crate) async fn run(
        self,
        mut made: watch::Receiver<bool>,
        mesh: Arc<ArcSwap<Mesh>>,
        is_ready: Ready,
    ) -> Result<()> {
        made.wait_for(|made| *made).await.context("no mesh is made")?;
        let opened = self.open(mesh.load_full());
        tokio::pin!(opened);
        let serving = tokio::select! {
            opened = &mut opened => opened?,
            () = sleep(PATIENCE) => {
                tracing::warn!("the webhooks' port waits for the mesh's root; the control plane is ready without it");
                is_ready.set();
                opened.await?
            }
        };
        is_ready.set();
        serving.await
    }

    async fn open(self, mesh: Arc<Mesh>) -> Result<Serving> {
        let Some(origin) = self.origin else { return Ok(Box::pin(std::future::pending())) };
        let certificate = match origin {
            Origin::Files(files) => Certificate::from_files(files)?,
            Origin::Root(roots) => {
                let discovery = &mesh.settings.default_proxy_config.discovery_address;
                let names = names(&features::custom_hosts(), discovery, &self.namespace, &self.revision);
                tracing::info!(?names, "names of the control plane's certificate");
                Certificate::signed(roots, names).await?
            }
        };
        let config = self.policy.config(certificate.shown())?;
        let socket = ports::bind("--httpsAddr", &self.address).await?;
        let listener = TlsListener::new(socket, TlsAcceptor::from(Arc::new(config)))?;
        tracing::info!(address = self.address, "webhooks are served");
        let pages = self.admission.routes().merge(ready());
        let entries = self.asking.map(|asking| Validating {
            connection: asking.connection,
            writer: asking.writer,
            revision: if self.revision.is_empty() { "default".to_owned() } else { self.revision },
            namespace: self.namespace,
            roots: certificate.roots(),
            metrics: asking.metrics,
        });
        Ok(Box::pin(async move {
            let kept = async {
                match entries {
                    Some(entries) => entries.run().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                served = axum::serve(listener, pages) => served.context("webhooks"),
                () = kept => Err(anyhow!("the entries of webhooks are no longer followed")),
            }
        }))
    }
}
