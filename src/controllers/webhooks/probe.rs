//! Whether the API server asks this control plane's webhook: something that it refuses is tried out.

use std::time::Duration;

use kube::api::{DynamicObject, PostParams};
use kube::core::Status;
use kube::{Client, Error};
use serde_json::json;
use tokio::time::timeout;

use super::gateways;

/// The object that is tried out; nothing of it is ever stored.
const NAME: &str = "invalid-gateway";

/// An API server without an answer by then cannot reach the webhook.
const PATIENCE: Duration = Duration::from_secs(30);

/// Parts of what the API server says: that a webhook refused; that one cannot be tried out, so that nothing can be known.
const DENIED: &str = "denied the request";
const NO_DRY_RUN: &str = "does not support dry run";

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The webhook refuses what it must, or there is no way to know.
    Proven,
    /// Why it is not known yet.
    NotYet(String),
}

/// Tries to create a Gateway that the webhook refuses.
pub(super) async fn probe(client: &Client, namespace: &str, revision: &str) -> Answer {
    match timeout(PATIENCE, attempt(client, namespace, revision)).await {
        Ok(Ok(())) => Answer::NotYet("what must be refused was taken".to_owned()),
        Ok(Err(error)) => judge(&error),
        Err(_) => Answer::NotYet(format!("no answer within {PATIENCE:?}")),
    }
}

async fn attempt(client: &Client, namespace: &str, revision: &str) -> kube::Result<()> {
    let api = gateways(client, namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let mut object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            // The entry of a revision sees only what has its label.
            "labels": {"istio.io/rev": revision},
            "annotations": {"internal.istio.io/webhook-always-reject": "true"},
        },
        "spec": {},
    }))
    .map_err(Error::SerdeError)?;
    match api.create(&params, &object).await {
        Err(Error::Api(status)) if status.reason == "AlreadyExists" => {
            object.metadata.resource_version = api.get(NAME).await?.metadata.resource_version;
            api.replace(NAME, &params, &object).await.map(drop)
        }
        created => created.map(drop),
    }
}

fn judge(error: &Error) -> Answer {
    match error {
        Error::Api(status) if proves(status) => Answer::Proven,
        Error::Api(status) => Answer::NotYet(format!("{} {}", status.code, status.message)),
        error => Answer::NotYet(error.to_string()),
    }
}

fn proves(status: &Status) -> bool {
    // A path that the server does not know has an answer without details; a namespace that is not there has some.
    let undefined =
        status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty());
    undefined || status.message.contains(DENIED) || status.message.contains(NO_DRY_RUN)
}
