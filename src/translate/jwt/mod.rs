//! Request authentication: which tokens (JWT) of requests a workload verifies, and with which keys.
//!
//! A plan collects the rules of all policies for a workload into a [`Jwt`], which is part of the keys of its listeners;
//! building makes the filter of it. A request without a token passes, one whose token is not good is refused.
//!
//! Source: Istio `pilot/pkg/security/authn/policy_applier.go`; `shared/spec/security.md` 7, traps 46-50.

mod build;
mod check;
mod keys;

use std::sync::Arc;
use std::time::Duration;

use api::istio::{JwtRule, RequestAuthentication, Unread};
use api::{ObjectRef, Problem, Severity};
use model::mesh::KeysFrom;
use model::mesh::jwks;
use model::{Config, Mesh, Ref};

use crate::attach::{Attachment, Workload};
use crate::class::OwnView;
use crate::clusters::names;
pub(crate) use build::NAME;
use keys::Checked;

/// All that the filter of a workload is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jwt {
    /// By issuer; of one issuer those of the workload's namespace first, and the older ones first.
    pub providers: Vec<Provider>,
    /// A policy cannot be read, or not be said in Envoy's words: no request is let through.
    pub refuses: bool,
    /// Routes are chosen again with what tokens say: at gateways, where routes look at claims.
    pub clear_route_cache: bool,
    /// The policies.
    pub sources: Vec<ObjectRef>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// Whose tokens are verified, where they are found, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Provider {
    /// The rule without its keys.
    pub rule: JwtRule,
    /// The keys.
    pub keys: Keys,
}

/// Keys that tokens are verified with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// A JSON Web Key Set.
    Set(Arc<str>),
    /// The proxy fetches them.
    Remote {
        /// The address.
        uri: String,
        /// The cluster that leads there.
        cluster: String,
        /// Time that it may take.
        timeout: Duration,
    },
    /// There are none: every token is refused.
    None,
}

/// What the policies for a workload say; none if there is no rule for it.
pub fn plan(mesh: &Mesh, view: &OwnView, clear_route_cache: bool) -> Option<Ref<Jwt>> {
    for_workload(mesh, Workload::of(&mesh.settings, view), clear_route_cache)
}

fn for_workload(mesh: &Mesh, workload: Workload<'_>, clear_route_cache: bool) -> Option<Ref<Jwt>> {
    let mut jwt = Jwt {
        providers: Vec::new(),
        refuses: false,
        clear_route_cache,
        sources: Vec::new(),
        problems: Vec::new(),
    };
    for namespace in workload.namespaces().rev() {
        for policy in mesh.request_authentications.of_namespace(namespace) {
            let says = !policy.spec.jwt_rules.is_empty() || policy.spec.unread != Unread::Nothing;
            if says && workload.has(attachment(namespace, &policy.spec)) {
                jwt.add(mesh, policy);
            }
        }
    }
    jwt.providers.sort_by(|a, b| a.rule.issuer.cmp(&b.rule.issuer));
    (!jwt.sources.is_empty()).then(|| Ref::new(jwt))
}

fn attachment<'a>(namespace: &'a str, policy: &'a RequestAuthentication) -> Attachment<'a> {
    Attachment {
        namespace,
        selector: policy.selector.as_ref(),
        target: policy.target_ref.as_ref(),
        targets: &policy.target_refs,
        unread: policy.unread,
    }
}

impl Jwt {
    fn add(&mut self, mesh: &Mesh, policy: &Ref<Config<RequestAuthentication>>) {
        self.sources.push(policy.source.clone());
        self.refuses |= policy.spec.unread != Unread::Nothing;
        for (index, rule) in policy.spec.jwt_rules.iter().enumerate() {
            let problem = |field: &str, message: String, hint: &str| Problem {
                severity: Severity::Error,
                object: policy.source.key.clone(),
                field: format!("spec.jwtRules[{index}]{field}"),
                message,
                hint: hint.to_owned(),
            };
            if let Some((field, message)) = check::refused(rule) {
                let message = format!("{message}; all requests to the workloads of the policy are refused");
                self.problems.push(problem(&field, message, "write names that HTTP allows"));
                self.refuses = true;
                continue;
            }
            let (keys, lack) = keys(mesh, rule);
            if let Some((field, message, hint)) = lack {
                let message = format!("{message}; all tokens of {:?} are refused", rule.issuer);
                self.problems.push(problem(field, message, hint));
            }
            let rule =
                JwtRule { jwks: String::new(), jwks_uri: String::new(), timeout: None, ..rule.clone() };
            self.providers.push(Provider { rule, keys });
        }
    }
}

/// What the operator is told of keys that are not there: field, message, what to do.
type Lack = (&'static str, String, &'static str);

/// The keys of a rule as far as they are known.
fn keys(mesh: &Mesh, rule: &JwtRule) -> (Keys, Option<Lack>) {
    match jwks::keys_from(mesh, rule) {
        KeysFrom::Rule => match keys::check(&rule.jwks) {
            Checked::Good => (Keys::Set(Arc::from(rule.jwks.as_str())), None),
            Checked::Bad(why) => {
                let hint = "write a JSON Web Key Set: {\"keys\": [...]}";
                (Keys::None, Some((".jwks", format!("the keys cannot be used: {why}"), hint)))
            }
        },
        KeysFrom::Fetched(source) => match mesh.jwks.get(&source) {
            Some(keys) => (Keys::Set(Arc::clone(keys)), None),
            None => {
                let (field, at) = match &*source.uri {
                    "" => (".issuer", format!("the OpenID configuration of {}", source.issuer)),
                    uri => (".jwksUri", uri.to_owned()),
                };
                let message = format!("there are no keys from {at} yet");
                (Keys::None, Some((field, message, "/debug/jwks says what the last try met")))
            }
        },
        KeysFrom::Proxy { host, port, known } => {
            let remote = Keys::Remote {
                uri: rule.jwks_uri.clone(),
                cluster: names::outbound(port, "", &host),
                timeout: jwks::timeout(rule),
            };
            let lack = (!known).then(|| {
                let message = format!(
                    "proxies are to fetch the keys, and no service of the mesh is {host} with port {port}"
                );
                (
                    ".jwksUri",
                    message,
                    "write a ServiceEntry for it, or set PILOT_JWT_ENABLE_REMOTE_JWKS to hybrid",
                )
            });
            (remote, lack)
        }
    }
}

#[cfg(test)]
mod tests;
