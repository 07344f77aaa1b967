//! Names: of clusters, of their SNI, of their statistics.
//!
//! Source: `shared/spec/xds.md` 2.2, 2.4 (`alt_stat_name`).

use std::fmt::Write as _;

use model::service::{Registry, Service, ServicePort};

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
    let short = match service.registry {
        Registry::Kubernetes => format!("{}.{}", service.name, service.namespace),
        Registry::External => service.host.to_string(),
    };
    let name = pattern
        .replace("%SERVICE%", &short)
        .replace("%SERVICE_NAME%", &service.name)
        .replace("%SERVICE_FQDN%", &service.host)
        .replace("%SERVICE_PORT%", &port.number.to_string())
        .replace("%SERVICE_PORT_NAME%", &port.name)
        .replace("%SUBSET_NAME%", subset)
        .replace("%TARGET_PORT%", "0");
    stat(&name)
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
