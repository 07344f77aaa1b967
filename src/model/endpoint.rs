//! Endpoints of services and the workloads behind them.
//!
//! Source: Istio `pilot/pkg/model/service.go` (IstioEndpoint); `shared/spec/xds.md` 3.1, `shared/spec/kubernetes.md` 2.3-2.5.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Labels;
use crate::content::Ref;

/// The health of an endpoint as its registry sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Takes traffic.
    Healthy,
    /// Takes traffic as far as anybody knows: nobody looks after it (ServiceEntries, WorkloadEntries).
    Unknown,
    /// Not ready.
    Unhealthy,
    /// Shutting down, still serving its sessions.
    Draining,
    /// Shutting down: never sent.
    Terminating,
}

/// Whether a workload takes mesh mTLS, from its label `security.istio.io/tlsMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsMode {
    /// `istio`: a sidecar is there.
    Istio,
    /// Anything else.
    #[default]
    Disabled,
}

/// A region, zone and subzone; empty strings for unknown parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Subzone.
    pub subzone: String,
}

impl Locality {
    /// Reads `region/zone/subzone`; missing parts are empty. In label values `.` separates as well.
    pub fn parse(text: &str) -> Self {
        let separator = if text.contains('/') { '/' } else { '.' };
        let mut parts = text.splitn(3, separator).map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }

    /// Reads `region/zone/subzone`, in which a `.` is part of a name; missing parts are empty.
    pub fn of_path(text: &str) -> Self {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.region.is_empty() && self.zone.is_empty() && self.subzone.is_empty()
    }

    /// `region/zone/subzone`, trailing empty parts left out.
    pub fn label(&self) -> String {
        let mut text = format!("{}/{}/{}", self.region, self.zone, self.subzone);
        while text.ends_with('/') {
            text.pop();
        }
        text
    }
}

/// What is known of the workload behind an endpoint; shared by all its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Name of the workload (deployment), or of the pod if it has no owner.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its labels, augmented with cluster, region, zone, subzone, network and host name.
    pub labels: Labels,
    /// Where it is.
    pub locality: Locality,
    /// Its network; empty if unknown.
    pub network: Arc<str>,
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its SPIFFE id; empty if it has none.
    pub identity: Arc<str>,
    /// Whether it takes mesh mTLS.
    pub tls_mode: TlsMode,
    /// Its node; empty if unknown.
    pub node: Arc<str>,
    /// Pod host name and subdomain, for names of the pods of headless services; empty where there is no subdomain.
    pub hostname: Arc<str>,
    /// See `hostname`.
    pub subdomain: Arc<str>,
}

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP address.
    Ip(Arc<str>),
    /// A host name, for DNS clusters only.
    Host(Arc<str>),
    /// A Unix domain socket path.
    Pipe(Arc<str>),
}

/// One address and port of a workload, behind one service port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address that it is known by.
    pub address: Address,
    /// Further addresses (dual stack).
    pub additional: Vec<Arc<str>>,
    /// The port that the workload listens on; 0 for a pipe.
    pub port: u16,
    /// The name of the service port.
    pub port_name: Arc<str>,
    /// Load balancing weight, at least 1.
    pub weight: u32,
    /// Its health.
    pub health: Health,
    /// The workload.
    pub workload: Ref<Workload>,
}

/// All endpoints of one service, of all its ports.
#[derive(Clone, Debug, Default)]
pub struct ServiceEndpoints {
    /// The endpoints, in a stable order.
    pub endpoints: Ref<Vec<Endpoint>>,
    /// The SPIFFE ids of their workloads; changes less often than the endpoints.
    pub identities: Ref<BTreeSet<Arc<str>>>,
    /// Whether there are endpoints and all of them take mesh mTLS.
    pub all_mtls: bool,
}

impl ServiceEndpoints {
    /// Derives the shared parts from the endpoints.
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        let identities =
            endpoints.iter().map(|e| Arc::clone(&e.workload.identity)).filter(|i| !i.is_empty()).collect();
        let all_mtls =
            !endpoints.is_empty() && endpoints.iter().all(|e| e.workload.tls_mode == TlsMode::Istio);
        Self { endpoints: Ref::new(endpoints), identities: Ref::new(identities), all_mtls }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localities_are_read_and_printed() {
        assert_eq!(Locality::parse("r1/z1/s1").label(), "r1/z1/s1");
        assert_eq!(Locality::parse("r1.z1").label(), "r1/z1");
        assert_eq!(Locality::parse("r1").label(), "r1");
        assert!(Locality::parse("").is_empty());
        assert_eq!(Locality { subzone: "s".into(), ..Locality::default() }.label(), "//s");
    }
}
