//! Settings of the mesh from its ConfigMap, merged over the built-in defaults; a document that cannot be taken
//! leaves the last good settings in force and is reported.
//!
//! Source: `shared/spec/kubernetes.md` 1.11.

use std::net::IpAddr;
use std::sync::Arc;

use api::decode::AnyObject;
use api::mesh_config::{MeshConfig, MeshNetworks};
use api::{Kind, ObjectKey, Problem, Severity};
use ipnet::IpNet;
use model::Ref;
use model::mesh::{Features, Settings};
use model::validate;
use serde_json::Value;

use crate::namespaces;
use crate::registry::Registry;
use crate::tables::Tables;

/// The label by which an object names its revision.
const REVISION: &str = "istio.io/rev";

/// The revision that the charts install where no other is named.
const DEFAULT_REVISION: &str = "default";

/// What is fixed when the process starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// DNS domain of Kubernetes services.
    pub domain: Arc<str>,
    /// Name of this cluster.
    pub cluster: Arc<str>,
    /// Namespace of the control plane: where the mesh's ConfigMap is.
    pub system_namespace: Arc<str>,
    /// Namespace of the gateways that serve Ingresses.
    pub ingress_namespace: Arc<str>,
    /// Revision: the ConfigMap is `istio` or `istio-<revision>`. Without one the objects of all revisions count.
    pub revision: Arc<str>,
    /// Name of a ConfigMap whose configuration lies beneath that of the revision (`SHARED_MESH_CONFIG`); empty for none.
    pub shared_mesh_config: Arc<str>,
    /// Flags.
    pub features: Features,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            domain: Arc::from("cluster.local"),
            cluster: Arc::from("Kubernetes"),
            system_namespace: Arc::from("istio-system"),
            ingress_namespace: Arc::from("istio-system"),
            revision: Arc::from(DEFAULT_REVISION),
            shared_mesh_config: Arc::from(""),
            features: Features::default(),
        }
    }
}

impl Options {
    /// The settings while there is no ConfigMap.
    pub(crate) fn settings(&self) -> Ref<Settings> {
        self.with(MeshConfig::default(), MeshNetworks::default())
    }

    fn with(&self, mesh: MeshConfig, networks: MeshNetworks) -> Ref<Settings> {
        Ref::new(Settings {
            default_proxy_config: Ref::new(mesh.default_config.clone()),
            mesh: Ref::new(mesh),
            networks: Ref::new(networks),
            features: Ref::new(self.features.clone()),
            domain: Arc::clone(&self.domain),
            cluster: Arc::clone(&self.cluster),
        })
    }

    /// Namespace and name of the ConfigMaps that are read, the lowest layer first.
    pub fn config_maps(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let own: Arc<str> = Arc::from(self.config_map_name());
        let shared = Some(&self.shared_mesh_config).filter(|name| !name.is_empty() && **name != own).cloned();
        let names = shared.into_iter().chain([own]);
        names.map(|name| (Arc::clone(&self.system_namespace), name)).collect()
    }

    fn config_map_name(&self) -> String {
        match &*self.revision {
            "" | DEFAULT_REVISION => "istio".to_owned(),
            revision => format!("istio-{revision}"),
        }
    }

    /// Whether an object counts in this revision: Istio's objects may name one by a label, all others count in all.
    pub(crate) fn counts(&self, object: &AnyObject) -> bool {
        let named =
            object.meta().labels.get(REVISION).filter(|_| object.kind().group().ends_with(".istio.io"));
        self.revision.is_empty() || named.is_none_or(|named| *named == *self.revision)
    }

    pub(crate) fn is_mesh_config_map(&self, namespace: &str, name: &str) -> bool {
        self.config_maps().iter().any(|(of, called)| **of == *namespace && **called == *name)
    }
}

impl Tables {
    /// Whether an object is for this revision; of others nothing is served and nothing is told.
    pub fn counts(&self, object: &AnyObject) -> bool {
        self.options.counts(object)
    }

    /// Reads the mesh's ConfigMaps, one over the other. Keys that cannot be taken are reported, the last good form of
    /// what they are part of stays.
    pub(crate) fn read_settings(&mut self) {
        let (mut mesh, mut networks) = (Some(MeshConfig::default()), Some(MeshNetworks::default()));
        for id in self.options.config_maps() {
            let key =
                ObjectKey { kind: Kind::ConfigMap, namespace: Arc::clone(&id.0), name: Arc::clone(&id.1) };
            let mut layer = Layer { key: key.clone(), problems: Vec::new() };
            if let Some(object) = self.config_maps.get(&id) {
                let text = |field: &str| object.spec.data.get(field).map_or("", String::as_str);
                let read = layer.mesh(mesh.as_ref(), text("mesh"));
                mesh = mesh.and(read);
                let read = layer.networks(text("meshNetworks"));
                networks = networks.and_then(|below| read.map(|read| read.unwrap_or(below)));
            }
            self.report(&key, layer.problems);
        }
        let mesh = mesh.unwrap_or_else(|| (*self.settings.mesh).clone());
        let networks = networks.unwrap_or_else(|| (*self.settings.networks).clone());
        self.settings = self.options.with(mesh, networks);
    }
}

