//! Names in a VirtualService as they are meant: hosts in full, gateways with their namespace.

use api::istio::{Destination, HttpRoute, VirtualService};
use model::{Config, hostname, mesh};

/// Annotation of VirtualServices that other APIs were translated to.
const SEMANTICS: &str = "internal.istio.io/route-semantics";

/// Resolves all names. Those of the Gateway API are full already.
pub(super) fn resolve(config: &mut Config<VirtualService>, domain: &str) {
    let namespace = std::sync::Arc::clone(config.namespace());
    let gateway = |name: &mut String| *name = gateway(name, &namespace);
    let spec = &mut config.spec;
    spec.gateways.iter_mut().for_each(gateway);
    spec.http.iter_mut().flat_map(|r| &mut r.r#match).flat_map(|m| &mut m.gateways).for_each(gateway);
    spec.tls.iter_mut().flat_map(|r| &mut r.r#match).flat_map(|m| &mut m.gateways).for_each(gateway);
    spec.tcp.iter_mut().flat_map(|r| &mut r.r#match).flat_map(|m| &mut m.gateways).for_each(gateway);
    if config.annotations.get(SEMANTICS).is_some_and(|s| s == "gateway") {
        return;
    }
    let full = |host: &str| hostname::resolve_short(host, &namespace, domain);
    spec.hosts.iter_mut().for_each(|h| *h = full(h));
    for destination in destinations(spec) {
        destination.host = full(&destination.host);
    }
}

/// `<namespace>/<name>` of a Gateway that an object of `namespace` names: in this form, as `./<name>`, as a bare name
/// of its own namespace, or as a host name.
fn gateway(name: &str, namespace: &str) -> String {
    if name == mesh::MESH {
        return name.to_owned();
    }
    match (name.split_once('/'), name.split_once('.')) {
        (Some((".", own)), _) => format!("{namespace}/{own}"),
        (Some(_), _) => name.to_owned(),
        (None, Some((own, rest))) => format!("{}/{own}", rest.split('.').next().unwrap_or(rest)),
        (None, None) => format!("{namespace}/{name}"),
    }
}

/// All destinations of a rule, wherever they stand.
fn destinations(spec: &mut VirtualService) -> impl Iterator<Item = &mut Destination> {
    let http = spec.http.iter_mut().flat_map(|HttpRoute { route, mirror, mirrors, .. }| {
        let routes = route.iter_mut().map(|r| &mut r.destination);
        routes.chain(mirror.iter_mut()).chain(mirrors.iter_mut().map(|m| &mut m.destination))
    });
    let tcp = spec.tcp.iter_mut().flat_map(|r| &mut r.route).map(|r| &mut r.destination);
    let tls = spec.tls.iter_mut().flat_map(|r| &mut r.route).map(|r| &mut r.destination);
    http.chain(tcp).chain(tls)
}

#[cfg(test)]
mod tests {
    use super::gateway;

    #[test]
    fn gateways_get_their_namespace() {
        for (name, full) in [
            ("mesh", "mesh"),
            ("edge", "shop/edge"),
            ("./edge", "shop/edge"),
            ("infra/edge", "infra/edge"),
            ("edge.infra", "infra/edge"),
            ("edge.infra.svc.cluster.local", "infra/edge"),
        ] {
            assert_eq!(gateway(name, "shop"), full, "{name}");
        }
    }
}
