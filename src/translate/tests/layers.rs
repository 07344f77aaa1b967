//! What namespaces share is planned once, below what each has for itself; together that is what a plan in one piece
//! would be.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use model::mesh::Changes;
use model::{Mesh, Proxy, Ref};
use serde_json::json;
use store::Options;
use testkit::mesh::{documents, mesh, plans, proxy, tables};
use translate::class::{Class, Layer, SharedView};
use translate::key::Entries;
use translate::{Key, Plan, class, plan};

type Outcome = Result<(), Box<dyn Error>>;

fn service(name: &str, namespace: &str, more: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}{more}}}
spec: {{clusterIP: 10.96.0.9, ports: [{{name: http, port: 80}}, {{name: tcp, port: 9000}}]}}
"
    )
}

fn destination_rule(name: &str, namespace: &str, host: &str, more: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{host: {host}, subsets: [{{name: {name}, labels: {{v: one}}}}]{more}}}
"
    )
}

fn virtual_service(more: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: open, namespace: a}}
spec:
  hosts: [open]
  http: [{{route: [{{destination: {{host: open, subset: canary}}}}]{more}}}]
"
    )
}

fn sidecar(namespace: &str) -> Result<Proxy, Box<dyn Error>> {
    Ok(proxy("sidecar", "10.1.0.1", &format!("web.{namespace}"), &json!({}))?)
}

/// Public and private services, a host that two namespaces define, rules of the client's namespace, of the service's,
/// exported and not.
fn various() -> String {
    let export = |to: &str| format!(", annotations: {{networking.istio.io/exportTo: {to}}}");
    let entry = |namespace: &str, ports: &str| {
        format!(
            "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: partner, namespace: {namespace}}}
spec: {{hosts: [partner.example], resolution: STATIC, ports: [{ports}], endpoints: [{{address: 192.0.2.1}}]}}
"
        )
    };
    [
        service("open", "a", ""),
        service("plain", "b", ""),
        service("hidden", "a", &export("'.'")),
        service("lent", "a", &export("b")),
        entry("a", "{number: 80, name: http}"),
        entry("b", "{number: 81, name: http}"),
        destination_rule("canary", "a", "open.a.svc.cluster.local", ""),
        destination_rule("mine", "b", "open.a.svc.cluster.local", ""),
        destination_rule("secret", "a", "plain.b.svc.cluster.local", ", exportTo: ['.']"),
    ]
    .concat()
}

/// The layers of a class laid over each other.
fn merged(plans: &[Arc<Plan>], kind: impl Fn(&Plan) -> (&Entries, &[Arc<str>])) -> BTreeMap<Arc<str>, Key> {
    let mut all = BTreeMap::new();
    for plan in plans {
        let (entries, hidden) = kind(plan);
        hidden.iter().for_each(|name| drop(all.remove(name)));
        all.extend(entries.iter().cloned());
    }
    all
}

fn shared_views(mesh: &Mesh, proxy: &Proxy) -> Vec<Ref<SharedView>> {
    let classes = class::classes(mesh, proxy).into_iter();
    classes.filter_map(|c| if let Class::Shared(view) = c { Some(view) } else { None }).collect()
}

#[test]
fn two_layers_are_the_same_as_one() -> Outcome {
    let mesh = mesh(&[&various()])?;
    for namespace in ["a", "b", "c"] {
        let views = shared_views(&mesh, &sidecar(namespace)?);
        let [common, upper] = views.as_slice() else { return Err("not two layers".into()) };
        assert_eq!((common.layer, upper.layer), (Layer::Common, Layer::Upper));
        let whole = Class::Shared(Ref::new(SharedView { layer: Layer::Whole, ..SharedView::clone(upper) }));
        let planned = |class, below: Option<&Plan>| plan::plan(&mesh, &class, None, false, below);
        let common = planned(Class::Shared(common.clone()), None);
        let layers = [Arc::clone(&common), planned(Class::Shared(upper.clone()), Some(&common))];
        let whole = [planned(whole, None)];
        let clusters = |plan: &[Arc<Plan>]| merged(plan, |p| (&p.clusters, &p.hidden_clusters));
        assert_eq!(clusters(&layers), clusters(&whole), "clusters of {namespace}");
        let endpoints = |plan: &[Arc<Plan>]| merged(plan, |p| (&p.endpoints, &p.hidden_endpoints));
        assert_eq!(endpoints(&layers), endpoints(&whole), "assignments of {namespace}");
        let listeners = |plan: &[Arc<Plan>]| merged(plan, |p| (&p.listeners, &p.hidden_listeners));
        assert_eq!(listeners(&layers), listeners(&whole), "listeners of {namespace}");
        let names = |plan: &[Arc<Plan>]| merged(plan, |p| (&p.names, &[]));
        assert_eq!(names(&layers), names(&whole), "names of {namespace}");
        assert!(layers[0].routes.is_empty());
        assert_eq!(layers[1].routes, whole[0].routes);
    }
    Ok(())
}