impl Registry {
    /// The network that an address of the cluster lies in: that of its system namespace, else by its name as a registry,
    /// else by the widest range: as in the reference, the first that holds the address from the top of a tree.
    pub(crate) fn network_of(&self, settings: &Settings, address: &str) -> String {
        if !self.said.network.is_empty() {
            return self.said.network.clone();
        }
        let networks = &settings.networks.networks;
        let endpoints = || networks.iter().flat_map(|(name, n)| n.endpoints.iter().map(move |e| (name, e)));
        let registry = endpoints().find(|(_, e)| e.from_registry.as_deref() == Some(&*self.cluster));
        if let Some((name, _)) = registry {
            return name.clone();
        }
        let Ok(ip) = address.parse::<IpAddr>() else { return String::new() };
        let ranges =
            endpoints().filter_map(|(name, e)| Some((name, e.from_cidr.as_deref()?.parse::<IpNet>().ok()?)));
        let found = ranges.filter(|(_, net)| net.contains(&ip)).min_by_key(|(_, net)| net.prefix_len());
        found.map(|(name, _)| name.clone()).unwrap_or_default()
    }
}

/// Reads one ConfigMap.
struct Layer {
    key: ObjectKey,
    problems: Vec<Problem>,
}

impl Layer {
    /// The mesh configuration with a text over what lies beneath; none if the text cannot be taken. What is wrong with it
    /// is told also when there is nothing to lay it over.
    fn mesh(&mut self, below: Option<&MeshConfig>, text: &str) -> Option<MeshConfig> {
        let built_in = MeshConfig::default();
        let read = yaml(text).and_then(|v| below.unwrap_or(&built_in).apply(v).map_err(|e| e.to_string()));
        match read {
            Ok((mesh, warnings)) => {
                warnings.iter().for_each(|w| self.take("mesh", w.to_string(), Severity::Warning));
                for (field, operator) in namespaces::unknown_operators(&mesh) {
                    let message = format!("{operator:?} is no operator: no namespace is selected by it");
                    self.take(&field, message, Severity::Error);
                }
                self.holds(validate::mesh_config(self.key.clone(), &mesh), "mesh configuration")
                    .then_some(mesh)
            }
            Err(message) => {
                let message = format!("{message}; the last good mesh configuration stays in force");
                self.take("mesh", message, Severity::Error);
                None
            }
        }
    }

    /// The networks of a text, none inside if it is empty; none if it cannot be taken.
    fn networks(&mut self, text: &str) -> Option<Option<MeshNetworks>> {
        if text.trim().is_empty() {
            return Some(None);
        }
        let read = yaml(text).and_then(|v| MeshNetworks::from_document(v).map_err(|e| e.to_string()));
        match read {
            Ok((networks, warnings)) => {
                warnings.iter().for_each(|w| self.take("meshNetworks", w.to_string(), Severity::Warning));
                let found = validate::mesh_networks(self.key.clone(), &networks);
                self.holds(found, "networks").then_some(Some(networks))
            }
            Err(message) => {
                let message = format!("{message}; the last good networks stay in force");
                self.take("meshNetworks", message, Severity::Error);
                None
            }
        }
    }

    /// Tells what is wrong; whether nothing is an error.
    fn holds(&mut self, found: Vec<Problem>, what: &str) -> bool {
        let before = self.problems.len();
        self.problems.extend(found.into_iter().map(|problem| match problem.severity {
            Severity::Warning => problem,
            Severity::Error => {
                let message = format!("{}; the last good {what} stays in force", problem.message);
                Problem { message, ..problem }
            }
        }));
        self.problems.iter().skip(before).all(|problem| problem.severity != Severity::Error)
    }

    fn take(&mut self, field: &str, message: String, severity: Severity) {
        let (object, field) = (self.key.clone(), format!("data.{field}"));
        self.problems.push(Problem { severity, object, field, message, hint: String::new() });
    }
}

/// A YAML document as a value; nothing at all is null.
fn yaml(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|e| e.to_string())
}
