//! What rules ask for that is never so: values that are excluded again, tokens that nobody verifies (ISTIO-SECURITY-2021-001),
//! ports that no workload has.

use api::istio::{AuthorizationRule, Operation, Source};

use super::super::Subject;
use super::super::policies::{labels, port};
use super::super::ports::agree;
use super::About;
use crate::validate::Check;

impl About<'_> {
    /// Values that are excluded again.
    pub(super) fn contradictions(&self, check: &mut Check, rule: &AuthorizationRule) {
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
    pub(super) fn tokens(&self, check: &mut Check, rule: &AuthorizationRule) {
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
    pub(super) fn ports(&self, check: &mut Check, rule: &AuthorizationRule, subject: Subject<'_>) {
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
