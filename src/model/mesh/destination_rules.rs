//! The DestinationRule section: rules merged per namespace and host, looked up by client and service.
//!
//! Source: Istio `pilot/pkg/model/push_context.go`, `destination_rule.go`; `shared/spec/xds.md` 2.6.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ObjectRef;
use api::istio::DestinationRule;

use crate::config::{Config, Labels, selects};
use crate::content::Ref;
use crate::hostname;
use crate::visibility::ExportTo;

/// One or several rules of one host, merged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MergedRule {
    /// The merged content; its source is the first rule.
    pub rule: Ref<Config<DestinationRule>>,
    /// All rules that went in.
    pub from: Vec<ObjectRef>,
    /// Who sees it.
    pub export_to: ExportTo,
}

impl MergedRule {
    /// The labels of the clients that the rule is limited to, if it is.
    pub fn selector(&self) -> Option<&Labels> {
        self.rule.spec.workload_selector.as_ref().map(|s| &s.match_labels)
    }
}

/// The rules of one visibility level of one namespace, by host.
#[derive(Clone, Debug, Default)]
pub struct RulesByHost {
    /// Rules of exact hosts.
    pub exact: BTreeMap<Arc<str>, Vec<Ref<MergedRule>>>,
    /// Rules of wildcard hosts, most specific first.
    pub wildcard: Vec<(Arc<str>, Vec<Ref<MergedRule>>)>,
}

impl RulesByHost {
    /// Replaces the rules of a host; without rules it is forgotten.
    fn set(&mut self, host: &Arc<str>, rules: Vec<Ref<MergedRule>>) {
        if !hostname::is_wildcard(host) {
            if rules.is_empty() {
                self.exact.remove(host);
            } else {
                self.exact.insert(Arc::clone(host), rules);
            }
            return;
        }
        let found = self.wildcard.binary_search_by(|(other, _)| hostname::by_specificity(other, host));
        match (found, rules.is_empty()) {
            (Ok(at), true) => drop(self.wildcard.remove(at)),
            (Ok(at), false) => {
                if let Some((_, known)) = self.wildcard.get_mut(at) {
                    *known = rules;
                }
            }
            (Err(_), true) => {}
            (Err(at), false) => self.wildcard.insert(at, (Arc::clone(host), rules)),
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }

    /// The rules of the most specific host that covers `host`.
    fn matching(&self, host: &str) -> Option<&[Ref<MergedRule>]> {
        if let Some(rules) = self.exact.get(host) {
            return Some(rules);
        }
        self.wildcard
            .iter()
            .find(|(pattern, _)| hostname::subset_of(host, pattern))
            .map(|(_, r)| r.as_slice())
    }
}

/// All rules, as `xds.md` 2.6 stores them.
#[derive(Clone, Debug, Default)]
pub struct DestinationRules {
    /// Rules that a namespace's own clients see, private or not.
    pub local: BTreeMap<Arc<str>, Arc<RulesByHost>>,
    /// Rules that a namespace exports.
    pub exported: BTreeMap<Arc<str>, Arc<RulesByHost>>,
    /// Rules of the root namespace that are private to it.
    pub root_private: Arc<RulesByHost>,
}

/// The rules of one host that one namespace has, by who sees them: see [`DestinationRules`].
#[derive(Clone, Debug, Default)]
pub struct RulesOfHost {
    /// For the namespace's own clients.
    pub local: Vec<Ref<MergedRule>>,
    /// For others.
    pub exported: Vec<Ref<MergedRule>>,
    /// For the root namespace alone; `None` if the namespace is another.
    pub root_private: Option<Vec<Ref<MergedRule>>>,
}

/// A client, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its labels, at least those that any rule's selector names.
    pub labels: &'a Labels,
}

impl DestinationRules {
    /// Replaces the rules of a host that a namespace has; what other hosts and namespaces have stays as it is.
    pub fn set(&mut self, namespace: &Arc<str>, host: &Arc<str>, rules: RulesOfHost) {
        for (level, rules) in [(&mut self.local, rules.local), (&mut self.exported, rules.exported)] {
            let by_host = Arc::make_mut(level.entry(Arc::clone(namespace)).or_default());
            by_host.set(host, rules);
            if by_host.is_empty() {
                level.remove(namespace);
            }
        }
        if let Some(rules) = rules.root_private {
            Arc::make_mut(&mut self.root_private).set(host, rules);
        }
    }

    /// All rules; one that is both local and exported comes twice.
    pub fn all(&self) -> impl Iterator<Item = &Ref<MergedRule>> {
        let levels = self.local.values().chain(self.exported.values()).chain([&self.root_private]);
        levels.flat_map(|l| l.exact.values().chain(l.wildcard.iter().map(|(_, r)| r)).flatten())
    }

    /// The rule for a client and a service: the first level with a match ends the search (client's namespace,
    /// service's namespace, root namespace).
    pub fn lookup(
        &self,
        client: Client<'_>,
        host: &str,
        service_namespace: &str,
        root: &str,
    ) -> Option<&Ref<MergedRule>> {
        choose(self.candidates(client.namespace, host, service_namespace, root)?, client)
    }

    /// The rule that shapes the inbound side of a service: rules with a selector do not count.
    pub fn lookup_inbound(
        &self,
        namespace: &str,
        host: &str,
        service_namespace: &str,
        root: &str,
    ) -> Option<&Ref<MergedRule>> {
        let rules = self.candidates(namespace, host, service_namespace, root)?;
        seen(rules, namespace).rfind(|r| r.selector().is_none())
    }

    /// The rules of which [`Self::lookup`] takes one, whatever labels the client has.
    pub fn in_force<'a>(
        &'a self,
        namespace: &'a str,
        host: &str,
        service_namespace: &str,
        root: &str,
    ) -> impl Iterator<Item = &'a Ref<MergedRule>> {
        let candidates = self.candidates(namespace, host, service_namespace, root);
        candidates.into_iter().flat_map(move |rules| seen(rules, namespace))
    }

    /// The rules of the first level that has any for the host that the client sees.
    fn candidates(&self, client: &str, host: &str, service: &str, root: &str) -> Option<Candidates<'_>> {
        let own = if client == root { Some(&self.root_private) } else { self.local.get(client) };
        if let Some(rules) = own.and_then(|level| level.matching(host)) {
            return Some(Candidates { rules, own: true });
        }
        [service, root].into_iter().find_map(|namespace| {
            let rules = self.exported.get(namespace)?.matching(host)?;
            let candidates = Candidates { rules, own: false };
            seen(candidates, client).next().is_some().then_some(candidates)
        })
    }
}

/// Rules of one host at one level.
#[derive(Clone, Copy, Debug)]
struct Candidates<'a> {
    rules: &'a [Ref<MergedRule>],
    /// Of the client's own namespace: all of them count.
    own: bool,
}

/// The candidates that a client sees.
fn seen<'a>(
    candidates: Candidates<'a>,
    client: &str,
) -> impl DoubleEndedIterator<Item = &'a Ref<MergedRule>> {
    candidates.rules.iter().filter(move |r| candidates.own || r.export_to.visible_to(client))
}

/// A rule whose selector matches the client, else the last one without a selector.
fn choose<'a>(candidates: Candidates<'a>, client: Client<'_>) -> Option<&'a Ref<MergedRule>> {
    let selected = seen(candidates, client.namespace).find(|r| {
        let own = &**r.rule.namespace() == client.namespace;
        own && r.selector().is_some_and(|s| selects(s, client.labels))
    });
    selected.or_else(|| seen(candidates, client.namespace).rfind(|r| r.selector().is_none()))
}
