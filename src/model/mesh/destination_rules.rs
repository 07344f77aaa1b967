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
    pub local: BTreeMap<Arc<str>, RulesByHost>,
    /// Rules that a namespace exports.
    pub exported: BTreeMap<Arc<str>, RulesByHost>,
    /// Rules of the root namespace that are private to it.
    pub root_private: RulesByHost,
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
