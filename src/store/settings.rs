//! Settings of the mesh from its ConfigMap, merged over the built-in defaults; a document that cannot be taken
//! leaves the last good settings in force and is reported.
//!
//! Source: `shared/spec/kubernetes.md` 1.11.

use std::net::IpAddr;
use std::sync::Arc;

use api::mesh_config::{MeshConfig, MeshNetworks};
use api::{Kind, ObjectKey, Problem, Severity};
use ipnet::IpNet;
use model::Ref;
use model::mesh::{Features, Settings};
use serde_json::Value;

use crate::namespaces;
use crate::tables::Tables;

/// What is fixed when the process starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// DNS domain of Kubernetes services.
    pub domain: Arc<str>,
    /// Name of this cluster.
    pub cluster: Arc<str>,
    /// Namespace of the control plane: where the mesh's ConfigMap is.
    pub system_namespace: Arc<str>,
    /// Revision: the ConfigMap is `istio` or `istio-<revision>`.
    pub revision: Arc<str>,
    /// Flags.
    pub features: Features,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            domain: Arc::from("cluster.local"),
            cluster: Arc::from("Kubernetes"),
            system_namespace: Arc::from("istio-system"),
            revision: Arc::from("default"),
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

    fn config_map_name(&self) -> String {
        match &*self.revision {
            "" | "default" => "istio".to_owned(),
            revision => format!("istio-{revision}"),
        }
    }

    pub(crate) fn is_mesh_config_map(&self, namespace: &str, name: &str) -> bool {
        *namespace == *self.system_namespace && name == self.config_map_name()
    }
}

impl Tables {
    /// Reads the mesh's ConfigMap. Keys that cannot be taken are reported, their last good form stays.
    pub(crate) fn read_settings(&mut self) {
        let name: Arc<str> = Arc::from(self.options.config_map_name());
        let key = ObjectKey {
            kind: Kind::ConfigMap,
            namespace: Arc::clone(&self.options.system_namespace),
            name: Arc::clone(&name),
        };
        let Some(object) = self.config_maps.get(&(Arc::clone(&key.namespace), name)).cloned() else {
            self.settings = self.options.settings();
            self.report(&key, Vec::new());
            return;
        };
        let text = |field: &str| object.spec.data.get(field).map_or("", String::as_str);
        let mut problems = Vec::new();
        let mut take = |field: &str, message: String, severity: Severity| {
            problems.push(Problem {
                severity,
                object: key.clone(),
                field: format!("data.{field}"),
                message,
                hint: String::new(),
            });
        };
        let mesh =
            match yaml(text("mesh")).and_then(|v| MeshConfig::from_document(v).map_err(|e| e.to_string())) {
                Ok((mesh, warnings)) => {
                    warnings.iter().for_each(|w| take("mesh", w.to_string(), Severity::Warning));
                    for (field, operator) in namespaces::unknown_operators(&mesh) {
                        let message = format!("{operator:?} is no operator: no namespace is selected by it");
                        take(&field, message, Severity::Error);
                    }
                    mesh
                }
                Err(message) => {
                    take(
                        "mesh",
                        format!("{message}; the last good mesh configuration stays in force"),
                        Severity::Error,
                    );
                    (*self.settings.mesh).clone()
                }
            };
        let networks = yaml(text("meshNetworks"))
            .and_then(|v| MeshNetworks::from_document(v).map_err(|e| e.to_string()));
        let networks = match networks {
            Ok((networks, warnings)) => {
                warnings.iter().for_each(|w| take("meshNetworks", w.to_string(), Severity::Warning));
                networks
            }
            Err(message) => {
                take(
                    "meshNetworks",
                    format!("{message}; the last good networks stay in force"),
                    Severity::Error,
                );
                (*self.settings.networks).clone()
            }
        };
        self.settings = self.options.with(mesh, networks);
        self.report(&key, problems);
    }

    /// The network that an address lies in: that of the system namespace, else by the registry of this cluster, else
    /// by the most specific range.
    pub(crate) fn network_of(&self, address: &str) -> String {
        if !self.said.network.is_empty() {
            return self.said.network.clone();
        }
        let networks = &self.settings.networks.networks;
        let endpoints = || networks.iter().flat_map(|(name, n)| n.endpoints.iter().map(move |e| (name, e)));
        let registry = endpoints().find(|(_, e)| e.from_registry.as_deref() == Some(&*self.settings.cluster));
        if let Some((name, _)) = registry {
            return name.clone();
        }
        let Ok(ip) = address.parse::<IpAddr>() else { return String::new() };
        let ranges =
            endpoints().filter_map(|(name, e)| Some((name, e.from_cidr.as_deref()?.parse::<IpNet>().ok()?)));
        let found = ranges.filter(|(_, net)| net.contains(&ip)).max_by_key(|(_, net)| net.prefix_len());
        found.map(|(name, _)| name.clone()).unwrap_or_default()
    }
}

/// A YAML document as a value; nothing at all is null.
fn yaml(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|e| e.to_string())
}
