//! Which pods are the other replicas: those that bear the labels of this one's pod; of all revisions those of its workload.
//!
//! Source: the labels of istiod's Deployment; Istio `manifests/charts/istio-control/istio-discovery/templates/deployment.yaml`.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::Mesh;
use model::mesh::Pod;

/// The name of the workload.
const APP: &str = "app";

/// The revision: what another one serves is not told of by this one.
const REVISION: &str = "istio.io/rev";

/// A replica of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    /// The namespace of its pod.
    pub(crate) namespace: String,
    /// The name of its pod.
    pub(crate) name: String,
    /// The port of the pages that replicas ask each other for; none if nobody can ask.
    pub(crate) port: Option<u16>,
}

/// Another replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer {
    /// The name of its pod.
    pub(crate) name: Arc<str>,
    /// Where it is asked.
    pub(crate) address: SocketAddr,
}

/// All that are known.
pub(crate) type Known = BTreeSet<Peer>;

/// The port of `HOST:PORT`; none if it is not fixed.
pub(crate) fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok().filter(|port| *port != 0)
}

/// The others of its revision among the pods of the home cluster. None if the pod of `own` is not known or has no name of a workload: then
/// nothing says which pods are the others.
pub(super) fn others(mesh: &Mesh, own: &Replica) -> Option<Known> {
    alike(mesh, own, &[APP, REVISION])
}

/// The others of all revisions: whoever has the same root, if not the same proxies.
pub(crate) fn of_all_revisions(mesh: &Mesh, own: &Replica) -> Option<Known> {
    alike(mesh, own, &[APP])
}

fn alike(mesh: &Mesh, own: &Replica, labels: &[&str]) -> Option<Known> {
    let pods = mesh.workloads.pods.get(own.namespace.as_str())?;
    let pod = pods.get(own.name.as_str())?;
    label(pod, APP).filter(|app| !app.is_empty())?;
    let port = own.port?;
    let alike = pods.values().filter(|other| {
        other.name != pod.name
            && !other.finished
            && labels.iter().all(|name| label(other, name) == label(pod, name))
    });
    let peer = |other: &Pod| {
        let address: IpAddr = other.addresses.first()?.parse().ok()?;
        Some(Peer { name: Arc::clone(&other.name), address: SocketAddr::new(address, port) })
    };
    Some(alike.filter_map(|other| peer(other)).collect())
}

fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.workload.labels.get(name).map(String::as_str)
}
