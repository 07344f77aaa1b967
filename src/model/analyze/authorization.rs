//! AuthorizationPolicies against what they are for: ports that carry no HTTP, callers in plain text, tokens that nobody
//! verifies, authorizers that are not there.
//!
//! Source: `shared/spec/security.md` 8.5, 8.7, 9.2 (ISTIO-SECURITY-2021-001, ISTIO-SECURITY-2021-004).

use api::istio::{
    AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, MutualTlsMode, Operation,
    PeerAuthentication, PolicyTargetReference, Source, Unread,
};

use super::Subject;
use super::policies::{labels, port};
use super::ports::{agree, is_before};
use crate::config::{Config, Labels};
use crate::content::Ref;
use crate::mesh::Mesh;
use crate::protocol::Class;
use crate::service::{Service, TargetPort};
use crate::validate::Check;

/// Keys of conditions on the identity of the connection.
const IDENTITIES: [&str; 4] =
    ["source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain"];

/// A policy, and which workloads it is for.
struct About<'a> {
    policy: &'a AuthorizationPolicy,
    namespace: &'a str,
    /// It is for all namespaces.
    whole_mesh: bool,
    selected: Option<&'a Labels>,
    mesh: &'a Mesh,
}

pub(super) fn authorization_policy(
    check: &mut Check,
    policy: &AuthorizationPolicy,
    subject: Subject<'_>,
    mesh: &Mesh,
) {
    if policy.unread != Unread::Nothing {
        return;
    }
    let about = About {
        policy,
        namespace: subject.namespace(),
        whole_mesh: subject.namespace() == mesh.settings.mesh.root_namespace,
        selected: labels(policy.selector.as_ref()),
        mesh,
    };
    about.targets(check);
    about.provider(check);
    check.each("rules", &policy.rules, |check, rule| {
        about.contradictions(check, rule);
        about.tokens(check, rule);
    });
    // A policy for a target is enforced where the target's ports are those of a service, and callers are clients.
    if policy.target_ref.is_some() || !policy.target_refs.is_empty() {
        return;
    }
    check.each("rules", &policy.rules, |check, rule| {
        about.ports(check, rule, subject);
        about.identities(check, rule);
    });
    about.bytes(check);
}

