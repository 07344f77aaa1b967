//! A pod of the configuration folder as the proxy that would run beside it.

use std::path::Path;

use agent::bootstrap::{Address, InterceptionMode, Node, NodeKind, Options};
use anyhow::{Context, Result, bail};
use api::Object;
use api::decode::AnyObject;
use api::kubernetes::Pod;
use model::Proxy;
use model::endpoint::Locality;
use serde_json::Value;
use sources::event::Batch;

/// The objects of a folder, its problems told on the way.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn load(folder: &Path) -> Result<Batch> {
    let batch = sources::files::load(folder)?;
    for report in &batch.appeared {
        crate::logging::note(&**report);
    }
    Ok(batch)
}

/// The pod named `namespace/name`.
///
/// # Errors
/// The name has another form, or there is no such pod.
pub(crate) fn find<'a>(batch: &'a Batch, name: &str) -> Result<&'a Object<Pod>> {
    let Some((namespace, pod)) = name.split_once('/') else {
        bail!("--proxy {name:?}: write NAMESPACE/POD");
    };
    let pods = batch.events.iter().filter_map(|e| match e.object.as_deref() {
        Some(AnyObject::Pod(object)) => Some(&**object),
        _ => None,
    });
    let mut pods = pods.filter(|p| *p.meta.namespace == *namespace);
    pods.find(|p| *p.meta.name == *pod)
        .with_context(|| format!("--proxy {name}: the folder has no such Pod; add it with its status.podIP"))
}

/// The bootstrap options of the Envoy beside a pod.
///
/// # Errors
/// The pod has no address.
pub(crate) fn options(
    pod: &Object<Pod>,
    kind: NodeKind,
    at: Address,
    socket: &Path,
    cluster: &str,
) -> Result<Options> {
    let name = format!("{}/{}", pod.meta.namespace, pod.meta.name);
    let ips: Result<Vec<_>, _> = pod.spec.ips().map(str::parse).collect();
    let ips = ips.with_context(|| format!("Pod {name}: status.podIP is not an IP address"))?;
    let Some(ip) = ips.first() else { bail!("Pod {name} has no status.podIP: it is not scheduled yet") };
    let mut node = Node::new(kind, *ip, &pod.meta.name, &pod.meta.namespace);
    node.instance_ips.clone_from(&ips);
    node.labels.clone_from(&pod.meta.labels);
    node.annotations.clone_from(&pod.meta.annotations);
    let account = &pod.spec.service_account_name;
    node.service_account = Some(if account.is_empty() { "default".to_owned() } else { account.clone() });
    node.cluster_id = Some(cluster.to_owned());
    node.mesh_id = Some("cluster.local".to_owned());
    node.node_name = Some(pod.spec.node_name.clone()).filter(|n| !n.is_empty());
    node.workload_name = pod.meta.labels.get("app").cloned();
    node.interception_mode =
        pod.meta.annotations.get("sidecar.istio.io/interceptionMode").and_then(|m| match m.as_str() {
            "NONE" => Some(InterceptionMode::None),
            "TPROXY" => Some(InterceptionMode::Tproxy),
            _ => None,
        });
    let options = Options::new(node, at, socket.to_owned());
    options.check()?;
    Ok(options)
}

/// The proxy that an Envoy with this bootstrap is to the control plane.
///
/// # Errors
/// The node of the bootstrap cannot be read.
pub(crate) fn proxy(bootstrap: &Value) -> Result<Proxy> {
    let text = |path: &str| bootstrap.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let locality = Locality {
        region: text("/node/locality/region"),
        zone: text("/node/locality/zone"),
        subzone: text("/node/locality/sub_zone"),
    };
    let metadata = bootstrap.pointer("/node/metadata").cloned().unwrap_or_default();
    Ok(Proxy::parse(&text("/node/id"), &metadata, locality)?)
}

/// `sidecar` or `router`.
///
/// # Errors
/// Anything else.
pub(crate) fn kind(text: &str) -> Result<NodeKind> {
    match text {
        "sidecar" => Ok(NodeKind::Sidecar),
        "router" => Ok(NodeKind::Router),
        _ => bail!("--type {text:?}: write sidecar or router"),
    }
}