#[test]
fn a_namespace_without_anything_of_its_own_adds_only_routes() -> Outcome {
    let mesh = mesh(&[&service("open", "a", ""), &destination_rule("canary", "a", "open", "")])?;
    let plans = plans(&mesh, &sidecar("b")?);
    assert!(!plans[0].clusters.is_empty() && !plans[0].endpoints.is_empty());
    let upper = &plans[1];
    assert!(upper.clusters.is_empty() && upper.endpoints.is_empty() && upper.listeners.is_empty());
    assert!(upper.names.is_empty());
    let hidden = [&upper.hidden_clusters, &upper.hidden_endpoints, &upper.hidden_listeners];
    assert!(hidden.iter().all(|names| names.is_empty()));
    Ok(())
}

/// The plan of the namespace's listeners and routes, after the one before it.
fn next(mesh: &Mesh, view: &Ref<SharedView>, before: &Arc<Plan>, changes: &Changes, hold: bool) -> Arc<Plan> {
    plan::plan(mesh, &Class::Shared(view.clone()), Some((before, changes)), hold, None)
}

#[test]
fn routes_to_a_subset_that_is_not_there_yet_keep_their_last_form() -> Outcome {
    let mut tables = tables(Options::default(), &[&service("open", "a", "")])?;
    let mesh = tables.next_mesh().mesh;
    let view = shared_views(&mesh, &sidecar("a")?).pop().ok_or("no view")?;
    let first = plan::plan(&mesh, &Class::Shared(view.clone()), None, true, None);
    assert!(!first.holding);
    let mut apply = |yaml: &str| -> Result<store::Next, Box<dyn Error>> {
        for doc in documents(yaml)? {
            let object = api::decode::decode(doc)?.object;
            tables.apply(&object.key(), Some(&object));
        }
        Ok(tables.next_mesh())
    };
    let routed = apply(&virtual_service(""))?;
    let held = next(&routed.mesh, &view, &first, &routed.changes, true);
    assert!(held.holding, "the subset is missing");
    assert_eq!(held.routes, first.routes);
    let late = next(&routed.mesh, &view, &held, &Changes::default(), false);
    assert!(!late.holding, "nothing is held for ever");
    assert_ne!(late.routes, first.routes);
    let defined = apply(&destination_rule("canary", "a", "open.a.svc.cluster.local", ""))?;
    let ready = next(&defined.mesh, &view, &held, &defined.changes, true);
    assert!(!ready.holding, "the subset is there");
    assert_ne!(ready.routes, first.routes);
    Ok(())
}

/// Rules that replace others are planned without the rest: the result is that of a whole plan.
#[test]
fn changed_rules_give_what_a_whole_plan_gives() -> Outcome {
    let rule = destination_rule("canary", "a", "open.a.svc.cluster.local", "");
    let with = |more: &str| mesh(&[&various(), &rule, &virtual_service(more)]);
    let before = with("")?;
    let limited = ", match: [{sourceNamespace: b}]";
    for (form, more) in [("another timeout", ", timeout: 3s"), ("for some clients", limited)] {
        let after = with(more)?;
        for namespace in ["a", "b"] {
            let view = shared_views(&before, &sidecar(namespace)?).pop().ok_or("no view")?;
            let class = Class::Shared(view.clone());
            let last = plan::plan(&before, &class, None, false, None);
            let changes = Changes { configuration: true, ..Changes::default() };
            let next = next(&after, &view, &last, &changes, false);
            assert_ne!(next.routes, last.routes, "{form} in {namespace}");
            assert_eq!(
                next.routes,
                plan::plan(&after, &class, None, false, None).routes,
                "{form} in {namespace}"
            );
            assert!(Arc::ptr_eq(&next.listeners, &last.listeners), "{form}: listeners are not planned again");
        }
    }
    Ok(())
}

/// Virtual hosts that two namespaces have alike are one allocation.
#[test]
fn equal_virtual_hosts_are_kept_once() -> Outcome {
    let mesh = mesh(&[&various()])?;
    let planned = |namespace: &str, beside: Option<&Plan>| -> Result<Arc<Plan>, Box<dyn Error>> {
        let view = shared_views(&mesh, &sidecar(namespace)?).pop().ok_or("no view")?;
        Ok(plan::plan(&mesh, &Class::Shared(view), None, false, beside))
    };
    let hosts = |plan: &Plan| -> Vec<Ref<translate::routes::VirtualHostKey>> {
        let keys = plan.routes.iter().map(|(_, key)| key);
        keys.flat_map(|key| if let Key::Route(r) = key { r.virtual_hosts.clone() } else { Vec::new() })
            .collect()
    };
    let first = planned("b", None)?;
    let (alone, beside) = (planned("c", None)?, planned("c", Some(&first))?);
    assert_eq!(alone.routes, beside.routes, "it changes nothing but where things are kept");
    let kept = hosts(&first);
    let shared =
        |plan: &Plan| hosts(plan).iter().filter(|h| kept.iter().any(|k| std::ptr::eq(&**k, &***h))).count();
    let equal = hosts(&beside).iter().filter(|h| kept.contains(h)).count();
    assert!(equal > 0);
    assert_eq!((shared(&alone), shared(&beside)), (0, equal));
    Ok(())
}
