//! What objects of Istio's kinds, and Ingresses, may say: the rules of whoever takes them, said of a field with what to write instead.
//!
//! An error is what the reference refuses when the object is written; a warning is taken, but perhaps not as meant. Rules
//! look at one object alone: what two objects make of each other is found where they meet. An object with errors is not
//! left out of the mesh for them, since whoever holds it has taken it: what can be served of it is.
//!
//! Source: Istio `pkg/config/validation/`; `shared/spec/kubernetes.md` 6.

mod authorization_policy;
mod balancer;
mod check;
mod destination_rule;
mod envoy_filter;
mod extensions;
mod gateway;
mod http;
mod http_actions;
mod identity;
mod ingress;
mod mesh_config;
mod policies;
mod proxy_config;
mod selector;
mod service_entry;
mod shadowed;
mod sidecar;
mod telemetry;
mod text;
mod tls;
mod traffic_policy;
mod virtual_service;
mod workload;

use api::istio::AuthorizationAction;
use api::{AnyObject, Meta, Problem};

pub(crate) use check::Check;
pub use mesh_config::{mesh_config, mesh_networks};
pub use text::is_token;

/// What is wrong with an object, in the order of the rules; nothing for kinds without rules.
pub fn validate(object: &AnyObject) -> Vec<Problem> {
    let mut check = Check::new(object.key());
    metadata(&mut check, object);
    let check = &mut check;
    match object {
        AnyObject::Ingress(o) => ingress::ingress(check, o),
        AnyObject::Gateway(o) => gateway::gateway(check, &o.spec),
        AnyObject::VirtualService(o) => virtual_service::virtual_service(check, &o.spec),
        AnyObject::DestinationRule(o) => destination_rule::destination_rule(check, &o.spec),
        AnyObject::ServiceEntry(o) => service_entry::service_entry(check, &o.spec),
        AnyObject::WorkloadEntry(o) => workload::entry(check, &o.spec),
        AnyObject::WorkloadGroup(o) => workload::group(check, &o.spec),
        AnyObject::Sidecar(o) => sidecar::sidecar(check, &o.spec),
        AnyObject::AuthorizationPolicy(o) => authorization_policy::authorization_policy(check, &o.spec),
        AnyObject::RequestAuthentication(o) => policies::request_authentication(check, &o.spec),
        AnyObject::PeerAuthentication(o) => policies::peer_authentication(check, &o.spec),
        AnyObject::ProxyConfig(o) => policies::proxy_config(check, &o.spec),
        AnyObject::Telemetry(o) => telemetry::telemetry(check, &o.spec),
        AnyObject::EnvoyFilter(o) => envoy_filter::envoy_filter(check, &o.spec),
        AnyObject::WasmPlugin(o) => extensions::wasm_plugin(check, &o.spec),
        AnyObject::TrafficExtension(o) => extensions::traffic_extension(check, &o.spec),
        _ => {}
    }
    std::mem::replace(check, Check::new(object.key())).done()
}

/// The annotation with which the reference's webhook tries itself out.
const ALWAYS_REJECT: &str = "internal.istio.io/webhook-always-reject";
/// The annotation that makes an AuthorizationPolicy tell and not act.
const DRY_RUN: &str = "istio.io/dry-run";
/// Annotations that only the control plane writes.
const INTERNAL: [&str; 2] = ["internal.istio.io/parents", "internal.istio.io/parent-namespace"];

fn metadata(check: &mut Check, object: &AnyObject) {
    if object.kind().group().ends_with("istio.io") {
        check.document(|check| annotations(check, object, object.meta()));
    }
}

fn annotations(check: &mut Check, object: &AnyObject, meta: &Meta) {
    let has = |name: &str| meta.annotations.contains_key(name);
    let field = |name: &str| format!("metadata.annotations[{name}]");
    if has(ALWAYS_REJECT) {
        check.error(
            &field(ALWAYS_REJECT),
            "an object with this annotation is always refused",
            "remove the annotation",
        );
    }
    for name in INTERNAL.into_iter().filter(|name| has(name)) {
        check.error(&field(name), "only the control plane writes this annotation", "remove the annotation");
    }
    let Some(dry_run) = meta.annotations.get(DRY_RUN) else { return };
    let fits = matches!(object, AnyObject::AuthorizationPolicy(o)
        if matches!(o.spec.action, AuthorizationAction::Allow | AuthorizationAction::Deny));
    if !fits {
        let hint = "remove the annotation, or use the action ALLOW or DENY";
        check.error(
            &field(DRY_RUN),
            "only an AuthorizationPolicy that allows or denies can be tried out",
            hint,
        );
    } else if !["true", "false", "1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False"]
        .contains(&dry_run.as_str())
    {
        check.error(
            &field(DRY_RUN),
            format!("{dry_run:?} is neither true nor false"),
            "write \"true\" or \"false\"",
        );
    }
}
