//! Gateways and DestinationRules that name Secrets or ConfigMaps which are not there, hold nothing that proxies can use, or
//! are another's.
//!
//! Source: Istio `pkg/config/analysis/analyzers/gateway/secret.go` (IST0101); `shared/spec/security.md` 4.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::istio::{
    ClientTlsMode, ClientTlsSettings, DestinationRule, Gateway, ServerTlsMode, ServerTlsSettings,
    TrafficPolicy,
};

use super::Subject;
use crate::config::selects;
use crate::credential::{Flaw, Holder, Name};
use crate::mesh::{CA_SUFFIX, Mesh, Seen};
use crate::validate::Check;

/// What becomes of clients.
const REFUSED: &str = "connections fail in the handshake";

pub(super) fn gateway(check: &mut Check, gateway: &Gateway, subject: Subject<'_>, mesh: &Mesh) {
    if !mesh.settings.features.xds_identity_check {
        return;
    }
    let readers =
        Readers { own: subject.namespace(), proxies: namespaces(gateway, mesh), may_be_granted: true, mesh };
    check.each("servers", &gateway.servers, |check, server| {
        check.some("tls", server.tls.as_ref(), |check, tls| {
            for (field, name, roots) in named(tls) {
                readers.look(check, &field, &name, roots);
            }
        });
    });
}

/// The namespaces of the pods that a Gateway selects.
fn namespaces<'m>(gateway: &Gateway, mesh: &'m Mesh) -> BTreeSet<&'m str> {
    let selected = mesh
        .workloads
        .pods
        .iter()
        .filter(|(_, pods)| pods.values().any(|pod| selects(&gateway.selector, &pod.workload.labels)));
    selected.map(|(namespace, _)| &**namespace).collect()
}

/// Where the pods run that Gateways with TLS select: for each Gateway the namespaces.
pub fn places(mesh: &Mesh) -> Vec<BTreeSet<&str>> {
    let ends_tls = |gateway: &Gateway| gateway.servers.iter().any(|server| server.tls.is_some());
    let gateways = mesh.gateways.iter().filter(|gateway| ends_tls(&gateway.spec));
    gateways.map(|gateway| namespaces(&gateway.spec, mesh)).collect()
}

/// The names in the settings of a server: field, name, whether roots of trust are wanted.
fn named(tls: &ServerTlsSettings) -> Vec<(String, String, bool)> {
    let listed: Vec<(String, &String)> = if tls.credential_names.is_empty() {
        vec![("credentialName".to_owned(), &tls.credential_name)]
    } else {
        let names = tls.credential_names.iter().enumerate();
        names.map(|(index, name)| (format!("credentialNames[{index}]"), name)).collect()
    };
    let mut named: Vec<_> =
        listed.iter().map(|(field, name)| (field.clone(), (*name).clone(), false)).collect();
    if matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual) {
        let own = &tls.ca_cert_credential_name;
        if own.is_empty() {
            // Those beside the first certificate.
            let first = listed.first().filter(|(_, name)| !name.is_empty());
            named.extend(first.map(|(field, name)| (field.clone(), format!("{name}{CA_SUFFIX}"), true)));
        } else {
            named.push(("caCertCredentialName".to_owned(), own.clone(), own.ends_with(CA_SUFFIX)));
        }
    }
    named
}

pub(super) fn destination_rule(check: &mut Check, rule: &DestinationRule, subject: Subject<'_>, mesh: &Mesh) {
    if !mesh.settings.features.xds_identity_check {
        return;
    }
    // Without a selector it is not known whose Secrets are meant: those of each client's namespace.
    let own = rule.workload_selector.iter().map(|_| subject.namespace());
    let readers = Readers { own: subject.namespace(), proxies: own.collect(), may_be_granted: false, mesh };
    check.some("trafficPolicy", rule.traffic_policy.as_ref(), |check, policy| readers.policy(check, policy));
    check.each("subsets", &rule.subsets, |check, subset| {
        check.some("trafficPolicy", subset.traffic_policy.as_ref(), |check, policy| {
            readers.policy(check, policy);
        });
    });
}

