//! What clients call this control plane: the names in its certificate.

/// Services that the control plane is reached by, in its own namespace.
const SERVICES: [&str; 3] = ["istiod", "istiod-remote", "istio-pilot"];

/// The names, each once: those of `ISTIOD_CUSTOM_HOST` (`custom`, with commas), the host of the address that proxies are
/// told (`discovery`), and the Services of the control plane and of its revision.
pub(crate) fn names(custom: &str, discovery: &str, namespace: &str, revision: &str) -> Vec<String> {
    let mut names: Vec<String> = custom.split(',').map(|name| name.trim().to_owned()).collect();
    names.push(host(discovery).to_owned());
    let of_revision = (!matches!(revision, "" | "default")).then(|| format!("istiod-{revision}"));
    let services = SERVICES.into_iter().map(str::to_owned).chain(of_revision);
    names.extend(services.map(|service| format!("{service}.{namespace}.svc")));
    let mut unique = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// The host of `host:port`; an IPv6 address stands in brackets.
fn host(address: &str) -> &str {
    match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn names_are_those_of_the_reference_each_once() {
        let known = "istiod.istio-system.svc,istiod-remote.istio-system.svc,istio-pilot.istio-system.svc";
        let default = names("", "istiod.istio-system.svc:15012", "istio-system", "default");
        assert_eq!(default.join(","), known);
        let other = names("pilot.example, 10.0.0.1", "[2001:db8::1]:15012", "mesh", "canary");
        let expected = [
            "pilot.example",
            "10.0.0.1",
            "2001:db8::1",
            "istiod.mesh.svc",
            "istiod-remote.mesh.svc",
            "istio-pilot.mesh.svc",
            "istiod-canary.mesh.svc",
        ];
        assert_eq!(other, expected);
    }
}
