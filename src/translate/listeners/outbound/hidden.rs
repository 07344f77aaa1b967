//! Shared listeners that one workload must not have: those of its own address as an endpoint of a headless service.
//! It would meet itself there instead of its inbound listener.

use std::sync::Arc;

use model::endpoint::Address;
use model::protocol::Class;
use model::service::Service;

use super::bind;
use crate::class::OwnView;
use crate::context::Context;

/// The names of those listeners. The pods of a headless service are of its own namespace.
pub fn hidden(context: &Context<'_>, view: &OwnView) -> Vec<Arc<str>> {
    let Some(own) = view.addresses.first().map(ToString::to_string) else { return Vec::new() };
    let services = context.mesh.services.of_namespace(&context.view.namespace);
    let mut names: Vec<Arc<str>> = services
        .into_iter()
        .flat_map(|list| list.iter())
        .filter(|s| bind::is_headless(s) && has_endpoint(context, s, &own))
        .filter(|s| bind::addresses(s, context.view).is_empty())
        .flat_map(|s| s.ports.iter())
        .filter(|p| matches!(p.protocol.class(), Class::Tcp | Class::Auto))
        .map(|p| Arc::from(format!("{own}_{}", p.number)))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn has_endpoint(context: &Context<'_>, service: &Service, own: &str) -> bool {
    let Some(endpoints) = context.endpoints(service) else { return false };
    endpoints.endpoints.iter().any(|e| matches!(&e.address, Address::Ip(ip) if **ip == *own))
}
