//! The domains of virtual hosts: full and short names of services, aliases, addresses.
//!
//! Source: Istio `pilot/pkg/networking/core/httproute.go` (`generateVirtualHostDomains`, `GenerateAltVirtualHosts`);
//! `shared/spec/xds.md` 5.2, traps 32, 75, 76.

use std::sync::Arc;

use model::Ref;
use model::service::{Registry, Service};

use crate::class::SharedView;

/// How a client may shorten a host name: what differs between clients of different namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Not at all: client and host share no domain.
    Foreign,
    /// The service is in the client's namespace: `svc`, `svc.ns.svc`, `svc.ns`.
    SameNamespace,
    /// It is in another: `svc.ns`, `svc.ns.svc`.
    OtherNamespace,
    /// The client's domain is none of Kubernetes: it leaves off the domain that both share.
    Shared(Arc<str>),
}

/// The addresses under which a client asks for a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// All of the service's own.
    Own,
    /// These.
    These(Vec<Arc<str>>),
}

/// Whether domains carry the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortForm {
    /// Never: ports are ignored when hosts are compared.
    Bare,
    /// With and without: of port 80 in a configuration for all ports.
    Both,
    /// Always: of other ports in such a configuration.
    Only,
}

/// What gives a service's virtual host its name and domains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceHost {
    /// The service.
    pub service: Ref<Service>,
    /// Its port.
    pub port: u16,
    /// What the client calls it for short.
    pub relation: Relation,
    /// What the client calls its aliases for short, in their order.
    pub aliases: Vec<Relation>,
    /// Addresses that are domains.
    pub addresses: Addresses,
    /// Whether domains carry the port.
    pub form: PortForm,
    /// Whether full names stand with a trailing dot as well.
    pub absolute: bool,
    /// Domains that another virtual host of the configuration has already.
    pub taken: Vec<String>,
}

/// A domain of a service, and whether it is a shortened name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    /// The domain.
    pub(crate) text: String,
    /// Whether it was derived by shortening: it must yield to a host that really bears the name.
    pub(crate) short: bool,
}

/// How a client with this DNS domain may shorten `host`.
pub fn relation(host: &str, dns_domain: &str) -> Relation {
    let Some((client, suffix)) = split(dns_domain) else {
        return if shared_labels(host, dns_domain) > 0 {
            Relation::Shared(Arc::from(dns_domain))
        } else {
            Relation::Foreign
        };
    };
    match split(host) {
        Some((own, of_host)) if of_host == suffix => {
            match own.split_once('.') {
                Some((name, namespace)) if !name.is_empty() && !namespace.is_empty() => {
                    if namespace == client { Relation::SameNamespace } else { Relation::OtherNamespace }
                }
                _ => Relation::Foreign,
            }
        }
        _ => Relation::Foreign,
    }
}

/// The parts before and after `.svc.`.
fn split(host: &str) -> Option<(&str, &str)> {
    host.split_once(".svc.")
}

/// Which client calls the host by its first label alone: what stands before `.svc.` in its DNS domain.
pub(super) fn neighbour(host: &str) -> Option<&str> {
    Some(split(host)?.0.split_once('.')?.1)
}

/// What stands before `.svc.` in a DNS domain.
pub(super) fn client(dns_domain: &str) -> Option<&str> {
    Some(split(dns_domain)?.0)
}

/// The DNS domain of a client that no service is near to, where others have `dns_domain`.
pub(crate) fn stranger(dns_domain: &Arc<str>) -> Arc<str> {
    match split(dns_domain) {
        Some((_, suffix)) => format!(".svc.{suffix}").into(),
        None => Arc::clone(dns_domain),
    }
}

/// How many labels at the end both have in common.
fn shared_labels(host: &str, domain: &str) -> usize {
    host.rsplit('.').zip(domain.rsplit('.')).take_while(|(a, b)| a == b).count()
}

/// The addresses of a service that a class of clients asks for.
pub fn addresses(service: &Service, view: &SharedView) -> Addresses {
    let own = service.addresses_in(&view.cluster_id);
    if own.iter().all(|a| &**a == Service::UNSPECIFIED) {
        if own.len() < service.addresses.len() {
            return Addresses::These(Vec::new());
        }
        if !view.dns_capture || service.auto_addresses.is_empty() {
            return Addresses::Own;
        }
        // As in the reference, the other family's is not among them.
        return Addresses::These(view.reach.select(&service.auto_addresses).take(1).cloned().collect());
    }
    // A ServiceEntry is known by the addresses that it lists, whatever the client's families.
    if service.registry == Registry::External {
        return Addresses::Own;
    }
    let seen: Vec<_> = view.reach.select(own).filter(|a| &***a != Service::UNSPECIFIED).cloned().collect();
    if seen == service.addresses { Addresses::Own } else { Addresses::These(seen) }
}

