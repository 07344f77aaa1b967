//! What is asked of the API server: the keys that it signs tokens with, what it says of a token, the service accounts.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};
use serde::Deserialize;
use sources::kube::{Change, Connection, Selection};

use super::{Review, Reviewed};
use crate::token::{FetchKeys, Published};
use crate::{BoundPod, Presence};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// The API server that knows the tokens of its cluster.
#[derive(Clone)]
pub struct ApiServer(Client);

impl ApiServer {
    /// Over this connection.
    pub fn new(connection: &Connection) -> Self {
        Self(connection.client().clone())
    }
}

/// What the API server publishes of itself (OpenID Connect Discovery 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

impl FetchKeys for ApiServer {
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>> {
        let client = self.0.clone();
        async move {
            let discovery: Discovery = serde_json::from_str(&get(&client, DISCOVERY).await?)
                .map_err(|e| format!("{DISCOVERY}: {e}"))?;
            Ok(Published { issuer: discovery.issuer, keys: get(&client, KEYS).await? })
        }
        .boxed()
    }
}

async fn get(client: &Client, path: &str) -> Result<String, String> {
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map_err(|error| format!("{path} of the API server: {error}"))
}

impl Review for ApiServer {
    fn review(&self, token: String, audiences: Vec<String>) -> BoxFuture<'static, Result<Reviewed, String>> {
        let client = self.0.clone();
        async move {
            let spec = TokenReviewSpec { token: Some(token), audiences: Some(audiences) };
            let review = TokenReview { spec, ..TokenReview::default() };
            let answer = Api::all(client).create(&PostParams::default(), &review).await;
            let answer: TokenReview = answer.map_err(|error| format!("no TokenReview: {error}"))?;
            let status = answer.status.unwrap_or_default();
            let user = status.user.unwrap_or_default();
            Ok(Reviewed {
                error: status.error.unwrap_or_default(),
                authenticated: status.authenticated.unwrap_or_default(),
                audiences: status.audiences.unwrap_or_default(),
                pod: pod(&user),
                user: user.username.unwrap_or_default(),
                groups: user.groups.unwrap_or_default(),
            })
        }
        .boxed()
    }
}

fn pod(user: &UserInfo) -> Option<BoundPod> {
    let extra = user.extra.as_ref()?;
    let first = |key: &str| extra.get(key)?.first().cloned();
    Some(BoundPod { name: first(POD_NAME)?, uid: first(POD_UID)? })
}

/// Tells `presence` of the service accounts of a cluster as they come and go; ends with a fault of the program only.
pub async fn follow_accounts(connection: Connection, presence: Arc<Presence>) {
    let api: Api<ServiceAccount> = Api::all(connection.client().clone());
    let read = |account: ServiceAccount| {
        (account.namespace().unwrap_or_default(), account.name_any(), account.uid().unwrap_or_default())
    };
    let mut following = connection.follow("serviceaccounts", api, &Selection::default(), read);
    while let Some(change) = following.next().await {
        take(&presence, change);
    }
}

fn take(presence: &Presence, change: Change<(String, String, String)>) {
    match change {
        Change::Listed(all) => presence.accounts(all),
        Change::Applied((namespace, name, uid)) => presence.account(&namespace, &name, Some(uid)),
        Change::Deleted((namespace, name, _)) => presence.account(&namespace, &name, None),
        Change::Absent => presence.accounts([]),
    }
}
