//! The command `translate`: prints what a proxy would get of a folder, with the objects that each resource comes from.

use std::sync::Arc;
use std::time::Duration;

use agent::bootstrap::{Address, NodeKind, render};
use anyhow::{Context, Result, anyhow, bail};
use api::Object;
use api::kubernetes::Pod;
use serde_json::{Value, json};
use store::{Options, Tables};
use xds::engine::Engine;
use xds::kind::ResourceType;

use crate::commands::pod;
use crate::features;
use crate::flags::Preview;
use crate::serving::translator::Translator;

/// Prints the resources.
///
/// # Errors
/// The folder or the pod cannot be read, or a type is not known.
#[allow(clippy::print_stdout, reason = "the output of a command")]
pub fn run(flags: &Preview) -> Result<()> {
    let batch = pod::load(&flags.config_dir)?;
    let object = pod::find(&batch, &flags.proxy)?;
    let kind = flags.kind.as_deref().map_or(Ok(guess(object)), pod::kind)?;
    let at: Address = "127.0.0.1:15010".parse().context("address")?;
    let mut options = pod::options(object, kind, at, "/".as_ref(), "Kubernetes")?;
    options.node.dns_domain = Some(format!("{}.svc.{}", object.meta.namespace, flags.domain));
    let proxy = pod::proxy(&render(&options))?;

    let store = Options {
        domain: Arc::from(flags.domain.as_str()),
        features: features::features(),
        ..Options::default()
    };
    let mut tables = Tables::new(store);
    for event in &batch.events {
        tables.apply(&event.key, event.object.as_deref());
    }
    let mesh = tables.next_mesh().mesh;
    tables.problems().values().flatten().for_each(|p| crate::logging::note(p));

    let mut engine = Engine::new(Arc::new(Translator::default()), mesh, Duration::ZERO);
    let (_, sets) = engine.connect(Arc::new(proxy)).map_err(|refusal| anyhow!(refusal.message))?;
    let kinds = kinds(&flags.only)?;
    let mut out = serde_json::Map::new();
    for kind in kinds {
        let set = sets.get(kind);
        let resources: Vec<Value> = set
            .iter()
            .map(|entry| {
                let bytes = entry.body(set.slots());
                let name = kind.type_url().trim_start_matches("type.googleapis.com/");
                let resource =
                    api::json::to_json_bytes(name, &bytes).unwrap_or_else(|e| json!(e.to_string()));
                let sources: Vec<String> = entry.sources().map(|s| s.key.to_string()).collect();
                json!({"name": &**entry.name(), "sources": sources, "resource": resource})
            })
            .collect();
        out.insert(kind.short_name().to_owned(), Value::Array(resources));
    }
    println!("{:#}", Value::Object(out));
    Ok(())
}

fn kinds(only: &[String]) -> Result<Vec<ResourceType>> {
    let served = [
        ResourceType::Cluster,
        ResourceType::Endpoints,
        ResourceType::Listener,
        ResourceType::Route,
        ResourceType::NameTable,
    ];
    let unknown = only.iter().find(|o| !served.iter().any(|k| k.short_name().eq_ignore_ascii_case(o)));
    if let Some(unknown) = unknown {
        bail!("--only {unknown:?}: write cds, eds, lds, rds or nds");
    }
    let wanted =
        |k: &ResourceType| only.is_empty() || only.iter().any(|o| k.short_name().eq_ignore_ascii_case(o));
    Ok(served.into_iter().filter(wanted).collect())
}

/// A pod with one of the labels that gateways carry is a router.
fn guess(pod: &Object<Pod>) -> NodeKind {
    let gateway = ["istio", "gateway.networking.k8s.io/gateway-name"];
    if gateway.iter().any(|l| pod.meta.labels.contains_key(*l)) {
        NodeKind::Router
    } else {
        NodeKind::Sidecar
    }
}
