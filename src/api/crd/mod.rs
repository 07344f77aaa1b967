//! CustomResourceDefinitions of Istio's kinds, made from their types; `make crds` writes them into the folder `crds/`.

mod facts;
mod status;

pub use status::{IstioCondition, IstioStatus, ValidationLevel, ValidationMessage, ValidationMessageType};

use facts::{Column, Facts};
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::schema::structural;

/// The definition of a kind's resources, as the API server takes it: equal for equal types, in every process. `None` for
/// kinds that others define.
pub fn definition(kind: Kind) -> Option<Value> {
    let facts = Facts::of(kind)?;
    let schema = schema(&facts);
    let versions: Vec<Value> =
        kind.versions().iter().map(|name| version(name, &facts, schema.clone())).collect();
    Some(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{}", kind.plural(), kind.group()),
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": labels(kind),
        },
        "spec": {
            "group": kind.group(),
            "names": names(kind, &facts),
            "scope": if kind.namespaced() { "Namespaced" } else { "Cluster" },
            "versions": versions,
        },
    }))
}

/// The schema of `spec`; `None` for kinds that others define.
pub(crate) fn spec(kind: Kind) -> Option<Value> {
    Facts::of(kind).map(|facts| (facts.spec)())
}

/// The labels that the reference's installation gives its definitions: tools select by them.
fn labels(kind: Kind) -> Value {
    let mut labels =
        json!({"app": "istio-pilot", "chart": "istio", "heritage": "Tiller", "release": "istio"});
    let area = match kind.group() {
        "security.istio.io" => Some("security"),
        "telemetry.istio.io" => Some("telemetry"),
        _ => None,
    };
    if let (Some(area), Value::Object(labels)) = (area, &mut labels) {
        labels.insert("istio".to_owned(), area.into());
    }
    labels
}

fn names(kind: Kind, facts: &Facts) -> Value {
    let mut names = json!({
        "kind": kind.name(),
        "listKind": format!("{}List", kind.name()),
        "plural": kind.plural(),
        "singular": kind.name().to_lowercase(),
        "categories": ["istio-io", kind.group().replace('.', "-")],
    });
    if let (Some(short), Value::Object(names)) = (facts.short_name, &mut names) {
        names.insert("shortNames".to_owned(), json!([short]));
    }
    names
}

fn version(name: &str, facts: &Facts, schema: Value) -> Value {
    let mut version = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("served".to_owned(), json!(true)),
        ("storage".to_owned(), json!(name == facts.storage)),
        ("subresources".to_owned(), json!({"status": {}})),
        ("schema".to_owned(), json!({"openAPIV3Schema": schema})),
    ]);
    if !facts.columns.is_empty() {
        let columns: Vec<Value> = facts.columns.iter().map(column).collect();
        version.insert("additionalPrinterColumns".to_owned(), columns.into());
    }
    version.into()
}

fn column(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.shown_as,
        "jsonPath": column.path,
        "description": column.description,
    })
}

/// All versions of a kind have one schema.
fn schema(facts: &Facts) -> Value {
    let mut status = structural::<IstioStatus>();
    if let Value::Object(status) = &mut status {
        // Other controllers keep their own notes there.
        status.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    }
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), json!({"spec": (facts.spec)(), "status": status})),
    ]);
    if facts.spec_required {
        schema.insert("required".to_owned(), json!(["spec"]));
    }
    schema.into()
}

#[cfg(test)]
pub(crate) mod tests;
