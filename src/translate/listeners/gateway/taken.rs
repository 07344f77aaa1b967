//! Which connections of a listener already have a chain: Envoy refuses a listener of which two chains match alike.

use std::collections::BTreeSet;

use api::Problem;

use crate::gateways::server::Server;

/// The names that the chains of a listener take.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    names: BTreeSet<String>,
    /// Whether some chain takes all other names.
    all: bool,
}

impl Taken {
    /// Whether some chain takes this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The names that are still free, for one more chain; `None` if there are none. Envoy refuses a listener of which
    /// two chains match alike.
    pub(super) fn claim(
        &mut self,
        server: &Server<'_>,
        problems: &mut Vec<Problem>,
        names: Vec<String>,
    ) -> Option<Vec<String>> {
        if names.is_empty() {
            if self.all {
                let message =
                    "another chain takes all connections already; the server is left out".to_owned();
                problems.push(server.problem(".hosts", message, "name hosts in place of *"));
                return None;
            }
            self.all = true;
            return Some(names);
        }
        let (usable, unusable): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_server_name(name));
        if !unusable.is_empty() {
            let message = format!("{unusable:?} cannot be told by TLS and are left out");
            problems.push(server.problem(".hosts", message, "begin wildcards with *. and no other label"));
        }
        let free: Vec<String> = usable.into_iter().filter(|name| self.names.insert(name.clone())).collect();
        if free.is_empty() {
            let message =
                "no name is left that no other server of the port has; the server is left out".to_owned();
            problems.push(server.problem(".hosts", message, "name each host once"));
            return None;
        }
        Some(free)
    }
}

/// Whether Envoy takes a name for a chain: it refuses listeners with wildcards for a part of a label.
fn is_server_name(name: &str) -> bool {
    !name.contains('*') || name.starts_with("*.")
}
