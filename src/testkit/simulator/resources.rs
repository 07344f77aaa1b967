//! What one proxy has: listeners, routes, clusters and endpoints by name.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use api::json::from_json_as;
use envoy::config::cluster::v3::Cluster;
use envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy::config::listener::v3::Listener;
use envoy::config::route::v3::RouteConfiguration;
use envoy::{Message, Name};
use model::{Mesh, Proxy};
use serde_json::Value;

use crate::compare::Dump;
use crate::mesh::dump;

/// All that one proxy is configured with, by name.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Listeners.
    pub listeners: BTreeMap<String, Listener>,
    /// Route configurations that listeners ask for.
    pub routes: BTreeMap<String, RouteConfiguration>,
    /// Clusters.
    pub clusters: BTreeMap<String, Cluster>,
    /// Endpoints of clusters, by the name that clusters ask for.
    pub assignments: BTreeMap<String, ClusterLoadAssignment>,
}

impl Resources {
    /// What this proxy of the mesh is sent.
    ///
    /// # Errors
    /// A bug: what is sent cannot be read back.
    pub fn sent(mesh: &Mesh, proxy: &Proxy) -> Result<Self> {
        Self::of_dump(&dump(mesh, proxy))
    }

    /// Reads resources by type (`lds`, `rds`, `cds`, `eds`) and name.
    ///
    /// # Errors
    /// One is no message of its type.
    pub fn of_dump(dump: &Dump) -> Result<Self> {
        let of = |kind: &str| dump.get(kind).into_iter().flat_map(|d| d.values());
        Ok(Self {
            listeners: read(of("lds"), |l: &Listener| &l.name)?,
            routes: read(of("rds"), |r: &RouteConfiguration| &r.name)?,
            clusters: read(of("cds"), |c: &Cluster| &c.name)?,
            assignments: read(of("eds"), |a: &ClusterLoadAssignment| &a.cluster_name)?,
        })
    }

    /// Reads the page `/config_dump?include_eds` of an Envoy's admin interface: what it works with, the bootstrap's
    /// own included. Names of DNS clusters stand there as the addresses that they were resolved to.
    ///
    /// # Errors
    /// The page has another form, or holds a message that is not known.
    pub fn of_config_dump(page: &Value) -> Result<Self> {
        let of = |lists: &[(&str, &str)]| -> Vec<&Value> {
            lists.iter().flat_map(|(list, path)| listed(page, list, path)).collect()
        };
        let listeners =
            of(&[("static_listeners", "/listener"), ("dynamic_listeners", "/active_state/listener")]);
        let clusters = of(&[("static_clusters", "/cluster"), ("dynamic_active_clusters", "/cluster")]);
        let endpoints = of(&[
            ("static_endpoint_configs", "/endpoint_config"),
            ("dynamic_endpoint_configs", "/endpoint_config"),
        ]);
        let routes = of(&[("dynamic_route_configs", "/route_config")]);
        Ok(Self {
            listeners: read(listeners.into_iter(), |l: &Listener| &l.name)?,
            routes: read(routes.into_iter(), |r: &RouteConfiguration| &r.name)?,
            clusters: read(clusters.into_iter(), |c: &Cluster| &c.name)?,
            assignments: read(endpoints.into_iter(), |a: &ClusterLoadAssignment| &a.cluster_name)?,
        })
    }
}

/// What stands at `path` in the entries of a list of any section of the page.
fn listed<'a>(page: &'a Value, list: &str, path: &str) -> Vec<&'a Value> {
    let sections = page.get("configs").and_then(Value::as_array).into_iter().flatten();
    let entries = sections.filter_map(|s| s.get(list)?.as_array()).flatten();
    entries.filter_map(|entry| entry.pointer(path)).collect()
}

fn read<'a, M: Message + Name + Default>(
    all: impl Iterator<Item = &'a Value>,
    name: impl Fn(&M) -> &String,
) -> Result<BTreeMap<String, M>> {
    all.map(|json| {
        let mut json = json.clone();
        if let Some(fields) = json.as_object_mut() {
            fields.remove("@type");
        }
        let message: M = from_json_as(&json, false).with_context(|| json.to_string())?;
        Ok((name(&message).clone(), message))
    })
    .collect()
}
