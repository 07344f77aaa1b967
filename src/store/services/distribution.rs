//! Which endpoints of a service are preferred, as the service itself says.
//!
//! Source: Kubernetes `spec.trafficDistribution`; Istio annotation `networking.istio.io/traffic-distribution`,
//! `pilot/pkg/model/service.go` (`GetTrafficDistribution`).

use api::Object;
use api::kubernetes::Namespace;
use model::Labels;
use model::service::TrafficDistribution;

/// The annotation of services and namespaces.
const ANNOTATION: &str = "networking.istio.io/traffic-distribution";

/// What `spec` asks for; else, in any case of letters, the annotation of the service; else that of its namespace. A word of
/// `spec` that is none is as if it was not there.
pub(super) fn of(
    spec: Option<&str>,
    annotations: &Labels,
    namespace: Option<&Object<Namespace>>,
) -> TrafficDistribution {
    let asked = match spec {
        Some("PreferClose" | "PreferSameZone") => Some(TrafficDistribution::PreferSameZone),
        Some("PreferSameNode") => Some(TrafficDistribution::PreferSameNode),
        _ => None,
    };
    let said = |annotations: &Labels| annotations.get(ANNOTATION).filter(|v| !v.is_empty()).cloned();
    asked.unwrap_or_else(|| {
        let word = said(annotations).or_else(|| namespace.and_then(|n| said(&n.meta.annotations)));
        match word.map(|w| w.to_ascii_lowercase()).as_deref() {
            Some("preferclose" | "prefersamezone") => TrafficDistribution::PreferSameZone,
            Some("prefersamenode") => TrafficDistribution::PreferSameNode,
            _ => TrafficDistribution::Any,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_that_says_anything_decides() {
        let annotated = |word: &str| Labels::from([(ANNOTATION.to_owned(), word.to_owned())]);
        let mut namespace = Object::<Namespace>::default();
        namespace.meta.annotations = annotated("PreferSameNode");
        let of = |spec, own: &str| of(spec, &annotated(own), Some(&namespace));
        assert_eq!(of(Some("PreferClose"), "any"), TrafficDistribution::PreferSameZone);
        assert_eq!(of(Some("preferclose"), "prefersamezone"), TrafficDistribution::PreferSameZone);
        assert_eq!(of(Some("Nonsense"), ""), TrafficDistribution::PreferSameNode);
        assert_eq!(of(None, "any"), TrafficDistribution::Any);
    }
}