/// Who reads what an object names.
struct Readers<'a> {
    /// The object's namespace.
    own: &'a str,
    /// The namespaces of the proxies that read it.
    proxies: BTreeSet<&'a str>,
    /// Whether ReferenceGrants count for what it names: they do for servers of Gateways.
    may_be_granted: bool,
    mesh: &'a Mesh,
}

impl Readers<'_> {
    fn policy(&self, check: &mut Check, policy: &TrafficPolicy) {
        check.some("tls", policy.tls.as_ref(), |check, tls| self.client(check, tls));
        check.each("portLevelSettings", &policy.port_level_settings, |check, port| {
            check.some("tls", port.tls.as_ref(), |check, tls| self.client(check, tls));
        });
    }

    fn client(&self, check: &mut Check, tls: &ClientTlsSettings) {
        let name = &tls.credential_name;
        if name.is_empty() || !matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual) {
            return;
        }
        if tls.mode == ClientTlsMode::Mutual {
            self.look(check, "credentialName", name, false);
        }
        if tls.insecure_skip_verify != Some(true) {
            self.look(check, "credentialName", &format!("{name}{CA_SUFFIX}"), true);
        }
    }

    /// Tells what is wrong with a name, if it is one of a Secret or ConfigMap.
    fn look(&self, check: &mut Check, field: &str, text: &str, roots: bool) {
        let full = if text.contains("://") { text.to_owned() } else { format!("kubernetes://{text}") };
        let Some(name) = Name::parse(&full) else { return };
        match name.holder {
            Holder::ConfigMap => self.config_map(check, field, name),
            Holder::GatewaySecret => {
                let namespace = name.namespace.unwrap_or_default();
                // Roots beside a certificate are granted with it.
                let bare = name.name.strip_suffix(CA_SUFFIX).unwrap_or(name.name);
                let allowed = |name| self.mesh.reference_grants.allow(self.own, namespace, name);
                let granted = |name| self.may_be_granted && allowed(name);
                if namespace == self.own || granted(name.name) || granted(bare) {
                    self.secret(check, field, namespace, name.name, roots);
                } else {
                    let whose = format!("this object, in {}", self.own);
                    foreign(check, field, (namespace, name.name), &whose, &self.cure(namespace, bare, ""));
                }
            }
            Holder::Secret => {
                for proxy in &self.proxies {
                    match name.namespace {
                        Some(of) if of != *proxy => {
                            let whose = format!("the proxies, in {proxy}");
                            let bare = name.name.strip_suffix(CA_SUFFIX).unwrap_or(name.name);
                            let rename = format!("name it kubernetes-gateway://{of}/{bare} here, and ");
                            foreign(check, field, (of, name.name), &whose, &self.cure(of, bare, &rename));
                        }
                        _ => self.secret(check, field, proxy, name.name, roots),
                    }
                }
            }
        }
    }

    /// What to do about a Secret of another namespace, where `before` comes before it can be granted. A Gateway leads proxies
    /// of its own namespace alone to what is granted.
    fn cure(&self, of: &str, name: &str, before: &str) -> String {
        let (own, copy) = (self.own, "keep a copy of it where it is used");
        if !self.may_be_granted || self.proxies.iter().any(|proxy| *proxy != own) {
            return copy.to_owned();
        }
        format!(
            "{copy}; or {before}write a ReferenceGrant in namespace {of} with from: [{{group: gateway.networking.k8s.io, \
             kind: Gateway, namespace: {own}}}], to: [{{group: \"\", kind: Secret, name: {name}}}]"
        )
    }

    fn secret(&self, check: &mut Check, field: &str, namespace: &str, name: &str, roots: bool) {
        let seen = Seen::at_home(&self.mesh.credentials, namespace);
        let found = if roots { seen.roots(name).map(drop) } else { seen.pair(name).map(drop) };
        match found {
            Ok(()) => {}
            Err(None) => {
                let message = format!("there is no Secret {namespace}/{name}: {REFUSED}");
                check.warning(field, message, "create it, or correct the name");
            }
            Err(Some(flaw)) => {
                // Roots are looked for beside the key too.
                let own = self.mesh.credentials.of_home(namespace).is_some_and(|all| all.contains_key(name));
                let name = if own { name } else { name.strip_suffix(CA_SUFFIX).unwrap_or(name) };
                flawed(check, field, (namespace, name), flaw);
            }
        }
    }

    fn config_map(&self, check: &mut Check, field: &str, name: Name<'_>) {
        let (namespace, name) = (name.namespace.unwrap_or_default(), name.name);
        let name = name.strip_suffix(CA_SUFFIX).unwrap_or(name);
        let there = &self.mesh.credentials.config_maps;
        if !there.keys().any(|(of, called)| **of == *namespace && **called == *name) {
            let message =
                format!("there is no ConfigMap {namespace}/{name} with cacert or ca.crt: {REFUSED}");
            check.warning(field, message, "create it with a certificate in PEM under one of these keys");
        }
    }
}

