//! SecretDiscoveryService over gRPC: drives one stream's state by its requests and the store's changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use ca::SpiffeId;
use envoy::config::core::v3::Node;
use envoy::google::protobuf::value::Kind;
use envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy::service::secret::v3::secret_discovery_service_server::SecretDiscoveryService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, warn};

use super::SECRET_TYPE;
use super::delta::Delta;
use super::sotw::{Refusal, Sotw};
use super::store::{Interest, Store, Table};

/// Responses on their way to one client; the next waits until it reads.
const QUEUE: usize = 2;

/// The service. One identity: proxies of another are turned away.
#[derive(Clone, Debug)]
pub(super) struct Sds {
    pub(super) store: Arc<Store>,
    pub(super) identity: SpiffeId,
    pub(super) shutdown: CancellationToken,
}

/// What the two protocols have in common.
trait Protocol: Default + Send + 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;
    fn head(request: &Self::Request) -> (Option<&Node>, &str);
    fn on_request(&mut self, request: Self::Request) -> Option<Refusal>;
    fn names(&self) -> BTreeSet<String>;
    fn respond(&mut self, table: &Table) -> Option<Self::Response>;
}

impl Protocol for Sotw {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;
    fn head(request: &DiscoveryRequest) -> (Option<&Node>, &str) {
        (request.node.as_ref(), &request.type_url)
    }
    fn on_request(&mut self, request: DiscoveryRequest) -> Option<Refusal> {
        self.on_request(request)
    }
    fn names(&self) -> BTreeSet<String> {
        self.names().clone()
    }
    fn respond(&mut self, table: &Table) -> Option<DiscoveryResponse> {
        self.respond(table)
    }
}

impl Protocol for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;
    fn head(request: &DeltaDiscoveryRequest) -> (Option<&Node>, &str) {
        (request.node.as_ref(), &request.type_url)
    }
    fn on_request(&mut self, request: DeltaDiscoveryRequest) -> Option<Refusal> {
        self.on_request(request)
    }
    fn names(&self) -> BTreeSet<String> {
        self.names()
    }
    fn respond(&mut self, table: &Table) -> Option<DeltaDiscoveryResponse> {
        self.respond(table)
    }
}

type Answers<R> = ReceiverStream<Result<R, Status>>;

impl Sds {
    fn start<P: Protocol>(&self, inbound: Streaming<P::Request>) -> Answers<P::Response> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let sds = self.clone();
        tokio::spawn(async move {
            if let Err(status) = sds.drive::<P>(inbound, &sender).await {
                // A client that has gone needs no answer.
                let _ = sender.send(Err(status)).await;
            }
        });
        ReceiverStream::new(receiver)
    }

    async fn drive<P: Protocol>(
        &self,
        mut inbound: Streaming<P::Request>,
        sender: &mpsc::Sender<Result<P::Response, Status>>,
    ) -> Result<(), Status> {
        let mut protocol = P::default();
        let mut tables = self.store.watch();
        let mut interest = Interest::new(self.store.clone());
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                () = sender.closed() => return Ok(()),
                request = inbound.message() => match request {
                    Ok(Some(request)) => {
                        self.admit::<P>(&request)?;
                        if let Some(refusal) = protocol.on_request(request) {
                            let secrets = refusal.secrets.join(", ");
                            warn!(secrets, envoy = refusal.message, "Envoy refused a secret and keeps its last one");
                        }
                        interest.set(protocol.names()).await;
                    }
                    Ok(None) => return Ok(()),
                    Err(status) => {
                        debug!(%status, "a proxy's stream broke");
                        return Ok(());
                    }
                },
                changed = tables.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
            let table = tables.borrow_and_update().clone();
            if let Some(response) = protocol.respond(&table) {
                tokio::select! {
                    () = self.shutdown.cancelled() => return Ok(()),
                    sent = sender.send(Ok(response)) => if sent.is_err() {
                        return Ok(());
                    },
                }
            }
        }
    }

    fn admit<P: Protocol>(&self, request: &P::Request) -> Result<(), Status> {
        let (node, type_url) = P::head(request);
        self.check(node, type_url)
    }

    /// A proxy that says it is somebody else would get this identity's key: its socket path is wrong.
    fn check(&self, node: Option<&Node>, type_url: &str) -> Result<(), Status> {
        if !type_url.is_empty() && type_url != SECRET_TYPE {
            return Err(Status::invalid_argument(format!(
                "only {SECRET_TYPE} is served here, not {type_url}"
            )));
        }
        let expected =
            [("NAMESPACE", self.identity.namespace()), ("SERVICE_ACCOUNT", self.identity.service_account())];
        for (key, ours) in expected {
            if let Some(theirs) = node.and_then(|node| metadata(node, key)).filter(|&theirs| theirs != ours) {
                let problem = format!(
                    "this socket serves {}, but node metadata {key} is {theirs:?}; give the proxy the socket of its own agent",
                    self.identity
                );
                warn!(node = node.map_or("", |node| &node.id), problem, "proxy turned away");
                return Err(Status::permission_denied(problem));
            }
        }
        Ok(())
    }
}

fn metadata<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    match node.metadata.as_ref()?.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

#[tonic::async_trait]
impl SecretDiscoveryService for Sds {
    type StreamSecretsStream = Answers<DiscoveryResponse>;
    type DeltaSecretsStream = Answers<DeltaDiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        Ok(Response::new(self.start::<Sotw>(request.into_inner())))
    }

    async fn delta_secrets(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Ok(Response::new(self.start::<Delta>(request.into_inner())))
    }

    async fn fetch_secrets(
        &self,
        request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        let request = request.into_inner();
        self.admit::<Sotw>(&request)?;
        let mut stream = Sotw::default();
        stream.on_request(request);
        let mut interest = Interest::new(self.store.clone());
        interest.set(stream.names().clone()).await;
        let table = self.store.watch().borrow().clone();
        if let Some(missing) = stream.names().iter().find(|name| !table.contains_key(*name)) {
            return Err(Status::not_found(format!("there is no secret {missing:?}; see this agent's log")));
        }
        let response = stream.respond(&table);
        response.map(Response::new).ok_or_else(|| Status::invalid_argument("resource_names is empty"))
    }
}
