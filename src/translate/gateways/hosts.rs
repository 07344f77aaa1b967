//! Hosts of servers: `host`, `namespace/host`, `./host`, `*/host`, and which hosts of a VirtualService they let in.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::hostname;

/// A host that a server serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServedHost {
    /// The namespace whose VirtualServices may bind to it; `None` for all.
    pub(crate) namespace: Option<Arc<str>>,
    /// The host, perhaps a wildcard.
    pub(crate) host: Arc<str>,
}

impl ServedHost {
    /// Reads a host as a Gateway of `namespace` writes it. Case tells no hosts apart.
    pub(crate) fn parse(text: &str, namespace: &Arc<str>) -> Self {
        let text = &*text.to_lowercase();
        match text.split_once('/') {
            None | Some(("*", _)) => {
                let host = text.strip_prefix("*/").unwrap_or(text);
                Self { namespace: None, host: Arc::from(host) }
            }
            Some((".", host)) => Self { namespace: Some(Arc::clone(namespace)), host: Arc::from(host) },
            Some((other, host)) => Self { namespace: Some(Arc::from(other)), host: Arc::from(host) },
        }
    }

    /// Whether VirtualServices of a namespace may bind to it.
    pub(crate) fn admits(&self, namespace: &str) -> bool {
        self.namespace.as_ref().is_none_or(|own| **own == *namespace)
    }
}

/// The hosts that a VirtualService of `namespace` gets on a server: of each pair that overlaps, the narrower one.
pub(crate) fn intersection(served: &[ServedHost], hosts: &[String], namespace: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for server in served.iter().filter(|s| s.admits(namespace)) {
        for host in hosts {
            let narrower = if hostname::subset_of(&server.host, host) {
                &*server.host
            } else if hostname::subset_of(host, &server.host) {
                host
            } else {
                continue;
            };
            if !found.iter().any(|f| f == narrower) {
                found.push(narrower.to_owned());
            }
        }
    }
    found
}

/// Whether a VirtualService of `namespace` has any host on a server.
pub(crate) fn meets(served: &[ServedHost], hosts: &[String], namespace: &str) -> bool {
    let mut served = served.iter().filter(|s| s.admits(namespace));
    served.any(|s| hosts.iter().any(|h| hostname::overlaps(&s.host, h)))
}

/// The names by which TLS connections to these hosts are told, sorted; none if any name will do.
pub(crate) fn server_names(served: &[ServedHost]) -> Vec<String> {
    let names: BTreeSet<&str> = served.iter().map(|s| &*s.host).collect();
    if names.contains("*") { Vec::new() } else { names.into_iter().map(str::to_owned).collect() }
}
