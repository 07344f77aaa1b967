//! What service accounts asked of the API server, out of its audit log.
//!
//! Source: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Cluster;
use super::files::AUDIT_LOG;

/// The requests of service accounts are written down, nobody else's.
pub(super) const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ['system:serviceaccounts']}
- {level: None}
";

/// A request, as it was authorized.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Who asked, such as `system:serviceaccount:istio-system:istiod`.
    pub user: String,
    /// A verb of RBAC.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource and, after a slash, the subresource; a path of the server if it asked for no resource.
    pub resource: String,
    /// The namespace; empty for all of them and for what has none.
    pub namespace: String,
    /// The object, if it asked for a single one; for lists and watches that select a name, that name.
    pub name: String,
    /// Whether it had the right.
    pub allowed: bool,
}

impl Request {
    fn of(event: &Value) -> Self {
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let resource = match (text("/objectRef/resource"), text("/objectRef/subresource")) {
            (resource, _) if resource.is_empty() => text("/requestURI"),
            (resource, subresource) if subresource.is_empty() => resource,
            (resource, subresource) => format!("{resource}/{subresource}"),
        };
        Self {
            user: text("/user/username"),
            verb: text("/verb"),
            group: text("/objectRef/apiGroup"),
            resource,
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            allowed: text("/annotations/authorization.k8s.io~1decision") == "allow",
        }
    }
}

impl Cluster<'_> {
    /// What service accounts have asked so far.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let log = self.files.folder().join(AUDIT_LOG);
        let text = fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
        requests(&text)
    }
}

fn requests(log: &str) -> Result<Vec<Request>> {
    // The last line may still be written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parsed = |line| serde_json::from_str(line).with_context(|| format!("audit event {line}"));
    whole.lines().map(|line| Ok(Request::of(&parsed(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_up_to_the_line_that_is_not_whole() {
        let event = r#"{"verb": "patch", "user": {"username": "me"}, "requestURI": "/apis/a/v1/namespaces/n/things/one/status",
            "objectRef": {"apiGroup": "a", "resource": "things", "subresource": "status", "namespace": "n", "name": "one"},
            "annotations": {"authorization.k8s.io/decision": "forbid"}}"#;
        let path = r#"{"verb": "get", "user": {"username": "me"}, "requestURI": "/readyz",
            "annotations": {"authorization.k8s.io/decision": "allow"}}"#;
        let [event, path] = [event, path].map(|event| event.replace('\n', " "));
        let request = |[verb, group, resource, namespace, name]: [&str; 5], allowed| Request {
            user: "me".into(),
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
            allowed,
        };
        let expected = [
            request(["patch", "a", "things/status", "n", "one"], false),
            request(["get", "", "/readyz", "", ""], true),
        ];
        assert_eq!(requests(&format!("{event}\n{path}\n{{\"verb\": ")).expect("requests"), expected);
        assert!(requests("nonsense\n").is_err());
    }
}
