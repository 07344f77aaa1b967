//! The WorkloadEntry that a WorkloadGroup makes of a workload. Pure.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::marks;
use super::workload::Workload;

/// The label by which a workload tells its locality: the entry has a field for it, and a label may have no `/` in it.
const LOCALITY: &str = "istio-locality";

/// The entry of a workload that connected to a replica at a time.
pub(super) fn of_group(group: &DynamicObject, workload: &Workload, controller: &str, at: Timestamp) -> Value {
    let spec = group.data.get("spec");
    let part = |path: &str| spec.and_then(|spec| spec.pointer(path)).and_then(Value::as_object);
    let mut entry = part("/template").cloned().unwrap_or_default();
    let mut labels = member(&entry, "labels");
    labels.extend(part("/metadata/labels").cloned().unwrap_or_default());
    labels.extend(workload.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    if !workload.labels.is_empty() {
        labels.remove(LOCALITY);
    }
    let name = group.metadata.name.clone().unwrap_or_default();
    let mut annotations = Map::from_iter([(marks::GROUP.to_owned(), json!(name))]);
    annotations.extend(part("/metadata/annotations").cloned().unwrap_or_default());
    if workload.probed {
        annotations.insert(marks::HEALTH_CHECKED.to_owned(), json!("true"));
    }
    let marks = marks::connected(controller, at).into_iter().filter(|(_, value)| !value.is_null());
    annotations.extend(marks.map(|(key, value)| (key.to_owned(), value)));
    let mut set = |field: &str, value: Value| drop(entry.insert(field.to_owned(), value));
    set("address", json!(workload.address));
    if !labels.is_empty() {
        set("labels", json!(labels));
    }
    if !workload.network.is_empty() {
        set("network", json!(workload.network));
    }
    if !workload.locality.is_empty() {
        set("locality", json!(workload.locality));
    }
    let owner = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup",
        "name": name, "uid": group.metadata.uid, "controller": true,
    });
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {
            "name": workload.name, "namespace": workload.namespace,
            "labels": labels, "annotations": annotations, "ownerReferences": [owner],
        },
        "spec": entry,
    })
}

fn member(object: &Map<String, Value>, name: &str) -> Map<String, Value> {
    object.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}
