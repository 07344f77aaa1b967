//! Proxies of nodes: which identities they may ask for beside their own, namely those of pods on their node.
//!
//! Source: `shared/spec/security.md` 2.4; Kubernetes, "Using Node Authorization".

use std::collections::BTreeSet;
use std::sync::Arc;

use ca::SpiffeId;

use crate::{Caller, Domains, Presence, Refused, Settings};

/// The service accounts whose pods may ask for identities of their node.
pub struct NodeProxies {
    trusted: BTreeSet<(String, String)>,
    presence: Arc<Presence>,
    settings: Settings,
}

impl NodeProxies {
    /// These service accounts, as (namespace, name); `presence` tells what runs where.
    pub fn new(
        trusted: impl IntoIterator<Item = (String, String)>,
        presence: Arc<Presence>,
        settings: Settings,
    ) -> Self {
        Self { trusted: trusted.into_iter().collect(), presence, settings }
    }

    /// The identity that a caller asks for, if it may have it.
    ///
    /// # Errors
    /// It may not; for the log, not for the client.
    pub(crate) fn admit(&self, caller: &Caller, wanted: &str) -> Result<SpiffeId, Refused> {
        let refused =
            |reason: String| Refused::new(format!("{} asks for {wanted:?}: {reason}", caller.identity));
        let (namespace, account) = (caller.identity.namespace(), caller.identity.service_account());
        if !self.trusted.contains(&(namespace.to_owned(), account.to_owned())) {
            return Err(refused("CA_TRUSTED_NODE_ACCOUNTS does not name it".to_owned()));
        }
        let wanted: SpiffeId = wanted.parse().map_err(|error: ca::Error| refused(error.to_string()))?;
        // Only our own domain: what an alias is for is to be believed, not to be issued.
        if wanted.trust_domain() != Domains::now(&self.settings)?.own {
            return Err(refused("that is of another trust domain".to_owned()));
        }
        let Some(bound) = &caller.pod else {
            return Err(refused("its credentials are bound to no pod".to_owned()));
        };
        let pod = self.presence.pod(namespace, &bound.name);
        let Some(pod) = pod.filter(|pod| pod.uid == bound.uid && pod.account == account) else {
            return Err(refused(format!("its pod {namespace}/{} is not there any more", bound.name)));
        };
        if !self.presence.runs(&pod.node, wanted.namespace(), wanted.service_account()) {
            return Err(refused(format!("no pod on its node {:?} has that identity", pod.node)));
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use sources::feed::Listener as _;

    use super::*;
    use crate::testing::{pod_event, pod_gone, settings};
    use crate::{BoundPod, Means};

    fn caller(account: &str, pod: Option<&str>) -> Caller {
        Caller {
            identity: SpiffeId::new("cluster.local", "istio-system", account).unwrap(),
            means: Means::Token,
            pod: pod.map(|uid| BoundPod { name: "zt-1".to_owned(), uid: uid.to_owned() }),
        }
    }

    #[test]
    fn only_what_runs_on_its_own_node() {
        let presence = Arc::new(Presence::default());
        presence.take(&[
            pod_event("istio-system", "zt-1", "z1", "ztunnel", "n1"),
            pod_event("shop", "a", "a1", "web", "n1"),
            pod_event("shop", "b", "b1", "db", "n2"),
        ]);
        let trusted = [("istio-system".to_owned(), "ztunnel".to_owned())];
        let nodes = NodeProxies::new(trusted, Arc::clone(&presence), settings());
        let (web, db) = ("spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/shop/sa/db");
        let ztunnel = caller("ztunnel", Some("z1"));
        assert_eq!(nodes.admit(&ztunnel, web).unwrap().to_string(), web);
        for (who, wanted, reason) in [
            (caller("other", Some("z1")), web, "CA_TRUSTED_NODE_ACCOUNTS"),
            (caller("ztunnel", None), web, "bound to no pod"),
            (caller("ztunnel", Some("z0")), web, "not there any more"),
            (ztunnel.clone(), db, "no pod on its node"),
            (ztunnel.clone(), "spiffe://evil/ns/shop/sa/web", "another trust domain"),
            (ztunnel.clone(), "shop/web", "identity"),
        ] {
            let refused = nodes.admit(&who, wanted).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
        presence.take(&[pod_gone("shop", "a")]);
        assert!(nodes.admit(&ztunnel, web).is_err());
    }
}
