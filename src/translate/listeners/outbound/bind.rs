//! Where listeners bind: wildcard and local addresses of a proxy, addresses of services, ports that are taken.

use std::sync::{Arc, LazyLock};

use api::istio::{CaptureMode, IstioEgressListener};
use api::mesh_config::MeshConfig;
use model::protocol::Protocol;
use model::proxy::{Interception, IpFamilies};
use model::service::{Registry, Resolution, Service};

use crate::class::SharedView;
use crate::context::Context;

/// The unspecified and the loopback addresses of a proxy, by its families.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wildcard {
    /// The unspecified address.
    pub any: Arc<str>,
    /// The same of the other family, for proxies of both.
    pub any_extra: Vec<Arc<str>>,
    /// The loopback address.
    pub local: Arc<str>,
    /// The same of the other family.
    pub local_extra: Vec<Arc<str>>,
}

static V4: LazyLock<Wildcard> = LazyLock::new(|| Wildcard::new("0.0.0.0", &[], "127.0.0.1", &[]));
static V6: LazyLock<Wildcard> = LazyLock::new(|| Wildcard::new("::", &[], "::1", &[]));
static DUAL: LazyLock<Wildcard> = LazyLock::new(|| Wildcard::new("0.0.0.0", &["::"], "127.0.0.1", &["::1"]));

impl Wildcard {
    fn new(any: &str, any_extra: &[&str], local: &str, local_extra: &[&str]) -> Self {
        let list = |extra: &[&str]| extra.iter().copied().map(Arc::from).collect();
        Self {
            any: any.into(),
            any_extra: list(any_extra),
            local: local.into(),
            local_extra: list(local_extra),
        }
    }

    /// Those of a proxy's families.
    pub fn of(families: IpFamilies) -> &'static Self {
        match families {
            IpFamilies::V4 => &V4,
            IpFamilies::V6 => &V6,
            IpFamilies::Dual => &DUAL,
        }
    }
}

/// An address and further ones of one listener. The first one names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bind {
    /// The address, or `unix://PATH`.
    pub address: Arc<str>,
    /// Further addresses.
    pub extra: Vec<Arc<str>>,
}

impl Bind {
    /// One address alone.
    pub(super) fn to(address: Arc<str>) -> Self {
        Self { address, extra: Vec::new() }
    }

    /// The unspecified address.
    pub(super) fn any(wildcard: &Wildcard) -> Self {
        Self { address: Arc::clone(&wildcard.any), extra: wildcard.any_extra.clone() }
    }

    /// The loopback address.
    pub(super) fn local(wildcard: &Wildcard) -> Self {
        Self { address: Arc::clone(&wildcard.local), extra: wildcard.local_extra.clone() }
    }
}

/// Where the listeners of an egress listener bind.
#[derive(Clone, Debug)]
pub(super) struct Placing {
    /// The address that the egress listener names, or that its listeners have in common.
    pub bind: Option<Bind>,
    /// Whether they really bind, instead of being redirected to.
    pub bound: bool,
    /// Whether it names a Unix socket.
    pub unix: bool,
}

impl Placing {
    /// Where they bind, by what a Sidecar says of the egress listener if it is one of a Sidecar.
    pub(super) fn of(view: &SharedView, declared: Option<&IstioEgressListener>) -> Self {
        let named = declared.map(|d| d.bind.as_str()).filter(|b| !b.is_empty());
        let unix = named.is_some_and(|b| b.starts_with("unix://"));
        let captured = declared.is_none_or(|d| d.capture_mode != CaptureMode::None);
        let bound = view.interception == Interception::None || !captured || unix;
        let bind = match named {
            Some(address) => Some(Bind::to(address.into())),
            None => bound.then(|| Bind::local(Wildcard::of(view.families))),
        };
        Self { bind, bound, unix }
    }

    /// Whether a listener for a port may be opened.
    pub(super) fn allows(&self, context: &Context<'_>, port: u16, protocol: Protocol) -> bool {
        let bind = self.bind.as_ref().map(|b| &*b.address);
        allowed(context.view, &context.settings().mesh, bind, self.bound, port, protocol)
    }
}

/// The addresses under which clients reach a service, each of which stands for itself; none if it has no
/// address of its own.
///
/// Of the addresses of a Kubernetes Service, and of those that were allotted, a client takes those of its families
/// together; the addresses of a ServiceEntry are each a service of its own.
pub(super) fn addresses(service: &Service, view: &SharedView) -> Vec<Bind> {
    let specified = |a: &&Arc<str>| ***a != *Service::UNSPECIFIED && ***a != *"::";
    let own: Vec<Arc<str>> =
        service.addresses_in(&view.cluster_id).iter().filter(specified).cloned().collect();
    let Some(first) = own.first() else {
        let allotted = if view.dns_capture { service.auto_addresses.as_slice() } else { &[] };
        let mut allotted = view.reach.select(allotted).cloned();
        let first = allotted.next();
        return first.map(|address| Bind { address, extra: allotted.collect() }).into_iter().collect();
    };
    if service.registry == Registry::External {
        return own.into_iter().map(Bind::to).collect();
    }
    let mut fitting = view.reach.select(&own).cloned();
    let address = fitting.next().unwrap_or_else(|| Arc::clone(first));
    vec![Bind { address, extra: fitting.collect() }]
}

/// Whether a service is reached at the addresses of its endpoints: headless, or a ServiceEntry of resolution NONE.
pub(super) fn is_headless(service: &Service) -> bool {
    service.resolution == Resolution::Passthrough
}

/// Whether a listener may take a port: none that binds where the proxy itself listens, and no privileged port
/// of a pod that has no right to it.
pub(crate) fn allowed(
    view: &SharedView,
    mesh: &MeshConfig,
    bind: Option<&str>,
    bound: bool,
    port: u16,
    protocol: Protocol,
) -> bool {
    if bound && view.unprivileged && (1..1024).contains(&port) {
        return false;
    }
    let on_any = match bind {
        Some(bind) => *bind == *Wildcard::of(view.families).any,
        None => protocol.is_http(),
    };
    let own = [mesh.proxy_listen_port, mesh.proxy_inbound_listen_port];
    !on_any || !(own.contains(&i32::from(port)) || view.reserved_ports.contains(&port))
}
