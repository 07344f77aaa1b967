//! The port of xDS with TLS: clients are let in by certificate or token, and given certificates.
//!
//! Source: `shared/spec/security.md` 2, 3.

mod gate;
mod viewers;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use auth::kubernetes::{ApiServer, KubernetesTokens, OtherClusters, Reached, Rules, follow_accounts};
use auth::oidc::OidcTokens;
use auth::{Authenticators, CertificateService, Metrics, NodeProxies, Presence, Signing, Witness};
use axum::Router;
use axum::serve::Listener as _;
use debug::Who;
use model::Mesh;
use prometheus::Registry;
use sources::jwks::Fetcher;
use sources::kube::Connection;
use sources::kube::remote::Remotes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use xds::generate::Peer;
use xds::server::{Gate, Server};

use crate::authority::root::{Holders, Settings};
use crate::authority::trust::Trust;
use crate::commands::token;
use crate::features::{self, security::Security};
use crate::flags::Discovery;
use crate::ports;
use crate::serving::tls::{Identity, TlsListener};
use gate::Doorkeeper;
use viewers::Viewers;

/// Who may come in, and what is issued to whom.
pub(crate) struct Secure {
    rules: Security,
    authenticators: Arc<Authenticators>,
    settings: Settings,
    trust: Trust,
    issuing: Option<CertificateService>,
}

/// What is known of the mesh and of its roots.
pub(crate) struct Known {
    /// Who signs; nobody if no certificates are issued.
    pub(crate) signing: Option<Signing>,
    /// What peers trust.
    pub(crate) trust: Trust,
    /// Who was given the mesh's own roots.
    pub(crate) holders: Holders,
    /// The mesh configuration.
    pub(crate) settings: Settings,
    /// The pods of the home cluster; service accounts are told to it here.
    pub(crate) presence: Arc<Presence>,
}

impl Secure {
    /// By these rules. Tokens are those of the cluster of `connection` and of all others that are followed; without it those of
    /// the state folder.
    ///
    /// # Errors
    /// The name of a metric is taken, or the state folder cannot be used.
    pub(crate) fn new(
        tasks: &mut JoinSet<Result<()>>,
        flags: &Discovery,
        rules: Security,
        (connection, others): (Option<&Connection>, Remotes),
        known: Known,
        registry: &Registry,
    ) -> Result<Self> {
        let Known { signing, trust, holders, settings, presence } = known;
        let judged = Rules {
            audiences: rules.audiences.clone(),
            clusters: vec![flags.cluster_id.clone()],
            aliases: flags.cluster_aliases.iter().cloned().collect(),
            ask: rules.ask,
        };
        let tokens = match (connection, &flags.state) {
            (Some(connection), _) => {
                let reached: Reached = Arc::new(move |cluster| others.connection(cluster));
                let others = OtherClusters::new(reached, judged.clone(), settings.clone());
                Some(of_cluster(tasks, judged, connection, &presence, &settings).beside(others))
            }
            // Whoever has the root's key could sign certificates as well: its folder may sign tokens.
            (None, Some(state)) => {
                Some(KubernetesTokens::of_our_own(judged, token::of(state)?, settings.clone()))
            }
            (None, None) => None,
        };
        let oidc = rules.issuer.clone().map(|rule| -> Result<OidcTokens> {
            let fetcher = Fetcher::new(features::jwks().0).context("TLS for fetching keys")?;
            Ok(OidcTokens::new(rule, fetcher, settings.clone()))
        });
        let authenticators = Authenticators::new(settings.clone(), tokens, rules.gateways.clone());
        let authenticators = Arc::new(authenticators.beside(oidc.transpose()?));
        let metrics = Metrics::register(registry)?;
        let issuing = signing.map(|signing| {
            let nodes = (!rules.nodes.is_empty())
                .then(|| NodeProxies::new(rules.nodes.clone(), presence, settings.clone()));
            let witness: Witness = Arc::new(move |identity, address, roots| {
                holders.given(&identity.to_string(), address, roots);
            });
            CertificateService::new(
                Arc::clone(&authenticators),
                nodes,
                (signing, witness),
                rules.rate,
                metrics,
            )
        });
        Ok(Self { rules, authenticators, settings, trust, issuing })
    }

