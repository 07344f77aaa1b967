//! One case: its input, its proxies, and the comparison.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use model::Proxy;
use model::endpoint::Locality;
use model::mesh::Features;
use serde_json::{Map, Value, json};
use store::Options;

use super::flags;
use crate::compare::{Dump, Keys, Mismatch, Tally};
use crate::mesh;

/// A folder with `input.yaml`, `proxies.yaml`, `expected/` and `plain/`; a golden may have `flags.yaml`.
#[derive(Debug)]
pub struct Case {
    folder: PathBuf,
    input: String,
    documents: Vec<Value>,
    proxies: Vec<Value>,
    features: Features,
}

/// What came of a case.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The figures of this case alone.
    pub tally: Tally,
    /// What differs, with the proxy's name.
    pub mismatches: Vec<(String, Mismatch)>,
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// A file is missing or not YAML.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            fs::read_to_string(folder.join(name))
                .with_context(|| format!("cannot read {name} of {}", folder.display()))
        };
        let input = text("input.yaml")?;
        let mut proxies = mesh::documents(&text("proxies.yaml")?)?;
        if let [Value::Array(list)] = proxies.as_mut_slice() {
            proxies = std::mem::take(list);
        }
        let features = if folder.join("flags.yaml").exists() {
            flags::features(&text("flags.yaml")?)
                .with_context(|| format!("flags.yaml of {}", folder.display()))?
        } else {
            Features::default()
        };
        Ok(Self { folder: folder.to_owned(), documents: mesh::documents(&input)?, input, proxies, features })
    }

    /// The area that it belongs to.
    pub fn area(&self) -> String {
        let area = self.folder.parent().and_then(Path::file_name);
        area.map(|a| a.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// `area/name`.
    pub fn name(&self) -> String {
        let name = self.folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{}/{name}", self.area())
    }

    /// The text of its input.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// The documents of its input.
    pub fn documents(&self) -> &[Value] {
        &self.documents
    }

    /// Its proxies, as `proxies.yaml` describes them.
    pub fn proxies(&self) -> &[Value] {
        &self.proxies
    }

    /// How its mesh is made.
    pub fn options(&self) -> Options {
        Options { features: self.features.clone(), ..Options::default() }
    }

    /// The same case without its settings: Istio's kinds, Ingresses, and those of the mesh and of proxies.
    pub fn plain(&self) -> Self {
        let is_setting = |document: &&Value| {
            let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            text("/apiVersion").contains(".istio.io/")
                || text("/kind") == "Ingress"
                || (text("/kind"), text("/metadata/name")) == ("ConfigMap", "istio")
        };
        let documents: Vec<Value> = self.documents.iter().filter(|d| !is_setting(d)).cloned().collect();
        let input = documents.iter().map(|document| format!("---\n{document}\n")).collect();
        let mut proxies = self.proxies.clone();
        for proxy in &mut proxies {
            if let Some(metadata) = proxy.get_mut("nodeMetadata").and_then(Value::as_object_mut) {
                metadata.remove("PROXY_CONFIG");
            }
        }
        Self { folder: self.folder.clone(), input, documents, proxies, features: self.features.clone() }
    }

    /// What each proxy gets of `base` and the input.
    ///
    /// # Errors
    /// The input cannot be decoded, or a proxy's node cannot be read.
    pub fn dumps(&self, base: &str) -> Result<Vec<(String, Dump)>> {
        let mesh = mesh::tables(self.options(), &[base, &self.input])?.next_mesh().mesh;
        let of = |proxy: &Value| {
            let name = proxy.get("name").and_then(Value::as_str).context("a proxy without a name")?;
            Ok((name.to_owned(), mesh::dump(&mesh, &self.proxy(proxy)?)))
        };
        self.proxies.iter().map(of).collect()
    }

    /// Compares what each proxy gets with what the reference sends it.
    ///
    /// # Errors
    /// As [`Case::dumps`], or the expectations cannot be read.
    pub fn run(&self, base: &str) -> Result<Outcome> {
        let keys = if self.input.contains("jwksUri") { Keys::Fetched } else { Keys::Given };
        let mut outcome = Outcome::default();
        for (name, got) in self.dumps(base)? {
            let want = self.recorded("expected", &name)?.context("no expectation")?;
            let plain = self.recorded("plain", &name)?;
            let mismatches = outcome.tally.proxy(&want, &got, plain.as_ref(), keys);
            outcome.mismatches.extend(mismatches.into_iter().map(|m| (name.clone(), m)));
        }
        outcome.tally.case(outcome.mismatches.is_empty());
        Ok(outcome)
    }

    fn recorded(&self, kind: &str, proxy: &str) -> Result<Option<Dump>> {
        let path = self.folder.join(kind).join(format!("{proxy}.json"));
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)?;
        Ok(Some(serde_json::from_str(&text).with_context(|| format!("{} is not a dump", path.display()))?))
    }

    /// The node that the judge makes of a proxy: the same defaults as `score.py`.
    ///
    /// # Errors
    /// Its pod is not in the input, or the node cannot be read.
    pub fn proxy(&self, proxy: &Value) -> Result<Proxy> {
        let text = |key: &str| proxy.get(key).and_then(Value::as_str);
        let (namespace, name, pod) = self.pod_of(proxy)?;
        let ip = pod.pointer("/status/podIP").and_then(Value::as_str).unwrap_or_default();
        let id = format!(
            "{}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local",
            text("type").unwrap_or("sidecar")
        );
        let locality = Locality::parse(text("locality").unwrap_or_default());
        let node = Proxy::parse(&id, &Value::Object(self.metadata(proxy)?), locality)?;
        // The judge's nodes say nothing of extensions; those of goldens may, as Envoys do.
        Ok(Proxy { says_extensions: proxy.get("extensions").is_some(), ..node })
    }

    /// The metadata of that node: those that the judge gives to every proxy, under the proxy's own.
    ///
    /// # Errors
    /// Its pod is not in the input.
    pub fn metadata(&self, proxy: &Value) -> Result<Map<String, Value>> {
        let (namespace, name, pod) = self.pod_of(proxy)?;
        let at = |path: &str| pod.pointer(path).cloned();
        let labels = at("/metadata/labels").unwrap_or_else(|| json!({}));
        let ip = at("/status/podIP").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let ips: Vec<String> = match at("/status/podIPs") {
            Some(Value::Array(list)) => {
                list.iter().filter_map(|i| Some(i.get("ip")?.as_str()?.to_owned())).collect()
            }
            _ => vec![ip],
        };
        let app = labels.get("app").and_then(Value::as_str).unwrap_or(name);
        let metadata = json!({
            "NAME": name, "NAMESPACE": namespace, "LABELS": labels,
            "SERVICE_ACCOUNT": at("/spec/serviceAccountName").unwrap_or_else(|| json!("default")),
            "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.30.0", "MESH_ID": "cluster.local",
            "INSTANCE_IPS": ips.join(","), "INTERCEPTION_MODE": "REDIRECT",
            "ANNOTATIONS": at("/metadata/annotations").unwrap_or_else(|| json!({})),
            "WORKLOAD_NAME": app, "PROXY_CONFIG": {}, "NODE_NAME": at("/spec/nodeName").unwrap_or_else(|| json!("")),
        });
        let mut metadata = metadata.as_object().cloned().unwrap_or_default();
        metadata
            .extend(proxy.get("nodeMetadata").and_then(Value::as_object).cloned().unwrap_or_else(Map::new));
        Ok(metadata)
    }

    /// Namespace and name of a proxy's pod, and the pod.
    fn pod_of<'p>(&'p self, proxy: &'p Value) -> Result<(&'p str, &'p str, &'p Value)> {
        let id = proxy.get("pod").and_then(Value::as_str).and_then(|pod| pod.split_once('/'));
        let (namespace, name) = id.context("pod is namespace/name")?;
        let Some(pod) = self.pod(namespace, name) else { bail!("no pod {namespace}/{name} in the input") };
        Ok((namespace, name, pod))
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.documents.iter().find(|d| {
            let meta = |key: &str| d.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
            d.get("kind").and_then(Value::as_str) == Some("Pod")
                && meta("name") == Some(name)
                && meta("namespace").unwrap_or("default") == namespace
        })
    }
}
