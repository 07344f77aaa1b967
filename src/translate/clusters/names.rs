//! Names: of clusters, of their SNI, of their statistics.
//!
//! Source: `shared/spec/xds.md` 2.2, 2.4 (`alt_stat_name`).

use std::fmt::Write as _;

use model::service::{Registry, Service, ServicePort};

/// The cluster of a port that the workload serves.
pub fn inbound(port: u16) -> String {
    format!("inbound|{port}||")
}

/// The cluster of a service's port; `subset` is empty for the whole service.
pub fn outbound(port: u16, subset: &str, host: &str) -> String {
    let mut name = String::with_capacity(host.len().saturating_add(subset.len()).saturating_add(16));
    // Writing to a string does not fail.
    let _ = write!(name, "outbound|{port}|{subset}|{host}");
    name
}

/// The name by which a service's port is asked for in SNI; also that of a cluster behind an AUTO_PASSTHROUGH server.
pub fn sni(port: u16, subset: &str, host: &str) -> String {
    format!("outbound_.{port}_.{subset}_.{host}")
}

/// The name of a cluster in statistics: what the tag patterns of the bootstrap expect ends with `;`.
pub fn stat(name: &str) -> String {
    format!("{name};")
}

/// The name in statistics that a pattern of the mesh configuration gives.
pub fn stat_of_pattern(pattern: &str, service: &Service, port: &ServicePort, subset: &str) -> String {
    stat(&Place::of(service, port.number, &port.name, subset).expand(pattern))
}

/// What patterns of statistics may name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place<'a> {
    /// The service for short.
    pub(crate) short: String,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its host.
    pub(crate) host: &'a str,
    /// Number of its port.
    pub(crate) port: u16,
    /// Name of its port.
    pub(crate) port_name: &'a str,
    /// The subset; empty for none.
    pub(crate) subset: &'a str,
}

impl<'a> Place<'a> {
    /// A port of a service.
    pub(crate) fn of(service: &'a Service, port: u16, port_name: &'a str, subset: &'a str) -> Self {
        let short = match service.registry {
            Registry::Kubernetes => format!("{}.{}", service.name, service.namespace),
            Registry::External => service.host.to_string(),
        };
        Self { short, name: &service.name, host: &service.host, port, port_name, subset }
    }

    /// The pattern with everything that it names filled in.
    pub(crate) fn expand(&self, pattern: &str) -> String {
        pattern
            .replace("%SERVICE%", &self.short)
            .replace("%SERVICE_NAME%", self.name)
            .replace("%SERVICE_FQDN%", self.host)
            .replace("%SERVICE_PORT%", &self.port.to_string())
            .replace("%SERVICE_PORT_NAME%", self.port_name)
            .replace("%SUBSET_NAME%", self.subset)
            .replace("%TARGET_PORT%", "0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_subset_keeps_both_bars() {
        assert_eq!(outbound(80, "", "a.b"), "outbound|80||a.b");
        assert_eq!(sni(80, "v1", "a.b"), "outbound_.80_.v1_.a.b");
        assert_eq!(stat("x"), "x;");
    }
}
