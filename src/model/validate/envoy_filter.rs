//! Rules of EnvoyFilter.

use api::istio::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilter, ListenerMatch, Patch,
    PatchOperation,
};

use super::check::Check;
use super::selector;
use super::text::{optional_port, regex};

pub(super) fn envoy_filter(check: &mut Check, filter: &EnvoyFilter) {
    selector::workloads(check, filter.workload_selector.as_ref());
    selector::targets(check, filter.workload_selector.is_some(), None, &filter.target_refs);
    check.each("configPatches", &filter.config_patches, patch);
}

fn patch(check: &mut Check, patch: &EnvoyConfigObjectPatch) {
    if patch.apply_to == ApplyTo::Invalid {
        check.error(
            "applyTo",
            "nothing says what is patched",
            "write LISTENER, HTTP_FILTER, CLUSTER or the like",
        );
    }
    match &patch.patch {
        None => check.error("patch", "the patch is missing", "write operation and value"),
        Some(change) => check.at("patch", |check| operation(check, change, patch.apply_to)),
    }
    check.some("match", patch.r#match.as_ref(), |check, matched| object(check, matched, patch.apply_to));
}

fn operation(check: &mut Check, change: &Patch, apply_to: ApplyTo) {
    if change.operation == PatchOperation::Invalid {
        check.error("operation", "nothing says how it is patched", "write MERGE, ADD, REMOVE or the like");
    }
    let valued = !matches!(change.operation, PatchOperation::Remove | PatchOperation::Invalid);
    match &change.value {
        None if valued => check.error("value", "the value is missing", "write the patched message's fields"),
        Some(value) if !value.0.is_object() => {
            check.error("value", "the value is not a mapping", "write the patched message's fields");
        }
        _ => {}
    }
    let replaceable = [ApplyTo::HttpFilter, ApplyTo::NetworkFilter, ApplyTo::ListenerFilter];
    if change.operation == PatchOperation::Replace && !replaceable.contains(&apply_to) {
        let hint = "write MERGE, or REMOVE and ADD";
        check.error("operation", "only filters can be replaced", hint);
    }
}

/// Whether the match is of the kind of thing that is patched.
fn object(check: &mut Check, matched: &EnvoyConfigObjectMatch, apply_to: ApplyTo) {
    let routes = [ApplyTo::RouteConfiguration, ApplyTo::VirtualHost, ApplyTo::HttpRoute];
    let listeners = [
        ApplyTo::Listener,
        ApplyTo::FilterChain,
        ApplyTo::NetworkFilter,
        ApplyTo::HttpFilter,
        ApplyTo::ListenerFilter,
    ];
    let fits = [
        ("listener", matched.listener.is_some(), listeners.contains(&apply_to)),
        ("routeConfiguration", matched.route_configuration.is_some(), routes.contains(&apply_to)),
        ("cluster", matched.cluster.is_some(), apply_to == ApplyTo::Cluster),
    ];
    for (field, given, fits) in fits {
        if given
            && !fits
            && !matches!(apply_to, ApplyTo::Invalid | ApplyTo::ExtensionConfig | ApplyTo::Bootstrap)
        {
            let hint = "match what is patched: listener, routeConfiguration or cluster";
            check.error(field, "the match is of another kind of thing than applyTo", hint);
        }
    }
    check.some("proxy", matched.proxy.as_ref(), |check, proxy| {
        if !proxy.proxy_version.is_empty() {
            regex(check, "proxyVersion", &proxy.proxy_version);
        }
    });
    check.some("listener", matched.listener.as_ref(), |check, listener| {
        self::listener(check, listener, apply_to)
    });
}

fn listener(check: &mut Check, listener: &ListenerMatch, apply_to: ApplyTo) {
    optional_port(check, "portNumber", listener.port_number);
    if !listener.listener_filter.is_empty() && apply_to != ApplyTo::ListenerFilter {
        let hint = "write applyTo LISTENER_FILTER, or leave it out";
        check.error(
            "listenerFilter",
            "the match names a listener filter, and another kind of thing is patched",
            hint,
        );
    }
    check.some("filterChain", listener.filter_chain.as_ref(), |check, chain| {
        optional_port(check, "destinationPort", chain.destination_port);
        check.some("filter", chain.filter.as_ref(), |check, filter| {
            let named = [ApplyTo::NetworkFilter, ApplyTo::HttpFilter];
            if filter.name.is_empty() {
                check.error("name", "the filter has no name", "name the network filter");
            }
            if !named.contains(&apply_to) {
                let hint = "write applyTo NETWORK_FILTER or HTTP_FILTER, or leave it out";
                check.error("", "the match names a filter, and another kind of thing is patched", hint);
            }
            check.some("subFilter", filter.sub_filter.as_ref(), |check, sub| {
                if apply_to != ApplyTo::HttpFilter
                    || filter.name != "envoy.filters.network.http_connection_manager"
                {
                    let hint =
                        "use it with applyTo HTTP_FILTER, in envoy.filters.network.http_connection_manager";
                    check.error("", "only an HTTP connection manager has filters in it", hint);
                }
                if sub.name.is_empty() {
                    check.error("name", "the HTTP filter has no name", "name the HTTP filter");
                }
            });
        });
    });
}
