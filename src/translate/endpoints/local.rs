//! Services whose clients use only the endpoints of their own cluster.
//!
//! Source: Istio `pilot/pkg/model/cluster_local.go`; `shared/spec/xds.md` 3.3, `shared/spec/kubernetes.md` 1.12.

use model::hostname;
use model::mesh::Settings;

/// Whether clients use only endpoints of their own cluster: by what `serviceSettings` say of the most specific host, where
/// the services of the system and the control plane itself stand unless it is said that they do not stay.
pub(super) fn is_local(host: &str, settings: &Settings) -> bool {
    let listed = listed(host, settings);
    let Some(default) = default(host, settings).filter(|pattern| !released(pattern, settings)) else {
        return listed.is_some_and(|(_, local)| local);
    };
    match listed {
        Some((pattern, local)) if hostname::by_specificity(pattern, &default).is_lt() => local,
        _ => true,
    }
}

/// What the mesh's configuration says of a host: the most specific pattern, of equal ones the last.
fn listed<'a>(host: &str, settings: &'a Settings) -> Option<(&'a str, bool)> {
    all(settings).filter(|(pattern, _)| hostname::subset_of(host, pattern)).fold(
        None,
        |best: Option<(&str, bool)>, next| match best {
            Some(best) if hostname::by_specificity(best.0, next.0).is_lt() => Some(best),
            _ => Some(next),
        },
    )
}

fn all(settings: &Settings) -> impl Iterator<Item = (&str, bool)> {
    let groups = settings.mesh.service_settings.iter();
    groups.flat_map(|group| group.hosts.iter().map(|host| (host.as_str(), group.settings.cluster_local)))
}

/// The pattern by which a host stays in its cluster when nothing is said.
fn default(host: &str, settings: &Settings) -> Option<String> {
    let name = host.strip_suffix(&*settings.domain)?.strip_suffix('.')?;
    if name.ends_with(".kube-system.svc") {
        return Some(format!("*.kube-system.svc.{}", settings.domain));
    }
    let address = settings.default_proxy_config.discovery_address.as_str();
    let control_plane = address.rsplit_once(':').map_or(address, |(name, _port)| name);
    (name == "kubernetes.default.svc" || name == control_plane || host == control_plane)
        .then(|| host.to_owned())
}

/// Whether it is said of the hosts of a default, or of some of them, that they do not stay.
fn released(default: &str, settings: &Settings) -> bool {
    let some = |host: &str| default.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
    all(settings).any(|(host, local)| !local && (host == default || some(host)))
}

#[cfg(test)]
mod tests {
    use api::mesh_config::MeshConfig;
    use model::Ref;
    use serde_json::json;

    use super::*;

    const CART: &str = "cart.shop.svc.cluster.local";
    const DNS: &str = "kube-dns.kube-system.svc.cluster.local";
    const SERVER: &str = "kubernetes.default.svc.cluster.local";
    const ISTIOD: &str = "istiod.istio-system.svc.cluster.local";

    /// Which of the hosts stay, when so is said of hosts.
    fn local(said: &[(&str, bool)]) -> Vec<&'static str> {
        let one =
            |(host, local): &(&str, bool)| json!({"hosts": [host], "settings": {"clusterLocal": local}});
        let document = json!({"serviceSettings": said.iter().map(one).collect::<Vec<_>>()});
        let (mesh, _) = MeshConfig::default().apply(document).expect("a mesh configuration");
        let settings = Settings { mesh: Ref::new(mesh), ..Settings::default() };
        [CART, DNS, SERVER, ISTIOD].into_iter().filter(|host| is_local(host, &settings)).collect()
    }

    #[test]
    fn the_most_specific_host_decides_and_the_system_stays_unless_told_otherwise() {
        assert_eq!(local(&[]), [DNS, SERVER, ISTIOD]);
        assert_eq!(local(&[("*.shop.svc.cluster.local", true)]), [CART, DNS, SERVER, ISTIOD]);
        assert_eq!(local(&[(CART, false), ("*", true)]), [DNS, SERVER, ISTIOD]);
        assert_eq!(local(&[("*", false)]), [DNS, SERVER, ISTIOD], "the defaults are more specific");
        assert_eq!(local(&[("*.kube-system.svc.cluster.local", false)]), [SERVER, ISTIOD]);
        assert_eq!(local(&[("other.kube-system.svc.cluster.local", false)]), [SERVER, ISTIOD]);
        assert_eq!(
            local(&[(SERVER, false), (ISTIOD, false), (ISTIOD, true)]),
            [DNS, ISTIOD],
            "the last counts"
        );
    }
}
