//! Whether a service account may list the Secrets of its namespace, as the API server of its cluster says.
//!
//! Source: Istio `pilot/pkg/credentials/kube/secrets.go` (Authorize); `shared/spec/security.md` 4.3, trap 22.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use model::mesh::Account;
use tokio::time::timeout;

use super::connection::Connection;
use super::reach::chain;
use super::remote::Remotes;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The proxy names a cluster that is not followed.
    #[error(
        "no cluster of this name is followed; let it join by `istioctl create-remote-secret`, or correct CLUSTER_ID of the proxy"
    )]
    UnknownCluster,
    /// No answer in time.
    #[error("the API server has not answered a SubjectAccessReview in {PATIENCE:?}")]
    Late,
    /// The request failed.
    #[error(
        "the API server refuses to judge: {0}; grant `create` on subjectaccessreviews.authorization.k8s.io"
    )]
    Failed(String),
}

/// Asks the API servers of all clusters.
#[derive(Clone, Debug)]
pub struct Reviewer {
    /// The home cluster.
    pub home: Connection,
    /// The others.
    pub remotes: Remotes,
}

impl Reviewer {
    /// Whether the account may list Secrets; the words are the server's reason. Groups are not asked about: what is granted
    /// to a group of service accounts does not count, as in the reference.
    ///
    /// # Errors
    /// Nobody knows.
    pub async fn may_list_secrets(&self, account: &Account) -> Result<(bool, String), ReviewError> {
        let connection = self.connection(&account.cluster).ok_or(ReviewError::UnknownCluster)?;
        let api: Api<SubjectAccessReview> = Api::all(connection.client().clone());
        let review = question(account);
        let parameters = PostParams::default();
        let answer = timeout(PATIENCE, api.create(&parameters, &review)).await;
        let answer = answer.map_err(|_| ReviewError::Late)?;
        let status = answer.map_err(|error| ReviewError::Failed(chain(&error)))?.status.unwrap_or_default();
        Ok((status.allowed && status.denied != Some(true), status.reason.unwrap_or_default()))
    }

    fn connection(&self, cluster: &str) -> Option<Connection> {
        let home = cluster.is_empty() || *cluster == *self.home.health().cluster();
        if home { Some(self.home.clone()) } else { self.remotes.connection(cluster) }
    }
}

fn question(account: &Account) -> SubjectAccessReview {
    let Account { namespace, name, .. } = account;
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_string()),
                verb: Some("list".to_owned()),
                resource: Some("secrets".to_owned()),
                ..ResourceAttributes::default()
            }),
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_question_names_the_account_alone() {
        let account = Account { cluster: "".into(), namespace: "edge".into(), name: "gw".into() };
        let spec = serde_json::to_value(question(&account).spec).expect("JSON");
        let attributes = json!({"namespace": "edge", "verb": "list", "resource": "secrets"});
        assert_eq!(spec, json!({"resourceAttributes": attributes, "user": "system:serviceaccount:edge:gw"}));
    }
}