impl About<'_> {
    /// Targets that no proxy of this mesh stands for.
    fn targets(&self, check: &mut Check) {
        let look = |check: &mut Check, target: &PolicyTargetReference| {
            if !matches!(target.kind.as_str(), "" | "Gateway") {
                let message = format!(
                    "waypoints enforce policies for a {}, and they are not served: nothing does",
                    target.kind
                );
                check.warning("kind", message, "select workloads by a selector, or name a Gateway");
            }
        };
        check.some("targetRef", self.policy.target_ref.as_ref(), look);
        check.each("targetRefs", &self.policy.target_refs, look);
    }

    /// Which provider a policy names, and whether it can do what is asked of it.
    fn provider(&self, check: &mut Check) {
        let Some(provider) = self.policy.provider.as_ref().filter(|provider| !provider.name.is_empty())
        else {
            return;
        };
        let settings = &self.mesh.settings;
        let named = settings.mesh.extension_providers.iter().filter(|known| known.name == provider.name);
        let of_http = named.clone().any(|known| known.envoy_ext_authz_http.is_some());
        if !of_http && !named.clone().any(|known| known.envoy_ext_authz_grpc.is_some()) {
            let message = format!(
                "the mesh has no external authorizer {:?} among its extensionProviders; whatever the rules match is denied",
                provider.name
            );
            check.error("provider.name", message, "add it to the mesh configuration, or name another");
        } else if of_http && let Some((service, number)) = self.of_bytes().next() {
            let message = format!(
                "{:?} is an authorizer of HTTP, which nobody asks about connections to port {number} of {}: they pass",
                provider.name, service.source.key
            );
            check.warning(
                "provider.name",
                message,
                "name one of gRPC, or deny these ports by another policy",
            );
        }
        let others = self.mesh.authorization_policies.iter().filter(|other| {
            let provider = other.spec.provider.as_ref();
            other.spec.action == AuthorizationAction::Custom
                && provider
                    .is_some_and(|other| !other.name.is_empty() && other.name != provider_name(self.policy))
                && self.meets(other)
        });
        if !settings.features.several_authorizers
            && let Some(other) = others.into_iter().next()
        {
            let message = format!(
                "{} names another authorizer for the same workloads, where only one may be asked: both deny what their rules match",
                other.source.key
            );
            let hint = "set PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS to true, or name one authorizer";
            check.warning("provider.name", message, hint);
        }
    }

    /// Whether another policy may be for a workload that this one is for.
    fn meets(&self, other: &Config<AuthorizationPolicy>) -> bool {
        let root = &self.mesh.settings.mesh.root_namespace;
        let namespaces =
            self.whole_mesh || **other.namespace() == *self.namespace || **other.namespace() == **root;
        namespaces && agree(self.selected, labels(other.spec.selector.as_ref()))
    }

    /// Values that are excluded again.
    fn contradictions(&self, check: &mut Check, rule: &AuthorizationRule) {
        let look = |check: &mut Check, field: &str, values: &[String], excluded: &[String]| {
            if !values.is_empty() && values.iter().all(|value| excluded.contains(value)) {
                let message = "each of the values is excluded again: nothing matches this rule";
                check.warning(field, message, "take the values out of one of the two lists");
            }
        };
        check.each("from", &rule.from, |check, from| {
            for (field, values, excluded) in from.source.iter().flat_map(lists_of_source) {
                look(check, &format!("source.{field}"), values, excluded);
            }
        });
        check.each("to", &rule.to, |check, to| {
            for (field, values, excluded) in to.operation.iter().flat_map(lists_of_operation) {
                look(check, &format!("operation.{field}"), values, excluded);
            }
        });
        check.each("when", &rule.when, |check, when| look(check, "values", &when.values, &when.not_values));
    }

    /// What looks at tokens where none is verified.
    fn tokens(&self, check: &mut Check, rule: &AuthorizationRule) {
        let root = &self.mesh.settings.mesh.root_namespace;
        let verified = self.mesh.request_authentications.iter().any(|known| {
            let namespaces =
                self.whole_mesh || **known.namespace() == *self.namespace || **known.namespace() == **root;
            namespaces && agree(self.selected, labels(known.spec.selector.as_ref()))
        });
        if verified {
            return;
        }
        let message =
            "no RequestAuthentication verifies tokens for these workloads: for this rule no request has one";
        let hint = "write a RequestAuthentication for the issuer of the tokens";
        check.each("from", &rule.from, |check, from| {
            let tokens =
                |s: &Source| !s.request_principals.is_empty() || !s.not_request_principals.is_empty();
            if from.source.as_ref().is_some_and(tokens) {
                check.warning("source.requestPrincipals", message, hint);
            }
        });
        check.each("when", &rule.when, |check, when| {
            if when.key.starts_with("request.auth.") {
                check.warning("key", message, hint);
            }
        });
    }

    /// Ports are those of workloads.
    fn ports(&self, check: &mut Check, rule: &AuthorizationRule, subject: Subject<'_>) {
        check.each("to", &rule.to, |check, to| {
            let Some(operation) = &to.operation else { return };
            for (list, ports) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
                for (index, number) in ports.iter().enumerate() {
                    let Ok(number) = number.parse() else { continue };
                    let field = format!("operation.{list}[{index}]");
                    port(check, &field, number, self.selected, subject, self.mesh);
                }
            }
        });
    }

    /// Identities where callers may come in plain text, and have none.
    fn identities(&self, check: &mut Check, rule: &AuthorizationRule) {
        let (allows, denies) = match self.policy.action {
            AuthorizationAction::Allow => (true, false),
            AuthorizationAction::Deny => (false, true),
            _ => return,
        };
        if !self.takes_plain_text() {
            return;
        }
        let on = |keys: &Condition| IDENTITIES.contains(&keys.key.as_str());
        let wanted = rule.when.iter().any(|when| on(when) && !when.values.is_empty());
        let excluded = rule.when.iter().any(|when| on(when) && !when.not_values.is_empty());
        let look = |check: &mut Check, field: &str, wanted: bool, excluded: bool| {
            if allows && excluded && !wanted {
                let message =
                    "callers in plain text have no identity: none of them is excluded, all are allowed";
                let hint = "add principals: [\"*\"] to the source, or let a PeerAuthentication ask for mutual TLS (STRICT)";
                check.warning(field, message, hint);
            } else if denies && wanted {
                let message = "callers in plain text have no identity: none of them is denied";
                let hint = "let a PeerAuthentication ask for mutual TLS (STRICT), or deny by notPrincipals who else may not";
                check.warning(field, message, hint);
            }
        };
        if rule.from.is_empty() {
            look(check, "when", wanted, excluded);
        }
        check.each("from", &rule.from, |check, from| {
            let Some(source) = &from.source else { return };
            let some = |lists: [&Vec<String>; 4]| lists.iter().any(|list| !list.is_empty());
            let named = some([
                &source.principals,
                &source.namespaces,
                &source.service_accounts,
                &source.trust_domains,
            ]);
            let named_not = some([
                &source.not_principals,
                &source.not_namespaces,
                &source.not_service_accounts,
                &source.not_trust_domains,
            ]);
            look(check, "source", wanted || named, excluded || named_not);
        });
    }

    /// Whether some workload that the policy is for may take plain text.
    fn takes_plain_text(&self) -> bool {
        let policies = &self.mesh.peer_authentications;
        let root = &self.mesh.settings.mesh.root_namespace;
        let whole = |namespace: &str| {
            let mut whole = policies.of_namespace(namespace).iter().filter(|p| selector(p).is_none());
            whole.find_map(|policy| mode(policy))
        };
        if self.whole_mesh {
            return whole(root) != Some(MutualTlsMode::Strict) || policies.iter().any(loosens);
        }
        let of_workloads = policies.of_namespace(self.namespace).iter().filter(|p| selector(p).is_some());
        let mut known = of_workloads.filter(|p| agree(self.selected, selector(p)));
        if known.clone().any(loosens) {
            return true;
        }
        let general = whole(self.namespace).or_else(|| whole(root));
        let covers = |p: &Ref<Config<PeerAuthentication>>| {
            let of_all =
                |own: &Labels| selector(p).is_some_and(|s| s.iter().all(|(k, v)| own.get(k) == Some(v)));
            mode(p) == Some(MutualTlsMode::Strict) && self.selected.is_some_and(of_all)
        };
        general != Some(MutualTlsMode::Strict) && !known.any(covers)
    }

    /// Rules on HTTP where something else is carried.
    fn bytes(&self, check: &mut Check) {
        let Some((service, number)) = self.of_bytes().next() else { return };
        let rules = &self.policy.rules;
        let on_http = |rule: &AuthorizationRule| looks_at_http(rule);
        match self.policy.action {
            AuthorizationAction::Allow if !rules.is_empty() && rules.iter().all(on_http) => {
                let message = format!(
                    "port {number} of {} carries no HTTP, and each rule looks at HTTP: no connection to it is allowed",
                    service.source.key
                );
                check.warning("rules", message, "add a rule for this port that looks at the connection alone");
            }
            AuthorizationAction::Deny => check.each("rules", rules, |check, rule| {
                let reached = self.of_bytes().find(|(_, number)| on_http(rule) && reaches(rule, *number));
                if let Some((service, number)) = reached {
                    let message = format!(
                        "port {number} of {} carries no HTTP, of which nothing is known there: this rule denies whatever the rest of it matches",
                        service.source.key
                    );
                    check.warning("", message, "add the ports that speak HTTP to the operations of the rule");
                }
            }),
            _ => {}
        }
    }

    /// Ports of these workloads that carry no HTTP, with a service that has them.
    fn of_bytes(&self) -> impl Iterator<Item = (&Service, u16)> {
        let own = if self.whole_mesh {
            self.mesh.services.all()
        } else {
            self.mesh.services.of_namespace(self.namespace).map_or(&[][..], |services| services)
        };
        let nobody = Labels::new();
        let before = move |service: &&Ref<Service>| match self.selected {
            Some(labels) => is_before(service, labels),
            None => is_before(service, &nobody),
        };
        own.iter().filter(before).flat_map(|service| {
            let ports = service.ports.iter().filter(|port| port.protocol.class() == Class::Tcp);
            ports.filter_map(|port| match port.target {
                TargetPort::Number(number) => Some((&**service, number)),
                TargetPort::Name(_) => None,
            })
        })
    }
}

