//! The filters of a workload's policies, for chains that carry HTTP and for others.
//!
//! Source: Istio `pilot/pkg/security/authz/builder/builder.go`; `shared/spec/security.md` 8.2, 8.3, 8.6, 8.7.

use std::collections::BTreeMap;

use api::istio::{AuthorizationAction, AuthorizationPolicy};
use api::{Problem, Severity};
use envoy::config::listener::v3::Filter;
use envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac, rbac};
use envoy::extensions::filters::http::rbac::v3 as http;
use envoy::extensions::filters::network::ext_authz::v3::ExtAuthz as NetworkExtAuthz;
use envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy::extensions::filters::network::rbac::v3 as network;
use envoy::r#type::matcher::v3::MetadataMatcher;
use model::Config;

use super::authorizer::Authorizer;
use super::ext_authz::Asking;
use super::node::Node;
use super::rule::{Carries, Translator};
use super::{Policies, matcher, provider};
use crate::listeners::http::http_filter;
use crate::listeners::shape::network_filter;

const HTTP_RBAC: &str = "envoy.filters.http.rbac";
const NETWORK_RBAC: &str = "envoy.filters.network.rbac";
/// What begins the names of rules about which an authorizer is asked.
const ASKED: &str = "istio-ext-authz";
/// What ends the names of rules whose authorizer cannot be asked.
const BROKEN: &str = "-deny-due-to-bad-CUSTOM-action";
/// What begins the keys under which the rules of CUSTOM policies that match are told.
const ASKED_STATS: &str = "istio_ext_authz_";
/// The annotation of policies that tell and do not act.
const DRY_RUN: &str = "istio.io/dry-run";

/// The filters of a workload's policies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// For chains that carry HTTP.
    pub http: HttpFilters,
    /// For other chains, in order.
    pub tcp: Vec<Filter>,
    /// What of the policies could not be said as asked.
    pub problems: Vec<Problem>,
}

/// The HTTP filters of a workload's policies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpFilters {
    /// Those that ask external authorizers: before tokens are checked.
    pub authorizers: Vec<HttpFilter>,
    /// Those that decide themselves: after tokens are checked.
    pub rules: Vec<HttpFilter>,
}

/// Rules by name.
type Rules = BTreeMap<String, Policy>;

impl Policies {
    /// The filters.
    pub fn filters(&self) -> Filters {
        let mut filters = Filters::default();
        for authorizer in &self.authorizers {
            self.ask(authorizer, &mut filters);
        }
        for action in [AuthorizationAction::Audit, AuthorizationAction::Deny, AuthorizationAction::Allow] {
            if self.with(action).next().is_some() {
                let rules = self.decide(action, Carries::Http, &mut filters.problems);
                filters.http.rules.push(http_rbac(rules));
                let rules = self.decide(action, Carries::Bytes, &mut Vec::new());
                filters.tcp.push(network_rbac(rules));
            }
        }
        filters
    }

    /// What decides by the policies of an action.
    fn decide(&self, action: AuthorizationAction, carries: Carries, problems: &mut Vec<Problem>) -> Decision {
        let (mut enforced, mut shadow) = (None, None);
        for policy in self.with(action) {
            let tried = self.is_tried(policy, problems);
            let rules: &mut Rules = if tried { &mut shadow } else { &mut enforced }.get_or_insert_default();
            rules.extend(self.rules(policy, carries, "", problems));
        }
        // As the reference has it, a filter that tries nothing out is called as one that tries to allow.
        let stat_prefix = match action {
            AuthorizationAction::Deny if shadow.is_some() => "istio_dry_run_deny_",
            AuthorizationAction::Audit if shadow.is_some() => "",
            _ => "istio_dry_run_allow_",
        };
        let rbac = |policies| Rbac { action: envoy_action(action).into(), policies, ..Rbac::default() };
        Decision { rules: enforced.map(rbac), shadow: shadow.map(rbac), stat_prefix }
    }

    /// Asks an authorizer about what the rules of its policies match; denies it if it cannot be asked.
    fn ask(&self, authorizer: &Authorizer, filters: &mut Filters) {
        let asking = authorizer.asked.as_ref().map_err(Clone::clone).and_then(Asking::of);
        let rules = self.asked(authorizer, Carries::Http, &mut filters.problems);
        let of_bytes = self.asked(authorizer, Carries::Bytes, &mut Vec::new());
        match asking {
            Ok(asking) => {
                let marked = asking.marked(self.mark(authorizer, HTTP_RBAC));
                filters.http.authorizers.push(http_rbac(Decision::marking(rules)));
                filters.http.authorizers.push(http_filter("envoy.filters.http.ext_authz", &marked));
                if let Some(tcp) = asking.tcp {
                    let mark = self.mark(authorizer, NETWORK_RBAC);
                    let config = NetworkExtAuthz { filter_enabled_metadata: Some(mark), ..tcp };
                    filters.tcp.push(network_rbac(Decision::marking(of_bytes)));
                    filters.tcp.push(network_filter("envoy.filters.network.ext_authz", &config));
                }
            }
            Err(why) => {
                filters.problems.extend(self.broken(authorizer, &why));
                filters.http.authorizers.push(http_rbac(Decision::denying(rules)));
                filters.tcp.push(network_rbac(Decision::denying(of_bytes)));
            }
        }
    }

