//! Which Secret provides which cluster. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Kind, ObjectKey, Severity};

use super::secrets::{Access, Hidden, Id};
use super::status::SecretEvent;
use crate::kube::follow::Change;
use crate::report::{Place, Report};

/// The Secrets that are known, and whose each cluster is.
#[derive(Debug)]
pub(super) struct Table {
    /// The cluster that the Secrets are in.
    home: Arc<str>,
    secrets: BTreeMap<Id, BTreeMap<Arc<str>, Hidden>>,
    owners: BTreeMap<Arc<str>, Id>,
}

/// How a cluster is reached, and which Secret says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Provided {
    pub(super) secret: Id,
    pub(super) kubeconfig: Hidden,
}

impl Table {
    /// No Secrets, in the cluster `home`.
    pub(super) fn new(home: &str) -> Self {
        Self { home: home.into(), secrets: BTreeMap::new(), owners: BTreeMap::new() }
    }

    /// Takes what the Secrets' watch says; what came, changed and went comes back.
    pub(super) fn take(&mut self, change: Change<Access>) -> Vec<SecretEvent> {
        match change {
            Change::Listed(all) => {
                let gone: Vec<Id> =
                    self.secrets.keys().filter(|id| all.iter().all(|a| a.secret != **id)).cloned().collect();
                let mut events: Vec<_> = gone.iter().filter_map(|id| self.remove(id)).collect();
                events.extend(all.into_iter().filter_map(|access| self.put(access)));
                events
            }
            Change::Applied(access) => self.put(access).into_iter().collect(),
            Change::Deleted(access) => self.remove(&access.secret).into_iter().collect(),
            Change::Absent => Vec::new(),
        }
    }

    fn put(&mut self, access: Access) -> Option<SecretEvent> {
        match self.secrets.insert(access.secret.clone(), access.kubeconfigs) {
            None => Some(SecretEvent::Add),
            Some(old) if self.secrets.get(&access.secret) != Some(&old) => Some(SecretEvent::Update),
            Some(_) => None,
        }
    }

    fn remove(&mut self, id: &Id) -> Option<SecretEvent> {
        self.secrets.remove(id).map(|_| SecretEvent::Delete)
    }

    /// How each cluster is reached. The home cluster is left out; a cluster that a Secret has stays its own, and what
    /// other Secrets say of it is reported.
    pub(super) fn settle(&mut self) -> (BTreeMap<Arc<str>, Provided>, Vec<Arc<Report>>) {
        let secrets = &self.secrets;
        self.owners.retain(|cluster, id| secrets.get(id).is_some_and(|all| all.contains_key(cluster)));
        let (mut provided, mut refused) = (BTreeMap::new(), Vec::new());
        for (id, kubeconfigs) in secrets {
            for (cluster, kubeconfig) in kubeconfigs.iter().filter(|(cluster, _)| **cluster != self.home) {
                let owner = self.owners.entry(Arc::clone(cluster)).or_insert_with(|| id.clone());
                if owner == id {
                    let how = Provided { secret: id.clone(), kubeconfig: kubeconfig.clone() };
                    provided.insert(Arc::clone(cluster), how);
                } else {
                    let message = format!(
                        "Secret {}/{} provides this cluster already; this is ignored",
                        owner.0, owner.1
                    );
                    let hint =
                        "a cluster is given by one Secret alone: take it out of one of the two".to_owned();
                    refused.push(report(&self.home, id, format!("data.{cluster}"), message, hint));
                }
            }
        }
        (provided, refused)
    }
}

/// An error at a field of a Secret.
pub(super) fn report(home: &str, secret: &Id, field: String, message: String, hint: String) -> Arc<Report> {
    let (namespace, name) = (Arc::clone(&secret.0), Arc::clone(&secret.1));
    Arc::new(Report {
        place: Place::cluster(home),
        severity: Severity::Error,
        object: Some(ObjectKey { kind: Kind::Secret, namespace, name }),
        field,
        message,
        hint,
        last_good: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(name: &str, clusters: &[(&str, &str)]) -> Access {
        let one = |(cluster, text): &(&str, &str)| (Arc::from(*cluster), Hidden::new(text.as_bytes()));
        Access {
            secret: ("istio-system".into(), name.into()),
            kubeconfigs: clusters.iter().map(one).collect(),
        }
    }

    /// The clusters with the Secrets that provide them, and the Secrets of the refusals.
    fn settled(table: &mut Table) -> (Vec<String>, Vec<String>) {
        let (provided, refused) = table.settle();
        let provided =
            provided.iter().map(|(cluster, how)| format!("{cluster} by {}", how.secret.1)).collect();
        let refused =
            refused.iter().map(|r| format!("{} {}", r.object.as_ref().expect("a Secret").name, r.field));
        (provided, refused.collect())
    }

    #[test]
    fn a_cluster_stays_with_the_secret_that_had_it_first() {
        let mut table = Table::new("home");
        let first = vec![access("b", &[("east", "1"), ("home", "0")]), access("c", &[("west", "2")])];
        assert_eq!(table.take(Change::Listed(first)), [SecretEvent::Add, SecretEvent::Add]);
        let both = ["east by b", "west by c"].map(str::to_owned).to_vec();
        assert_eq!(settled(&mut table), (both.clone(), vec![]));
        assert_eq!(table.take(Change::Applied(access("a", &[("east", "3")]))), [SecretEvent::Add]);
        assert_eq!(settled(&mut table), (both, vec!["a data.east".to_owned()]));
        assert_eq!(table.take(Change::Deleted(access("b", &[]))), [SecretEvent::Delete]);
        assert_eq!(settled(&mut table), (["east by a", "west by c"].map(str::to_owned).to_vec(), vec![]));
        let same = vec![access("a", &[("east", "3")])];
        assert_eq!(table.take(Change::Listed(same.clone())), [SecretEvent::Delete]);
        assert_eq!(table.take(Change::Listed(same)), []);
        assert_eq!(settled(&mut table), (vec!["east by a".to_owned()], vec![]));
    }
}
