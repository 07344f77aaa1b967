//! Which Gateways apply to a router.

use std::sync::Arc;

use api::istio::Gateway;
use model::config::selects;
use model::{Config, Ref};

use super::ports;
use crate::class::OwnView;
use crate::context::Context;
use crate::workload::Target;

/// Annotation of Gateways that name the Services whose pods serve them, by host name.
const SERVICES: &str = "internal.istio.io/gateway-service";

/// A Gateway that applies, and the ports that it can listen on.
#[derive(Clone, Debug)]
pub(super) struct Selected<'a, 't> {
    /// The Gateway.
    pub(super) gateway: &'a Ref<Config<Gateway>>,
    /// Ports of the Services that the router is behind.
    pub(super) targets: &'t [Target],
    /// The Services that the Gateway names; `None` if it selects by label.
    services: Option<Vec<Arc<str>>>,
}

impl Selected<'_, '_> {
    /// The ports on which the router listens for a port of the Gateway.
    pub(super) fn listening(&self, number: u16) -> Vec<u16> {
        match &self.services {
            Some(services) => ports::of_named(number, self.targets, services),
            None => vec![ports::of_selected(number, self.targets)],
        }
    }
}

/// The Gateways that apply, oldest first.
pub(super) fn select<'a, 't>(
    context: &Context<'a>,
    view: &OwnView,
    targets: &'t [Target],
) -> Vec<Selected<'a, 't>> {
    let namespace = &view.shared.namespace;
    let own_only = context.settings().features.scope_gateway_to_namespace;
    let mut gateways: Vec<&'a Ref<Config<Gateway>>> =
        context.mesh.gateways.iter().filter(|g| !own_only || g.namespace() == namespace).collect();
    gateways.sort_by(|a, b| a.by_age(b));
    let mut selected: Vec<_> = gateways.into_iter().filter_map(|g| applies(g, view, targets)).collect();
    // A router that one owner manages must not be opened further from other namespaces by guessing its labels.
    if selected.iter().any(|s| s.services.is_some()) {
        selected.retain(|s| s.services.is_some() || s.gateway.namespace() == namespace);
    }
    selected
}

fn applies<'a, 't>(
    gateway: &'a Ref<Config<Gateway>>,
    view: &OwnView,
    targets: &'t [Target],
) -> Option<Selected<'a, 't>> {
    let Some(named) = gateway.annotations.get(SERVICES) else {
        let selected = selects(&gateway.spec.selector, &view.labels);
        return selected.then_some(Selected { gateway, targets, services: None });
    };
    let own = |t: &&Target| t.service.namespace == *gateway.namespace();
    let is_named = |t: &&Target| named.split(',').any(|host| host == &*t.service.host);
    let services: Vec<Arc<str>> =
        targets.iter().filter(own).filter(is_named).map(|t| Arc::clone(&t.service.host)).collect();
    (!services.is_empty()).then_some(Selected { gateway, targets, services: Some(services) })
}