    /// The rules of the policies that name an authorizer.
    fn asked(&self, authorizer: &Authorizer, carries: Carries, problems: &mut Vec<Problem>) -> Rules {
        let prefix = match authorizer.name.as_str() {
            "" => format!("{ASKED}-"),
            name => format!("{ASKED}-{name}-"),
        };
        let of_it = self.with(AuthorizationAction::Custom).filter(|p| provider(p) == authorizer.name);
        of_it.flat_map(|policy| self.rules(policy, carries, &prefix, problems)).collect()
    }

    /// Problems of all policies that name an authorizer that cannot be asked.
    fn broken(&self, authorizer: &Authorizer, why: &str) -> impl Iterator<Item = Problem> {
        let of_it = self.with(AuthorizationAction::Custom).filter(|p| provider(p) == authorizer.name);
        of_it.map(move |policy| Problem {
            severity: Severity::Error,
            object: policy.source.key.clone(),
            field: "spec.provider.name".to_owned(),
            message: format!("{why}; whatever the rules match is denied"),
            hint: "mend the extensionProviders of the mesh configuration, or name another".to_owned(),
        })
    }

    /// What marks requests about which an authorizer is asked. The name of one may begin that of another.
    fn mark(&self, authorizer: &Authorizer, filter: &str) -> MetadataMatcher {
        let name = &authorizer.name;
        let begins = |other: &Authorizer| other.name.starts_with(&format!("{name}-"));
        let end = if self.authorizers.iter().any(begins) { "-ns[" } else { "" };
        let value = matcher::string(matcher::prefix(format!("{ASKED}-{name}{end}")));
        matcher::metadata(filter, [format!("{ASKED_STATS}shadow_effective_policy_id").as_str()], value)
    }

    /// The rules of a policy, by names that begin with `prefix`.
    fn rules(
        &self,
        policy: &Config<AuthorizationPolicy>,
        carries: Carries,
        prefix: &str,
        problems: &mut Vec<Problem>,
    ) -> Rules {
        let (namespace, own) = (policy.namespace(), policy.name());
        let name = |number| format!("{prefix}ns[{namespace}]-policy[{own}]-rule[{number}]");
        if policy.spec.rules.is_empty() {
            return Rules::from([(name(0), never())]);
        }
        let trust_domains = &self.trust_domains;
        let mut translator = Translator { policy, carries, trust_domains, problems: Vec::new() };
        let rules = policy.spec.rules.iter().enumerate();
        let rules = rules.filter_map(|(n, rule)| Some((name(n), translator.rule(n, rule)?))).collect();
        problems.append(&mut translator.problems);
        rules
    }

    /// Whether a policy is only tried out.
    fn is_tried(&self, policy: &Config<AuthorizationPolicy>, problems: &mut Vec<Problem>) -> bool {
        let Some(text) = policy.annotations.get(DRY_RUN) else { return false };
        match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => {
                problems.push(Problem {
                    severity: Severity::Error,
                    object: policy.source.key.clone(),
                    field: format!("metadata.annotations[{DRY_RUN}]"),
                    message: format!("{text:?} is neither true nor false; the policy is enforced"),
                    hint: "write \"true\" to try the policy out".to_owned(),
                });
                false
            }
        }
    }
}

/// What a filter decides by.
struct Decision {
    rules: Option<Rbac>,
    shadow: Option<Rbac>,
    stat_prefix: &'static str,
}

impl Decision {
    /// Marks what the rules match and lets everything pass: enforced, the rules would deny.
    fn marking(policies: Rules) -> Self {
        let shadow = Rbac { action: rbac::Action::Deny.into(), policies, ..Rbac::default() };
        Self { rules: None, shadow: Some(shadow), stat_prefix: ASKED_STATS }
    }

    /// Denies what the rules match.
    fn denying(policies: Rules) -> Self {
        let policies = policies.into_iter().map(|(name, rule)| (format!("{name}{BROKEN}"), rule)).collect();
        let rules = Rbac { action: rbac::Action::Deny.into(), policies, ..Rbac::default() };
        Self { rules: Some(rules), shadow: None, stat_prefix: "" }
    }
}

fn envoy_action(action: AuthorizationAction) -> rbac::Action {
    match action {
        AuthorizationAction::Allow => rbac::Action::Allow,
        AuthorizationAction::Audit => rbac::Action::Log,
        AuthorizationAction::Deny | AuthorizationAction::Custom => rbac::Action::Deny,
    }
}

fn http_rbac(decision: Decision) -> HttpFilter {
    let Decision { rules, shadow: shadow_rules, stat_prefix } = decision;
    let config = http::Rbac {
        rules,
        shadow_rules,
        shadow_rules_stat_prefix: stat_prefix.to_owned(),
        ..http::Rbac::default()
    };
    http_filter(HTTP_RBAC, &config)
}

fn network_rbac(decision: Decision) -> Filter {
    let Decision { rules, shadow: shadow_rules, stat_prefix } = decision;
    let config = network::Rbac {
        rules,
        shadow_rules,
        shadow_rules_stat_prefix: stat_prefix.to_owned(),
        stat_prefix: "tcp.".to_owned(),
        ..network::Rbac::default()
    };
    network_filter(NETWORK_RBAC, &config)
}

/// A rule that never matches.
fn never() -> Policy {
    Policy {
        permissions: vec![Permission::not(Permission::anything())],
        principals: vec![Principal::not(Principal::anything())],
        ..Policy::default()
    }
}