fn provider_name(policy: &AuthorizationPolicy) -> &str {
    policy.provider.as_ref().map_or("", |provider| &provider.name)
}

fn selector(policy: &Config<PeerAuthentication>) -> Option<&Labels> {
    labels(policy.spec.selector.as_ref())
}

fn mode(policy: &Config<PeerAuthentication>) -> Option<MutualTlsMode> {
    policy.spec.mtls.as_ref().map(|mtls| mtls.mode).filter(|mode| *mode != MutualTlsMode::Unset)
}

/// Whether a policy lets plain text in somewhere.
fn loosens(policy: &Ref<Config<PeerAuthentication>>) -> bool {
    let loose = |mode| matches!(mode, MutualTlsMode::Permissive | MutualTlsMode::Disable);
    mode(policy).is_some_and(loose) || policy.spec.port_level_mtls.values().any(|port| loose(port.mode))
}

fn looks_at_http(rule: &AuthorizationRule) -> bool {
    let source = |s: &Source| !s.request_principals.is_empty() || !s.not_request_principals.is_empty();
    let operation = |o: &Operation| {
        let lists = [&o.hosts, &o.not_hosts, &o.methods, &o.not_methods, &o.paths, &o.not_paths];
        lists.iter().any(|list| !list.is_empty())
    };
    rule.from.iter().filter_map(|from| from.source.as_ref()).any(source)
        || rule.to.iter().filter_map(|to| to.operation.as_ref()).any(operation)
        || rule.when.iter().any(|when| when.key.starts_with("request."))
}