    /// What streams pass that come without TLS.
    pub(crate) fn plaintext_gate(&self) -> Option<Arc<dyn Gate>> {
        self.gate(self.rules.authenticate && self.rules.authenticate_plaintext)
    }

    /// Who asks for a debug page, by the same credentials; those of other meshes are nobody here.
    pub(crate) fn viewers(&self) -> Arc<dyn Who> {
        let known = self.rules.authenticate.then(|| Arc::clone(&self.authenticators));
        Arc::new(Viewers::new(known, self.settings.clone()))
    }

    fn gate(&self, wanted: bool) -> Option<Arc<dyn Gate>> {
        wanted.then(|| Arc::new(Doorkeeper::new(Arc::clone(&self.authenticators))) as Arc<dyn Gate>)
    }

    /// Opens the port of `--secureGRPCAddr`; clients wait there until there is a first mesh and a certificate to show them.
    ///
    /// # Errors
    /// The port is taken.
    pub(crate) async fn listen(
        self,
        tasks: &mut JoinSet<Result<()>>,
        flags: &Discovery,
        server: &Server,
        identity: Option<Identity>,
        (made, mesh): (watch::Receiver<bool>, Arc<ArcSwap<Mesh>>),
    ) -> Result<()> {
        let address = &flags.secure_grpc_addr;
        if address.is_empty() {
            tracing::info!("--secureGRPCAddr is empty: no xDS with TLS, no certificates");
            return Ok(());
        }
        let Some(identity) = identity else {
            tracing::info!(
                address,
                "no certificate for xDS with TLS, nothing listens there: give one (--tlsCertFile, --tlsKeyFile, --caCertFile), or the mesh's root a place (a cluster, --state)"
            );
            return Ok(());
        };
        let socket = ports::bind("--secureGRPCAddr", address).await?;
        let server = server.clone();
        tasks.spawn(async move { self.serve(socket, server, identity, made, mesh).await });
        Ok(())
    }

    async fn serve(
        self,
        socket: TcpListener,
        server: Server,
        identity: Identity,
        mut made: watch::Receiver<bool>,
        mesh: Arc<ArcSwap<Mesh>>,
    ) -> Result<()> {
        made.wait_for(|made| *made).await.context("no mesh is made")?;
        let certificate = identity.certificate(&mesh.load_full()).await?;
        let (trust, settings) = (self.trust.clone(), self.settings.clone());
        let config = identity.policy.config_for_clients(certificate.shown(), trust, settings)?;
        let mut listener = TlsListener::new(socket, TlsAcceptor::from(Arc::new(config)))?;
        tracing::info!(address = %listener.local_addr()?, "xDS with TLS is served");
        let gate = self.gate(self.rules.authenticate);
        let router = match self.issuing {
            Some(service) if self.rules.authenticate => gate::with_credentials(service.into_server()),
            Some(service) => Router::new().fallback_service(service.into_server()),
            None => Router::new(),
        };
        loop {
            let (stream, address) = tokio::select! {
                () = server.ending() => return std::future::pending().await,
                accepted = listener.accept() => accepted,
            };
            let identities = gate::shown(&stream);
            let peer = Peer { address: Some(address), identities };
            // Without a gate nobody is known: who could be is not asked for.
            let peer = if self.rules.authenticate { peer } else { Peer { identities: Vec::new(), ..peer } };
            let (serving, gate, router) = (server.clone(), gate.clone(), router.clone());
            server.spawn(async move { serving.serve(stream, peer, gate, router).await });
        }
    }
}

/// Verifies the tokens of a cluster's service accounts, which are followed for that.
fn of_cluster(
    tasks: &mut JoinSet<Result<()>>,
    rules: Rules,
    connection: &Connection,
    presence: &Arc<Presence>,
    settings: &Settings,
) -> KubernetesTokens {
    let (followed, told) = (connection.clone(), Arc::clone(presence));
    tasks.spawn(async move {
        follow_accounts(followed, told).await;
        Err(anyhow!("service accounts are no longer followed"))
    });
    let server = ApiServer::new(connection);
    KubernetesTokens::new(rules, server.clone(), Arc::clone(presence), server, settings.clone())
}

#[cfg(test)]
mod tests;
