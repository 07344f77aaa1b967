//! What a proxy is sent as one bootstrap without a control plane, for an Envoy that only checks it (`--mode validate`).
//!
//! Validation asks no server, so what comes by discovery stands in place: routes in their listeners, assignments in
//! static clusters beside those that would ask for them.

use serde_json::{Map, Value, json};

use crate::compare::Dump;

/// The clusters that every agent's bootstrap has.
const AGENTS: [&str; 4] = ["xds-grpc", "sds-grpc", "prometheus_stats", "agent"];

/// The bootstrap of a dump.
pub fn of(dump: &Dump) -> Value {
    let values = |kind: &str| dump.get(kind).into_iter().flat_map(|resources| resources.values()).cloned();
    let mut listeners: Vec<Value> = values("lds").collect();
    listeners.iter_mut().for_each(|listener| inline(listener, dump));
    let clusters: Vec<Value> = values("cds")
        .chain(values("eds").enumerate().map(|(number, assignment)| holding(number, assignment)))
        .chain(AGENTS.into_iter().map(|name| static_cluster(name, json!({"clusterName": name}))))
        .collect();
    let server = json!({"envoyGrpc": {"clusterName": "xds-grpc"}});
    json!({
        "node": {"id": "validated", "cluster": "validated"},
        "dynamicResources": {"adsConfig": {
            "apiType": "GRPC", "transportApiVersion": "V3", "grpcServices": [server],
        }},
        "staticResources": {"listeners": listeners, "clusters": clusters},
    })
}

/// Puts the route configurations that a listener asks for in place of the asking.
fn inline(value: &mut Value, dump: &Dump) {
    match value {
        Value::Object(members) => {
            if let Some(asked) = members.remove("rds") {
                members.insert("routeConfig".to_owned(), route(&asked, dump));
            }
            members.values_mut().for_each(|member| inline(member, dump));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| inline(element, dump)),
        _ => {}
    }
}

fn route(asked: &Value, dump: &Dump) -> Value {
    let name = asked.get("routeConfigName").and_then(Value::as_str).unwrap_or_default();
    let route = dump.get("rds").and_then(|routes| routes.get(name));
    route.cloned().unwrap_or_else(|| json!({"name": name}))
}

/// A cluster that holds an assignment.
fn holding(number: usize, assignment: Value) -> Value {
    static_cluster(&format!("assignment {number}"), assignment)
}

fn static_cluster(name: &str, assignment: Value) -> Value {
    Value::Object(Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("type".to_owned(), json!("STATIC")),
        ("connectTimeout".to_owned(), json!("1s")),
        ("loadAssignment".to_owned(), assignment),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_and_assignments_stand_in_place() {
        let dump: Dump = serde_json::from_value(json!({
            "lds": {"l": {"filters": [{"rds": {"routeConfigName": "80"}}, {"rds": {"routeConfigName": "81"}}]}},
            "rds": {"80": {"name": "80", "virtualHosts": []}},
            "cds": {"c": {"name": "c"}},
            "eds": {"c": {"clusterName": "c"}},
        }))
        .unwrap();
        let bootstrap = of(&dump);
        let filters = bootstrap.pointer("/staticResources/listeners/0/filters").unwrap();
        let want =
            json!([{"routeConfig": {"name": "80", "virtualHosts": []}}, {"routeConfig": {"name": "81"}}]);
        assert_eq!(*filters, want);
        let clusters = bootstrap.pointer("/staticResources/clusters").and_then(Value::as_array).unwrap();
        assert_eq!(clusters.first(), Some(&json!({"name": "c"})));
        let held = clusters.get(1).and_then(|cluster| cluster.get("loadAssignment"));
        assert_eq!(held, Some(&json!({"clusterName": "c"})));
    }
}
