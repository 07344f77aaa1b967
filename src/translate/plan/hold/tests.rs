//! Holding, from YAML to plans: what is held, and when it no longer is.

use std::sync::Arc;

use model::Proxy;
use store::{Options, Tables};
use testkit::mesh::documents;

use crate::{Class, Plan, class, plan};

const SERVICE: &str = "
{apiVersion: v1, kind: Service, metadata: {name: reviews, namespace: shop},
 spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 8080}]}}";
const RULES: &str = "
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: reviews, namespace: shop},
 spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v2}}]}]}}";
const SUBSETS: &str = "
{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: reviews, namespace: shop},
 spec: {host: reviews, subsets: [{name: v2, labels: {version: v2}}]}}";

fn apply(tables: &mut Tables, yaml: &str) {
    for document in documents(yaml).unwrap() {
        let decoded = api::decode::decode(document).unwrap();
        tables.apply(&decoded.object.key(), Some(&decoded.object));
    }
}

fn shared(mesh: &model::Mesh, proxy: &Proxy) -> Class {
    let mut classes = class::classes(mesh, proxy);
    classes.retain(|class| matches!(class, Class::Shared(view) if !view.namespace.is_empty()));
    classes.pop().unwrap()
}

fn routes(plan: &Plan) -> u128 {
    plan.routes.iter().map(|(_, key)| api::ContentHash::content_hash(key)).fold(0, |a, b| a ^ b)
}

#[test]
fn rules_wait_for_their_subsets_and_for_no_longer_than_they_may() {
    let id = "sidecar~10.0.0.9~web.shop~shop.svc.cluster.local";
    let proxy = Proxy::parse(id, &serde_json::json!({"NAMESPACE": "shop"}), Default::default()).unwrap();
    let mut tables = Tables::new(Options::default());
    apply(&mut tables, SERVICE);
    let before = tables.next_mesh();
    let class = shared(&before.mesh, &proxy);
    let first = plan::plan(&before.mesh, &class, None, false, None);

    apply(&mut tables, RULES);
    let alone = tables.next_mesh();
    assert_eq!(shared(&alone.mesh, &proxy), class, "another class has no last form to keep");
    let held = plan::plan(&alone.mesh, &class, Some((&first, &alone.changes)), true, None);
    assert!(held.holding);
    assert_eq!(routes(&held), routes(&first));
    let not = plan::plan(&alone.mesh, &class, Some((&first, &alone.changes)), false, None);
    assert!(!not.holding && routes(&not) != routes(&first));

    apply(&mut tables, SUBSETS);
    let both = tables.next_mesh();
    let full = plan::plan(&both.mesh, &class, Some((&held, &both.changes)), true, None);
    assert!(!full.holding);
    assert_ne!(routes(&full), routes(&first));
    let fresh: Arc<Plan> = plan::plan(&both.mesh, &class, None, false, None);
    assert_eq!(routes(&full), routes(&fresh));
}
