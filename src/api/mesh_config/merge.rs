//! Layers of mesh configuration: a document over a base, as the reference merges them (specification: kubernetes 1.11).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ExtensionProvider, MeshConfig, MeshNetworks, ProxyConfig};
use crate::decode::{FieldWarning, camel_case, read_message};

/// Why a document of mesh configuration is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshConfigError {
    /// The document is not an object.
    #[error("{what} must be a mapping of fields to values")]
    NotAnObject {
        /// What the document should be.
        what: &'static str,
    },
    /// A field has a wrong value.
    #[error("{what}: {path}: {message}")]
    Field {
        /// What the document should be.
        what: &'static str,
        /// The field.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

impl MeshConfig {
    /// This configuration with a document over it: `defaultConfig` and `defaultProviders` merge by field,
    /// `extensionProviders` by name, `trustDomainAliases` are united; every other field replaces. Unknown fields are
    /// warnings.
    pub fn apply(&self, document: Value) -> Result<(Self, Vec<FieldWarning>), MeshConfigError> {
        let mut overlay = object("mesh configuration", document)?;
        let mut warnings = Vec::new();
        let proxies = match overlay.remove("defaultConfig") {
            Some(layer) => {
                let (proxies, found) = self.default_config.apply(layer)?;
                warnings.extend(found.into_iter().map(|warning| warning.below("defaultConfig")));
                proxies
            }
            None => self.default_config.clone(),
        };
        let providers = match overlay.remove("defaultProviders") {
            Some(layer) => {
                let layer = object("mesh configuration: defaultProviders", layer)?;
                let (providers, found) =
                    over(&self.default_providers, layer, "mesh configuration: defaultProviders")?;
                warnings.extend(found.into_iter().map(|warning| warning.below("defaultProviders")));
                providers
            }
            None => self.default_providers.clone(),
        };
        let names_providers = overlay.contains_key("extensionProviders");
        let (mut merged, found) = over(self, overlay, "mesh configuration")?;
        warnings.extend(found);
        merged.default_config = proxies;
        merged.default_providers = providers;
        if names_providers {
            merged.extension_providers = by_name(&self.extension_providers, merged.extension_providers);
        }
        merged.trust_domain_aliases.extend(self.trust_domain_aliases.iter().cloned());
        merged.trust_domain_aliases.sort();
        merged.trust_domain_aliases.dedup();
        Ok((merged, warnings))
    }

    /// The built-in configuration with a document over it.
    pub fn from_document(document: Value) -> Result<(Self, Vec<FieldWarning>), MeshConfigError> {
        Self::default().apply(document)
    }
}

impl ProxyConfig {
    /// These settings with a document over them: `proxyMetadata` and `tracing` merge by member; every other field
    /// replaces. Unknown fields are warnings. Also for the annotation `proxy.istio.io/config`.
    pub fn apply(&self, document: Value) -> Result<(Self, Vec<FieldWarning>), MeshConfigError> {
        const WHAT: &str = "proxy configuration";
        let mut overlay = object(WHAT, document)?;
        if overlay.contains_key("tracingServiceName") {
            overlay.entry("serviceCluster").or_insert_with(|| Value::String(String::new()));
        }
        if let Some(Value::Object(tracing)) = overlay.get_mut("tracing") {
            let tracing_layer = std::mem::take(tracing);
            *tracing = tracing_over(self, tracing_layer);
        }
        let (mut merged, warnings) = over(self, overlay, WHAT)?;
        for (key, value) in &self.proxy_metadata {
            merged.proxy_metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        settle_cluster_name(&mut merged);
        Ok((merged, warnings))
    }
}

/// `serviceCluster` and `tracingServiceName` are one choice: naming the one drops the other.
fn settle_cluster_name(settings: &mut ProxyConfig) {
    match settings.service_cluster.as_deref() {
        Some("") => settings.service_cluster = None,
        Some(_) => settings.tracing_service_name = None,
        None => {}
    }
}

/// The members of the tracing setting with those of a layer over them; a tracer drops the tracer below.
fn tracing_over(base: &ProxyConfig, layer: Map<String, Value>) -> Map<String, Value> {
    const TRACERS: [&str; 5] = ["zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent"];
    let layer = camel_keys(layer);
    let mut merged = base.tracing.as_ref().map(members).unwrap_or_default();
    if TRACERS.iter().any(|tracer| layer.get(*tracer).is_some_and(|value| !value.is_null())) {
        merged.retain(|key, _| !TRACERS.contains(&key.as_str()));
    }
    merged.extend(layer);
    merged
}

impl MeshNetworks {
    /// The networks of a document. Unknown fields are warnings.
    pub fn from_document(document: Value) -> Result<(Self, Vec<FieldWarning>), MeshConfigError> {
        const WHAT: &str = "mesh networks";
        read(WHAT, Value::Object(object(WHAT, document)?))
    }
}

/// The providers of a layer over those below: the same name replaces in place, a new one is appended.
fn by_name(below: &[ExtensionProvider], layer: Vec<ExtensionProvider>) -> Vec<ExtensionProvider> {
    let mut merged = below.to_vec();
    for provider in layer {
        match merged.iter_mut().find(|known| known.name == provider.name) {
            Some(known) => *known = provider,
            None => merged.push(provider),
        }
    }
    merged
}

/// A message with the members of a layer in place of its own.
fn over<T: Serialize + DeserializeOwned>(
    base: &T,
    layer: Map<String, Value>,
    what: &'static str,
) -> Result<(T, Vec<FieldWarning>), MeshConfigError> {
    let mut merged = members(base);
    merged.extend(layer.into_iter().filter(|(_, value)| !value.is_null()));
    read(what, Value::Object(merged))
}

/// The members of a message that are set.
fn members<T: Serialize>(message: &T) -> Map<String, Value> {
    match serde_json::to_value(message) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn read<T: DeserializeOwned>(
    what: &'static str,
    value: Value,
) -> Result<(T, Vec<FieldWarning>), MeshConfigError> {
    read_message(value).map_err(|error| MeshConfigError::Field {
        what,
        path: error.path,
        message: error.message,
    })
}

/// The members of a document; an empty document (null) has none.
fn object(what: &'static str, document: Value) -> Result<Map<String, Value>, MeshConfigError> {
    match document {
        Value::Object(members) => Ok(camel_keys(members)),
        Value::Null => Ok(Map::new()),
        _ => Err(MeshConfigError::NotAnObject { what }),
    }
}

/// Proto-JSON takes a field's own name as well as its JSON name; layers are compared by the latter.
fn camel_keys(members: Map<String, Value>) -> Map<String, Value> {
    members.into_iter().map(|(key, value)| (camel_case(&key), value)).collect()
}

#[cfg(test)]
mod tests;