/// Whether a rule may match on a port.
fn reaches(rule: &AuthorizationRule, number: u16) -> bool {
    let number = number.to_string();
    let fits = |values: &[String], excluded: &[String]| {
        (values.is_empty() || values.contains(&number)) && !excluded.contains(&number)
    };
    let mut operations = rule.to.iter().filter_map(|to| to.operation.as_ref()).peekable();
    let conditions = rule.when.iter().filter(|when| when.key == "destination.port");
    (operations.peek().is_none() || operations.any(|o| fits(&o.ports, &o.not_ports)))
        && conditions.clone().all(|when| fits(&when.values, &when.not_values))
}

/// A field, its values, and those that it must not have.
type Lists<'a> = (&'static str, &'a [String], &'a [String]);

fn lists_of_source(s: &Source) -> [Lists<'_>; 7] {
    [
        ("principals", &s.principals, &s.not_principals),
        ("requestPrincipals", &s.request_principals, &s.not_request_principals),
        ("namespaces", &s.namespaces, &s.not_namespaces),
        ("serviceAccounts", &s.service_accounts, &s.not_service_accounts),
        ("trustDomains", &s.trust_domains, &s.not_trust_domains),
        ("ipBlocks", &s.ip_blocks, &s.not_ip_blocks),
        ("remoteIpBlocks", &s.remote_ip_blocks, &s.not_remote_ip_blocks),
    ]
}

fn lists_of_operation(o: &Operation) -> [Lists<'_>; 4] {
    [
        ("hosts", &o.hosts, &o.not_hosts),
        ("ports", &o.ports, &o.not_ports),
        ("methods", &o.methods, &o.not_methods),
        ("paths", &o.paths, &o.not_paths),
    ]
}