/// What the client of `view` sees of a service's names.
pub fn service_host(service: &Ref<Service>, port: u16, view: &SharedView, absolute: bool) -> ServiceHost {
    ServiceHost {
        service: service.clone(),
        port,
        relation: relation(&service.host, &view.dns_domain),
        aliases: aliases(service, view),
        addresses: addresses(service, view),
        form: PortForm::Bare,
        absolute,
        taken: Vec::new(),
    }
}

/// What the client of `view` calls a service's aliases for short.
fn aliases(service: &Service, view: &SharedView) -> Vec<Relation> {
    service.aliases.iter().map(|a| relation(&a.host, &view.dns_domain)).collect()
}

impl ServiceHost {
    /// The same for a client that differs in its DNS domain only.
    pub(super) fn renamed(&self, view: &SharedView) -> Self {
        let relation = relation(&self.service.host, &view.dns_domain);
        Self { relation, aliases: aliases(&self.service, view), ..self.clone() }
    }

    /// All domains but for the port, those that are taken included.
    pub(crate) fn all(&self) -> Vec<Domain> {
        let mut domains = Vec::new();
        self.push_names(&mut domains, &self.service.host, &self.relation);
        for (alias, relation) in self.service.aliases.iter().zip(&self.aliases) {
            self.push_names(&mut domains, &alias.host, relation);
        }
        if self.service.is_headless() {
            let wildcards: Vec<Domain> =
                domains.iter().map(|d| Domain { text: format!("*.{}", d.text), short: d.short }).collect();
            domains.extend(wildcards);
        }
        let addresses = match &self.addresses {
            Addresses::Own => &self.service.addresses,
            Addresses::These(list) => list,
        };
        let addresses = addresses.iter().filter(|a| &***a != Service::UNSPECIFIED);
        domains.extend(addresses.map(|a| Domain { text: bracketed(a), short: false }));
        domains
    }

    fn push_names(&self, domains: &mut Vec<Domain>, host: &str, relation: &Relation) {
        let mut push = |text: String, short| domains.push(Domain { text, short });
        push(bracketed(host), false);
        // A trailing dot makes no sense on an address or on the name of everything.
        if self.absolute && host != "*" && host.parse::<std::net::IpAddr>().is_err() {
            push(format!("{host}."), false);
        }
        let own = split(host).map_or(host, |(own, _)| own);
        match relation {
            Relation::Foreign => {}
            Relation::SameNamespace => {
                push(own.split('.').next().unwrap_or(own).to_owned(), true);
                push(format!("{own}.svc"), true);
                push(own.to_owned(), true);
            }
            Relation::OtherNamespace => {
                push(own.to_owned(), true);
                push(format!("{own}.svc"), true);
            }
            Relation::Shared(domain) => {
                shortened(host, domain).into_iter().for_each(|text| push(text, true));
            }
        }
    }

    /// The domains of the virtual host.
    pub(super) fn domains(&self) -> Vec<String> {
        let left = self.all().into_iter().map(|d| d.text).filter(|d| !self.taken.contains(d));
        left.flat_map(|d| with_port(d, self.port, self.form)).collect()
    }
}

/// A domain in the forms that are asked for.
pub(super) fn with_port(domain: String, port: u16, form: PortForm) -> Vec<String> {
    match form {
        PortForm::Bare => vec![domain],
        PortForm::Both => {
            let ported = format!("{domain}:{port}");
            vec![domain, ported]
        }
        PortForm::Only => vec![format!("{domain}:{port}")],
    }
}

/// What is left of `host` without the domain that it shares with the client's, and, if two labels are left, the same
/// with the first shared label.
fn shortened(host: &str, domain: &str) -> Vec<String> {
    let labels: Vec<&str> = host.split('.').collect();
    let at = labels.len().saturating_sub(shared_labels(host, domain));
    let (unique, shared) = labels.split_at_checked(at).unwrap_or((&labels, &[]));
    if unique.is_empty() {
        return Vec::new();
    }
    let short = unique.join(".");
    match (unique.len(), shared.first()) {
        (2, Some(label)) => {
            let longer = format!("{short}.{label}");
            vec![short, longer]
        }
        _ => vec![short],
    }
}

/// An address as it stands in a `Host` header: IPv6 in brackets.
pub(super) fn bracketed(address: &str) -> String {
    if address.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{address}]") } else { address.to_owned() }
}
