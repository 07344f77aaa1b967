//! The traffic policy in force for one port and subset of a service: rule, port, mesh and subset in layers.
//!
//! Source: Istio `pilot/pkg/networking/util/util.go`; `shared/spec/xds.md` 2.6 (policy layering).

use api::istio::{
    ClientTlsSettings, ConnectionPoolSettings, DestinationRule, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, ProxyProtocol, RetryBudget, SimpleLb, Subset, TrafficPolicy, TunnelSettings,
};
use api::mesh_config::MeshConfig;

/// What is in force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy<'a> {
    /// How an endpoint is chosen.
    pub load_balancer: Option<&'a LoadBalancerSettings>,
    /// Limits and times of connections.
    pub connection_pool: Option<&'a ConnectionPoolSettings>,
    /// When endpoints are set aside.
    pub outlier_detection: Option<&'a OutlierDetection>,
    /// TLS towards the endpoints.
    pub tls: Option<&'a ClientTlsSettings>,
    /// Tunnel through an HTTP proxy.
    pub tunnel: Option<&'a TunnelSettings>,
    /// PROXY protocol towards the endpoints.
    pub proxy_protocol: Option<&'a ProxyProtocol>,
    /// Retries under way.
    pub retry_budget: Option<&'a RetryBudget>,
}

impl<'a> Policy<'a> {
    /// The policy of a rule for a port and a subset (empty for the whole service). A subset that the rule has not
    /// has the policy of the whole service.
    pub fn of(rule: Option<&'a DestinationRule>, port: u16, subset: &str, mesh: &'a MeshConfig) -> Self {
        let mut policy = Self::whole(rule, port);
        if let Some(default) = &mesh.default_traffic_policy {
            policy.connection_pool = policy.connection_pool.or(default.connection_pool.as_ref());
            policy.outlier_detection = policy.outlier_detection.or(default.outlier_detection.as_ref());
        }
        policy.lay_subset(rule, port, subset);
        policy
    }

    /// The same without the mesh's defaults.
    pub fn of_rule(rule: Option<&'a DestinationRule>, port: u16, subset: &str) -> Self {
        let mut policy = Self::whole(rule, port);
        policy.lay_subset(rule, port, subset);
        policy
    }

    /// What the subset says lies over the rest; a port's policy of it stands for all of it.
    fn lay_subset(&mut self, rule: Option<&'a DestinationRule>, port: u16, subset: &str) {
        let own = rule.and_then(|r| find_subset(r, subset)).and_then(|s| s.traffic_policy.as_ref());
        let Some(own) = own else { return };
        match port_level(own, port) {
            Some(of_port) => self.replace(of_port),
            None => self.overlay(own),
        }
    }

    /// Whether traffic goes to the address that the client asked for.
    pub fn is_passthrough(&self) -> bool {
        self.load_balancer.and_then(|b| b.simple) == Some(SimpleLb::Passthrough)
    }

    /// The rule's policy without subsets and the mesh's defaults: a port's policy takes the place of the rule's
    /// whole.
    fn whole(rule: Option<&'a DestinationRule>, port: u16) -> Self {
        let Some(top) = rule.and_then(|r| r.traffic_policy.as_ref()) else { return Self::default() };
        let mut policy = Self::default();
        match port_level(top, port) {
            Some(of_port) => policy.replace(of_port),
            None => policy.overlay(top),
        }
        policy
    }

    fn overlay(&mut self, upper: &'a TrafficPolicy) {
        self.load_balancer = upper.load_balancer.as_ref().or(self.load_balancer);
        self.connection_pool = upper.connection_pool.as_ref().or(self.connection_pool);
        self.outlier_detection = upper.outlier_detection.as_ref().or(self.outlier_detection);
        self.tls = upper.tls.as_ref().or(self.tls);
        self.tunnel = upper.tunnel.as_ref().or(self.tunnel);
        self.proxy_protocol = upper.proxy_protocol.as_ref().or(self.proxy_protocol);
        self.retry_budget = upper.retry_budget.as_ref().or(self.retry_budget);
    }

    /// What a port's policy leaves out has its default.
    fn replace(&mut self, of_port: &'a PortTrafficPolicy) {
        self.load_balancer = of_port.load_balancer.as_ref();
        self.connection_pool = of_port.connection_pool.as_ref();
        self.outlier_detection = of_port.outlier_detection.as_ref();
        self.tls = of_port.tls.as_ref();
    }
}

/// The subset of this name; the first if there are several.
pub fn find_subset<'a>(rule: &'a DestinationRule, name: &str) -> Option<&'a Subset> {
    if name.is_empty() {
        return None;
    }
    rule.subsets.iter().find(|s| s.name == name)
}

/// The policy of a port.
pub(crate) fn port_level(policy: &TrafficPolicy, port: u16) -> Option<&PortTrafficPolicy> {
    let of_port = |p: &&PortTrafficPolicy| p.port.as_ref().is_some_and(|s| s.number == u32::from(port));
    policy.port_level_settings.iter().find(of_port)
}

#[cfg(test)]
mod tests;
