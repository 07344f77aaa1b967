//! What the cluster around the pods would do with Services: names, endpoints, and the virtual addresses' rules.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

/// Services and the pods behind them; shared by all clients of a world.
#[derive(Debug, Default)]
pub(crate) struct Services(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    services: BTreeMap<Key, Service>,
    pods: BTreeMap<Key, Backend>,
    hosts: BTreeMap<String, IpAddr>,
    assigned: u16,
}

/// Namespace and name.
pub(crate) type Key = (String, String);

/// A pod as a Service's backend.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) ip: Ipv4Addr,
    pub(crate) node: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) named_ports: BTreeMap<String, u16>,
    pub(crate) ready: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Service {
    #[serde(default)]
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    selector: BTreeMap<String, String>,
    ports: Vec<Port>,
    external_name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    #[serde(default)]
    name: String,
    port: u16,
    target_port: Option<TargetPort>,
    app_protocol: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum TargetPort {
    Number(u16),
    Name(String),
}

impl Port {
    fn on(&self, backend: &Backend) -> Option<u16> {
        match &self.target_port {
            None => Some(self.port),
            Some(TargetPort::Number(number)) => Some(*number),
            Some(TargetPort::Name(name)) => backend.named_ports.get(name).copied(),
        }
    }
}

impl Services {
    /// Takes in a Service and gives it a virtual address, as the API server would, unless it has one or wants none.
    pub(crate) fn put_service(&self, key: Key, mut object: Value) -> Result<Value> {
        let mut inner = self.lock();
        let mut service: Service =
            serde_json::from_value(object.clone()).with_context(|| format!("Service {key:?}"))?;
        if service.spec.cluster_ip.is_empty() && service.spec.external_name.is_empty() {
            let old = inner.services.get(&key).map(|old| old.spec.cluster_ip.clone());
            let address = match old.filter(|old| !old.is_empty()) {
                Some(old) => old,
                None => {
                    inner.assigned += 1;
                    let [high, low] = inner.assigned.to_be_bytes();
                    // 10.96.0.1 is the API server's own.
                    Ipv4Addr::new(10, 96, high.saturating_add(1), low).to_string()
                }
            };
            if let Some(spec) = object.get_mut("spec") {
                merge(spec, json!({"clusterIP": address, "clusterIPs": [address]}));
            }
            service.spec.cluster_ip = address;
        }
        inner.services.insert(key, service);
        Ok(object)
    }

    pub(crate) fn remove_service(&self, key: &Key) {
        self.lock().services.remove(key);
    }

    pub(crate) fn put_pod(&self, key: Key, backend: Backend) {
        self.lock().pods.insert(key, backend);
    }

    pub(crate) fn remove_pod(&self, key: &Key) {
        self.lock().pods.remove(key);
    }

    pub(crate) fn add_host(&self, host: &str, address: IpAddr) {
        self.lock().hosts.insert(host.to_owned(), address);
    }

    /// The content of `/etc/hosts` for the world: lookups by Envoys read it.
    pub(crate) fn hosts_file(&self) -> String {
        let mut lines = "127.0.0.1 localhost\n".to_owned();
        for (host, address) in &self.lock().hosts {
            lines.push_str(&format!("{address} {host}\n"));
        }
        lines
    }

    /// The address for `host` in a pod of `namespace`: `name`, `name.namespace` and the longer forms.
    pub(crate) fn resolve(&self, host: &str, namespace: &str) -> Result<IpAddr> {
        if let Ok(address) = host.parse() {
            return Ok(address);
        }
        let inner = self.lock();
        if let Some(address) = inner.hosts.get(host) {
            return Ok(*address);
        }
        let short = host.trim_end_matches(".cluster.local").trim_end_matches(".svc");
        let (name, namespace) = short.split_once('.').unwrap_or((short, namespace));
        let key = (namespace.to_owned(), name.to_owned());
        let Some(service) = inner.services.get(&key) else {
            bail!("no Service or host {host} (asked in namespace {namespace})");
        };
        if service.spec.cluster_ip == "None" {
            let first = inner.ready_backends(&key, service).next();
            let (_, backend) = first.with_context(|| format!("headless {host} has no ready pod"))?;
            return Ok(backend.ip.into());
        }
        service.spec.cluster_ip.parse().with_context(|| format!("clusterIP of {host}"))
    }

    /// The EndpointSlice of every Service with a selector, as the cluster's controller would write it.
    pub(crate) fn endpoint_slices(&self) -> Vec<(Key, Value)> {
        let inner = self.lock();
        let with_selector = inner.services.iter().filter(|(_, service)| !service.spec.selector.is_empty());
        with_selector.map(|(key, service)| (key.clone(), inner.endpoint_slice(key, service))).collect()
    }

    /// The chain that sends connections for virtual addresses to ready pods, as kube-proxy would; a proxy's own
    /// connections to them (unknown destinations passed through) need it, and pods without sidecar.
    pub(crate) fn address_rules(&self) -> String {
        let inner = self.lock();
        let mut rules = format!("*nat\n:{CHAIN} - [0:0]\n");
        for (key, service) in &inner.services {
            let Ok(address) = service.spec.cluster_ip.parse::<Ipv4Addr>() else { continue };
            for port in &service.spec.ports {
                let targets: Vec<String> = inner
                    .ready_backends(key, service)
                    .filter_map(|(_, backend)| Some(format!("{}:{}", backend.ip, port.on(backend)?)))
                    .collect();
                rules.push_str(&balance(address, port.port, &targets));
            }
        }
        rules.push_str("COMMIT\n");
        rules
    }

    /// The ready pods behind a Service's address and port; none if it is no Service's.
    pub(crate) fn targets(&self, address: SocketAddr) -> Option<Vec<SocketAddr>> {
        let inner = self.lock();
        let text = address.ip().to_string();
        let (key, service) = inner.services.iter().find(|(_, service)| service.spec.cluster_ip == text)?;
        let port = service.spec.ports.iter().find(|port| port.port == address.port())?;
        let at = |backend: &Backend| Some(SocketAddr::new(backend.ip.into(), port.on(backend)?));
        Some(inner.ready_backends(key, service).filter_map(|(_, backend)| at(backend)).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chain of [`Services::address_rules`].
pub(crate) const CHAIN: &str = "E2E_SERVICES";

/// One rule per target, each taking its even share of what the rules before it left.
fn balance(address: Ipv4Addr, port: u16, targets: &[String]) -> String {
    let mut rules = String::new();
    for (before, target) in targets.iter().enumerate() {
        let left = targets.len() - before;
        let share = match left {
            1 => String::new(),
            _ => format!("-m statistic --mode nth --every {left} --packet 0 "),
        };
        rules.push_str(&format!(
            "-A {CHAIN} -d {address}/32 -p tcp --dport {port} {share}-j DNAT --to-destination {target}\n"
        ));
    }
    rules
}

impl Inner {
    fn backends<'a>(
        &'a self,
        key: &'a Key,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a Key, &'a Backend)> {
        self.pods.iter().filter(move |(pod, backend)| {
            let selector = &service.spec.selector;
            pod.0 == key.0
                && !selector.is_empty()
                && selector.iter().all(|(label, value)| backend.labels.get(label) == Some(value))
        })
    }

    fn ready_backends<'a>(
        &'a self,
        key: &'a Key,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a Key, &'a Backend)> {
        self.backends(key, service).filter(|(_, backend)| backend.ready)
    }

    fn endpoint_slice(&self, key: &Key, service: &Service) -> Value {
        let (namespace, name) = key;
        let endpoints: Vec<Value> = self
            .backends(key, service)
            .map(|((_, pod), backend)| {
                json!({
                    "addresses": [backend.ip.to_string()],
                    "conditions": {"ready": backend.ready, "serving": backend.ready, "terminating": false},
                    "nodeName": backend.node,
                    "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace},
                })
            })
            .collect();
        // Pods that give a named port different numbers would need several slices; the first pod decides here.
        let first = self.backends(key, service).next();
        let ports: Vec<Value> = service
            .spec
            .ports
            .iter()
            .filter_map(|port| {
                let number = first.map_or(Some(port.port), |(_, backend)| port.on(backend))?;
                let mut value = json!({"name": port.name, "port": number, "protocol": "TCP"});
                if let Some(protocol) = &port.app_protocol {
                    merge(&mut value, json!({"appProtocol": protocol}));
                }
                Some(value)
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-slice"),
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": ports,
        })
    }
}

/// Sets the fields of `more` in the object `value`.
pub(crate) fn merge(value: &mut Value, more: Value) {
    if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
        fields.extend(more);
    }
}

#[cfg(test)]
mod tests;
