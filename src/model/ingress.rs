//! Which Ingresses are the mesh's own, and which gateways serve them.
//!
//! Source: `shared/spec/kubernetes.md` 2.12, `observed.md` 79; Istio `MeshConfig` (`ingressControllerMode`, `ingressClass`,
//! `ingressService`, `ingressSelector`).

use api::kubernetes::IngressClass;
use api::mesh_config::{IngressControllerMode, MeshConfig};

/// The controller that an IngressClass of the mesh names.
pub const CONTROLLER: &str = "istio.io/ingress-controller";

/// The annotation by which an Ingress named its class before there was a field. It goes before the field.
pub const CLASS: &str = "kubernetes.io/ingress.class";

/// The Service of the gateways where nothing else is said.
const SERVICE: &str = "istio-ingressgateway";

/// The label of the gateways behind [`SERVICE`].
const GATEWAY: &str = "ingressgateway";

/// Whether an Ingress is the mesh's own: by its annotation [`CLASS`], if it has that, or by the IngressClass that it names,
/// if that is there.
pub fn is_served(mesh: &MeshConfig, annotation: Option<&str>, class: Option<&IngressClass>) -> bool {
    if mesh.ingress_controller_mode == IngressControllerMode::Off {
        return false;
    }
    match (annotation, class) {
        (Some(annotation), _) => annotation == mesh.ingress_class,
        (None, Some(class)) => class.controller == CONTROLLER,
        (None, None) => mesh.ingress_controller_mode == IngressControllerMode::Default,
    }
}

/// The value of the label `istio` of the gateways that serve Ingresses.
pub fn gateway(mesh: &MeshConfig) -> &str {
    match (mesh.ingress_selector.as_str(), mesh.ingress_service.as_str()) {
        ("", "" | SERVICE) => GATEWAY,
        ("", service) => service,
        (selector, _) => selector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(controller: &str) -> IngressClass {
        IngressClass { controller: controller.to_owned() }
    }

    #[test]
    fn an_ingress_is_served_by_its_annotation_else_by_its_class_else_by_the_mode() {
        use IngressControllerMode::{Default as Any, Off, Strict};
        let (ours, theirs) = (class(CONTROLLER), class("k8s.io/nginx"));
        for (annotation, class, served) in [
            (None, None, [false, true, false]),
            (None, Some(&ours), [false, true, true]),
            (None, Some(&theirs), [false, false, false]),
            (Some("istio"), None, [false, true, true]),
            (Some("istio"), Some(&theirs), [false, true, true]),
            (Some("nginx"), Some(&ours), [false, false, false]),
            (Some(""), None, [false, false, false]),
        ] {
            for (mode, served) in [Off, Any, Strict].into_iter().zip(served) {
                let mesh = MeshConfig { ingress_controller_mode: mode, ..MeshConfig::default() };
                let is = is_served(&mesh, annotation, class);
                assert_eq!(is, served, "{annotation:?} {class:?} {mode:?}");
            }
        }
    }

    #[test]
    fn gateways_are_selected_by_the_selector_or_else_the_service() {
        for (selector, service, wanted) in [
            ("", "istio-ingressgateway", "ingressgateway"),
            ("", "", "ingressgateway"),
            ("", "edge", "edge"),
            ("front", "edge", "front"),
            ("front", "", "front"),
        ] {
            let (ingress_selector, ingress_service) = (selector.to_owned(), service.to_owned());
            let mesh = MeshConfig { ingress_selector, ingress_service, ..MeshConfig::default() };
            assert_eq!(gateway(&mesh), wanted, "{selector:?} {service:?}");
        }
    }
}
