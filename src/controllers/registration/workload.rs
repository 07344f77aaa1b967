//! Who asks to be registered, and whether it may.

use std::sync::Arc;

use model::proxy::identity::Identity;
use model::{Labels, Proxy};

use super::Refused;

/// The longest name of an object.
const LONGEST_NAME: usize = 253;

/// Who may be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Entries are made (`PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION`).
    pub auto: bool,
    /// Health is taken (`PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS`).
    pub health: bool,
    /// Only for whom it is: the identity is of the entry's namespace and service account
    /// (`ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY`).
    pub verify: bool,
}

/// A workload outside of Kubernetes, as its proxy tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The proxy's id, for logs.
    pub id: Arc<str>,
    /// The group that an entry is made of; none for a workload that has an entry already.
    pub group: Option<String>,
    /// The entry's namespace.
    pub namespace: Arc<str>,
    /// The entry's name.
    pub name: String,
    /// The workload's first address.
    pub address: String,
    /// Its network; empty if it names none.
    pub network: Arc<str>,
    /// `region/zone/subzone`; empty if it names none.
    pub locality: String,
    /// Its labels.
    pub labels: Labels,
    /// Whether its proxy will tell of its health.
    pub probed: bool,
    /// The service account that it says it has; empty if it names none.
    pub service_account: String,
    /// The SPIFFE ids that were verified.
    pub identities: Vec<String>,
}

impl Workload {
    /// What is registered of a proxy; `None` if nothing is.
    pub fn of(proxy: &Proxy, identities: &[String], rules: Rules) -> Option<Self> {
        let metadata = &proxy.metadata;
        let address = proxy.addresses.first()?.to_string();
        let wanted = |name: &String, on: bool| Some(name.clone()).filter(|name| on && !name.is_empty());
        let group = wanted(&metadata.auto_register_group, rules.auto);
        let name = match &group {
            Some(group) => entry_name(group, &address, &metadata.network),
            None => wanted(&metadata.workload_entry, rules.health)?,
        };
        Some(Self {
            id: Arc::clone(&proxy.id),
            group,
            namespace: Arc::clone(&proxy.namespace),
            name,
            address,
            network: Arc::clone(&metadata.network),
            locality: proxy.locality.label(),
            labels: metadata.labels.clone(),
            probed: metadata.proxy_config.as_ref().is_some_and(|config| config.readiness_probe.is_some()),
            service_account: metadata.service_account.clone(),
            identities: identities.to_vec(),
        })
    }

    /// What names the entry.
    pub(super) fn key(&self) -> Key {
        (Arc::clone(&self.namespace), self.name.clone())
    }

    /// Whether somebody vouches for the workload at all.
    ///
    /// # Errors
    /// Nobody does, and somebody must.
    pub(super) fn check_verified(&self, rules: Rules) -> Result<(), Refused> {
        if rules.verify && self.identity().is_none() {
            let message = "registration of WorkloadEntry requires a verified identity";
            return Err(Refused::No(message.to_owned()));
        }
        Ok(())
    }

    /// Whether the workload is the one that an entry of this namespace and service account (empty for any) is for.
    ///
    /// # Errors
    /// It is another.
    pub(super) fn check_identity(&self, namespace: &str, account: &str, rules: Rules) -> Result<(), Refused> {
        self.check_verified(rules)?;
        let Some(identity) = self.identity().filter(|_| rules.verify) else { return Ok(()) };
        let mismatch = |of: &str, has: &str, wants: &str| {
            let message = format!("registration of WorkloadEntry {of} mismatch: {has:?} vs {wants:?}");
            Err(Refused::No(message))
        };
        if identity.namespace != namespace {
            return mismatch("namespace", identity.namespace, namespace);
        }
        if !account.is_empty() && identity.account != account {
            return mismatch("service account", identity.account, account);
        }
        Ok(())
    }

    /// The identity that fits what the proxy says of itself best.
    fn identity(&self) -> Option<Identity<'_>> {
        let mut all: Vec<_> = self.identities.iter().filter_map(|text| Identity::parse(text)).collect();
        let says = |identity: &Identity<'_>| {
            let account = self.service_account.is_empty() || identity.account == self.service_account;
            (identity.namespace == &*self.namespace, account)
        };
        all.sort_by_key(|identity| std::cmp::Reverse(says(identity)));
        all.into_iter().next()
    }
}

/// Namespace and name of an entry.
pub(super) type Key = (Arc<str>, String);

/// `GROUP-ADDRESS[-NETWORK]`. Of a name that is too long the end is what tells workloads apart.
fn entry_name(group: &str, address: &str, network: &str) -> String {
    let mut name = format!("{group}-{}", address.replace(':', "-"));
    if !network.is_empty() {
        name = format!("{name}-{network}");
    }
    let mut from = name.len().saturating_sub(LONGEST_NAME);
    while !name.is_char_boundary(from) {
        from += 1;
    }
    name.split_off(from)
}

#[cfg(test)]
mod tests {
    use super::entry_name;

    #[test]
    fn names_keep_their_end() {
        assert_eq!(entry_name("vms", "10.0.0.1", ""), "vms-10.0.0.1");
        assert_eq!(entry_name("vms", "fd00::1", "east"), "vms-fd00--1-east");
        let long = entry_name(&"g".repeat(300), "10.0.0.1", "");
        assert_eq!((long.len(), &long[240..]), (253, "gggg-10.0.0.1"));
    }
}
