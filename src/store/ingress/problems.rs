//! What of an Ingress is not in effect, and what perhaps not as meant.

use std::sync::Arc;

use api::kubernetes::{HttpIngressPath, Ingress, IngressRule};
use api::{Kind, Object, ObjectKey, Problem, Severity};
use model::hostname;
use model::ingress::CLASS;

use super::path::{self, Taken};
use super::routes;
use super::view::View;
use crate::tables::Id;

/// The Ingress whose Gateway serves the rules of a host.
type First<'a> = dyn Fn(&str) -> Option<&'a Object<Ingress>> + 'a;

/// What is wrong with an Ingress: of one that is none of the mesh's, only that nobody knows whose it is.
pub(super) fn of(id: &Id, view: &View<'_>, first: &First<'_>) -> Vec<Problem> {
    let Some(object) = view.ingress(id) else { return Vec::new() };
    let key = ObjectKey::of(Kind::Ingress, &object.meta);
    let mut found = Found { key, problems: Vec::new() };
    found.class(object, view);
    if view.served(id).is_some() {
        found.content(object, view);
        found.without_https(object, first);
    }
    found.problems
}

struct Found {
    key: ObjectKey,
    problems: Vec<Problem>,
}

impl Found {
    fn tell(&mut self, severity: Severity, field: String, message: String, hint: &str) {
        let object = self.key.clone();
        self.problems.push(Problem { severity, object, field, message, hint: hint.to_owned() });
    }

    fn class(&mut self, object: &Object<Ingress>, view: &View<'_>) {
        let name = &object.spec.ingress_class_name;
        let named = !name.is_empty() && !object.meta.annotations.contains_key(CLASS);
        if named && view.class(object).is_none() {
            let message = format!("there is no IngressClass {name:?}");
            let hint = "define it with the controller that is to serve the Ingress, or name another";
            self.tell(Severity::Warning, "spec.ingressClassName".to_owned(), message, hint);
        }
    }

    fn content(&mut self, object: &Object<Ingress>, view: &View<'_>) {
        let spec = &object.spec;
        if spec.default_backend.is_some() {
            let message = "the default backend is not served: what no rule takes is answered with 404";
            let hint = "write a rule without host, with the path / of type Prefix";
            self.tell(Severity::Error, "spec.defaultBackend".to_owned(), message.to_owned(), hint);
        }
        for (index, entry) in spec.tls.iter().enumerate().filter(|(_, entry)| entry.secret_name.is_empty()) {
            let whose = if entry.hosts.is_empty() { "all hosts".to_owned() } else { entry.hosts.join(", ") };
            let message = format!("the entry names no Secret and is left out: there is no HTTPS for {whose}");
            let field = format!("spec.tls[{index}].secretName");
            self.tell(Severity::Error, field, message, "name the Secret with the certificate");
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            self.rule(index, rule, &object.meta.namespace, view);
        }
    }

    /// Hosts whose rules are served by the Gateway of an older Ingress, which has no certificate for them as this one has.
    fn without_https(&mut self, object: &Object<Ingress>, first: &First<'_>) {
        for (index, rule) in object.spec.rules.iter().enumerate().filter(|(_, rule)| rule.http.is_some()) {
            let host = routes::host(rule);
            let Some(older) = first(host).filter(|older| older.meta != object.meta) else { continue };
            if has_tls(&object.spec, host) && !has_tls(&older.spec, host) {
                let older = ObjectKey::of(Kind::Ingress, &older.meta);
                let message = format!(
                    "the rules of {host:?} are served by the Gateway of the older {older} alone, which has no tls for it: \
                     requests over HTTPS are answered with 404"
                );
                let hint = "write the entry of tls into the older Ingress";
                self.tell(Severity::Warning, format!("spec.rules[{index}].host"), message, hint);
            }
        }
    }

    fn rule(&mut self, index: usize, rule: &IngressRule, namespace: &Arc<str>, view: &View<'_>) {
        let Some(http) = &rule.http else {
            let message = "the rule has no paths: its host is not served".to_owned();
            let hint = "list paths, such as / of type Prefix";
            return self.tell(Severity::Error, format!("spec.rules[{index}].http"), message, hint);
        };
        for (at, path) in http.paths.iter().enumerate() {
            let field = format!("spec.rules[{index}].http.paths[{at}]");
            self.backend(&field, path, namespace, view);
            if let Taken::Exact(text) = path::taken(path)
                && path.path_type != "Exact"
                && text.contains(['*', '(', '[', '\\', '^', '$', '|', '+', '?'])
            {
                let message = format!("only requests for the very path {text:?} are taken: it is no pattern");
                let hint = "write type Prefix, or end the path in /*; what else is wanted goes into a VirtualService";
                self.tell(Severity::Warning, format!("{field}.path"), message, hint);
            }
        }
    }

    fn backend(&mut self, field: &str, path: &HttpIngressPath, namespace: &Arc<str>, view: &View<'_>) {
        let Some(service) = &path.backend.service else {
            let message = "only Services are served: the path is left out".to_owned();
            let at = if path.backend.resource.is_some() { "backend.resource" } else { "backend.service" };
            return self.tell(Severity::Error, format!("{field}.{at}"), message, "name a Service");
        };
        if routes::port(&path.backend, namespace, view).is_some() {
            return;
        }
        let (name, wanted) = (&service.name, &service.port.name);
        let message = match view.service(&(Arc::clone(namespace), Arc::from(name.as_str()))) {
            None => format!("there is no Service {namespace}/{name} to have a port {wanted:?}"),
            Some(known) => {
                let names: Vec<&str> = known.ports.iter().map(|port| port.name.as_str()).collect();
                format!("Service {namespace}/{name} has no port {wanted:?}, but {}", names.join(", "))
            }
        };
        let message = format!("{message}; the path is left out");
        let field = format!("{field}.backend.service.port.name");
        self.tell(Severity::Error, field, message, "name a port of the Service, or write its number");
    }
}

/// Whether an Ingress has a certificate for a host.
fn has_tls(spec: &Ingress, host: &str) -> bool {
    let named = spec.tls.iter().filter(|entry| !entry.secret_name.is_empty());
    let mut hosts = named.map(|entry| &entry.hosts);
    hosts.any(|hosts| hosts.is_empty() || hosts.iter().any(|own| hostname::overlaps(own, host)))
}
