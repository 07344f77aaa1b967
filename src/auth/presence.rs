//! Pods and service accounts of the home cluster that are there, as the sources tell: what tokens are bound to.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use api::decode::AnyObject;
use api::{Kind, ObjectKey};
use sources::event::Event;
use sources::feed::Listener;

use crate::token::Bound;

/// Namespace and name.
type Name = (String, String);

/// The pods and service accounts that are there.
#[derive(Debug, Default)]
pub struct Presence(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    pods: HashMap<Name, Pod>,
    accounts: HashMap<Name, String>,
    /// How many pods of a service account run on a node: (node, namespace, account).
    placed: HashMap<(String, String, String), usize>,
}

/// What tokens are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) account: String,
    pub(crate) node: String,
    deletion: bool,
}

impl Presence {
    /// Takes that a service account is there with this UID, or that it is gone.
    pub fn account(&self, namespace: &str, name: &str, uid: Option<String>) {
        let key = (namespace.to_owned(), name.to_owned());
        let accounts = &mut self.write().accounts;
        match uid {
            Some(uid) => accounts.insert(key, uid),
            None => accounts.remove(&key),
        };
    }

    /// Takes all service accounts that are there, as (namespace, name, UID).
    pub fn accounts(&self, all: impl IntoIterator<Item = (String, String, String)>) {
        let all = all.into_iter().map(|(namespace, name, uid)| ((namespace, name), uid)).collect();
        self.write().accounts = all;
    }

    /// Whether all that a token of this service account is bound to is there and is the same as when it was made.
    ///
    /// # Errors
    /// What is not, or not yet known: nothing says that it is not there at all.
    pub(crate) fn holds(&self, namespace: &str, account: &str, bound: &Bound) -> Result<(), String> {
        let state = self.read();
        let there = state.accounts.get(&(namespace.to_owned(), account.to_owned()));
        if bound.namespace != namespace || bound.account.name != account {
            return Err("its parts name different service accounts".to_owned());
        }
        if there.is_none_or(|uid| *uid != bound.account.uid) {
            return Err(format!("service account {namespace}/{account} of that UID is not known"));
        }
        let Some(pod) = &bound.pod else {
            return if bound.elsewhere {
                Err("it is bound to what is not followed here".to_owned())
            } else {
                Ok(())
            };
        };
        let known = state.pods.get(&(namespace.to_owned(), pod.name.clone()));
        let same = known.is_some_and(|k| k.uid == pod.uid && k.account == account && !k.deletion);
        if same { Ok(()) } else { Err(format!("pod {namespace}/{} of that UID is not known", pod.name)) }
    }

    /// A pod.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Pod> {
        self.read().pods.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Whether a pod of a service account runs on a node.
    pub(crate) fn runs(&self, node: &str, namespace: &str, account: &str) -> bool {
        let key = (node.to_owned(), namespace.to_owned(), account.to_owned());
        !node.is_empty() && self.read().placed.contains_key(&key)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, key: &ObjectKey, pod: Option<Pod>) {
        let name = (key.namespace.to_string(), key.name.to_string());
        let before = match pod.clone() {
            Some(pod) => self.pods.insert(name, pod),
            None => self.pods.remove(&name),
        };
        if let Some(before) = before {
            let place = (before.node, key.namespace.to_string(), before.account);
            if let Some(count) = self.placed.get_mut(&place) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.placed.remove(&place);
                }
            }
        }
        if let Some(pod) = pod.filter(|pod| !pod.node.is_empty() && !pod.account.is_empty()) {
            *self.placed.entry((pod.node, key.namespace.to_string(), pod.account)).or_default() += 1;
        }
    }
}

impl Listener for Presence {
    fn take(&self, events: &[Event]) {
        let mut events = events.iter().filter(|event| event.key.kind == Kind::Pod).peekable();
        if events.peek().is_none() {
            return;
        }
        let mut state = self.write();
        for event in events {
            let pod = match event.object.as_deref() {
                Some(AnyObject::Pod(pod)) if !matches!(&*pod.spec.status.phase, "Failed" | "Succeeded") => {
                    Some(Pod {
                        uid: pod.meta.uid.clone(),
                        account: pod.spec.service_account_name.clone(),
                        node: pod.spec.node_name.clone(),
                        deletion: pod.meta.deletion,
                    })
                }
                _ => None,
            };
            state.put(&event.key, pod);
        }
    }

    fn complete(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pod_event, pod_gone};

    #[test]
    fn places_are_counted_by_pod() {
        let presence = Presence::default();
        presence.take(&[pod_event("shop", "a", "1", "web", "n1"), pod_event("shop", "b", "2", "web", "n1")]);
        assert!(presence.runs("n1", "shop", "web"));
        assert!(!presence.runs("n2", "shop", "web") && !presence.runs("", "shop", "web"));
        presence.take(&[pod_gone("shop", "a")]);
        assert!(presence.runs("n1", "shop", "web"));
        presence.take(&[pod_event("shop", "b", "3", "web", "n2")]);
        assert!(!presence.runs("n1", "shop", "web") && presence.runs("n2", "shop", "web"));
        presence.take(&[pod_gone("shop", "b")]);
        assert!(!presence.runs("n2", "shop", "web"));
        assert!(presence.read().placed.is_empty());
    }
}