fn flawed(check: &mut Check, field: &str, (namespace, name): (&str, &str), flaw: &Flaw) {
    let message = format!("Secret {namespace}/{name} {flaw}: {REFUSED}");
    check.warning(field, message, "write the certificate with its key, or the roots, into it in PEM");
}

fn foreign(check: &mut Check, field: &str, (namespace, name): (&str, &str), whose: &str, cure: &str) {
    let message =
        format!("Secret {namespace}/{name} is of another namespace than {whose}: it is not sent, {REFUSED}");
    check.warning(field, message, cure);
}

/// Namespaces and names of the ConfigMaps that Gateways and DestinationRules name.
pub fn config_maps(mesh: &Mesh) -> BTreeSet<(Arc<str>, Arc<str>)> {
    let servers = mesh.gateways.iter().flat_map(|gateway| &gateway.spec.servers);
    let of_servers =
        servers.filter_map(|server| server.tls.as_ref()).flat_map(named).map(|(_, name, _)| name);
    let policies = mesh.destination_rules.all().flat_map(|rule| {
        let spec = &rule.rule.spec;
        spec.traffic_policy
            .iter()
            .chain(spec.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref()))
    });
    let clients = policies.flat_map(|policy| {
        policy.tls.iter().chain(policy.port_level_settings.iter().filter_map(|port| port.tls.as_ref()))
    });
    let names = of_servers.chain(clients.map(|tls| tls.credential_name.clone()));
    let config_map = |text: String| {
        let name = Name::parse(&text).filter(|name| name.holder == Holder::ConfigMap)?;
        let bare = name.name.strip_suffix(CA_SUFFIX).unwrap_or(name.name);
        Some((Arc::from(name.namespace?), Arc::from(bare)))
    };
    names.filter_map(config_map).collect()
}

/// Namespaces and names of the Secrets whose certificates the Gateways of a mesh show.
pub fn shown(mesh: &Mesh) -> BTreeSet<(String, String)> {
    let mut shown = BTreeSet::new();
    for gateway in mesh.gateways.iter() {
        let proxies = namespaces(&gateway.spec, mesh);
        for tls in gateway.spec.servers.iter().filter_map(|server| server.tls.as_ref()) {
            for (_, text, _) in named(tls).into_iter().filter(|(_, _, roots)| !roots) {
                let full = if text.contains("://") { text } else { format!("kubernetes://{text}") };
                let Some(name) = Name::parse(&full).filter(|name| !name.is_roots()) else { continue };
                match name.namespace {
                    Some(namespace) => drop(shown.insert((namespace.to_owned(), name.name.to_owned()))),
                    None => shown.extend(proxies.iter().map(|n| ((*n).to_owned(), name.name.to_owned()))),
                }
            }
        }
    }
    shown
}
