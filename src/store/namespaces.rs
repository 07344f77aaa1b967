//! What the labels of namespaces say: whose objects count, who sees their ServiceEntries, the network of the cluster.
//!
//! Source: Istio `MeshConfig` (`discoverySelectors`, `serviceEntryVisibility`), `pkg/kube/namespace/filter.go`;
//! `shared/spec/kubernetes.md` 1.11, `observed.md` 70.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::mesh_config::{MeshConfig, ServiceEntryVisibility, Visibility, VisibilityMatch};
use model::Labels;
use model::selector::selected;
use model::visibility::ExportTo;

use crate::dirty::Dirty;
use crate::registry::Registry;
use crate::tables::Tables;

/// Label of the system namespace: the network of its cluster.
const NETWORK: &str = "topology.istio.io/network";

/// What follows from the labels of namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The namespaces whose objects count; `None` for all.
    discovered: Option<BTreeSet<Arc<str>>>,
    /// Who sees ServiceEntries, where the mesh limits it: by namespace, and of all others.
    visibility: Option<(BTreeMap<Arc<str>, Visibility>, Visibility)>,
    /// The network of the cluster; empty if nothing says it.
    pub(crate) network: String,
}

impl Said {
    /// What those of a cluster say.
    fn of(registry: &Registry, mesh: &MeshConfig, system_namespace: &str) -> Self {
        let labels = || registry.namespace_labels();
        let selectors = &mesh.discovery_selectors;
        let discovered = (!selectors.is_empty()).then(|| {
            let chosen = labels().filter(|(_, labels)| selectors.iter().any(|s| selected(s, labels)));
            chosen.map(|(name, _)| Arc::clone(name)).collect()
        });
        let visibility = mesh.service_entry_visibility.as_ref().filter(|v| v.apply_to_sidecars).map(|v| {
            let of_labels = labels().map(|(name, labels)| (Arc::clone(name), visibility(v, labels)));
            (of_labels.collect(), visibility(v, &Labels::new()))
        });
        let system = labels().find(|(name, _)| ***name == *system_namespace);
        let network = system.and_then(|(_, labels)| labels.get(NETWORK)).cloned().unwrap_or_default();
        Self { discovered, visibility, network }
    }

    /// Whether the objects of a namespace count.
    pub(crate) fn discovers(&self, namespace: &str) -> bool {
        self.discovered.as_ref().is_none_or(|names| names.contains(namespace))
    }

    /// Who sees a ServiceEntry of a namespace that asks for `export_to`.
    pub(crate) fn limit(&self, export_to: ExportTo, namespace: &Arc<str>) -> ExportTo {
        let Some((named, others)) = &self.visibility else { return export_to };
        match (named.get(namespace).unwrap_or(others), &export_to) {
            (Visibility::Public | Visibility::VisibilityUnspecified, _) | (_, ExportTo::Nobody) => export_to,
            (Visibility::None, _) => ExportTo::Nobody,
            (Visibility::Namespace, _) if !export_to.visible_to(namespace) => ExportTo::Nobody,
            (Visibility::Namespace, _) => ExportTo::Namespaces(BTreeSet::from([Arc::clone(namespace)])),
        }
    }
}

impl Tables {
    /// The namespaces of the home cluster whose objects count, as of the last mesh; `None` for all. Another control plane
    /// may serve the others.
    pub fn discovered(&self) -> Option<&BTreeSet<Arc<str>>> {
        self.home.said.discovered.as_ref()
    }

    /// Reads what the namespaces of the home cluster say; true if it differs.
    pub(crate) fn read_namespaces(&mut self) -> bool {
        self.home.read_namespaces(&self.settings.mesh, &self.options.system_namespace)
    }

    /// The same for the other clusters where any changed, or for all; those come back where it differs.
    pub(crate) fn read_remote_namespaces(&mut self, dirty: &Dirty, all: bool) -> BTreeSet<Arc<str>> {
        let (mesh, system) = (&self.settings.mesh, &self.options.system_namespace);
        let touched = |cluster: &Arc<str>| dirty.remotes.get(cluster).is_some_and(|t| t.namespaces);
        let read = self.remotes.iter_mut().filter(|(cluster, _)| all || touched(cluster));
        let differing = read.filter_map(|(cluster, registry)| {
            registry.read_namespaces(mesh, system).then(|| Arc::clone(cluster))
        });
        differing.collect()
    }
}

impl Registry {
    fn read_namespaces(&mut self, mesh: &MeshConfig, system_namespace: &str) -> bool {
        let said = Said::of(self, mesh, system_namespace);
        let differs = said != self.said;
        self.said = said;
        differs
    }
}

/// The first policy that matches, else the default.
fn visibility(setting: &ServiceEntryVisibility, labels: &Labels) -> Visibility {
    let matches = |m: &VisibilityMatch| m.namespace_selector.as_ref().is_none_or(|s| selected(s, labels));
    let policy = setting.policies.iter().find(|p| p.matching_rules.iter().any(matches));
    policy.map_or(setting.default_visibility, |p| p.visibility)
}

/// Operators of the mesh's selectors that Kubernetes has not, each after the field that holds it.
pub(crate) fn unknown_operators(mesh: &MeshConfig) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, selector) in mesh.discovery_selectors.iter().enumerate() {
        for (place, requirement) in selector.match_expressions.iter().enumerate() {
            if !matches!(requirement.operator.as_str(), "In" | "NotIn" | "Exists" | "DoesNotExist") {
                let field = format!("mesh.discoverySelectors[{at}].matchExpressions[{place}].operator");
                found.push((field, requirement.operator.clone()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_seen_by_no_more_than_the_mesh_allows() {
        let said = |visibility| Said { visibility: Some((BTreeMap::new(), visibility)), ..Said::default() };
        let own: Arc<str> = "own".into();
        let only_own = || ExportTo::Namespaces(BTreeSet::from([Arc::clone(&own)]));
        assert_eq!(Said::default().limit(ExportTo::All, &own), ExportTo::All);
        assert_eq!(said(Visibility::Public).limit(ExportTo::All, &own), ExportTo::All);
        assert_eq!(said(Visibility::Namespace).limit(ExportTo::All, &own), only_own());
        assert_eq!(said(Visibility::Namespace).limit(ExportTo::Nobody, &own), ExportTo::Nobody);
        assert_eq!(said(Visibility::None).limit(only_own(), &own), ExportTo::Nobody);
        let other = ExportTo::Namespaces(BTreeSet::from(["other".into()]));
        assert_eq!(said(Visibility::Namespace).limit(other, &own), ExportTo::Nobody);
    }
}
