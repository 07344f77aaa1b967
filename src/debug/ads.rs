//! The pages over xDS, in the three types that `istioctl` asks for.
//!
//! Source: `shared/spec/operations.md` 2.1, 2.2.

mod states;

use std::sync::{Arc, OnceLock};

use api::envoy::google::protobuf::Any;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use bytes::Bytes;
use prost::Message as _;
use tower::ServiceExt as _;
use xds::generate::Peer;
use xds::server::{Answering, DebugAnswer, DebugTypes, Status};

use crate::Surface;
use crate::access::View;

/// What each proxy was sent and has acknowledged, as `envoy.service.status.v3.ClientConfig`.
const SYNCZ: &str = "istio.io/debug/syncz";
/// What one proxy is to have, as the parts of `envoy.admin.v3.ConfigDump`.
const CONFIG_DUMP: &str = "istio.io/debug/config_dump";
/// A page as HTTP has it.
const PAGE: &str = "istio.io/debug";

/// The pages over xDS.
pub struct Ads {
    surface: Surface,
    identifier: String,
}

/// [`Ads`], as soon as there is one: the server is there before its pages are. Clones are the same.
#[derive(Clone, Default)]
pub struct Later(Arc<OnceLock<Ads>>);

impl Later {
    /// The pages from now on; only the first count.
    pub fn set(&self, ads: Ads) {
        drop(self.0.set(ads));
    }
}

impl DebugTypes for Later {
    fn answer(&self, type_url: &str, names: &[String], peer: &Peer) -> Answering {
        match self.0.get() {
            Some(ads) => ads.answer(type_url, names, peer),
            None => ready(Err(Status::unavailable("the control plane is starting"))),
        }
    }
}

impl Ads {
    /// These pages; `identifier` is what `istioctl` reads of the control plane, as JSON.
    pub fn new(surface: Surface, identifier: String) -> Self {
        Self { surface, identifier }
    }

    fn syncz(&self, peer: &Peer) -> Result<DebugAnswer, Status> {
        let view = self.surface.access.of_states(peer).ok_or_else(unknown)?;
        let clients = self.surface.clients.list();
        let shown = clients.iter().filter(|client| view.shows(client));
        Ok(DebugAnswer {
            resources: shown.filter_map(|client| states::of(client)).collect(),
            control_plane: self.identifier.clone(),
            version: self.surface.version.clone(),
        })
    }

    fn config_dump(&self, names: &[String], peer: &Peer) -> Result<DebugAnswer, Status> {
        let view = self.surface.access.of_states(peer).ok_or_else(unknown)?;
        let clients = self.surface.clients.list();
        let client = match names {
            [name] => clients.iter().find(|client| client.proxy_name() == name && view.shows(client)),
            _ => None,
        };
        let resources = client.map(|client| states::dump(client)).unwrap_or_default();
        Ok(DebugAnswer { resources, version: self.surface.version.clone(), ..DebugAnswer::default() })
    }

    fn page(&self, names: &[String], peer: &Peer) -> Answering {
        let [name] = names else {
            return ready(Err(Status::invalid_argument("exactly one debug request is required")));
        };
        let page = name.split('?').next().unwrap_or_default();
        let view = match self.surface.access.of_page(peer, page) {
            Ok(view) => view,
            Err(None) => return ready(Err(unknown())),
            Err(Some(_)) => return ready(Err(not_for(peer, page))),
        };
        let (surface, name) = (self.surface.clone(), name.clone());
        Box::pin(async move {
            let value = body(&surface, &name, view).await?;
            let any = Any { type_url: PAGE.to_owned(), value };
            let resources = vec![(name, any.encode_to_vec().into())];
            Ok(DebugAnswer { resources, version: surface.version, ..DebugAnswer::default() })
        })
    }
}

impl DebugTypes for Ads {
    fn answer(&self, type_url: &str, names: &[String], peer: &Peer) -> Answering {
        match type_url {
            SYNCZ => ready(self.syncz(peer)),
            CONFIG_DUMP => ready(self.config_dump(names, peer)),
            PAGE => self.page(names, peer),
            _ => ready(Ok(DebugAnswer::default())),
        }
    }
}

/// What HTTP would answer, whatever its status.
async fn body(surface: &Surface, name: &str, view: View) -> Result<Bytes, Status> {
    let internal = |error: String| Status::internal(format!("the page {name:?}: {error}"));
    let request = Request::get(format!("/debug/{name}")).extension(view).body(Body::empty());
    let request = request.map_err(|error| Status::invalid_argument(format!("the page {name:?}: {error}")))?;
    let Ok(answer) = surface.all_pages().oneshot(request).await;
    to_bytes(answer.into_body(), usize::MAX).await.map_err(|error| internal(error.to_string()))
}

fn ready(answer: Result<DebugAnswer, Status>) -> Answering {
    Box::pin(std::future::ready(answer))
}

fn unknown() -> Status {
    Status { code: 16, message: "authentication required".to_owned() }
}

fn not_for(peer: &Peer, page: &str) -> Status {
    let message = format!("the page {page:?} is not for the identity {:?}", peer.identities);
    Status { code: 7, message }
}
