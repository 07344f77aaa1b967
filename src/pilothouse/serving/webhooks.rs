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

use crate::flags::Discovery;
use crate::serving::tls::{Identity, TlsListener};
use crate::{features, ports};

/// How long the port may keep the control plane from being ready: proxies are served without it.
const PATIENCE: Duration = Duration::from_secs(10);

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
    identity: Option<Identity>,
    namespace: String,
    revision: String,
    asking: Option<Asking>,
}

/// Serves until the process ends.
type Serving = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl Webhooks {
    /// As flags say; nothing is opened yet. The port shows who `identity` is; without that there is none.
    pub(crate) fn new(
        flags: &Discovery,
        admission: Admission,
        identity: Option<Identity>,
        asking: Option<Asking>,
    ) -> Self {
        let wanted = !flags.https_addr.is_empty();
        if wanted && identity.is_none() {
            tracing::info!(
                address = flags.https_addr,
                "no certificate for webhooks, nothing listens there: give one (--tlsCertFile, --tlsKeyFile, --caCertFile), or the mesh's root a place (a cluster, --state)"
            );
        }
        Self {
            admission,
            address: flags.https_addr.clone(),
            identity: identity.filter(|_| wanted),
            namespace: flags.namespace.clone(),
            revision: flags.revision.clone(),
            asking: asking.filter(|_| features::validation()),
        }
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
        let Some(identity) = self.identity else { return Ok(Box::pin(std::future::pending())) };
        let certificate = identity.certificate(&mesh).await?;
        let config = identity.policy.config(certificate.shown())?;
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
