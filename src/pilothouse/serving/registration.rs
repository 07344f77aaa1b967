//! Joins `xds` and `controllers`: clients that are workloads outside of Kubernetes are registered before they are served.

use controllers::registration::{Presence, Refused, Registrar, Rules, Workload};
use xds::generate::{Code, NodeInfo, Peer, Refusal};
use xds::server::{Health, Registered, Registering};

use crate::authority::root::Settings;
use crate::authority::trust::of_the_mesh;
use crate::serving::translator;

/// What is told who wants to be registered where nothing can be written.
const NOWHERE: &str = "this control plane has no API server to write WorkloadEntries to: write the entry down beside \
                       the rest of the configuration, and take AUTO_REGISTER_GROUP out of the proxy's metadata";

/// Where clients are registered.
#[derive(Debug)]
pub(crate) struct Desk {
    /// None where there is nothing to write to.
    registrar: Option<Registrar>,
    rules: Rules,
    /// Whether a proxy must be who it says.
    checked: bool,
    /// Says whose identities are of the mesh.
    settings: Option<Settings>,
}

impl Desk {
    /// One that registers by these rules; proxies must be who they say if `checked`.
    pub(crate) fn new(registrar: Option<Registrar>, rules: Rules, checked: bool) -> Self {
        Self { registrar, rules, checked, settings: None }
    }

    /// The same, but identities of other trust domains than those of this mesh configuration do not count.
    #[must_use]
    pub(crate) fn within(self, settings: Settings) -> Self {
        Self { settings: Some(settings), ..self }
    }
}

impl xds::server::Registrar for Desk {
    fn register(&self, node: &NodeInfo, peer: &Peer) -> Option<Registering> {
        // A node that is malformed, or of somebody else, is refused by who serves it.
        let proxy = translator::proxy(node).ok()?;
        if self.checked {
            translator::check_identity(&proxy, &peer.identities).ok()?;
        }
        let identities = of_the_mesh(self.settings.as_ref(), &peer.identities);
        let workload = Workload::of(&proxy, &identities, self.rules)?;
        match &self.registrar {
            Some(registrar) => {
                let registrar = registrar.clone();
                Some(Box::pin(async move {
                    let presence = registrar.register(workload).await.map_err(refusal)?;
                    Ok(Box::new(Present(presence)) as Box<dyn Registered>)
                }))
            }
            // Of an entry that is written down only the health would be written.
            None if workload.group.is_none() => None,
            None => Some(Box::pin(async move {
                let message = format!("auto-registration WorkloadEntry of {} failed: {NOWHERE}", workload.id);
                Err(Refusal { code: Code::FailedPrecondition, message })
            })),
        }
    }
}

/// A client that is registered.
struct Present(Presence);

impl Registered for Present {
    fn health(&self, health: Health) {
        self.0.health(match health {
            Health::Healthy => Ok(()),
            Health::Unhealthy(words) => Err(words),
        });
    }
}

fn refusal(refused: Refused) -> Refusal {
    let message = refused.to_string();
    let code = match refused {
        Refused::NoGroup(_) => Code::FailedPrecondition,
        // The reference says no more than the words.
        Refused::No(_) => Code::Unknown,
        Refused::Later(_) => Code::Unavailable,
    };
    Refusal { code, message }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use envoy::google::protobuf::value::Kind;
    use envoy::google::protobuf::{Struct, Value};
    use xds::server::Registrar as _;

    use super::*;

    fn node(metadata: &[(&str, &str)]) -> NodeInfo {
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let fields = metadata.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect();
        NodeInfo {
            id: "sidecar~10.0.0.7~vm-1.shop~shop.svc.cluster.local".to_owned(),
            metadata: Some(Struct { fields }),
            ..NodeInfo::default()
        }
    }

    #[tokio::test]
    async fn without_a_cluster_who_wants_to_be_registered_is_told_what_to_do() {
        let rules = Rules { auto: true, health: true, verify: true };
        let desk = Arc::new(Desk::new(None, rules, true));
        let ask = |metadata: &[(&str, &str)]| desk.register(&node(metadata), &Peer::default());
        assert!(ask(&[]).is_none());
        assert!(ask(&[("WORKLOAD_ENTRY", "written-down")]).is_none());
        let refused = ask(&[("AUTO_REGISTER_GROUP", "vms")]).expect("a registration").await;
        let refusal = refused.err().expect("a refusal");
        assert_eq!(refusal.code, Code::FailedPrecondition);
        assert!(refusal.message.contains("has no API server"), "{refusal}");
        let off = Desk::new(None, Rules { auto: false, ..rules }, true);
        assert!(off.register(&node(&[("AUTO_REGISTER_GROUP", "vms")]), &Peer::default()).is_none());
    }
}
