//! Rules on HTTP for ports that carry something else.

use api::istio::{AuthorizationAction, AuthorizationRule, Operation, Source};

use super::super::ports::is_before;
use super::About;
use crate::config::Labels;
use crate::content::Ref;
use crate::protocol::Class;
use crate::service::{Service, TargetPort};
use crate::validate::Check;

impl About<'_> {
    /// Rules on HTTP where something else is carried.
    pub(super) fn bytes(&self, check: &mut Check) {
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
    pub(super) fn of_bytes(&self) -> impl Iterator<Item = (&Service, u16)> {
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
