//! The labels, annotations and node metadata that change what a proxy is sent.
//!
//! Source: `shared/spec/xds.md` 1.2, `shared/spec/kubernetes.md` 2, 3.6; Istio's registry of labels and annotations
//! (<https://istio.io/latest/docs/reference/config/labels/>, <https://istio.io/latest/docs/reference/config/annotations/>).

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::ground::Ground;
use super::place::Place;
use super::{Effect, Effects, TRIES, Target, note};
use crate::conformance::Case;

/// Where a mark stands.
#[derive(Clone, Copy, Debug)]
enum At {
    Label,
    Annotation,
    /// In the metadata of a node.
    Metadata,
}

/// A label, an annotation or a field of node metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// The kind of object, or [`PROXY`].
    subject: &'static str,
    at: At,
    key: &'static str,
    /// Values to try beside none and text that is put around its own.
    values: &'static [&'static str],
}

/// The subject of node metadata.
const PROXY: &str = "Proxy";

const fn label(subject: &'static str, key: &'static str) -> Mark {
    Mark { subject, at: At::Label, key, values: &[] }
}

const fn annotation(subject: &'static str, key: &'static str) -> Mark {
    Mark { subject, at: At::Annotation, key, values: &[] }
}

const fn metadata(key: &'static str, values: &'static [&'static str]) -> Mark {
    Mark { subject: PROXY, at: At::Metadata, key, values }
}

/// All of them. What selectors of objects name is not here: the fields of the selectors are held themselves.
pub(super) const MARKS: &[Mark] = &[
    label("Pod", "app"),
    label("Pod", "app.kubernetes.io/name"),
    label("Pod", "app.kubernetes.io/version"),
    label("Pod", "deploymentconfig"),
    label("Pod", "istio-locality"),
    label("Pod", "istio.io/draining"),
    label("Pod", "networking.istio.io/tunnel"),
    label("Pod", "pod-template-hash"),
    label("Pod", "rollouts-pod-template-hash"),
    label("Pod", "security.istio.io/tlsMode"),
    label("Pod", "service.istio.io/canonical-name"),
    label("Pod", "service.istio.io/canonical-revision"),
    label("Pod", "service.istio.io/workload-name"),
    label("Pod", "topology.istio.io/locality"),
    label("Pod", "topology.istio.io/network"),
    label("Pod", "version"),
    annotation("Pod", "ambient.istio.io/redirection"),
    label("Node", "failure-domain.beta.kubernetes.io/region"),
    label("Node", "failure-domain.beta.kubernetes.io/zone"),
    label("Node", "topology.istio.io/subzone"),
    label("Node", "topology.kubernetes.io/region"),
    label("Node", "topology.kubernetes.io/zone"),
    label("Namespace", "topology.istio.io/network"),
    annotation("Namespace", "networking.istio.io/traffic-distribution"),
    label("Service", "experimental.istio.io/disable-gateway-port-translation"),
    label("Service", "istio.io/persistent-session"),
    label("Service", "istio.io/persistent-session-header"),
    label("Service", "istio.io/use-waypoint"),
    label("Service", "networking.istio.io/gatewayPort"),
    label("Service", "topology.istio.io/network"),
    annotation("Service", "alpha.istio.io/canonical-serviceaccounts"),
    annotation("Service", "alpha.istio.io/kubernetes-serviceaccounts"),
    annotation("Service", "networking.istio.io/exportTo"),
    annotation("Service", "networking.istio.io/traffic-distribution"),
    annotation("Service", "traffic.istio.io/nodeSelector"),
    label("EndpointSlice", "kubernetes.io/service-name"),
    label("EndpointSlice", "multicluster.kubernetes.io/service-name"),
    label("ServiceEntry", "istio.io/persistent-session"),
    label("ServiceEntry", "istio.io/rev"),
    label("ServiceEntry", "networking.istio.io/enable-autoallocate-ip"),
    annotation("ServiceEntry", "istio.io/connect-strategy"),
    annotation("ServiceEntry", "networking.istio.io/traffic-distribution"),
    label("WorkloadEntry", "istio-locality"),
    label("WorkloadEntry", "istio.io/rev"),
    label("WorkloadEntry", "security.istio.io/tlsMode"),
    label("WorkloadEntry", "service.istio.io/canonical-name"),
    label("WorkloadEntry", "service.istio.io/canonical-revision"),
    label("WorkloadEntry", "service.istio.io/workload-name"),
    label("WorkloadEntry", "topology.istio.io/locality"),
    label("WorkloadEntry", "topology.istio.io/network"),
    annotation("WorkloadEntry", "istio.io/autoRegistrationGroup"),
    annotation("WorkloadEntry", "proxy.istio.io/health-checks-enabled"),
    label("VirtualService", "istio.io/rev"),
    annotation("VirtualService", "internal.istio.io/route-semantics"),
    label("DestinationRule", "istio.io/rev"),
    label("Sidecar", "istio.io/rev"),
    label("Gateway", "istio.io/rev"),
    annotation("Gateway", "internal.istio.io/gateway-service"),
    annotation("AuthorizationPolicy", "istio.io/dry-run"),
    annotation("Ingress", "kubernetes.io/ingress.class"),
    metadata("AUTO_REGISTER_GROUP", &[]),
    metadata("CLUSTER_ID", &["other"]),
    metadata("DISABLE_HBONE_SEND", &[]),
    metadata("DNS_AUTO_ALLOCATE", &[]),
    metadata("DNS_CAPTURE", &[]),
    metadata("DNS_PROXY_ADDR", &[]),
    metadata("ENABLE_HBONE", &[]),
    metadata("ENABLE_SELF_DISCOVERY", &[]),
    metadata("ENVOY_PROMETHEUS_PORT", &[]),
    metadata("ENVOY_SECURE_MERGED_METRICS_PORT", &[]),
    metadata("ENVOY_SECURE_METRICS_PORT", &[]),
    metadata("ENVOY_STATUS_PORT", &[]),
    metadata("GENERATOR", &[]),
    metadata("HTTP10", &[]),
    metadata("HTTP_PROXY_PORT", &[]),
    metadata("IDLE_TIMEOUT", &[]),
    metadata("INBOUND_LISTENER_EXACT_BALANCE", &[]),
    metadata("INSTANCE_IPS", &["2001:db8::1"]),
    metadata("INTERCEPTION_MODE", &["NONE", "TPROXY"]),
    metadata("ISTIO_VERSION", &["1.27.0"]),
    metadata("LABELS", &[]),
    metadata("MESH_ID", &[]),
    metadata("NAMESPACE", &["other"]),
    metadata("NETWORK", &[]),
    metadata("NODE_NAME", &[]),
    metadata("OUTBOUND_LISTENER_EXACT_BALANCE", &[]),
    metadata("OWNER", &[]),
    metadata("POD_PORTS", &[]),
    metadata("PROXY_CONFIG", &[]),
    metadata("REQUESTED_NETWORK_VIEW", &[]),
    metadata("SERVICE_ACCOUNT", &[]),
    metadata("STATIC_LABELS", &[]),
    metadata("TLS_CLIENT_CERT_CHAIN", &[]),
    metadata("TLS_CLIENT_KEY", &[]),
    metadata("TLS_CLIENT_ROOT_CERT", &[]),
    metadata("TLS_SERVER_CERT_CHAIN", &[]),
    metadata("TLS_SERVER_KEY", &[]),
    metadata("TLS_SERVER_ROOT_CERT", &[]),
    metadata("UNPRIVILEGED_POD", &[]),
    metadata("WORKLOAD_ENTRY", &[]),
    metadata("WORKLOAD_NAME", &[]),
    metadata("credential", &[]),
    metadata("file-credential", &[]),
];

/// Tries in a case the marks that are still without effect.
pub(super) fn look(case: &Case, ground: &mut Ground<'_>, effects: &mut Effects) -> Result<()> {
    for mark in MARKS {
        let target = mark.target();
        if effects.get(&target) == Some(&Effect::Some) {
            continue;
        }
        for (place, holder) in mark.places(case)?.into_iter().take(TRIES) {
            let mut found = false;
            for content in mark.variants(&place.content, holder) {
                found = found || ground.differs(&place, content)?;
            }
            note(effects, target.clone(), case, found);
        }
    }
    Ok(())
}

impl Mark {
    pub(super) fn target(&self) -> Target {
        let leaf = match self.at {
            At::Label => format!("labels[{}]", self.key),
            At::Annotation => format!("annotations[{}]", self.key),
            At::Metadata => self.key.to_owned(),
        };
        Target { subject: self.subject, leaf, value: None }
    }

    /// Where a case has it: the document or proxy, and the pointer to what holds it there.
    fn places(&self, case: &Case) -> Result<Vec<(Place, &'static str)>> {
        let mut places = Vec::new();
        if let At::Metadata = self.at {
            for (number, proxy) in case.proxies().iter().enumerate() {
                let metadata = case.metadata(proxy)?;
                if metadata.get(self.key).is_some_and(|value| !value.is_null()) {
                    let mut proxy = proxy.clone();
                    let members = proxy.as_object_mut().context("a proxy is an object")?;
                    members.insert("nodeMetadata".to_owned(), Value::Object(metadata));
                    places.push((Place::of_proxy(self.subject, number, proxy), "/nodeMetadata"));
                }
            }
            return Ok(places);
        }
        for (number, document) in case.documents().iter().enumerate() {
            if document.get("kind").and_then(Value::as_str) != Some(self.subject) {
                continue;
            }
            let has =
                |holder: &&&str| document.pointer(holder).is_some_and(|held| held.get(self.key).is_some());
            if let Some(holder) = self.holders().iter().find(has) {
                places.push((Place::of_document(self.subject, number, document.clone()), *holder));
            }
        }
        Ok(places)
    }

    /// What may hold it in a document.
    fn holders(&self) -> &'static [&'static str] {
        match (self.at, self.subject) {
            (At::Label, "WorkloadEntry") => &["/metadata/labels", "/spec/labels"],
            (At::Label, _) => &["/metadata/labels"],
            (At::Annotation, _) => &["/metadata/annotations"],
            (At::Metadata, _) => &["/nodeMetadata"],
        }
    }

    /// The content without it, and with other values of it.
    fn variants(&self, content: &Value, holder: &str) -> Vec<Value> {
        let held = content.pointer(holder).and_then(|held| held.get(self.key)).cloned().unwrap_or_default();
        let around = match &held {
            Value::String(text) if self.values.is_empty() => {
                vec![json!(format!("1{text}")), json!(format!("{text}x")), json!(text.is_empty().to_string())]
            }
            Value::Bool(on) => vec![json!(!on)],
            Value::Number(number) => vec![json!(number.as_f64().unwrap_or_default() + 1.0)],
            _ => Vec::new(),
        };
        let others = self.values.iter().map(|value| json!(value)).chain(around);
        // What a proxy does not name its defaults would name again.
        let none = matches!(self.at, At::Metadata).then_some(Value::Null);
        let of = |value: Option<Value>| {
            let mut content = content.clone();
            let held = content.pointer_mut(holder)?.as_object_mut()?;
            match value {
                Some(value) => held.insert(self.key.to_owned(), value),
                None => held.remove(self.key),
            };
            Some(content)
        };
        std::iter::once(none).chain(others.map(Some)).filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_left_out_and_changed() {
        let document = json!({"kind": "Pod", "metadata": {"labels": {"app": "web", "other": "x"}}});
        let variants = label("Pod", "app").variants(&document, "/metadata/labels");
        let apps: Vec<_> = variants.iter().map(|v| v.pointer("/metadata/labels/app").cloned()).collect();
        let text = |text: &str| Some(json!(text));
        assert_eq!(apps, [None, text("1web"), text("webx"), text("false")]);
        assert!(variants.iter().all(|v| v.pointer("/metadata/labels/other") == Some(&json!("x"))));
    }

    #[test]
    fn metadata_that_are_left_out_are_null() {
        let proxy = json!({"nodeMetadata": {"CLUSTER_ID": "Kubernetes"}});
        let mark = metadata("CLUSTER_ID", &["other"]);
        let variants = mark.variants(&proxy, "/nodeMetadata");
        let ids: Vec<_> = variants.iter().map(|v| v["nodeMetadata"]["CLUSTER_ID"].clone()).collect();
        assert_eq!(ids, [Value::Null, json!("other")]);
    }

    #[test]
    fn each_mark_is_there_once() {
        let mut targets: Vec<_> = MARKS.iter().map(Mark::target).collect();
        let all = targets.len();
        targets.sort();
        targets.dedup();
        assert_eq!(targets.len(), all);
    }
}
